//! Quantizes ONNX models: float weights in, integers behind QuantizeLinear/DequantizeLinear out.
//!
//! ```
//! use onnx_quant::{Config, Model, quantize};
//!
//! let mut model = Model::load("testdata/kws_dscnn.onnx")?;
//! let report = quantize(&mut model, &Config::default())?;
//! println!("{} -> {} bytes of weights", report.bytes.float, report.bytes.quantized);
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("kws_int8.onnx");
//! model.save(path, &Default::default())?;
//! # Ok::<(), onnx_quant::Error>(())
//! ```
//!
//! # How it works
//!
//! A compiler pass with a file on both sides:
//!
//! ```text
//! bytes ─▶ messages ─▶ graph ─▶ plan ─▶ passes ─▶ graph ─▶ bytes
//!  file     proto        ir     plan    passes      ir      file
//! ```
//!
//! **Bytes.** A file is mapped and decoded without copying: tensors are views of it. On the way out
//! a model is a list of pieces with known offsets; large pieces are written straight from where they
//! lie in the input, quantized weights are computed block by block by all cores while they are
//! written. So memory holds neither the input nor the output, only the graph around the weights.
//!
//! **Graph** ([`ir`]). One petgraph of operators and values over all scopes: main graph, nested
//! bodies, functions. In a file, a body refers to outer values by name; here that is an edge like
//! any other, so whoever asks for the readers of a weight hears of the bodies too, and there is one
//! way to change a graph instead of one for each nesting. (The design this crate started from had a
//! graph for each body and edges that stand for captures; one graph made both unnecessary.) An
//! operator or graph keeps the message it came as, without what the graph holds: no field of the
//! format can be forgotten, and what no pass touches leaves as it came, byte for byte.
//!
//! **Plan** ([`plan`]). Plain data: for every weight, how it is quantized or why not. It is made by
//! following each float constant forward, through operators that only rearrange data and into
//! functions, to the operators that take it as a weight; [`operators`] knows these. The plan is
//! what reports tell and what tests compare. Nothing decides while it rewrites; nothing rewrites
//! while it decides.
//!
//! **Passes** ([`passes`]). Each carries out one part of the plan and can be run alone. A quantized
//! weight keeps its name: a DequantizeLinear makes the value that an initializer or Constant gave
//! before, so readers are not touched. The opset is raised an opset at a time, by a table that lists
//! every version of every operator.
//!
//! **Arithmetic** ([`numeric`]). Layouts, ranges, scales, kernels, errors: without graph or file.
//!
//! # What a module may know
//!
//! `numeric` and `proto` know nothing else here; `ir` knows `proto`; `operators` knows `ir`; `plan`
//! knows these and the configuration; `passes` know the plan, never the configuration; only
//! `quantize` knows the order. The library never prints and never exits: command line and terminal
//! are the binary's. A test holds these walls (`tests/architecture.rs`).

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod calibration;
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
pub mod targets;
mod text;

pub use config::{
    ActivationType, Activations, CalibrationMethod, Config, Granularity, Pattern, WeightForm, WeightScales, WeightType,
};
pub use error::{Error, ErrorKind, Location, Result};
pub use file::{SaveOptions, Saved};
pub use ir::Model;
pub use quantize::{calibrate, quantize, quantize_activations};
pub use report::Report;
pub use text::TextOptions;
