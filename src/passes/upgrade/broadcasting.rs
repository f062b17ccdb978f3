//! Opset 7: broadcasting became numpy's. Before, the shape of the second operand had to be a
//! contiguous part of the first one's, beginning at attribute `axis` or, without it, ending where
//! the first one's ends, and attribute `broadcast` had to allow it.

use super::step::Step;
use crate::{
    error::Result,
    ir::{Attribute, OpId},
    operators::normalize_axis,
};

/// Arithmetic, comparisons and logic of two operands.
pub(super) fn two_operands(step: &mut Step, op: OpId) -> Result<bool> {
    let broadcast = step.int(op, "broadcast")?.unwrap_or(0) != 0;
    let axis = step.int(op, "axis")?;
    let changed = step.drop_attributes(op, &["axis", "broadcast"]);
    let (Some(axis), true) = (axis, broadcast) else { return Ok(changed) };
    let (left, right) = (step.input(op, 0)?, step.input(op, 1)?);
    // One element goes with any shape.
    if step.facts.shape(right).is_some_and(|shape| shape.iter().all(|size| *size == Some(1))) {
        return Ok(changed);
    }
    let (left_rank, right_rank) = (step.rank(left)?, step.rank(right)?);
    let behind = normalize_axis(axis, left_rank).and_then(|axis| left_rank.checked_sub(axis + right_rank));
    let Some(behind) = behind else {
        return Err(step.refuse(format!(
            "an operand of rank {right_rank} does not fit into one of rank {left_rank} at axis {axis}"
        )));
    };
    append_axes(step, op, 1, right_rank, behind);
    Ok(changed)
}

/// PRelu: a slope for each channel was a vector.
pub(super) fn prelu(step: &mut Step, op: OpId) -> Result<bool> {
    let (input, slope) = (step.input(op, 0)?, step.input(op, 1)?);
    let Some(shape) = step.facts.shape(slope) else {
        return Err(
            step.refuse("it needs the shape of its slope, which the file does not state; run shape inference first")
        );
    };
    if shape.len() != 1 || shape[0] == Some(1) {
        return Ok(false);
    }
    let rank = step.rank(input)?;
    if rank <= 2 {
        return Ok(false);
    }
    append_axes(step, op, 1, 1, rank - 2);
    Ok(true)
}

/// Gemm: without `axis`, what was allowed is allowed.
pub(super) fn gemm(step: &mut Step, op: OpId) -> Result<bool> {
    Ok(step.drop_attributes(op, &["broadcast"]))
}

/// Gives an input so many axes of size 1 behind its own.
fn append_axes(step: &mut Step, op: OpId, slot: usize, rank: usize, count: usize) {
    let Some(operand) = step.model.input(op, slot).filter(|_| count > 0) else { return };
    let axes = (rank..rank + count).map(|axis| axis as i64).collect();
    let operand = step.before(op, "Unsqueeze", &[operand], vec![("axes", Attribute::Ints(axes))], "operand");
    step.set_input(op, slot, operand);
}
