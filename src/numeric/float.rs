//! The floating-point types in which weights are stored, and reading them as `f32`.
//!
//! Values are little-endian bytes (`raw_data` of a TensorProto) at any alignment, since most are views
//! of a mapped file. The kernels see `[u8; 4]`, the bytes of an `f32`: those of an `f32` tensor as they
//! lie, those of the others converted a tile at a time. Conversion is exact, but for `f64`, which is
//! rounded to nearest.

use std::ops;

use half::{bf16, f16, slice::HalfFloatSliceExt};

/// A stored element of the kernels: the little-endian bytes of an `f32`.
pub(super) type Stored = [u8; 4];

/// The type of the elements of a float tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FloatType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    BF16,
    /// IEEE 754 binary64; quantization sees it rounded to binary32.
    F64,
}

impl FloatType {
    /// The bytes of an element.
    pub const fn size(self) -> usize {
        match self {
            Self::F16 | Self::BF16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The value of this type nearest to `value`, ties to even.
    pub fn round(self, value: f32) -> f32 {
        match self {
            Self::F16 => f16::from_f32(value).to_f32(),
            Self::BF16 => bf16::from_f32(value).to_f32(),
            Self::F32 | Self::F64 => value,
        }
    }

    /// The little-endian bytes of the values of this type nearest to `values`.
    pub fn encode(self, values: impl Iterator<Item = f32>) -> Vec<u8> {
        match self {
            Self::F16 => values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect(),
            Self::BF16 => values.flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect(),
            Self::F32 => values.flat_map(f32::to_le_bytes).collect(),
            Self::F64 => values.flat_map(|value| f64::from(value).to_le_bytes()).collect(),
        }
    }

    /// The elements of little-endian bytes, exactly.
    pub fn widen(self, values: &[u8]) -> Vec<f64> {
        let halves = || values.as_chunks().0.iter().copied();
        match self {
            Self::F16 => halves().map(|bytes| f16::from_le_bytes(bytes).to_f64()).collect(),
            Self::BF16 => halves().map(|bytes| bf16::from_le_bytes(bytes).to_f64()).collect(),
            Self::F32 => values.as_chunks().0.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes))).collect(),
            Self::F64 => values.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect(),
        }
    }

    /// The little-endian bytes of the values of this type nearest to `values`, rounded once; `None`
    /// where one of them is not finite.
    ///
    /// ```
    /// use onnx_quant::numeric::FloatType;
    /// let third = FloatType::F16.narrow(&[1.0 / 3.0]).unwrap();
    /// assert_eq!(FloatType::F16.widen(&third), [0.333251953125]);
    /// assert_eq!(FloatType::F16.narrow(&[65520.0]), None);
    /// // A little above the middle between 1 and the next: up, where twice rounded would be down.
    /// let above = FloatType::F16.narrow(&[1.0 + 0.5f64.powi(11) + 0.5f64.powi(40)]).unwrap();
    /// assert_eq!(FloatType::F16.widen(&above), [1.0 + 0.5f64.powi(10)]);
    /// ```
    pub fn narrow(self, values: &[f64]) -> Option<Vec<u8>> {
        fn all<const N: usize>(values: &[f64], nearest: impl Fn(f64) -> (bool, [u8; N])) -> Option<Vec<u8>> {
            let mut bytes = Vec::with_capacity(values.len() * N);
            for &value in values {
                let (is_finite, nearest) = nearest(value);
                bytes.extend(is_finite.then_some(nearest)?);
            }
            Some(bytes)
        }
        match self {
            Self::F16 => all(values, |value| {
                let value = f16::from_f32(to_odd(value));
                (value.is_finite(), value.to_le_bytes())
            }),
            Self::BF16 => all(values, |value| {
                let value = bf16::from_f32(to_odd(value));
                (value.is_finite(), value.to_le_bytes())
            }),
            Self::F32 => all(values, |value| ((value as f32).is_finite(), (value as f32).to_le_bytes())),
            Self::F64 => all(values, |value| (value.is_finite(), value.to_le_bytes())),
        }
    }

    /// Panics unless `values` holds exactly `elements` elements.
    pub(super) fn check(self, values: &[u8], elements: usize) {
        let expected = elements.checked_mul(self.size());
        assert!(expected == Some(values.len()), "{} bytes are not {elements} elements of type {self:?}", values.len(),);
    }

    /// The elements of `span`: a view of `values`, or converted into `buffer`.
    pub(super) fn read<'a>(
        self,
        values: &'a [u8],
        span: ops::Range<usize>,
        buffer: &'a mut Vec<Stored>,
    ) -> &'a [Stored] {
        let bytes = &values[span.start * self.size()..span.end * self.size()];
        buffer.clear();
        match self {
            Self::F32 => return bytes.as_chunks().0,
            Self::F16 => {
                buffer.resize(bytes.len() / 2, Stored::default());
                read_f16(bytes.as_chunks().0, buffer);
            }
            // The lower half is zero.
            Self::BF16 => buffer.extend(bytes.as_chunks().0.iter().map(|&[a, b]| [0, 0, a, b])),
            Self::F64 => buffer.extend(bytes.as_chunks().0.iter().map(|&bits| {
                let value = f64::from_le_bytes(bits);
                (value as f32).to_le_bytes()
            })),
        }
        buffer
    }

    /// The first element that is not a finite `f32`, and its value as it is stored.
    pub(super) fn first_non_finite(self, values: &[u8]) -> Option<(usize, f64)> {
        let mut buffer = Vec::new();
        (0..values.len() / self.size()).find_map(|index| {
            let value = *self.read(values, index..index + 1, &mut buffer).first()?;
            let value = f32::from_le_bytes(value);
            if value.is_finite() {
                return None;
            }
            let bytes = &values[index * self.size()..][..self.size()];
            // Only a binary64 can be finite here and not finite as an `f32`.
            let stored = <[u8; 8]>::try_from(bytes).map_or(f64::from(value), f64::from_le_bytes);
            Some((index, stored))
        })
    }
}

/// The binary32 value next to `value` that is equal, or else has an odd significand. Rounded to nearest
/// in a type at least two bits shorter, that is what `value` itself rounds to. (Boldo and Melquiond,
/// "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008.)
fn to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    let difference = value.abs() - f64::from(nearest).abs();
    // The neighbours of an even significand are odd; those of infinity and zero too.
    if difference == 0.0 || value.is_nan() || nearest.to_bits() & 1 == 1 || value.is_infinite() {
        nearest
    } else if difference > 0.0 {
        f32::from_bits(nearest.to_bits() + 1)
    } else {
        f32::from_bits(nearest.to_bits() - 1)
    }
}

/// In pieces, which the crate converts with the processor's own instructions where it has some.
fn read_f16(values: &[[u8; 2]], out: &mut [Stored]) {
    const PIECE: usize = 256;
    let (mut halves, mut floats) = ([f16::ZERO; PIECE], [0f32; PIECE]);
    for (values, out) in values.chunks(PIECE).zip(out.chunks_mut(PIECE)) {
        let (halves, floats) = (&mut halves[..values.len()], &mut floats[..values.len()]);
        for (half, value) in halves.iter_mut().zip(values) {
            *half = f16::from_le_bytes(*value);
        }
        halves.convert_to_f32_slice(floats);
        for (out, float) in out.iter_mut().zip(floats) {
            *out = float.to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(ty: FloatType, bytes: &[u8]) -> f32 {
        f32::from_le_bytes(ty.read(bytes, 0..1, &mut Vec::new())[0])
    }

    #[test]
    fn every_binary16_is_read_as_its_value() {
        for bits in 0..=u16::MAX {
            let actual = read_one(FloatType::F16, &bits.to_le_bytes());
            let exponent = i32::from(bits >> 10 & 0x1f);
            let fraction = f64::from(bits & 0x3ff) / 1024.0;
            let magnitude = match exponent {
                0 => fraction * 2f64.powi(-14),
                31 if fraction == 0.0 => f64::INFINITY,
                31 => f64::NAN,
                _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
            };
            if magnitude.is_nan() {
                assert!(actual.is_nan(), "{bits:#x}");
            } else {
                let expected = magnitude.copysign(if bits >> 15 == 1 { -1.0 } else { 1.0 });
                let actual = f64::from(actual);
                assert_eq!(actual.to_bits(), expected.to_bits(), "{bits:#x}");
            }
        }
    }

    #[test]
    fn bfloat16_is_the_upper_half() {
        for (bits, value) in [(0x3f80u16, 1.0), (0xc2f7, -123.5), (0x7f80, f32::INFINITY)] {
            assert_eq!(read_one(FloatType::BF16, &bits.to_le_bytes()), value);
        }
    }

    #[test]
    fn every_middle_between_two_binary16_is_rounded_once() {
        let narrow = |value: f64| FloatType::F16.narrow(&[value]).map(|bytes| FloatType::F16.widen(&bytes)[0]);
        for bits in 0..f16::MAX.to_bits() {
            let (below, above) = (f16::from_bits(bits).to_f64(), f16::from_bits(bits + 1).to_f64());
            let middle = (below + above) / 2.0;
            let even = if bits % 2 == 0 { below } else { above };
            for sign in [1.0, -1.0] {
                assert_eq!(narrow(sign * middle), Some(sign * even), "{bits:#x}");
                assert_eq!(narrow(sign * middle.next_up()), Some(sign * above), "{bits:#x}");
                assert_eq!(narrow(sign * middle.next_down()), Some(sign * below), "{bits:#x}");
            }
        }
        assert_eq!(narrow(65520f64.next_down()), Some(65504.0));
        assert_eq!(narrow(f64::MAX), None);
    }

    #[test]
    fn binary64_is_rounded_to_nearest() {
        let near_one = 1.0 + 2f64.powi(-24) + 2f64.powi(-40);
        let actual = read_one(FloatType::F64, &near_one.to_le_bytes());
        assert_eq!(actual, 1.0 + f32::EPSILON);
    }

    #[test]
    fn a_binary64_beyond_f32_is_not_finite() {
        let values = [1.0f64, -1e300].map(f64::to_le_bytes).concat();
        assert_eq!(FloatType::F64.first_non_finite(&values), Some((1, -1e300)));
    }
}
