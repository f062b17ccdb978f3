//! The quantization kernels: real values in, elements of a quantized type out.
//!
//! Owns how a span of elements becomes bytes; what a single element becomes is
//! [`rounding`](super::rounding)'s rule, how small ones share a byte [`packing`](super::packing)'s.
//! Single-threaded and without state, so that a caller may quantize disjoint spans of a tensor at once,
//! each straight into its place of the output.

use super::float::{FloatType, Stored};
use super::layout::Layout;
use super::packing::pack;
use super::rounding::{self, Rounding, Rule};
use super::scheme::{QuantParams, Scheme};
use super::tiles::{Scales, for_each_tile};
use multiversion::multiversion;
use std::ops;

/// Codes that wait to be packed, at least.
const PENDING: usize = 4096;

/// Quantizes the elements of `span` into `out`, as ONNX operator QuantizeLinear-25 does: integers as
/// `saturate(round_half_even(x / scale) + zero_point)`, floats as `cast(x / scale)` with half to even and
/// `saturate = 1`, with a true `f32` division. A symmetric scheme saturates at its own
/// [limits](Scheme::limits), which may be narrower than the type's.
///
/// `values` is all of the tensor; `span` counts elements of it in row-major order and starts where an
/// element starts a byte: at a multiple of [`group`](super::QuantizedType::group). Where the last
/// element does not end a byte, the rest of it is zero, so that only the last of several spans may end
/// anywhere. `params` has an entry for each scale of `layout`, positive and finite. What becomes of a NaN
/// is unspecified; [`ranges`](super::ranges) finds these.
///
/// # Panics
/// When `values`, `params` or `out` are not of the size that `layout` and `span` ask for, or the span
/// starts within a byte.
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
    assert!(span.start.is_multiple_of(scheme.ty.group()), "element {} does not start a byte", span.start);
    let kernel = |values: &[Stored], scales: Scales<'_>, out: &mut [u8]| match Rounding::of(scheme) {
        Rounding::Integer(rule) => quantize_tile(rule, values, scales, out),
        Rounding::Float(rule) => quantize_tile(rule, values, scales, out),
    };
    let start = span.start;
    let mut buffer = Vec::new();
    match (scheme.ty.bits(), Rounding::of(scheme)) {
        (16, Rounding::Integer(rule)) => {
            let out: &mut [[u8; 2]] = out.as_chunks_mut().0;
            for_each_tile(layout, params, span, |tile, scales| {
                let out = &mut out[tile.start - start..tile.end - start];
                quantize_tile(rule, ty.read(values, tile, &mut buffer), scales, out);
            });
        }
        (8, _) => for_each_tile(layout, params, span, |tile, scales| {
            let out = &mut out[tile.start - start..tile.end - start];
            kernel(ty.read(values, tile, &mut buffer), scales, out);
        }),
        _ => {
            let mut packer = Packer { scheme, out, codes: Vec::new(), pending: 0 };
            for_each_tile(layout, params, span, |tile, scales| {
                let codes = packer.next(tile.len());
                kernel(ty.read(values, tile, &mut buffer), scales, codes);
            });
            packer.finish();
        }
    }
}

/// Collects codes of tiles of any length and packs whole bytes of them.
struct Packer<'a> {
    scheme: Scheme,
    /// What is not yet written.
    out: &'a mut [u8],
    codes: Vec<u8>,
    /// The number of codes that are not yet packed.
    pending: usize,
}

impl Packer<'_> {
    /// Where the next `count` codes go.
    fn next(&mut self, count: usize) -> &mut [u8] {
        if self.pending >= PENDING {
            let whole = self.pending - self.pending % self.scheme.ty.group();
            self.pack(whole);
            self.codes.copy_within(whole..self.pending, 0);
            self.pending -= whole;
        }
        let start = self.pending;
        self.pending += count;
        if self.codes.len() < self.pending {
            self.codes.resize(self.pending.max(2 * PENDING), 0);
        }
        &mut self.codes[start..self.pending]
    }

    fn pack(&mut self, count: usize) {
        let (out, rest) = std::mem::take(&mut self.out).split_at_mut(self.scheme.ty.bytes(count));
        pack(self.scheme.ty.bits(), &self.codes[..count], out);
        self.out = rest;
    }

    fn finish(mut self) {
        self.pack(self.pending);
    }
}

/// An element of output.
trait Code {
    fn from_low_bits(bits: u32) -> Self;
}

impl Code for u8 {
    #[inline(always)]
    fn from_low_bits(bits: u32) -> Self {
        bits as u8
    }
}

impl Code for [u8; 2] {
    #[inline(always)]
    fn from_low_bits(bits: u32) -> Self {
        (bits as u16).to_le_bytes()
    }
}

#[multiversion(targets = "simd")]
fn quantize_tile<R: Rule, C: Code>(rule: R, values: &[Stored], scales: Scales<'_>, out: &mut [C]) {
    let values = values.iter().map(|value| f32::from_le_bytes(*value));
    match scales {
        Scales::Run { scale, zero_point } => {
            for (out, value) in out.iter_mut().zip(values) {
                *out = C::from_low_bits(rule.code(value, scale, zero_point));
            }
        }
        Scales::Row { scales, zero_point } => {
            for ((out, value), scale) in out.iter_mut().zip(values).zip(scales) {
                *out = C::from_low_bits(rule.code(value, *scale, zero_point));
            }
        }
        Scales::Each { scales, zero_points } => {
            let params = scales.iter().zip(zero_points);
            for ((out, value), (scale, zero_point)) in out.iter_mut().zip(values).zip(params) {
                *out = C::from_low_bits(rule.code(value, *scale, *zero_point));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::reference::{self, arb_layout, arb_scheme, arb_values};
    use crate::numeric::{Granularity, QuantizedType, Range, ScaleType};
    use proptest::prelude::*;

    const INT8: Scheme = Scheme { ty: QuantizedType::Int8, symmetric: false, scale: ScaleType::Float(FloatType::F32) };

    fn per_tensor(values: &[f32], params: QuantParams, scheme: Scheme) -> Vec<u8> {
        let layout = Layout::new(&[values.len()], Granularity::PerTensor).expect("no axis");
        let bytes = reference::to_bytes(values);
        let mut out = vec![0; scheme.ty.bytes(values.len())];
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
            (QuantizedType::Int8, true, 0, [0x81u8, 0x81, 0x7f, 0x7f].to_vec()),
            (QuantizedType::Int8, false, 77, [0x80, 0x80, 0x7f, 0x7f].to_vec()),
            (QuantizedType::UInt8, true, 128, [1, 1, 255, 255].to_vec()),
            (QuantizedType::UInt8, false, 3, [0, 0, 255, 255].to_vec()),
            (QuantizedType::Int16, true, 0, [1, 0x80, 1, 0x80, 0xff, 0x7f, 0xff, 0x7f].to_vec()),
            (QuantizedType::UInt16, false, 7, [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff].to_vec()),
            (QuantizedType::Int4, true, 0, [0x88, 0x77].to_vec()),
            (QuantizedType::UInt2, true, 2, [0xf0].to_vec()),
            (QuantizedType::Float8E4M3FN, true, 0, [0xfe, 0xfe, 0x7e, 0x7e].to_vec()),
            (QuantizedType::Float4E2M1, true, 0, [0xff, 0x77].to_vec()),
        ];
        for (ty, symmetric, zero_point, expected) in cases {
            let scheme = Scheme { ty, symmetric, ..INT8 };
            assert_eq!(per_tensor(&values, params(zero_point), scheme), expected, "{ty:?}");
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
            let (start, end) = (cuts[0].min(cuts[1]), cuts[0].max(cuts[1]));
            let span = start - start % scheme.ty.group()..end;

            let unaligned = [&[0xff][..], &bytes].concat();
            let mut out = vec![0xaa; scheme.ty.bytes(span.len())];
            quantize(&unaligned[1..], ty, &layout, &params, scheme, span.clone(), &mut out);

            let indices = reference::scale_indices(&layout);
            let expected: Vec<u32> =
                span.map(|e| reference::quantize(values[e], params[indices[e]], scheme)).collect();
            prop_assert_eq!(out, reference::packed(&expected, scheme.ty));
        }
    }
}
