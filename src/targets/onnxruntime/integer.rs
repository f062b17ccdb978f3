//! Which operators become integer kernels between DequantizeLinear and QuantizeLinear.
//!
//! A group of the DequantizeLinear on each data input, the operator, and the QuantizeLinear on its output
//! becomes one kernel. Where the group does not match exactly, the operator computes in float and the
//! conversions are paid for besides.

use crate::{
    ir::{Model, Op, OpId, ValueId},
    numeric::QuantizedType,
    operators::is_standard,
};

/// What becomes of an operator whose data inputs are dequantized integers of 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// A layer with weights; an integer kernel only with a QuantizeLinear on its output.
    LayerToIntegers,
    /// A layer with weights; an integer kernel with a QuantizeLinear on its output or without.
    Layer,
    /// An integer kernel that requantizes: parameters of inputs and output may differ.
    Computes,
    /// Runs on the integers as they are, where input and output have the same parameters.
    Moves,
}

/// The kernel of an operator of the default domain; `None` where it computes in float whatever surrounds
/// it. (Measured; Sub, Div, Tanh, HardSigmoid, a lone Relu, ConvTranspose and recurrent operators do.)
pub fn kernel(model: &Model, id: OpId) -> Option<Kernel> {
    let op = model.op(id);
    if !is_standard(model, id) {
        return None;
    }
    Some(match op.op_type() {
        "Conv" => Kernel::LayerToIntegers,
        "MatMul" | "Gemm" => Kernel::Layer,
        "AveragePool" if fails_between_integers(model, id) => return None,
        "Add" | "Mul" | "AveragePool" | "GlobalAveragePool" | "LeakyRelu" | "Sigmoid" | "Softmax" | "Concat" => {
            Kernel::Computes
        }
        "Resize" if !picks(op) => return None,
        "Reshape" | "Flatten" | "Transpose" | "Squeeze" | "Unsqueeze" | "Slice" | "Tile" | "Expand" | "MaxPool"
        | "ReduceMax" | "ReduceMin" | "Resize" | "Split" => Kernel::Moves,
        _ => return None,
    })
}

/// Whether a Resize only picks elements; one that computes does so in float. (With `axes` it fails.)
fn picks(op: &Op) -> bool {
    !op.has_attributes_of_caller()
        && op.text("mode").is_none_or(|mode| mode == "nearest")
        && op.text("coordinate_transformation_mode") != Some("tf_crop_and_resize")
        && op.ints("axes").is_none()
}

/// Whether a model is not loaded in which this operator stands between a DequantizeLinear and a QuantizeLinear,
/// directly or with what [`Moves`](Kernel::Moves) and Relu between: an AveragePool with dilations, which the
/// integer kernel that is made of it does not have. (1.19, 1.22, 1.32)
pub fn fails_between_integers(model: &Model, id: OpId) -> bool {
    let op = model.op(id);
    let dilated = op.ints("dilations").is_some_and(|steps| steps.iter().any(|&step| step != 1));
    op.is("AveragePool") && (dilated || op.refers_to_caller("dilations"))
}

/// Whether an operator names axes which stay as they are when its input is transposed. Integer convolutions
/// have their channels last, and the Transposes around them travel through the graph: where one comes through
/// this operator, the model fails as it is loaded or run, or computes something else. (1.19, 1.22, 1.32:
/// Pad with the input `axes`, Resize with the attribute, and CenterCropPad, which is made of such a Pad.)
pub fn misplaces_axes(model: &Model, id: OpId) -> bool {
    let op = model.op(id);
    match op.op_type() {
        "Pad" => model.input(id, 3).is_some(),
        "Resize" => op.attribute("axes").is_some(),
        "CenterCropPad" => true,
        _ => false,
    }
}

/// Whether a QuantizeLinear and a DequantizeLinear are put behind an operator that reads what a
/// DequantizeLinear makes, where none is there. (1.32.) Of int8, and of opset 21 and newer, what is put there
/// is invalid on processors where int8 is turned into uint8 (x86): the model is not loaded. (1.32: "output_dtype
/// INT8 does not match y_zero_point type UINT8"; 1.19 and 1.22 load it.)
pub fn propagates(model: &Model, id: OpId) -> bool {
    let moves = ["MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"];
    is_standard(model, id) && moves.contains(&model.op(id).op_type())
}

/// The data inputs of such an operator: those that a DequantizeLinear must stand on.
pub fn data_inputs(model: &Model, op: OpId) -> Vec<ValueId> {
    let inputs = model.inputs(op);
    match model.op(op).op_type() {
        "Add" | "Mul" | "Concat" => inputs.into_iter().flatten().collect(),
        _ => inputs.into_iter().take(1).flatten().collect(),
    }
}

/// Whether a Relu or Clip goes away that a QuantizeLinear of this type behind it makes redundant, the
/// integers beginning with its lower bound. (Measured with 1.32: with int8 and zero point -128 the Relu does go,
/// but the layer before it stays float.)
pub fn absorbs_relu(ty: QuantizedType) -> bool {
    matches!(ty, QuantizedType::UInt8 | QuantizedType::UInt16)
}

/// Whether activations of this type have integer kernels at all.
pub fn has_kernels(ty: QuantizedType) -> bool {
    matches!(ty, QuantizedType::UInt8 | QuantizedType::Int8)
}
