//! Replaces float weights by integers, scales and zero points behind a DequantizeLinear.

mod blocks;
mod computed;
mod pairs;
mod stored;

use std::{collections::HashMap, slice};

use super::{Pass, constants};
use crate::{
    error::Result,
    ir::{Attribute, DataType, Model, NewOp, OpId, ScopeId, Tensor, Use, ValueId},
    numeric::{FloatType, Granularity},
    plan::{Plan, QuantizedCopy, Site, WeightForm, WeightPlan},
};
pub(super) use computed::QuantizedWeight;
use stored::{Axes, Stored, cast, linear};

/// Carries out a plan's decisions about weights.
///
/// The value of a weight mostly stays, under its name unless that shadows another: a DequantizeLinear
/// makes it now. So its
/// readers, also those in nested bodies, are not touched. The integers are computed when the model is
/// written, from the float weight where it lies.
#[derive(Debug)]
pub struct QuantizeWeights<'a> {
    /// The plan, made of the same model.
    pub plan: &'a Plan,
}

impl Pass for QuantizeWeights<'_> {
    fn name(&self) -> &'static str {
        "quantize-weights"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        let mut changed = false;
        remove_inputs(model, self.plan);
        for weight in &self.plan.weights {
            // What a former run replaced is no constant any more.
            let Some(tensor) = constant(model, weight.value) else { continue };
            let tensor = match &weight.compensated {
                None => tensor,
                Some(elements) => {
                    let bytes = FloatType::F32.encode(elements.iter().copied());
                    Tensor::from_bytes(tensor.name(), DataType::Float, &tensor.shape(), bytes)?
                }
            };
            changed |= match weight.form {
                WeightForm::Dq | WeightForm::Matmulnbits => store_integers(model, weight, &tensor)?,
                WeightForm::Qdq => pairs::insert(model, weight, &tensor)?,
            };
        }
        if changed {
            // Only since IR version 4 may an initializer not be an input.
            model.raise_ir_version(4);
            model.settle_default_opset();
        }
        Ok(changed)
    }
}

/// Integers are no default value of a float input. All at once: each alone would be searched for among
/// all inputs.
fn remove_inputs(model: &mut Model, plan: &Plan) {
    let stored = plan.weights.iter().filter(|weight| weight.was_input && weight.form != WeightForm::Qdq);
    let inputs: Vec<ValueId> =
        stored.map(|weight| weight.value).filter(|&value| constant(model, value).is_some()).collect();
    model.remove_inputs(inputs);
}

fn constant(model: &Model, value: ValueId) -> Option<Tensor> {
    model.contains_value(value).then(|| model.constant(value))?.map(|tensor| tensor.into_owned())
}

/// The small form: integers in the file, DequantizeLinear behind them.
fn store_integers(model: &mut Model, weight: &WeightPlan, tensor: &Tensor) -> Result<bool> {
    let value = weight.value;
    let constant_node = model.producer(value);
    let mut stored = Vec::new();
    for copy in &weight.copies {
        stored.push(Stored::add(model, weight, copy, tensor, constant_node)?);
    }
    model.take_initializer(value);
    if model.shadows(value) {
        // An initializer of a body may have the name of an outer value; an operator's output may not.
        model.rename(value, &format!("{}_dequantized", weight.name));
    }
    // The first site in front of readers makes the weight's own value.
    let mut own_value = Some(value);
    let mut moves = HashMap::new();
    let mut outputs = Vec::new();
    for site in weight.copies.iter().flat_map(|copy| &copy.sites) {
        let (uses, in_front) = match site {
            Site::Weight(uses) => (uses.as_slice(), true),
            Site::Gemm(use_) => (slice::from_ref(use_), false),
            Site::Body(uses) => (uses.as_slice(), false),
            Site::Transpose(_) | Site::BehindGather(_) | Site::Product(_) | Site::Table(_) => continue,
        };
        outputs.push(own_value.take_if(|_| in_front).unwrap_or_else(|| {
            let scope = match site {
                Site::Body(_) => model.op(uses[0].op).scope(),
                _ => model.value(value).scope(),
            };
            let output = model.new_value(scope, &format!("{}_dequantized", weight.name));
            moves.extend(uses.iter().map(|use_| (*use_, output)));
            output
        }));
    }
    model.move_uses(value, &moves);
    let mut outputs = outputs.into_iter();
    for (copy, stored) in weight.copies.iter().zip(&stored) {
        for site in &copy.sites {
            let dequantize = Dequantize { weight, copy, stored, constant_node };
            match site {
                Site::Weight(_) | Site::Gemm(_) | Site::Body(_) => {
                    if let Site::Gemm(use_) = site {
                        model.take_attribute(use_.op, "transB");
                    }
                    let output = outputs.next().expect("each of these sites got its output above");
                    dequantize.for_readers(model, output);
                }
                Site::Transpose(op) => dequantize.instead_of(model, *op),
                Site::BehindGather(op) => dequantize.behind_gather(model, *op),
                Site::Product(uses) => blocks::multiply(model, weight, copy, tensor, &stored.inputs(), uses),
                Site::Table(op) => blocks::gather(model, copy, &stored.inputs(), *op),
            }
        }
    }
    if let Some(constant) = constant_node {
        model.remove_op(constant);
    }
    if own_value.is_some() {
        model.remove_value(value);
    }
    Ok(true)
}

/// What is needed to dequantize one copy of a weight, wherever that is.
struct Dequantize<'a> {
    weight: &'a WeightPlan,
    copy: &'a QuantizedCopy,
    stored: &'a Stored,
    /// The Constant node that made the weight.
    constant_node: Option<OpId>,
}

impl Dequantize<'_> {
    /// In the weight's scope, where the Constant node was or in front of the first reader.
    fn for_readers(&self, model: &mut Model, output: ValueId) {
        let scope = model.value(output).scope();
        let here = scope == model.value(self.weight.value).scope();
        let position = self.constant_node.filter(|_| here).or_else(|| model.first_reader(output));
        let op = self.insert(model, (scope, position), &self.stored.inputs(), self.stored.axes(), output);
        if let Some(constant) = self.constant_node {
            model.copy_annotations(constant, op);
        }
    }

    /// The Transpose goes, its output is made here.
    fn instead_of(&self, model: &mut Model, transpose: OpId) {
        let Some(Some(output)) = model.outputs(transpose).first().copied() else { return };
        let place = (model.op(transpose).scope(), Some(transpose));
        let op = self.insert(model, place, &self.stored.inputs(), self.stored.axes(), output);
        model.copy_annotations(transpose, op);
        model.remove_op(transpose);
    }

    /// Gather picks from the integers, and from the scales where they lie along the picked axis too.
    fn behind_gather(&self, model: &mut Model, gather: OpId) {
        let inputs = model.inputs(gather);
        let (Some(Some(indices)), Some(Some(output))) =
            (inputs.get(1).copied(), model.outputs(gather).first().copied())
        else {
            return;
        };
        let scope = model.op(gather).scope();
        let name = model.value(output).name().to_owned();
        let behind = model.op_after(gather);
        let mut picked = self.stored.inputs();
        model.set_input(Use { op: gather, slot: 0 }, picked[0]);
        picked[0] = model.new_value(scope, &format!("{name}_quantized"));
        // Where the indices are constant, a runtime computes what is picked once, and looks for the scales of that
        // constant next to it.
        if scope != model.value(self.weight.value).scope() && model.fixed(indices).is_some() {
            for parameter in &mut picked[1..] {
                if let Some(tensor) = constant(model, *parameter) {
                    *parameter = constants::add(model, gather, tensor);
                }
            }
        }
        if matches!(self.copy.granularity, Granularity::PerBlock { .. }) {
            let axis = model.op(gather).int("axis").unwrap_or(0);
            for (parameter, suffix) in picked.iter_mut().skip(1).zip(["scale", "zero_point"]) {
                let output = model.new_value(scope, &format!("{name}_{suffix}"));
                let op = NewOp {
                    op_type: "Gather",
                    name: format!("{name}_{suffix}_Gather"),
                    inputs: vec![*parameter, indices],
                    output,
                    attributes: vec![("axis", Attribute::Int(axis))],
                };
                model.insert_op(scope, behind, op);
                *parameter = output;
            }
        }
        let op = self.insert(model, (scope, behind), &picked, self.stored.axes_from_end(), output);
        if let Some(constant) = self.constant_node {
            model.copy_annotations(constant, op);
        }
        model.set_output(gather, 0, picked[0]);
    }

    /// Inserts the DequantizeLinear, with a Cast behind it where it cannot make the weight's type.
    fn insert(
        &self,
        model: &mut Model,
        (scope, position): (ScopeId, Option<OpId>),
        inputs: &[ValueId],
        axes: Axes,
        output: ValueId,
    ) -> OpId {
        let Some(to) = self.weight.cast else {
            let op = linear("DequantizeLinear", self.weight, axes, inputs, output);
            return model.insert_op(scope, position, op);
        };
        let float32 = model.new_value(scope, &format!("{}_float32", self.weight.name));
        let op = linear("DequantizeLinear", self.weight, axes, inputs, float32);
        let op = model.insert_op(scope, position, op);
        model.insert_op(scope, position, cast(self.weight, float32, to, output));
        op
    }
}
