//! The model as a graph, and the questions that can be asked of it.
//!
//! One petgraph holds the operators and values of every scope: the main graph, the bodies nested in
//! its operators, and the model's own functions. An edge is a use, and a use of an outer value
//! inside a body is an edge like any other: whoever asks who reads a value hears of the bodies too.
//!
//! Ids are never given out twice: what is removed leaves an empty vertex.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use petgraph::{
    Direction,
    stable_graph::{EdgeReference, NodeIndex, StableDiGraph},
    visit::EdgeRef,
};

use super::{Op, Tensor, sequence::Sequence, steps::count};
use crate::{
    error::Location,
    proto::{FunctionProto, GraphProto, ModelProto, ValueInfoProto, type_proto::Value as Kind},
};

/// An operator of a [`Model`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub(super) NodeIndex);

/// A value of a [`Model`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub(super) NodeIndex);

/// The main graph, a nested body or a function of a [`Model`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeId(pub(super) usize);

/// An ONNX model.
///
/// Read one with [`Model::load`] or [`Model::from_bytes`], ask it through the methods below, change
/// it with [passes](crate::passes), and write it with [`Model::save`] or [`Model::to_bytes`].
#[derive(Debug, Clone)]
pub struct Model {
    /// The model's message without graph and functions.
    pub(crate) shell: ModelProto,
    pub(super) graph: StableDiGraph<Vertex, Port>,
    /// The main graph first, then functions, then bodies, each before those nested in it; last the
    /// bodies that were added since.
    pub(super) scopes: Vec<Scope>,
    /// The model's own functions by name, domain and overload.
    pub(super) functions: HashMap<String, HashMap<String, HashMap<String, ScopeId>>>,
    /// Every name of a value anywhere, so that new ones neither collide nor shadow.
    pub(super) value_names: HashSet<String>,
    pub(super) op_names: HashSet<String>,
    /// The names of initializers that the model's training information sets or replaces.
    pub(super) trained_names: HashSet<String>,
    /// How many edges are marked as removed.
    pub(super) removed_edges: usize,
    /// The number to try next for a name that is taken.
    pub(super) next_numbers: HashMap<String, u64>,
    /// The file it came from.
    pub(crate) source: Option<PathBuf>,
    pub(crate) unknown_fields: Vec<String>,
    /// The files beside the model's in which tensors lay when it was read. Where there were any, new
    /// tensors may lie outside too.
    pub(crate) external_files: BTreeSet<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Vertex {
    /// Much larger than a value, of which there may be many more.
    Op(Box<Op>),
    Value(Value),
    Removed,
}

/// What an edge says: it leads into an operator's input slot or out of an output slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    Input(usize),
    Output(usize),
    /// Nothing any more. To take an edge away, petgraph searches for it among all edges of both ends: what
    /// is to go is marked, and all that is marked goes at once.
    Removed,
}

/// A named value: a graph input, an initializer, or an operator's output.
#[derive(Debug, Clone)]
pub struct Value {
    pub(super) name: String,
    pub(super) scope: ScopeId,
    /// Copies of a model share it.
    pub(super) initializer: Option<Arc<Tensor>>,
    /// Whether its scope's inputs list it.
    pub(super) is_input: bool,
    /// The scopes whose outputs list it: its own, and bodies further inside.
    pub(super) given_out_by: Vec<ScopeId>,
}

/// A graph, a nested body or a function.
#[derive(Debug, Clone)]
pub struct Scope {
    pub(crate) shell: ScopeShell,
    /// The operator that a body is nested in.
    pub(super) owner: Option<OpId>,
    /// The version of the default operator set that is imported by the graph or function that this is, or is in.
    pub(super) opset: i64,
    pub(super) inputs: Vec<Interface>,
    pub(super) outputs: Vec<Interface>,
    pub(super) initializers: Sequence<ValueId>,
    pub(super) ops: Sequence<OpId>,
    pub(super) names: HashMap<String, ValueId>,
}

/// A scope's message without what the IR holds itself.
#[derive(Debug, Clone)]
pub(crate) enum ScopeShell {
    Graph(GraphProto),
    Function(FunctionProto),
}

/// An input or output of a scope, with its type where the file states it (functions do not).
#[derive(Debug, Clone)]
pub struct Interface {
    /// The value.
    pub value: ValueId,
    pub(crate) info: Option<ValueInfoProto>,
}

/// One use of a value: an operator's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Use {
    /// The operator that reads the value.
    pub op: OpId,
    /// Which of its inputs.
    pub slot: usize,
}

impl Interface {
    /// How many dimensions the file says it has, if it says so of a tensor.
    pub(crate) fn rank(&self) -> Option<usize> {
        match self.info.as_ref()?.r#type.as_ref()?.value.as_ref()? {
            Kind::TensorType(tensor) => tensor.shape.as_ref().map(|shape| shape.dim.len()),
            _ => None,
        }
    }
}

impl Value {
    /// The value's name, unique in its scope.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The scope it is defined in.
    pub fn scope(&self) -> ScopeId {
        self.scope
    }

    /// Its tensor, if it is an initializer.
    pub fn initializer(&self) -> Option<&Tensor> {
        self.initializer.as_deref()
    }
}

impl Scope {
    /// The graph's or function's name.
    pub fn name(&self) -> &str {
        match &self.shell {
            ScopeShell::Graph(graph) => graph.name(),
            ScopeShell::Function(function) => function.name(),
        }
    }

    /// Whether it is a function; functions have no initializers.
    pub fn is_function(&self) -> bool {
        matches!(self.shell, ScopeShell::Function(_))
    }

    /// The operator it is nested in, if it is a body.
    pub fn owner(&self) -> Option<OpId> {
        self.owner
    }

    /// Its inputs, in order.
    pub fn inputs(&self) -> &[Interface] {
        &self.inputs
    }

    /// Its outputs, in order.
    pub fn outputs(&self) -> &[Interface] {
        &self.outputs
    }

    /// Its initializers, in the file's order.
    pub fn initializers(&self) -> &[ValueId] {
        &self.initializers
    }

    pub(super) fn sparse_names(&self) -> impl Iterator<Item = &str> {
        let sparse = match &self.shell {
            ScopeShell::Graph(graph) => graph.sparse_initializer.as_slice(),
            ScopeShell::Function(_) => &[],
        };
        sparse.iter().filter_map(|sparse| sparse.values.as_ref()).map(|values| values.name())
    }

    /// Its operators, in the file's order.
    pub fn ops(&self) -> &[OpId] {
        &self.ops
    }
}

impl Model {
    /// The main graph.
    pub const MAIN: ScopeId = ScopeId(0);

    /// Every scope, but for bodies of operators that were removed. In a model as it was read, a body comes after the
    /// scope that its operator is in.
    pub fn scopes(&self) -> impl Iterator<Item = ScopeId> {
        let there = |scope: &ScopeId| self.scope(*scope).owner.is_none_or(|owner| self.contains_op(owner));
        (0..self.scopes.len()).map(ScopeId).inspect(|_| count(1)).filter(there)
    }

    /// A scope.
    pub fn scope(&self, id: ScopeId) -> &Scope {
        &self.scopes[id.0]
    }

    /// Every operator, scope by scope in the file's order.
    pub fn ops(&self) -> impl Iterator<Item = OpId> {
        self.scopes.iter().flat_map(|scope| scope.ops.iter().copied()).inspect(|_| count(1))
    }

    /// Every value, in the order in which the file first defines them.
    pub fn values(&self) -> impl Iterator<Item = ValueId> {
        self.graph
            .node_indices()
            .inspect(|_| count(1))
            .filter(|&index| matches!(self.graph[index], Vertex::Value(_)))
            .map(ValueId)
    }

    /// Every tensor that the IR holds: initializers and those in attributes.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.graph.node_weights().flat_map(|vertex| {
            let (initializer, attributes) = match vertex {
                Vertex::Op(op) => (None, op.tensors.as_slice()),
                Vertex::Value(value) => (value.initializer.as_deref(), [].as_slice()),
                Vertex::Removed => (None, [].as_slice()),
            };
            initializer.into_iter().chain(attributes.iter().map(|held| &held.tensor))
        })
    }

    /// An operator.
    ///
    /// # Panics
    /// The operator was removed: an id of another model, or kept beyond the removal.
    pub fn op(&self, id: OpId) -> &Op {
        match &self.graph[id.0] {
            Vertex::Op(op) => op,
            _ => panic!("an operator that was removed, or an id of another model"),
        }
    }

    /// A value.
    ///
    /// # Panics
    /// The value was removed: an id of another model, or kept beyond the removal.
    pub fn value(&self, id: ValueId) -> &Value {
        match &self.graph[id.0] {
            Vertex::Value(value) => value,
            _ => panic!("a value that was removed, or an id of another model"),
        }
    }

    /// Whether an operator is still there: false once it was removed.
    pub fn contains_op(&self, id: OpId) -> bool {
        matches!(self.graph.node_weight(id.0), Some(Vertex::Op(_)))
    }

    /// Whether a value is still there: false once it was removed.
    pub fn contains_value(&self, id: ValueId) -> bool {
        matches!(self.graph.node_weight(id.0), Some(Vertex::Value(_)))
    }

    /// The operator behind another one in the order of its scope.
    pub fn op_after(&self, op: OpId) -> Option<OpId> {
        self.scope(self.op(op).scope).ops.behind(&op).copied()
    }

    /// The edges on one side of a vertex.
    pub(super) fn edges(
        &self,
        vertex: NodeIndex,
        direction: Direction,
    ) -> impl Iterator<Item = EdgeReference<'_, Port>> {
        let edges = self.graph.edges_directed(vertex, direction).inspect(|_| count(1));
        edges.filter(|edge| *edge.weight() != Port::Removed)
    }

    /// An operator's inputs by slot; `None` for those left out.
    pub fn inputs(&self, op: OpId) -> Vec<Option<ValueId>> {
        let mut inputs = vec![None; self.op(op).arity.inputs];
        count(inputs.len());
        for edge in self.graph.edges_directed(op.0, Direction::Incoming) {
            if let Port::Input(slot) = *edge.weight() {
                inputs[slot] = Some(ValueId(edge.source()));
            }
        }
        inputs
    }

    /// An operator's input in one slot.
    pub fn input(&self, op: OpId, slot: usize) -> Option<ValueId> {
        self.graph
            .edges_directed(op.0, Direction::Incoming)
            .inspect(|_| count(1))
            .find(|edge| *edge.weight() == Port::Input(slot))
            .map(|edge| ValueId(edge.source()))
    }

    /// An operator's outputs by slot; `None` for those left out.
    pub fn outputs(&self, op: OpId) -> Vec<Option<ValueId>> {
        let mut outputs = vec![None; self.op(op).arity.outputs];
        count(outputs.len());
        for edge in self.graph.edges_directed(op.0, Direction::Outgoing) {
            if let Port::Output(slot) = *edge.weight() {
                outputs[slot] = Some(ValueId(edge.target()));
            }
        }
        outputs
    }

    /// The operator that makes a value; `None` for graph inputs and initializers.
    pub fn producer(&self, value: ValueId) -> Option<OpId> {
        self.edges(value.0, Direction::Incoming).next().map(|edge| OpId(edge.source()))
    }

    pub(super) fn producer_count(&self, value: ValueId) -> usize {
        self.edges(value.0, Direction::Incoming).count()
    }

    /// Who reads a value, in nested bodies too.
    pub fn uses(&self, value: ValueId) -> Vec<Use> {
        let mut uses: Vec<Use> = self
            .graph
            .edges_directed(value.0, Direction::Outgoing)
            .inspect(|_| count(1))
            .filter_map(|edge| match *edge.weight() {
                Port::Input(slot) => Some(Use { op: OpId(edge.target()), slot }),
                Port::Output(_) | Port::Removed => None,
            })
            .collect();
        // petgraph gives the newest edge first.
        uses.sort_unstable();
        uses
    }

    /// The use of a value that has one and no other.
    pub fn only_use(&self, value: ValueId) -> Option<Use> {
        let mut edges = self.edges(value.0, Direction::Outgoing);
        match (edges.next(), edges.next()) {
            (Some(edge), None) => match *edge.weight() {
                Port::Input(slot) => Some(Use { op: OpId(edge.target()), slot }),
                Port::Output(_) | Port::Removed => None,
            },
            _ => None,
        }
    }

    /// Whether an operator reads a value, or a scope gives it out.
    pub fn is_read(&self, value: ValueId) -> bool {
        self.is_output(value) || self.edges(value.0, Direction::Outgoing).next().is_some()
    }

    /// Whether a value is an input of its scope.
    pub fn is_input(&self, value: ValueId) -> bool {
        self.value(value).is_input
    }

    /// Whether a value is an output of its scope or of one nested in it.
    pub fn is_output(&self, value: ValueId) -> bool {
        !self.value(value).given_out_by.is_empty()
    }

    /// The scopes whose outputs list a value.
    pub fn scopes_that_give_out(&self, value: ValueId) -> &[ScopeId] {
        &self.value(value).given_out_by
    }

    /// What a value becomes where bodies give it out: outputs of the operators around them, and what the
    /// bodies read in a next run.
    pub fn given_out_as(&self, value: ValueId) -> Vec<ValueId> {
        let owners = self.value(value).given_out_by.iter().filter_map(|&body| Some((body, self.scope(body).owner?)));
        owners
            .flat_map(|(body, owner)| {
                let inputs = self.scope(body).inputs.iter().map(|input| input.value);
                self.outputs(owner).into_iter().flatten().chain(inputs)
            })
            .collect()
    }

    /// The value of this name that is visible in a scope.
    pub fn find(&self, scope: ScopeId, name: &str) -> Option<ValueId> {
        let mut scope = self.scope(scope);
        loop {
            count(1);
            if let Some(&value) = scope.names.get(name) {
                return Some(value);
            }
            scope = self.scope(self.op(scope.owner?).scope);
        }
    }

    /// The function that an operator calls, if it is one of the model's own.
    pub fn called_function(&self, op: OpId) -> Option<ScopeId> {
        let op = self.op(op);
        self.functions.get(op.op_type())?.get(op.domain())?.get(op.shell.overload()).copied()
    }

    /// The main graph or function that a scope is, or is nested in.
    pub(crate) fn root(&self, scope: ScopeId) -> ScopeId {
        let mut scope = scope;
        while let Some(owner) = self.scope(scope).owner {
            count(1);
            scope = self.op(owner).scope;
        }
        scope
    }

    /// The operators of a scope and of all that are nested in it, scope by scope in the file's order.
    pub(crate) fn ops_within(&self, scope: ScopeId) -> Vec<OpId> {
        let mut scopes = vec![scope];
        let mut next = 0;
        while let Some(&scope) = scopes.get(next) {
            let ops = self.scope(scope).ops.iter();
            scopes.extend(ops.flat_map(|&op| self.op(op).bodies.iter().map(|body| body.scope)));
            next += 1;
        }
        scopes.sort_unstable();
        scopes.into_iter().flat_map(|scope| self.scope(scope).ops.iter().copied()).collect()
    }

    /// Where an operator is, for messages.
    pub fn location(&self, op: OpId) -> Location {
        let op = self.op(op);
        Location { file: self.source.clone(), path: self.scope_path(op.scope), operator: Some(op.describe()) }
    }

    /// The way to a scope through the operators it is nested in; empty for the main graph.
    pub fn scope_path(&self, scope: ScopeId) -> Vec<String> {
        let mut path = Vec::new();
        let mut id = scope;
        loop {
            count(1);
            let scope = self.scope(id);
            if let ScopeShell::Function(function) = &scope.shell {
                path.push(match function.overload() {
                    "" => format!("function '{}'", function.name()),
                    overload => format!("function '{}' (overload '{overload}')", function.name()),
                });
            }
            let Some(owner) = scope.owner else { break };
            let op = self.op(owner);
            let body = op.bodies.iter().find(|body| body.scope == id);
            let attribute = body.map_or("body", |body| body.place.attribute.as_str());
            path.push(format!("{}.{attribute}", op.describe()));
            id = op.scope;
        }
        path.reverse();
        path
    }
}
