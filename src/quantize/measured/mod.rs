//! The closed loop: a plan is written only after it was run, on samples that its ranges were not made of.

mod downstream;
mod hold_back;
mod losses;
mod search;
mod sensitivity;
mod sources;
mod trial;

use std::{collections::HashSet, ops::ControlFlow};

pub use hold_back::HoldBack;
pub use sensitivity::sensitivity;
pub(super) use trial::{Judge, Seen};

use self::{
    search::{Choices, Search},
    trial::Loss,
};
use super::activations::{Prepared, finish, planned, prepare, settled};
use crate::{
    calibration::{Collect, Engine, Ranges, Sample, can_be_watched, observe, proceed},
    config::{CalibrationMethod, Config, Effort},
    error::{ErrorKind, Result},
    findings::Fact,
    ir::{Model, OpId},
    plan::{Decision, FloatReason, Plan, Planner, watched},
    report::Report,
};

/// How many times the calibration may run again, in time: `balanced`.
const BALANCED_RUNS: f64 = 4.0;
/// The same for `high`.
const HIGH_RUNS: f64 = 16.0;

/// How many plans with operators in float are run, beyond that: `balanced`.
const BALANCED_TRIALS: usize = 2;
/// The same for `high`.
const HIGH_TRIALS: usize = 8;

/// Quantizes a model's weights and activations as [`quantize_activations`](super::quantize_activations) does, and then
/// looks at what comes out: the model is run as it would be written, with the samples that were [held back](HoldBack), all
/// of which make ranges by then, and compared with the float model, channel by channel of each output, each against its own
/// variance. What each rounded value and each layer's weights do to the outputs is measured by itself, in a run of what
/// lies downstream of it. For the values that do most, ranges of other methods are tried; where an output stays below what
/// was [asked for](Config::min_sqnr_db), the operators whose noise costs most are left float, as few as it takes. The
/// result is the same at every number of threads. `progress` hears after each step how many there were, and may end all of
/// it by [`Break`](ControlFlow::Break).
///
/// Where [`accuracy`](Config::accuracy) is `off`, where there is no such sample or no output of floats, and where the
/// engine does not run the quantized model, nothing is measured; the report says so but for `off`.
///
/// # Errors
/// As [`quantize_activations`](super::quantize_activations); or the engine cannot run the float model.
///
/// ```
/// # #[cfg(feature = "rten")] {
/// use onnx_quant::{
///     Config, HoldBack, Model, calibrate, calibration::{RtenEngine, Samples, proceed}, quantize_measured,
/// };
///
/// let mut model = Model::load("testdata/kws_dscnn.onnx")?;
/// let config = Config::default();
/// let mut samples = HoldBack::new(Samples::random(&model, 8)?);
/// let ranges = calibrate(&model, &config, &mut samples, &RtenEngine, &mut proceed)?;
/// let report = quantize_measured(&mut model, &config, &ranges, &samples.kept(), &RtenEngine, &mut proceed)?;
/// assert!(report.findings.iter().any(|finding| finding.code.to_string() == "measured"));
/// # }
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn quantize_measured(
    model: &mut Model,
    config: &Config,
    ranges: &Ranges,
    held_back: &[Sample],
    engine: &dyn Engine,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Report> {
    if config.accuracy == Effort::Off {
        return super::quantize_activations(model, config, ranges);
    }
    let Prepared { model: prepared, config, trained, mut facts, of_ranges, float } = prepare(model, config, ranges)?;
    let config = &config;
    let untouched = |_: &mut Model, _: &HashSet<OpId>| Ok(HashSet::new());
    let judge = Judge::new(&prepared, held_back, engine)?;
    // What is lost is measured of what will be written: all samples make the ranges.
    let all = match &judge {
        Some(judge) => all_samples(&prepared, config, &float, ranges, judge)?,
        None => ranges.clone(),
    };
    let found = match &judge {
        None => Err(match held_back.is_empty() {
            true => "there are fewer than 8 samples, so none was held back".to_owned(),
            false => "no output is of floats that can be observed".to_owned(),
        }),
        Some(judge) => match search(&prepared, config, &float, &all, judge, progress) {
            Err(error) if matches!(error.kind(), ErrorKind::Cancelled { .. }) => return Err(error),
            found => found.map_err(|error| error.to_string()),
        },
    };
    let choices = match found {
        Ok(found) => {
            facts.extend(found.iter().flat_map(|found| found.facts(&prepared)));
            found.map(|found| found.choices).unwrap_or_default()
        }
        Err(reason) => {
            facts.push(Fact::NotMeasured { reason });
            Choices::default()
        }
    };
    let mut quantized = prepared.clone();
    let float = float.into_iter().chain(choices.float.iter().copied()).collect();
    let with_choices = |model: &Model, config: &Config| chosen(model, config, &all, &choices);
    let mut plan = planned(&mut quantized, config, float, untouched, with_choices)?;
    name_inaccurate(&mut plan, &choices);
    plan.trained = trained;
    plan.findings.splice(0..0, of_ranges);
    finish(model, quantized, plan, facts, config)
}

/// What the search came to.
struct Found {
    choices: Choices,
    samples: usize,
    /// Those that computed in integers by rules alone.
    layers: HashSet<OpId>,
    bound_db: f64,
    before: Loss,
    after: Loss,
}

impl Found {
    fn float_layers(&self) -> impl Iterator<Item = OpId> {
        self.choices.float.iter().copied().filter(|op| self.layers.contains(op))
    }

    fn facts(&self, model: &Model) -> Vec<Fact> {
        let measured = Fact::Measured {
            samples: self.samples,
            before_db: self.before.worst_db,
            after_db: self.after.worst_db,
            ranges: self.choices.methods.len(),
            float: self.float_layers().map(|op| model.op(op).describe()).collect(),
            layers: self.layers.len(),
        };
        let output = model.scope(Model::MAIN).outputs()[self.after.worst].value;
        let named = (model.value(output).name().to_owned(), self.after.worst_db);
        let below = self.after.worst_db < self.bound_db;
        let below = below.then(|| Fact::Inaccurate { bound_db: self.bound_db, outputs: vec![named] });
        [measured].into_iter().chain(below).collect()
    }
}

/// Searches; nothing where no layer computes in integers.
fn search(
    model: &Model,
    config: &Config,
    float: &HashSet<OpId>,
    ranges: &Ranges,
    judge: &Judge,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Option<Found>> {
    let settled = settled(model.clone(), config, float.clone())?;
    let (times, trials) = match config.accuracy {
        Effort::High => (HIGH_RUNS, HIGH_TRIALS),
        _ => (BALANCED_RUNS, BALANCED_TRIALS),
    };
    let bound_db = config.bound_db();
    let budget = budget(times, ranges, judge);
    let mut search = Search::new(&settled.model, &settled.config, ranges, judge, budget, progress)?;
    let layers: HashSet<OpId> = search.layers().collect();
    if layers.is_empty() {
        return Ok(None);
    }
    search.measure()?;
    // A method that was asked for is kept to.
    if config.activations.method == CalibrationMethod::Auto {
        search.ranges()?;
    }
    search.float_layers(bound_db, trials)?;
    let (before, after) = (search.before, search.best);
    let choices = search.found();
    Ok(Some(Found { choices, samples: judge.samples().len(), layers, bound_db, before, after }))
}

/// How many runs of the float model on one sample a search may take: so many times those of the calibration.
fn budget(times: f64, ranges: &Ranges, judge: &Judge) -> f64 {
    let calibrated = ranges.values.values().map(|it| it.runs()).max().unwrap_or_default() as usize;
    times * (calibrated + judge.samples().len()) as f64
}

/// Ranges of the values that have some, of the samples that were held back, too.
fn all_samples(
    model: &Model,
    config: &Config,
    float: &HashSet<OpId>,
    ranges: &Ranges,
    judge: &Judge,
) -> Result<Ranges> {
    let settled = settled(model.clone(), config, float.clone())?;
    let mut watched = watched(&settled.model, &settled.config)?;
    watched.retain(|&value| can_be_watched(&settled.model, value).is_ok());
    let samples = judge.samples().iter().cloned().map(Ok);
    let collect = Collect::for_method(config.activations.method);
    let mut all = ranges.clone();
    all.merge(&observe(&settled.model, &watched, samples, judge.engine(), collect, &mut proceed)?);
    Ok(all)
}

/// The plan with what was found.
fn chosen(model: &Model, config: &Config, ranges: &Ranges, choices: &Choices) -> Result<Plan> {
    let mut planner = Planner::new(model, config, ranges)?;
    choices.methods.iter().for_each(|(&value, &method)| planner.choose(value, method));
    choices.float.iter().for_each(|&layer| planner.pin(layer, FloatReason::Inaccurate));
    planner.plan()
}

/// Says of layers that were left float why they were: without a weight of their own they seem to be for another reason.
fn name_inaccurate(plan: &mut Plan, choices: &Choices) {
    let operators = plan.activations.iter_mut().flat_map(|plan| &mut plan.operators);
    for operator in operators.filter(|it| choices.float.contains(&it.op)) {
        if let Decision::FloatLayer(reason) = &mut operator.decision {
            *reason = FloatReason::Inaccurate;
        }
    }
}
