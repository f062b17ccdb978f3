//! Biases as int32 behind a DequantizeLinear without zero point.

use crate::{
    error::{Error, Result},
    ir::{Attribute, DataType, Model, NewOp, Tensor},
    passes::constants::remove_unread,
    plan::BiasPlan,
};

pub(super) fn quantize(model: &mut Model, plan: &BiasPlan) -> Result<bool> {
    if model.input(plan.use_.op, plan.use_.slot) != Some(plan.value) {
        return Ok(false);
    }
    let Some(tensor) = model.constant(plan.value) else { return Ok(false) };
    let integers = integers(&tensor, &plan.scales)?;
    let shape = tensor.shape();
    let bias = Tensor::from_bytes(&format!("{}_quantized", plan.name), DataType::Int32, &shape, integers)?;
    let scale_shape = if plan.axis.is_some() { vec![plan.scales.len()] } else { vec![] };
    let scales: Vec<u8> = plan.scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
    let scale = Tensor::from_bytes(&format!("{}_scale", plan.name), DataType::Float, &scale_shape, scales)?;
    let layer = plan.use_.op;
    let scope = model.op(layer).scope();
    let inputs = [bias, scale].map(|tensor| model.new_constant(scope, tensor, None, Some(layer)));
    let output = model.new_value(scope, &format!("{}_dequantized", plan.name));
    let attributes = plan.axis.map(|axis| ("axis", Attribute::Int(axis as i64))).into_iter().collect();
    let name = format!("{}_DequantizeLinear", plan.name);
    let op = NewOp { op_type: "DequantizeLinear", name, inputs: inputs.to_vec(), output, attributes };
    model.insert_op(scope, Some(layer), op);
    model.set_input(plan.use_, output);
    remove_unread(model, vec![plan.value]);
    Ok(true)
}

/// `round_half_even(bias / scale)`, little-endian.
fn integers(tensor: &Tensor, scales: &[f32]) -> Result<Vec<u8>> {
    let bias = tensor.to_array::<f32>()?;
    let scale = |index: usize| match scales {
        [one] => Some(*one),
        many => many.get(index).copied(),
    };
    let integer = |(index, bias): (usize, &f32)| {
        let scale =
            scale(index).ok_or_else(|| Error::tensor(tensor.name(), "has more elements than its layer channels"))?;
        // A conversion to i32 saturates.
        Ok((f64::from(*bias) / f64::from(scale)).round_ties_even() as i32)
    };
    let integers: Vec<i32> = bias.iter().enumerate().map(integer).collect::<Result<_>>()?;
    Ok(integers.into_iter().flat_map(i32::to_le_bytes).collect())
}
