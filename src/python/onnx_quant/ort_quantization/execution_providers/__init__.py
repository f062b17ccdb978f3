"""What single execution providers of onnxruntime ask of a quantized model."""
