//! Runs models in onnxruntime, in onnx's reference implementation and in rten, for integration tests.
//!
//! An integration test says `mod runtime;` and asks a whole batch at once, as starting Python costs a
//! second. Where onnxruntime cannot be had, the answer is `None` and the test passes without checking
//! anything, having said so on stderr:
//!
//! ```ignore
//! let answers = runtime::compare(&comparisons);
//! ```
//!
//! With `ONNX_QUANT_REQUIRE_RUNTIME=1` in the environment the test fails instead.

pub mod provision;
pub mod rten_engine;
pub mod samples;
pub mod texts;
mod worker;

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::outcome;

/// What runs a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// onnxruntime with all of its graph optimizations: what users get.
    #[default]
    Onnxruntime,
    /// onnxruntime without graph optimizations: the graph as it is written.
    OnnxruntimePlain,
    /// onnx's reference implementation. Slow; its bodies of Softmax (before opset 13) and a few
    /// others are not to be trusted.
    Reference,
}

/// A tensor of any type. Booleans are 0 and 1; integers beyond 2^53 lose their last digits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// numpy's name of the element type, such as `float32`.
    pub dtype: String,
    pub shape: Vec<usize>,
    /// The elements in row-major order.
    #[serde(with = "Numbers")]
    pub values: Vec<f64>,
}

/// The inputs of a run: those in `feeds`, and for the rest random values that are the same for the
/// same seed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Inputs {
    pub seed: u64,
    /// Sizes of dimensions that the model leaves open, by the dimension's name or by its place, as
    /// in `x.2`. They are 2 otherwise.
    pub dims: BTreeMap<String, usize>,
    pub feeds: BTreeMap<String, Tensor>,
}

/// A model, and what is to run it.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    pub model: PathBuf,
    pub engine: Engine,
}

/// A request to run a model.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    #[serde(flatten)]
    pub side: Side,
    pub inputs: Inputs,
}

/// What a run was given and what it returned, by name.
#[derive(Clone, Debug, Deserialize)]
pub struct Outcome {
    pub inputs: BTreeMap<String, Tensor>,
    pub outputs: BTreeMap<String, Tensor>,
}

/// A request to run two models on the same inputs, which are made to fit the left one.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    pub left: Side,
    pub right: Side,
    pub inputs: Inputs,
}

/// How far an output of the right side is from the left side's.
#[derive(Clone, Debug, Deserialize)]
pub struct Difference {
    /// Every element is equal, or NaN on both sides.
    pub identical: bool,
    /// The largest absolute difference; infinite where one side alone is NaN.
    #[serde(deserialize_with = "Number::deserialize_f64")]
    pub max_abs: f64,
    /// The same, divided by the largest finite magnitude on the left.
    #[serde(deserialize_with = "Number::deserialize_f64")]
    pub relative: f64,
    /// The ratio of signal to quantization noise in decibels.
    #[serde(deserialize_with = "Number::deserialize_f64")]
    pub sqnr_db: f64,
}

/// A request to compare a quantized weight with what the reference QuantizeLinear makes of the
/// float weight, given the scale and zero point in the quantized file.
#[derive(Clone, Debug, Serialize)]
pub struct WeightCheck {
    pub float_model: PathBuf,
    /// The float initializer, or the output of the Constant node, wherever it is in the model.
    pub weight: String,
    pub quantized_model: PathBuf,
    /// What the DequantizeLinear of the quantized model reads, or the Gather in front of it.
    pub stored: String,
    /// Whether that is the weight's transpose.
    pub transposed: bool,
}

/// What came of a [`WeightCheck`].
#[derive(Clone, Debug, Deserialize)]
pub struct WeightAnswer {
    pub dtype: String,
    pub elements: usize,
    /// How many stored integers are not those of the reference implementation.
    pub mismatches: usize,
    pub scale_shape: Vec<usize>,
    /// The largest finite difference between a dequantized and a float element.
    pub max_abs_error: f64,
    /// The same for the difference divided by the element's scale.
    pub max_steps: f64,
}

/// One answer for every request, in order; an error is what the library said.
pub type Answers<T> = Vec<Result<T, String>>;

/// Runs onnx's checker, shape inference included.
pub fn check(models: &[PathBuf]) -> Answers<()> {
    ask("check", &by_model(models))
}

/// Runs models.
pub fn run(requests: &[Run]) -> Answers<Outcome> {
    ask("run", requests)
}

/// Runs pairs of models on the same inputs; the differences are by output name.
pub fn compare(requests: &[Comparison]) -> Answers<BTreeMap<String, Difference>> {
    ask("compare", requests)
}

/// Counts the operators that are left when onnxruntime has optimized a model: a Conv that became an
/// integer kernel is a QLinearConv there.
pub fn kernels(models: &[PathBuf]) -> Answers<BTreeMap<String, usize>> {
    ask("kernels", &by_model(models))
}

/// What became of one operator of a model that onnxruntime has optimized.
#[derive(Clone, Debug, Deserialize)]
pub struct Became {
    pub name: String,
    pub op_type: String,
    /// The bodies that it is in, outermost first.
    pub path: Vec<String>,
    /// The type of the operator that does its work, or nothing.
    pub runs_as: String,
    /// `integer`, `float`, `conversion`, `other`, or `unknown`.
    pub verdict: String,
}

/// Tells of every operator, in the order of the file, what became of it when onnxruntime had optimized the model.
pub fn became(models: &[PathBuf]) -> Answers<Vec<Became>> {
    ask("became", &by_model(models))
}

/// Reads calibration caches as onnxruntime's quantizer does; the ranges are by name.
pub fn ranges(caches: &[PathBuf]) -> Answers<BTreeMap<String, (f32, f32)>> {
    ask("ranges", &by_model(caches))
}

/// Compares quantized weights with the reference implementation.
pub fn weights(requests: &[WeightCheck]) -> Answers<WeightAnswer> {
    ask("weights", requests)
}

/// A request to write a model that is given in the ONNX textual syntax.
#[derive(Clone, Debug, Serialize)]
pub struct Text {
    pub model: PathBuf,
    pub text: String,
}

/// Writes models from their text.
pub fn parse(requests: &[Text]) -> Answers<()> {
    ask("parse", requests)
}

/// A request for a model's text as the onnx package prints it. What its parser makes of the text is saved as `parsed`,
/// if it reads it.
#[derive(Clone, Debug, Serialize)]
pub struct Printed {
    pub model: PathBuf,
    pub parsed: PathBuf,
}

/// Prints models.
pub fn to_text(requests: &[Printed]) -> Answers<String> {
    ask("to_text", requests)
}

/// A version of an operator, as the onnx package has it.
#[derive(Clone, Debug, Deserialize)]
pub struct OperatorVersion {
    pub version: i64,
    /// What it takes away from the version before.
    pub breaks: Option<String>,
}

/// The versions of every operator of the default operator set.
pub fn versions() -> BTreeMap<String, Vec<OperatorVersion>> {
    ask("versions", &[()]).remove(0).expect("the package lists its operators")
}

/// Writes the models that the onnx package tests backends with into a folder; returns their names.
pub fn write_corpus(folder: &Path) -> Vec<String> {
    write_corpus_as(folder, false)
}

/// The same with the inputs as initializers, of those that can be written so: nothing but constants.
pub fn write_constant_corpus(folder: &Path) -> Vec<String> {
    write_corpus_as(folder, true)
}

fn write_corpus_as(folder: &Path, constant: bool) -> Vec<String> {
    let request = serde_json::json!({ "folder": folder, "constant": constant });
    ask("write_corpus", &[request]).remove(0).expect("the package has its models")
}

/// A model of that corpus whose outputs an engine can be asked for: `value K` and `shape K` are floats.
#[derive(Clone, Debug, Deserialize)]
pub struct EngineCase {
    /// The outputs K that there are.
    pub outputs: Vec<usize>,
    /// How many files `NAME.S.data` there are: models with inputs and expected `value K` as initializers.
    pub sets: usize,
    /// Whether the model has `shape K`.
    pub shapes: bool,
}

/// Writes the models of that corpus that take and give tensors of numbers into a folder.
pub fn write_engine_corpus(folder: &Path) -> BTreeMap<String, EngineCase> {
    let request = serde_json::json!({ "folder": folder });
    ask("write_engine_corpus", &[request]).remove(0).expect("the package has its models")
}

/// A request to run a model of that corpus, or one that was made from it.
#[derive(Clone, Debug, Serialize)]
pub struct CorpusRun {
    pub case: String,
    #[serde(flatten)]
    pub side: Side,
}

/// Runs models of that corpus on their inputs; an error is also that the outputs are not those that
/// are expected.
pub fn run_corpus(requests: &[CorpusRun]) -> Answers<()> {
    ask("run_case", requests)
}

fn by_model(models: &[PathBuf]) -> Vec<BTreeMap<&'static str, &PathBuf>> {
    models.iter().map(|model| BTreeMap::from([("model", model)])).collect()
}

/// Hands a batch to a process of `run.py`.
fn ask<Q: Serialize, A: DeserializeOwned>(kind: &str, requests: &[Q]) -> Answers<A> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Answer<A> {
        Ok(A),
        Error(String),
    }

    let batch = serde_json::json!({ "kind": kind, "requests": requests }).to_string();
    let answers: Vec<Answer<A>> =
        serde_json::from_str(&worker::answer(python(), &batch)).expect("run.py answers as declared");
    assert_eq!(answers.len(), requests.len(), "run.py answers every request");
    answers
        .into_iter()
        .map(|answer| match answer {
            Answer::Ok(value) => Ok(value),
            Answer::Error(message) => Err(message),
        })
        .collect()
}

/// The interpreter that has onnxruntime; without one the test is ignored.
fn python() -> &'static Path {
    provision::python().unwrap_or_else(|reason| missing(reason))
}

/// onnxruntime's library, as its Python package has it; without it the test is ignored.
pub fn onnxruntime_library() -> PathBuf {
    provision::onnxruntime_library().unwrap_or_else(|reason| missing(reason))
}

fn missing(reason: &str) -> ! {
    let required = env::var_os("ONNX_QUANT_REQUIRE_RUNTIME").is_some_and(|value| value == "1");
    assert!(!required, "onnxruntime is required, but not available: {reason}");
    outcome::ignore(format!("onnxruntime is not available: {reason}"))
}

/// A number in JSON, where NaN and the infinities are strings.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Other(String),
}

impl Number {
    fn new(value: f64) -> Self {
        if value.is_finite() { Self::Finite(value) } else { Self::Other(value.to_string()) }
    }

    fn value<E: serde::de::Error>(self) -> Result<f64, E> {
        match self {
            Self::Finite(value) => Ok(value),
            Self::Other(name) => name.parse().map_err(E::custom),
        }
    }

    fn deserialize_f64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Self::deserialize(deserializer)?.value()
    }
}

/// How the elements of a [`Tensor`] are written.
struct Numbers;

impl Numbers {
    fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|&value| Number::new(value)))
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let numbers = Vec::<Number>::deserialize(deserializer)?;
        numbers.into_iter().map(Number::value).collect()
    }
}
