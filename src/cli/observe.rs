//! Running a model with samples, for the commands that do: the engine, and how far it is.

use std::{num::NonZeroUsize, ops::ControlFlow, panic, path::Path, thread};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use onnx_quant::{
    Config, HoldBack, Model,
    calibration::{AutoEngine, Engine, OnnxruntimeEngine, Ranges, RtenEngine, Sample},
    findings::{Fact, Finding},
};
use serde::Deserialize;

use super::{Failure, samples::Source};

/// What runs models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    // The built-in one where it takes the model, onnxruntime otherwise. (Documentation would be part of every help.)
    #[default]
    Auto,
    Rten,
    Onnxruntime,
}

impl EngineName {
    /// The one that is meant where a library may be named, and nothing else is said.
    pub fn of_library(library: Option<&Path>) -> Self {
        if library.is_some() { Self::Onnxruntime } else { Self::Auto }
    }

    /// The engine itself.
    pub fn engine(self, library: Option<&Path>) -> Result<Box<dyn Engine>, Failure> {
        Ok(match self {
            Self::Auto => Box::new(AutoEngine::new(library)),
            Self::Rten => Box::new(RtenEngine),
            Self::Onnxruntime => Box::new(OnnxruntimeEngine::new(library)?),
        })
    }
}

/// Which samples, and what runs the model with them.
pub struct Observing<'a> {
    pub samples: &'a Source,
    pub limit: Option<NonZeroUsize>,
    pub engine: EngineName,
    /// onnxruntime's library, if it is named.
    pub library: Option<&'a Path>,
    /// Whether some samples are kept, to measure by.
    pub hold_back: bool,
    /// On how many threads several ways to quantize are timed, if they are.
    pub tuned_on: Option<usize>,
    pub quiet: bool,
}

/// What was observed.
pub struct Seen {
    pub ranges: Ranges,
    /// In how many samples.
    pub samples: usize,
    /// Those that were held back.
    pub held_back: Vec<Sample>,
    /// What ran the model.
    pub engine: Box<dyn Engine>,
    /// What a user should know of them.
    pub findings: Vec<Finding>,
}

/// Observes a model.
pub fn observe(model: &Model, input: &Path, config: &Config, observing: &Observing) -> Result<Seen, Failure> {
    let engine = observing.engine.engine(observing.library)?;
    let mut samples =
        observing.samples.open(model, config, observing.limit).map_err(|failure| in_file(failure, input))?;
    let mut saving = observing.samples.saving()?;
    let bar = progress("calibrating", samples.len(), observing.quiet);
    let mut count = 0;
    let seen = samples.by_ref().map(|sample| {
        let sample = sample?;
        saving.as_mut().map_or(Ok(()), |saving| saving.write(&sample))?;
        Ok(sample)
    });
    let mut progress = |done| {
        count = done;
        bar.set_position(done as u64);
        ControlFlow::Continue(())
    };
    let mut seen = if observing.hold_back { HoldBack::new(seen) } else { HoldBack::nothing(seen) };
    let ranges = onnx_quant::calibrate(model, config, &mut seen, &*engine, &mut progress);
    let held_back = seen.kept();
    bar.finish_and_clear();
    let ranges = ranges.map_err(|error| error.in_file(input))?;
    let facts = observing.samples.findings(&samples, config)?.into_iter().chain(replaced(&*engine));
    let findings = facts.map(Finding::from).collect();
    Ok(Seen { ranges, samples: count, held_back, engine, findings })
}

/// All samples, and what a user should know of them.
pub fn all_samples(
    model: &Model,
    input: &Path,
    config: &Config,
    observing: &Observing,
) -> Result<(Vec<Sample>, Vec<Finding>), Failure> {
    let mut samples =
        observing.samples.open(model, config, observing.limit).map_err(|failure| in_file(failure, input))?;
    let mut saving = observing.samples.saving()?;
    let mut all = Vec::new();
    for sample in samples.by_ref() {
        let sample = sample.map_err(|error| error.in_file(input))?;
        saving.as_mut().map_or(Ok(()), |saving| saving.write(&sample))?;
        all.push(sample);
    }
    let findings = observing.samples.findings(&samples, config)?.into_iter().map(Finding::from).collect();
    Ok((all, findings))
}

/// That another engine ran the model than the built-in one, where it did.
pub fn replaced(engine: &dyn Engine) -> Option<Fact> {
    engine.replaced().map(|reason| Fact::EngineReplaced { engine: engine.name(), reason })
}

/// Says of which model it was said.
fn in_file(failure: Failure, input: &Path) -> Failure {
    match failure {
        Failure::Failed(error) => match error.downcast::<onnx_quant::Error>() {
            Ok(error) => error.in_file(input).into(),
            Err(error) => Failure::Failed(error),
        },
        failure => failure,
    }
}

/// Keeps the panics of engines off stderr: the library makes errors of them, which are told like others.
pub fn silence_engines() {
    // So threads are called, and the folders that sources lie in, with the version behind.
    const ENGINES: [&str; 2] = ["rten-", "ort-"];
    let of_engine = |name: &str| ENGINES.iter().any(|engine| name.starts_with(engine));
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let in_thread = thread::current().name().is_some_and(of_engine);
        let in_source = |file: &str| file.split(['/', '\\']).any(of_engine);
        if !in_thread && !panic.location().is_some_and(|location| in_source(location.file())) {
            tell(panic);
        }
    }));
}

/// How many plans were tried, on a terminal.
pub fn trials(quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("measuring: {pos} plans tried").expect("the template is well-formed");
    ProgressBar::with_draw_target(None, target).with_style(style)
}

/// In how many stages weights were rounded, on a terminal.
pub fn stages(quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("rounding weights: stage {pos}").expect("the template is well-formed");
    ProgressBar::with_draw_target(None, target).with_style(style)
}

/// A bar on a terminal, nothing elsewhere.
pub fn progress(what: &str, samples: usize, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{prefix} {bar:40} {pos}/{len} samples, {eta} left")
        .expect("the template is well-formed");
    ProgressBar::with_draw_target(Some(samples as u64), target).with_style(style).with_prefix(what.to_owned())
}
