//! What kind of operator one is, by its type and by the types of its data.

use crate::{
    analysis::Facts,
    ir::{DataType, Model, OpId, ValueId, element_bits, is_float},
};

/// What an operator does with numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It changes the type that numbers are kept in.
    Conversion,
    /// It computes with numbers, or moves them, that are floats or what floats are quantized to.
    Numbers,
    /// Neither: shapes, indices, masks, control flow, and what gives out what it reads.
    Nothing,
}

/// Operators that compute nothing themselves.
const COMPUTE_NOTHING: [&str; 10] =
    ["Constant", "ConstantOfShape", "Dropout", "EyeLike", "Identity", "If", "Loop", "Scan", "Shape", "Size"];

/// Operators that compute with numbers also where nothing tells the types of these, as in functions.
#[rustfmt::skip]
const COMPUTES_FLOATS: [&str; 26] = [
    "AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "Elu", "Erf", "Exp", "FusedConv", "FusedGemm",
    "FusedMatMul", "GRU", "Gelu", "Gemm", "HardSigmoid", "HardSwish", "InstanceNormalization", "LSTM",
    "LayerNormalization", "LeakyRelu", "MatMul", "RNN", "Relu", "Sigmoid", "Softmax", "Sqrt", "Tanh",
];

pub(super) fn kind(model: &Model, facts: &Facts, op: OpId) -> Kind {
    let op_type = model.op(op).op_type();
    if is_quantizing(model, op) {
        return Kind::Conversion;
    }
    if COMPUTE_NOTHING.contains(&op_type) || model.called_function(op).is_some() {
        return Kind::Nothing;
    }
    let dtype = |value: Option<ValueId>| value.and_then(|value| facts.dtype(value));
    if op_type == "Cast" && is_number(dtype(model.outputs(op).first().copied().flatten())) {
        let input = model.input(op, 0);
        let unknown = dtype(input).is_none();
        if unknown || is_number(dtype(input)) || input.is_some_and(|input| is_sum_of_products(model, input)) {
            return Kind::Conversion;
        }
    }
    let values = data(model, op);
    if COMPUTES_FLOATS.contains(&op_type) && values.iter().all(|&value| facts.dtype(value).is_none()) {
        return Kind::Numbers;
    }
    let numbers = values.into_iter().any(|value| is_number(facts.dtype(value)));
    if numbers { Kind::Numbers } else { Kind::Nothing }
}

/// Whether an operator is QuantizeLinear, DequantizeLinear or DynamicQuantizeLinear.
pub(super) fn is_quantizing(model: &Model, op: OpId) -> bool {
    let operator = model.op(op);
    matches!(operator.op_type(), "QuantizeLinear" | "DequantizeLinear" | "DynamicQuantizeLinear")
        && matches!(operator.domain(), "" | "com.microsoft")
}

/// Whether an operator reads or makes floats.
pub(super) fn touches_floats(model: &Model, facts: &Facts, op: OpId) -> bool {
    let values = data(model, op);
    let unknown = || values.iter().all(|&value| facts.dtype(value).is_none());
    values.iter().any(|&value| facts.dtype(value).is_some_and(is_float))
        || COMPUTES_FLOATS.contains(&model.op(op).op_type()) && unknown()
}

/// The values that an operator works on, without scales, indices and the like.
fn data(model: &Model, op: OpId) -> Vec<ValueId> {
    let first = usize::from(model.op(op).is("Where"));
    model.input(op, first).into_iter().chain(model.outputs(op).into_iter().flatten()).collect()
}

/// Whether a type is one that a quantized model keeps numbers in: floats, and integers of up to 16 bits.
fn is_number(dtype: Option<DataType>) -> bool {
    dtype.is_some_and(|it| is_float(it) || it != DataType::Bool && element_bits(it).is_some_and(|bits| bits <= 16))
}

/// Whether a value is the int32 that an integer product gives out.
fn is_sum_of_products(model: &Model, value: ValueId) -> bool {
    model.producer(value).is_some_and(|op| matches!(model.op(op).op_type(), "MatMulInteger" | "ConvInteger"))
}
