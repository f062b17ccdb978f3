//! Operators go that change nothing, because of the constants they read or the sizes they keep.

use super::{Fate, Loaded};
use crate::{
    analysis::Facts,
    ir::{DataType, Model, OpId, ValueId},
    operators::is_standard,
};

pub(super) fn remove(loaded: &mut Loaded) {
    let facts = Facts::as_stated(&loaded.model);
    for op in loaded.model.ops().collect::<Vec<_>>() {
        if let Some(same) = unchanged(&loaded.model, &facts, op) {
            loaded.bypass(op, same, Fate::Identity);
        }
    }
}

/// The value that an operator gives out as it reads it.
fn unchanged(model: &Model, facts: &Facts, op: OpId) -> Option<ValueId> {
    let operator = model.op(op);
    if !is_standard(model, op) {
        return None;
    }
    let input = |slot| model.input(op, slot);
    let output = model.outputs(op).first().copied().flatten()?;
    let keeps_sizes = |value: ValueId| {
        let (before, after) = (facts.shape(value), facts.shape(output));
        before.is_some_and(|sizes| sizes.iter().all(Option::is_some)) && before == after
    };
    match operator.op_type() {
        // A gate takes the factor in.
        "Mul" if is_before_gate(model, op, output) => None,
        "Add" | "Mul" => {
            let neutral = if operator.is("Add") { 0.0 } else { 1.0 };
            let sides = [(input(0)?, input(1)?), (input(1)?, input(0)?)];
            let side = sides.into_iter().find(|&(value, other)| is_filled(model, facts, value, other, neutral));
            side.map(|(value, _)| value)
        }
        "Sub" | "Div" => {
            let neutral = if operator.is("Sub") { 0.0 } else { 1.0 };
            input(0).filter(|&value| input(1).is_some_and(|other| is_filled(model, facts, value, other, neutral)))
        }
        "Reshape" => input(0).filter(|&value| keeps_sizes(value)),
        "Expand" => input(0).filter(|&value| keeps_sizes(value)),
        "Tile" => input(0).filter(|_| input(1).and_then(|it| integers(model, it)).is_some_and(|it| all_are(&it, 1))),
        "Slice" => input(0).filter(|_| takes_all(model, op)),
        _ => None,
    }
}

/// Whether a Sigmoid is all that reads what an operator makes of floats.
fn is_before_gate(model: &Model, op: OpId, made: ValueId) -> bool {
    let makers = model.inputs(op).into_iter().flatten().filter_map(|input| model.producer(input));
    let floats = makers.into_iter().all(|maker| !model.op(maker).is("DequantizeLinear"));
    floats && model.only_use(made).is_some_and(|use_| model.op(use_.op).is("Sigmoid"))
}

/// The most elements of a constant that are looked at.
const MAX_ELEMENTS: usize = 1 << 16;

/// Whether a constant is the same number all over, and does not make what it is applied to larger.
fn is_filled(model: &Model, facts: &Facts, value: ValueId, constant: ValueId, number: f32) -> bool {
    let Some(tensor) = model.fixed(constant).filter(|it| it.element_count() <= MAX_ELEMENTS) else { return false };
    let Some(sizes) = facts.shape(value).filter(|sizes| sizes.len() >= tensor.shape().len()) else { return false };
    let shape = tensor.shape();
    let behind = &sizes[sizes.len() - shape.len()..];
    let fits = shape.iter().zip(behind).all(|(&size, &known)| size == 1 || known == Some(size));
    fits && model.fixed(value).is_none()
        && tensor.element_count() > 0
        && tensor.to_array::<f32>().is_ok_and(|all| all.iter().all(|&it| it == number))
}

fn integers(model: &Model, value: ValueId) -> Option<Vec<i64>> {
    Some(model.fixed(value)?.to_array::<i64>().ok()?.into_iter().collect())
}

fn all_are(list: &[i64], number: i64) -> bool {
    list.iter().all(|&it| it == number)
}

/// Whether a Slice takes everything.
fn takes_all(model: &Model, op: OpId) -> bool {
    let operator = model.op(op);
    let list = |name: &str, slot: usize| match operator.ints(name) {
        Some(list) => Some(list.to_vec()),
        None => integers(model, model.input(op, slot)?),
    };
    let steps = model.input(op, 4).is_none_or(|steps| integers(model, steps).is_some_and(|it| all_are(&it, 1)));
    let starts = list("starts", 1).is_some_and(|it| all_are(&it, 0));
    // The largest number of their type is what means the end.
    let wide = operator.ints("ends").is_some()
        || model.input(op, 2).and_then(|ends| model.fixed(ends)).is_some_and(|ends| ends.dtype() == DataType::Int64);
    let all = if wide { i64::MAX } else { i64::from(i32::MAX) };
    steps && starts && list("ends", 2).is_some_and(|ends| all_are(&ends, all))
}
