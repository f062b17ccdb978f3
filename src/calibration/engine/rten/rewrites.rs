//! Operators in forms that rten computes as the specification says. rten takes every form of an operator at
//! every opset, so axes are inputs here.

use super::shapes::Shapes;
use crate::ir::{Attribute, DataType, Model, NewOp, Op, OpId, ScopeId, Tensor, Use, ValueId};

/// Before the first element of every axis, from the last on.
const BEFORE_THE_FIRST: i64 = i32::MIN as i64;

/// States the kernel's shape, which the weight has.
pub(super) fn state_kernel_shape(model: &mut Model, shapes: &Shapes, op: OpId) {
    if let Some(kernel) = kernel_shape(model, shapes, op) {
        model.set_attribute(op, "kernel_shape", Attribute::Ints(kernel));
    }
}

/// The shape of a convolution's kernel, as its weight has it.
pub(super) fn kernel_shape(model: &Model, shapes: &Shapes, op: OpId) -> Option<Vec<i64>> {
    shapes.sizes(model.input(op, 1)?)?.get(2..)?.iter().copied().collect()
}

/// States that windows move by one.
pub(super) fn state_strides(model: &mut Model, _: &Shapes, op: OpId) {
    let axes = model.op(op).ints("kernel_shape").map_or(0, <[i64]>::len);
    model.set_attribute(op, "strides", Attribute::Ints(vec![1; axes]));
}

/// Takes off pads that do not count.
pub(super) fn leave_out_pads(model: &mut Model, _: &Shapes, op: OpId) {
    model.take_attribute(op, "auto_pad");
    model.take_attribute(op, "pads");
}

/// Reverses the axes that windows move along, of input, weight and output: the odd element of padding
/// is at the other end then.
pub(super) fn reverse(model: &mut Model, _: &Shapes, op: OpId) {
    let axes = model.op(op).ints("kernel_shape").map_or(0, <[i64]>::len);
    model.set_attribute(op, "auto_pad", Attribute::String("SAME_UPPER".to_owned()));
    let parameters = [vec![-1; axes], vec![BEFORE_THE_FIRST; axes], (2..).take(axes).collect(), vec![-1; axes]];
    let parameters: Vec<ValueId> = parameters.iter().map(|numbers| integers(model, op, numbers)).collect();
    let weights = if model.op(op).op_type().starts_with("Conv") { 2 } else { 1 };
    for slot in 0..weights {
        let Some(input) = model.input(op, slot) else { continue };
        let reversed = before(model, op, "Slice", [&[input], parameters.as_slice()].concat(), vec![]);
        model.set_input(Use { op, slot }, reversed);
    }
    after(model, op, "Slice", &parameters, vec![]);
}

/// The pads that SAME_LOWER means for a ConvTranspose: its output is as large as its input times the
/// stride, whatever that is, and more than half of what is cut off is cut off at the beginning.
pub(super) fn transposed_pads(op: &Op) -> Option<Vec<i64>> {
    let kernel = op.ints("kernel_shape")?;
    let number =
        |name: &str, axis: usize, default: i64| op.ints(name).map_or(Some(default), |all| all.get(axis).copied());
    let cut_off = |(axis, &size): (usize, &i64)| {
        let extent = size.checked_sub(1)?.checked_mul(number("dilations", axis, 1)?)?.checked_add(1)?;
        let total = extent.checked_add(number("output_padding", axis, 0)?)?.checked_sub(number("strides", axis, 1)?)?;
        (total >= 0).then_some(total)
    };
    let totals: Vec<i64> = kernel.iter().enumerate().map(cut_off).collect::<Option<_>>()?;
    Some(totals.iter().map(|total| total - total / 2).chain(totals.iter().map(|total| total / 2)).collect())
}

/// States the pads that SAME_LOWER means for a ConvTranspose.
pub(super) fn state_transposed_pads(model: &mut Model, _: &Shapes, op: OpId) {
    if let Some(pads) = transposed_pads(model.op(op)) {
        model.take_attribute(op, "auto_pad");
        model.set_attribute(op, "pads", Attribute::Ints(pads));
    }
}

/// Makes a matrix of one column of the vector that is the right factor, and takes its axis off the product.
pub(super) fn product_with_column(model: &mut Model, _: &Shapes, op: OpId) {
    let Some(vector) = model.input(op, 1) else { return };
    let last = integers(model, op, &[-1]);
    let second = integers(model, op, &[1]);
    let column = before(model, op, "Unsqueeze", vec![vector, second], vec![]);
    model.set_input(Use { op, slot: 1 }, column);
    after(model, op, "Squeeze", &[last], vec![]);
}

/// Flattens what stands from the axis on to one, and gives the result its shape back.
pub(super) fn flatten_softmax(model: &mut Model, shapes: &Shapes, op: OpId) {
    let Some(input) = model.input(op, 0) else { return };
    let axis = model.op(op).int("axis").unwrap_or(1);
    model.set_attribute(op, "axis", Attribute::Int(-1));
    let last = shapes.rank(input).map(|rank| rank as i64 - 1);
    if axis == -1 || Some(axis) == last {
        return;
    }
    let shape = before(model, op, "Shape", vec![input], vec![]);
    let flat = before(model, op, "Flatten", vec![input], vec![("axis", Attribute::Int(axis))]);
    model.set_input(Use { op, slot: 0 }, flat);
    after(model, op, "Reshape", &[shape], vec![("allowzero", Attribute::Int(1))]);
}

/// Makes a boolean of a number: whether it is not zero.
pub(super) fn compare_with_zero(model: &mut Model, _: &Shapes, op: OpId) {
    model.set_attribute(op, "to", Attribute::Int(DataType::Float as i64));
    let zero = constant(model, op, DataType::Float, &[], vec![0; 4]);
    let not = after(model, op, "Not", &[], vec![]);
    let is_zero = before(model, not, "Equal", model.inputs(not).into_iter().flatten().chain([zero]).collect(), vec![]);
    model.set_input(Use { op: not, slot: 0 }, is_zero);
}

/// Takes the first of the largest or smallest elements: those that are equal are sorted by place.
pub(super) fn first_of_top(model: &mut Model, _: &Shapes, op: OpId) {
    let Some(input) = model.input(op, 0) else { return };
    model.take_attribute(op, "select_last_index");
    let axis = model.take_attribute(op, "axis").map_or(0, |axis| axis.i());
    let keeps_axis = model.take_attribute(op, "keepdims").is_none_or(|keeps| keeps.i() != 0);
    let largest = Attribute::Int(i64::from(model.op(op).is("ArgMax")));
    let one = integers(model, op, &[1]);
    let values =
        before(model, op, "TopK", vec![input, one], vec![("axis", Attribute::Int(axis)), ("largest", largest)]);
    let top = model.producer(values).expect("it was inserted");
    let indices = given(model, top, 1);
    model.set_input(Use { op, slot: 0 }, indices);
    if keeps_axis {
        model.set_op_type(op, "Identity");
    } else {
        model.set_op_type(op, "Squeeze");
        let axes = integers(model, op, &[axis]);
        model.set_input(Use { op, slot: 1 }, axes);
    }
}

/// Whether a number is above zero, less whether it is below, in the number's type.
pub(super) fn sign_by_comparison(model: &mut Model, _: &Shapes, op: OpId) {
    let Some(input) = model.input(op, 0) else { return };
    let zero = constant(model, op, DataType::Int32, &[], vec![0; 4]);
    let zero = before(model, op, "CastLike", vec![zero, input], vec![]);
    let above = before(model, op, "Greater", vec![input, zero], vec![]);
    let below = before(model, op, "Less", vec![input, zero], vec![]);
    let sign = before(model, op, "Sub", vec![above, below], vec![]);
    model.set_op_type(op, "CastLike");
    model.set_input(Use { op, slot: 0 }, sign);
    model.set_input(Use { op, slot: 1 }, input);
}

/// Divides by the scale, and quantizes with a scale of 1; where each slice along an axis has a scale of its
/// own, if the rank shows.
pub(super) fn divide_by_scale(model: &mut Model, shapes: &Shapes, op: OpId) {
    let (Some(input), Some(scale)) = (model.input(op, 0), model.input(op, 1)) else { return };
    let mut divisor = scale;
    if shapes.elements(scale) != Some(1.0) && shapes.rank(scale) != Some(0) {
        let (Some(1), Some(rank)) = (shapes.rank(scale), shapes.rank(input)) else { return };
        let (rank, axis) = (rank as i64, model.op(op).int("axis").unwrap_or(1));
        let axis = if axis < 0 { axis + rank } else { axis };
        if axis < 0 || axis >= rank {
            return;
        }
        let shape: Vec<i64> = std::iter::once(-1).chain((axis + 1..rank).map(|_| 1)).collect();
        let shape = integers(model, op, &shape);
        divisor = before(model, op, "Reshape", vec![scale, shape], vec![]);
    }
    let divided = divided(model, op, input, divisor);
    let same = before(model, op, "Equal", vec![scale, scale], vec![]);
    let one = before(model, op, "Cast", vec![same], vec![("to", Attribute::Int(DataType::Float as i64))]);
    model.set_input(Use { op, slot: 0 }, divided);
    model.set_input(Use { op, slot: 1 }, one);
}

/// Quantizes again, with the scale and zero point that were chosen.
pub(super) fn divide_by_dynamic_scale(model: &mut Model, _: &Shapes, op: OpId) {
    let (Some(input), Some(Some(quantized))) = (model.input(op, 0), model.outputs(op).first().copied()) else { return };
    let (scale, zero_point) = (given(model, op, 1), given(model, op, 2));
    let (scope, name) = place(model, op);
    let unused = model.new_value(scope, &format!("{name} value"));
    model.set_output(op, 0, unused);
    let one = constant(model, op, DataType::Float, &[], 1f32.to_le_bytes().to_vec());
    let inputs = vec![quantized, one, zero_point];
    let at = model.op_after(op);
    let new = NewOp { op_type: "QuantizeLinear", name, inputs, output: quantized, attributes: vec![] };
    let quantize = model.insert_op(scope, at, new);
    let divided = divided(model, quantize, input, scale);
    model.set_input(Use { op: quantize, slot: 0 }, divided);
}

/// A quotient: by as many divisors as there are numbers, as rten multiplies by the inverse of a single one.
fn divided(model: &mut Model, op: OpId, numbers: ValueId, divisor: ValueId) -> ValueId {
    let shape = before(model, op, "Shape", vec![numbers], vec![]);
    let divisors = before(model, op, "Expand", vec![divisor, shape], vec![]);
    before(model, op, "Div", vec![numbers, divisors], vec![])
}

/// What an operator makes in one slot, which it may not have been asked for.
fn given(model: &mut Model, op: OpId, slot: usize) -> ValueId {
    if let Some(value) = model.outputs(op).get(slot).copied().flatten() {
        return value;
    }
    let (scope, name) = place(model, op);
    let value = model.new_value(scope, &format!("{name} value"));
    model.set_output(op, slot, value);
    value
}

/// States that the axis is the second.
pub(super) fn state_axis(model: &mut Model, _: &Shapes, op: OpId) {
    model.set_attribute(op, "axis", Attribute::Int(1));
}

/// Inserts an operator before another one, under whose name errors of it are told; what it makes.
fn before(
    model: &mut Model,
    op: OpId,
    op_type: &'static str,
    inputs: Vec<ValueId>,
    attributes: Vec<(&'static str, Attribute)>,
) -> ValueId {
    let (scope, name) = place(model, op);
    let output = model.new_value(scope, &format!("{name} value"));
    model.insert_op(scope, Some(op), NewOp { op_type, name, inputs, output, attributes });
    output
}

/// Inserts an operator that makes what another one made, of what that makes from now on and other inputs.
fn after(
    model: &mut Model,
    op: OpId,
    op_type: &'static str,
    others: &[ValueId],
    attributes: Vec<(&'static str, Attribute)>,
) -> OpId {
    let (scope, name) = place(model, op);
    let output = model.outputs(op)[0].expect("operators that are rewritten make something");
    let made = model.new_value(scope, &format!("{name} value"));
    model.set_output(op, 0, made);
    let inputs = [&[made], others].concat();
    model.insert_op(scope, model.op_after(op), NewOp { op_type, name, inputs, output, attributes })
}

fn integers(model: &mut Model, op: OpId, numbers: &[i64]) -> ValueId {
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    constant(model, op, DataType::Int64, &[numbers.len()], bytes)
}

fn constant(model: &mut Model, op: OpId, dtype: DataType, shape: &[usize], bytes: Vec<u8>) -> ValueId {
    let (scope, name) = place(model, op);
    let tensor =
        Tensor::from_bytes(&format!("{name} constant"), dtype, shape, bytes).expect("as many bytes as the shape says");
    model.new_constant(scope, tensor, None, Some(op))
}

fn place(model: &Model, op: OpId) -> (ScopeId, String) {
    (model.op(op).scope(), model.op(op).name().to_owned())
}
