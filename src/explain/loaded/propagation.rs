//! Pairs spread through operators that only move data: a pair before one is also made after it, and one after
//! it also before.

use super::Loaded;
use crate::{
    ir::{Model, NewOp, OpId, ValueId},
    operators::is_standard,
    targets::{Mover, Target, is_dequantizer, is_quantizer},
};

/// Through what the target lists; `both`: also a pair after such an operator to before it.
pub(super) fn propagate(loaded: &mut Loaded, target: &Target, both: bool) {
    for op in loaded.model.ops().collect::<Vec<_>>() {
        if is_dequantizer(&loaded.model, op) {
            forward(loaded, target, op);
        }
    }
    if !both {
        return;
    }
    for op in loaded.model.ops().collect::<Vec<_>>() {
        if loaded.model.op(op).op_type() == "QuantizeLinear" {
            backward(loaded, target, op);
        }
    }
}

fn moves(model: &Model, target: &Target, op: OpId) -> bool {
    let operator = model.op(op);
    let opset = model.opset(operator.scope());
    let known = |mover: &Mover| mover.operator == operator.op_type() && opset >= mover.opset;
    is_standard(model, op) && target.description().moves.iter().any(known)
}

/// What an operator makes first.
fn made(model: &Model, op: OpId) -> Option<ValueId> {
    model.outputs(op).first().copied().flatten()
}

/// A pair before operators that move data is made after each of them too.
fn forward(loaded: &mut Loaded, target: &Target, pair: OpId) {
    let model = &loaded.model;
    let computed = model.input(pair, 0).is_some_and(|integers| model.constant(integers).is_none());
    let next = made(model, pair).filter(|&it| !model.is_output(it)).and_then(|it| model.only_use(it));
    let Some(next) = next.filter(|next| computed && next.slot == 0 && one_scale(model, pair)) else { return };
    let mut waiting = vec![next.op];
    while let Some(op) = waiting.pop() {
        let model = &mut loaded.model;
        let Some(output) = made(model, op).filter(|_| moves(model, target, op)) else { continue };
        let uses = model.uses(output);
        if model.is_output(output) {
            if uses.is_empty() {
                insert(loaded, op, output, pair, pair);
            }
            continue;
        }
        let readers: Vec<_> = uses.into_iter().filter(|&use_| !is_quantizer(model, use_)).collect();
        if readers.is_empty() {
            continue;
        }
        let scope = model.op(op).scope();
        let before = model.op_after(op);
        let parameters: Vec<ValueId> = [1, 2].into_iter().filter_map(|slot| model.input(pair, slot)).collect();
        let integers = model.new_value(scope, "integers");
        let inputs = std::iter::once(output).chain(parameters.iter().copied()).collect();
        let quantizer =
            NewOp { op_type: "QuantizeLinear", name: String::new(), inputs, output: integers, attributes: vec![] };
        let quantizer = model.insert_op(scope, before, quantizer);
        let mut copies = vec![quantizer];
        for use_ in readers {
            let number = model.new_value(scope, "made");
            let inputs = std::iter::once(integers).chain(parameters.iter().copied()).collect();
            let new =
                NewOp { op_type: "DequantizeLinear", name: String::new(), inputs, output: number, attributes: vec![] };
            copies.push(model.insert_op(scope, before, new));
            model.set_input(use_, number);
            if use_.slot == 0 {
                waiting.push(use_.op);
            }
        }
        loaded.copies.entry(pair).or_default().extend(copies);
    }
}

/// A pair after operators that move data is made before each of them too.
fn backward(loaded: &mut Loaded, target: &Target, pair: OpId) {
    let mut quantizer = pair;
    loop {
        let model = &loaded.model;
        if !one_scale(model, pair) {
            return;
        }
        let alone = |value: ValueId| model.only_use(value).is_some() && !model.is_output(value);
        let Some(value) = model.input(quantizer, 0).filter(|&value| alone(value)) else { return };
        let Some(op) = model.producer(value).filter(|&op| moves(model, target, op)) else { return };
        let Some(input) = model.input(op, 0).filter(|&it| alone(it) && model.constant(it).is_none()) else { return };
        let Some(maker) = model.producer(input).filter(|&maker| !is_dequantizer(model, maker)) else { return };
        let Some(before) = insert(loaded, maker, input, pair, pair) else { return };
        quantizer = before;
    }
}

/// Whether a QuantizeLinear or DequantizeLinear has one scale, and a zero point or none.
fn one_scale(model: &Model, op: OpId) -> bool {
    let one = |value: ValueId| model.constant(value).is_some_and(|it| it.element_count() == 1);
    model.input(op, 1).is_some_and(one) && model.input(op, 2).is_none_or(one)
}

/// Puts a pair with the parameters of `like` on what `maker` makes; its QuantizeLinear.
fn insert(loaded: &mut Loaded, maker: OpId, value: ValueId, like: OpId, original: OpId) -> Option<OpId> {
    let model = &mut loaded.model;
    let slot = model.outputs(maker).iter().position(|made| *made == Some(value))?;
    let scope = model.op(maker).scope();
    let parameters = [model.input(like, 1), model.input(like, 2)];
    let before = model.op_after(maker);
    let made = model.new_value(scope, "made");
    let integers = model.new_value(scope, "integers");
    model.set_output(maker, slot, made);
    let pair = [("QuantizeLinear", made, integers), ("DequantizeLinear", integers, value)];
    let [quantizer, dequantizer] = pair.map(|(op_type, input, output)| {
        let inputs = std::iter::once(input).chain(parameters.into_iter().flatten()).collect();
        let new = NewOp { op_type, name: String::new(), inputs, output, attributes: Vec::new() };
        model.insert_op(scope, before, new)
    });
    loaded.copies.entry(original).or_default().extend([quantizer, dequantizer]);
    Some(quantizer)
}
