//! What runtimes run and fuse: measured facts that plans and reports read.
//!
//! One file a runtime. Nothing here decides anything; a fact names the version it was measured with.

pub mod onnxruntime;
