//! Gives Pad and Resize something for every axis, where they name some.

use super::{
    Pass,
    constants::{add, fixed, remove_unread},
};
use crate::{
    analysis::Facts,
    error::Result,
    ir::{DataType, Model, OpId, Tensor, Use, ValueId},
    operators::{is_standard, normalize_axis},
};

/// Takes the axes off Pad and Resize (both since opset 18) that name some, and writes pads of 0, scales of 1 and
/// the sizes as they are for the others. Where the rank is not known, the axes are not constant, or sizes are
/// given and the others are not known, the operator stays.
///
/// Runtimes that lay out values otherwise may move the axes and not what is said of them.
#[derive(Debug, Clone, Copy)]
pub struct WriteOutAxes;

impl Pass for WriteOutAxes {
    fn name(&self) -> &'static str {
        "write-out-axes"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        let named = |model: &Model, op: OpId| {
            is_standard(model, op)
                && match model.op(op).op_type() {
                    "Pad" => model.input(op, 3).is_some(),
                    "Resize" => model.op(op).ints("axes").is_some(),
                    _ => false,
                }
        };
        let ops: Vec<OpId> = model.ops().filter(|&op| named(model, op)).collect();
        if ops.is_empty() {
            return Ok(false);
        }
        let facts = Facts::guaranteed(model);
        let mut changed = false;
        let mut replaced = Vec::new();
        for op in ops {
            let read: Vec<ValueId> = model.inputs(op).into_iter().skip(1).flatten().collect();
            let Some(shape) = model.input(op, 0).and_then(|input| facts.shape(input)).cloned() else { continue };
            changed |= match model.op(op).is("Pad") {
                true => write_out_pads(model, op, shape.len())?,
                false => write_out_sizes(model, op, &shape)?,
            };
            replaced.extend(read);
        }
        if changed {
            remove_unread(model, replaced);
        }
        Ok(changed)
    }
}

/// Which axis each of some numbers is for; `None` where one is named twice or there is none such.
fn places(axes: impl Iterator<Item = i64>, rank: usize) -> Option<Vec<usize>> {
    let places: Vec<usize> = axes.map(|axis| normalize_axis(axis, rank)).collect::<Option<_>>()?;
    let twice = (0..rank).any(|axis| places.iter().filter(|&&place| place == axis).count() > 1);
    (!twice).then_some(places)
}

fn write_out_pads(model: &mut Model, op: OpId, rank: usize) -> Result<bool> {
    let constant = |slot: usize| fixed(model, model.input(op, slot)?);
    let (Some(pads), Some(axes)) = (constant(1), constant(3)) else { return Ok(false) };
    let axes: Vec<i64> = match axes.dtype() {
        DataType::Int64 => axes.to_array::<i64>()?.iter().copied().collect(),
        _ => return Ok(false),
    };
    let pads = pads.to_array::<i64>()?;
    let Some(places) = places(axes.iter().copied(), rank).filter(|places| pads.len() == 2 * places.len()) else {
        return Ok(false);
    };
    let mut all = vec![0; 2 * rank];
    for (index, &pad) in pads.iter().enumerate() {
        let (end, number) = (index / places.len(), index % places.len());
        all[end * rank + places[number]] = pad;
    }
    let bytes = all.iter().flat_map(|pad| pad.to_le_bytes()).collect();
    replace(model, op, 1, DataType::Int64, all.len(), bytes)?;
    model.omit_input(op, 3);
    Ok(true)
}

fn write_out_sizes(model: &mut Model, op: OpId, shape: &[Option<usize>]) -> Result<bool> {
    let rank = shape.len();
    let Some(places) = model.op(op).ints("axes").and_then(|axes| places(axes.iter().copied(), rank)) else {
        return Ok(false);
    };
    // A region of interest counts for one way of finding elements only, and would have to be written out too.
    let regions = model.op(op).text("coordinate_transformation_mode") == Some("tf_crop_and_resize");
    let constant = |slot: usize| fixed(model, model.input(op, slot)?).filter(|tensor| tensor.element_count() > 0);
    match (constant(2), constant(3)) {
        _ if regions => return Ok(false),
        (Some(scales), None) if scales.element_count() == places.len() => {
            let mut all = vec![1f32; rank];
            for (&place, &scale) in places.iter().zip(&scales.to_array::<f32>()?) {
                all[place] = scale;
            }
            let bytes = all.iter().flat_map(|scale| scale.to_le_bytes()).collect();
            replace(model, op, 2, DataType::Float, rank, bytes)?;
        }
        (None, Some(sizes)) if sizes.element_count() == places.len() => {
            let stretches = model.op(op).text("keep_aspect_ratio_policy").is_none_or(|policy| policy == "stretch");
            let mut all: Vec<Option<i64>> =
                shape.iter().map(|size| size.and_then(|size| size.try_into().ok())).collect();
            for (&place, &size) in places.iter().zip(&sizes.to_array::<i64>()?) {
                all[place] = Some(size);
            }
            let Some(all) = all.into_iter().collect::<Option<Vec<i64>>>().filter(|_| stretches) else {
                return Ok(false);
            };
            let bytes = all.iter().flat_map(|size| size.to_le_bytes()).collect();
            replace(model, op, 3, DataType::Int64, rank, bytes)?;
        }
        _ => return Ok(false),
    }
    model.take_attribute(op, "axes");
    Ok(true)
}

/// Gives an operator a vector to read in `slot`.
fn replace(model: &mut Model, op: OpId, slot: usize, dtype: DataType, elements: usize, bytes: Vec<u8>) -> Result<()> {
    let name = model.input(op, slot).map_or_else(String::new, |input: ValueId| model.value(input).name().to_owned());
    let value = add(model, op, Tensor::from_bytes(&name, dtype, &[elements], bytes)?);
    model.set_input(Use { op, slot }, value);
    Ok(())
}
