//! Floating-point formats of 8 bits and less: their numbers, and rounding to them.
//!
//! Owns [`SmallFloat`], the description of a format, and [`FloatGrid`], the same as constants of a
//! kernel. Formats: ONNX, "Float stored in 8 bits", "Float stored in 4 bits"; OCP Microscaling Formats
//! v1.0, section 5.3. Rounding is to nearest, ties to even, over subnormal numbers too, and what is
//! beyond the largest finite number becomes that (`saturate = 1` of ONNX operator QuantizeLinear-19).

/// What the largest exponent, and the negative zero, stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// A format with a sign, `exponent_bits` and `mantissa_bits`, from the highest bit down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SmallFloat {
    exponent_bits: u32,
    mantissa_bits: u32,
    bias: i32,
    special: Special,
}

impl SmallFloat {
    pub(crate) const E4M3FN: Self = Self::new(4, 3, 7, Special::OnesAreNan);
    pub(crate) const E4M3FNUZ: Self = Self::new(4, 3, 8, Special::MinusZeroIsNan);
    pub(crate) const E5M2: Self = Self::new(5, 2, 15, Special::Ieee);
    pub(crate) const E5M2FNUZ: Self = Self::new(5, 2, 16, Special::MinusZeroIsNan);
    pub(crate) const E2M3: Self = Self::new(2, 3, 1, Special::Finite);
    pub(crate) const E3M2: Self = Self::new(3, 2, 3, Special::Finite);
    pub(crate) const E2M1: Self = Self::new(2, 1, 1, Special::Finite);

    const fn new(exponent_bits: u32, mantissa_bits: u32, bias: i32, special: Special) -> Self {
        Self { exponent_bits, mantissa_bits, bias, special }
    }

    /// The bits of a number.
    pub(crate) const fn bits(self) -> u32 {
        1 + self.exponent_bits + self.mantissa_bits
    }

    /// The number that a bit pattern is; bits above the format's are ignored.
    pub(crate) fn decode(self, bits: u32) -> f32 {
        let sign_bit = 1 << (self.bits() - 1);
        let magnitude = bits & (sign_bit - 1);
        let exponent = magnitude >> self.mantissa_bits;
        let mantissa = magnitude & ((1 << self.mantissa_bits) - 1);
        let sign = if bits & sign_bit == 0 { 1.0 } else { -1.0 };
        let infinite = self.special == Special::Ieee && exponent == (1 << self.exponent_bits) - 1;
        let nan = match self.special {
            Special::Ieee => infinite && mantissa != 0,
            Special::OnesAreNan => magnitude == sign_bit - 1,
            Special::MinusZeroIsNan => magnitude == 0 && bits & sign_bit != 0,
            Special::Finite => false,
        };
        if nan {
            return f32::NAN;
        }
        if infinite {
            return sign * f32::INFINITY;
        }
        // The leading one is implied, but for the smallest exponent: there numbers are evenly spaced.
        let implied = u32::from(exponent > 0) << self.mantissa_bits;
        let unit = power_of_two(exponent.max(1) as i32 - self.bias - self.mantissa_bits as i32);
        sign * (implied | mantissa) as f32 * unit
    }

    /// The largest finite number.
    pub(crate) const fn largest(self) -> f32 {
        let ones = (1 << (self.mantissa_bits + 1)) - 1;
        let mantissa = match self.special {
            Special::OnesAreNan => ones - 1,
            _ => ones,
        };
        mantissa as f32 * power_of_two(self.largest_exponent() - self.mantissa_bits as i32)
    }

    /// The exponent of the largest finite number: `emax` of OCP Microscaling Formats v1.0.
    pub(crate) const fn largest_exponent(self) -> i32 {
        let reserved = matches!(self.special, Special::Ieee) as i32;
        (1 << self.exponent_bits) - 1 - reserved - self.bias
    }

    /// The constants of rounding to this format.
    pub(super) const fn grid(self) -> FloatGrid {
        FloatGrid {
            largest: self.largest(),
            smallest_exponent: power_of_two(1 - self.bias).to_bits(),
            mantissa_bits: self.mantissa_bits,
            sign_shift: 32 - self.bits(),
            zero_sign: if matches!(self.special, Special::MinusZeroIsNan) { 0 } else { SIGN },
        }
    }
}

const SIGN: u32 = 1 << 31;

const EXPONENT: u32 = 0xff << 23;

/// `2^exponent`, a normal `f32`.
pub(super) const fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) as u32) << 23)
}

/// Rounding of `f32` to a [`SmallFloat`], in operations that vectorize.
#[derive(Debug, Clone, Copy)]
pub(super) struct FloatGrid {
    largest: f32,
    /// The bits of the smallest normal number as an `f32`.
    smallest_exponent: u32,
    mantissa_bits: u32,
    sign_shift: u32,
    /// The sign of what is rounded to zero from below: none where the format has no negative zero.
    zero_sign: u32,
}

impl FloatGrid {
    /// The magnitude of `x`, rounded: the bits of its exponent, and the sum with and without the power
    /// of two whose unit in the last place is the distance of the format's numbers around `x`. As the
    /// sum is rounded half to even, so is `x`.
    #[inline(always)]
    fn round_magnitude(self, x: f32) -> (u32, f32, f32) {
        let magnitude = f32::from_bits(x.to_bits() & !SIGN);
        let magnitude = if magnitude < self.largest { magnitude } else { self.largest };
        let exponent = magnitude.to_bits() & EXPONENT;
        let exponent = if exponent > self.smallest_exponent { exponent } else { self.smallest_exponent };
        let shift = f32::from_bits(exponent + ((23 - self.mantissa_bits) << 23));
        (exponent, magnitude + shift, shift)
    }

    /// The number of the format that is nearest to `x`.
    #[inline(always)]
    pub(super) fn round(self, x: f32) -> f32 {
        let (_, sum, shift) = self.round_magnitude(x);
        f32::from_bits((sum - shift).to_bits() | x.to_bits() & SIGN)
    }

    /// The bit pattern of the number that is nearest to `x`.
    #[inline(always)]
    pub(super) fn encode(self, x: f32) -> u32 {
        let (exponent, sum, shift) = self.round_magnitude(x);
        // Counted in units, the magnitude has its implied one as a bit, which makes up for exponents
        // being counted from that of subnormal numbers; what is rounded up to the next power of two
        // carries into the exponent.
        let units = sum.to_bits() - shift.to_bits();
        let code = ((exponent - self.smallest_exponent) >> (23 - self.mantissa_bits)) + units;
        let sign = x.to_bits() & if code == 0 { self.zero_sign } else { SIGN };
        code | sign >> self.sign_shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [SmallFloat; 7] = [
        SmallFloat::E4M3FN,
        SmallFloat::E4M3FNUZ,
        SmallFloat::E5M2,
        SmallFloat::E5M2FNUZ,
        SmallFloat::E2M3,
        SmallFloat::E3M2,
        SmallFloat::E2M1,
    ];

    #[test]
    fn patterns_are_the_numbers_that_the_formats_define() {
        let cases = [
            (SmallFloat::E5M2, 0x7b, 57344.0),
            (SmallFloat::E5M2, 0xfc, f32::NEG_INFINITY),
            (SmallFloat::E5M2, 0x01, 2f32.powi(-16)),
            (SmallFloat::E4M3FN, 0x7e, 448.0),
            (SmallFloat::E4M3FN, 0xb8, -1.0),
            (SmallFloat::E4M3FNUZ, 0x7f, 240.0),
            (SmallFloat::E5M2FNUZ, 0x40, 1.0),
            (SmallFloat::E2M3, 0x3f, -7.5),
            (SmallFloat::E3M2, 0x1f, 28.0),
            (SmallFloat::E2M1, 0x7, 6.0),
            (SmallFloat::E2M1, 0x9, -0.5),
            (SmallFloat::E2M1, 0x8, -0.0),
        ];
        for (format, bits, number) in cases {
            assert_eq!(format.decode(bits).to_bits(), number.to_bits(), "{format:?} {bits:#x}");
        }
        for (format, bits) in [(SmallFloat::E4M3FN, 0xff), (SmallFloat::E4M3FNUZ, 0x80), (SmallFloat::E5M2, 0x7d)] {
            assert!(format.decode(bits).is_nan(), "{format:?} {bits:#x}");
        }
    }

    #[test]
    fn the_largest_number_is_the_largest_pattern_that_is_finite() {
        let largest = ALL.map(SmallFloat::largest);
        assert_eq!(largest, [448.0, 240.0, 57344.0, 57344.0, 7.5, 28.0, 6.0]);
        assert_eq!(ALL.map(SmallFloat::largest_exponent), [8, 7, 15, 15, 2, 4, 2]);
        for format in ALL {
            let finite = (0..1 << format.bits()).map(|bits| format.decode(bits)).filter(|number| number.is_finite());
            assert_eq!(finite.fold(0.0, f32::max), format.largest());
        }
    }

    /// Numbers, middles between neighbours, and the `f32` on both sides of these.
    fn landmarks(format: SmallFloat) -> Vec<f32> {
        let half = 1 << (format.bits() - 1);
        let mut numbers: Vec<f32> = (0..half).map(|bits| format.decode(bits)).filter(|x| x.is_finite()).collect();
        let middles: Vec<f32> = numbers.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
        numbers.extend(middles);
        numbers.extend([1e-45, 1e-30, format.largest() * 1.03, format.largest() * 1.1, 1e38, f32::INFINITY]);
        let around = numbers.into_iter().flat_map(|x| [x.next_down().max(0.0), x, x.next_up()]);
        around.flat_map(|x| [x, -x]).collect()
    }

    #[test]
    fn rounding_finds_the_nearest_number_and_among_two_the_even_one() {
        for format in ALL {
            for x in landmarks(format) {
                let sign = if x.is_sign_negative() { 1 << (format.bits() - 1) } else { 0 };
                let nearest = (0..1u32 << (format.bits() - 1))
                    .filter(|&bits| format.decode(bits).is_finite())
                    .min_by(|&a, &b| {
                        let distance = |bits| (f64::from(format.decode(bits)) - f64::from(x.abs().min(1e6))).abs();
                        distance(a).total_cmp(&distance(b)).then((a % 2).cmp(&(b % 2)))
                    })
                    .expect("zero is finite");
                let expected = match format.special {
                    Special::MinusZeroIsNan if nearest == 0 => 0,
                    _ => nearest | sign,
                };
                assert_eq!(format.grid().encode(x), expected, "{format:?} {x:e}");
                assert_eq!(format.grid().round(x), format.decode(expected), "{format:?} {x:e}");
            }
        }
    }
}
