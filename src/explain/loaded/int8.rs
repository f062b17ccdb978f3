//! int8 activations become uint8 where one operator makes them and one reads them.

use super::Loaded;
use crate::{
    ir::{DataType, Model, OpId, Tensor, Use},
    targets::{is_dequantizer, quantized},
};

pub(super) fn convert(loaded: &mut Loaded) {
    let model = &mut loaded.model;
    for op in model.ops().collect::<Vec<_>>() {
        let Some((pair, zero_point)) = convertible(model, op) else { continue };
        let scope = model.op(op).scope();
        let shifted = zero_point.wrapping_add(0x80);
        let Ok(tensor) = Tensor::from_bytes("zero_point", DataType::Uint8, &[], vec![shifted]) else { continue };
        let value = model.new_constant(scope, tensor, None, Some(op));
        for op in [op, pair] {
            model.set_input(Use { op, slot: 2 }, value);
        }
    }
}

/// The DequantizeLinear behind a QuantizeLinear to int8 that nothing else reads, if one operator reads that; and
/// the zero point of both.
fn convertible(model: &Model, op: OpId) -> Option<(OpId, u8)> {
    if model.op(op).op_type() != "QuantizeLinear" {
        return None;
    }
    let integers = model.outputs(op).first().copied().flatten()?;
    let pair = model.only_use(integers).filter(|_| !model.is_output(integers))?.op;
    let number = model.outputs(pair).first().copied().flatten()?;
    let one_reader = model.is_output(number) != model.only_use(number).is_some();
    let of = |op, value| quantized(model, op, value);
    let same = of(op, integers).zero_points.zip(of(pair, number).zero_points).filter(|(one, two)| one == two)?.0;
    let &[zero_point] = same.as_slice() else { return None };
    let int8 = of(op, integers).dtype == Some(DataType::Int8) && of(op, integers).is_per_tensor();
    (is_dequantizer(model, pair) && int8 && (one_reader || !model.is_read(number)))
        .then_some((pair, i8::try_from(zero_point).ok()? as u8))
}
