//! The order of the stages, and nothing but the order.

mod activations;

pub use activations::{calibrate, quantize_activations};

use std::{borrow::Cow, collections::HashSet};

use crate::{
    config::{Config, TrainedPairs, WeightForm},
    error::{Error, ErrorKind, Result},
    ir::Model,
    passes::{self, FoldTrainedPairs, QuantizeWeights, UpgradeOpset, Upgraded},
    plan::{Plan, Trained, plan, required_opset},
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
    let report = Report::of(&quantized, &plan, config)?;
    passes::run(&mut quantized, &[&QuantizeWeights { plan: &plan }])?;
    *model = quantized;
    Ok(report)
}

/// The model with the integers of what training had quantized, and what that changed.
fn with_trained_integers<'m>(model: &'m Model, config: &Config) -> (Cow<'m, Model>, Trained) {
    let shared = config.trained_pairs == TrainedPairs::FoldShared;
    let fold = FoldTrainedPairs { shared, overridable: !config.keep_overridable };
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
    /// operator cannot be carried over, the model keeps its opset, and the plan what that can hold.
    fn new(model: &Model, config: &Config, limit: i64) -> Result<Self> {
        let mut refused = None;
        for half_scales in [true, false] {
            let needed = required_opset(model, config, half_scales)?.map(|needed| needed.min(limit));
            let Some(to) = needed.filter(|&needed| model.scopes().any(|scope| model.opset(scope) < needed)) else {
                refused = None;
                break;
            };
            let (before, mut model) = (model, model.clone());
            match (UpgradeOpset { to }).upgrade(&mut model) {
                Ok(upgraded) => {
                    let note = note(before, &upgraded);
                    return Ok(Self { model, to: Some(to), note, refused: None });
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
            Err(error) if matches!(error.kind(), ErrorKind::Opset { .. }) => Err(self.refused.unwrap_or(error)),
            Err(error) => Err(error),
        }
    }
}

fn note(model: &Model, Upgraded { from, to, rewritten, .. }: &Upgraded) -> Option<String> {
    let rewritten: Vec<String> = rewritten.iter().map(|(ty, count)| format!("{count} {ty}")).collect();
    let rewritten = if rewritten.is_empty() { String::new() } else { format!(", rewriting {}", rewritten.join(", ")) };
    let inputs = if model.ir_version() < 4 { "; initializers are no graph inputs any more" } else { "" };
    (from < to).then(|| format!("the opset was raised from {from} to {to}{rewritten}{inputs}"))
}
