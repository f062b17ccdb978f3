//! What was done, what was not and why, and what it costs: as data.
//!
//! Tables and colours are the command's business; [`Report::to_json`] is the file that
//! `--report` writes.

mod activations;
mod sensitivity;
mod tuned;

pub use activations::{EstimatedTime, LayerTimes, PlannedOperator, QuantizedActivations, QuantizedValue};
pub use sensitivity::{SENSITIVITY_SCHEMA, SENSITIVITY_VERSION, SensitiveOperator, Sensitivity, Step};
pub use tuned::{Tuned, TunedPlan, Way};

use rayon::prelude::*;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    config::Config,
    documents,
    error::{Error, Result},
    findings::{Fact, Finding},
    ir::{Model, Tensor, type_name},
    numeric::{Distortion, Granularity, Layout, distortion},
    plan::{LeftFloat, Plan, QuantizedCopy, Trained, WeightForm, WeightPlan, float_type, storage_dtype, zero_points},
};

/// The version of the form that [`Report::to_json`] writes; it changes where a field changes its meaning
/// or goes, not where one is added.
pub const VERSION: u32 = 1;

/// The [JSON Schema](https://json-schema.org/draft/2020-12) of what [`Report::to_json`] writes:
#[doc = concat!("```json\n", include_str!("schema.json"), "```")]
pub const SCHEMA: &str = include_str!("schema.json");

/// The report of one quantization.
///
/// ```
/// use onnx_quant::{Config, Model, Report, quantize};
/// let mut model = Model::load("testdata/kws_dscnn.onnx")?;
/// let report = quantize(&mut model, &Config::default())?;
/// assert_eq!(Report::from_json(&report.to_json())?, report);
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Report {
    /// The version of this form.
    pub version: u32,
    /// The version of onnx-quant.
    pub tool_version: String,
    /// The options that quantize a model like this, as they are typed.
    pub options: String,
    /// The opset of the default domain, before and after; 0 where a model has none.
    pub opset: Change<i64>,
    /// The bytes of all of the model's tensors, before and after.
    pub tensor_bytes: Change<usize>,
    /// The weights that were quantized.
    pub quantized: Vec<QuantizedTensor>,
    /// The weights that stay float.
    pub left_float: Vec<FloatTensor>,
    /// Float constants that are no weights: biases, norms, tables of numbers.
    pub other_float: OtherFloat,
    /// Float constants that training had quantized, and whose integers stand for them now; absent where
    /// there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trained: Option<TrainedFloat>,
    /// The bytes of all quantized weights.
    pub bytes: Bytes,
    /// What a user should know besides: what else was changed, what to expect of the result, what may not be as
    /// intended. Warnings come last.
    pub findings: Vec<Finding>,
    /// What became of activations, where they were quantized.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activations: Option<QuantizedActivations>,
    /// The ways to quantize that were tried and timed, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned: Option<Tuned>,
}

/// Something before and after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Change<T> {
    /// Of the model that came in.
    pub before: T,
    /// Of the model that goes out.
    pub after: T,
}

/// Bytes of tensors before and after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Bytes {
    /// As float.
    pub float: usize,
    /// As integers, with scales and zero points.
    pub quantized: usize,
}

/// A weight that was quantized.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct QuantizedTensor {
    /// Its name.
    pub name: String,
    /// The body or function it is in, outermost first; empty in the main graph.
    pub path: Vec<String>,
    /// Its type before, e.g. `float`.
    pub float_type: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Before and after.
    pub bytes: Bytes,
    /// Its quantized forms: one, unless its operators need different axes.
    pub copies: Vec<QuantizedForm>,
    /// Operators that read it but take no weight; they read the dequantized values now.
    pub other_readers: Vec<String>,
}

/// One quantized form of a weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct QuantizedForm {
    /// Its type, e.g. `int8`.
    pub dtype: String,
    /// `per-tensor`, `per-channel` or `per-block`.
    pub granularity: String,
    /// The axis that the scales run along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub axis: Option<usize>,
    /// How many scales there are.
    pub scales: usize,
    /// Whether real zero is the middle of the integers.
    pub symmetric: bool,
    /// The operators that take it as a weight.
    pub operators: Vec<String>,
    /// The signal-to-quantization-noise ratio in decibels, `10 log10(sum x^2 / sum (x - x')^2)`;
    /// infinite (`null` in JSON) where nothing was lost, absent if it was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "or_infinite")]
    pub sqnr_db: Option<f64>,
    /// Why it is not as was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A weight that stays float.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct FloatTensor {
    /// Its name.
    pub name: String,
    /// The body or function it is in, outermost first; empty in the main graph.
    pub path: Vec<String>,
    /// The operators that take it as a weight.
    pub operators: Vec<String>,
    /// Bytes of its elements.
    pub bytes: usize,
    /// Why.
    pub reason: String,
}

/// Float constants that training had quantized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TrainedFloat {
    /// How many.
    pub count: usize,
    /// Bytes of their elements, as floats and as integers.
    pub bytes: Bytes,
}

/// Float constants that are no weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OtherFloat {
    /// How many.
    pub count: usize,
    /// Bytes of their elements.
    pub bytes: usize,
}

impl Report {
    /// Reports what a plan does to a model that it has not been carried out on yet.
    pub(crate) fn of(model: &Model, plan: &Plan, config: &Config) -> Result<Self> {
        let quantized: Vec<_> =
            plan.weights.par_iter().map(|weight| quantized(model, weight, config)).collect::<Result<_>>()?;
        let bytes = Bytes {
            float: quantized.iter().map(|tensor| tensor.bytes.float).sum(),
            quantized: quantized.iter().map(|tensor| tensor.bytes.quantized).sum(),
        };
        let mut report = Self {
            version: VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            options: String::new(),
            opset: Change::default(),
            tensor_bytes: Change::default(),
            quantized,
            left_float: plan.left_float.iter().map(|left| float(model, left)).collect(),
            other_float: OtherFloat { count: plan.others.count, bytes: plan.others.bytes },
            trained: trained(plan),
            bytes,
            findings: Vec::new(),
            activations: plan.activations.as_ref().map(|plan| QuantizedActivations::of(model, plan)),
            tuned: None,
        };
        report.tell(&plan.findings);
        Ok(report)
    }

    /// Adds the options, and what became of the model as a whole.
    pub(crate) fn describe(&mut self, options: String, before: &Model, after: &Model) {
        let bytes = |model: &Model| model.tensors().map(Tensor::byte_len).sum();
        self.options = options;
        self.opset = Change { before: before.opset(Model::MAIN), after: after.opset(Model::MAIN) };
        self.tensor_bytes = Change { before: bytes(before), after: bytes(after) };
    }

    /// Adds what a user should know.
    pub(crate) fn tell(&mut self, facts: &[Fact]) {
        self.findings.extend(facts.iter().cloned().map(Finding::from));
        self.findings.sort_by_key(|finding| finding.severity);
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// It is no such report, or one of another version.
    pub fn from_json(json: &str) -> Result<Self> {
        documents::from_json(json, "report", VERSION)
    }

    /// The report as JSON, with a line break at its end.
    pub fn to_json(&self) -> String {
        documents::to_json(self)
    }
}

/// JSON has no infinity: `null` stands for it.
fn or_infinite<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<f64>, D::Error> {
    Ok(Some(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY)))
}

fn trained(plan: &Plan) -> Option<TrainedFloat> {
    let Trained { count, float_bytes, integer_bytes } = plan.trained;
    let bytes = Bytes { float: float_bytes, quantized: integer_bytes };
    (count > 0).then_some(TrainedFloat { count, bytes })
}

fn float(model: &Model, left: &LeftFloat) -> FloatTensor {
    let LeftFloat { value, name, operators, bytes, reason } = left.clone();
    let path = model.scope_path(model.value(value).scope());
    FloatTensor { name, path, operators, bytes, reason: reason.to_string() }
}

fn quantized(model: &Model, weight: &WeightPlan, config: &Config) -> Result<QuantizedTensor> {
    let value = model.value(weight.value);
    let tensor = model.constant(weight.value).ok_or_else(|| Error::invalid("a planned weight is no constant"))?;
    let mut after = if weight.form == WeightForm::Qdq { tensor.byte_len() } else { 0 };
    let mut copies = Vec::new();
    for copy in &weight.copies {
        let layout = Layout::new(&tensor.shape(), copy.granularity)
            .map_err(|error| Error::tensor(value.name(), error.to_string()))?;
        let integers = if weight.form != WeightForm::Qdq { copy.scheme.ty.bytes(layout.elements()) } else { 0 };
        after += integers + zero_points(copy.scheme.ty, &layout) + layout.scales() * copy.scheme.scale.size();
        copies.push(copy_report(weight, copy, &tensor, &layout, config)?);
    }
    Ok(QuantizedTensor {
        name: value.name().to_owned(),
        path: model.scope_path(value.scope()),
        float_type: type_name(tensor.dtype()).to_owned(),
        shape: tensor.shape(),
        bytes: Bytes { float: tensor.byte_len(), quantized: after },
        copies,
        other_readers: weight.other_readers.clone(),
    })
}

/// A float tensor's elements, exactly.
fn elements(tensor: &Tensor) -> Result<Vec<f64>> {
    let float_type =
        float_type(tensor.dtype()).ok_or_else(|| Error::invalid("a planned weight is of no float type"))?;
    Ok(float_type.widen(&tensor.bytes()?))
}

fn copy_report(
    weight: &WeightPlan,
    copy: &QuantizedCopy,
    tensor: &Tensor,
    layout: &Layout,
    config: &Config,
) -> Result<QuantizedForm> {
    let sqnr_db = if config.measure_error {
        let distortion = match &weight.compensated {
            Some(stored) => Distortion::between(&elements(tensor.narrow())?, stored),
            None => distortion(&tensor.narrow().bytes()?, weight.float_type, layout, &copy.params, copy.scheme),
        };
        Some(distortion.sqnr_db())
    } else {
        None
    };
    let (granularity, axis) = match copy.granularity {
        Granularity::PerTensor => ("per-tensor", None),
        Granularity::PerChannel { axis } => ("per-channel", Some(axis)),
        Granularity::PerBlock { axis, .. } => ("per-block", Some(axis)),
    };
    Ok(QuantizedForm {
        dtype: type_name(storage_dtype(copy.scheme.ty)).to_owned(),
        granularity: granularity.to_owned(),
        axis,
        scales: layout.scales(),
        symmetric: copy.scheme.symmetric,
        operators: copy.operators.clone(),
        sqnr_db,
        note: copy.otherwise.as_ref().map(ToString::to_string),
    })
}
