//! The form for tool chains that quantize themselves: the float weight stays, behind QuantizeLinear
//! and DequantizeLinear.

use std::collections::HashMap;

use super::stored::{Axes, linear, parameters};
use crate::{
    error::Result,
    ir::{Model, Tensor, Use, ValueId},
    plan::{Site, WeightPlan},
};

pub(super) fn insert(model: &mut Model, weight: &WeightPlan, tensor: &Tensor) -> Result<bool> {
    let value = weight.value;
    if model.uses(value).iter().any(|use_| model.op(use_.op).is("QuantizeLinear")) {
        return Ok(false);
    }
    let scope = model.value(value).scope();
    for copy in &weight.copies {
        let position = model.first_reader(value);
        let axes = Axes { granularity: copy.granularity, from_rank: None, output: None };
        let parameters = parameters(model, weight, copy, tensor, position)?;
        let quantized = model.new_value(scope, &format!("{}_quantized", weight.name));
        let dequantized = model.new_value(scope, &format!("{}_dequantized", weight.name));
        for (op_type, input, output) in
            [("QuantizeLinear", value, quantized), ("DequantizeLinear", quantized, dequantized)]
        {
            let inputs: Vec<_> = [input].into_iter().chain(parameters.iter().copied()).collect();
            model.insert_op(scope, position, linear(op_type, weight, axes, &inputs, output));
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
