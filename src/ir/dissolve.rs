//! Takes bodies away: their operators go to the scope around them, or go.

use std::{collections::HashMap, mem, sync::Arc};

use super::{
    edit::fresh,
    model::{Model, OpId, ScopeId, ScopeShell, Use, ValueId, Vertex},
    sequence::Sequence,
};
use crate::proto::ValueInfoProto;

impl Model {
    /// Puts what a body without inputs holds in the place of the operator around it, which goes with its other
    /// bodies: a branch that is always taken.
    pub(crate) fn dissolve_into(&mut self, around: OpId, body: ScopeId) {
        let outer = self.op(around).scope;
        self.adopt_values(body, outer);
        let ops = mem::replace(&mut self.scopes[body.0].ops, Sequence::new());
        for &op in ops.iter() {
            self.op_mut(op).scope = outer;
            self.scopes[outer.0].ops.insert_before(Some(&around), op);
        }
        let given: Vec<ValueId> = mem::take(&mut self.scopes[body.0].outputs).iter().map(|it| it.value).collect();
        for &value in &given {
            self.value_mut(value).given_out_by.retain(|&by| by != body);
        }
        for (given, result) in given.into_iter().zip(self.outputs(around)) {
            let Some(result) = result else { continue };
            match self.producer(given).filter(|_| self.is_output(result) && !self.is_output(given)) {
                Some(maker) => {
                    let slot = self.outputs(maker).iter().position(|made| *made == Some(given)).unwrap_or(0);
                    self.read_instead(given, result);
                    self.set_output(maker, slot, result);
                }
                None => self.read_instead(result, given),
            }
        }
        self.remove_with_bodies(around);
    }

    /// Removes an operator with all that its bodies hold.
    pub(crate) fn remove_with_bodies(&mut self, op: OpId) {
        let mut waiting = vec![op];
        let mut scopes = Vec::new();
        while let Some(op) = waiting.pop() {
            for scope in self.op(op).bodies().iter().map(|body| body.scope).collect::<Vec<_>>() {
                waiting.extend(self.scopes[scope.0].ops.iter().copied());
                for output in mem::take(&mut self.scopes[scope.0].outputs) {
                    self.value_mut(output.value).given_out_by.retain(|&by| by != scope);
                }
                self.take_value_info(scope);
                scopes.push(scope);
            }
            self.remove_op(op);
        }
        // Only now does nobody read them.
        for scope in scopes {
            let scope = &mut self.scopes[scope.0];
            scope.inputs.clear();
            scope.initializers = Sequence::new();
            scope.names.drain().for_each(|(_, value)| self.graph[value.0] = Vertex::Removed);
        }
    }

    /// Makes all readers of one value read another.
    pub(crate) fn read_instead(&mut self, from: ValueId, to: ValueId) {
        let moves: HashMap<Use, ValueId> = self.uses(from).into_iter().map(|use_| (use_, to)).collect();
        self.move_uses(from, &moves);
    }

    /// The values of a body become those of the scope around it, under names that are free there.
    fn adopt_values(&mut self, body: ScopeId, outer: ScopeId) {
        let mut renamed = HashMap::new();
        let mut infos = self.take_value_info(body);
        infos.extend(self.scopes[body.0].outputs.iter().filter_map(|output| output.info.clone()));
        for (name, value) in mem::take(&mut self.scopes[body.0].names) {
            let new = match self.scopes[outer.0].names.contains_key(&name) {
                true => fresh(&name, &self.value_names, &mut self.next_numbers),
                false => name.clone(),
            };
            self.value_names.insert(new.clone());
            let adopted = self.value_mut(value);
            adopted.scope = outer;
            adopted.name.clone_from(&new);
            if let Some(tensor) = adopted.initializer.as_mut().map(Arc::make_mut) {
                tensor.shell.name = Some(new.clone());
                self.scopes[outer.0].initializers.push(value);
            }
            self.scopes[outer.0].names.insert(new.clone(), value);
            renamed.insert(name, new);
        }
        self.scopes[body.0].initializers = Sequence::new();
        for info in &mut infos {
            if let Some(name) = renamed.get(info.name()) {
                info.name = Some(name.clone());
            }
        }
        match &mut self.scopes[outer.0].shell {
            ScopeShell::Graph(graph) => graph.value_info.extend(infos),
            ScopeShell::Function(function) => function.value_info.extend(infos),
        }
    }

    fn take_value_info(&mut self, scope: ScopeId) -> Vec<ValueInfoProto> {
        match &mut self.scopes[scope.0].shell {
            ScopeShell::Graph(graph) => mem::take(&mut graph.value_info),
            ScopeShell::Function(function) => mem::take(&mut function.value_info),
        }
    }
}
