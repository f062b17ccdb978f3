//! Pairs spread through operators that only move data: a pair before one is also made after it, and one after
//! it also before.

use super::Loaded;
use crate::{
    ir::{Model, NewOp, OpId, ValueId},
    operators::is_standard,
    targets::{is_dequantizer, is_quantizer},
};

/// What pairs spread through.
const MOVES: [&str; 6] = ["MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"];

pub(super) fn propagate(loaded: &mut Loaded) {
    let model = &mut loaded.model;
    for op in model.ops().collect::<Vec<_>>() {
        forward(model, op);
    }
    let mut ops: Vec<OpId> = model.ops().collect();
    ops.reverse();
    for op in ops {
        backward(model, op);
    }
}

/// What an operator that only moves data reads and makes.
fn moved(model: &Model, op: OpId) -> Option<(ValueId, ValueId)> {
    if !is_standard(model, op) || !MOVES.contains(&model.op(op).op_type()) {
        return None;
    }
    let [Some(output)] = model.outputs(op)[..] else { return None };
    Some((model.input(op, 0)?, output))
}

/// A pair before the operator is made after it too, unless one is there.
fn forward(model: &mut Model, op: OpId) {
    let Some((input, output)) = moved(model, op) else { return };
    let Some(pair) = model.producer(input).filter(|&pair| is_dequantizer(model, pair) && one_scale(model, pair)) else {
        return;
    };
    let computed = model.input(pair, 0).is_some_and(|integers| model.constant(integers).is_none());
    let uses = model.uses(output);
    let alone = model.only_use(input).is_some() && !model.is_output(input);
    if !computed || !alone || uses.is_empty() && !model.is_output(output) {
        return;
    }
    if uses.iter().any(|&use_| is_quantizer(model, use_)) {
        return;
    }
    insert(model, op, output, pair);
}

/// A pair after the operator is made before it too, unless one is there.
fn backward(model: &mut Model, op: OpId) {
    let Some((input, output)) = moved(model, op) else { return };
    let Some(use_) = model.only_use(output).filter(|&use_| is_quantizer(model, use_) && !model.is_output(output))
    else {
        return;
    };
    if !one_scale(model, use_.op) || model.constant(input).is_some() {
        return;
    }
    let Some(maker) = model.producer(input).filter(|&maker| !is_dequantizer(model, maker)) else { return };
    if model.only_use(input).is_none() || model.is_output(input) {
        return;
    }
    insert(model, maker, input, use_.op);
}

/// Whether a QuantizeLinear or DequantizeLinear has one scale, and a zero point.
fn one_scale(model: &Model, op: OpId) -> bool {
    let one = |slot| model.input(op, slot).and_then(|it| model.constant(it)).is_some_and(|it| it.element_count() == 1);
    one(1) && one(2)
}

/// Puts a pair with the parameters of `like` on what `maker` makes.
fn insert(model: &mut Model, maker: OpId, value: ValueId, like: OpId) {
    let Some(slot) = model.outputs(maker).iter().position(|made| *made == Some(value)) else { return };
    let scope = model.op(maker).scope();
    let parameters = [model.input(like, 1), model.input(like, 2)];
    let before = model.op_after(maker);
    let made = model.new_value(scope, "made");
    let integers = model.new_value(scope, "integers");
    model.set_output(maker, slot, made);
    for (op_type, input, output) in [("QuantizeLinear", made, integers), ("DequantizeLinear", integers, value)] {
        let inputs = std::iter::once(input).chain(parameters.into_iter().flatten()).collect();
        model.insert_op(scope, before, NewOp { op_type, name: String::new(), inputs, output, attributes: Vec::new() });
    }
}
