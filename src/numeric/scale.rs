//! How scales are stored.
//!
//! Owns [`ScaleType`]: in a float type, or as a power of two alone (float8e8m0, the shared exponent of
//! OCP Microscaling Formats v1.0, section 5.4.1: a biased exponent, no sign, no mantissa, no zero).

use super::float::FloatType;
use half::f16;

/// The exponents of float8e8m0: 2^-127 to 2^127.
const E8M0_BIAS: i32 = 127;

/// The stored type of scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScaleType {
    /// A float type.
    Float(FloatType),
    /// float8e8m0: one byte, a power of two.
    PowerOfTwo,
}

impl Default for ScaleType {
    fn default() -> Self {
        Self::Float(FloatType::F32)
    }
}

impl ScaleType {
    /// The bytes of a scale.
    pub const fn size(self) -> usize {
        match self {
            Self::Float(ty) => ty.size(),
            Self::PowerOfTwo => 1,
        }
    }

    /// The scale that is stored for `scale`: of a float type the nearest number, of powers of two the
    /// largest one that is no larger, and 1 where that is not positive and finite.
    pub fn round(self, scale: f32) -> f32 {
        let rounded = match self {
            Self::Float(FloatType::F16) => f16_scale(scale),
            Self::Float(ty) => ty.round(scale),
            Self::PowerOfTwo => decode_e8m0(encode_e8m0(scale)),
        };
        if rounded > 0.0 && rounded.is_finite() { rounded } else { 1.0 }
    }

    /// The little-endian bytes that stand for `scales`.
    pub fn encode(self, scales: impl Iterator<Item = f32>) -> Vec<u8> {
        match self {
            Self::Float(ty) => ty.encode(scales),
            Self::PowerOfTwo => scales.map(encode_e8m0).collect(),
        }
    }
}

/// Rounded to nearest, but up where float16 has few digits left: a scale that became much smaller, or
/// zero, would saturate or erase what it stands for.
fn f16_scale(scale: f32) -> f32 {
    let nearest = f16::from_f32(scale);
    let smaller = nearest < f16::MIN_POSITIVE && nearest.to_f32() < scale;
    if smaller { f16::from_bits(nearest.to_bits() + 1).to_f32() } else { nearest.to_f32() }
}

/// The float8e8m0 of the largest power of two that is no larger than `scale`; 2^-127 for what is
/// smaller or negative, NaN (255) for what is not finite.
///
/// ```
/// use onnx_quant::numeric::{decode_e8m0, encode_e8m0};
///
/// assert_eq!(encode_e8m0(1.0), 127);
/// assert_eq!(encode_e8m0(0.75), 126);
/// assert_eq!(decode_e8m0(0), 2f32.powi(-127));
/// assert!(decode_e8m0(255).is_nan());
/// ```
pub fn encode_e8m0(scale: f32) -> u8 {
    if scale.is_nan() || scale == f32::INFINITY {
        return 0xff;
    }
    // A subnormal `f32` has the exponent 0 here as there, where it is 2^-127.
    (scale.max(0.0).to_bits() >> 23) as u8
}

/// The number that a float8e8m0 is.
pub fn decode_e8m0(bits: u8) -> f32 {
    match bits {
        0 => power_of_two(-E8M0_BIAS),
        0xff => f32::NAN,
        _ => f32::from_bits(u32::from(bits) << 23),
    }
}

/// `2^exponent`, the exponent clamped to those of float8e8m0.
pub(super) fn power_of_two(exponent: i32) -> f32 {
    match exponent.clamp(-E8M0_BIAS, E8M0_BIAS) {
        // Half of the smallest normal number.
        -127 => f32::from_bits(1 << 22),
        exponent => f32::from_bits(((exponent + 127) as u32) << 23),
    }
}

/// The largest exponent of a power of two that is no larger than `x`, which is positive and finite.
pub(super) fn floor_log2(x: f64) -> i32 {
    // An `f64` made of an `f32` is normal.
    (x.to_bits() >> 52) as i32 - 1023
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_power_of_two_comes_back() {
        for bits in 0..255 {
            let scale = decode_e8m0(bits);
            assert_eq!(f64::from(scale), 2f64.powi(i32::from(bits) - 127));
            assert_eq!(encode_e8m0(scale), bits);
            assert_eq!(encode_e8m0(scale * 1.99), bits);
            assert_eq!(floor_log2(f64::from(scale)), i32::from(bits) - 127);
            assert_eq!(power_of_two(i32::from(bits) - 127), scale);
        }
        assert_eq!(encode_e8m0(0.0), 0);
        assert_eq!(encode_e8m0(f32::NAN), 255);
        assert_eq!((power_of_two(-900), power_of_two(900)), (2f32.powi(-127), 2f32.powi(127)));
    }

    #[test]
    fn scales_that_cannot_be_stored_become_1() {
        assert_eq!(ScaleType::Float(FloatType::F16).round(0.0), 1.0);
        assert_eq!(ScaleType::Float(FloatType::F16).round(1e9), 1.0);
        assert_eq!(ScaleType::Float(FloatType::BF16).round(1.0 + 2f32.powi(-8)), 1.0);
        assert_eq!(ScaleType::PowerOfTwo.round(0.3), 0.25);
    }

    #[test]
    fn small_float16_scales_are_rounded_up() {
        let smallest = 2f32.powi(-24);
        for scale in [1e-9, 2.3e-8, smallest, 1.2 * smallest, 8.7e-8, 5.5e-5] {
            let stored = ScaleType::Float(FloatType::F16).round(scale);
            assert!(scale <= stored && stored < scale + smallest, "{scale:e} {stored:e}");
        }
        // A normal scale goes to the nearest number.
        assert_eq!(ScaleType::Float(FloatType::F16).round(1.0001), 1.0);
    }
}
