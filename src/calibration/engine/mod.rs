//! What runs a model to observe it. An engine knows nothing of samples and statistics: arrays go in,
//! what the watched values held comes out.

#[cfg(all(feature = "rten", feature = "onnxruntime"))]
mod auto;
#[cfg(feature = "onnxruntime")]
mod onnxruntime;
#[cfg(feature = "rten")]
mod rten;
#[cfg(feature = "onnxruntime")]
mod timing;

#[cfg(any(feature = "rten", feature = "onnxruntime"))]
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

#[cfg(all(feature = "rten", feature = "onnxruntime"))]
pub use self::auto::AutoEngine;
#[cfg(feature = "onnxruntime")]
pub use self::onnxruntime::OnnxruntimeEngine;
#[cfg(feature = "rten")]
pub use self::rten::RtenEngine;
use super::Observation;
use crate::{error::Result, ir::Tensor};

/// Something that runs models.
pub trait Engine {
    /// Its name, for messages.
    fn name(&self) -> &'static str;

    /// Why the engine that it is named after ran a model in the place of one that is asked first. `None` where that one
    /// ran all models, or there is only one.
    fn replaced(&self) -> Option<String> {
        None
    }

    /// Gets a model ready to run.
    ///
    /// # Errors
    /// The engine has not all that the model needs; the error names the operator where the engine does.
    fn load<'a>(&self, observation: &'a Observation) -> Result<Box<dyn Session + 'a>>;
}

/// What one run computed: values in the order in which they are watched.
pub type Observed<'a> = &'a [ObservedValue<'a>];

/// What a watched value held in one run.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ObservedValue<'a> {
    /// Its place among the [watched](Observation::new) ones.
    pub index: usize,
    /// Its sizes.
    pub shape: &'a [usize],
    /// Its elements in row-major order.
    pub elements: &'a [f32],
}

/// A model that an engine has loaded.
pub trait Session {
    /// Runs the model once, with inputs that are [named](Tensor::name) like the model's, and hands over
    /// what each watched value held. A value that this run did not compute, in the branch not taken, is
    /// missing.
    ///
    /// # Errors
    /// The engine cannot run the model with these inputs.
    fn run(&mut self, inputs: &[Tensor], observe: &mut dyn FnMut(Observed)) -> Result<()>;
}

/// What a panic within an engine said. It is an engine's fault, not a reason to end the process.
#[cfg(any(feature = "rten", feature = "onnxruntime"))]
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // What was going on is dropped along with the session, so nobody sees it half done.
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
    })
}
