//! Stand-ins for the elements of tensors that a text has none of.

use super::{RandomFill, TensorProto};
use crate::{
    ir::{DataType, element_bits},
    text::small_float,
};

/// What a string takes in memory besides its letters.
const STRING_BYTES: usize = 32;

pub(super) struct Filler {
    seed: u64,
    /// How many bytes are left.
    left: usize,
}

impl Filler {
    pub fn new(fill: &RandomFill) -> Self {
        Self { seed: fill.seed, left: fill.max_bytes }
    }

    /// Gives a tensor as many elements as its shape has.
    pub fn fill(&mut self, tensor: &mut TensorProto, count: usize) -> Result<(), String> {
        let dtype = DataType::try_from(tensor.data_type()).unwrap_or(DataType::Undefined);
        let size = match element_bits(dtype) {
            Some(bits) => count.checked_mul(bits).map(|bits| bits.div_ceil(8)),
            None => count.checked_mul(STRING_BYTES),
        };
        let size = size.filter(|size| *size <= self.left).ok_or("the tensors to be filled take too much memory")?;
        self.left -= size;
        let mut random = Random::of(self.seed, tensor);
        if dtype == DataType::String {
            tensor.string_data = (0..count).map(|_| format!("s{}", random.next() % 1000).into()).collect();
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() < size {
            random.push_element(dtype, &mut bytes);
        }
        // The last byte's unused bits are zero.
        let used = count * element_bits(dtype).unwrap_or(8) % 8;
        if let (Some(last), 1..) = (bytes.last_mut(), used) {
            *last &= (1 << used) - 1;
        }
        tensor.raw_data = Some(bytes.into());
        Ok(())
    }
}

/// Numbers that look random (splitmix64).
struct Random(u64);

impl Random {
    /// Those of a tensor (FNV-1a of its name, type and shape).
    fn of(seed: u64, tensor: &TensorProto) -> Self {
        let numbers = tensor.dims.iter().copied().chain([i64::from(tensor.data_type.unwrap_or(0))]);
        let bytes = tensor.name().bytes().chain(numbers.flat_map(i64::to_le_bytes)).chain(seed.to_le_bytes());
        Self(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between -1 and 1.
    fn float(&mut self) -> f64 {
        (self.next() >> 40) as f64 / f64::from(1 << 23) - 1.0
    }

    fn push_element(&mut self, dtype: DataType, bytes: &mut Vec<u8>) {
        use DataType::*;
        match dtype {
            Float => bytes.extend((self.float() as f32).to_le_bytes()),
            Double => bytes.extend(self.float().to_le_bytes()),
            Complex64 => (0..2).for_each(|_| bytes.extend((self.float() as f32).to_le_bytes())),
            Complex128 => (0..2).for_each(|_| bytes.extend(self.float().to_le_bytes())),
            Float16 => bytes.extend(half::f16::from_f64(self.float()).to_le_bytes()),
            Bfloat16 => bytes.extend(half::bf16::from_f64(self.float()).to_le_bytes()),
            Int32 | Uint32 => bytes.extend((self.next() as u32 & 1).to_le_bytes()),
            Int64 | Uint64 => bytes.extend((self.next() & 1).to_le_bytes()),
            Int16 | Uint16 => bytes.extend((self.next() as u16).to_le_bytes()),
            Bool => bytes.push(self.next() as u8 & 1),
            Float8e4m3fn | Float8e4m3fnuz | Float8e5m2 | Float8e5m2fnuz | Float8e8m0 => {
                let small = |bits: &u8| small_float::decode(dtype, u32::from(*bits)).is_some_and(|x| x.abs() <= 1.0);
                let pattern = std::iter::repeat_with(|| self.next() as u8).take(16).find(small);
                bytes.push(pattern.unwrap_or(0));
            }
            // A byte of packed elements: every pattern of these is a finite number.
            _ => bytes.push(self.next() as u8),
        }
    }
}
