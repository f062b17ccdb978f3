//! Folds multiplications and additions of constants into the operator before them.

use super::{
    Pass,
    constants::{fixed, remove_unread},
    linear::{Affine, Linear},
};
use crate::{
    error::Result,
    ir::{Model, OpId, ValueId},
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
        let mut gone = Vec::new();
        let mut unread = Vec::new();
        // One after the other may stand in any order in the file.
        let mut waiting: Vec<OpId> = model.ops().collect();
        waiting.reverse();
        while let Some(op) = waiting.pop() {
            // It was listed twice, and folded.
            if !model.contains_op(op) {
                continue;
            }
            let Some(Scaled { linear, affine, input, constant, output }) = scaled(model, op) else { continue };
            let Some(replaced) = linear.fold(model, &affine)? else { continue };
            unread.extend(replaced);
            unread.push(constant);
            model.remove_op(op);
            model.set_output(linear.op, 0, output);
            gone.push(input);
            waiting.extend(model.uses(output).into_iter().map(|use_| use_.op));
        }
        let changed = !gone.is_empty();
        model.remove_values(gone);
        remove_unread(model, unread);
        Ok(changed)
    }
}

/// An operator with a constant and what it follows.
struct Scaled {
    linear: Linear,
    affine: Affine,
    /// The value between.
    input: ValueId,
    constant: ValueId,
    output: ValueId,
}

fn scaled(model: &Model, id: OpId) -> Option<Scaled> {
    let op = model.op(id);
    let known = op.domain().is_empty() && matches!(op.op_type(), "Mul" | "Div" | "Add" | "Sub");
    // Before opset 7 an attribute says along which axis the constant is broadcast.
    if !known || model.called_function(id).is_some() || model.opset(op.scope()) < 7 {
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
    Some(Scaled { linear, affine, input, constant, output })
}
