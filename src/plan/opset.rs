//! Which opset and IR version a quantized form needs. (ONNX operators QuantizeLinear and
//! DequantizeLinear, versions 10 to 28; the format's list of IR versions.)

use crate::{
    findings::Fact,
    ir::{DataType, Model},
    numeric::{FloatType, Granularity, QuantizedType, ScaleType, Scheme},
    targets::Target,
};

/// Whether the target has the QuantizeLinear and DequantizeLinear of a model's opset, in newer releases only, or in
/// none. `model` has some, or will.
pub fn kernels_of_opset(model: &Model, target: &Target) -> Option<Fact> {
    let opset = model.opset(Model::MAIN);
    let name = target.name().to_owned();
    Some(match target.release_of_opset(opset)? {
        Ok(release) => Fact::NeedsRelease { target: name, release: release.to_string(), opset },
        Err(newest) => {
            let release = target.releases().map(|(_, newest)| newest.to_string()).unwrap_or_default();
            Fact::OpsetWithoutKernels { target: name, release, opset, newest }
        }
    })
}

/// The lowest opset in which DequantizeLinear takes this.
pub(super) fn needed_opset(scheme: Scheme, granularity: Granularity) -> i64 {
    use QuantizedType::*;
    let of_granularity = match granularity {
        Granularity::PerTensor => 10,
        Granularity::PerChannel { .. } => 13,
        Granularity::PerBlock { .. } => 21,
    };
    let of_type = match scheme.ty {
        Int8 | UInt8 => 10,
        Float8E4M3FN | Float8E4M3FNUZ | Float8E5M2 | Float8E5M2FNUZ => 19,
        Int16 | UInt16 | Int4 | UInt4 => 21,
        Float4E2M1 => 23,
        Int2 | UInt2 => 25,
        Float6E2M3 | Float6E3M2 => 28,
    };
    let of_scale = match scheme.scale {
        ScaleType::Float(FloatType::F32 | FloatType::F64) => 10,
        ScaleType::Float(FloatType::F16 | FloatType::BF16) => 19,
        ScaleType::PowerOfTwo => 24,
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
        QuantizedType::Int16 => DataType::Int16,
        QuantizedType::UInt16 => DataType::Uint16,
        QuantizedType::Int4 => DataType::Int4,
        QuantizedType::UInt4 => DataType::Uint4,
        QuantizedType::Int2 => DataType::Int2,
        QuantizedType::UInt2 => DataType::Uint2,
        QuantizedType::Float8E4M3FN => DataType::Float8e4m3fn,
        QuantizedType::Float8E4M3FNUZ => DataType::Float8e4m3fnuz,
        QuantizedType::Float8E5M2 => DataType::Float8e5m2,
        QuantizedType::Float8E5M2FNUZ => DataType::Float8e5m2fnuz,
        QuantizedType::Float4E2M1 => DataType::Float4e2m1,
        QuantizedType::Float6E2M3 => DataType::Float6e2m3,
        QuantizedType::Float6E3M2 => DataType::Float6e3m2,
    }
}

/// The tensor type that scales are stored as.
pub fn scale_dtype(scale: ScaleType) -> DataType {
    match scale {
        ScaleType::Float(FloatType::F32 | FloatType::F64) => DataType::Float,
        ScaleType::Float(FloatType::F16) => DataType::Float16,
        ScaleType::Float(FloatType::BF16) => DataType::Bfloat16,
        ScaleType::PowerOfTwo => DataType::Float8e8m0,
    }
}

/// The floating-point types in which weights are stored.
pub fn float_type(dtype: DataType) -> Option<FloatType> {
    match dtype {
        DataType::Float => Some(FloatType::F32),
        DataType::Float16 => Some(FloatType::F16),
        DataType::Bfloat16 => Some(FloatType::BF16),
        DataType::Double => Some(FloatType::F64),
        _ => None,
    }
}
