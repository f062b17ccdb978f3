//! A Reshape whose shape is put together from sizes of what it reads takes a constant one: 0 stands for a size that
//! stays.

use super::Loaded;
use crate::{
    ir::{DataType, Model, OpId, Tensor, Use, ValueId},
    operators::is_standard,
};

pub(super) fn fuse(loaded: &mut Loaded) {
    let model = &mut loaded.model;
    for op in model.ops().collect::<Vec<_>>() {
        let Some(sizes) = constant_sizes(model, op) else { continue };
        let bytes: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
        let Ok(tensor) = Tensor::from_bytes("shape", DataType::Int64, &[sizes.len()], bytes) else { continue };
        let scope = model.op(op).scope();
        let value = model.new_constant(scope, tensor, None, Some(op));
        model.set_input(Use { op, slot: 1 }, value);
    }
}

/// The sizes that a Reshape makes, as it takes them, where they can be constant: at most one is computed otherwise.
fn constant_sizes(model: &Model, op: OpId) -> Option<Vec<i64>> {
    let is = |op: OpId, op_type: &str| model.op(op).is(op_type) && is_standard(model, op);
    if !is(op, "Reshape") || model.op(op).int("allowzero").unwrap_or(0) != 0 {
        return None;
    }
    let data = model.input(op, 0)?;
    let concat = model.producer(model.input(op, 1)?).filter(|&concat| is(concat, "Concat"))?;
    let mut sizes = Vec::new();
    let mut computed = 0;
    for part in model.inputs(concat).into_iter().flatten() {
        if let Some(tensor) = model.fixed(part) {
            sizes.extend(tensor.to_array::<i64>().ok()?.iter());
        } else if is_size(model, part, data, sizes.len()) {
            sizes.push(0);
        } else {
            sizes.push(-1);
            computed += 1;
        }
    }
    let open = sizes.iter().filter(|&&size| size == -1).count();
    (computed <= 1 && open <= 1).then_some(sizes)
}

/// Whether a vector of one element is the size of an axis of `data`.
fn is_size(model: &Model, part: ValueId, data: ValueId, axis: usize) -> bool {
    let made_by = |value: ValueId, op_type: &str| {
        model.producer(value).filter(|&op| model.op(op).is(op_type) && is_standard(model, op))
    };
    let constant = |op: OpId, slot: usize| {
        let tensor = model.input(op, slot).and_then(|it| model.fixed(it))?;
        let list: Vec<i64> = tensor.to_array::<i64>().ok()?.into_iter().collect();
        <[i64; 1]>::try_from(list).ok().map(|[only]| only)
    };
    let of_data = |op: OpId| {
        let shape = model.input(op, 0).and_then(|shape| made_by(shape, "Shape"));
        shape.is_some_and(|shape| model.input(shape, 0) == Some(data))
    };
    let axis = axis as i64;
    if let Some(slice) = made_by(part, "Slice") {
        return of_data(slice) && constant(slice, 1) == Some(axis) && constant(slice, 2) == Some(axis + 1);
    }
    let gather = made_by(part, "Unsqueeze").and_then(|unsqueeze| made_by(model.input(unsqueeze, 0)?, "Gather"));
    gather.is_some_and(|gather| of_data(gather) && constant(gather, 1) == Some(axis))
}
