//! Quantizes ONNX models: weights become integers behind DequantizeLinear, and with samples of a model's
//! input the values between its layers do too, so that runtimes compute in integers.
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
//! # Where to start
//!
//! | to | see |
//! |---|---|
//! | make weights small | [`quantize`], with [`Config`] |
//! | have layers compute in integers | [`calibrate`] with [`Samples`](calibration::Samples), then [`quantize_measured`], or [`quantize_activations`] by ranges alone |
//! | take the fastest of several ways, as timed | [`quantize_tuned`] |
//! | make weights of few bits better with samples | [`quantize_with_samples`] |
//! | know what a runtime makes of a model, and why | [`explain`](explain::explain), [`explain_planned`] |
//! | know which operators cost most in accuracy | [`sensitivity`] |
//! | know what quantization cost | [`compare`](compare::compare) |
//! | read, print and write models | [`Model`] |
//! | only simplify, or raise the opset | [`simplify`], [`upgrade`] |
//!
//! What you build (options, samples) has setters or a `new`; what you get ([`Report`] and the like) is plain data that can gain
//! fields, becomes JSON with a documented schema and can be read back. Errors say where and what to do, and have a
//! [kind](ErrorKind); what succeeds with reservations says so in [findings](findings::Finding), by [code](findings::Code).
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `cli` (default) | the command, and all of the below |
//! | `rten` | [`RtenEngine`](calibration::RtenEngine), which runs models for calibration in pure Rust |
//! | `onnxruntime` | [`OnnxruntimeEngine`](calibration::OnnxruntimeEngine), which loads onnxruntime's library when it is made |
//! | `images`, `sounds`, `texts` | samples from pictures, recordings and lines of text |
//!
//! With none of them the library quantizes weights, explains, prints, parses and upgrades.
//!
//! # How it works
//!
//! A compiler pass with a file on both sides:
//!
//! ```text
//! bytes ─▶ messages ─▶ graph ─▶ plan ─▶ passes ─▶ graph ─▶ bytes
//!  file     proto        ir     plan    passes      ir      file
//!                                 ▲
//!    samples ─▶ engine ─▶ statistics ─▶ ranges
//!                  calibration
//! ```
//!
//! The lower line is for activations only: [`calibrate`] walks it, and [`quantize_activations`] walks the
//! upper one with the ranges it ends in. [`quantize`] needs no samples.
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
//! functions, to the operators that take it as a weight; [`operators`] knows these. What else is large
//! and float is named with what it ends at. The plan is what reports tell and what tests compare.
//! Nothing decides while it rewrites; nothing rewrites while it decides.
//!
//! **Calibration** ([`calibration`]). An engine runs the model with samples and hands over the values
//! that the plan will want to know; what is kept of them are [`Statistics`](calibration::Statistics).
//! These are streaming, so memory does not grow with the samples, and mergeable: the bins of a histogram
//! are the leading bits of the floats, the same for every value in every run, so counts of two runs add
//! up to those of one run with all samples. The method that makes a range of them is chosen afterwards.
//! The model that is observed is the simplified one, prepared as it is for quantization: a value has the
//! same name, and means the same, where it is observed and where it is quantized.
//!
//! **The plan of activations** ([`plan::ActivationPlan`]). *Layers* are operators with weights.
//! One becomes an integer kernel where everything around it plays along, and integers then spread from
//! layer to layer through operators that a kernel exists for: what moves data, and arithmetic whose
//! operands are all integers. Layers stay float for structural reasons (no kernel, a weight or bias that
//! is computed, a result that only the user would see rounded, a logarithm behind) and for reasons in the
//! data: no range, a mask's huge numbers, or a value so unlike from sample to sample that a typical one
//! is less than 24 dB, four bits, above the noise of its quantization. Each of these takes a layer
//! back and the rest is decided anew, until all that remains fits together. Of what could compute in integers then, that
//! does with which a run takes the least time, by a table of what kernels and conversions take
//! ([`Costs`](targets::costs::Costs)): a labelling of the graph, solved exactly as a minimum cut. The
//! [`Planner`](plan::Planner) keeps what it found out, so that it can plan again with more operators pinned to float; the plan holds a decision with
//! its cause for every layer and for every operator that stands where integers end.
//!
//! **Dynamic activations** ([`plan::plan_dynamic`]). Without samples a product can still compute in integers, if each
//! run finds the scale of what it reads. Which layers do is decided by structure alone: by what the target has
//! operators of integers for, and by whether one scale serves what a recurrent layer reads, which it does not where
//! nothing bounds the numbers.
//!
//! **Targets** ([`targets`]). What a runtime runs, fuses, and how long that takes: rules as data, one file a
//! runtime, each with the releases that it was seen in. They decide nothing; one function judges an operator by
//! them and says which condition is not met, for the plan and for what is explained of a model alike.
//!
//! **Findings** ([`findings`]). What a user should know besides is stated where it is found out, as a fact
//! without words. The words are made in one room, [`explain`], which also judges every operator of a model as a
//! target loads it, whoever quantized it.
//!
//! **The closed loop** ([`quantize_measured`]). Rules err, so the plan is run before it is written, with samples that
//! were held back. A search tries other ranges, and then more layers in float, each time with the model as it would be
//! written; what brings the outputs closer is kept. What it measures can be [told](sensitivity) instead of decided, as rules
//! for a configuration.
//!
//! **Weights by samples** ([`quantize_with_samples`]). Weights that no integer kernel takes leave activations float, and
//! samples serve the weights then: layer by layer, those that come in in the float model and in the model as far as it is
//! rounded are summed up, and the integers of a layer are chosen so that their errors cancel out in what it makes of them
//! ([`Compensation`](numeric::Compensation)). The plan holds the numbers that they stand for.
//!
//! **Tuning** ([`quantize_tuned`]). Estimates are one processor's: several plans are carried out, timed in onnxruntime beside
//! the float model, and the fastest that is accurate enough is kept.
//!
//! **Comparison** ([`compare`](mod@compare)). What quantization cost is measured, whoever quantized: the float model and the
//! quantized one are run with the same samples, and values of one name compared where both have them. The quantized model
//! is also cut at every one of these and given the float model's numbers there, so that one run more tells what each
//! operator adds by itself.
//!
//! **Passes** ([`passes`]). Each carries out one part of the plan and can be run alone. A quantized
//! weight keeps its name: a DequantizeLinear makes the value that an initializer or Constant gave
//! before, so readers are not touched; a quantized activation likewise. Other passes simplify a model
//! first, by rules that need no plan: they store what training has quantized as integers, and give layers
//! whose weight is computed from constants that weight for their own, for as long as they become integer.
//! They are repeated until nothing changes, so that a model that was quantized stays as it is. The opset is raised an opset at a time, by a table that lists every
//! version of every operator.
//!
//! **Arithmetic** ([`numeric`]). Layouts, ranges, scales, kernels, errors: without graph or file.
//!
//! # What a module may know
//!
//! Besides errors, which all but the first two may make or pass on, setters of options (`setters`), and how reports become
//! JSON (`documents`):
//!
//! | module | knows |
//! |---|---|
//! | `numeric`, `proto`, `findings` | nothing else here |
//! | `config` | `targets`, `findings`, `ir` |
//! | `ir` | `proto` |
//! | `text` | `ir`, `proto` |
//! | `file` | `text`, `ir`, `proto` |
//! | `operators` | `ir` |
//! | `analysis` | `operators`, `ir`, `proto` |
//! | `calibration` | `ir`, `file`, `proto`, `numeric`, `config`; no operator, no plan |
//! | `targets` | `operators`, `ir`, `numeric` |
//! | `plan` | `calibration` (what was observed), `analysis`, `findings`, `targets`, `operators`, `ir`, `numeric`, `config` |
//! | `passes` | `plan`, `analysis`, `operators`, `ir`, `proto`, `numeric`; never the configuration, ranges or targets |
//! | `explain` | `plan` (for its words), `passes`, `analysis`, `findings`, `targets`, `operators`, `ir` |
//! | `compare` | `explain`, `calibration`, `analysis`, `findings`, `targets`, `ir` |
//! | `inspect` | `targets`, `operators`, `ir` |
//! | `report` | `plan`, `findings`, `ir`, `numeric`, `config` |
//! | `quantize` | the order: `analysis`, `compare`, `calibration`, `explain`, `findings`, `plan`, `passes`, `report`, `targets`, `ir`, `config` |
//!
//! The library never prints and never exits: command line and terminal are the binary's. A test holds
//! these walls (`tests/suite/architecture.rs`).
//!
//! Above all of it, like the binary, is the module for Python (`src/python`, feature `python`): it uses the library from
//! outside, by its public names, and has the command in it.

#![warn(clippy::print_stdout, clippy::print_stderr)]

#[cfg(any(test, feature = "python"))]
extern crate self as onnx_quant;

mod analysis;
pub mod calibration;
pub mod compare;
mod config;
mod documents;
mod error;
pub mod explain;
mod file;
pub mod findings;
pub mod inspect;
pub mod ir;
pub mod numeric;
pub mod operators;
pub mod passes;
pub mod plan;
#[doc(hidden)]
pub mod proto;
#[cfg(feature = "python")]
mod python;
mod quantize;
pub mod report;
mod setters;
pub mod targets;
mod text;

pub use config::{
    ActivationType, Activations, BALANCED_DB, CalibrationMethod, Config, Effort, Granularity, HIGH_DB, Pattern,
    Preference, Rule, TensorType, TrainedPairs, WeightForm, WeightScales, WeightType,
};
pub use error::{Error, ErrorKind, Location, Result};
pub use file::{OutputFile, PreparedFile, SaveOptions, Saved, is_named_text, is_same_file, remove_unfinished_files};
pub use ir::Model;
pub use quantize::{
    HoldBack, Simplified, Timer, calibrate, check_ranges, explain_planned, quantize, quantize_activations,
    quantize_measured, quantize_tuned, quantize_with_samples, record_provenance, sensitivity, simplify, upgrade,
};
pub use report::Report;
pub use text::{ParseOptions, RandomFill, TextOptions};
