//! Quantizes ONNX models.

mod error;
mod file;
pub mod ir;
pub mod numeric;
pub mod proto;
mod text;

pub use error::{Error, ErrorKind, Location, Result};
pub use file::{SaveOptions, Saved};
pub use ir::Model;
pub use text::TextOptions;
