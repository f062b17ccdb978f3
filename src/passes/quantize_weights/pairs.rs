//! The form for tool chains that quantize themselves: the float weight stays, behind QuantizeLinear
//! and DequantizeLinear.

use super::stored::{Axes, cast, linear, parameters, stated_output};
use crate::{
    error::Result,
    ir::{DataType, Model, OpId, ScopeId, Tensor, Use, ValueId},
    plan::{QuantizedCopy, Site, WeightPlan},
};

pub(super) fn insert(model: &mut Model, weight: &WeightPlan, tensor: &Tensor) -> Result<bool> {
    let value = weight.value;
    if is_served(model, weight) {
        return Ok(false);
    }
    let scope = model.value(value).scope();
    for copy in &weight.copies {
        let position = model.first_reader(value);
        let output = stated_output(weight, copy, tensor);
        let parameters = parameters(model, weight, copy, tensor, position)?;
        let dequantized = Pair { weight, copy, scope, position, rank: tensor.shape().len(), output }.insert(
            model,
            value,
            &parameters,
        );
        model.move_uses(value, &uses(copy).into_iter().map(|use_| (use_, dequantized)).collect());
    }
    Ok(true)
}

/// Whether none of the planned uses reads the weight itself any more: a former run was here.
fn is_served(model: &Model, weight: &WeightPlan) -> bool {
    let reads = |use_: &Use| model.input(use_.op, use_.slot) == Some(weight.value);
    !weight.copies.iter().flat_map(uses).any(|use_| reads(&use_))
}

fn uses(copy: &QuantizedCopy) -> Vec<Use> {
    let served = |site: &Site| match site {
        Site::Weight(uses) | Site::Body(uses) => uses.clone(),
        Site::BehindGather(_) | Site::Gemm(_) | Site::Transpose(_) | Site::Product(_) | Site::Table(_) => vec![],
    };
    copy.sites.iter().flat_map(served).collect()
}

/// Where a pair goes, and of what.
struct Pair<'a> {
    weight: &'a WeightPlan,
    copy: &'a QuantizedCopy,
    scope: ScopeId,
    position: Option<OpId>,
    rank: usize,
    /// The type that the DequantizeLinear has to be told to make.
    output: Option<DataType>,
}

impl Pair<'_> {
    /// Inserts the pair, between Casts where it neither takes nor makes the weight's own type.
    fn insert(&self, model: &mut Model, value: ValueId, parameters: &[ValueId]) -> ValueId {
        let mut last = value;
        if self.weight.cast.is_some() {
            last = self.cast(model, last, DataType::Float, "float32");
        }
        for (op_type, suffix) in [("QuantizeLinear", "quantized"), ("DequantizeLinear", "dequantized")] {
            let output = self.value(model, suffix);
            let stated = self.output.filter(|_| op_type == "DequantizeLinear");
            let from_rank = self.copy.apart.then_some(self.rank);
            let axes = Axes { granularity: self.copy.granularity, from_rank, output: stated };
            let inputs: Vec<_> = [last].into_iter().chain(parameters.iter().copied()).collect();
            model.insert_op(self.scope, self.position, linear(op_type, self.weight, axes, &inputs, output));
            last = output;
        }
        match self.weight.cast {
            Some(own) => self.cast(model, last, own, "cast"),
            None => last,
        }
    }

    fn cast(&self, model: &mut Model, input: ValueId, to: DataType, suffix: &str) -> ValueId {
        let output = self.value(model, suffix);
        model.insert_op(self.scope, self.position, cast(self.weight, input, to, output));
        output
    }

    fn value(&self, model: &mut Model, suffix: &str) -> ValueId {
        model.new_value(self.scope, &format!("{}_{suffix}", self.weight.name))
    }
}
