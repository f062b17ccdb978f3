//! The command `onnx-quant`.
fn main() {}
