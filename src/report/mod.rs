//! What was done, what was not and why, and what it costs: as data.
//!
//! Tables and colours are the command's business; [`Report::to_json`] is the file that
//! `--report` writes.

mod activations;

pub use activations::{Activations, EstimatedTime, LayerTimes, PlannedOperator, QuantizedValue};

use rayon::prelude::*;
use serde::Serialize;

use crate::{
    config::Config,
    error::{Error, Result},
    findings::{Fact, Finding},
    ir::{Model, Tensor, type_name},
    numeric::{Granularity, Layout, distortion},
    plan::{LeftFloat, Plan, QuantizedCopy, Trained, WeightForm, WeightPlan, storage_dtype, zero_points},
};

/// The report of one quantization.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
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
    pub activations: Option<Activations>,
}

/// Bytes of tensors before and after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Bytes {
    /// As float.
    pub float: usize,
    /// As integers, with scales and zero points.
    pub quantized: usize,
}

/// A weight that was quantized.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuantizedTensor {
    /// Its name.
    pub name: String,
    /// The body or function it is in, outermost first; empty in the main graph.
    pub path: Vec<String>,
    /// Its type before, e.g. `float`.
    pub float_type: &'static str,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Before and after.
    pub bytes: Bytes,
    /// Its quantized forms: one, unless its operators need different axes.
    pub copies: Vec<Copy>,
    /// Operators that read it but take no weight; they read the dequantized values now.
    pub other_readers: Vec<String>,
}

/// One quantized form of a weight.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Copy {
    /// Its type, e.g. `int8`.
    pub dtype: &'static str,
    /// `per-tensor`, `per-channel` or `per-block`.
    pub granularity: &'static str,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqnr_db: Option<f64>,
    /// Why it is not as was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A weight that stays float.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TrainedFloat {
    /// How many.
    pub count: usize,
    /// Bytes of their elements, as floats and as integers.
    pub bytes: Bytes,
}

/// Float constants that are no weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
            quantized,
            left_float: plan.left_float.iter().map(|left| float(model, left)).collect(),
            other_float: OtherFloat { count: plan.others.count, bytes: plan.others.bytes },
            trained: trained(plan),
            bytes,
            findings: Vec::new(),
            activations: plan.activations.as_ref().map(|plan| Activations::of(model, plan)),
        };
        report.tell(&plan.findings);
        Ok(report)
    }

    /// Adds what a user should know.
    pub(crate) fn tell(&mut self, facts: &[Fact]) {
        self.findings.extend(facts.iter().cloned().map(Finding::from));
        self.findings.sort_by_key(|finding| finding.severity);
    }

    /// The report as JSON, with a line break at its end.
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }
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
        float_type: type_name(tensor.dtype()),
        shape: tensor.shape(),
        bytes: Bytes { float: tensor.byte_len(), quantized: after },
        copies,
        other_readers: weight.other_readers.clone(),
    })
}

fn copy_report(
    weight: &WeightPlan,
    copy: &QuantizedCopy,
    tensor: &Tensor,
    layout: &Layout,
    config: &Config,
) -> Result<Copy> {
    let sqnr_db = if config.measure_error {
        let distortion = distortion(&tensor.narrow().bytes()?, weight.float_type, layout, &copy.params, copy.scheme);
        Some(distortion.sqnr_db())
    } else {
        None
    };
    let (granularity, axis) = match copy.granularity {
        Granularity::PerTensor => ("per-tensor", None),
        Granularity::PerChannel { axis } => ("per-channel", Some(axis)),
        Granularity::PerBlock { axis, .. } => ("per-block", Some(axis)),
    };
    Ok(Copy {
        dtype: type_name(storage_dtype(copy.scheme.ty)),
        granularity,
        axis,
        scales: layout.scales(),
        symmetric: copy.scheme.symmetric,
        operators: copy.operators.clone(),
        sqnr_db,
        note: copy.otherwise.as_ref().map(ToString::to_string),
    })
}
