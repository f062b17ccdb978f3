//! Upsample, and Resize that took its place.
//!
//! Up to opset 10 the formats did not say which input element an output element is made of; what
//! runtimes agreed on is opset 11's `asymmetric`, with `nearest` rounding down where it enlarges
//! and up where it shrinks.

use super::step::Step;
use crate::{
    error::Result,
    ir::{Attribute, DataType, OpId, ValueId},
};

const COORDINATES: &str = "coordinate_transformation_mode";

fn text(value: &str) -> Attribute {
    Attribute::String(value.to_owned())
}

/// Opset 7: Upsample has a scale for every axis.
pub(super) fn upsample_scales(step: &mut Step, op: OpId) -> Result<bool> {
    let (Some(height), Some(width)) = (step.float(op, "height_scale")?, step.float(op, "width_scale")?) else {
        return Err(step.refuse("attribute 'height_scale' or 'width_scale' is missing"));
    };
    if step.text(op, "mode")?.as_deref() == Some("bilinear") {
        step.model.set_attribute(op, "mode", text("linear"));
    }
    step.drop_attributes(op, &["height_scale", "width_scale"]);
    step.model.set_attribute(op, "scales", Attribute::Floats(vec![1.0, 1.0, height, width]));
    Ok(true)
}

/// Opset 9: Upsample's scales became an input.
pub(super) fn upsample_scales_to_input(step: &mut Step, op: OpId) -> Result<bool> {
    let Some(scales) = step.floats(op, "scales")? else {
        return Err(step.refuse("attribute 'scales' is missing"));
    };
    step.model.take_attribute(op, "scales");
    let scales = step.new_floats(op, "scales", &scales)?;
    step.set_input(op, 1, scales);
    Ok(true)
}

/// Opset 10: Upsample became Resize, which can also shrink.
pub(super) fn upsample_to_resize(step: &mut Step, op: OpId) -> Result<bool> {
    step.model.set_op_type(op, "Resize");
    step.enlarging.insert(op);
    Ok(true)
}

/// Opset 11: Resize got a region of interest and says how it finds its elements.
pub(super) fn resize_coordinates(step: &mut Step, op: OpId) -> Result<bool> {
    let (input, scales) = (step.input(op, 0)?, step.input(op, 1)?);
    let mode = step.text(op, "mode")?;
    // Writers of Upsample 9 sometimes kept the name of opset 1.
    let linear = matches!(mode.as_deref(), Some("linear" | "bilinear"));
    if mode.as_deref() == Some("bilinear") {
        step.model.set_attribute(op, "mode", text("linear"));
    }
    let known = step.constant(scales).and_then(|scales| scales.to_array::<f32>().ok());
    let all = |fits: fn(f32) -> bool| known.as_ref().is_some_and(|scales| scales.iter().all(|&scale| fits(scale)));
    let region = step.new_floats(op, "roi", &[])?;
    let mut last = Rounding::Down;
    let (mut source, mut factors) = (input, scales);
    if !linear && all(|scale| scale <= 1.0) {
        last = Rounding::Up;
    } else if !linear && !step.enlarging.contains(&op) && !all(|scale| scale >= 1.0) {
        // Axes are independent of each other: first those that grow, then those that shrink.
        let one = step.new_constant(op, "one", DataType::Float, &[], 1f32.to_le_bytes().to_vec())?;
        let growing = step.before(op, "Max", &[scales, one], vec![], "scales");
        let mut attributes = nearest(Rounding::Down);
        attributes.push(("mode", text("nearest")));
        source = step.before(op, "Resize", &[input, region, growing], attributes, "enlarged");
        factors = step.before(op, "Min", &[scales, one], vec![], "scales");
        last = Rounding::Up;
    }
    for (slot, value) in [source, region, factors].into_iter().enumerate() {
        step.set_input(op, slot, value);
    }
    let attributes = if linear { vec![(COORDINATES, text("asymmetric"))] } else { nearest(last) };
    for (name, value) in attributes {
        step.model.set_attribute(op, name, value);
    }
    Ok(true)
}

#[derive(Clone, Copy)]
enum Rounding {
    Down,
    Up,
}

fn nearest(rounding: Rounding) -> Vec<(&'static str, Attribute)> {
    let mode = match rounding {
        Rounding::Down => "floor",
        Rounding::Up => "ceil",
    };
    vec![(COORDINATES, text("asymmetric")), ("nearest_mode", text(mode))]
}

/// Opset 13: what is not used may be left out, and of sizes and scales one must be;
/// `tf_half_pixel_for_nn` went away.
pub(super) fn resize_optional(step: &mut Step, op: OpId) -> Result<bool> {
    let mut changed = half_pixel(step, op)?;
    let is_empty = |step: &Step, value: ValueId| step.constant(value).is_some_and(|tensor| tensor.element_count() == 0);
    let inputs = step.model.inputs(op);
    let sizes = inputs.get(3).copied().flatten();
    for slot in [1, 2] {
        let Some(value) = inputs.get(slot).copied().flatten() else { continue };
        if (slot == 1 || sizes.is_some()) && is_empty(step, value) {
            step.omit_input(op, slot);
            changed = true;
        }
    }
    Ok(changed)
}

/// `tf_half_pixel_for_nn` is `half_pixel` without the last step, half an element back. Rounding
/// half an element further makes up for it.
fn half_pixel(step: &mut Step, op: OpId) -> Result<bool> {
    if step.text(op, COORDINATES)?.as_deref() != Some("tf_half_pixel_for_nn") {
        return Ok(false);
    }
    let mode = step.text(op, "mode")?;
    let rounding = step.text(op, "nearest_mode")?;
    let rounding = match (mode.as_deref().unwrap_or("nearest"), rounding.as_deref().unwrap_or("round_prefer_floor")) {
        ("nearest", "floor") => "round_prefer_ceil",
        ("nearest", "round_prefer_floor") => "ceil",
        _ => {
            return Err(step.refuse(format!(
                "'{COORDINATES}' is 'tf_half_pixel_for_nn', which went away and has no other form here; 'half_pixel' comes close"
            )));
        }
    };
    step.model.set_attribute(op, COORDINATES, text("half_pixel"));
    step.model.set_attribute(op, "nearest_mode", text(rounding));
    Ok(true)
}
