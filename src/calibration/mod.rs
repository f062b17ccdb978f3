//! What activations look like: samples in, an engine that runs the model, statistics out.
//!
//! ```text
//! samples ──▶ engine ──▶ statistics ──▶ ranges ──▶ plan
//!  files      rten,       streaming      files
//!             onnxruntime
//! ```

mod engine;
mod range_files;
mod ranges;
pub mod samples;
mod statistics;

pub use engine::Engine;
pub use range_files::{RangeFormat, read as read_ranges, write as write_ranges};
pub use ranges::Ranges;
pub use samples::{Sample, Samples};
pub use statistics::{Collect, Statistics};
