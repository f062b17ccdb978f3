//! The order of operators: a file need not be sorted, but it must be possible to sort it.

use std::collections::{HashMap, HashSet};

use super::{Model, OpId, ScopeId, ValueId};
use crate::error::{Error, Result};

impl Model {
    /// The operator of `scope` that `op` is, or is nested in; `None` if it is in neither.
    pub(crate) fn enclosing_op(&self, op: OpId, scope: ScopeId) -> Option<OpId> {
        let mut op = op;
        while self.op(op).scope != scope {
            op = self.scope(self.op(op).scope).owner?;
        }
        Some(op)
    }

    /// The first operator, in the order of the value's own scope, that needs a value: one that
    /// reads it, or in whose bodies it is read or given out.
    pub(crate) fn first_reader(&self, value: ValueId) -> Option<OpId> {
        let scope = self.value(value).scope;
        let uses = self.uses(value).into_iter().map(|use_| use_.op);
        let bodies = self.value(value).given_out_by.iter().filter_map(|&body| self.scope(body).owner);
        let readers: HashSet<OpId> = uses.chain(bodies).filter_map(|op| self.enclosing_op(op, scope)).collect();
        match readers.len() {
            0 | 1 => readers.into_iter().next(),
            _ => self.scope(scope).ops.iter().copied().find(|op| readers.contains(op)),
        }
    }

    /// What each operator needs: what it reads, and what its bodies give out of the graphs around them.
    fn reads(&self) -> impl Iterator<Item = (OpId, ValueId)> {
        let inputs = self.ops().flat_map(|op| self.inputs(op).into_iter().flatten().map(move |value| (op, value)));
        let given_out = self.scopes().filter_map(|scope| Some((self.scope(scope).owner?, scope)));
        let given_out = given_out
            .flat_map(|(owner, scope)| self.scope(scope).outputs.iter().map(move |output| (owner, output.value)));
        inputs.chain(given_out.filter(|&(owner, value)| self.enclosing_op(owner, self.value(value).scope).is_some()))
    }

    /// Checks that every scope's operators can be put in an order in which each comes after what it
    /// reads.
    pub(crate) fn check_order(&self) -> Result<()> {
        let mut waiting: HashMap<OpId, usize> = self.ops().map(|op| (op, 0)).collect();
        let mut readers: HashMap<OpId, Vec<OpId>> = HashMap::new();
        for (reader, value) in self.reads() {
            let Some(producer) = self.producer(value) else { continue };
            // A body's operator makes the operator around it wait.
            let Some(reader) = self.enclosing_op(reader, self.op(producer).scope) else { continue };
            readers.entry(producer).or_default().push(reader);
            *waiting.entry(reader).or_default() += 1;
        }
        let mut ready: Vec<OpId> = self.ops().filter(|op| waiting[op] == 0).collect();
        let mut sorted = 0;
        while let Some(op) = ready.pop() {
            sorted += 1;
            for reader in readers.remove(&op).unwrap_or_default() {
                let count = waiting.entry(reader).or_default();
                *count -= 1;
                if *count == 0 {
                    ready.push(reader);
                }
            }
        }
        if sorted == waiting.len() {
            return Ok(());
        }
        let stuck = self.ops().find(|op| waiting[op] > 0).map(|op| self.location(op)).unwrap_or_default();
        Err(Error::invalid("stands in, or behind, a cycle: it needs its own output").at(stuck.path, stuck.operator))
    }
}
