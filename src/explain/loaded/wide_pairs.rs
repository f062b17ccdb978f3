//! Pairs of integers of 16 bits go: what is between them computes in float.

use super::{Fate, Loaded};
use crate::{
    ir::{DataType, Model, OpId, ValueId},
    targets::{is_dequantizer, quantized},
};

pub(super) fn drop_wide(loaded: &mut Loaded) {
    for op in loaded.model.ops().collect::<Vec<_>>() {
        if let Some(same) = unquantized(&loaded.model, op) {
            loaded.bypass(op, same, Fate::MergedPair);
        }
    }
}

/// What a pair of 16 bits quantizes, where the operator is the DequantizeLinear of one.
fn unquantized(model: &Model, op: OpId) -> Option<ValueId> {
    let [Some(made)] = model.outputs(op)[..] else { return None };
    if !is_dequantizer(model, op) {
        return None;
    }
    let wide = matches!(quantized(model, op, made).dtype, Some(DataType::Uint16 | DataType::Int16));
    let quantizer = model.producer(model.input(op, 0)?)?;
    let pair = wide && model.op(quantizer).op_type() == "QuantizeLinear";
    model.input(quantizer, 0).filter(|_| pair)
}
