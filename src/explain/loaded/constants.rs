//! What is the same in every run is computed once, and what nothing reads goes.
//!
//! Elements are computed where they are few, because other steps ask for them: sizes, axes, conditions. Of the
//! rest only type and shape are told; no weight is read.

use std::{ops::Range, sync::Arc};

use super::{Fate, Loaded};
use crate::{
    analysis::Facts,
    error::Result,
    ir::{Compute, Model, OpId, Tensor, ValueId},
    operators::is_standard,
    passes::{FoldConstants, Pass},
};

/// Operators that give other numbers in each run, or must stand where they are.
const NEVER: [&str; 10] = [
    "Bernoulli",
    "Constant",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Unique",
];

pub(super) fn fold(loaded: &mut Loaded) -> Result<()> {
    let before: Vec<OpId> = loaded.model.ops().collect();
    FoldConstants.run(&mut loaded.model)?;
    let model = &mut loaded.model;
    let facts = Facts::as_stated(model);
    let mut ops: Vec<OpId> = model.ops().collect();
    ops.reverse();
    while let Some(op) = ops.pop() {
        if !model.contains_op(op) {
            continue;
        }
        if let Some((output, tensor)) = known(model, &facts, op) {
            model.set_constant(output, tensor);
            ops.extend(model.uses(output).into_iter().map(|use_| use_.op));
        }
    }
    remove_unread(model);
    let gone = before.into_iter().filter(|&op| !model.contains_op(op));
    loaded.fates.extend(gone.map(|op| (op, Fate::Computed)));
    Ok(())
}

/// What an operator makes that reads constants only.
fn known(model: &Model, facts: &Facts, op: OpId) -> Option<(ValueId, Tensor)> {
    let operator = model.op(op);
    let [Some(output)] = model.outputs(op)[..] else { return None };
    let inputs = model.inputs(op);
    let constant = |input: &Option<ValueId>| input.is_none_or(|it| model.fixed(it).is_some());
    if !is_standard(model, op)
        || NEVER.contains(&operator.op_type())
        || !operator.bodies().is_empty()
        || inputs.is_empty()
        || !inputs.iter().all(constant)
    {
        return None;
    }
    let shape: Vec<usize> = facts.shape(output)?.iter().copied().collect::<Option<_>>()?;
    let dtype = facts.dtype(output)?;
    // A file may state any sizes.
    shape.iter().try_fold(MOST_BITS_OF_AN_ELEMENT, |bits, &size| bits.checked_mul(size))?;
    let mut tensor = Tensor::computed("", dtype, &shape, Arc::new(Unread(0)));
    tensor = Tensor::computed("", dtype, &shape, Arc::new(Unread(tensor.byte_len())));
    Some((output, tensor))
}

/// Those of complex128.
const MOST_BITS_OF_AN_ELEMENT: usize = 128;

/// The bytes of what is computed once, which nobody asks for.
struct Unread(usize);

impl Compute for Unread {
    fn byte_len(&self) -> usize {
        self.0
    }

    fn compute(&self, _: Range<usize>, out: &mut [u8]) {
        out.fill(0);
    }
}

/// Removes operators whose results nothing reads.
fn remove_unread(model: &mut Model) {
    let mut waiting: Vec<OpId> = model.ops().collect();
    while let Some(op) = waiting.pop() {
        let read = |op: OpId| model.outputs(op).into_iter().flatten().any(|output| model.is_read(output));
        if !model.contains_op(op) || read(op) {
            continue;
        }
        let makers: Vec<OpId> = model.inputs(op).into_iter().flatten().filter_map(|it| model.producer(it)).collect();
        model.remove_with_bodies(op);
        waiting.extend(makers);
    }
}
