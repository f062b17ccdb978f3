//! rten: an engine in pure Rust. It has float32, int32, int8 and uint8 tensors; it makes int32 of int64
//! and bool, and float32 of double, and so is done here with inputs.
//!
//! What it computes otherwise than the specification says is rewritten in the model that it is given, or
//! refused ([`quirks`]); what it has no memory for is refused before it asks for it ([`memory`]).

mod memory;
mod names;
mod quirks;
mod rewrites;
mod shapes;

use std::{error::Error as StdError, thread};

use rten::{LoadError, ModelOptions, NodeId, RunError, Value, ValueOrView};
use rten_tensor::Layout as _;

use self::{names::Names, shapes::Shapes};
use super::{Engine, Observed, ObservedValue, Session, guarded};
use crate::{
    calibration::Observation,
    error::{Error, Result},
    ir::{DataType, Model, OpId, Tensor, ValueId, type_name},
};

const NAME: &str = "rten";
/// What else may run a model, at the end of every refusal.
pub(super) const HELP: &str =
    "--onnxruntime FILE may run it, and what only excluded layers need (--exclude) is not run";

/// Runs models with rten, which is part of this crate. It uses threads of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct RtenEngine;

/// An operator that is not to be run, and why: after "rten".
struct Refused {
    op: OpId,
    reason: String,
}

/// The model as rten is given it.
struct Prepared {
    model: Model,
    names: Names,
    watched: Vec<ValueId>,
}

struct RtenSession<'a> {
    observation: &'a Observation,
    prepared: Prepared,
    model: rten::Model,
    outputs: Vec<NodeId>,
    /// The shapes of the inputs that were last found to be fine.
    checked: Option<Vec<Vec<usize>>>,
}

impl Engine for RtenEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn load<'a>(&self, observation: &'a Observation) -> Result<Box<dyn Session + 'a>> {
        let prepared = Prepared::new(observation)?;
        let bytes = prepared.model.to_bytes();
        let model = guarded(|| ModelOptions::with_all_ops().enable_optimization(false).load(bytes))
            .map_err(|panic| Error::engine(NAME, format!("failed to load the model: {panic}; {HELP}")))?
            .map_err(|error| prepared.load_error(&error))?;
        let outputs = observation.outputs().iter().map(|name| model.node_id(name)).collect::<Result<_, _>>();
        let outputs = outputs.map_err(|error| prepared.run_error(&error))?;
        Ok(Box::new(RtenSession { observation, prepared, model, outputs, checked: None }))
    }
}

impl Session for RtenSession<'_> {
    fn run(&mut self, inputs: &[Tensor], observe: &mut dyn FnMut(Observed)) -> Result<()> {
        self.check(inputs)?;
        let mut feeds: Vec<(NodeId, ValueOrView)> = Vec::with_capacity(inputs.len());
        for tensor in inputs {
            let id = self.model.node_id(tensor.name()).map_err(|error| self.prepared.run_error(&error))?;
            if !self.model.input_ids().contains(&id) {
                let reason = format!("cannot override '{}', which has a default value; {HELP}", tensor.name());
                return Err(Error::engine(NAME, reason));
            }
            let given = value(tensor).map_err(|error| self.at_reader(tensor, error))?;
            feeds.push((id, given.into()));
        }
        let run = || guarded(|| self.model.run(feeds, &self.outputs, None));
        let values = with_stack_for(self.prepared.model.ops().count(), run)
            .map_err(|panic| Error::engine(NAME, format!("failed to run the model: {panic}; {HELP}")))?
            .map_err(|error| self.prepared.run_error(&error))?;
        let mut observed = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            let Value::FloatTensor(tensor) = value else {
                let (name, dtype) = (&self.observation.outputs()[index], value.dtype());
                return Err(Error::invalid(format!("'{name}' is of type {dtype}, and only floats are observed")));
            };
            observed.push((index, tensor.shape().to_vec(), tensor.into_data()));
        }
        let computed = observed.iter().filter(|(_, _, elements)| !elements.is_empty());
        let computed = computed.map(|(index, shape, elements)| ObservedValue { index: *index, shape, elements });
        observe(&computed.collect::<Vec<_>>());
        Ok(())
    }
}

/// Runs `work` where the stack has room for it: rten plans a run by a recursion that may go through all operators.
fn with_stack_for<T: Send>(operators: usize, work: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    /// What the stack of any thread has room for.
    const FEW: usize = 1000;
    /// Bytes for an operator, twice as many as were measured.
    const FRAME: usize = 1024;
    if operators <= FEW {
        return work();
    }
    thread::scope(|scope| {
        let deep = thread::Builder::new().name("rten-deep".to_owned()).stack_size((1 << 21) + FRAME * operators);
        let running = deep.spawn_scoped(scope, work).map_err(|error| format!("no thread can be started: {error}"))?;
        running.join().unwrap_or_else(|_| Err("it panicked".to_owned()))
    })
}

impl RtenSession<'_> {
    /// An error about an input, at the first operator that reads it.
    fn at_reader(&self, input: &Tensor, error: Error) -> Error {
        let Prepared { model, names, .. } = &self.prepared;
        let reader = model.find(Model::MAIN, input.name()).and_then(|value| Some(model.uses(value).first()?.op));
        let told = reader.and_then(|op| names.of(model.op(op).name()));
        error.located(told.map(|(_, location)| location.clone()).unwrap_or_default())
    }

    /// Refuses what shows in the sizes of a sample.
    fn check(&mut self, inputs: &[Tensor]) -> Result<()> {
        let sizes: Vec<Vec<usize>> = inputs.iter().map(Tensor::shape).collect();
        // Small ones may be sizes, scales and lengths themselves.
        let data = inputs.iter().all(|tensor| tensor.shape().len() > 1);
        if data && self.checked.as_ref() == Some(&sizes) {
            return Ok(());
        }
        let Prepared { model, watched, .. } = &self.prepared;
        let shapes = Shapes::infer(model, inputs);
        let refuse = |refused| self.prepared.refusal(refused);
        quirks::check(model, &shapes, inputs).map_err(refuse)?;
        memory::check(model, watched, &shapes).map_err(refuse)?;
        self.checked = Some(sizes);
        Ok(())
    }
}

impl Prepared {
    fn new(observation: &Observation) -> Result<Self> {
        let mut model = observation.model().clone();
        leave_out_unneeded(&mut model);
        let names = Names::give(&mut model);
        let watched = model.scope(Model::MAIN).outputs().iter().map(|output| output.value).collect();
        let shapes = Shapes::infer(&model, &[]);
        let worked = quirks::work_around(&mut model, &shapes);
        let prepared = Self { model, names, watched };
        worked.map_err(|refused| prepared.refusal(refused))?;
        Ok(prepared)
    }

    fn refusal(&self, refused: Refused) -> Error {
        let told = self.names.of(self.model.op(refused.op).name());
        let location = told.map(|(_, location)| location.clone()).unwrap_or_default();
        Error::engine(NAME, format!("{}; {HELP}", refused.reason)).located(location)
    }

    /// The innermost operator that the error is about: an error in a body is the cause of its If's.
    fn load_error(&self, error: &LoadError) -> Error {
        let mut path: Vec<&str> = error.node().into_iter().collect();
        let mut cause: Option<&(dyn StdError + 'static)> = error.source();
        while let Some(error) = cause {
            path.extend(error.downcast_ref::<LoadError>().and_then(LoadError::node));
            cause = error.source();
        }
        let (text, location) = self.names.tell(error.to_string(), &path);
        Error::engine(NAME, format!("cannot load the model: {text}; {HELP}")).located(location)
    }

    fn run_error(&self, error: &RunError) -> Error {
        let path: Vec<&str> = error.node_path().into_iter().flatten().collect();
        let (text, location) = self.names.tell(error.to_string(), &path);
        Error::engine(NAME, format!("cannot run the model: {text}; {HELP}")).located(location)
    }
}

/// Leaves out what the watched values do not need: it may have what rten has not.
fn leave_out_unneeded(model: &mut Model) {
    // What is within others is read by what stands around it.
    for scope in model.scopes().collect::<Vec<_>>().into_iter().rev() {
        for op in model.scope(scope).ops().iter().rev().copied().collect::<Vec<OpId>>() {
            let needed = |value: ValueId| model.is_read(value) || model.is_output(value);
            if model.op(op).bodies().is_empty() && !model.outputs(op).into_iter().flatten().any(needed) {
                model.remove_op(op);
            }
        }
    }
}

fn value(tensor: &Tensor) -> Result<Value> {
    let bytes = tensor.bytes()?;
    macro_rules! value {
        ($ty:ty, $convert:expr) => {{
            let elements = bytes.as_chunks().0.iter().map(|chunk| $convert(<$ty>::from_le_bytes(*chunk)));
            Value::from_shape(&tensor.shape(), elements.collect::<Result<_>>()?)
                .map_err(|error| Error::tensor(tensor.name(), error.to_string()))
        }};
    }
    match tensor.dtype() {
        DataType::Float => value!(f32, Ok),
        DataType::Double => value!(f64, |number| Ok(number as f32)),
        DataType::Int32 => value!(i32, Ok),
        DataType::Int64 => value!(i64, |number| {
            i32::try_from(number).map_err(|_| {
                let reason = format!("has 32-bit integers only, and '{}' holds {number}; {HELP}", tensor.name());
                Error::engine(NAME, reason)
            })
        }),
        DataType::Bool => value!(u8, |byte| Ok(i32::from(byte != 0))),
        DataType::Int8 => value!(i8, Ok),
        DataType::Uint8 => value!(u8, Ok),
        other => {
            let reason = format!("has no {} tensors, which '{}' is; {HELP}", type_name(other), tensor.name());
            Err(Error::engine(NAME, reason))
        }
    }
}
