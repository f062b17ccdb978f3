//! Running a model with samples, for the commands that do: the engine, and how far it is.

use std::{num::NonZeroUsize, panic, path::Path, thread};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use onnx_quant::{
    Config, Model,
    calibration::{Engine, OnnxruntimeEngine, Ranges, RtenEngine, Samples},
};
use serde::Deserialize;

use super::Failure;

/// What runs models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    #[default]
    Rten,
    Onnxruntime,
}

impl EngineName {
    /// The one that is meant where a library may be named, and nothing else is said.
    pub fn of_library(library: Option<&Path>) -> Self {
        if library.is_some() { Self::Onnxruntime } else { Self::Rten }
    }

    /// The engine itself.
    pub fn engine(self, library: Option<&Path>) -> Result<Box<dyn Engine>, Failure> {
        Ok(match self {
            Self::Rten => Box::new(RtenEngine),
            Self::Onnxruntime => Box::new(OnnxruntimeEngine::new(library)?),
        })
    }
}

/// Which samples, and what runs the model with them.
pub struct Observing<'a> {
    pub samples: &'a Path,
    pub limit: Option<NonZeroUsize>,
    pub engine: EngineName,
    /// onnxruntime's library, if it is named.
    pub library: Option<&'a Path>,
    pub quiet: bool,
}

/// What was observed, and in how many samples.
pub fn observe(
    model: &Model,
    input: &Path,
    config: &Config,
    observing: &Observing,
) -> Result<(Ranges, usize), Failure> {
    let engine = observing.engine.engine(observing.library)?;
    let limit = observing.limit.map(NonZeroUsize::get);
    let samples = Samples::open(observing.samples, model, limit).map_err(|error| error.in_file(input))?;
    let count = samples.len();
    let bar = progress("calibrating", count, observing.quiet);
    let ranges = onnx_quant::calibrate(model, config, samples, &*engine, &mut |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    Ok((ranges.map_err(|error| error.in_file(input))?, count))
}

/// Keeps the panics of rten off stderr: the library makes errors of them, which are told like others.
pub fn silence_engines() {
    // So its threads are called, and the folder that its sources lie in, with the version behind.
    const RTEN: &str = "rten-";
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let in_thread = thread::current().name().is_some_and(|name| name.starts_with(RTEN));
        let in_source = |file: &str| file.split(['/', '\\']).any(|folder| folder.starts_with(RTEN));
        if !in_thread && !panic.location().is_some_and(|location| in_source(location.file())) {
            tell(panic);
        }
    }));
}

/// A bar on a terminal, nothing elsewhere.
pub fn progress(what: &str, samples: usize, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{prefix} {bar:40} {pos}/{len} samples, {eta} left")
        .expect("the template is well-formed");
    ProgressBar::with_draw_target(Some(samples as u64), target).with_style(style).with_prefix(what.to_owned())
}
