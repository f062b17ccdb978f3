//! What activations look like: samples in, an engine that runs the model, statistics out.
//!
//! ```text
//! samples ──▶ engine ──▶ statistics ──▶ ranges ──▶ plan
//!  files      rten,       streaming      files
//!             onnxruntime
//! ```

mod engine;
mod observe;
pub mod range_files;
mod ranges;
mod run;
pub mod samples;
mod statistics;

#[cfg(all(feature = "rten", feature = "onnxruntime"))]
pub use engine::AutoEngine;
#[cfg(feature = "onnxruntime")]
pub use engine::OnnxruntimeEngine;
#[cfg(feature = "rten")]
pub use engine::RtenEngine;
pub use engine::{Engine, Observed, ObservedValue, Session};
pub use observe::{Observation, Unwatchable, can_be_watched, value_keys};
pub use ranges::Ranges;
pub use run::{observe, proceed};
pub use samples::{Sample, Samples};
pub use statistics::{Collect, Statistics};
