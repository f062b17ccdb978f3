//! What would become of a float model: it is quantized as the configuration says, and that is explained.

use std::collections::{HashMap, HashSet};

use super::activations::{excluded, prepared, quantize_activations, settled};
use crate::{
    calibration::{Ranges, Statistics, can_be_watched, value_keys},
    config::Config,
    error::Result,
    explain::{Explanation, PlannedRanges, Verdict, explain, rank},
    findings::Code,
    ir::Model,
    plan::{fit_patterns, watched},
};

/// What would become of a model that is quantized with activations: every operator of the model that would be
/// written, with the plan's reason where one stays float.
///
/// Without ranges these are assumed to be all the same: the structure decides alone then, and nothing is known of
/// values that cannot be quantized for what they are.
///
/// # Errors
/// As [`quantize_activations`] and [`explain`].
///
/// ```
/// use onnx_quant::{Config, Model, explain::Verdict, explain_planned};
/// let model = Model::load("testdata/kws_dscnn.onnx")?;
/// let explanation = explain_planned(&model, &Config::default(), None)?;
/// let convolutions = explanation.operators.iter().filter(|operator| operator.op_type == "Conv");
/// assert!(convolutions.into_iter().all(|conv| conv.runs_as == "QLinearConv"));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn explain_planned(model: &Model, config: &Config, ranges: Option<&Ranges>) -> Result<Explanation> {
    let assumed = match ranges {
        None => Some(assumed(model, config)?),
        Some(_) => None,
    };
    let mut quantized = model.clone();
    let report =
        quantize_activations(&mut quantized, config, ranges.or(assumed.as_ref()).unwrap_or(&Ranges::default()))?;
    let mut explanation = explain(&quantized, &config.target)?;
    explanation.planned_with = Some(match ranges {
        Some(_) => PlannedRanges::Observed,
        None => PlannedRanges::Assumed,
    });
    let mut reasons: HashMap<(&[String], &str), Option<&str>> = HashMap::new();
    for operator in report.activations.iter().flat_map(|found| &found.operators).filter(|operator| !operator.integer) {
        let place = (operator.path.as_slice(), operator.operator.as_str());
        // Of operators without a name there may be several, which are not told apart.
        reasons.entry(place).and_modify(|reason| *reason = None).or_insert(Some(&operator.why));
    }
    for operator in explanation.operators.iter_mut().filter(|operator| operator.verdict == Verdict::Float) {
        let described = operator.describe();
        if let Some(Some(reason)) = reasons.get(&(operator.path.as_slice(), described.as_str())) {
            operator.why = (*reason).to_owned();
        }
    }
    // What each run dequantizes is told weight by weight already, and of assumed values no time is known.
    let told = |code| code == Code::DequantizedEveryRun || code == Code::NoFaster && ranges.is_none();
    explanation.findings.extend(report.findings.into_iter().filter(|finding| !told(finding.code)));
    rank(&mut explanation.findings);
    Ok(explanation)
}

/// Ranges of all values that are to be quantized, all the same. They do not tell how large values are, so that no time
/// is estimated.
fn assumed(model: &Model, config: &Config) -> Result<Ranges> {
    let config = &fit_patterns(model, config);
    let (model, ..) = prepared(model, config)?;
    let except: HashSet<_> = excluded(&model, config);
    let settled = settled(model, config, except)?;
    let mut ranges = Ranges::default();
    let keys = value_keys(&settled.model);
    let watched = watched(&settled.model, &settled.config)?;
    for value in watched.into_iter().filter(|&value| can_be_watched(&settled.model, value).is_ok()) {
        let statistics = Statistics::assumed();
        ranges.values.insert(keys[&value].clone(), statistics);
    }
    Ok(ranges)
}
