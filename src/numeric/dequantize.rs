//! Reading quantized tensors back.

use super::layout::Layout;
use super::rounding;
use super::scheme::{QuantParams, QuantizedType};
use ndarray::{ArrayD, IxDyn};

/// The real values that quantized bytes stand for (ONNX operator DequantizeLinear-13):
/// `(quantized - zero_point) * scale`, in an array of the layout's shape.
///
/// # Panics
/// When `bytes` or `params` are not of the size that `layout` asks for.
pub fn dequantize(bytes: &[u8], layout: &Layout, params: &[QuantParams], ty: QuantizedType) -> ArrayD<f32> {
    let elements = layout.elements();
    assert!(bytes.len() == ty.bytes(elements), "{} bytes are not {elements} elements of type {ty:?}", bytes.len(),);
    rounding::check(params, layout.scales());
    let mut values = Vec::with_capacity(elements);
    while values.len() < elements {
        let at = values.len();
        let piece = layout.geometry().piece_at(at);
        let quantized = bytes[at..piece.end].iter().map(|&byte| match ty {
            QuantizedType::Int8 => i32::from(byte as i8),
            QuantizedType::UInt8 => i32::from(byte),
        });
        if piece.consecutive {
            let params = &params[piece.scale..];
            values.extend(quantized.zip(params).map(|(q, p)| p.dequantize(q)));
        } else {
            let params = params[piece.scale];
            values.extend(quantized.map(|q| params.dequantize(q)));
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
        fn equals_the_formula_over_coordinates(layout in arb_layout(), signed in any::<bool>()) {
            let ty = if signed { QuantizedType::Int8 } else { QuantizedType::UInt8 };
            let params: Vec<_> = (0..layout.scales())
                .map(|i| QuantParams { scale: 0.1 + i as f32, zero_point: i as i32 % 100 })
                .collect();
            let bytes: Vec<u8> = (0..layout.elements()).map(|e| (e * 7) as u8).collect();
            let actual = dequantize(&bytes, &layout, &params, ty);
            prop_assert_eq!(actual.shape(), layout.shape());
            let indices = reference::scale_indices(&layout);
            for (e, actual) in actual.into_iter().enumerate() {
                let quantized = if signed { f32::from(bytes[e] as i8) } else { f32::from(bytes[e]) };
                let QuantParams { scale, zero_point } = params[indices[e]];
                prop_assert_eq!(actual, (quantized - zero_point as f32) * scale);
            }
        }
    }
}
