//! Calibration samples from files.

use crate::ir::Tensor;

/// The inputs of one run of the model.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Where it came from, for messages.
    pub origin: String,
    /// The arrays, named like the model's inputs.
    pub inputs: Vec<Tensor>,
}
