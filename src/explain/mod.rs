//! What a target makes of a model, operator by operator, and why.
//!
//! The model may be quantized by anybody, in any form. It is loaded (`loaded`) as the target does it, on a copy,
//! and every operator is then judged by the target's rules: the same rules that plans are made by, so that a
//! plan and what is explained of it cannot differ. Sentences are made in `sentences.rs`, and nowhere else here.

mod findings;
mod kinds;
mod loaded;
mod moved;
mod sentences;
mod summary;
mod verdicts;

use serde::{Deserialize, Serialize};

pub(crate) use findings::{dequantized_every_run, int8_product_not_loaded, rank, zero_halves};
pub use summary::Summary;

use crate::{
    documents,
    error::Result,
    findings::{Code, Finding},
    ir::Model,
    targets::Target,
};

/// The version of the form that [`Explanation::to_json`] writes; it changes where a field changes its meaning
/// or goes.
pub const VERSION: u32 = 1;

/// The [JSON Schema](https://json-schema.org/draft/2020-12) of what [`Explanation::to_json`] writes:
#[doc = concat!("```json\n", include_str!("schema.json"), "```")]
pub const SCHEMA: &str = include_str!("schema.json");

/// What a target makes of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Explanation {
    /// The version of this form.
    pub version: u32,
    /// The target's name.
    pub target: String,
    /// The release whose rules were asked, where the target has releases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Where the model is a plan's and not a file's: which ranges it was planned with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned_with: Option<PlannedRanges>,
    /// All together.
    pub summary: Summary,
    /// What is not as it could be, the costliest first.
    pub findings: Vec<Finding>,
    /// Every operator, in the order of the file: the main graph, then bodies and functions.
    pub operators: Vec<Operator>,
}

/// Which ranges a plan is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PlannedRanges {
    /// Those that were observed.
    Observed,
    /// Made-up ones, for all values the same.
    Assumed,
}

/// What becomes of one operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Operator {
    /// The node's name.
    pub name: String,
    /// Its type.
    pub op_type: String,
    /// The bodies or the function that it is in, outermost first; empty in the main graph.
    pub path: Vec<String>,
    /// The type of the kernel that does its work; empty where none is left.
    pub runs_as: String,
    /// How it computes.
    pub verdict: Verdict,
    /// What decided that.
    pub why: String,
}

/// How an operator computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verdict {
    /// With integers.
    Integer,
    /// In float.
    Float,
    /// It converts between integers and floats.
    Conversion,
    /// Neither: shapes, control flow, constants, and what is gone once the model is loaded.
    Other,
}

/// Explains what a target makes of a model as it stands. The release that was named is asked, or else the newest.
///
/// # Errors
/// The model cannot be loaded as the target does it.
///
/// ```
/// use onnx_quant::{Config, Model, explain::{Verdict, explain}, quantize};
/// let mut model = Model::load("testdata/kws_dscnn.onnx")?;
/// quantize(&mut model, &Config::default())?;
/// let explanation = explain(&model, &"onnxruntime".parse()?)?;
/// let convolutions = explanation.operators.iter().filter(|operator| operator.op_type == "Conv");
/// assert!(convolutions.into_iter().all(|conv| conv.verdict == Verdict::Float), "only their weights are integers");
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn explain(model: &Model, target: &Target) -> Result<Explanation> {
    let target = target.clone().one_release();
    let loaded = loaded::load(model, &target)?;
    let verdicts = verdicts::all(model, &loaded, &target);
    let operators: Vec<Operator> = model.ops().map(|op| operator(model, &target, op, &verdicts[&op])).collect();
    let findings = findings::find(model, &loaded, &target, &verdicts);
    Ok(Explanation {
        version: VERSION,
        target: target.name().to_owned(),
        release: target.releases().map(|(_, newest)| newest.to_string()),
        planned_with: None,
        summary: summary::sum(model, &loaded, &verdicts),
        findings,
        operators,
    })
}

fn operator(model: &Model, target: &Target, op: crate::ir::OpId, found: &verdicts::Found) -> Operator {
    let operator = model.op(op);
    Operator {
        name: operator.name().to_owned(),
        op_type: operator.op_type().to_owned(),
        path: model.scope_path(operator.scope()),
        runs_as: found.runs_as.clone(),
        verdict: found.verdict,
        why: sentences::why(model, target, op, found),
    }
}

impl Operator {
    /// Its type and name.
    pub fn describe(&self) -> String {
        match self.name.as_str() {
            "" => format!("{} (unnamed)", self.op_type),
            name => format!("{} '{name}'", self.op_type),
        }
    }
}

/// Whether a model has anything quantized in it, in any form.
pub fn is_quantized(model: &Model, target: &Target) -> bool {
    model.ops().any(|op| kinds::is_quantizing(model, op) || target.is_integer_operator(model, op))
}

impl Explanation {
    /// The explanation as JSON, with a line break at its end.
    pub fn to_json(&self) -> String {
        documents::to_json(self)
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// It is no such explanation, or one of another version.
    pub fn from_json(json: &str) -> Result<Self> {
        documents::from_json(json, "explanation", VERSION)
    }

    /// Those findings that have one of these codes.
    pub fn denied<'a>(&'a self, codes: &'a [Code]) -> impl Iterator<Item = &'a Finding> {
        self.findings.iter().filter(|finding| codes.contains(&finding.code))
    }
}
