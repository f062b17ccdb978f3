//! The messages of `proto/onnx.proto`, generated, and small typed accessors.
//!
//! Knows nothing of graphs or quantization. `bytes` fields are [`Bytes`](bytes::Bytes): decoded from a
//! mapped file, they are views of it.

#![allow(missing_docs, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
