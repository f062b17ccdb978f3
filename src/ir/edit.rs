//! Changes to the graph. Names of graph inputs and outputs never change here.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use petgraph::{Direction, stable_graph::NodeIndex, visit::EdgeRef};

use super::{
    Attribute, DataType, Interface, Model, Op, OpId, Scope, ScopeId, Tensor, Use, Value, ValueId,
    model::{Port, ScopeShell, Vertex},
    op::{Arity, AttributePlace, AttributeTensor, Body},
    sequence::Sequence,
    steps::count,
};
use crate::proto::{
    AttributeProto, GraphProto, NodeProto, TypeProto, ValueInfoProto, attribute_proto::AttributeType, type_proto,
};

/// An operator to be inserted: its type, what it reads and which attributes it has.
#[derive(Debug, Clone)]
pub struct NewOp {
    /// Type, in the default operator set.
    pub op_type: &'static str,
    /// The node's name is made from this one; it becomes unique.
    pub name: String,
    /// What it reads, by slot.
    pub inputs: Vec<ValueId>,
    /// The value that it makes from now on; an operator that made it before does so no longer.
    pub output: ValueId,
    /// Its attributes.
    pub attributes: Vec<(&'static str, Attribute)>,
}

impl Model {
    /// Adds a value that nothing makes yet, under a name made from `name`.
    pub fn new_value(&mut self, scope: ScopeId, name: &str) -> ValueId {
        let name = self.fresh_value_name(name);
        let value = self.add_value(scope, &name);
        self.scopes[scope.0].names.insert(name, value);
        value
    }

    /// Adds a constant under a name made from the tensor's: an initializer, placed before the one
    /// of `before` or at the end; in a function, which has none, a Constant node before operator `at`.
    pub fn new_constant(
        &mut self,
        scope: ScopeId,
        mut tensor: Tensor,
        before: Option<ValueId>,
        at: Option<OpId>,
    ) -> ValueId {
        let value = self.new_value(scope, tensor.name());
        if self.scope(scope).is_function() {
            self.insert_constant(scope, tensor, value, at);
            return value;
        }
        tensor.shell.name = Some(self.value(value).name.clone());
        self.value_mut(value).initializer = Some(Arc::new(tensor));
        // What is no initializer need not be looked for among them.
        let before = before.filter(|&before| self.value(before).initializer.is_some());
        self.scopes[scope.0].initializers.insert_before(before.as_ref(), value);
        value
    }

    /// Inserts a Constant node that makes `value`, before operator `at` or at the scope's end.
    pub(crate) fn insert_constant(
        &mut self,
        scope: ScopeId,
        mut tensor: Tensor,
        value: ValueId,
        at: Option<OpId>,
    ) -> OpId {
        tensor.shell.name = None;
        let name = self.value(value).name.clone();
        let id = self.insert_op(
            scope,
            at,
            NewOp { op_type: "Constant", name, inputs: vec![], output: value, attributes: vec![] },
        );
        let mut attribute = AttributeProto { name: Some("value".to_owned()), ..AttributeProto::default() };
        attribute.set_type(AttributeType::Tensor);
        let place = AttributePlace { attribute: "value".to_owned(), element: None };
        let op = self.op_mut(id);
        op.shell.attribute.push(attribute);
        op.tensors.push(AttributeTensor { place, tensor });
        id
    }

    /// Inserts an operator before another one of the scope, or at its end.
    pub fn insert_op(&mut self, scope: ScopeId, before: Option<OpId>, new: NewOp) -> OpId {
        let name = self.fresh_op_name(&new.name);
        let shell = NodeProto {
            op_type: Some(new.op_type.to_owned()),
            name: Some(name),
            attribute: new.attributes.into_iter().map(|(name, value)| value.into_proto(name)).collect(),
            ..NodeProto::default()
        };
        let arity = Arity { inputs: new.inputs.len(), outputs: 1 };
        let op = Op { shell, scope, arity, bodies: Vec::new(), tensors: Vec::new() };
        let id = OpId(self.graph.add_node(Vertex::Op(Box::new(op))));
        for (slot, value) in new.inputs.into_iter().enumerate() {
            self.graph.add_edge(value.0, id.0, Port::Input(slot));
        }
        self.remove_edges(new.output.0, Direction::Incoming);
        self.graph.add_edge(id.0, new.output.0, Port::Output(0));
        self.scopes[scope.0].ops.insert_before(before.as_ref(), id);
        id
    }

    /// Removes an operator without bodies; the values it made are left without origin.
    pub fn remove_op(&mut self, id: OpId) {
        let scope = self.op(id).scope;
        self.scopes[scope.0].ops.remove(&id);
        for direction in [Direction::Incoming, Direction::Outgoing] {
            self.remove_edges(id.0, direction);
        }
        self.graph[id.0] = Vertex::Removed;
    }

    /// Makes readers of a value read others instead: those that `moves` names.
    pub fn move_uses(&mut self, from: ValueId, moves: &HashMap<Use, ValueId>) {
        if moves.is_empty() {
            return;
        }
        // All of them are taken off, and those that stay put back: one by one they would have to be
        // looked for among the others.
        for (op, port) in self.remove_edges(from.0, Direction::Outgoing).into_iter().rev() {
            let to = match port {
                Port::Input(slot) => moves.get(&Use { op: OpId(op), slot }).copied().unwrap_or(from),
                Port::Output(_) | Port::Removed => from,
            };
            self.graph.add_edge(to.0, op, port);
        }
    }

    /// Removes all edges on one side of a vertex; their targets and what they said, the newest first.
    fn remove_edges(&mut self, vertex: NodeIndex, direction: Direction) -> Vec<(NodeIndex, Port)> {
        let edges: Vec<_> =
            self.edges(vertex, direction).map(|edge| (edge.id(), edge.target(), *edge.weight())).collect();
        for &(edge, ..) in &edges {
            self.graph[edge] = Port::Removed;
        }
        self.sweep(edges.len());
        edges.into_iter().map(|(_, target, port)| (target, port)).collect()
    }

    /// Takes the edges away that are marked as removed, once they are as many as the others. So each
    /// costs as much as one that stays.
    fn sweep(&mut self, removed: usize) {
        self.removed_edges += removed;
        if 2 * self.removed_edges <= self.graph.edge_count() {
            return;
        }
        count(self.graph.edge_count());
        let indices = self.graph.edge_indices().filter(|&edge| self.graph[edge] != Port::Removed);
        let kept: Vec<_> =
            indices.filter_map(|edge| Some((self.graph.edge_endpoints(edge)?, self.graph[edge]))).collect();
        self.graph.clear_edges();
        for ((source, target), port) in kept {
            self.graph.add_edge(source, target, port);
        }
        self.removed_edges = 0;
    }

    /// Makes an operator another one of the default operator set; inputs and attributes stay.
    pub(crate) fn set_op_type(&mut self, op: OpId, op_type: &str) {
        self.op_mut(op).shell.op_type = Some(op_type.to_owned());
    }

    /// Makes an operator another one of a domain other than the default, which is imported in version 1 unless it
    /// is already; inputs and attributes stay.
    pub(crate) fn set_op_of_domain(&mut self, op: OpId, domain: &str, op_type: &str) {
        self.set_op_type(op, op_type);
        self.op_mut(op).shell.domain = Some(domain.to_owned());
        self.import_domain(self.op(op).scope, domain);
    }

    /// Gives an operator the plain attributes of another.
    pub(crate) fn copy_attributes(&mut self, from: OpId, to: OpId) {
        let attributes = self.op(from).shell.attribute.clone();
        self.op_mut(to).shell.attribute = attributes;
    }

    /// Sets an attribute, in the place of one of that name or behind the others.
    pub(crate) fn set_attribute(&mut self, op: OpId, name: &str, value: Attribute) {
        self.put_attribute(op, value.into_proto(name));
    }

    /// The same with an attribute's message, which may take its value from a function's caller.
    pub(crate) fn put_attribute(&mut self, op: OpId, attribute: AttributeProto) {
        let attributes = &mut self.op_mut(op).shell.attribute;
        match attributes.iter_mut().find(|known| known.name() == attribute.name()) {
            Some(known) => *known = attribute,
            None => attributes.push(attribute),
        }
    }

    /// Takes an attribute without tensors and graphs away.
    pub(crate) fn take_attribute(&mut self, op: OpId, name: &str) -> Option<AttributeProto> {
        let attributes = &mut self.op_mut(op).shell.attribute;
        let index = attributes.iter().position(|attribute| attribute.name() == name)?;
        Some(attributes.remove(index))
    }

    /// Leaves an optional input out; one that was the last is not listed any more.
    pub(crate) fn omit_input(&mut self, op: OpId, slot: usize) {
        self.detach(op, Direction::Incoming, Port::Input(slot));
        let listed = self.inputs(op).iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.op_mut(op).arity.inputs = listed;
    }

    /// Leaves an output out; one that was the last is not listed any more.
    pub(crate) fn omit_output(&mut self, op: OpId, slot: usize) {
        self.detach(op, Direction::Outgoing, Port::Output(slot));
        let listed = self.outputs(op).iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.op_mut(op).arity.outputs = listed;
    }

    /// Makes an operator make another value in one slot; the one that it made is left without origin.
    pub(crate) fn set_output(&mut self, op: OpId, slot: usize, value: ValueId) {
        // A new slot has nothing in it.
        if slot < self.op(op).arity.outputs {
            self.detach(op, Direction::Outgoing, Port::Output(slot));
        }
        self.graph.add_edge(op.0, value.0, Port::Output(slot));
        let arity = &mut self.op_mut(op).arity;
        arity.outputs = arity.outputs.max(slot + 1);
    }

    /// Makes the operator that makes a value make another one in its place; the value is left without
    /// origin.
    pub(crate) fn make_instead(&mut self, value: ValueId, other: ValueId) {
        let made = self.edges(value.0, Direction::Incoming).next();
        if let Some((edge, op, port)) = made.map(|edge| (edge.id(), edge.source(), *edge.weight())) {
            self.graph[edge] = Port::Removed;
            self.graph.add_edge(op, other.0, port);
            self.sweep(1);
        }
    }

    /// Adds an output behind the others of an operator: a new value, under a name made from `name`.
    pub(crate) fn add_op_output(&mut self, op: OpId, name: &str) -> ValueId {
        let value = self.new_value(self.op(op).scope, name);
        self.set_output(op, self.op(op).arity.outputs, value);
        value
    }

    /// Adds an input of the main graph: a tensor of any shape, under a name made from `name`.
    pub(crate) fn new_input(&mut self, name: &str, dtype: DataType) -> ValueId {
        let value = self.new_value(Self::MAIN, name);
        let tensor = type_proto::Tensor { elem_type: Some(dtype as i32), shape: None };
        let ty = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
        let name = Some(self.value(value).name.clone());
        let info = ValueInfoProto { name, r#type: Some(ty), ..ValueInfoProto::default() };
        self.add_input(Self::MAIN, Interface { value, info: Some(info) });
        value
    }

    /// Makes a scope give out these values and no others, without stating their types.
    pub(crate) fn set_outputs(&mut self, scope: ScopeId, values: &[ValueId]) {
        for output in std::mem::take(&mut self.scopes[scope.0].outputs) {
            self.value_mut(output.value).given_out_by.retain(|&by| by != scope);
        }
        for &value in values {
            self.give_out(scope, value);
        }
    }

    /// Makes a scope give out one more value, without stating its type.
    pub(crate) fn give_out(&mut self, scope: ScopeId, value: ValueId) {
        self.add_output(scope, Interface { value, info: None });
    }

    /// Gives operators without a name one that is made from their first output's.
    pub(crate) fn name_ops(&mut self) {
        let unnamed: Vec<OpId> = self.ops().filter(|&op| self.op(op).name().is_empty()).collect();
        for op in unnamed {
            let output = self.outputs(op).into_iter().flatten().next();
            let name = output.map_or(self.op(op).op_type(), |output| self.value(output).name()).to_owned();
            self.op_mut(op).shell.name = Some(self.fresh_op_name(&name));
        }
    }

    /// Gives an operator a name made from this one, that no other operator and no value has.
    #[cfg(feature = "rten")]
    pub(crate) fn rename_op(&mut self, op: OpId, name: &str) {
        let mut fresh = self.fresh_op_name(name);
        while self.value_names.contains(&fresh) {
            fresh = self.fresh_op_name(name);
        }
        self.op_mut(op).shell.name = Some(fresh);
    }

    fn detach(&mut self, op: OpId, direction: Direction, port: Port) {
        let edge = self.edges(op.0, direction).find(|edge| *edge.weight() == port).map(|edge| edge.id());
        if let Some(edge) = edge {
            self.graph[edge] = Port::Removed;
            self.sweep(1);
        }
    }

    /// Makes a value a constant, in the place of what gave it before: an initializer stays one, a
    /// Constant node too, any other operator makes room for a Constant node. The tensor's name is the
    /// value's.
    ///
    /// # Panics
    /// The value is neither an initializer nor the only output of an operator without bodies.
    pub(crate) fn set_constant(&mut self, value: ValueId, mut tensor: Tensor) {
        if self.value(value).initializer.is_some() {
            tensor.shell.name = Some(self.value(value).name.clone());
            self.value_mut(value).initializer = Some(Arc::new(tensor));
            return;
        }
        let op = self.producer(value).expect("what is no initializer is made by an operator");
        assert!(self.op(op).bodies.is_empty() && self.op(op).arity.outputs == 1, "only a plain operator makes room");
        let name = self.op(op).name().to_owned();
        let constant = self.insert_constant(self.op(op).scope, tensor, value, Some(op));
        self.copy_annotations(op, constant);
        self.remove_op(op);
        // No other has it now.
        self.op_mut(constant).shell.name = Some(name);
    }

    /// Removes a value that nothing makes and nothing reads.
    ///
    /// # Panics
    /// Something still makes or reads it.
    pub fn remove_value(&mut self, id: ValueId) {
        self.remove_values([id]);
    }

    /// Removes values that nothing makes and nothing reads. All at once: what the file states of each
    /// alone would be searched for among all of it.
    ///
    /// # Panics
    /// Something still makes or reads one of them.
    pub fn remove_values(&mut self, ids: impl IntoIterator<Item = ValueId>) {
        let mut removed: HashMap<ScopeId, HashSet<String>> = HashMap::new();
        for id in ids {
            let mut edges =
                [Direction::Incoming, Direction::Outgoing].into_iter().flat_map(|side| self.edges(id.0, side));
            assert!(edges.next().is_none(), "a value in use is not removed");
            drop(edges);
            let (scope, name) = (self.value(id).scope, self.value(id).name.clone());
            self.scopes[scope.0].names.remove(&name);
            removed.entry(scope).or_default().insert(name);
            self.graph[id.0] = Vertex::Removed;
        }
        for (scope, names) in removed {
            if let ScopeShell::Graph(graph) = &mut self.scopes[scope.0].shell {
                count(graph.value_info.len());
                graph.value_info.retain(|info| !names.contains(info.name()));
            }
        }
    }

    /// Puts an operator into the body of a new one that takes its place: with the same inputs and
    /// outputs and, beside `attributes`, the body as attribute `body`. The body's inputs and outputs
    /// are those of the operator, in order, so none may be left out. Returns the new operator.
    pub(crate) fn nest_in_body(
        &mut self,
        op: OpId,
        op_type: &'static str,
        attributes: Vec<(&'static str, Attribute)>,
    ) -> OpId {
        let scope = self.op(op).scope;
        let (inputs, outputs) = (self.inputs(op), self.outputs(op));
        let name = match self.op(op).name().to_owned() {
            name if name.is_empty() => name,
            name => self.fresh_op_name(&name),
        };
        let body = ScopeId(self.scopes.len());
        let mut body_attribute = AttributeProto { name: Some("body".to_owned()), ..AttributeProto::default() };
        body_attribute.set_type(AttributeType::Graph);
        let shell = NodeProto {
            op_type: Some(op_type.to_owned()),
            name: Some(name.clone()),
            attribute: std::iter::once(body_attribute)
                .chain(attributes.into_iter().map(|(name, value)| value.into_proto(name)))
                .collect(),
            ..NodeProto::default()
        };
        let place = AttributePlace { attribute: "body".to_owned(), element: None };
        let arity = Arity { inputs: inputs.len(), outputs: outputs.len() };
        let around = Op { shell, scope, arity, bodies: vec![Body { place, scope: body }], tensors: Vec::new() };
        let around = OpId(self.graph.add_node(Vertex::Op(Box::new(around))));
        let graph = GraphProto { name: Some("body".to_owned()), ..GraphProto::default() };
        self.scopes.push(Scope {
            shell: ScopeShell::Graph(graph),
            owner: Some(around),
            // That of the graph or function around it counts.
            opset: 1,
            inputs: Vec::new(),
            outputs: Vec::new(),
            initializers: Sequence::new(),
            ops: Sequence::new(),
            names: HashMap::new(),
        });
        self.scopes[body.0].ops.push(op);
        self.scopes[scope.0].ops.insert_before(Some(&op), around);
        self.scopes[scope.0].ops.remove(&op);
        self.op_mut(op).scope = body;
        for (slot, outer) in inputs.into_iter().enumerate() {
            let Some(outer) = outer else { continue };
            let name = self.value(outer).name.clone();
            let value = self.new_value(body, &name);
            self.add_input(body, Interface { value, info: None });
            self.set_input(Use { op, slot }, value);
            self.graph.add_edge(outer.0, around.0, Port::Input(slot));
        }
        for (slot, outer) in outputs.into_iter().enumerate() {
            let Some(outer) = outer else { continue };
            let name = self.value(outer).name.clone();
            let value = self.new_value(body, &name);
            self.add_output(body, Interface { value, info: None });
            self.set_output(op, slot, value);
            self.graph.add_edge(around.0, outer.0, Port::Output(slot));
        }
        around
    }

    /// Makes an operator read another value in one slot, which may be a new one behind the others.
    pub fn set_input(&mut self, use_: Use, value: ValueId) {
        let arity = &mut self.op_mut(use_.op).arity;
        arity.inputs = arity.inputs.max(use_.slot + 1);
        self.detach(use_.op, Direction::Incoming, Port::Input(use_.slot));
        self.graph.add_edge(value.0, use_.op.0, Port::Input(use_.slot));
    }

    /// Takes the tensor of an initializer away; the value stays, for an operator to make it.
    pub fn take_initializer(&mut self, value: ValueId) -> Option<Tensor> {
        let scope = self.value(value).scope;
        self.scopes[scope.0].initializers.remove(&value);
        self.value_mut(value).initializer.take().map(Arc::unwrap_or_clone)
    }

    /// Takes the tensors of several initializers away: each alone would be searched for among all of them.
    pub(crate) fn take_initializers(&mut self, values: &[ValueId]) {
        let mut taken: HashMap<ScopeId, HashSet<ValueId>> = HashMap::new();
        for &value in values {
            self.value_mut(value).initializer = None;
            taken.entry(self.value(value).scope).or_default().insert(value);
        }
        for (scope, taken) in taken {
            self.scopes[scope.0].initializers.retain(|value| !taken.contains(value));
        }
    }

    /// Takes values off the inputs of their scopes. An initializer that was there only gave the
    /// input's default value; from now on it is a constant.
    pub fn remove_inputs(&mut self, values: impl IntoIterator<Item = ValueId>) {
        let mut removed: HashMap<ScopeId, HashSet<ValueId>> = HashMap::new();
        for value in values {
            self.value_mut(value).is_input = false;
            removed.entry(self.value(value).scope).or_default().insert(value);
        }
        for (scope, values) in removed {
            count(self.scopes[scope.0].inputs.len());
            self.scopes[scope.0].inputs.retain(|input| !values.contains(&input.value));
        }
    }

    /// Gives an operator the doc string and metadata of another one that it stands for.
    pub fn copy_annotations(&mut self, from: OpId, to: OpId) {
        let (doc_string, metadata) =
            (self.op(from).shell.doc_string.clone(), self.op(from).shell.metadata_props.clone());
        let shell = &mut self.op_mut(to).shell;
        (shell.doc_string, shell.metadata_props) = (doc_string, metadata);
    }

    /// Whether a scope around a value's own has a value of the same name.
    pub fn shadows(&self, value: ValueId) -> bool {
        let value = self.value(value);
        let around = self.scope(value.scope).owner.map(|owner| self.op(owner).scope);
        around.is_some_and(|scope| self.find(scope, &value.name).is_some())
    }

    /// Gives a value another name, made from `name`; whoever reads it goes on doing so.
    ///
    /// Not for inputs and outputs of the main graph, by whose names callers know them.
    pub fn rename(&mut self, value: ValueId, name: &str) {
        let name = self.fresh_value_name(name);
        self.value_names.insert(name.clone());
        let renamed = self.value_mut(value);
        if let Some(tensor) = renamed.initializer.as_mut().map(Arc::make_mut) {
            tensor.shell.name = Some(name.clone());
        }
        let (scope, old) = (renamed.scope, std::mem::replace(&mut renamed.name, name.clone()));
        let names = &mut self.scopes[scope.0].names;
        names.remove(&old);
        names.insert(name, value);
    }

    pub(super) fn add_input(&mut self, scope: ScopeId, input: Interface) {
        self.value_mut(input.value).is_input = true;
        self.scopes[scope.0].inputs.push(input);
    }

    pub(super) fn add_output(&mut self, scope: ScopeId, output: Interface) {
        self.value_mut(output.value).given_out_by.push(scope);
        self.scopes[scope.0].outputs.push(output);
    }

    pub(super) fn op_mut(&mut self, id: OpId) -> &mut Op {
        match &mut self.graph[id.0] {
            Vertex::Op(op) => op,
            _ => panic!("an operator that was removed, or an id of another model"),
        }
    }

    pub(super) fn value_mut(&mut self, id: ValueId) -> &mut Value {
        match &mut self.graph[id.0] {
            Vertex::Value(value) => value,
            _ => panic!("a value that was removed, or an id of another model"),
        }
    }

    /// `name`, or `name_1`, `name_2` and so on: the first that no value of any scope has.
    fn fresh_value_name(&mut self, name: &str) -> String {
        fresh(name, &self.value_names, &mut self.next_numbers)
    }

    fn fresh_op_name(&mut self, name: &str) -> String {
        let name = fresh(name, &self.op_names, &mut self.next_numbers);
        self.op_names.insert(name.clone());
        name
    }
}

/// Goes on counting where it stopped the last time: bodies may have the same names by the thousand.
pub(super) fn fresh(name: &str, taken: &HashSet<String>, next_numbers: &mut HashMap<String, u64>) -> String {
    if !taken.contains(name) {
        return name.to_owned();
    }
    let next = next_numbers.entry(name.to_owned()).or_insert(1);
    loop {
        let numbered = format!("{name}_{next}");
        *next += 1;
        if !taken.contains(&numbered) {
            return numbered;
        }
    }
}
