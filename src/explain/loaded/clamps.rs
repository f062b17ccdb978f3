//! A Relu or Clip goes that the QuantizeLinear after it makes redundant: no integer stands for what it cuts off.

use super::{Fate, Loaded};
use crate::{
    ir::{DataType, Model, OpId, Use, ValueId},
    operators::{Interval, clamp_bounds},
    targets::{is_quantizer, quantized},
};

pub(super) fn absorb(loaded: &mut Loaded) {
    for op in loaded.model.ops().collect::<Vec<_>>() {
        let model = &mut loaded.model;
        let Some((input, use_)) = redundant(model, op) else { continue };
        model.set_input(use_, input);
        model.remove_op(op);
        if let Some(before) = model.producer(input) {
            loaded.fates.insert(op, Fate::Clamp(before));
        } else {
            loaded.fates.insert(op, Fate::Identity);
        }
    }
}

/// What a redundant Relu or Clip reads, and the use of what it makes.
fn redundant(model: &Model, op: OpId) -> Option<(ValueId, Use)> {
    let bounds = clamp_bounds(model, op)?;
    let clamped = model.outputs(op).first().copied().flatten()?;
    let use_ = model.only_use(clamped).filter(|&use_| is_quantizer(model, use_) && !model.is_output(clamped))?;
    let range = range(model, use_.op)?;
    let within = bounds.min - range.min <= f32::EPSILON && range.max - bounds.max <= f32::EPSILON;
    within.then_some((model.input(op, 0)?, use_))
}

/// The numbers that the integers of a QuantizeLinear stand for.
fn range(model: &Model, op: OpId) -> Option<Interval> {
    let made = model.outputs(op).first().copied().flatten()?;
    let quantized = quantized(model, op, made);
    let (&[scale], zero_points) = (quantized.scales.as_deref()?, quantized.zero_points.as_deref()?) else {
        return None;
    };
    let zero_point = zero_points.first().copied().unwrap_or(0);
    let (least, most) = match quantized.dtype? {
        DataType::Uint8 => (0, 255),
        DataType::Int8 => (-128, 127),
        DataType::Uint16 => (0, 65535),
        DataType::Int16 => (-32768, 32767),
        _ => return None,
    };
    let real = |integer: i64| (integer - zero_point) as f32 * scale;
    Some(Interval { min: real(least), max: real(most) })
}
