//! From messages to the graph; `export.rs` is the way back.
//!
//! First all names of a scope are declared, then its operators are wired: a file whose nodes are
//! not sorted is as good as one whose nodes are.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use petgraph::stable_graph::StableDiGraph;

use super::{
    Interface, Model, Op, OpId, Scope, ScopeId, Tensor, Value, ValueId,
    header::default_opset,
    model::{Port, ScopeShell, Vertex},
    op::{Arity, AttributePlace, AttributeTensor, Body, normal_domain},
    sequence::Sequence,
};
use crate::{
    error::{Error, Result},
    proto::{
        FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto::DataLocation,
    },
};

/// Finds the bytes of a tensor whose data is external.
pub(crate) type ExternalData<'a> = &'a dyn Fn(&TensorProto) -> Result<Bytes>;

/// Lifts a decoded model into the IR.
///
/// # Errors
/// The model has no graph, a name is defined twice, read but never defined, or the graph has a cycle.
pub(crate) fn import(mut shell: ModelProto, external: ExternalData) -> Result<Model> {
    let graph = shell.graph.take().ok_or_else(|| Error::invalid("the model has no graph"))?;
    let functions = std::mem::take(&mut shell.functions);
    let model = Model {
        shell,
        graph: StableDiGraph::default(),
        scopes: Vec::new(),
        functions: HashMap::new(),
        value_names: HashSet::new(),
        op_names: HashSet::new(),
        trained_names: HashSet::new(),
        removed_edges: 0,
        next_numbers: HashMap::new(),
        source: None,
        unknown_fields: Vec::new(),
        external_files: BTreeSet::new(),
    };
    let mut importer = Importer { model, external };
    importer.reserve_training_names();
    let main = importer.declare_graph(graph, None)?;
    let functions: Vec<_> =
        functions.into_iter().map(|function| importer.declare_function(function)).collect::<Result<_>>()?;
    for scope in std::iter::once(main).chain(functions) {
        importer.wire(scope)?;
    }
    importer.model.check_order()?;
    Ok(importer.model)
}

/// After how many initializers the list of those that are left is made smaller.
const SHRUNK_EVERY: usize = 1 << 16;

struct Importer<'a> {
    model: Model,
    external: ExternalData<'a>,
}

/// A scope whose names are declared, and what is still to be wired.
struct Declared {
    scope: ScopeId,
    nodes: Vec<(OpId, Vec<String>)>,
    output_names: Vec<(String, Option<ValueInfoProto>)>,
}

impl Importer<'_> {
    fn declare_graph(&mut self, mut graph: GraphProto, owner: Option<OpId>) -> Result<Declared> {
        let nodes = std::mem::take(&mut graph.node);
        let inputs = std::mem::take(&mut graph.input);
        let outputs = std::mem::take(&mut graph.output);
        let mut initializers = std::mem::take(&mut graph.initializer);
        // A type stated for a value that is not there would become the type of a new one.
        self.model.value_names.extend(graph.value_info.iter().map(|info| info.name().to_owned()));
        let scope = self.add_scope(ScopeShell::Graph(graph), owner);

        for mut info in inputs {
            let name = info.name.take().unwrap_or_default();
            self.define_input(scope, &name, Some(info))?;
        }
        // From the end, so that the list can shrink on the way: of many small ones, the messages take most of the memory.
        initializers.reverse();
        while let Some(shell) = initializers.pop() {
            if initializers.len().is_multiple_of(SHRUNK_EVERY) {
                initializers.shrink_to_fit();
            }
            let tensor = self.tensor(shell).map_err(|error| self.in_scope(scope, error))?;
            // An initializer may give an input its default value; that is one value, not two.
            let known = self.model.scopes[scope.0].names.get(tensor.name()).copied();
            let value = match known {
                Some(value) if self.model.is_input(value) && self.model.value(value).initializer.is_none() => value,
                _ => self.define(scope, tensor.name())?,
            };
            self.model.value_mut(value).initializer = Some(Arc::new(tensor));
            self.model.scopes[scope.0].initializers.push(value);
        }
        let sparse: Vec<String> = self.model.scopes[scope.0].sparse_names().map(str::to_owned).collect();
        let mut defaults = HashSet::new();
        for name in sparse {
            // As for dense ones: the default of an input, once, or a value of its own.
            let known = self.model.scopes[scope.0].names.get(&name).copied();
            let is_default = |value| self.model.is_input(value) && self.model.value(value).initializer.is_none();
            match known {
                Some(value) if is_default(value) && defaults.insert(value) => {}
                _ => drop(self.define(scope, &name)?),
            }
        }
        let nodes = nodes.into_iter().map(|node| self.declare_node(scope, node)).collect::<Result<_>>()?;
        let output_names =
            outputs.into_iter().map(|mut info| (info.name.take().unwrap_or_default(), Some(info))).collect();
        Ok(Declared { scope, nodes, output_names })
    }

    fn declare_function(&mut self, mut function: FunctionProto) -> Result<Declared> {
        let nodes = std::mem::take(&mut function.node);
        let inputs = std::mem::take(&mut function.input);
        self.model.value_names.extend(function.value_info.iter().map(|info| info.name().to_owned()));
        let outputs = std::mem::take(&mut function.output);
        let name = function.name().to_owned();
        let domain = normal_domain(function.domain()).to_owned();
        let overload = function.overload().to_owned();
        let scope = self.add_scope(ScopeShell::Function(function), None);
        // Of two that are called alike the first is.
        self.model.functions.entry(name).or_default().entry(domain).or_default().entry(overload).or_insert(scope);
        for name in inputs {
            self.define_input(scope, &name, None)?;
        }
        let nodes = nodes.into_iter().map(|node| self.declare_node(scope, node)).collect::<Result<_>>()?;
        let output_names = outputs.into_iter().map(|name| (name, None)).collect();
        Ok(Declared { scope, nodes, output_names })
    }

    /// Adds an operator and the values it makes; what it reads is wired later.
    fn declare_node(&mut self, scope: ScopeId, mut shell: NodeProto) -> Result<(OpId, Vec<String>)> {
        let inputs = std::mem::take(&mut shell.input);
        let outputs = std::mem::take(&mut shell.output);
        let arity = Arity { inputs: inputs.len(), outputs: outputs.len() };
        self.model.op_names.insert(shell.name().to_owned());
        let op = Op { shell, scope, arity, bodies: Vec::new(), tensors: Vec::new() };
        let id = OpId(self.model.graph.add_node(Vertex::Op(Box::new(op))));
        self.model.scopes[scope.0].ops.push(id);
        for (slot, name) in outputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let value = self.define(scope, name).map_err(|error| self.at(id, error))?;
            self.model.graph.add_edge(id.0, value.0, Port::Output(slot));
        }
        Ok((id, inputs))
    }

    fn wire(&mut self, declared: Declared) -> Result<()> {
        let scope = declared.scope;
        for (op, inputs) in &declared.nodes {
            for (slot, name) in inputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
                let value = self.model.find(scope, name).ok_or_else(|| {
                    let message = format!("input {slot} '{name}' is defined nowhere: no input, initializer or output of another node has that name");
                    self.at(*op, Error::invalid(message))
                })?;
                self.model.graph.add_edge(value.0, op.0, Port::Input(slot));
            }
        }
        for (name, info) in declared.output_names {
            let value = self.model.find(scope, &name).ok_or_else(|| {
                self.in_scope(scope, Error::invalid(format!("graph output '{name}' is made by no node")))
            })?;
            self.model.add_output(scope, Interface { value, info });
        }
        for (op, _) in declared.nodes {
            self.take_attributes(op)?;
        }
        Ok(())
    }

    /// Moves an operator's tensors and nested graphs out of its message.
    fn take_attributes(&mut self, id: OpId) -> Result<()> {
        let mut attributes = std::mem::take(&mut self.model.op_mut(id).shell.attribute);
        let mut names = HashMap::new();
        for attribute in &mut attributes {
            let name = attribute.name().to_owned();
            if names.insert(name.clone(), ()).is_some() {
                return Err(self.at(id, Error::invalid(format!("attribute '{name}' is there twice"))));
            }
            let tensors = attribute.t.take().into_iter().map(|tensor| (None, tensor));
            let listed = std::mem::take(&mut attribute.tensors).into_iter().enumerate();
            for (element, tensor) in tensors.chain(listed.map(|(index, tensor)| (Some(index), tensor))) {
                let tensor = self.tensor(tensor).map_err(|error| self.at(id, error))?;
                let place = AttributePlace { attribute: name.clone(), element };
                self.model.op_mut(id).tensors.push(AttributeTensor { place, tensor });
            }
            let graphs = attribute.g.take().into_iter().map(|graph| (None, graph));
            let listed = std::mem::take(&mut attribute.graphs).into_iter().enumerate();
            for (element, graph) in graphs.chain(listed.map(|(index, graph)| (Some(index), graph))) {
                let declared = self.declare_graph(graph, Some(id)).map_err(|error| self.at(id, error))?;
                let place = AttributePlace { attribute: name.clone(), element };
                self.model.op_mut(id).bodies.push(Body { place, scope: declared.scope });
                self.wire(declared)?;
            }
        }
        self.model.op_mut(id).shell.attribute = attributes;
        Ok(())
    }

    /// The training graphs see the main graph's names, so a new name must not be one of theirs.
    fn reserve_training_names(&mut self) {
        let infos = self.model.shell.training_info.iter();
        let bindings = infos.flat_map(|info| info.initialization_binding.iter().chain(&info.update_binding));
        self.model.trained_names.extend(bindings.map(|binding| binding.key().to_owned()));
        let graphs = self.model.shell.training_info.iter().flat_map(|info| [&info.initialization, &info.algorithm]);
        for graph in graphs.flatten() {
            let names = graph.node.iter().flat_map(|node| node.output.iter().cloned());
            let initializers = graph.initializer.iter().map(|tensor| tensor.name().to_owned());
            let inputs = graph.input.iter().map(|input| input.name().to_owned());
            self.model.value_names.extend(names.chain(initializers).chain(inputs));
        }
    }

    fn tensor(&mut self, shell: TensorProto) -> Result<Tensor> {
        let external = match shell.data_location() {
            DataLocation::External => Some((self.external)(&shell)?),
            DataLocation::Default => None,
        };
        let location = shell.external_data.iter().find(|entry| entry.key() == "location");
        self.model.external_files.extend(location.filter(|_| external.is_some()).map(|entry| entry.value().to_owned()));
        Tensor::new(shell, external)
    }

    fn add_scope(&mut self, shell: ScopeShell, owner: Option<OpId>) -> ScopeId {
        let opset = default_opset(match &shell {
            ScopeShell::Function(function) => &function.opset_import,
            ScopeShell::Graph(_) if owner.is_none() => &self.model.shell.opset_import,
            // That of the graph or function around it counts.
            ScopeShell::Graph(_) => &[],
        });
        self.model.scopes.push(Scope {
            shell,
            owner,
            opset,
            inputs: Vec::new(),
            outputs: Vec::new(),
            initializers: Sequence::new(),
            ops: Sequence::new(),
            names: HashMap::new(),
        });
        ScopeId(self.model.scopes.len() - 1)
    }

    fn define_input(&mut self, scope: ScopeId, name: &str, info: Option<ValueInfoProto>) -> Result<()> {
        let value = self.define(scope, name)?;
        self.model.add_input(scope, Interface { value, info });
        Ok(())
    }

    fn define(&mut self, scope: ScopeId, name: &str) -> Result<ValueId> {
        if name.is_empty() {
            return Err(self.in_scope(scope, Error::invalid("an input or initializer has no name")));
        }
        let value = self.model.add_value(scope, name);
        match self.model.scopes[scope.0].names.insert(name.to_owned(), value) {
            None => Ok(value),
            Some(_) => Err(self.in_scope(scope, Error::invalid(format!("'{name}' is defined twice")))),
        }
    }

    fn at(&self, op: OpId, error: Error) -> Error {
        let location = self.model.location(op);
        error.at(location.path, location.operator)
    }

    fn in_scope(&self, scope: ScopeId, error: Error) -> Error {
        error.at(self.model.scope_path(scope), None)
    }
}

impl Model {
    pub(super) fn add_value(&mut self, scope: ScopeId, name: &str) -> ValueId {
        self.value_names.insert(name.to_owned());
        let value = Value { name: name.to_owned(), scope, initializer: None, is_input: false, given_out_by: vec![] };
        ValueId(self.graph.add_node(Vertex::Value(value)))
    }
}
