//! The messages of `proto/onnx.proto`, generated, and small typed accessors.
//!
//! Knows nothing of graphs or quantization. `bytes` fields are [`Bytes`](bytes::Bytes): decoded from a
//! mapped file, they are views of it.
//!
//! Not part of the library's interface, which takes and gives messages as bytes; it is open for tests and fuzz targets that
//! build models of all kinds.

#![allow(missing_docs, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
