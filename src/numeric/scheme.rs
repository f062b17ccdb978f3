//! From the range of real values to the scale and zero point of an integer type.
//!
//! Owns the integer types ([`QuantizedType`]), how they are used ([`Scheme`]) and the rule that makes
//! [`QuantParams`]. Invariant: parameters made here have a positive, normal, finite scale and a zero
//! point within the scheme's range, whatever the range of values.

use super::{float::FloatType, range::Range};

/// An integer type of quantized tensors.
///
/// What the arithmetic needs of it is its [width](Self::bits) and [sign](Self::is_signed).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuantizedType {
    /// Eight bits, two's complement.
    Int8,
    /// Eight bits, unsigned.
    UInt8,
}

impl QuantizedType {
    /// The bits of an element.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Int8 | Self::UInt8 => 8,
        }
    }

    /// Whether the type has negative values.
    pub const fn is_signed(self) -> bool {
        match self {
            Self::Int8 => true,
            Self::UInt8 => false,
        }
    }

    /// The smallest and the largest value.
    pub const fn limits(self) -> (i32, i32) {
        let span = (1 << self.bits()) - 1;
        let min = if self.is_signed() { -(1 << (self.bits() - 1)) } else { 0 };
        (min, min + span)
    }

    /// The bytes that `elements` elements fill in a tensor's `raw_data`.
    pub const fn bytes(self, elements: usize) -> usize {
        match self {
            Self::Int8 | Self::UInt8 => elements,
        }
    }
}

/// An integer type and the way its values are laid over the reals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scheme {
    /// The type of the quantized values.
    pub ty: QuantizedType,
    /// Whether real zero lies in the middle of the integers, with as many of them below as above.
    /// The integer at the lower end is then never used.
    pub symmetric: bool,
}

/// The scale and zero point of a group of elements: `real = (quantized - zero_point) * scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantParams {
    /// The real distance of neighbouring integers: positive and normal.
    pub scale: f32,
    /// The integer that stands for real zero.
    pub zero_point: i32,
}

impl QuantParams {
    /// The real value that `quantized` stands for (ONNX operator DequantizeLinear-13).
    pub fn dequantize(self, quantized: i32) -> f32 {
        (i64::from(quantized) - i64::from(self.zero_point)) as f32 * self.scale
    }

    /// The parameters as they are when the scale is stored as `ty`: rounded to it, and kept positive
    /// and finite, so that quantizing uses the very scale that a runtime will read.
    #[must_use]
    pub fn stored_as(self, ty: FloatType) -> Self {
        let rounded = ty.round(self.scale);
        let scale = if rounded > 0.0 && rounded.is_finite() { rounded } else { 1.0 };
        Self { scale, ..self }
    }
}

impl Scheme {
    /// The smallest and the largest integer in use: the type's, but for a symmetric scheme without the
    /// smallest, so that the range is as wide on both sides of [`middle`](Self::middle).
    pub const fn limits(self) -> (i32, i32) {
        let (min, max) = self.ty.limits();
        (if self.symmetric { min + 1 } else { min }, max)
    }

    /// The zero point of a symmetric scheme: 0 for signed types, half of the range for unsigned ones.
    const fn middle(self) -> i32 {
        let (min, max) = self.limits();
        min + (max - min) / 2
    }

    /// The parameters that represent all of `range`, and real zero exactly.
    ///
    /// - Symmetric: `scale = max(|min|, |max|) / (qmax - zero_point)`, the zero point in the middle of
    ///   the integers.
    /// - Asymmetric: as in ONNX operator DynamicQuantizeLinear-11, with the range widened to include
    ///   0: `scale = (max - min) / (qmax - qmin)`,
    ///   `zero_point = clamp(round_half_even(qmin - min / scale))`, with the scale as it is stored.
    ///
    /// Computed in `f64` and rounded once, so that no finite range overflows. Where the scale would be
    /// smaller than the smallest normal `f32` (all values zero, or denormal), it is 1, and the zero
    /// point that of a symmetric scheme, or else 0.
    ///
    /// ```
    /// use onnx_quant::numeric::{QuantizedType, Range, Scheme};
    ///
    /// let scheme = Scheme { ty: QuantizedType::UInt8, symmetric: false };
    /// let params = scheme.parameters(Range { min: -1.0, max: 4.0 });
    /// assert_eq!(params.scale, 5.0 / 255.0);
    /// assert_eq!(params.zero_point, 51);
    /// ```
    pub fn parameters(self, range: Range) -> QuantParams {
        let (lowest, highest) = self.limits();
        let min = f64::from(range.min).min(0.0);
        let max = f64::from(range.max).max(0.0);
        let scale = if self.symmetric {
            max.max(-min) / f64::from(highest - self.middle())
        } else {
            (max - min) / f64::from(highest - lowest)
        } as f32;

        if scale < f32::MIN_POSITIVE {
            return QuantParams { scale: 1.0, zero_point: if self.symmetric { self.middle() } else { 0 } };
        }
        let zero_point = if self.symmetric {
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
    use proptest::prelude::*;

    const SYMMETRIC_I8: Scheme = Scheme { ty: QuantizedType::Int8, symmetric: true };
    const SYMMETRIC_U8: Scheme = Scheme { ty: QuantizedType::UInt8, symmetric: true };
    const ASYMMETRIC_I8: Scheme = Scheme { ty: QuantizedType::Int8, symmetric: false };
    const ASYMMETRIC_U8: Scheme = Scheme { ty: QuantizedType::UInt8, symmetric: false };

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
    fn nothing_to_represent_gives_scale_one() {
        let denormal = f32::from_bits(1);
        for (min, max) in [(0.0, 0.0), (-0.0, 0.0), (-denormal, denormal)] {
            assert_eq!(params(SYMMETRIC_I8, min, max), (1.0, 0));
            assert_eq!(params(SYMMETRIC_U8, min, max), (1.0, 128));
            assert_eq!(params(ASYMMETRIC_I8, min, max), (1.0, 0));
            assert_eq!(params(ASYMMETRIC_U8, min, max), (1.0, 0));
        }
    }

    #[test]
    fn scales_near_the_smallest_normal_are_kept() {
        let smallest = f32::MIN_POSITIVE;
        assert_eq!(params(SYMMETRIC_I8, 0.0, smallest * 127.0), (smallest, 0));
        assert_eq!(params(SYMMETRIC_I8, 0.0, smallest * 126.0), (1.0, 0));
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
            scheme in prop::sample::select(
                &[SYMMETRIC_I8, SYMMETRIC_U8, ASYMMETRIC_I8, ASYMMETRIC_U8][..],
            ),
        ) {
            let range = Range { min: a.min(b), max: a.max(b) };
            let params = scheme.parameters(range);
            let (lowest, highest) = scheme.limits();
            prop_assert!(params.scale.is_normal() && params.scale > 0.0);
            prop_assert!((lowest..=highest).contains(&params.zero_point));
            prop_assert_eq!(params.dequantize(params.zero_point), 0.0);
            let reach = |q: i32| f64::from(q - params.zero_point) * f64::from(params.scale);
            // Half a step, and a little for the rounding of the scale itself.
            let slack = f64::from(params.scale) * 0.501;
            prop_assert!(reach(lowest) - slack <= f64::from(range.min));
            prop_assert!(reach(highest) + slack >= f64::from(range.max));
        }
    }
}
