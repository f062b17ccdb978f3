//! The quantization kernels: real values in, integers out.
//!
//! Owns how a span of elements becomes bytes; what a single element becomes is
//! [`rounding`](super::rounding)'s rule. Single-threaded and without state, so that a caller may
//! quantize disjoint spans of a tensor at once, each straight into its place of the output.

use super::float::{FloatType, Stored};
use super::layout::Layout;
use super::rounding::{self, Limits};
use super::scheme::{QuantParams, Scheme};
use super::tiles::{Scales, for_each_tile};
use multiversion::multiversion;
use std::ops;

/// Quantizes the elements of `span` into `out`, as ONNX operator QuantizeLinear-13 does:
/// `saturate(round_half_even(x / scale) + zero_point)`, with a true `f32` division. A symmetric scheme
/// saturates at its own [limits](Scheme::limits), which are narrower than the type's.
///
/// `values` is all of the tensor; `span` counts elements of it in row-major order. `params` has an
/// entry for each scale of `layout`, positive and finite. A NaN becomes the lower limit;
/// [`ranges`](super::ranges) finds these.
///
/// # Panics
/// When `values`, `params` or `out` are not of the size that `layout` and `span` ask for.
pub fn quantize(
    values: &[u8],
    ty: FloatType,
    layout: &Layout,
    params: &[QuantParams],
    scheme: Scheme,
    span: ops::Range<usize>,
    out: &mut [u8],
) {
    ty.check(values, layout.elements());
    rounding::check(params, layout.scales());
    assert!(span.start <= span.end && span.end <= layout.elements(), "elements {span:?} of {}", layout.elements(),);
    assert!(out.len() == scheme.ty.bytes(span.len()), "{} bytes of output for {} elements", out.len(), span.len(),);
    let limits = Limits::of(scheme);
    let start = span.start;
    let mut buffer = Vec::new();
    for_each_tile(layout, params, span, |tile, scales| {
        let out = &mut out[tile.start - start..tile.end - start];
        let values = ty.read(values, tile, &mut buffer);
        match scales {
            Scales::Shared { scale, zero_point } => {
                quantize_run(values, scale, zero_point, limits, out);
            }
            Scales::Each { scales, zero_points } => quantize_row(values, scales, zero_points, limits, out),
        }
    });
}

/// Elements that share a scale.
#[multiversion(targets = "simd")]
fn quantize_run(values: &[Stored], scale: f32, zero_point: f32, limits: Limits, out: &mut [u8]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = limits.quantize(f32::from_le_bytes(*value), scale, zero_point) as u8;
    }
}

/// Elements with a scale each.
#[multiversion(targets = "simd")]
fn quantize_row(values: &[Stored], scales: &[f32], zero_points: &[f32], limits: Limits, out: &mut [u8]) {
    let params = scales.iter().zip(zero_points);
    for ((out, value), (scale, zero_point)) in out.iter_mut().zip(values).zip(params) {
        *out = limits.quantize(f32::from_le_bytes(*value), *scale, *zero_point) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::reference::{self, arb_layout, arb_scheme, arb_values};
    use crate::numeric::{Granularity, QuantizedType, Range};
    use proptest::prelude::*;

    const INT8: Scheme = Scheme { ty: QuantizedType::Int8, symmetric: false };

    fn per_tensor(values: &[f32], params: QuantParams, scheme: Scheme) -> Vec<u8> {
        let layout = Layout::new(&[values.len()], Granularity::PerTensor).expect("no axis");
        let bytes = reference::to_bytes(values);
        let mut out = vec![0; values.len()];
        let span = 0..values.len();
        quantize(&bytes, FloatType::F32, &layout, &[params], scheme, span, &mut out);
        out
    }

    #[test]
    fn ties_go_to_the_even_neighbour_before_the_zero_point_is_added() {
        let values = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5];
        let rounded = [-2i8, -2, 0, 0, 2, 2, 4];
        for zero_point in [0, 1, -1, 3] {
            let params = QuantParams { scale: 1.0, zero_point };
            let expected = rounded.map(|q| (q + zero_point as i8) as u8);
            assert_eq!(per_tensor(&values, params, INT8), expected);
        }
    }

    #[test]
    fn neighbours_of_ties_are_not_ties() {
        let params = QuantParams { scale: 1.0, zero_point: 0 };
        let values = [2.5f32.next_up(), 2.5f32.next_down(), 0.5f32.next_up()];
        assert_eq!(per_tensor(&values, params, INT8), [3, 2, 1]);
    }

    #[test]
    fn the_division_is_not_a_multiplication() {
        // Each value is a tie. Multiplied by the rounded 1 / 41, some are not.
        let scale = 41.0f32;
        let values: Vec<f32> = (0..100).map(|n| scale * (n as f32 + 0.5)).collect();
        let params = QuantParams { scale, zero_point: 0 };
        let exact = (0..100).map(|n| n + n % 2).collect::<Vec<u8>>();
        let inexact = values.iter().map(|v| (v * (1.0 / scale)).round_ties_even() as u8);
        assert!(inexact.ne(exact.iter().copied()), "a useless test");
        assert_eq!(per_tensor(&values, params, INT8), exact);
    }

    #[test]
    fn saturates_at_the_limits_of_the_scheme() {
        let params = |zero_point| QuantParams { scale: f32::MIN_POSITIVE, zero_point };
        let values = [f32::MIN, -1.0, 1.0, f32::MAX]; // the outer two overflow to infinity
        let cases = [
            (QuantizedType::Int8, true, 0, -127i32, 127),
            (QuantizedType::Int8, false, 77, -128, 127),
            (QuantizedType::UInt8, true, 128, 1, 255),
            (QuantizedType::UInt8, false, 3, 0, 255),
        ];
        for (ty, symmetric, zero_point, min, max) in cases {
            let scheme = Scheme { ty, symmetric };
            let expected = [min, min, max, max].map(|q| q as u8);
            let actual = per_tensor(&values, params(zero_point), scheme);
            assert_eq!(actual, expected);
        }
    }

    #[test]
    fn a_nan_takes_the_lower_limit() {
        let params = QuantParams { scale: 1.0, zero_point: 5 };
        let values = [f32::NAN; 40];
        assert_eq!(per_tensor(&values, params, INT8), [0x80; 40]);
    }

    proptest! {
        #[test]
        fn any_span_of_any_layout_equals_the_reference(
            layout in arb_layout(),
            values in arb_values(),
            scheme in arb_scheme(),
            ty in prop::sample::select(
                &[FloatType::F32, FloatType::F32, FloatType::F16, FloatType::BF16, FloatType::F64][..],
            ),
            cuts in any::<(prop::sample::Index, prop::sample::Index)>(),
            seed in any::<u32>(),
        ) {
            let (bytes, values) = reference::store(&values.of(&layout), ty);
            // Some fitting, some much too small, and zero points anywhere.
            let (min, max) = scheme.limits();
            let params: Vec<_> = (0..layout.scales() as u32)
                .map(|i| i.wrapping_add(seed).wrapping_mul(0x9e37_79b9))
                .map(|random| match random % 4 {
                    0 => scheme.parameters(Range { min: -127.0, max: 127.0 }),
                    1 => scheme.parameters(Range { min: -1.0, max: 0.3 }),
                    kind => QuantParams {
                        scale: if kind == 2 { 0.5 } else { 1e-38 * (1 + random % 7) as f32 },
                        zero_point: min + (random >> 8) as i32 % (max - min + 1),
                    },
                })
                .map(|p| QuantParams { scale: p.scale.max(f32::MIN_POSITIVE), ..p })
                .collect();
            let cuts = [cuts.0, cuts.1].map(|cut| cut.index(layout.elements() + 1));
            let span = cuts[0].min(cuts[1])..cuts[0].max(cuts[1]);

            let unaligned = [&[0xff][..], &bytes].concat();
            let mut out = vec![0xaa; span.len()];
            quantize(&unaligned[1..], ty, &layout, &params, scheme, span.clone(), &mut out);

            let indices = reference::scale_indices(&layout);
            let expected: Vec<u8> = span
                .map(|e| reference::quantize(values[e], params[indices[e]], scheme) as u8)
                .collect();
            prop_assert_eq!(out, expected);
        }
    }
}
