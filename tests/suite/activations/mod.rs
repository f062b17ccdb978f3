//! What becomes of activations: small graphs, calibrated with samples, quantized, and run in onnxruntime,
//! which must find integer kernels where they were planned and compute what the float model does.

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

/// The tests of all of them.
pub fn tests() -> Vec<libtest_mimic::Trial> {
    [
        biases::tests(),
        bodies::tests(),
        computed_weights::tests(),
        joins::tests(),
        layers::tests(),
        left_float::tests(),
        near::tests(),
        once::tests(),
        products::tests(),
        scale::tests(),
        types::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
