//! Products of matrices.

use std::collections::HashMap;

use super::Weight;
use crate::{
    analysis::Facts,
    error::Result,
    ir::{Attribute, DataType, Model, NewOp, OpId, ScopeId, Use, ValueId},
    operators::is_standard,
    passes::constants,
};

/// What has been written of a model's products so far: those that read the same value in the same graph share its
/// integers.
pub(super) struct Products {
    facts: Facts,
    quantized: HashMap<(ValueId, ScopeId), Quantized>,
}

/// What a DynamicQuantizeLinear makes.
#[derive(Clone, Copy)]
struct Quantized {
    integers: ValueId,
    scale: ValueId,
    zero_point: ValueId,
}

impl Products {
    pub fn of(model: &Model) -> Self {
        Self { facts: Facts::guaranteed(model), quantized: HashMap::new() }
    }

    /// Makes a MatMul one of integers; returns what it read before.
    pub fn write(&mut self, model: &mut Model, op: OpId) -> Result<Option<Vec<ValueId>>> {
        let (Some(weight), Some(input)) = (Weight::of(model, op, 1), model.input(op, 0)) else { return Ok(None) };
        let [Some(output)] = &model.outputs(op)[..] else { return Ok(None) };
        let (output, scope) = (*output, model.op(op).scope());
        let left = *self.quantized.entry((input, scope)).or_insert_with(|| quantize(model, op, input));
        model.set_op_type(op, "MatMulInteger");
        let zero_points = weight.other_zero_points(model);
        let inputs = [left.integers, weight.integers, left.zero_point].into_iter().chain(zero_points);
        for (slot, value) in inputs.enumerate() {
            model.set_input(Use { op, slot }, value);
        }
        let name = model.value(output).name().to_owned();
        let [sums, float, scale] = ["sums", "float", "scale"].map(|it| model.new_value(scope, &format!("{name}_{it}")));
        model.set_output(op, 0, sums);
        let behind = model.op_after(op);
        let mut add = |op_type, inputs, output, attributes| {
            let name = format!("{name}_{op_type}");
            model.insert_op(scope, behind, NewOp { op_type, name, inputs, output, attributes });
        };
        add("Cast", vec![sums], float, vec![("to", Attribute::Int(DataType::Float as i64))]);
        add("Mul", vec![left.scale, weight.scales], scale, vec![]);
        add("Mul", vec![float, scale], output, vec![]);
        let mut unread = vec![weight.dequantized];
        if self.facts.rank(input).is_some_and(|rank| rank >= 2) {
            unread.extend(settle_bias(model, output)?);
        }
        Ok(Some(unread))
    }
}

/// Makes the Add that alone reads a product read a constant bias behind it, and as a vector if it is a matrix of one
/// row; returns the bias that was read before. (onnxruntime 1.17 to 1.22 takes no other into the kernel, 1.32 all.)
fn settle_bias(model: &mut Model, product: ValueId) -> Result<Option<ValueId>> {
    let Some(use_) = model.only_use(product).filter(|_| !model.is_output(product)) else { return Ok(None) };
    let add = use_.op;
    if !model.op(add).is("Add") || !is_standard(model, add) {
        return Ok(None);
    }
    let slot = 1 - use_.slot.min(1);
    let Some(bias) = model.input(add, slot) else { return Ok(None) };
    let Some(tensor) = model.fixed(bias).map(|tensor| tensor.into_owned()) else { return Ok(None) };
    if slot == 0 {
        model.set_input(Use { op: add, slot: 0 }, product);
        model.set_input(Use { op: add, slot: 1 }, bias);
    }
    let [1, columns] = tensor.shape()[..] else { return Ok(None) };
    let vector = tensor.with_bytes(&[columns], tensor.bytes()?)?.named(model.value(bias).name());
    let vector = constants::add(model, add, vector);
    model.set_input(Use { op: add, slot: 1 }, vector);
    Ok(Some(bias))
}

/// Quantizes what an operator reads, in front of it: it is the first of its graph to read these integers.
fn quantize(model: &mut Model, op: OpId, input: ValueId) -> Quantized {
    let scope = model.op(op).scope();
    let name = model.value(input).name().to_owned();
    let integers = model.new_value(scope, &format!("{name}_quantized"));
    let op_type = "DynamicQuantizeLinear";
    let new =
        NewOp { op_type, name: format!("{name}_{op_type}"), inputs: vec![input], output: integers, attributes: vec![] };
    let quantizer = model.insert_op(scope, Some(op), new);
    let [scale, zero_point] = ["scale", "zero_point"].map(|it| model.add_op_output(quantizer, &format!("{name}_{it}")));
    Quantized { integers, scale, zero_point }
}
