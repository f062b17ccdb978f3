//! Attributes that became inputs, so that they can be computed.

use super::step::Step;
use crate::{
    error::Result,
    ir::{Attribute, DataType, OpId},
};

/// Opset 5: Reshape's shape.
pub(super) fn reshape(step: &mut Step, op: OpId) -> Result<bool> {
    step.drop_attributes(op, &["consumed_inputs"]);
    let Some(shape) = step.ints(op, "shape")? else {
        return Err(step.refuse("attribute 'shape' is missing, and there is no other form of it"));
    };
    step.model.take_attribute(op, "shape");
    // An empty shape is one: that of a scalar.
    let shape = step.new_ints(op, "shape", &shape)?;
    step.set_input(op, 1, shape);
    Ok(true)
}

/// Opset 10: starts, ends and axes of Slice.
pub(super) fn slice(step: &mut Step, op: OpId) -> Result<bool> {
    step.ints_to_required_input(op, "starts", 1)?;
    step.ints_to_required_input(op, "ends", 2)?;
    step.ints_to_input(op, "axes", 3)?;
    Ok(true)
}

/// Opset 10: how many elements TopK picks.
pub(super) fn top_k(step: &mut Step, op: OpId) -> Result<bool> {
    step.ints_to_required_input(op, "k", 1)
}

/// Opset 11: pads and value of Pad.
pub(super) fn pad(step: &mut Step, op: OpId) -> Result<bool> {
    if let Some(value) = step.float(op, "value")? {
        let dtype = if value == 0.0 { None } else { Some(step.float_type(step.input(op, 0)?)?) };
        step.model.take_attribute(op, "value");
        if let Some((dtype, float)) = dtype {
            let value = step.new_constant(op, "constant_value", dtype, &[], float.encode(std::iter::once(value)))?;
            step.set_input(op, 2, value);
        }
    }
    step.ints_to_required_input(op, "pads", 1)
}

/// Opset 11: the bounds of Clip.
pub(super) fn clip(step: &mut Step, op: OpId) -> Result<bool> {
    let mut changed = false;
    // Bounds that bound nothing are left out: they may not exist in a smaller type.
    for (slot, name, unbounded) in [(1, "min", f32::MIN), (2, "max", f32::MAX)] {
        let Some(bound) = step.float(op, name)? else { continue };
        changed = true;
        if bound == unbounded || bound.is_infinite() && bound.signum() == unbounded.signum() {
            step.model.take_attribute(op, name);
            continue;
        }
        let (dtype, float) = step.float_type(step.input(op, 0)?)?;
        step.model.take_attribute(op, name);
        let bound = step.new_constant(op, name, dtype, &[], float.encode(std::iter::once(bound)))?;
        step.set_input(op, slot, bound);
    }
    Ok(changed)
}

/// Opset 13 (Squeeze, ReduceSum) and 18 (the other reductions): axes, by default all.
pub(super) fn axes(step: &mut Step, op: OpId) -> Result<bool> {
    step.ints_to_input(op, "axes", 1)
}

/// Opset 13: the axes that Unsqueeze adds.
pub(super) fn unsqueeze(step: &mut Step, op: OpId) -> Result<bool> {
    step.ints_to_required_input(op, "axes", 1)
}

/// Opset 13: sizes of the parts of Split.
pub(super) fn split(step: &mut Step, op: OpId) -> Result<bool> {
    step.ints_to_input(op, "split", 1)
}

/// Opset 18: Split into equal parts says how many.
pub(super) fn split_count(step: &mut Step, op: OpId) -> Result<bool> {
    if step.model.input(op, 1).is_some() {
        return Ok(false);
    }
    let parts = step.model.outputs(op).len();
    Ok(step.set_default(op, "num_outputs", Attribute::Int(parts as i64)))
}

/// Opset 2, the other way round: the sizes of Split's parts became an attribute, for a while.
pub(super) fn split_to_attribute(step: &mut Step, op: OpId) -> Result<bool> {
    let named = step.set_default(op, "axis", Attribute::Int(0));
    let Some(sizes) = step.model.input(op, 1) else { return Ok(named) };
    let sizes = step.constant(sizes).and_then(|sizes| match sizes.dtype() {
        // The input had the type of what is split.
        DataType::Float => Some(sizes.to_array::<f32>().ok()?.iter().map(|&size| size as i64).collect()),
        _ => Some(sizes.to_array::<i64>().ok()?.into_iter().collect::<Vec<i64>>()),
    });
    let sizes = sizes.ok_or_else(|| step.refuse("input 1, the sizes of the parts, must be constant"))?;
    step.omit_input(op, 1);
    step.model.set_attribute(op, "split", Attribute::Ints(sizes));
    Ok(true)
}

/// Opset 20: the axis of DFT, which had another default.
pub(super) fn dft_axis(step: &mut Step, op: OpId) -> Result<bool> {
    let axis = step.int(op, "axis")?.unwrap_or(1);
    step.model.take_attribute(op, "axis");
    let axis = step.new_constant(op, "axis", DataType::Int64, &[], axis.to_le_bytes().to_vec())?;
    step.set_input(op, 2, axis);
    Ok(true)
}

/// Opset 7: whether Dropout runs in training is not said any more, but for who runs the model to say.
pub(super) fn dropout_is_test(step: &mut Step, op: OpId) -> Result<bool> {
    Ok(step.drop_attributes(op, &["is_test"]))
}

/// Opset 10: the mask of Dropout is boolean; who reads it gets numbers as before.
pub(super) fn dropout_mask(step: &mut Step, op: OpId) -> Result<bool> {
    if step.model.outputs(op).len() < 2 {
        return Ok(false);
    }
    if !step.is_used(op, 1) {
        step.model.omit_output(op, 1);
        return Ok(true);
    }
    let (dtype, _) = step.float_type(step.input(op, 0)?)?;
    let (mask, boolean) = step.split_output(op, 1, "mask")?;
    step.behind(op, "Cast", &[boolean], vec![("to", Attribute::Int(dtype as i64))], mask);
    Ok(true)
}

/// Opset 12: the ratio of Dropout; that it runs in training is an input too, by default it does not.
pub(super) fn dropout_ratio(step: &mut Step, op: OpId) -> Result<bool> {
    let Some(ratio) = step.float(op, "ratio")? else { return Ok(false) };
    step.model.take_attribute(op, "ratio");
    let ratio = step.new_constant(op, "ratio", DataType::Float, &[], ratio.to_le_bytes().to_vec())?;
    step.set_input(op, 1, ratio);
    Ok(true)
}
