//! rten: an engine in pure Rust. It has float32, int32, int8 and uint8 tensors; it makes int32 of int64
//! and bool, and float32 of double, and so is done here with inputs.

use std::{
    any::Any,
    error::Error as StdError,
    panic::{AssertUnwindSafe, catch_unwind},
};

use rten::{LoadError, ModelOptions, NodeId, RunError, Value, ValueOrView};

use super::{Engine, Observed, Session};
use crate::{
    calibration::Observation,
    error::{Error, Result},
    ir::{DataType, Tensor, type_name},
};

const NAME: &str = "rten";
const HELP: &str = "--engine onnxruntime may run it";

/// Runs models with rten, which is part of this crate. It uses threads of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct RtenEngine;

struct RtenSession<'a> {
    observation: &'a Observation,
    model: rten::Model,
    outputs: Vec<NodeId>,
}

impl Engine for RtenEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn load<'a>(&self, observation: &'a Observation) -> Result<Box<dyn Session + 'a>> {
        let bytes = Vec::from(observation.to_bytes());
        let model = guarded(|| ModelOptions::with_all_ops().enable_optimization(false).load(bytes))
            .map_err(|panic| Error::engine(NAME, format!("failed to load the model: {panic}; {HELP}")))?
            .map_err(|error| load_error(observation, &error))?;
        let outputs = observation.outputs().iter().map(|name| model.node_id(name)).collect::<Result<_, _>>();
        let outputs = outputs.map_err(|error| run_error(observation, &error))?;
        Ok(Box::new(RtenSession { observation, model, outputs }))
    }
}

impl Session for RtenSession<'_> {
    fn run(&mut self, inputs: &[Tensor], observe: &mut dyn FnMut(Observed)) -> Result<()> {
        let mut feeds: Vec<(NodeId, ValueOrView)> = Vec::with_capacity(inputs.len());
        for tensor in inputs {
            let id = self.model.node_id(tensor.name()).map_err(|error| run_error(self.observation, &error))?;
            if !self.model.input_ids().contains(&id) {
                let reason = format!("cannot override '{}', which has a default value; {HELP}", tensor.name());
                return Err(Error::engine(NAME, reason));
            }
            feeds.push((id, value(tensor)?.into()));
        }
        let values = guarded(|| self.model.run(feeds, &self.outputs, None))
            .map_err(|panic| Error::engine(NAME, format!("failed to run the model: {panic}; {HELP}")))?
            .map_err(|error| run_error(self.observation, &error))?;
        let mut observed = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            let Value::FloatTensor(tensor) = value else {
                let (name, dtype) = (&self.observation.outputs()[index], value.dtype());
                return Err(Error::invalid(format!("'{name}' is of type {dtype}, and only floats are observed")));
            };
            observed.push((index, tensor.into_data()));
        }
        let computed = observed.iter().filter(|(_, elements)| !elements.is_empty());
        observe(&computed.map(|(index, elements)| (*index, elements.as_slice())).collect::<Vec<_>>());
        Ok(())
    }
}

/// What a panic within rten said. It is an engine's fault, not a reason to end the process.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // What was going on is dropped along with the session, so nobody sees it half done.
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
    })
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

/// The innermost operator that the error is about: an error in a body is the cause of its If's.
fn load_error(observation: &Observation, error: &LoadError) -> Error {
    let mut innermost = error;
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = cause {
        innermost = error.downcast_ref().unwrap_or(innermost);
        cause = error.source();
    }
    let location = innermost.node().map(|name| observation.location(name));
    Error::engine(NAME, format!("cannot load the model: {error}; {HELP}")).located(location.unwrap_or_default())
}

fn run_error(observation: &Observation, error: &RunError) -> Error {
    let operator = error.node_path().last().copied().flatten();
    let location = operator.map(|name| observation.location(name));
    Error::engine(NAME, format!("cannot run the model: {error}; {HELP}")).located(location.unwrap_or_default())
}
