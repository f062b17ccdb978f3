//! Attributes that went away, were renamed or retyped, or whose default changed.

use super::step::Step;
use crate::{
    error::Result,
    ir::{Attribute, DataType, OpId},
    operators::normalize_axis,
};

/// Opset 6: the hint of which inputs may be overwritten went away.
pub(super) fn drop_consumed_inputs(step: &mut Step, op: OpId) -> Result<bool> {
    Ok(step.drop_attributes(op, &["consumed_inputs"]))
}

/// Opset 6: Selu's defaults got more digits.
pub(super) fn selu(step: &mut Step, op: OpId) -> Result<bool> {
    let dropped = drop_consumed_inputs(step, op)?;
    let alpha = step.set_default(op, "alpha", Attribute::Float(1.6732));
    let gamma = step.set_default(op, "gamma", Attribute::Float(1.0507));
    Ok(dropped || alpha || gamma)
}

/// Opset 4: Concat's axis was 1 unless given.
pub(super) fn concat_axis(step: &mut Step, op: OpId) -> Result<bool> {
    Ok(step.set_default(op, "axis", Attribute::Int(1)))
}

/// Opset 6: Cast names its type by number.
pub(super) fn cast_by_number(step: &mut Step, op: OpId) -> Result<bool> {
    let Some(name) = step.text(op, "to")?.filter(|name| !name.is_empty()) else {
        // Some writers of the time wrote the number already.
        return match step.int(op, "to")? {
            Some(_) => Ok(false),
            None => Err(step.refuse("attribute 'to' is missing")),
        };
    };
    let dtype = DataType::from_str_name(&name.to_uppercase());
    let dtype = dtype.ok_or_else(|| step.refuse(format!("attribute 'to' is '{name}', which is no element type")))?;
    step.model.set_attribute(op, "to", Attribute::Int(dtype as i64));
    Ok(true)
}

/// Opset 2: the norm of LpPool and GlobalLpPool is an integer.
pub(super) fn integer_norm(step: &mut Step, op: OpId) -> Result<bool> {
    if step.model.op(op).is("LpPool") && !step.has(op, "kernel_shape") {
        return Err(step.refuse("attribute 'kernel_shape' is missing, which is required since"));
    }
    let Some(norm) = step.float(op, "p")? else { return Ok(false) };
    if norm.fract() != 0.0 {
        return Err(step.refuse(format!("attribute 'p' is {norm}, and only integers are allowed since")));
    }
    step.model.set_attribute(op, "p", Attribute::Int(norm as i64));
    Ok(true)
}

/// Opset 3: a misspelt default of GRU, which some writers copied.
pub(super) fn gru_direction(step: &mut Step, op: OpId) -> Result<bool> {
    let misspelt = step.model.op(op).text("direction") == Some("foward");
    if misspelt {
        step.model.set_attribute(op, "direction", Attribute::String("forward".to_owned()));
    }
    Ok(misspelt)
}

/// Opset 7: whether a recurrent layer gives out the sequence is said by listing the output or not.
pub(super) fn drop_output_sequence(step: &mut Step, op: OpId) -> Result<bool> {
    Ok(step.drop_attributes(op, &["output_sequence"]))
}

/// Opset 2: Pad's `paddings` became `pads`.
pub(super) fn pads_renamed(step: &mut Step, op: OpId) -> Result<bool> {
    let Some(mut attribute) = step.model.take_attribute(op, "paddings") else { return Ok(false) };
    attribute.name = Some("pads".to_owned());
    step.model.put_attribute(op, attribute);
    Ok(true)
}

/// Opset 11: Scatter became ScatterElements.
pub(super) fn scatter_renamed(step: &mut Step, op: OpId) -> Result<bool> {
    step.model.set_op_type(op, "ScatterElements");
    Ok(true)
}

/// Opset 16: RoiAlign shifts by half a pixel unless told to do as before.
pub(super) fn roi_align_as_before(step: &mut Step, op: OpId) -> Result<bool> {
    let before = Attribute::String("output_half_pixel".to_owned());
    Ok(step.set_default(op, "coordinate_transformation_mode", before))
}

/// Opset 20: GridSample's modes lost their "bi", as there may be any number of dimensions.
pub(super) fn grid_sample_mode(step: &mut Step, op: OpId) -> Result<bool> {
    let mode = match step.text(op, "mode")?.as_deref() {
        Some("bilinear") => "linear",
        Some("bicubic") => "cubic",
        _ => return Ok(false),
    };
    step.model.set_attribute(op, "mode", Attribute::String(mode.to_owned()));
    Ok(true)
}

/// Erf since opset 13 and ReduceLogSum(Exp) since 28 take no integers.
pub(super) fn no_integers(step: &mut Step, op: OpId) -> Result<bool> {
    use DataType::*;
    let input = step.input(op, 0)?;
    match step.facts.dtype(input) {
        Some(dtype @ (Int8 | Int16 | Int32 | Int64 | Uint8 | Uint16 | Uint32 | Uint64)) => {
            Err(step.refuse(format!("its input is {dtype:?}, and integers are not allowed since; cast them to float")))
        }
        _ => Ok(false),
    }
}

/// Opset 6: Tile repeats along all axes at once; before, along one, so often.
pub(super) fn tile_all_axes(step: &mut Step, op: OpId) -> Result<bool> {
    let (input, tiles, axis) = (step.input(op, 0)?, step.input(op, 1)?, step.input(op, 2)?);
    let rank = step.rank(input)?;
    let axis = step.constant(axis).and_then(|tensor| single_integer(&tensor));
    let axis = axis.and_then(|axis| normalize_axis(axis, rank));
    let axis = axis.ok_or_else(|| step.refuse("its axis is not constant, or beyond the rank; make it constant"))?;
    let repeats = match step.constant(tiles).and_then(|tensor| single_integer(&tensor)) {
        Some(tiles) => {
            let mut repeats = vec![1; rank];
            repeats[axis] = tiles;
            step.new_ints(op, "repeats", &repeats)?
        }
        None => {
            let to_int64 = vec![("to", Attribute::Int(DataType::Int64 as i64))];
            let tiles = step.before(op, "Cast", &[tiles], to_int64, "tiles");
            let vector = step.new_ints(op, "tiles_shape", &[1])?;
            let tiles = step.before(op, "Reshape", &[tiles, vector], vec![], "tiles");
            let mut parts = Vec::new();
            if axis > 0 {
                parts.push(step.new_ints(op, "repeats_before", &vec![1; axis])?);
            }
            parts.push(tiles);
            if axis + 1 < rank {
                parts.push(step.new_ints(op, "repeats_after", &vec![1; rank - axis - 1])?);
            }
            step.before(op, "Concat", &parts, vec![("axis", Attribute::Int(0))], "repeats")
        }
    };
    step.omit_input(op, 2);
    step.set_input(op, 1, repeats);
    Ok(true)
}

/// The only element of a tensor, where it is an integer.
fn single_integer(tensor: &crate::ir::Tensor) -> Option<i64> {
    let bytes = tensor.bytes().ok().filter(|_| tensor.element_count() == 1)?;
    let number = match tensor.dtype() {
        DataType::Float => f64::from(f32::from_le_bytes(bytes.as_ref().try_into().ok()?)),
        DataType::Double => f64::from_le_bytes(bytes.as_ref().try_into().ok()?),
        DataType::Int32 => return Some(i64::from(i32::from_le_bytes(bytes.as_ref().try_into().ok()?))),
        DataType::Int64 => return Some(i64::from_le_bytes(bytes.as_ref().try_into().ok()?)),
        _ => return None,
    };
    (number.fract() == 0.0).then_some(number as i64)
}
