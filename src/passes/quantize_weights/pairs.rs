//! The form for tool chains that quantize themselves: the float weight stays, behind QuantizeLinear
//! and DequantizeLinear.

use std::collections::HashMap;

use super::stored::{Axes, cast, linear, parameters};
use crate::{
    error::Result,
    ir::{DataType, Model, Tensor, Use, ValueId},
    plan::{Site, WeightPlan},
};

pub(super) fn insert(model: &mut Model, weight: &WeightPlan, tensor: &Tensor) -> Result<bool> {
    let value = weight.value;
    if is_quantized(model, value) {
        return Ok(false);
    }
    let scope = model.value(value).scope();
    for copy in &weight.copies {
        let position = model.first_reader(value);
        let axes = Axes { granularity: copy.granularity, from_rank: None, output: None };
        let parameters = parameters(model, weight, copy, tensor, position)?;
        let quantized = model.new_value(scope, &format!("{}_quantized", weight.name));
        let dequantized = model.new_value(scope, &format!("{}_dequantized", weight.name));
        // QuantizeLinear takes what DequantizeLinear makes; where that is not the weight's type,
        // there is a Cast on either side.
        let (mut first, mut last) = (value, dequantized);
        if weight.cast.is_some() {
            [first, last] = [(); 2].map(|()| model.new_value(scope, &format!("{}_float32", weight.name)));
            model.insert_op(scope, position, cast(weight, DataType::Float, value, first));
        }
        for (op_type, input, output) in [("QuantizeLinear", first, quantized), ("DequantizeLinear", quantized, last)] {
            let inputs: Vec<_> = [input].into_iter().chain(parameters.iter().copied()).collect();
            model.insert_op(scope, position, linear(op_type, weight, axes, &inputs, output));
        }
        if let Some(to) = weight.cast {
            model.insert_op(scope, position, cast(weight, to, last, dequantized));
        }
        let moves: HashMap<Use, ValueId> = copy
            .sites
            .iter()
            .flat_map(|site| match site {
                Site::Weight(uses) => uses.as_slice(),
                Site::BehindGather(_) | Site::Gemm(_) | Site::Transpose(_) => &[],
            })
            .map(|use_| (*use_, dequantized))
            .collect();
        model.move_uses(value, &moves);
    }
    Ok(true)
}

/// Whether a former run was here.
fn is_quantized(model: &Model, value: ValueId) -> bool {
    model.uses(value).iter().any(|use_| match model.op(use_.op).op_type() {
        "QuantizeLinear" => true,
        "Cast" => {
            let outputs = model.outputs(use_.op);
            let mut uses = outputs.into_iter().flatten().flat_map(|output| model.uses(output));
            uses.any(|use_| model.op(use_.op).is("QuantizeLinear"))
        }
        _ => false,
    })
}
