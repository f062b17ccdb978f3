//! The order of the stages, and nothing but the order.

use crate::{
    config::Config,
    error::{ErrorKind, Result},
    ir::Model,
    passes::{self, QuantizeWeights, UpgradeOpset, Upgraded},
    plan::{plan, required_opset},
    report::Report,
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
    if config.strict && !model.unknown_fields().is_empty() {
        return Err(ErrorKind::UnknownFields(model.unknown_fields().join(", ")).into());
    }
    config.check()?;
    // Everything happens to a copy, of which tensors are no part: a failure leaves the model alone.
    let mut quantized = model.clone();
    let mut raised = raise_opset(&mut quantized, config)?;
    let mut plan = plan(&quantized, config)?;
    plan.notes.append(&mut raised.notes);
    plan.warnings.append(&mut raised.warnings);
    if config.strict
        && let Some(warning) = plan.warnings.first()
    {
        return Err(ErrorKind::Config(warning.clone()).into());
    }
    let report = Report::of(&quantized, &plan, config)?;
    passes::run(&mut quantized, &[&QuantizeWeights { plan: &plan }])?;
    *model = quantized;
    Ok(report)
}

/// What raising the opset brought about.
#[derive(Default)]
struct Raised {
    notes: Vec<String>,
    warnings: Vec<String>,
}

/// Raises the opset as far as quantization needs, no further. Where an operator cannot be carried
/// over, the model keeps its opset, and the plan what that can hold.
fn raise_opset(model: &mut Model, config: &Config) -> Result<Raised> {
    let mut refused = None;
    for half_scales in [true, false] {
        let needed = required_opset(model, config, half_scales)?;
        let Some(needed) = needed.filter(|&needed| model.scopes().any(|scope| model.opset(scope) < needed)) else {
            return Ok(Raised::default());
        };
        let mut copy = model.clone();
        match (UpgradeOpset { to: needed }).upgrade(&mut copy) {
            Ok(upgraded) => {
                *model = copy;
                let Upgraded { from, to, rewritten, .. } = upgraded;
                let rewritten: Vec<String> = rewritten.iter().map(|(ty, count)| format!("{count} {ty}")).collect();
                let rewritten =
                    if rewritten.is_empty() { String::new() } else { format!(", rewriting {}", rewritten.join(", ")) };
                let note = format!("the opset was raised from {from} to {to}{rewritten}");
                return Ok(Raised { notes: Vec::from_iter((from < to).then_some(note)), warnings: vec![] });
            }
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let warning =
        refused.map(|error| format!("the opset is too old for the best form and could not be raised: {error}"));
    Ok(Raised { notes: vec![], warnings: Vec::from_iter(warning) })
}
