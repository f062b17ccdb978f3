//! Reading quantized tensors back.

use super::layout::Layout;
use super::packing;
use super::rounding;
use super::scheme::QuantParams;
use super::types::QuantizedType;
use ndarray::{ArrayD, IxDyn};

/// The real values that quantized bytes stand for (ONNX operator DequantizeLinear-25):
/// `(quantized - zero_point) * scale`, in an array of the layout's shape.
///
/// # Panics
/// When `bytes` or `params` are not of the size that `layout` asks for.
pub fn dequantize(bytes: &[u8], layout: &Layout, params: &[QuantParams], ty: QuantizedType) -> ArrayD<f32> {
    let elements = layout.elements();
    assert!(bytes.len() == ty.bytes(elements), "{} bytes are not {elements} elements of type {ty:?}", bytes.len(),);
    rounding::check(params, layout.scales());
    let mut codes = packing::unpack(ty.bits(), bytes, elements);
    let mut values = Vec::with_capacity(elements);
    while values.len() < elements {
        let at = values.len();
        let piece = layout.geometry().piece_at(at);
        let numbers = codes.by_ref().take(piece.end - at).map(|code| ty.decode(code));
        if piece.consecutive {
            let params = &params[piece.scale..];
            values.extend(numbers.zip(params).map(|(number, p)| p.real(number)));
        } else {
            let params = params[piece.scale];
            values.extend(numbers.map(|number| params.real(number)));
        }
    }
    ArrayD::from_shape_vec(IxDyn(layout.shape()), values).expect("a layout's elements are the product of its shape")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::reference::{self, arb_layout};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_formula_over_coordinates(
            layout in arb_layout(),
            ty in prop::sample::select(&QuantizedType::ALL[..]),
        ) {
            let params: Vec<_> = (0..layout.scales())
                .map(|i| QuantParams { scale: 0.1 + i as f32, zero_point: if ty.is_float() { 0 } else { i as i32 % 3 } })
                .collect();
            let codes: Vec<u32> = (0..layout.elements()).map(|e| (e as u32 * 7) % (1 << ty.bits())).collect();
            let actual = dequantize(&reference::packed(&codes, ty), &layout, &params, ty);
            prop_assert_eq!(actual.shape(), layout.shape());
            let indices = reference::scale_indices(&layout);
            for (e, actual) in actual.into_iter().enumerate() {
                let expected = reference::dequantize(codes[e], params[indices[e]], ty);
                prop_assert!(actual == expected || actual.is_nan() && expected.is_nan());
            }
        }
    }
}
