//! Quantizes ONNX models.

mod config;
mod error;
mod file;
pub mod ir;
pub mod numeric;
pub mod operators;
pub mod passes;
pub mod plan;
pub mod proto;
mod quantize;
pub mod report;
mod text;

pub use config::{Config, Granularity, Pattern, WeightForm, WeightType};
pub use error::{Error, ErrorKind, Location, Result};
pub use file::{SaveOptions, Saved};
pub use ir::Model;
pub use quantize::quantize;
pub use report::Report;
pub use text::TextOptions;
