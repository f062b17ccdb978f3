//! BatchNormalization, GroupNormalization, LayerNormalization and MeanVarianceNormalization.

use super::step::Step;
use crate::{
    error::Result,
    ir::{Attribute, DataType, OpId},
};

/// Y, mean, var, saved_mean and saved_var.
const OUTPUTS_OF_TRAINING: usize = 5;

/// Opset 7: whether BatchNormalization runs in training is said by how many outputs are listed. So
/// it was before, beside `is_test`, which some writers left at its default of 0 for inference.
pub(super) fn batch_is_test(step: &mut Step, op: OpId) -> Result<bool> {
    let is_test = step.int(op, "is_test")?.unwrap_or(0) != 0;
    let mut changed = step.drop_attributes(op, &["is_test"]);
    if is_test {
        for slot in 1..step.model.outputs(op).len() {
            if step.is_used(op, slot) {
                return Err(step.refuse(format!("output {slot} is used, which is not made outside of training")));
            }
            step.model.omit_output(op, slot);
            changed = true;
        }
        while step.model.outputs(op).len() > 1 {
            let last = step.model.outputs(op).len() - 1;
            step.model.omit_output(op, last);
        }
    }
    Ok(changed)
}

/// Opset 9: statistics for every element of a channel (`spatial` 0) went away; with the elements as
/// channels it is the same.
pub(super) fn batch_spatial(step: &mut Step, op: OpId) -> Result<bool> {
    let spatial = step.int(op, "spatial")?.unwrap_or(1) != 0;
    let changed = step.drop_attributes(op, &["spatial"]);
    if spatial {
        return Ok(changed);
    }
    if step.model.outputs(op).len() > 1 {
        return Err(step.refuse("it has statistics for every element ('spatial' is 0) and runs in training"));
    }
    let input = step.input(op, 0)?;
    let vector = step.new_ints(op, "vector", &[-1])?;
    for slot in 1..5 {
        let parameter = step.input(op, slot)?;
        let parameter = step.before(op, "Reshape", &[parameter, vector], vec![], "parameter");
        step.set_input(op, slot, parameter);
    }
    let shape = step.before(op, "Shape", &[input], vec![], "shape");
    let matrix = step.before(op, "Flatten", &[input], vec![("axis", Attribute::Int(1))], "matrix");
    step.set_input(op, 0, matrix);
    let (output, rows) = step.split_output(op, 0, "rows")?;
    step.behind(op, "Reshape", &[rows, shape], vec![], output);
    Ok(true)
}

/// Opset 14: training is an attribute, and two of its outputs went away.
pub(super) fn batch_training(step: &mut Step, op: OpId) -> Result<bool> {
    if step.model.outputs(op).len() <= 1 {
        return Ok(false);
    }
    for slot in (3..OUTPUTS_OF_TRAINING).rev() {
        if step.is_used(op, slot) {
            return Err(
                step.refuse(format!("output {slot}, a statistic saved for training, is used and not made since"))
            );
        }
        if slot < step.model.outputs(op).len() {
            step.model.omit_output(op, slot);
        }
    }
    step.model.set_attribute(op, "training_mode", Attribute::Int(1));
    Ok(true)
}

/// Opset 17: onnxruntime's LayerNormalization took its scale in another type than its input, and made
/// that one; ONNX's has one type for all. It normalizes in float32 either way, so the input may be
/// float32 from the start.
pub(super) fn one_type(step: &mut Step, op: OpId) -> Result<bool> {
    let (input, scale) = (step.input(op, 0)?, step.input(op, 1)?);
    match (step.facts.dtype(input), step.facts.dtype(scale)) {
        (Some(input), Some(scale)) if input == scale => Ok(false),
        (None, _) | (_, None) => Ok(false),
        (Some(DataType::Float16 | DataType::Bfloat16), Some(DataType::Float)) => {
            let to = vec![("to", Attribute::Int(DataType::Float as i64))];
            let wide = step.before(op, "Cast", &[input], to, "float32");
            step.set_input(op, 0, wide);
            Ok(true)
        }
        (Some(input), Some(scale)) => Err(step.refuse(format!(
            "its input is {input:?} and its scale {scale:?}, which must be of one type since; cast one of them first"
        ))),
    }
}

/// Opsets 13 and 18: the body that stands for MeanVarianceNormalization adds constants of float32, which
/// goes with no other type, so narrower ones are normalized in float32.
pub(super) fn in_float32(step: &mut Step, op: OpId) -> Result<bool> {
    let input = step.input(op, 0)?;
    let Some(narrow @ (DataType::Float16 | DataType::Bfloat16)) = step.facts.dtype(input) else { return Ok(false) };
    let cast_to = |dtype: DataType| vec![("to", Attribute::Int(dtype as i64))];
    let wide = step.before(op, "Cast", &[input], cast_to(DataType::Float), "float32");
    step.set_input(op, 0, wide);
    let (output, normalized) = step.split_output(op, 0, "float32")?;
    step.behind(op, "Cast", &[normalized], cast_to(narrow), output);
    Ok(true)
}

/// Opset 21: scale and bias of GroupNormalization are those of channels, not of groups.
pub(super) fn group_parameters(step: &mut Step, op: OpId) -> Result<bool> {
    let input = step.input(op, 0)?;
    let Some(groups) = step.int(op, "num_groups")?.filter(|groups| *groups > 0) else {
        return Err(step.refuse("attribute 'num_groups' is missing"));
    };
    let channels = step.facts.shape(input).and_then(|shape| shape.get(1).copied().flatten());
    // [groups] -> [groups, 1] -> [groups, channels of a group] -> [channels]
    let expanded = match channels {
        Some(channels) => step.new_ints(op, "group_shape", &[1, channels as i64 / groups])?,
        None => {
            let one = step.new_ints(op, "one", &[1])?;
            let groups = step.new_ints(op, "groups", &[groups])?;
            let span = vec![("start", Attribute::Int(1)), ("end", Attribute::Int(2))];
            let channels = step.before(op, "Shape", &[input], span, "channels");
            let size = step.before(op, "Div", &[channels, groups], vec![], "group_size");
            step.before(op, "Concat", &[one, size], vec![("axis", Attribute::Int(0))], "group_shape")
        }
    };
    let column = step.new_ints(op, "column", &[-1, 1])?;
    let vector = step.new_ints(op, "vector", &[-1])?;
    for (slot, name) in [(1, "scale"), (2, "bias")] {
        let parameter = step.input(op, slot)?;
        let parameter = step.before(op, "Reshape", &[parameter, column], vec![], name);
        let parameter = step.before(op, "Expand", &[parameter, expanded], vec![], name);
        let parameter = step.before(op, "Reshape", &[parameter, vector], vec![], name);
        step.set_input(op, slot, parameter);
    }
    Ok(true)
}
