//! The order of the stages, and nothing but the order.

mod activations;
#[cfg(test)]
mod scaling;

pub use activations::{calibrate, quantize_activations};

use std::{borrow::Cow, collections::HashSet};

use crate::{
    config::{Config, Granularity, TrainedPairs, WeightForm, WeightType},
    error::{Error, ErrorKind, Result},
    ir::{Model, OpId},
    passes::{self, FoldTrainedPairs, QuantizeWeights, RepeatPairs, UpgradeOpset, Upgraded},
    plan::{Plan, Trained, excluded_pairs, note_on_repeated, plan, required_opset, unrepeated, without_kernels},
    report::{Report, no_inputs_any_more},
};

/// Quantizes a model as `config` says, and reports what was done, what was not and why. The opset is
/// raised where the quantized form needs that, and as far as it needs.
///
/// The model's bytes are not computed here but when it is written.
///
/// # Errors
/// The model's opset cannot hold what was asked for and cannot be raised, a tensor cannot be read, or, with
/// [`strict`](Config::strict), there is something to warn of. The model is unchanged then.
///
/// ```
/// use onnx_quant::{Config, Model, quantize};
/// let mut model = Model::load("testdata/kws_dscnn.onnx")?;
/// let report = quantize(&mut model, &Config::default())?;
/// assert!(report.bytes.quantized * 3 < report.bytes.float);
/// let onnx = model.to_bytes();
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn quantize(model: &mut Model, config: &Config) -> Result<Report> {
    checked(model, config)?;
    // Everything happens to a copy, of which tensors are no part: a failure leaves the model alone.
    let (original, trained) = with_trained_integers(model, config);
    let (mut raised, mut plan) = Raised::new(&original, config, i64::MAX)?.planned(config)?;
    let needed = plan.needed_opset();
    if raised.to.is_some_and(|to| to > needed) {
        // The weights that would have needed more have elements that cannot be quantized.
        (raised, plan) = Raised::new(&original, config, needed)?.planned(config)?;
    }
    plan.trained = trained;
    plan.notes.extend(no_longer_inputs(model, &original));
    plan.notes.extend(raised.note);
    plan.warnings.extend(raised.refused.map(|error| {
        format!("the opset is too old for the best form and could not be raised: {}", error.without_file())
    }));
    check_strict(&plan, config)?;
    let mut quantized = raised.model;
    let mut report = Report::of(&quantized, &plan, config)?;
    passes::run(&mut quantized, &[&QuantizeWeights { plan: &plan }])?;
    report.notes.extend(repeat_pairs(&mut quantized)?);
    *model = quantized;
    Ok(report)
}

/// Raises a model's opset to `to`, and repeats pairs of QuantizeLinear and DequantizeLinear that are there already
/// where the newer ones must be; says so.
///
/// # Errors
/// As [`UpgradeOpset::upgrade`]: an operator cannot be carried over.
///
/// ```
/// let mut model = onnx_quant::Model::load("testdata/kws_dscnn.onnx")?;
/// let (upgraded, notes) = onnx_quant::upgrade(&mut model, 21)?;
/// assert_eq!((upgraded.to, notes.len()), (21, 0));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn upgrade(model: &mut Model, to: i64) -> Result<(Upgraded, Vec<String>)> {
    let mut upgraded = UpgradeOpset { to }.upgrade(model)?;
    let mut notes = Vec::new();
    if upgraded.changed {
        notes.extend(repeat_pairs(model)?);
        let quantized = |&op: &OpId| matches!(model.op(op).op_type(), "QuantizeLinear" | "DequantizeLinear");
        notes.extend(model.ops().find(quantized).and_then(|_| without_kernels(model)));
    }
    upgraded.changed |= !notes.is_empty();
    Ok((upgraded, notes))
}

/// Repeats pairs behind what moves int8 activations, where onnxruntime needs them there; says so.
fn repeat_pairs(model: &mut Model) -> Result<Option<String>> {
    let behind = unrepeated(model);
    passes::run(model, &[&RepeatPairs { behind: &behind }])?;
    Ok(note_on_repeated(behind.len()))
}

/// The model with the integers of what training had quantized, and what that changed.
fn with_trained_integers<'m>(model: &'m Model, config: &Config) -> (Cow<'m, Model>, Trained) {
    let shared = config.trained_pairs == TrainedPairs::FoldShared;
    let except = excluded_pairs(model, config);
    let fold = FoldTrainedPairs { shared, overridable: !config.keep_overridable, except };
    let keep = config.trained_pairs == TrainedPairs::Keep || config.weight_form == WeightForm::Qdq;
    if keep || !fold.applies(model) {
        return (Cow::Borrowed(model), Trained::default());
    }
    let mut folded = model.clone();
    let trained = fold.fold(&mut folded);
    (Cow::Owned(folded), trained)
}

/// Whether model and configuration are fit to begin with.
fn checked(model: &Model, config: &Config) -> Result<()> {
    if config.strict && !model.unknown_fields().is_empty() {
        return Err(ErrorKind::UnknownFields(model.unknown_fields().join(", ")).into());
    }
    config.check()
}

fn check_strict(plan: &Plan, config: &Config) -> Result<()> {
    match plan.warnings.first() {
        Some(warning) if config.strict => Err(ErrorKind::Config(warning.clone()).into()),
        _ => Ok(()),
    }
}

/// What to say where graph inputs with a default, which callers could override, are none any more.
fn no_longer_inputs(before: &Model, after: &Model) -> Option<String> {
    let overridable = |model: &Model| -> Vec<String> {
        let inputs = model.scope(Model::MAIN).inputs().iter().map(|input| model.value(input.value));
        let defaults = inputs.filter(|value| before.ir_version() >= 4 && value.initializer().is_some());
        defaults.map(|value| value.name().to_owned()).collect()
    };
    let left: HashSet<String> = overridable(after).into_iter().collect();
    let gone: Vec<String> = overridable(before).into_iter().filter(|name| !left.contains(name)).collect();
    let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
    (!gone.is_empty()).then(|| no_inputs_any_more(&gone))
}

/// A model at the opset that its quantized form needs.
struct Raised {
    model: Model,
    /// What the opset was raised to, where it was.
    to: Option<i64>,
    note: Option<String>,
    /// Why it was not, where it should have been.
    refused: Option<Error>,
}

impl Raised {
    /// Raises the opset as far as quantization needs, no further, and not beyond `limit`. Where an
    /// operator cannot be carried over, it is raised as far as the next best form needs, or the model keeps
    /// its opset, and the plan what that can hold.
    fn new(model: &Model, config: &Config, limit: i64) -> Result<Self> {
        let lowest = model.scopes().map(|scope| model.opset(scope)).min().unwrap_or(0);
        let one_scale = Config { granularity: Granularity::PerTensor, ..config.clone() };
        let mut forms = vec![(config, true), (config, false)];
        if config.sharing() == Granularity::PerChannel {
            // What is planned where there are no scales for channels.
            forms.push((&one_scale, false));
        }
        let mut refused = None;
        for (form, half_scales) in forms {
            let needed = required_opset(model, form, half_scales)?.map(|needed| needed.min(limit));
            let Some(to) = needed.filter(|&needed| lowest < needed) else {
                // With another type of scales nothing is lost.
                refused = refused.filter(|_| form.granularity != config.granularity);
                break;
            };
            let mut raised = model.clone();
            match (UpgradeOpset { to }).upgrade(&mut raised) {
                Ok(upgraded) => {
                    let note = note(model.ir_version(), &upgraded);
                    let refused = refused.filter(|_| form.granularity != config.granularity);
                    return Ok(Self { model: raised, to: Some(to), note, refused });
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Ok(Self { model: model.clone(), to: None, note: None, refused })
    }

    fn planned(self, config: &Config) -> Result<(Self, Plan)> {
        match plan(&self.model, config) {
            Ok(plan) => Ok((self, plan)),
            // What the opset has no form for: why it stayed tells more.
            Err(error) if matches!(error.kind(), ErrorKind::Opset { .. }) => Err(match self.refused {
                Some(refused) => refused.with_way_out(way_out(&self.model, config)?),
                None => error,
            }),
            Err(error) => Err(error),
        }
    }
}

/// The options with which a model's weights can be quantized whose opset cannot be raised as far as these
/// need.
fn way_out(model: &Model, config: &Config) -> Result<Option<String>> {
    for weights in [config.weights, WeightType::Int8] {
        for granularity in [config.granularity, Granularity::PerChannel, Granularity::PerTensor] {
            let other = Config { weights, granularity, ..config.clone() };
            if (weights, granularity) == (config.weights, config.granularity) || other.check().is_err() {
                continue;
            }
            let raised = Raised::new(model, &other, i64::MAX)?;
            let opset = raised.to.unwrap_or_else(|| model.opset(Model::MAIN));
            if raised.refused.is_some() || required_opset(&raised.model, &other, false)?.is_none() {
                continue;
            }
            let weights = (weights != config.weights).then(|| format!("--weights {weights}"));
            let granularity = (granularity != config.granularity).then(|| format!("--granularity {granularity}"));
            let options: Vec<String> = weights.into_iter().chain(granularity).collect();
            return Ok(Some(format!("{} would do with opset {opset}", options.join(" "))));
        }
    }
    Ok(None)
}

/// What an upgrade did to a model that was of this IR version.
fn note(ir_version: i64, Upgraded { from, to, rewritten, .. }: &Upgraded) -> Option<String> {
    let rewritten: Vec<String> = rewritten.iter().map(|(ty, count)| format!("{count} {ty}")).collect();
    let rewritten = if rewritten.is_empty() { String::new() } else { format!(", rewriting {}", rewritten.join(", ")) };
    let inputs = if ir_version < 4 { "; initializers are no graph inputs any more" } else { "" };
    (from < to).then(|| format!("the opset was raised from {from} to {to}{rewritten}{inputs}"))
}
