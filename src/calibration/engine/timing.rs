//! How long models take in onnxruntime, as its users run them: side by side, so that what else the machine does meets all
//! of them.

use std::time::{Duration, Instant};

use ort::{
    logging::LogLevel,
    session::{SessionInputValue, builder::GraphOptimizationLevel},
    value::DynValue,
};

use super::{
    guarded,
    onnxruntime::{NAME, OnnxruntimeEngine, value},
};
use crate::{
    calibration::Sample,
    error::{Error, Result},
    ir::{Model, Tensor},
};

/// Runs of each model before any is timed.
const WARM_UP: usize = 2;

/// The fewest rounds, in each of which every model runs with every sample.
const LEAST_ROUNDS: usize = 7;

/// The most rounds.
const MOST_ROUNDS: usize = 200;

impl OnnxruntimeEngine {
    /// The time that one run of each model takes with all of onnxruntime's optimizations on so many threads: of rounds in
    /// which the models take turns, each with all samples, the median. `patience` is what the rounds may take for each
    /// model; there are seven at least.
    ///
    /// # Errors
    /// There are no samples. A model that cannot be loaded or run has an error of its own.
    pub fn times(
        &self,
        models: &[&Model],
        samples: &[Sample],
        threads: usize,
        patience: Duration,
    ) -> Result<Vec<Result<Duration>>> {
        if samples.is_empty() {
            return Err(Error::config("there are no samples to time models with"));
        }
        let inputs = samples.iter().map(values).collect::<Result<Vec<_>>>()?;
        let mut runs: Vec<Result<Run>> = models.iter().map(|model| self.run_of(model, &inputs, threads)).collect();
        let began = Instant::now();
        let patience = patience * models.len() as u32;
        let mut rounds = 0;
        while rounds < LEAST_ROUNDS || (rounds < MOST_ROUNDS && began.elapsed() < patience) {
            rounds += 1;
            for run in &mut runs {
                if let Ok(timed) = run
                    && let Err(error) = timed.round(&inputs)
                {
                    *run = Err(error);
                }
            }
        }
        let median = |mut run: Run| {
            run.rounds.sort();
            run.rounds[run.rounds.len() / 2] / inputs.len() as u32
        };
        Ok(runs.into_iter().map(|run| run.map(median)).collect())
    }

    fn run_of(&self, model: &Model, inputs: &[Named], threads: usize) -> Result<Run> {
        let load = || {
            let mut builder = ort::session::Session::builder(self.environment())?
                .with_log_level(LogLevel::Fatal)?
                .with_optimization_level(GraphOptimizationLevel::All)?
                .with_intra_threads(threads)?;
            builder.commit_from_memory(&model.to_bytes())
        };
        let session = load()
            .map_err(|error: ort::Error| Error::engine(NAME, format!("cannot load the model: {}", error.message())))?;
        let mut run = Run { session, rounds: Vec::new() };
        for _ in 0..WARM_UP {
            run.round(inputs)?;
        }
        run.rounds.clear();
        Ok(run)
    }
}

/// A sample's inputs as onnxruntime takes them.
type Named = Vec<(String, DynValue)>;

fn values(sample: &Sample) -> Result<Named> {
    let named = |tensor: &Tensor| Ok((tensor.name().to_owned(), value(tensor)?));
    sample.inputs.iter().map(named).collect()
}

/// A model with the times of its rounds.
struct Run {
    session: ort::session::Session,
    rounds: Vec<Duration>,
}

impl Run {
    fn round(&mut self, inputs: &[Named]) -> Result<()> {
        let began = Instant::now();
        for sample in inputs {
            let feeds: Vec<(&str, SessionInputValue)> =
                sample.iter().map(|(name, value)| (name.as_str(), value.into())).collect();
            guarded(|| self.session.run(feeds).map(drop))
                .map_err(|panic| Error::engine(NAME, format!("failed to run the model: {panic}")))?
                .map_err(|error| Error::engine(NAME, format!("cannot run the model: {}", error.message())))?;
        }
        self.rounds.push(began.elapsed());
        Ok(())
    }
}
