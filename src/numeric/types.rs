//! The element types of quantized tensors.
//!
//! Owns [`QuantizedType`]: widths, limits, and which number a bit pattern is. How patterns lie in bytes
//! is [`packing`](super::packing)'s.

use super::small_float::SmallFloat;

/// The type of the elements of a quantized tensor: an integer, or a float of 8 bits and less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuantizedType {
    /// Eight bits, two's complement.
    Int8,
    /// Eight bits, unsigned.
    UInt8,
    /// Sixteen bits, two's complement.
    Int16,
    /// Sixteen bits, unsigned.
    UInt16,
    /// Four bits, two's complement.
    Int4,
    /// Four bits, unsigned.
    UInt4,
    /// Two bits, two's complement.
    Int2,
    /// Two bits, unsigned.
    UInt2,
    /// Four bits of exponent, three of mantissa, a NaN, no infinity; up to 448.
    Float8E4M3FN,
    /// As E4M3FN with another bias and without a negative zero; up to 240.
    Float8E4M3FNUZ,
    /// Five bits of exponent, two of mantissa, as IEEE 754 would have it; up to 57344.
    Float8E5M2,
    /// As E5M2 with another bias, without infinities and without a negative zero; up to 57344.
    Float8E5M2FNUZ,
    /// Two bits of exponent, one of mantissa: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives.
    Float4E2M1,
    /// Two bits of exponent, three of mantissa; up to 7.5.
    Float6E2M3,
    /// Three bits of exponent, two of mantissa; up to 28.
    Float6E3M2,
}

impl QuantizedType {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Int8,
        Self::UInt8,
        Self::Int16,
        Self::UInt16,
        Self::Int4,
        Self::UInt4,
        Self::Int2,
        Self::UInt2,
        Self::Float8E4M3FN,
        Self::Float8E4M3FNUZ,
        Self::Float8E5M2,
        Self::Float8E5M2FNUZ,
        Self::Float4E2M1,
        Self::Float6E2M3,
        Self::Float6E3M2,
    ];

    /// The bits of an element.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Int16 | Self::UInt16 => 16,
            Self::Int8 | Self::UInt8 => 8,
            Self::Float8E4M3FN | Self::Float8E4M3FNUZ | Self::Float8E5M2 | Self::Float8E5M2FNUZ => 8,
            Self::Float6E2M3 | Self::Float6E3M2 => 6,
            Self::Int4 | Self::UInt4 | Self::Float4E2M1 => 4,
            Self::Int2 | Self::UInt2 => 2,
        }
    }

    /// Whether the type has negative values.
    pub const fn is_signed(self) -> bool {
        !matches!(self, Self::UInt8 | Self::UInt16 | Self::UInt4 | Self::UInt2)
    }

    /// Whether the type is a float: it has no zero points but 0.
    pub const fn is_float(self) -> bool {
        self.small_float().is_some()
    }

    /// The smallest and the largest integer. A float type has 0 and 0, the limits of its zero points;
    /// those of its values are told by [`largest`](Self::largest).
    pub const fn limits(self) -> (i32, i32) {
        if self.is_float() {
            return (0, 0);
        }
        let span = (1 << self.bits()) - 1;
        let min = if self.is_signed() { -(1 << (self.bits() - 1)) } else { 0 };
        (min, min + span)
    }

    /// The largest finite value.
    pub const fn largest(self) -> f32 {
        match self.small_float() {
            Some(format) => format.largest(),
            None => self.limits().1 as f32,
        }
    }

    /// The bytes that `elements` elements fill in a tensor's `raw_data`.
    pub const fn bytes(self, elements: usize) -> usize {
        let bits = self.bits() as usize;
        elements / 8 * bits + (elements % 8 * bits).div_ceil(8)
    }

    /// The smallest number of elements that fills whole bytes.
    pub const fn group(self) -> usize {
        match self.bits() {
            2 | 6 => 4,
            4 => 2,
            _ => 1,
        }
    }

    /// The number that a bit pattern is; bits above the type's are ignored.
    ///
    /// ```
    /// use onnx_quant::numeric::QuantizedType;
    ///
    /// assert_eq!(QuantizedType::Int4.decode(0xf), -1.0);
    /// assert_eq!(QuantizedType::Float4E2M1.decode(0xf), -6.0);
    /// ```
    pub fn decode(self, bits: u32) -> f32 {
        if let Some(format) = self.small_float() {
            return format.decode(bits);
        }
        let unused = 32 - self.bits();
        let high = bits << unused;
        if self.is_signed() { (high as i32 >> unused) as f32 } else { (high >> unused) as f32 }
    }

    /// The bytes of integers of this type, as in a tensor's `raw_data`.
    ///
    /// ```
    /// use onnx_quant::numeric::QuantizedType;
    ///
    /// assert_eq!(QuantizedType::Int4.encode(&[1, -1, 7]), [0xf1, 0x07]);
    /// ```
    pub fn encode(self, integers: &[i32]) -> Vec<u8> {
        if self.bits() == 16 {
            return integers.iter().flat_map(|integer| (*integer as u16).to_le_bytes()).collect();
        }
        let codes: Vec<u8> = integers.iter().map(|integer| *integer as u8).collect();
        let mut bytes = vec![0; self.bytes(integers.len())];
        super::packing::pack(self.bits(), &codes, &mut bytes);
        bytes
    }

    pub(super) const fn small_float(self) -> Option<SmallFloat> {
        Some(match self {
            Self::Float8E4M3FN => SmallFloat::E4M3FN,
            Self::Float8E4M3FNUZ => SmallFloat::E4M3FNUZ,
            Self::Float8E5M2 => SmallFloat::E5M2,
            Self::Float8E5M2FNUZ => SmallFloat::E5M2FNUZ,
            Self::Float4E2M1 => SmallFloat::E2M1,
            Self::Float6E2M3 => SmallFloat::E2M3,
            Self::Float6E3M2 => SmallFloat::E3M2,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_of_an_integer_type_is_another_of_its_integers() {
        for ty in QuantizedType::ALL.into_iter().filter(|ty| !ty.is_float()) {
            let (min, max) = ty.limits();
            let mut values: Vec<i32> = (0..1 << ty.bits()).map(|bits| ty.decode(bits) as i32).collect();
            values.sort_unstable();
            assert!(values.into_iter().eq(min..=max), "{ty:?}");
            assert_eq!(ty.largest(), max as f32);
        }
        assert_eq!(QuantizedType::Int2.limits(), (-2, 1));
        assert_eq!(QuantizedType::UInt16.limits(), (0, 65535));
    }

    #[test]
    fn sizes_are_those_of_whole_bytes() {
        for ty in QuantizedType::ALL {
            let group = ty.group();
            assert_eq!(ty.bytes(group) * 8, group * ty.bits() as usize);
            for elements in 0..40 {
                assert_eq!(ty.bytes(elements), (elements * ty.bits() as usize).div_ceil(8));
            }
        }
        assert_eq!(QuantizedType::Int4.bytes(usize::MAX), 1 << (usize::BITS - 1));
    }
}
