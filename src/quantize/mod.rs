//! The order of the stages, and nothing but the order.

mod activations;
mod compensated;
mod dynamic;
mod foreseen;
mod measured;
mod provenance;
#[cfg(test)]
mod scaling;
mod simplified;
mod tuned;

pub use activations::{calibrate, check_ranges, quantize_activations};
pub use compensated::quantize_with_samples;
pub use foreseen::explain_planned;
pub use measured::{HoldBack, quantize_measured, sensitivity};
pub use provenance::record_provenance;
pub use simplified::{Simplified, simplify};
pub use tuned::{Timer, quantize_tuned};

use std::{borrow::Cow, collections::HashSet};

use crate::{
    config::{Config, Granularity, TrainedPairs, WeightForm, WeightType},
    error::{Error, ErrorKind, Result},
    explain::{dequantized_every_run, int8_product_not_loaded, zero_halves},
    findings::{Fact, Finding},
    ir::{Model, OpId},
    passes::{self, FoldTrainedPairs, QuantizeWeights, RepeatPairs, UpgradeOpset, Upgraded},
    plan::{
        Constants, Plan, Trained, check_patterns, excluded_pairs, fit_patterns, following, kernels_of_opset,
        plan_traced, repeated, required_opset, unknown_fields, unrepeated,
    },
    report::Report,
    targets::{Quirk, Target},
};

/// Quantizes a model as `config` says, and reports what was done, what was not and why. The opset is
/// raised where the quantized form needs that, and as far as it needs.
///
/// With [dynamic](crate::ActivationType::Dynamic) activations, products and recurrent layers compute in integers,
/// with scales that each run finds. The model is [simplified](passes::before_activations) before, and half floats
/// become float32 but for inputs and outputs.
///
/// The model's bytes are not computed here but when it is written.
///
/// # Errors
/// A pattern matches nothing; the model's opset cannot hold what was asked for and cannot be raised, a tensor cannot be
/// read, or, with [`strict`](Config::strict) or [`deny`](Config::deny), something was found that is not put up with. The model is
/// unchanged then.
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
    if config.activations.is_dynamic() {
        return dynamic::quantize(model, config);
    }
    quantize_weights(model, config, |_, _, _| Ok(()))
}

/// Quantizes the weights alone. `refine` may change what is planned, of the model that it is planned for and with
/// patterns that fit it.
fn quantize_weights(
    model: &mut Model,
    config: &Config,
    refine: impl FnOnce(&Model, &mut Plan, &Config) -> Result<()>,
) -> Result<Report> {
    config.check()?;
    let config = &fit_patterns(model, config);
    check_patterns(&[model], config)?;
    // Everything happens to a copy, of which tensors are no part: a failure leaves the model alone.
    let (original, trained) = with_trained_integers(model, config);
    let (mut raised, mut plan) = Raised::new(&original, config, i64::MAX)?.planned(config)?;
    let needed = plan.needed_opset();
    if raised.to.is_some_and(|to| to > needed) {
        // The weights that would have needed more have elements that cannot be quantized.
        (raised, plan) = Raised::new(&original, config, needed)?.planned(config)?;
    }
    plan.trained = trained;
    plan.findings.extend(no_longer_inputs(model, &original));
    plan.findings.extend(raised.fact);
    let refused = raised.refused.map(|error| Fact::OpsetNotRaised { reason: error.without_file().to_string() });
    plan.findings.extend(refused);
    refine(&raised.model, &mut plan, config)?;
    let mut quantized = raised.model;
    plan.findings.extend(following(&quantized, &plan, &config.target));
    check_denied(&plan.findings, config)?;
    let mut report = Report::of(&quantized, &plan, config)?;
    passes::run(&mut quantized, &[&QuantizeWeights { plan: &plan }])?;
    report.tell(&finished(&mut quantized, config)?);
    Ok(exchanged(model, quantized, report, config))
}

/// Puts a model in the place of the one that it was made of, and reports what became of the whole.
fn exchanged(model: &mut Model, quantized: Model, mut report: Report, config: &Config) -> Report {
    report.describe(provenance::options(config, report.activations.is_some()), model, &quantized);
    *model = quantized;
    report
}

/// The last changes to a model that is quantized, and what a user should know of it as it is now.
fn finished(quantized: &mut Model, config: &Config) -> Result<Vec<Fact>> {
    let mut facts: Vec<Fact> = repeat_pairs(quantized, &config.target)?.into_iter().collect();
    facts.extend(dequantized_every_run(quantized, &config.target)?);
    facts.extend(int8_product_not_loaded(quantized, &config.target));
    facts.extend(zero_halves(quantized, &config.target));
    check_denied(&facts, config)?;
    Ok(facts)
}

/// Raises a model's opset to `to`, and repeats pairs of QuantizeLinear and DequantizeLinear that are there already
/// where the newer ones must be; says so.
///
/// # Errors
/// As [`UpgradeOpset::upgrade`]: an operator cannot be carried over.
///
/// ```
/// let mut model = onnx_quant::Model::load("testdata/kws_dscnn.onnx")?;
/// let (upgraded, findings) = onnx_quant::upgrade(&mut model, 21)?;
/// assert_eq!((upgraded.to, findings.len()), (21, 0));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn upgrade(model: &mut Model, to: i64) -> Result<(Upgraded, Vec<Finding>)> {
    let mut upgraded = UpgradeOpset { to }.upgrade(model)?;
    let target = Target::default();
    let mut facts = Vec::new();
    if upgraded.changed {
        facts.extend(repeat_pairs(model, &target)?);
        let quantized = |&op: &OpId| matches!(model.op(op).op_type(), "QuantizeLinear" | "DequantizeLinear");
        facts.extend(model.ops().find(quantized).and_then(|_| kernels_of_opset(model, &target)));
    }
    upgraded.changed |= !facts.is_empty();
    facts.extend(unknown_fields(model));
    Ok((upgraded, facts.into_iter().map(Finding::from).collect()))
}

/// Repeats pairs behind what moves int8 activations, where the target needs them there; says so.
fn repeat_pairs(model: &mut Model, target: &Target) -> Result<Option<Fact>> {
    if !target.has_quirk(Quirk::Int8Moved) {
        return Ok(None);
    }
    let behind = unrepeated(model);
    passes::run(model, &[&RepeatPairs { behind: &behind }])?;
    Ok(repeated(behind.len(), target))
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

/// Whether the configuration puts up with what was found.
fn check_denied(facts: &[Fact], config: &Config) -> Result<()> {
    match facts.iter().find(|fact| config.denies(fact.code(), fact.severity())) {
        Some(fact) => Err(ErrorKind::Denied { code: fact.code(), message: fact.to_string() }.into()),
        None => Ok(()),
    }
}

/// The graph inputs with a default, which callers could override, that are none any more.
fn no_longer_inputs(before: &Model, after: &Model) -> Option<Fact> {
    let overridable = |model: &Model| -> Vec<String> {
        let inputs = model.scope(Model::MAIN).inputs().iter().map(|input| model.value(input.value));
        let defaults = inputs.filter(|value| before.ir_version() >= 4 && value.initializer().is_some());
        defaults.map(|value| value.name().to_owned()).collect()
    };
    let left: HashSet<String> = overridable(after).into_iter().collect();
    let names: Vec<String> = overridable(before).into_iter().filter(|name| !left.contains(name)).collect();
    (!names.is_empty()).then_some(Fact::NoLongerInputs { names })
}

/// A model at the opset that its quantized form needs.
struct Raised {
    model: Model,
    constants: Constants,
    /// What the opset was raised to, where it was.
    to: Option<i64>,
    fact: Option<Fact>,
    /// Why it was not, where it should have been.
    refused: Option<Error>,
}

impl Raised {
    /// Raises the opset as far as quantization needs, no further, and not beyond `limit`. Where an
    /// operator cannot be carried over, it is raised as far as the next best form needs, or the model keeps
    /// its opset, and the plan what that can hold.
    fn new(model: &Model, config: &Config, limit: i64) -> Result<Self> {
        let constants = Constants::of(model);
        let lowest = model.scopes().map(|scope| model.opset(scope)).min().unwrap_or(0);
        let one_scale = Config { granularity: Granularity::PerTensor, ..config.clone() };
        let mut forms = vec![(config, true), (config, false)];
        if config.sharing() == Granularity::PerChannel {
            // What is planned where there are no scales for channels.
            forms.push((&one_scale, false));
        }
        let mut refused = None;
        for (form, half_scales) in forms {
            let needed = required_opset(model, &constants, form, half_scales)?.map(|needed| needed.min(limit));
            let Some(to) = needed.filter(|&needed| lowest < needed) else {
                // With another type of scales nothing is lost.
                refused = refused.filter(|_| form.granularity != config.granularity);
                break;
            };
            let mut raised = model.clone();
            match (UpgradeOpset { to }).upgrade(&mut raised) {
                Ok(upgraded) => {
                    let fact = opset_raised(model.ir_version(), upgraded);
                    let refused = refused.filter(|_| form.granularity != config.granularity);
                    let constants = Constants::of(&raised);
                    return Ok(Self { model: raised, constants, to: Some(to), fact, refused });
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Ok(Self { model: model.clone(), constants, to: None, fact: None, refused })
    }

    fn planned(self, config: &Config) -> Result<(Self, Plan)> {
        match plan_traced(&self.model, &self.constants, config) {
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
            if raised.refused.is_some() || required_opset(&raised.model, &raised.constants, &other, false)?.is_none() {
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
fn opset_raised(ir_version: i64, Upgraded { from, to, rewritten, .. }: Upgraded) -> Option<Fact> {
    (from < to).then_some(Fact::OpsetRaised { from, to, rewritten, were_inputs: ir_version < 4 })
}
