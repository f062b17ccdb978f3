//! The model as an engine is to run it: every value that is watched is an output of the main graph.
//!
//! A value inside an If body goes out through the If: the body that has it gives it out, the other
//! gives out a tensor without elements in its place, and so on to the main graph. A watched output
//! without elements hence means that the run did not compute the value.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    rc::Rc,
};

use super::Sample;
use crate::{
    error::{Error, Location, Result},
    ir::{DataType, Model, NewOp, ScopeId, Tensor, ValueId},
};

/// A model whose watched values are its outputs.
///
/// Its half floats are float32: not every engine has others, and none is faster with them on a CPU.
#[derive(Debug)]
pub struct Observation {
    model: Model,
    outputs: Vec<String>,
}

/// Why a value cannot be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unwatchable {
    /// It is in the body of an operator that runs it any number of times.
    InBody {
        /// The operator: type and name.
        operator: String,
    },
    /// It is in a function, which may be called from several places.
    InFunction {
        /// The function's name.
        function: String,
    },
}

impl fmt::Display for Unwatchable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InBody { operator } => write!(f, "it is in the body of {operator}, which may run many times"),
            Self::InFunction { function } => {
                write!(f, "it is in function '{function}', which may be called from several places")
            }
        }
    }
}

/// Whether a value can be watched: those of the main graph and of If bodies can.
///
/// # Errors
/// It cannot; the error says why.
///
/// ```
/// use onnx_quant::{Model, calibration::can_be_watched};
/// let model = Model::load("testdata/made/loop.onnx")?;
/// let inside = model.values().find(|&value| model.value(value).scope() != Model::MAIN).unwrap();
/// assert!(can_be_watched(&model, inside).unwrap_err().to_string().contains("Loop"));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn can_be_watched(model: &Model, value: ValueId) -> Result<(), Unwatchable> {
    let mut scope = model.value(value).scope();
    loop {
        if model.scope(scope).is_function() {
            return Err(Unwatchable::InFunction { function: model.scope(scope).name().to_owned() });
        }
        let Some(owner) = model.scope(scope).owner() else { return Ok(()) };
        let op = model.op(owner);
        if !op.is("If") {
            return Err(Unwatchable::InBody { operator: op.describe() });
        }
        scope = op.scope();
    }
}

/// The name of each value among those of all scopes: its own, and where another scope has a value of
/// that name too, for one inside a body or function the way there before it:
/// `If 'gate'.then_branch/features`. Where two ways are spelled alike, the later scope's ends in ` (2)`.
pub fn value_keys(model: &Model) -> HashMap<ValueId, String> {
    let mut namesakes: HashMap<&str, usize> = HashMap::new();
    for value in model.values() {
        *namesakes.entry(model.value(value).name()).or_default() += 1;
    }
    let mut values: Vec<ValueId> = model.values().collect();
    values.sort_by_key(|&value| model.value(value).scope());
    let mut paths: HashMap<ScopeId, Rc<str>> = HashMap::new();
    // How many scopes so far have a value of this name at the end of a way that is spelled like this.
    let mut alike: HashMap<(Rc<str>, &str), usize> = HashMap::new();
    let mut keys = HashMap::with_capacity(values.len());
    for value in values {
        let (scope, name) = (model.value(value).scope(), model.value(value).name());
        if scope == Model::MAIN || namesakes[name] == 1 {
            keys.insert(value, name.to_owned());
            continue;
        }
        let path = paths.entry(scope).or_insert_with(|| model.scope_path(scope).join("/").into());
        let count = alike.entry((path.clone(), name)).or_default();
        *count += 1;
        keys.insert(value, if *count == 1 { format!("{path}/{name}") } else { format!("{path}/{name} ({count})") });
    }
    keys
}

impl Observation {
    /// The model with these values as its only outputs.
    ///
    /// # Errors
    /// A value [cannot be watched](can_be_watched), or is listed twice.
    pub fn new(model: &Model, watched: &[ValueId]) -> Result<Self> {
        let mut listed = HashSet::new();
        for &value in watched {
            let refuse = |reason: &dyn fmt::Display| {
                Error::config(format!("'{}' cannot be observed: {reason}", value_keys(model)[&value]))
            };
            can_be_watched(model, value).map_err(|reason| refuse(&reason))?;
            if !listed.insert(value) {
                return Err(refuse(&"it is listed twice"));
            }
        }
        let mut model = model.clone();
        model.name_ops();
        model.widen_halves(true);
        name_apart(&mut model);
        // Engines are to tell the types and shapes of outputs by themselves.
        let outputs: Vec<ValueId> = watched.iter().map(|&value| to_main_graph(&mut model, value)).collect();
        model.set_outputs(Model::MAIN, &outputs);
        let outputs = outputs.into_iter().map(|output| model.value(output).name().to_owned()).collect();
        Ok(Self { model, outputs })
    }

    /// The model's bytes, with external data brought inside.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.model.to_bytes()
    }

    /// The model itself, for an engine that has to change it.
    #[cfg(feature = "rten")]
    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// The names of the outputs that the watched values are, in the order in which they were listed.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// What to give an engine for a sample, in the order of the model's inputs.
    ///
    /// # Errors
    /// The sample lacks an input, or has one that the model has not.
    pub fn inputs(&self, sample: &Sample) -> Result<Vec<Tensor>> {
        let interfaces = self.model.scope(Model::MAIN).inputs();
        let inputs = interfaces.iter().map(|input| self.model.value(input.value));
        let mut feeds = Vec::new();
        // Of several tensors of one name the first counts.
        let given: HashMap<&str, &Tensor> = sample.inputs.iter().rev().map(|tensor| (tensor.name(), tensor)).collect();
        for (interface, input) in interfaces.iter().zip(inputs.clone()) {
            match given.get(input.name()) {
                Some(tensor) => feeds.push(of_rank(tensor.widened(), interface.rank())),
                None if input.initializer().is_some() => {}
                None => {
                    let given = quoted(sample.inputs.iter().map(Tensor::name));
                    return Err(Error::invalid(format!("lacks input '{}'; it has {given}", input.name())));
                }
            }
        }
        let known: HashSet<&str> = inputs.clone().map(|input| input.name()).collect();
        let unknown = sample.inputs.iter().find(|tensor| !known.contains(tensor.name()));
        match unknown {
            None => Ok(feeds),
            Some(unknown) => {
                let known = quoted(inputs.filter(|input| input.initializer().is_none()).map(|input| input.name()));
                Err(Error::invalid(format!(
                    "has '{}', which is no input of the model; its inputs are {known}",
                    unknown.name()
                )))
            }
        }
    }

    /// Where the operator of this name is, for messages; nowhere if several have the name. Operators
    /// without one have one here, made from their first output's.
    pub fn location(&self, operator: &str) -> Location {
        let mut named = self.model.ops().filter(|&op| self.model.op(op).name() == operator);
        let op = named.next().filter(|_| named.next().is_none());
        op.map(|op| self.model.location(op)).unwrap_or_default()
    }
}

/// A single number is as good in any rank: files often have an array of one where a model wants a scalar.
fn of_rank(tensor: Tensor, rank: Option<usize>) -> Tensor {
    match rank {
        Some(rank) if tensor.element_count() == 1 => tensor.reshaped(&vec![1; rank]),
        _ => tensor,
    }
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("'{name}'")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Gives values of bodies that have an outer value's name another one: rten takes them for the outer.
fn name_apart(model: &mut Model) {
    let shadowing: Vec<ValueId> = model.values().filter(|&value| model.shadows(value)).collect();
    for value in shadowing {
        let name = model.value(value).name().to_owned();
        model.rename(value, &name);
    }
}

/// Leads a value out of the If bodies around it; the value of the main graph that it is there.
fn to_main_graph(model: &mut Model, value: ValueId) -> ValueId {
    let scope = model.value(value).scope();
    let Some(owner) = model.scope(scope).owner() else { return value };
    let name = model.value(value).name().to_owned();
    let bodies: Vec<_> = model.op(owner).bodies().iter().map(|body| body.scope).collect();
    for body in bodies {
        let given = if body == scope { given_out(model, value, &name) } else { no_elements(model, body, &name) };
        model.give_out(body, given);
    }
    let outside = model.add_op_output(owner, &name);
    to_main_graph(model, outside)
}

/// A value as a body can give it out: no body gives out the same value twice.
fn given_out(model: &mut Model, value: ValueId, name: &str) -> ValueId {
    if !model.is_output(value) {
        return value;
    }
    let scope = model.value(value).scope();
    let output = model.new_value(scope, name);
    let new = NewOp { op_type: "Identity", name: name.to_owned(), inputs: vec![value], output, attributes: vec![] };
    model.insert_op(scope, None, new);
    output
}

fn no_elements(model: &mut Model, scope: ScopeId, name: &str) -> ValueId {
    let tensor = Tensor::from_bytes("", DataType::Float, &[0], Vec::new()).expect("no elements take no bytes");
    let value = model.new_value(scope, name);
    model.insert_constant(scope, tensor, value, None);
    value
}
