//! Which opset and IR version a quantized form needs. (ONNX operators QuantizeLinear and
//! DequantizeLinear, versions 10 to 28; the format's list of IR versions.)

use crate::{
    ir::DataType,
    numeric::{FloatType, Granularity, QuantizedType},
};

/// The lowest opset in which DequantizeLinear takes this.
pub(super) fn needed_opset(ty: QuantizedType, granularity: Granularity, scale: FloatType) -> i64 {
    let of_granularity = match granularity {
        Granularity::PerTensor => 10,
        Granularity::PerChannel { .. } => 13,
        Granularity::PerBlock { .. } => 21,
    };
    let of_type = match ty {
        QuantizedType::Int8 | QuantizedType::UInt8 => 10,
    };
    let of_scale = match scale {
        FloatType::F32 | FloatType::F64 => 10,
        FloatType::F16 | FloatType::BF16 => 19,
    };
    of_granularity.max(of_type).max(of_scale)
}

/// The lowest IR version whose files may hold tensors of a type.
pub fn ir_version(dtype: DataType) -> i64 {
    use DataType::*;
    match dtype {
        Float8e4m3fn | Float8e4m3fnuz | Float8e5m2 | Float8e5m2fnuz => 9,
        Int4 | Uint4 => 10,
        Float4e2m1 => 11,
        Float8e8m0 => 12,
        Int2 | Uint2 => 13,
        Float6e2m3 | Float6e3m2 => 14,
        _ => 3,
    }
}

/// The tensor type that a quantized type is stored as.
pub fn storage_dtype(ty: QuantizedType) -> DataType {
    match ty {
        QuantizedType::Int8 => DataType::Int8,
        QuantizedType::UInt8 => DataType::Uint8,
    }
}
