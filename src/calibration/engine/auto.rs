//! The built-in engine, and where that does not run a model, onnxruntime.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use super::{Engine, Observed, OnnxruntimeEngine, RtenEngine, Session, rten};
use crate::{
    calibration::Observation,
    error::{Error, ErrorKind, Result},
    ir::Tensor,
};

/// Runs models with the built-in engine, and those that it refuses with onnxruntime, if its library is found.
///
/// One engine runs all samples of a model: what the built-in one refuses at the first sample goes to onnxruntime from
/// there on, and what it refuses later is an error, as numbers of both would be mixed otherwise.
#[derive(Debug, Clone)]
pub struct AutoEngine {
    library: Option<PathBuf>,
    /// Why onnxruntime took over, where it did.
    replaced: Arc<OnceLock<String>>,
}

struct AutoSession<'a> {
    engine: AutoEngine,
    observation: &'a Observation,
    session: Box<dyn Session + 'a>,
    /// Whether it is known which engine runs the model.
    settled: bool,
}

impl AutoEngine {
    /// With this library of onnxruntime, or the one that [`OnnxruntimeEngine::new`] finds, for models that need it; it is
    /// not loaded before.
    pub fn new(library: Option<&Path>) -> Self {
        Self { library: library.map(Path::to_owned), replaced: Arc::default() }
    }

    /// The model in onnxruntime, as the built-in engine refused it.
    fn in_onnxruntime<'a>(&self, observation: &'a Observation, refused: Error) -> Result<Box<dyn Session + 'a>> {
        let engine = match OnnxruntimeEngine::new(self.library.as_deref()) {
            Ok(engine) => engine,
            // Nobody named a library: what to do about that, the refusal says.
            Err(_) if self.library.is_none() => return Err(refused),
            Err(missing) => {
                return Err(Error::engine("rten", format!("does not run the model ({refused}); {missing}")));
            }
        };
        let session = engine.load(observation)?;
        let refused = refused.to_string();
        let reason = refused.split(rten::HELP).next().unwrap_or_default().trim_end_matches("; ");
        let _ = self.replaced.set(reason.to_owned());
        Ok(session)
    }
}

impl Engine for AutoEngine {
    fn name(&self) -> &'static str {
        if self.replaced.get().is_some() { "onnxruntime" } else { "rten" }
    }

    fn replaced(&self) -> Option<String> {
        self.replaced.get().cloned()
    }

    fn load<'a>(&self, observation: &'a Observation) -> Result<Box<dyn Session + 'a>> {
        let (session, settled) = match RtenEngine.load(observation) {
            Ok(session) => (session, false),
            Err(error) if is_refusal(&error) => (self.in_onnxruntime(observation, error)?, true),
            Err(error) => return Err(error),
        };
        Ok(Box::new(AutoSession { engine: self.clone(), observation, session, settled }))
    }
}

impl Session for AutoSession<'_> {
    fn run(&mut self, inputs: &[Tensor], observe: &mut dyn FnMut(Observed)) -> Result<()> {
        match self.session.run(inputs, observe) {
            Err(error) if !self.settled && is_refusal(&error) => {
                self.session = self.engine.in_onnxruntime(self.observation, error)?;
                self.settled = true;
                self.session.run(inputs, observe)
            }
            result => {
                self.settled = true;
                result
            }
        }
    }
}

/// Whether it is the engine that cannot, and not the model or the sample that is wrong.
fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Engine { .. })
}
