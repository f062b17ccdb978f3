//! The result: plain data, for programs and for the page.

use serde::{Deserialize, Serialize};

use super::{
    first,
    measure::{Accuracy, ChannelAccuracy, Channels, Choices, Measure},
    page,
    points::Matched,
    run::Comparing,
    tally::Tally,
};
use crate::{
    documents,
    error::{Error, Result},
    explain::{Operator, Summary, Verdict, explain},
    findings::{Fact, Finding},
    ir::{Model, type_name},
};

/// The version of the form that [`Comparison::to_json`] writes; it changes where a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// The [JSON Schema](https://json-schema.org/draft/2020-12) of what [`Comparison::to_json`] writes:
#[doc = concat!("```json\n", include_str!("schema.json"), "```")]
pub const SCHEMA: &str = include_str!("schema.json");

/// What counts as gone wrong where no bound is given, in dB: an error of a tenth.
const WRONG_DB: f64 = 20.0;

/// How many bars a histogram has.
const BARS: usize = 64;

/// A quantized model compared with its float model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Comparison {
    /// The version of this form.
    pub version: u32,
    /// How many samples both were run with.
    pub samples: usize,
    /// What ran them as they are written.
    pub engine: String,
    /// What ran the quantized model with all optimizations, if anything did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimizing_engine: Option<String>,
    /// Bytes of all tensors in the float model.
    pub float_bytes: usize,
    /// Bytes of all tensors in the quantized model.
    pub quantized_bytes: usize,
    /// Outputs, in the float model's order.
    pub outputs: Vec<OutputComparison>,
    /// Values of the same name, outputs too, in the order in which the float model computes them.
    pub values: Vec<ValueComparison>,
    /// Where it first goes wrong.
    pub first_wrong: FirstWrong,
    /// How many values of one name have shapes that differ, and are not compared.
    pub differing_shapes: usize,
    /// The runtime by whose rules it is told what stayed float.
    pub target: String,
    /// What this runtime makes of the quantized model.
    pub summary: Summary,
    /// The operators that it computes in float, and why.
    pub stayed_float: Vec<Operator>,
    /// What a user should know besides.
    pub findings: Vec<Finding>,
}

/// One output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OutputComparison {
    /// Its name.
    pub name: String,
    /// As the file says.
    pub written: OutputError,
    /// As the optimizing engine computes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimized: Option<OutputError>,
}

/// How far an output is from the float model's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OutputError {
    /// All elements together.
    #[serde(flatten)]
    pub accuracy: Accuracy,
    /// Channel by channel, where there are several: along the second or the last axis, whichever has a fixed size and is
    /// the shorter; a map of one channel has none, nor has what was a single number for each.
    pub channels: Option<ChannelAccuracy>,
    /// Where the channels lie along the last axis: the share of rows whose largest element is the same one. Of an output
    /// of integers: the share of elements that are the same.
    pub agreement: Option<f64>,
}

/// A value that both models have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ValueComparison {
    /// The float model's name of it.
    pub name: String,
    /// The operator that makes it there, by type and name; empty for an input.
    pub operator: String,
    /// The type that it is rounded to, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_as: Option<String>,
    /// The range that was chosen for it, smallest and largest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<[f32; 2]>,
    /// The error that has accumulated, as readers get the value.
    #[serde(flatten)]
    pub written: Accuracy,
    /// The same before the value is rounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_rounding: Option<Accuracy>,
    /// What the operators since the last compared values add by themselves, rounding included: the error where these are
    /// the float model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own: Option<Accuracy>,
    /// As the optimizing engine computes it, as far as that can be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimized: Option<Accuracy>,
    /// What it holds in the float model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Histogram>,
}

/// How often a value's numbers occur in the float model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Histogram {
    /// The least and the largest finite number.
    pub extremes: [f32; 2],
    /// How many lie in each of as many equal parts between them.
    pub counts: Vec<u64>,
}

/// Where it first goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct FirstWrong {
    /// What counts as wrong: less signal to noise than this, in dB.
    pub bound_db: f64,
    /// The first value below, in the graph's order. One from which everything made next is better again, as where an
    /// activation function clips what was lost, counts for no worse than that.
    pub below: Option<String>,
    /// The value whose figure, counted the same way, is furthest below those of the values that it is made from.
    pub largest_drop: Option<Drop>,
}

/// A step in which much is lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Drop {
    /// The value that comes out.
    pub name: String,
    /// The operator that makes it.
    pub operator: String,
    /// Signal to noise of the worst value that it is made from, at most 40 dB.
    pub from_db: f64,
    /// What is left.
    pub to_db: f64,
}

impl OutputError {
    /// What bounds are applied to: the lesser of all elements' signal to noise and that of the channels.
    pub fn sqnr_db(&self) -> f64 {
        let channels = self.channels.as_ref().map_or(f64::INFINITY, |channels| channels.sqnr_db);
        self.accuracy.sqnr_db.min(channels)
    }
}

impl OutputComparison {
    /// The lesser figure of both runs.
    pub fn sqnr_db(&self) -> f64 {
        self.optimized.iter().map(OutputError::sqnr_db).fold(self.written.sqnr_db(), f64::min)
    }
}

impl Comparison {
    /// All of it as JSON, with a line break at its end.
    pub fn to_json(&self) -> String {
        documents::to_json(self)
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// It is no such comparison, or one of another version.
    pub fn from_json(json: &str) -> Result<Self> {
        documents::from_json(json, "comparison", VERSION)
    }

    /// All of it as a page that needs nothing but a browser; `title` stands above it.
    pub fn to_html(&self, title: &str) -> String {
        page::page(self, title)
    }
}

/// Adds all up.
pub(super) fn sum(
    float: &Model,
    quantized: &Model,
    matched: &Matched,
    tallies: &[Tally],
    samples: usize,
    not_isolated: Option<String>,
    comparing: &Comparing,
) -> Result<Comparison> {
    let mut findings: Vec<Fact> = Vec::new();
    let not_compared = matched.not_compared.iter().cloned();
    findings.extend(not_compared.map(|(output, reason)| Fact::NotCompared { output, reason }));
    findings.extend(not_isolated.map(|reason| Fact::NotIsolated { reason }));
    let mut outputs = Vec::new();
    for (point, tally) in matched.points.iter().zip(tallies).filter(|(point, _)| point.output) {
        if let Some((float, quantized)) = &tally.differ {
            let reason = format!(
                "output '{}' has shape {float:?} in the float model and {quantized:?} in the quantized one; is it made \
                 from this float model?",
                point.name
            );
            return Err(Error::invalid(reason));
        }
        match output(&point.name, tally) {
            Some(output) => outputs.push(output),
            None => {
                let reason = "it had no elements in any sample".to_owned();
                findings.push(Fact::NotCompared { output: point.name.clone(), reason });
            }
        }
    }
    let compared: Vec<Option<ValueComparison>> =
        (0..tallies.len()).map(|index| value(matched, index, &tallies[index])).collect();
    let bound = comparing.min_sqnr_db;
    let first_wrong = first::first_wrong(matched, &first::origins(matched), &compared, bound.unwrap_or(WRONG_DB));
    if let Some(bound_db) = bound {
        let below = outputs.iter().map(|output| (output.name.clone(), output.sqnr_db()));
        let below: Vec<(String, f64)> = below.filter(|(_, db)| *db < bound_db).collect();
        findings.extend((!below.is_empty()).then_some(Fact::Inaccurate { bound_db, outputs: below }));
    }
    let explanation = explain(quantized, &comparing.target)?;
    let in_float = explanation.operators.into_iter().filter(|operator| operator.verdict == Verdict::Float);
    let bytes = |model: &Model| model.tensors().map(|tensor| tensor.byte_len()).sum();
    Ok(Comparison {
        version: VERSION,
        samples,
        engine: comparing.engine.name().to_owned(),
        optimizing_engine: comparing.optimizing.map(|engine| engine.name().to_owned()),
        float_bytes: bytes(float),
        quantized_bytes: bytes(quantized),
        outputs,
        values: compared.into_iter().flatten().collect(),
        first_wrong,
        differing_shapes: tallies.iter().filter(|tally| tally.differ.is_some()).count(),
        target: explanation.target,
        summary: explanation.summary,
        stayed_float: in_float.collect(),
        findings: findings.into_iter().map(Finding::from).collect(),
    })
}

fn output(name: &str, tally: &Tally) -> Option<OutputComparison> {
    let counted = tally.output.as_ref()?;
    let error = |measure: &Measure, channels: &Option<Channels>, choices: &Choices| {
        measure.accuracy().map(|accuracy| OutputError {
            accuracy,
            channels: channels.as_ref().and_then(Channels::accuracy),
            agreement: choices.agreement(),
        })
    };
    Some(OutputComparison {
        name: name.to_owned(),
        written: error(&tally.written, &counted.channels, &counted.choices)?,
        optimized: error(&tally.optimized, &counted.optimized_channels, &counted.optimized_choices),
    })
}

fn value(matched: &Matched, index: usize, tally: &Tally) -> Option<ValueComparison> {
    let point = &matched.points[index];
    // Where a sample is missing the figures are not those of the value.
    if tally.differ.is_some() {
        return None;
    }
    let rounding = point.rounding(&matched.quantized);
    Some(ValueComparison {
        name: point.name.clone(),
        operator: point.operator.clone(),
        stored_as: rounding.as_ref().and_then(|it| it.dtype).map(|dtype| type_name(dtype).to_owned()),
        range: rounding.and_then(|it| it.range()).map(|range| [range.min, range.max]),
        written: tally.written.accuracy()?,
        before_rounding: tally.before.accuracy(),
        own: tally.own.accuracy(),
        optimized: tally.optimized.accuracy(),
        histogram: histogram(tally),
    })
}

fn histogram(tally: &Tally) -> Option<Histogram> {
    let extremes = tally.float.extremes()?;
    let (least, width) = (f64::from(extremes.min), f64::from(extremes.max) - f64::from(extremes.min));
    let mut counts = vec![0; if width > 0.0 { BARS } else { 1 }];
    for (middle, count) in tally.float.counts() {
        let place = if width > 0.0 { (f64::from(middle) - least) / width * counts.len() as f64 } else { 0.0 };
        // What is below the first bar's middle or beyond the last's is theirs.
        let bar = (place.max(0.0) as usize).min(counts.len() - 1);
        counts[bar] += count;
    }
    Some(Histogram { extremes: [extremes.min, extremes.max], counts })
}
