//! What is quantized already, by training for quantization: its parameters are kept.

use std::borrow::Cow;

use crate::{
    ir::{DataType, Model, OpId, Tensor, ValueId},
    numeric::{QuantParams, QuantizedType},
};

/// The parameters of a value that a DequantizeLinear with one scale makes of integers of 8 or 16 bits, computed ones:
/// an activation.
pub(super) fn activation(model: &Model, value: ValueId) -> Option<(QuantParams, QuantizedType)> {
    let op = dequantizes(model, value)?;
    let inputs = model.inputs(op);
    let integers = inputs.first().copied().flatten()?;
    if model.constant(integers).is_some() {
        return None;
    }
    let (scales, zero_points, ty) = parameters(model, op)?;
    match (scales.as_slice(), zero_points.as_slice()) {
        (&[scale], &[zero_point]) => Some((QuantParams { scale, zero_point }, ty)),
        _ => None,
    }
}

/// Whether a value is dequantized from int8, an activation.
pub(crate) fn quantized_to_int8(model: &Model, value: ValueId) -> bool {
    activation(model, value).is_some_and(|(_, ty)| ty == QuantizedType::Int8)
}

/// A weight that is quantized already: its scales, the axis that they run along if there are several, and
/// a tensor of its shape.
pub(super) struct Weight<'a> {
    pub scales: Vec<f32>,
    pub axis: Option<i64>,
    pub tensor: Cow<'a, Tensor>,
}

/// The weight that a DequantizeLinear makes of constant 8-bit integers with one zero point, or of those which
/// a QuantizeLinear makes of a constant.
pub(super) fn weight(model: &Model, value: ValueId) -> Option<Weight<'_>> {
    let op = dequantizes(model, value)?;
    let integers = model.input(op, 0)?;
    let quantize = model.producer(integers).filter(|&op| model.op(op).is("QuantizeLinear"));
    let tensor = model.fixed(quantize.and_then(|op| model.input(op, 0)).unwrap_or(integers))?;
    let (scales, zero_points, ty) = parameters(model, op)?;
    let axis = (scales.len() > 1).then(|| model.op(op).int("axis").unwrap_or(1));
    let one_zero_point = zero_points.iter().all(|zero_point| Some(zero_point) == zero_points.first());
    (one_zero_point && ty.bits() == 8).then_some(Weight { scales, axis, tensor })
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
    let plain = |op: &OpId| {
        let op = model.op(*op);
        op.is("DequantizeLinear") && op.int("block_size").unwrap_or(0) == 0 && !op.has_attributes_of_caller()
    };
    model.producer(value).filter(plain)
}

/// Scales and zero points of a DequantizeLinear with integers of 8 or 16 bits, and which. Zero points that
/// are left out are zero, those of a QuantizeLinear before it then of type uint8.
fn parameters(model: &Model, op: OpId) -> Option<(Vec<f32>, Vec<i32>, QuantizedType)> {
    let scales: Vec<f32> = model.fixed(model.input(op, 1)?)?.to_array::<f32>().ok()?.iter().copied().collect();
    let Some(zero_point) = model.input(op, 2) else {
        let dtype = model.constant(model.input(op, 0)?).map_or(DataType::Uint8, |tensor| tensor.dtype());
        let zero_points = vec![0; scales.len()];
        return Some((scales, zero_points, quantized_type(dtype)?));
    };
    let zero_point = model.fixed(zero_point)?;
    let bytes = zero_point.bytes().ok()?;
    let ty = quantized_type(zero_point.dtype())?;
    let zero_points = match ty {
        QuantizedType::Int8 => bytes.iter().map(|&byte| i32::from(byte as i8)).collect(),
        QuantizedType::Int16 => bytes.as_chunks().0.iter().map(|&pair| i32::from(i16::from_le_bytes(pair))).collect(),
        QuantizedType::UInt16 => bytes.as_chunks().0.iter().map(|&pair| i32::from(u16::from_le_bytes(pair))).collect(),
        _ => bytes.iter().map(|&byte| i32::from(byte)).collect(),
    };
    Some((scales, zero_points, ty))
}

fn quantized_type(dtype: DataType) -> Option<QuantizedType> {
    Some(match dtype {
        DataType::Int8 => QuantizedType::Int8,
        DataType::Uint8 => QuantizedType::UInt8,
        DataType::Int16 => QuantizedType::Int16,
        DataType::Uint16 => QuantizedType::UInt16,
        _ => return None,
    })
}
