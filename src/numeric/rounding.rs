//! The rounding rules of ONNX operator QuantizeLinear, in operations that vectorize: for integers
//! `saturate(round_half_even(x / scale) + zero_point)`, for floats `cast(x / scale)`, which saturates.
//!
//! Owns [`Rule`], what the kernels know of a type. Invariant: bit-equal to the operator's rule for
//! every finite `x`, with the division done as a division.

use super::scheme::{QuantParams, Scheme};
use super::small_float::FloatGrid;

/// 1.5 * 2^23. Between 2^23 and 2^24, neighbouring `f32` differ by 1, so adding this rounds a number
/// of magnitude below 2^22 to an integer, half to even as every IEEE 754 addition, and leaves that
/// integer in the low bits of the sum.
const SHIFT: f32 = 12_582_912.0;

/// How real numbers become those of a quantized type.
pub(super) trait Rule: Copy + Send + Sync {
    /// The number that stands for `ratio` steps from real zero, less the zero point: an integer, or a
    /// number of the float type.
    fn steps(self, ratio: f32, zero_point: f32) -> f32;

    /// The quantized value's bit pattern, in the low bits; those above it may be anything.
    fn code(self, x: f32, scale: f32, zero_point: f32) -> u32;

    /// `x` after quantization and dequantization.
    #[inline(always)]
    fn round_trip(self, x: f32, scale: f32, zero_point: f32) -> f32 {
        self.steps(x / scale, zero_point) * scale
    }
}

/// The rule of a scheme.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rounding {
    Integer(Limits),
    Float(FloatGrid),
}

impl Rounding {
    pub(super) fn of(scheme: Scheme) -> Self {
        match scheme.ty.small_float() {
            Some(format) => Self::Float(format.grid()),
            None => {
                let (min, max) = scheme.limits();
                Self::Integer(Limits { min: min as f32, max: max as f32 })
            }
        }
    }
}

/// The limits of a scheme of integers, as `f32`: exact, as is all arithmetic with them and zero points.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    min: f32,
    max: f32,
}

impl Limits {
    /// `quantized - zero_point`, plus [`SHIFT`]. Limits are integers, so saturating before rounding
    /// gives what saturating after it does, and what is rounded is small.
    #[inline(always)]
    fn shifted_steps(self, ratio: f32, zero_point: f32) -> f32 {
        let (min, max) = (self.min - zero_point, self.max - zero_point);
        // Comparisons, not `f32::clamp`: one instruction each, and false for a NaN.
        let ratio = if ratio > min { ratio } else { min };
        let ratio = if ratio < max { ratio } else { max };
        ratio + SHIFT
    }
}

/// A NaN takes the lower limit.
impl Rule for Limits {
    #[inline(always)]
    fn steps(self, ratio: f32, zero_point: f32) -> f32 {
        self.shifted_steps(ratio, zero_point) - SHIFT
    }

    #[inline(always)]
    fn code(self, x: f32, scale: f32, zero_point: f32) -> u32 {
        (self.shifted_steps(x / scale, zero_point) + zero_point).to_bits()
    }
}

/// There are no zero points but 0. A NaN takes the largest number of its sign.
impl Rule for FloatGrid {
    #[inline(always)]
    fn steps(self, ratio: f32, _: f32) -> f32 {
        self.round(ratio)
    }

    #[inline(always)]
    fn code(self, x: f32, scale: f32, _: f32) -> u32 {
        self.encode(x / scale)
    }
}

/// Panics unless `params` are as the kernels need them.
pub(super) fn check(params: &[QuantParams], scales: usize) {
    assert!(params.len() == scales, "{} parameters for {scales} scales", params.len(),);
}
