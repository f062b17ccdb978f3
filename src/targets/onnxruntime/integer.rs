//! Operators that the runtime fails with where integers are near.

use crate::{
    ir::{Model, OpId},
    operators::is_standard,
};

/// Whether a model is not loaded in which this operator stands between a DequantizeLinear and a QuantizeLinear,
/// directly or with operators that move integers and Relu between: an AveragePool with dilations, which the
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
