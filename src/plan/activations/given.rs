//! What is quantized already, by training for quantization: its parameters are kept.

use crate::{
    ir::{DataType, Model, OpId, ValueId},
    numeric::QuantParams,
};

/// The parameters of a value that a DequantizeLinear with one scale makes of integers of 8 or 16 bits, computed ones:
/// an activation.
pub(super) fn activation(model: &Model, value: ValueId) -> Option<QuantParams> {
    let op = dequantizes(model, value)?;
    let inputs = model.inputs(op);
    let integers = inputs.first().copied().flatten()?;
    if model.constant(integers).is_some() {
        return None;
    }
    let (scales, zero_points) = parameters(model, op)?;
    match (scales.as_slice(), zero_points.as_slice()) {
        (&[scale], &[zero_point]) => Some(QuantParams { scale, zero_point }),
        _ => None,
    }
}

/// The scales of a symmetric weight that a DequantizeLinear makes of constant int8, or of what a
/// QuantizeLinear makes of a constant.
pub(super) fn weight(model: &Model, value: ValueId) -> Option<Vec<f32>> {
    let op = dequantizes(model, value)?;
    let integers = model.input(op, 0)?;
    let of_constant = |op: OpId| model.op(op).is("QuantizeLinear") && constant_input(model, op);
    if model.constant(integers).is_none() && !model.producer(integers).is_some_and(of_constant) {
        return None;
    }
    let (scales, zero_points) = parameters(model, op)?;
    zero_points.iter().all(|&zero_point| zero_point == 0).then_some(scales)
}

/// Whether a DequantizeLinear makes a value of constant integers: an int32 bias.
pub(super) fn is_dequantized_constant(model: &Model, value: ValueId) -> bool {
    dequantizes(model, value).is_some_and(|op| constant_input(model, op))
}

/// Whether all that read a value are QuantizeLinear, one of them.
pub(super) fn is_quantized(model: &Model, value: ValueId) -> bool {
    let uses = model.uses(value);
    let [only] = uses.as_slice() else { return false };
    only.slot == 0 && model.op(only.op).is("QuantizeLinear") && !model.is_output(value)
}

fn constant_input(model: &Model, op: OpId) -> bool {
    model.input(op, 0).is_some_and(|input| model.constant(input).is_some())
}

fn dequantizes(model: &Model, value: ValueId) -> Option<OpId> {
    model.producer(value).filter(|&op| model.op(op).is("DequantizeLinear") && model.op(op).int("block_size").is_none())
}

/// Scales and zero points of a DequantizeLinear with integers of 8 or 16 bits.
fn parameters(model: &Model, op: OpId) -> Option<(Vec<f32>, Vec<i32>)> {
    let scales: Vec<f32> = model.constant(model.input(op, 1)?)?.to_f32().ok()?.iter().copied().collect();
    let zero_point = model.constant(model.input(op, 2)?)?;
    let bytes = zero_point.bytes().ok()?;
    let zero_points = match zero_point.dtype() {
        DataType::Int8 => bytes.iter().map(|&byte| i32::from(byte as i8)).collect(),
        DataType::Uint8 => bytes.iter().map(|&byte| i32::from(byte)).collect(),
        DataType::Int16 => bytes.as_chunks().0.iter().map(|&pair| i32::from(i16::from_le_bytes(pair))).collect(),
        DataType::Uint16 => bytes.as_chunks().0.iter().map(|&pair| i32::from(u16::from_le_bytes(pair))).collect(),
        _ => return None,
    };
    Some((scales, zero_points))
}
