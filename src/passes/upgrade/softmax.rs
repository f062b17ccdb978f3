//! Opset 13: Softmax, LogSoftmax and Hardmax work along one axis, by default the last. Before, they
//! saw the input as a matrix whose rows are the axes from `axis` (by default 1) on.

use super::step::Step;
use crate::{
    error::Result,
    ir::{Attribute, OpId},
    operators::normalize_axis,
};

pub(super) fn along_one_axis(step: &mut Step, op: OpId) -> Result<bool> {
    let input = step.input(op, 0)?;
    let given_by_caller = step.model.op(op).refers_to_caller("axis");
    if !given_by_caller {
        let axis = step.int(op, "axis")?.unwrap_or(1);
        if axis == -1 {
            return Ok(false);
        }
        // It is all the same where the axes behind have one element each, or there are none.
        if let Some(shape) = step.facts.shape(input)
            && let Some(axis) = normalize_axis(axis, shape.len())
            && shape[axis + 1..].iter().all(|size| *size == Some(1))
        {
            let axis = if axis + 1 == shape.len() { -1 } else { axis as i64 };
            step.model.set_attribute(op, "axis", Attribute::Int(axis));
            return Ok(true);
        }
    }
    // Flatten makes that matrix, with the same attribute and default, whatever the rank is.
    let axis = step.model.take_attribute(op, "axis");
    let shape = step.before(op, "Shape", &[input], vec![], "shape");
    let matrix = step.before(op, "Flatten", &[input], vec![], "matrix");
    if let (Some(axis), Some(flatten)) = (axis, step.model.producer(matrix)) {
        step.model.put_attribute(flatten, axis);
    }
    step.set_input(op, 0, matrix);
    step.model.set_attribute(op, "axis", Attribute::Int(-1));
    let (output, rows) = step.split_output(op, 0, "rows")?;
    step.behind(op, "Reshape", &[rows, shape], vec![], output);
    Ok(true)
}
