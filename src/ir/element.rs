//! The element types that arrays of ours have too.

use half::{bf16, f16};

use super::DataType;

/// A type of Rust's that is an element type of ONNX: `f32`, `f64`, [`half::f16`], [`half::bf16`], `bool`, and the integers of 8 to 64
/// bits.
pub trait Element: sealed::Bytes {
    /// Its name in ONNX.
    const DTYPE: DataType;
}

/// Nobody else's types are elements.
pub(crate) mod sealed {
    /// How an element lies in a tensor: little-endian.
    pub trait Bytes: Copy {
        /// Adds the bytes of an element.
        fn push(self, bytes: &mut Vec<u8>);
        /// The element of as many bytes as it has.
        fn read(bytes: &[u8]) -> Self;
    }
}

macro_rules! elements {
    ($($type:ty => $dtype:ident),+ $(,)?) => {
        $(
            impl Element for $type {
                const DTYPE: DataType = DataType::$dtype;
            }

            impl sealed::Bytes for $type {
                fn push(self, bytes: &mut Vec<u8>) {
                    bytes.extend_from_slice(&self.to_le_bytes());
                }

                fn read(bytes: &[u8]) -> Self {
                    Self::from_le_bytes(bytes.try_into().expect("as many bytes as an element has"))
                }
            }
        )+
    };
}

elements! {
    f32 => Float,
    f64 => Double,
    f16 => Float16,
    bf16 => Bfloat16,
    i8 => Int8,
    i16 => Int16,
    i32 => Int32,
    i64 => Int64,
    u8 => Uint8,
    u16 => Uint16,
    u32 => Uint32,
    u64 => Uint64,
}

impl Element for bool {
    const DTYPE: DataType = DataType::Bool;
}

impl sealed::Bytes for bool {
    fn push(self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self));
    }

    fn read(bytes: &[u8]) -> Self {
        bytes[0] != 0
    }
}
