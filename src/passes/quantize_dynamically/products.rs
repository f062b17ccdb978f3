//! Products of matrices.

use std::collections::HashMap;

use super::Weight;
use crate::ir::{Attribute, DataType, Model, NewOp, OpId, ScopeId, Use, ValueId};

/// What has been written of a model's products so far: those that read the same value in the same graph share its
/// integers.
#[derive(Default)]
pub(super) struct Products {
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
    /// Makes a MatMul one of integers; returns what it read before.
    pub fn write(&mut self, model: &mut Model, op: OpId) -> Option<Vec<ValueId>> {
        let weight = Weight::of(model, op, 1)?;
        let (input, [Some(output)]) = (model.input(op, 0)?, &model.outputs(op)[..]) else { return None };
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
        Some(vec![weight.dequantized])
    }
}

/// Quantizes what an operator reads, in front of it: it is the first of its graph to read these integers.
fn quantize(model: &mut Model, op: OpId, input: ValueId) -> Quantized {
    let scope = model.op(op).scope();
    let name = model.value(input).name().to_owned();
    let integers = model.new_value(scope, &format!("{name}_quantized"));
    let op_type = "DynamicQuantizeLinear";
    let new = NewOp { op_type, name: format!("{name}_{op_type}"), inputs: vec![input], output: integers, attributes: vec![] };
    let quantizer = model.insert_op(scope, Some(op), new);
    let [scale, zero_point] = ["scale", "zero_point"].map(|it| model.add_op_output(quantizer, &format!("{name}_{it}")));
    Quantized { integers, scale, zero_point }
}
