//! Folds BatchNormalization into the operator before it.

use super::{
    Pass,
    constants::fixed,
    linear::{Affine, Folding, Linear, fold_all},
};
use crate::{
    error::Result,
    ir::{Model, OpId, ValueId},
    operators::is_standard,
    plan::float_type,
};

/// Folds BatchNormalization with constant parameters into the weight and bias of the Conv,
/// ConvTranspose or Gemm before it, where nothing else reads what lies between.
///
/// With the parameters of a channel `y = gamma * (x - mean) / sqrt(variance + epsilon) + beta` (ONNX
/// operator specification, BatchNormalization), a multiplication and an addition: for
/// `x = W * input + b` a weight `W * s` and a bias `b * s + beta - mean * s` with
/// `s = gamma / sqrt(variance + epsilon)`. A weight that others read too stays for them, beside a copy
/// for this operator.
///
/// ```
/// use onnx_quant::{Model, passes::{FoldBatchNormalization, Pass}};
/// let mut model = Model::load("testdata/made/conv_batchnorm.onnx")?;
/// assert!(FoldBatchNormalization.run(&mut model)?);
/// assert!(!model.ops().any(|op| model.op(op).is("BatchNormalization")));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct FoldBatchNormalization;

impl Pass for FoldBatchNormalization {
    fn name(&self) -> &'static str {
        "fold-batch-normalization"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        fold_all(model, |model, op| {
            let (linear, input, output) = normalized(model, op)?;
            let affine = parameters(model, op, linear.channels)?;
            let constants = model.inputs(op).into_iter().skip(1).flatten().collect();
            Some(Folding { linear, affine, input, output, constants })
        })
    }
}

/// What a BatchNormalization normalizes, outside of training: the operator that makes it, the value
/// between, and what comes out.
fn normalized(model: &Model, id: OpId) -> Option<(Linear, ValueId, ValueId)> {
    let op = model.op(id);
    // Before opset 7 an attribute says whether it is in training; before opset 9 another one may ask for
    // parameters of each position.
    let plain = is_standard(model, id)
        && op.is("BatchNormalization")
        && model.opset(op.scope()) >= 7
        && op.int("spatial").unwrap_or(1) != 0
        && op.int("training_mode").unwrap_or(0) == 0
        && !["epsilon", "spatial", "training_mode"].iter().any(|name| op.refers_to_caller(name));
    if !plain {
        return None;
    }
    // With statistics among the outputs it is in training, up to opset 13.
    let outputs = model.outputs(id);
    let output = outputs[..].first().copied().flatten().filter(|_| outputs.iter().flatten().count() == 1)?;
    let input = model.input(id, 0)?;
    let linear = Linear::behind(model, input, id).filter(Linear::has_bias)?;
    Some((linear, input, output))
}

fn parameters(model: &Model, id: OpId, channels: usize) -> Option<Affine> {
    let parameter = |slot| {
        let tensor = fixed(model, model.input(id, slot)?)?;
        let values = float_type(tensor.dtype())?.widen(&tensor.bytes().ok()?);
        (values.len() == channels).then_some(values)
    };
    let (gamma, beta, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
    let epsilon = f64::from(model.op(id).float("epsilon").unwrap_or(1e-5));
    let scale: Vec<f64> =
        gamma.iter().zip(&variance).map(|(gamma, variance)| gamma / (variance + epsilon).sqrt()).collect();
    let shift = beta.iter().zip(&mean).zip(&scale).map(|((beta, mean), scale)| beta - mean * scale).collect();
    Some(Affine { scale: Some(scale), shift: Some(shift) })
}
