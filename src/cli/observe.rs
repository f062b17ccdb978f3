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
    let engine: &dyn Engine = match observing.engine {
        EngineName::Rten => &RtenEngine,
        EngineName::Onnxruntime => &OnnxruntimeEngine::new(observing.library)?,
    };
    let limit = observing.limit.map(NonZeroUsize::get);
    let samples = Samples::open(observing.samples, model, limit).map_err(|error| error.in_file(input))?;
    let count = samples.len();
    let bar = progress("calibrating", count, observing.quiet);
    let ranges = onnx_quant::calibrate(model, config, samples, engine, &mut |done| bar.set_position(done as u64));
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
    let style = ProgressStyle::with_template(&format!("{what} {{bar:40}} {{pos}}/{{len}} samples, {{eta}} left"))
        .expect("the template is well-formed");
    ProgressBar::with_draw_target(Some(samples as u64), target).with_style(style)
}
