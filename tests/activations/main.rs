//! What becomes of activations: small graphs, calibrated with samples, quantized, and run in onnxruntime,
//! which must find integer kernels where they were planned and compute what the float model does.
#![cfg(feature = "rten")]

mod biases;
mod bodies;
mod case;
mod computed_weights;
mod joins;
mod layers;
mod left_float;
mod near;
mod once;
mod products;
mod scale;
mod types;

#[path = "../runtime/mod.rs"]
mod runtime;
