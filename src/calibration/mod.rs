//! What activations look like: samples in, an engine that runs the model, statistics out.
//!
//! ```text
//! samples ──▶ engine ──▶ statistics ──▶ ranges ──▶ plan
//!  files      rten,       streaming      files
//!             onnxruntime
//! ```

mod engine;
pub mod range_files;
mod ranges;
pub mod samples;
mod statistics;

pub use engine::Engine;
pub use ranges::Ranges;
pub use samples::Sample;
pub use statistics::{Collect, Statistics};
