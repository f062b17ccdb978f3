#![no_main]

onnx_quant_fuzz::of_files!(parse);
