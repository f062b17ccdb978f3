//! Quantization arithmetic, without graph or file.
