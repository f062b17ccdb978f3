//! Numbers of 16 bits and less as the `f32` that they are, for the comments beside their bit patterns.

use crate::ir::DataType;

/// What the largest exponent, and the negative zero, stand for.
#[derive(Clone, Copy, PartialEq)]
enum Special {
    /// The largest exponent is infinity or NaN.
    Ieee,
    /// All ones is NaN; there is no infinity.
    OnesAreNan,
    /// The negative zero is NaN; there is no infinity.
    MinusZeroIsNan,
    /// All patterns are finite numbers.
    Finite,
}

/// The number that a bit pattern of this type is; `None` for types that are no small floats.
pub(super) fn decode(dtype: DataType, bits: u32) -> Option<f32> {
    use DataType::*;
    let (exponent_bits, mantissa_bits, bias, special) = match dtype {
        Float16 => (5, 10, 15, Special::Ieee),
        Bfloat16 => (8, 7, 127, Special::Ieee),
        Float8e5m2 => (5, 2, 15, Special::Ieee),
        Float8e4m3fn => (4, 3, 7, Special::OnesAreNan),
        Float8e4m3fnuz => (4, 3, 8, Special::MinusZeroIsNan),
        Float8e5m2fnuz => (5, 2, 16, Special::MinusZeroIsNan),
        Float6e2m3 => (2, 3, 1, Special::Finite),
        Float6e3m2 => (3, 2, 3, Special::Finite),
        Float4e2m1 => (2, 1, 1, Special::Finite),
        Float8e8m0 if bits == 0xff => return Some(f32::NAN),
        Float8e8m0 => return Some(2f64.powi(bits as i32 - 127) as f32),
        _ => return None,
    };
    let sign_bit = 1 << (exponent_bits + mantissa_bits);
    let magnitude = bits & (sign_bit - 1);
    let exponent = magnitude >> mantissa_bits;
    let mantissa = magnitude & ((1 << mantissa_bits) - 1);
    let sign = if bits & sign_bit == 0 { 1.0 } else { -1.0 };
    let infinite = special == Special::Ieee && exponent == (1 << exponent_bits) - 1;
    let nan = match special {
        Special::Ieee => infinite && mantissa != 0,
        Special::OnesAreNan => magnitude == sign_bit - 1,
        Special::MinusZeroIsNan => bits == sign_bit,
        Special::Finite => false,
    };
    // The leading one is implied, but for the smallest exponent: there numbers are evenly spaced.
    let implied = u32::from(exponent > 0) << mantissa_bits;
    let scale = exponent.max(1) as i32 - bias - mantissa_bits;
    let number = f64::from(implied | mantissa) * 2f64.powi(scale);
    Some(match (nan, infinite) {
        (true, _) => f32::NAN,
        (_, true) => sign * f32::INFINITY,
        _ => sign * number as f32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_the_numbers_that_the_types_define() {
        use DataType::*;
        let cases = [
            (Float16, 0x3c00, 1.0),
            (Float16, 0x8000, -0.0),
            (Float16, 0x0001, 5.960_464_5e-8),
            (Float16, 0x7bff, 65504.0),
            (Float16, 0xfc00, f32::NEG_INFINITY),
            (Bfloat16, 0x3f80, 1.0),
            (Bfloat16, 0x7f7f, 3.389_531_4e38),
            (Float8e5m2, 0x7b, 57344.0),
            (Float8e4m3fn, 0x7e, 448.0),
            (Float8e4m3fn, 0xb8, -1.0),
            (Float8e4m3fnuz, 0x7f, 240.0),
            (Float8e5m2fnuz, 0x40, 1.0),
            (Float6e2m3, 0x3f, -7.5),
            (Float6e3m2, 0x1f, 28.0),
            (Float4e2m1, 0x7, 6.0),
            (Float4e2m1, 0x9, -0.5),
            (Float8e8m0, 0x7f, 1.0),
            (Float8e8m0, 0, 5.877_472e-39),
        ];
        for (dtype, bits, number) in cases {
            assert_eq!(decode(dtype, bits).map(f32::to_bits), Some(f32::to_bits(number)), "{dtype:?} {bits:#x}");
        }
        for (dtype, bits) in
            [(Float16, 0x7e00), (Float8e4m3fn, 0xff), (Float8e4m3fnuz, 0x80), (Float8e5m2, 0x7d), (Float8e8m0, 0xff)]
        {
            assert!(decode(dtype, bits).is_some_and(f32::is_nan), "{dtype:?} {bits:#x}");
        }
        assert_eq!(decode(Int8, 1), None);
    }
}
