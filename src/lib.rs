//! Quantizes ONNX models.

pub mod numeric;
pub mod proto;
