//! The rounding rule of ONNX operator QuantizeLinear-13,
//! `saturate(round_half_even(x / scale) + zero_point)`, in operations that vectorize.
//!
//! Invariant: bit-equal to the rule for every finite `x`, with the division done as a division. A NaN
//! takes the lower limit.

use super::scheme::{QuantParams, Scheme};

/// 1.5 * 2^23. Between 2^23 and 2^24, neighbouring `f32` differ by 1, so adding this rounds a number
/// of magnitude below 2^22 to an integer, half to even as every IEEE 754 addition, and leaves that
/// integer in the low bits of the sum.
const SHIFT: f32 = 12_582_912.0;

/// The limits of a scheme, as `f32`: exact, as is all arithmetic with them and zero points.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    min: f32,
    max: f32,
}

impl Limits {
    pub(super) fn of(scheme: Scheme) -> Self {
        let (min, max) = scheme.limits();
        Self { min: min as f32, max: max as f32 }
    }

    /// `quantized - zero_point`, plus [`SHIFT`]. Limits are integers, so saturating before rounding
    /// gives what saturating after it does, and what is rounded is small.
    #[inline(always)]
    fn shifted_steps(self, x: f32, scale: f32, zero_point: f32) -> f32 {
        let (min, max) = (self.min - zero_point, self.max - zero_point);
        // Comparisons, not `f32::clamp`: one instruction each, and false for a NaN.
        let ratio = x / scale;
        let ratio = if ratio > min { ratio } else { min };
        let ratio = if ratio < max { ratio } else { max };
        ratio + SHIFT
    }

    /// The quantized value, in the low bits, as two's complement.
    #[inline(always)]
    pub(super) fn quantize(self, x: f32, scale: f32, zero_point: f32) -> u32 {
        (self.shifted_steps(x, scale, zero_point) + zero_point).to_bits()
    }

    /// `x` after quantization and dequantization.
    #[inline(always)]
    pub(super) fn round_trip(self, x: f32, scale: f32, zero_point: f32) -> f32 {
        (self.shifted_steps(x, scale, zero_point) - SHIFT) * scale
    }
}

/// Panics unless `params` are as the kernels need them.
pub(super) fn check(params: &[QuantParams], scales: usize) {
    assert!(params.len() == scales, "{} parameters for {scales} scales", params.len(),);
}
