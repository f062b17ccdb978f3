//! Quantizes ONNX models.

mod error;
mod file;
pub mod ir;
pub mod numeric;
pub mod proto;

pub use error::{Error, ErrorKind, Location, Result};
pub use file::{SaveOptions, Saved};
pub use ir::Model;
