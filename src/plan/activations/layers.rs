//! Layers: operators with weights, and what each needs to become an integer kernel.

use super::{FloatReason, existing_qdq};
use crate::{
    ir::{DataType, Model, OpId, Use, ValueId, type_name},
    operators::{Interval, clamp_bounds, is_constant, normalize_axis, weight_axes},
    plan::trace::{Origin, origin},
    targets::{BiasForm, Condition, Role, Target},
};

/// A layer that can become an integer kernel.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub op: OpId,
    /// The target's rule that its kernel is known by.
    pub rule: String,
    /// The activation it reads.
    pub input: Use,
    pub weight: Use,
    /// The scales of a weight that is quantized already.
    pub given_scales: Option<Vec<f32>>,
    pub bias: Option<Use>,
    /// What it gives: its output, or that of the Relu or Clip that its QuantizeLinear makes redundant.
    pub output: ValueId,
    /// What such a Relu or Clip limits the output to.
    pub bounds: Interval,
    /// Whether its output must be quantized.
    pub to_integers: bool,
    /// Whether its output is quantized already.
    pub made_as_integers: bool,
}

/// Operators that have weights, whether there are integer kernels for them or not.
pub(in crate::plan) fn is_layer(model: &Model, op: OpId) -> bool {
    let operator = model.op(op);
    !operator.is("Gather") && (0..model.inputs(op).len()).any(|slot| weight_axes(operator, slot, 3).is_some())
}

/// A layer, or why it stays float. `absorbs` says whether a QuantizeLinear makes a Relu before it
/// redundant.
pub(super) fn layer(model: &Model, target: &Target, op: OpId, absorbs: bool) -> Result<Layer, FloatReason> {
    let operator = model.op(op);
    let kernel = target.kernel(model, op).filter(|kernel| kernel.role == Role::Layer);
    let kernel = kernel.ok_or_else(|| no_kernel(model, target, op))?;
    let unsupported = |what: &str| Err(FloatReason::Unsupported { what: what.to_owned() });
    if operator.is("Gemm") {
        if operator.int("transA").unwrap_or(0) != 0 || operator.refers_to_caller("transA") {
            return unsupported("transposed input");
        }
        if operator.refers_to_caller("transB") {
            return unsupported("transposition of its weight that a function's caller decides");
        }
    }
    let inputs = model.inputs(op);
    let (Some(Some(_)), Some(Some(weight))) = (inputs.first(), inputs.get(1)) else {
        return unsupported("missing input");
    };
    let weight_use = Use { op, slot: 1 };
    let given = existing_qdq::weight(model, *weight);
    let tensor = match &given {
        Some(given) => given.tensor.clone(),
        None => model.constant(*weight).ok_or_else(|| no_constant(model, op, *weight))?,
    };
    if given.is_none() && tensor.dtype() != DataType::Float {
        return unsupported(type_name(tensor.dtype()));
    }
    let rank = tensor.shape().len();
    if operator.is("MatMul") && rank != 2 {
        return unsupported(&format!("weight of {rank} axes"));
    }
    let channel_axis = weight_axes(operator, 1, rank).and_then(|axes| axes.channels);
    let channels = channel_axis.map(|axis| tensor.shape()[axis]);
    if let Some(axis) = given.as_ref().and_then(|given| given.axis)
        && normalize_axis(axis, rank) != channel_axis
    {
        return unsupported("weight with scales along another axis than that of its channels");
    }
    let bias = match inputs.get(2).copied().flatten() {
        None => None,
        Some(_) if target.writes().bias == BiasForm::Float => None,
        Some(bias) if existing_qdq::is_dequantized_constant(model, bias) => None,
        Some(bias) => {
            let tensor = model.fixed(bias).ok_or(FloatReason::ComputedBias)?;
            let elements = match tensor.shape()[..] {
                [elements] | [1, elements] => elements,
                _ => return unsupported("bias that is no vector"),
            };
            if channels != Some(elements) {
                return unsupported("bias without an element for each channel");
            }
            if !tensor.to_array::<f32>().is_ok_and(|bias| bias.iter().all(|element| element.is_finite())) {
                return unsupported("bias that is not finite");
            }
            Some(Use { op, slot: 2 })
        }
    };
    let Some(Some(output)) = model.outputs(op).first().copied() else { return unsupported("missing output") };
    let (output, bounds) = Some(output)
        .filter(|_| absorbs)
        .and_then(|output| absorbed(model, op, output))
        .unwrap_or((output, Interval::ALL));
    let made_as_integers = existing_qdq::is_quantized(model, output);
    let input = Use { op, slot: 0 };
    let given_scales = given.map(|given| given.scales);
    Ok(Layer {
        op,
        rule: kernel.rule,
        input,
        weight: weight_use,
        given_scales,
        bias,
        output,
        bounds,
        to_integers: kernel.to_integers,
        made_as_integers,
    })
}

/// Why there is no integer kernel for an operator: none for its type, or none for one like it.
pub(super) fn no_kernel(model: &Model, target: &Target, op: OpId) -> FloatReason {
    match target.unmet(model, op) {
        Some(condition) => FloatReason::Unsupported { what: unsupported_by(condition) },
        None => FloatReason::NoKernel { target: target.name().to_owned() },
    }
}

/// What a kernel does not take, where a condition on the operator says so.
pub(in crate::plan) fn unsupported_by(condition: &Condition) -> String {
    match condition {
        Condition::Attribute { name, is, .. } => {
            let numbers: Vec<String> = is.iter().map(f64::to_string).collect();
            format!("{name} but {}", numbers.join(" or "))
        }
        Condition::Text { name, is, .. } => format!("{name} but {}", is.join(" or ")),
        Condition::Ones(name) => format!("{name} but ones"),
        Condition::NoAttribute(name) => name.clone(),
        Condition::Rank { input, is } => {
            let ranks: Vec<String> = is.iter().map(usize::to_string).collect();
            format!("input {input} but of {} axes", ranks.join(" or "))
        }
        Condition::OpsetUntil(opset) => format!("opset above {opset}"),
        Condition::OpsetFrom(opset) => format!("opset below {opset}"),
        Condition::Constant(slot) => format!("input {slot} that is computed"),
        _ => "operator like this".to_owned(),
    }
}

/// Why an operator is no layer whose weight is no constant.
pub(in crate::plan) fn no_constant(model: &Model, op: OpId, weight: ValueId) -> FloatReason {
    if !model.op(op).is("Conv") && model.input(op, 0).is_some_and(|left| is_constant(model, left)) {
        return FloatReason::LeftFactor;
    }
    let by = |op: OpId| model.op(op).describe();
    let what = match origin(model, weight) {
        Origin::Quantized(_) => {
            let what = "weight of this type or with these scales and zero points, which it has from before";
            return FloatReason::Unsupported { what: what.to_owned() };
        }
        Origin::Input(scope) if scope == Model::MAIN => "it is an input of the model".to_owned(),
        Origin::Input(scope) if !model.scope(scope).is_function() => "it is an input of the body around it".to_owned(),
        Origin::Input(_) | Origin::Caller => "each call of the function around it gives its own".to_owned(),
        Origin::Constants(op) => format!("{} makes it of constants when the model runs", by(op)),
        Origin::Computed(op) => format!("{} computes it", by(op)),
    };
    FloatReason::ComputedWeight { what }
}

/// The Relu behind an operator, or the Clip from zero on, whose work the QuantizeLinear behind it does:
/// nothing else reads what is before.
pub(super) fn absorbed(model: &Model, op: OpId, output: ValueId) -> Option<(ValueId, Interval)> {
    let uses = model.uses(output);
    let &[Use { op: next, slot: 0 }] = uses.as_slice() else { return None };
    if model.is_output(output) || model.op(next).scope() != model.op(op).scope() {
        return None;
    }
    let bounds = clamp_bounds(model, next).filter(|bounds| bounds.min == 0.0)?;
    let clamped = model.outputs(next).first().copied().flatten()?;
    Some((clamped, bounds))
}
