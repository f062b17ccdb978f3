//! Of two pairs of QuantizeLinear and DequantizeLinear in a row one goes: the DequantizeLinear of the first and
//! the QuantizeLinear of the second. What is left of both takes the range that both have.

use super::{Fate, Loaded};
use crate::{
    ir::{DataType, Model, OpId, Tensor, Use, ValueId},
    targets::{Quantized, is_dequantizer, is_quantizer, quantized},
};

pub(super) fn merge(loaded: &mut Loaded) {
    let model = &mut loaded.model;
    for first in model.ops().collect::<Vec<_>>() {
        let Some(merge) = between(model, first) else { continue };
        let Some(integers) = model.input(first, 0) else { continue };
        model.set_input(Use { op: merge.end, slot: 0 }, integers);
        if let Some((scale, zero_point)) = merge.parameters {
            let scope = model.op(first).scope();
            let parameters = [scale, zero_point].map(|tensor| model.new_constant(scope, tensor, None, Some(first)));
            for op in [merge.begin, merge.end] {
                for (slot, value) in (1..).zip(parameters) {
                    model.set_input(Use { op, slot }, value);
                }
            }
        }
        for op in [merge.second, first] {
            model.remove_op(op);
            loaded.fates.insert(op, Fate::MergedPair);
        }
    }
}

/// Two pairs in a row: the QuantizeLinear of the first, that of the second, and the DequantizeLinear of that.
struct Merge {
    begin: OpId,
    second: OpId,
    end: OpId,
    /// What scale and zero point become of what is left, where the pairs differ.
    parameters: Option<(Tensor, Tensor)>,
}

/// Whether a DequantizeLinear ends a pair that another one begins after.
fn between(model: &Model, first: OpId) -> Option<Merge> {
    if !model.contains_op(first) || !is_dequantizer(model, first) {
        return None;
    }
    let alone = |value: ValueId| model.only_use(value).filter(|_| !model.is_output(value));
    let made = |op: OpId| model.outputs(op).first().copied().flatten();
    let integers = model.input(first, 0)?;
    let begin = alone(integers).and_then(|_| model.producer(integers))?;
    let second = alone(made(first)?).filter(|&use_| is_quantizer(model, use_))?.op;
    let end = alone(made(second)?).filter(|use_| is_dequantizer(model, use_.op) && use_.slot == 0)?.op;
    if model.op(begin).op_type() != "QuantizeLinear" || model.op(begin).scope() != model.op(end).scope() {
        return None;
    }
    let of = |op: OpId| Some(quantized(model, op, made(op)?));
    let (one, other) = (parameters(&of(first)?)?, parameters(&of(second)?)?);
    if parameters(&of(begin)?)? != one || parameters(&of(end)?)? != other || one.0 != other.0 {
        return None;
    }
    Some(Merge { begin, second, end, parameters: if one == other { None } else { Some(common(one, other)?) } })
}

/// Type, scale and zero point of what has one of each.
fn parameters(quantized: &Quantized) -> Option<(DataType, f32, i64)> {
    let (&[scale], &[zero_point]) = (quantized.scales.as_deref()?, quantized.zero_points.as_deref()?) else {
        return None;
    };
    let dtype = quantized.dtype.filter(|it| matches!(it, DataType::Int8 | DataType::Uint8))?;
    (quantized.block.is_none() && quantized.float == Some(DataType::Float)).then_some((dtype, scale, zero_point))
}

/// Scale and zero point of the range that two have in common.
fn common(one: (DataType, f32, i64), other: (DataType, f32, i64)) -> Option<(Tensor, Tensor)> {
    let (least, most) = if one.0 == DataType::Uint8 { (0, 255) } else { (-128, 127) };
    let real = |(_, scale, zero): (DataType, f32, i64), integer: i64| (integer - zero) as f32 * scale;
    let min = real(one, least).max(real(other, least));
    let max = real(one, most).min(real(other, most));
    let scale = (max - min) / 255.0;
    let zero_point = (least as f32 - min / scale).round() as i64;
    let scale = Tensor::from_bytes("scale", DataType::Float, &[], scale.to_le_bytes().to_vec()).ok()?;
    let zero_point = Tensor::from_bytes("zero_point", one.0, &[], vec![zero_point as u8]).ok()?;
    Some((scale, zero_point))
}
