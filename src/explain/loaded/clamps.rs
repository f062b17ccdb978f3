//! A Relu or Clip goes that the QuantizeLinear after it makes redundant: no integer stands for what it cuts off.

use super::{Fate, Loaded};
use crate::{
    ir::{Model, OpId, Use, ValueId},
    operators::clamp_bounds,
    targets::{is_quantizer, quantized},
};

pub(super) fn absorb(loaded: &mut Loaded) {
    for op in loaded.model.ops().collect::<Vec<_>>() {
        let model = &mut loaded.model;
        let Some((input, use_)) = redundant(model, op) else { continue };
        let before = model.producer(input);
        if before.is_none() && model.op(op).is("Clip") {
            continue;
        }
        model.set_input(use_, input);
        model.remove_op(op);
        loaded.fates.insert(op, Fate::Clamp { before, after: use_.op });
    }
}

/// What a redundant Relu or Clip reads, and the use of what it makes.
fn redundant(model: &Model, op: OpId) -> Option<(ValueId, Use)> {
    let bounds = clamp_bounds(model, op)?;
    let clamped = model.outputs(op).first().copied().flatten()?;
    let use_ = model.only_use(clamped).filter(|&use_| is_quantizer(model, use_) && !model.is_output(clamped))?;
    let made = model.outputs(use_.op).first().copied().flatten()?;
    let range = quantized(model, use_.op, made).range()?;
    let within = bounds.min - range.min <= f32::EPSILON && range.max - bounds.max <= f32::EPSILON;
    within.then_some((model.input(op, 0)?, use_))
}
