//! Element types of tensors.

pub use crate::proto::tensor_proto::DataType;

/// Bits an element takes in `raw_data`, or `None` where elements have no fixed size (strings).
///
/// Elements of less than a byte are packed from the low bits up; a tensor's last byte is padded.
pub fn element_bits(dtype: DataType) -> Option<usize> {
    use DataType::*;
    Some(match dtype {
        Undefined | String => return None,
        Uint2 | Int2 => 2,
        Uint4 | Int4 | Float4e2m1 => 4,
        Float6e2m3 | Float6e3m2 => 6,
        Uint8 | Int8 | Bool | Float8e4m3fn | Float8e4m3fnuz | Float8e5m2 | Float8e5m2fnuz | Float8e8m0 => 8,
        Uint16 | Int16 | Float16 | Bfloat16 => 16,
        Float | Int32 | Uint32 => 32,
        Double | Int64 | Uint64 | Complex64 => 64,
        Complex128 => 128,
    })
}

/// The type's name in the ONNX textual syntax, e.g. `float`, `int8`.
pub fn type_name(dtype: DataType) -> &'static str {
    use DataType::*;
    match dtype {
        Undefined => "undefined",
        Float => "float",
        Uint8 => "uint8",
        Int8 => "int8",
        Uint16 => "uint16",
        Int16 => "int16",
        Int32 => "int32",
        Int64 => "int64",
        String => "string",
        Bool => "bool",
        Float16 => "float16",
        Double => "double",
        Uint32 => "uint32",
        Uint64 => "uint64",
        Complex64 => "complex64",
        Complex128 => "complex128",
        Bfloat16 => "bfloat16",
        Float8e4m3fn => "float8e4m3fn",
        Float8e4m3fnuz => "float8e4m3fnuz",
        Float8e5m2 => "float8e5m2",
        Float8e5m2fnuz => "float8e5m2fnuz",
        Uint4 => "uint4",
        Int4 => "int4",
        Float4e2m1 => "float4e2m1",
        Float8e8m0 => "float8e8m0",
        Uint2 => "uint2",
        Int2 => "int2",
        Float6e2m3 => "float6e2m3",
        Float6e3m2 => "float6e3m2",
    }
}

/// Whether weights of this type can be quantized: the floating-point types of 16 bits and more.
pub fn is_float(dtype: DataType) -> bool {
    matches!(dtype, DataType::Float | DataType::Float16 | DataType::Bfloat16 | DataType::Double)
}
