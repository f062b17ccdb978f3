//! From the range of real values to scale and zero point.
//!
//! Owns how a type is used ([`Scheme`]) and the rule that makes [`QuantParams`] of a range. Invariant:
//! parameters made here have a positive, finite scale that its stored type represents, normal but for
//! the 2^-127 of float8e8m0 and the small scales of float16, and a zero point within the scheme's
//! limits, whatever the range of values.

use super::range::Range;
use super::scale::{ScaleType, floor_log2, power_of_two};
use super::types::QuantizedType;

/// A quantized type and the way its values are laid over the reals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scheme {
    /// The type of the quantized values.
    pub ty: QuantizedType,
    /// Whether real zero lies in the middle of the integers. Float types are symmetric whatever this
    /// says.
    pub symmetric: bool,
    /// How the scales are stored: parameters come with scales that this type represents.
    pub scale: ScaleType,
}

/// The scale and zero point of a group of elements; of floats the zero point is 0: `real = (quantized - zero_point) * scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantParams {
    /// The real value of one: positive and finite.
    pub scale: f32,
    /// The integer that stands for real zero.
    pub zero_point: i32,
}

impl QuantParams {
    /// The real value that `quantized` stands for (ONNX operator DequantizeLinear-13).
    pub fn dequantize(self, quantized: i32) -> f32 {
        (i64::from(quantized) - i64::from(self.zero_point)) as f32 * self.scale
    }

    /// The real value that a number of the quantized type stands for.
    pub(super) fn real(self, number: f32) -> f32 {
        (number - self.zero_point as f32) * self.scale
    }
}

/// The scale where all values are zero: 2^-14, the smallest normal float16, so that every type of scales has it.
/// Any would do for exact arithmetic, but kernels that round activations make errors in units of it (zero
/// columns of a weight with scale 1 were seen to add up to 2.0 to the result).
pub const SCALE_OF_NOTHING: f32 = 1.0 / 16384.0;

impl Scheme {
    /// The smallest and the largest integer in use: the type's, but for a symmetric scheme of 8 or 16
    /// bits without the smallest, so that the range is as wide on both sides of zero. With fewer bits
    /// the smallest is too many of all integers to give away. Of float types, 0 and 0.
    pub const fn limits(self) -> (i32, i32) {
        let (min, max) = self.ty.limits();
        (if self.symmetric && self.ty.bits() >= 8 && !self.ty.is_float() { min + 1 } else { min }, max)
    }

    /// Whether all groups have the same zero point.
    pub const fn is_symmetric(self) -> bool {
        self.symmetric || self.ty.is_float()
    }

    /// The zero point of a symmetric scheme: 0 for signed types, half of the range for unsigned ones.
    pub(super) const fn middle(self) -> i32 {
        if self.ty.is_signed() { 0 } else { 1 << (self.ty.bits() - 1) }
    }

    /// The parameters that represent all of `range`, whose ends are finite, and real zero exactly.
    ///
    /// - Float types: `scale = max(|min|, |max|) / largest`, with the type's largest finite value.
    /// - Symmetric integers: the zero point in the middle of the integers, the smallest scale that
    ///   reaches both ends, `scale = max(max / (qmax - zero_point), -min / (zero_point - qmin))`.
    /// - Asymmetric integers: as in ONNX operator DynamicQuantizeLinear-11, with the range widened to
    ///   include 0: `scale = (max - min) / (qmax - qmin)`,
    ///   `zero_point = clamp(round_half_even(qmin - min / scale))`, with the scale as it is stored.
    ///
    /// Computed in `f64` and rounded once, so that no finite range overflows. Where the scale would be
    /// smaller than the smallest normal `f32` (all values zero, or denormal), it is [`SCALE_OF_NOTHING`], and
    /// the zero point that of a symmetric scheme, or else 0.
    ///
    /// Scales that are powers of two are, of float types, those of OCP Microscaling Formats v1.0,
    /// section 6.3: `2^(floor(log2(max(|min|, |max|))) - emax)`, where `2^emax` is the largest power of
    /// two of the type; values above its largest number then saturate. Of integers they are the smallest
    /// that reach both ends. Either way the exponent is clamped to -127..127; where all values are zero
    /// the scale is [`SCALE_OF_NOTHING`] too.
    ///
    /// ```
    /// use onnx_quant::numeric::{QuantizedType, Range, ScaleType, Scheme};
    ///
    /// let scheme = Scheme { ty: QuantizedType::UInt8, symmetric: false, scale: ScaleType::default() };
    /// let params = scheme.parameters(Range { min: -1.0, max: 4.0 });
    /// assert_eq!(params.scale, 5.0 / 255.0);
    /// assert_eq!(params.zero_point, 51);
    /// ```
    pub fn parameters(self, range: Range) -> QuantParams {
        let (lowest, highest) = self.limits();
        let min = f64::from(range.min).min(0.0);
        let max = f64::from(range.max).max(0.0);
        let exact = if self.ty.is_float() {
            max.max(-min) / f64::from(self.ty.largest())
        } else if self.symmetric {
            (max / f64::from(highest - self.middle())).max(-min / f64::from(self.middle() - lowest))
        } else {
            (max - min) / f64::from(highest - lowest)
        };
        let nothing = match self.scale {
            ScaleType::Float(_) => (exact as f32) < f32::MIN_POSITIVE,
            ScaleType::PowerOfTwo => exact == 0.0,
        };
        if nothing {
            let zero_point = if self.is_symmetric() { self.middle() } else { 0 };
            return QuantParams { scale: SCALE_OF_NOTHING, zero_point };
        }
        let scale = match (self.scale, self.ty.small_float()) {
            (ScaleType::Float(ty), _) => ScaleType::Float(ty).round(exact as f32),
            (ScaleType::PowerOfTwo, Some(format)) => {
                power_of_two(floor_log2(max.max(-min)) - format.largest_exponent())
            }
            (ScaleType::PowerOfTwo, None) => {
                let below = floor_log2(exact);
                power_of_two(if exact == 2f64.powi(below) { below } else { below + 1 })
            }
        };
        let zero_point = if self.is_symmetric() {
            self.middle()
        } else {
            let exact = f64::from(lowest) - min / f64::from(scale);
            (exact.round_ties_even() as i32).clamp(lowest, highest)
        };
        QuantParams { scale, zero_point }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::float::FloatType;
    use crate::numeric::reference::arb_scheme;
    use proptest::prelude::*;

    const fn scheme(ty: QuantizedType, symmetric: bool) -> Scheme {
        Scheme { ty, symmetric, scale: ScaleType::Float(FloatType::F32) }
    }

    const SYMMETRIC_I8: Scheme = scheme(QuantizedType::Int8, true);
    const SYMMETRIC_U8: Scheme = scheme(QuantizedType::UInt8, true);
    const ASYMMETRIC_I8: Scheme = scheme(QuantizedType::Int8, false);
    const ASYMMETRIC_U8: Scheme = scheme(QuantizedType::UInt8, false);

    fn params(scheme: Scheme, min: f32, max: f32) -> (f32, i32) {
        let QuantParams { scale, zero_point } = scheme.parameters(Range { min, max });
        (scale, zero_point)
    }

    #[test]
    fn limits_are_those_of_the_types() {
        assert_eq!(SYMMETRIC_I8.limits(), (-127, 127));
        assert_eq!(SYMMETRIC_U8.limits(), (1, 255));
        assert_eq!(ASYMMETRIC_I8.limits(), (-128, 127));
        assert_eq!(ASYMMETRIC_U8.limits(), (0, 255));
        assert_eq!(scheme(QuantizedType::Int16, true).limits(), (-32767, 32767));
        assert_eq!(scheme(QuantizedType::UInt16, true).limits(), (1, 65535));
        assert_eq!(scheme(QuantizedType::Int4, true).limits(), (-8, 7));
        assert_eq!(scheme(QuantizedType::UInt2, true).limits(), (0, 3));
        assert_eq!(scheme(QuantizedType::Float8E5M2, true).limits(), (0, 0));
    }

    #[test]
    fn few_bits_reach_further_below_zero() {
        use QuantizedType::{Int2, Int4, UInt2, UInt4};
        assert_eq!(params(scheme(Int4, true), -4.0, 3.0), (0.5, 0));
        assert_eq!(params(scheme(UInt4, true), -4.0, 7.0), (1.0, 8));
        assert_eq!(params(scheme(Int2, true), -8.0, 3.0), (4.0, 0));
        assert_eq!(params(scheme(UInt2, true), -2.0, 3.0), (3.0, 2));
        assert_eq!(params(scheme(UInt4, false), -1.0, 2.0), (0.2, 5));
    }

    #[test]
    fn floats_reach_their_largest_number() {
        assert_eq!(params(scheme(QuantizedType::Float8E4M3FN, false), -896.0, 1.0), (2.0, 0));
        assert_eq!(params(scheme(QuantizedType::Float4E2M1, true), -1.0, 3.0), (0.5, 0));
    }

    #[test]
    fn powers_of_two_follow_the_microscaling_formats() {
        use QuantizedType::*;
        let scale = |ty, min, max| {
            let scheme = Scheme { scale: ScaleType::PowerOfTwo, ..scheme(ty, true) };
            scheme.parameters(Range { min, max }).scale
        };
        for (ty, emax) in [(Float8E4M3FN, 8), (Float8E5M2, 15), (Float6E2M3, 2), (Float6E3M2, 4), (Float4E2M1, 2)] {
            assert_eq!(scale(ty, -1.0, 0.5), 2f32.powi(-emax));
            assert_eq!(scale(ty, 0.0, 1.99), 2f32.powi(-emax));
            assert_eq!(scale(ty, 0.0, 2.0), 2f32.powi(1 - emax));
            assert_eq!(scale(ty, 0.0, 1e-44), 2f32.powi(-127));
            assert_eq!(scale(ty, 0.0, f32::MAX), 2f32.powi(127 - emax));
            assert_eq!(scale(ty, 0.0, 0.0), SCALE_OF_NOTHING);
        }
        assert_eq!(scale(Int4, -8.0, 7.0), 1.0);
        assert_eq!(scale(Int4, -8.0, 7.1), 2.0);
        assert_eq!(scale(Int8, -0.1, 0.0), 2f32.powi(-10));
        assert_eq!(scale(Int2, 0.0, f32::MAX), 2f32.powi(127)); // 2^128 is beyond
    }

    #[test]
    fn symmetric_covers_the_larger_side() {
        assert_eq!(params(SYMMETRIC_I8, -2.54, 1.0), (0.02, 0));
        assert_eq!(params(SYMMETRIC_U8, -1.0, 2.54), (0.02, 128));
    }

    #[test]
    fn asymmetric_covers_both_sides_and_zero() {
        assert_eq!(params(ASYMMETRIC_U8, -1.0, 1.55), (0.01, 100));
        assert_eq!(params(ASYMMETRIC_I8, -1.0, 1.55), (0.01, -28));
        assert_eq!(params(ASYMMETRIC_U8, 5.0, 25.5), (0.1, 0));
        assert_eq!(params(ASYMMETRIC_U8, -25.5, -5.0), (0.1, 255));
        assert_eq!(params(ASYMMETRIC_I8, -25.5, -5.0), (0.1, 127));
    }

    #[test]
    fn asymmetric_zero_points_round_half_to_even() {
        // The scale is exactly 2, so -min / scale is exactly 0.5 and 1.5.
        assert_eq!(params(ASYMMETRIC_U8, -1.0, 509.0), (2.0, 0));
        assert_eq!(params(ASYMMETRIC_U8, -3.0, 507.0), (2.0, 2));
    }

    #[test]
    fn nothing_to_represent_gives_a_small_scale() {
        let denormal = f32::from_bits(1);
        for (min, max) in [(0.0, 0.0), (-0.0, 0.0), (-denormal, denormal)] {
            assert_eq!(params(SYMMETRIC_I8, min, max), (SCALE_OF_NOTHING, 0));
            assert_eq!(params(SYMMETRIC_U8, min, max), (SCALE_OF_NOTHING, 128));
            assert_eq!(params(ASYMMETRIC_I8, min, max), (SCALE_OF_NOTHING, 0));
            assert_eq!(params(ASYMMETRIC_U8, min, max), (SCALE_OF_NOTHING, 0));
        }
    }

    #[test]
    fn scales_near_the_smallest_normal_are_kept() {
        let smallest = f32::MIN_POSITIVE;
        assert_eq!(params(SYMMETRIC_I8, 0.0, smallest * 127.0), (smallest, 0));
        assert_eq!(params(SYMMETRIC_I8, 0.0, smallest * 126.0), (SCALE_OF_NOTHING, 0));
    }

    #[test]
    fn the_widest_range_does_not_overflow() {
        let (scale, zero_point) = params(ASYMMETRIC_U8, f32::MIN, f32::MAX);
        assert_eq!(scale, (f64::from(f32::MAX) * 2.0 / 255.0) as f32);
        assert_eq!(zero_point, 128); // 127.5, to even
    }

    #[test]
    fn dequantize_survives_the_widest_integers() {
        let params = QuantParams { scale: 1.0, zero_point: i32::MIN };
        assert_eq!(params.dequantize(i32::MAX), 2f32.powi(32));
    }

    proptest! {
        #[test]
        fn parameters_represent_the_range(
            a in any::<f32>().prop_filter("finite", |v| v.is_finite()),
            b in any::<f32>().prop_filter("finite", |v| v.is_finite()),
            scheme in arb_scheme(),
        ) {
            let range = Range { min: a.min(b), max: a.max(b) };
            let params = scheme.parameters(range);
            let (lowest, highest) = scheme.limits();
            prop_assert!((lowest..=highest).contains(&params.zero_point));
            prop_assert_eq!(params.dequantize(params.zero_point), 0.0);
            prop_assert_eq!(scheme.scale.round(params.scale), params.scale);
            // Other stored types have smaller ranges, and the microscaling formats saturate.
            let wide = scheme.scale == ScaleType::default();
            prop_assert!(params.scale.is_normal() || !wide);
            prop_assert!(params.scale > 0.0 && params.scale.is_finite());
            if wide || scheme.scale == ScaleType::PowerOfTwo && !scheme.ty.is_float() && a.abs().max(b.abs()) < 1e38 {
                let reach = |q: f32| f64::from(q - params.zero_point as f32) * f64::from(params.scale);
                // Half a step, and a little for the rounding of the scale itself.
                let slack = f64::from(params.scale) * 0.501;
                let (lowest, highest) = match scheme.ty.is_float() {
                    true => (-scheme.ty.largest(), scheme.ty.largest()),
                    false => (lowest as f32, highest as f32),
                };
                prop_assert!(reach(lowest) - slack <= f64::from(range.min));
                prop_assert!(reach(highest) + slack >= f64::from(range.max));
            }
        }
    }
}
