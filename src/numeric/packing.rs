//! How elements of fewer than 8 bits share bytes.
//!
//! As ONNX stores them in `raw_data`: the first element is in the lowest bits, elements follow each
//! other without gaps (so four of 6 bits fill three bytes), and what is missing from the last byte is
//! zero. A code is the bit pattern of one element in a byte of its own; its bits above the type's may
//! be anything.

use multiversion::multiversion;

/// Packs `codes` of `bits` bits into `out`, which is exactly as long as they need.
pub(super) fn pack(bits: u32, codes: &[u8], out: &mut [u8]) {
    match bits {
        2 => pack_2(codes, out),
        4 => pack_4(codes, out),
        6 => pack_6(codes, out),
        _ => out.copy_from_slice(codes),
    }
}

/// The codes of the first `elements` elements in `bytes`.
pub(super) fn unpack(bits: u32, bytes: &[u8], elements: usize) -> impl Iterator<Item = u32> {
    let bits = bits as usize;
    (0..elements).map(move |element| {
        let (byte, shift) = (element * bits / 8, element * bits % 8);
        let next = bytes.get(byte + 1).copied().unwrap_or_default();
        u32::from(u16::from_le_bytes([bytes[byte], next]) >> shift) & ((1 << bits) - 1)
    })
}

#[multiversion(targets = "simd")]
fn pack_4(codes: &[u8], out: &mut [u8]) {
    let (pairs, rest) = codes.as_chunks::<2>();
    for (out, pair) in out.iter_mut().zip(pairs) {
        let pair = u16::from_le_bytes(*pair) & 0x0f0f;
        *out = (pair | pair >> 4) as u8;
    }
    if let ([code], Some(out)) = (rest, out.last_mut()) {
        *out = code & 0xf;
    }
}

#[multiversion(targets = "simd")]
fn pack_2(codes: &[u8], out: &mut [u8]) {
    let (fours, rest) = codes.as_chunks::<4>();
    for (out, four) in out.iter_mut().zip(fours) {
        *out = four_of_2(*four);
    }
    if let (true, Some(out)) = (!rest.is_empty(), out.last_mut()) {
        *out = four_of_2(padded(rest));
    }
}

#[inline(always)]
fn four_of_2(codes: [u8; 4]) -> u8 {
    let four = u32::from_le_bytes(codes) & 0x0303_0303;
    (four | four >> 6 | four >> 12 | four >> 18) as u8
}

#[multiversion(targets = "simd")]
fn pack_6(codes: &[u8], out: &mut [u8]) {
    let (fours, rest) = codes.as_chunks::<4>();
    // Three elements need three bytes too.
    let (threes, out_rest) = out.split_at_mut(3 * fours.len());
    for (out, four) in threes.as_chunks_mut().0.iter_mut().zip(fours) {
        *out = four_of_6(*four);
    }
    let last = four_of_6(padded(rest));
    out_rest.copy_from_slice(&last[..out_rest.len()]);
}

#[inline(always)]
fn four_of_6(codes: [u8; 4]) -> [u8; 3] {
    let four = u32::from_le_bytes(codes) & 0x3f3f_3f3f;
    let packed = four & 0x3f | four >> 2 & 0xfc0 | four >> 4 & 0x3_f000 | four >> 6 & 0xfc_0000;
    let [a, b, c, _] = packed.to_le_bytes();
    [a, b, c]
}

#[inline(always)]
fn padded(codes: &[u8]) -> [u8; 4] {
    let mut four = [0; 4];
    four[..codes.len()].copy_from_slice(codes);
    four
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::QuantizedType;
    use proptest::prelude::*;

    fn packed(ty: QuantizedType, codes: &[u8]) -> Vec<u8> {
        let mut out = vec![0xaa; ty.bytes(codes.len())];
        pack(ty.bits(), codes, &mut out);
        out
    }

    #[test]
    fn the_first_element_is_in_the_lowest_bits() {
        assert_eq!(packed(QuantizedType::Int4, &[0x1, 0x2, 0xff]), [0x21, 0x0f]);
        assert_eq!(packed(QuantizedType::UInt2, &[0, 1, 2, 3, 1]), [0b1110_0100, 0b01]);
        assert_eq!(packed(QuantizedType::Float6E2M3, &[1, 2, 3, 4, 0x3f]), [0x81, 0x30, 0x10, 0x3f]);
        assert_eq!(packed(QuantizedType::Float6E3M2, &[0x3f; 3]), [0xff, 0xff, 0x03]);
    }

    proptest! {
        #[test]
        fn unpacking_gives_back_what_was_packed(codes in prop::collection::vec(any::<u8>(), 0..200)) {
            for ty in QuantizedType::ALL.into_iter().filter(|ty| ty.bits() <= 8) {
                let packed = packed(ty, &codes);
                let mask = ((1u32 << ty.bits()) - 1) as u8;
                let expected: Vec<_> = codes.iter().map(|code| u32::from(code & mask)).collect();
                let unpacked: Vec<_> = unpack(ty.bits(), &packed, codes.len()).collect();
                prop_assert_eq!(unpacked, expected, "{:?}", ty);
                // Bit n of the bytes is bit n of the elements.
                let used = codes.len() * ty.bits() as usize;
                prop_assert!((used..packed.len() * 8).all(|bit| packed[bit / 8] >> (bit % 8) & 1 == 0));
            }
        }
    }
}
