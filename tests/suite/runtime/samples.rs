//! Inputs that the harness made, as samples for calibration.

use std::collections::BTreeMap;

use onnx_quant::{
    calibration::Sample,
    ir::{DataType, Tensor},
};

/// One sample.
pub fn sample(inputs: &BTreeMap<String, super::Tensor>) -> Sample {
    Sample::new("made", inputs.iter().map(|(name, made)| tensor(name, made)).collect())
}

fn tensor(name: &str, made: &super::Tensor) -> Tensor {
    fn bytes<const N: usize>(made: &super::Tensor, write: impl Fn(f64) -> [u8; N]) -> Vec<u8> {
        made.values.iter().flat_map(|&value| write(value)).collect()
    }
    let (dtype, bytes) = match made.dtype.as_str() {
        "float32" => (DataType::Float, bytes(made, |value| (value as f32).to_le_bytes())),
        "float64" => (DataType::Double, bytes(made, f64::to_le_bytes)),
        "float16" => (DataType::Float16, bytes(made, |value| half::f16::from_f64(value).to_le_bytes())),
        "int32" => (DataType::Int32, bytes(made, |value| (value as i32).to_le_bytes())),
        "int64" => (DataType::Int64, bytes(made, |value| (value as i64).to_le_bytes())),
        "int8" => (DataType::Int8, bytes(made, |value| (value as i8).to_le_bytes())),
        "uint8" => (DataType::Uint8, bytes(made, |value| (value as u8).to_le_bytes())),
        "bool" => (DataType::Bool, bytes(made, |value| [value as u8])),
        other => panic!("an input of type {other}"),
    };
    Tensor::from_bytes(name, dtype, &made.shape, bytes).expect("the bytes fit")
}
