//! Which operators cost most of the outputs, measured and told instead of decided.

use std::{collections::HashSet, ops::ControlFlow};

use super::{HIGH_RUNS, all_samples, budget, search::Search, trial::Judge};
use crate::{
    calibration::{Engine, Ranges, Sample},
    compare::LIMIT_DB,
    config::Config,
    error::{Error, Result},
    ir::{Model, OpId},
    plan::{Plan, QuantizedCopy},
    quantize::activations::{Prepared, prepare, settled},
    report::{Report, SENSITIVITY_VERSION, SensitiveOperator, Sensitivity, Step},
};

/// Steps whose part of the noise is less are not told: they are nothing to decide about.
const LEAST_NOISE: f64 = 0.002;

/// Measures which operators cost most of the outputs if a model is quantized as `config` says: what
/// [`quantize_measured`](super::quantize_measured) goes by when it leaves operators float, as a ranking with what each
/// step is foreseen to gain, and to cost in time and size. Nothing is quantized. `progress` hears after each step how
/// many there were, and may end all of it by [`Break`](ControlFlow::Break).
///
/// # Errors
/// As [`quantize_activations`](crate::quantize_activations); no sample was held back, no output is of floats that can be
/// observed, or the engine cannot run the model.
///
/// ```
/// # #[cfg(feature = "rten")] {
/// use onnx_quant::{
///     Config, HoldBack, Model, calibrate, calibration::{RtenEngine, Samples, proceed}, sensitivity,
/// };
///
/// let model = Model::load("testdata/kws_dscnn.onnx")?;
/// let config = Config::default();
/// let mut samples = HoldBack::new(Samples::random(&model, 8)?);
/// let ranges = calibrate(&model, &config, &mut samples, &RtenEngine, &mut proceed)?;
/// let ranking = sensitivity(&model, &config, &ranges, &samples.kept(), &RtenEngine, &mut proceed)?;
/// assert!(ranking.steps[0].noise >= ranking.steps[1].noise / 2.0);
/// # }
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn sensitivity(
    model: &Model,
    config: &Config,
    ranges: &Ranges,
    held_back: &[Sample],
    engine: &dyn Engine,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Sensitivity> {
    let Prepared { model, config, float, .. } = prepare(model, config, ranges)?;
    if held_back.is_empty() {
        return Err(Error::config("there are fewer than 8 samples, so none was held back to measure with"));
    }
    let judge = Judge::new(&model, held_back, engine)?
        .ok_or_else(|| Error::invalid("has no output of floats that can be observed"))?;
    let ranges = all_samples(&model, &config, &float, ranges, &judge)?;
    let settled = settled(model, &config, float)?;
    let (model, config) = (&settled.model, &settled.config);
    let mut search = Search::new(model, config, &ranges, &judge, budget(HIGH_RUNS, &ranges, &judge), progress)?;
    search.measure()?;
    let plan = search.plan();
    let mut ranking = Sensitivity {
        version: SENSITIVITY_VERSION,
        samples: held_back.len(),
        planned_db: search.best.worst_db,
        layers: search.layers().count(),
        time: time(plan),
        bytes: bytes(model, plan, config)?,
        steps: Vec::new(),
    };
    let noisy = search.noisiest();
    let all: f64 = noisy.iter().map(|group| group.noise).sum();
    let mut float: HashSet<OpId> = HashSet::new();
    let mut integer = in_integers(plan);
    for group in noisy.iter().filter(|group| group.noise >= LEAST_NOISE * all) {
        // Others may have become float with those before, as what is left gains no time.
        let operators: Vec<OpId> = group.operators.iter().copied().filter(|op| integer.contains(op)).collect();
        if operators.is_empty() {
            continue;
        }
        float.extend(&operators);
        let operators = operators.iter().map(|&op| operator(model, plan, op)).collect();
        let then = search.with_float(&float)?;
        integer = in_integers(&then);
        let foreseen_db = (search.foreseen_db(&then) + search.off_db()).min(LIMIT_DB);
        let noise = group.noise / all;
        ranking.steps.push(Step {
            operators,
            noise,
            foreseen_db,
            time: time(&then),
            bytes: bytes(model, &then, config)?,
        });
    }
    Ok(ranking)
}

fn in_integers(plan: &Plan) -> HashSet<OpId> {
    plan.activations.iter().flat_map(|plan| plan.integer()).map(|it| it.op).collect()
}

fn operator(model: &Model, plan: &Plan, op: OpId) -> SensitiveOperator {
    let reads = |copies: &[QuantizedCopy]| copies.iter().any(|copy| copy.layers.contains(&op));
    let weights = plan.weights.iter().filter(|weight| reads(&weight.copies)).map(|weight| weight.name.clone());
    let (name, op_type) = (model.op(op).name().to_owned(), model.op(op).op_type().to_owned());
    SensitiveOperator { name, op_type, weights: weights.collect() }
}

/// A run over one in float, by estimate.
fn time(plan: &Plan) -> Option<f64> {
    plan.activations.as_ref()?.speed.map(|speed| speed.with_vnni.ratio())
}

/// Of all weights, quantized and not.
fn bytes(model: &Model, plan: &Plan, config: &Config) -> Result<usize> {
    let report = Report::of(model, plan, &config.clone().with_measure_error(false))?;
    Ok(report.bytes.quantized + report.left_float.iter().map(|left| left.bytes).sum::<usize>())
}
