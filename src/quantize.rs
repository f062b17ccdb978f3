//! The order of the stages, and nothing but the order.

use crate::{
    config::Config,
    error::{ErrorKind, Result},
    ir::Model,
    passes::{self, QuantizeWeights},
    plan::plan,
    report::Report,
};

/// Quantizes a model as `config` says, and reports what was done, what was not and why.
///
/// The model's bytes are not computed here but when it is written.
///
/// # Errors
/// The model's opset has no DequantizeLinear, a tensor cannot be read, or, with
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
    let plan = plan(model, config)?;
    if config.strict
        && let Some(warning) = plan.warnings.first()
    {
        return Err(ErrorKind::Config(warning.clone()).into());
    }
    let report = Report::of(model, &plan, config)?;
    passes::run(model, &[&QuantizeWeights { plan: &plan }])?;
    Ok(report)
}
