//! Folds multiplications and additions of constants into the operator before them.

use super::{
    Pass,
    constants::fixed,
    linear::{Affine, Folding, Linear, fold_all},
};
use crate::{
    error::Result,
    ir::{Model, OpId},
    operators::is_standard,
};

/// Folds Mul, Div, Add and Sub of a constant, one number or one for each channel, into the weight and
/// bias of the Conv, ConvTranspose or Gemm before it, where nothing else reads what lies between; Mul
/// and Div into the weight of a MatMul too, which has no bias.
///
/// A weight that others read too is not multiplied: the copy would cost more than the operator.
///
/// ```
/// use onnx_quant::{Model, passes::{FoldScales, Pass}};
/// let mut model = Model::load("testdata/kws_dscnn.onnx")?;
/// FoldScales.run(&mut model)?;
/// assert!(!FoldScales.run(&mut model)?);
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct FoldScales;

impl Pass for FoldScales {
    fn name(&self) -> &'static str {
        "fold-scales"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        fold_all(model, scaled)
    }
}

fn scaled(model: &Model, id: OpId) -> Option<Folding> {
    let op = model.op(id);
    let known = is_standard(model, id) && matches!(op.op_type(), "Mul" | "Div" | "Add" | "Sub");
    // Before opset 7 an attribute says along which axis the constant is broadcast.
    if !known || model.opset(op.scope()) < 7 {
        return None;
    }
    let [Some(left), Some(right)] = model.inputs(id)[..] else { return None };
    let [Some(output)] = model.outputs(id)[..] else { return None };
    let (input, constant, constant_is_left) = match fixed(model, right) {
        Some(_) => (left, right, false),
        None => (right, left, true),
    };
    let linear = Linear::behind(model, input, id)?;
    let values = linear.per_channel(model, &*fixed(model, constant)?)?;
    let all = |value: f64| Some(vec![value; values.len()]);
    let affine = match (op.op_type(), constant_is_left) {
        ("Mul", _) => Affine { scale: Some(values), shift: None },
        ("Div", false) => Affine { scale: Some(values.iter().map(|value| value.recip()).collect()), shift: None },
        ("Add", _) => Affine { scale: None, shift: Some(values) },
        ("Sub", false) => Affine { scale: None, shift: Some(values.iter().map(|value| -value).collect()) },
        ("Sub", true) => Affine { scale: all(-1.0), shift: Some(values) },
        _ => return None,
    };
    if affine.scale.is_some() && linear.shares_weight(model) || affine.shift.is_some() && !linear.has_bias() {
        return None;
    }
    Some(Folding { linear, affine, input, output, constants: vec![constant] })
}
