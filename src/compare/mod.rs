//! What a quantized model computes beside its float original: both are run with the same samples, and each value
//! that both have is compared while it is there. The quantized model may be anybody's.
//!
//! Errors are counted as noise beside a signal, in decibels: `10 log10(Σ x² / Σ (x - y)²)`. An output's channels may
//! be of very different sizes (boxes of hundreds beside scores under one), so each is counted by its own variance,
//! too. Memory holds the values of one sample at a time.

mod error;
mod pairing;

use std::collections::HashMap;

use serde::Serialize;

pub use error::{Channels, ErrorOf};
use pairing::{Compared, Found};

use crate::{
    calibration::{Engine, Observation, Sample, Session},
    error::{Error, Result},
    ir::{Model, Tensor, ValueId},
};
use error::Accumulated;

/// The version of the form that [`Comparison::to_json`] writes; it changes where a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// A quantized model beside its float original.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The version of this form.
    pub version: u32,
    /// What ran both models.
    pub engine: &'static str,
    /// How many samples they were run with.
    pub samples: usize,
    /// The outputs of the models, in the float model's order.
    pub outputs: Vec<ComparedValue>,
    /// The other values that both models have, in the order in which the quantized model computes them.
    pub values: Vec<ComparedValue>,
    /// Outputs that could not be compared, and why.
    pub not_compared: Vec<NotCompared>,
}

/// One value of both models.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ComparedValue {
    /// Its name in the float model.
    pub name: String,
    /// The operator that makes it in the quantized model: type and name; none for inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// How far it is from the float model's.
    #[serde(flatten)]
    pub error: ErrorOf,
    /// The same behind the QuantizeLinear and DequantizeLinear that it goes through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_pair: Option<ErrorOf>,
    /// By how many decibels it is worse, as others read it, than the worst value that its operator reads: what the
    /// operator adds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<f64>,
}

/// An output that was not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotCompared {
    /// Its name in the float model.
    pub name: String,
    /// What speaks against it.
    pub reason: &'static str,
}

impl ComparedValue {
    /// How far off it is for those that read it: behind its pair, which may do what a Relu or Clip did, if it has one.
    pub fn as_read(&self) -> &ErrorOf {
        self.after_pair.as_ref().unwrap_or(&self.error)
    }
}

impl Comparison {
    /// It as JSON, with a line break at its end.
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }

    /// The first value, in the order of computation, that is below a bound in decibels.
    pub fn first_below(&self, bound: f64) -> Option<&ComparedValue> {
        self.values.iter().find(|value| value.as_read().is_below(bound))
    }
}

/// Runs both models with every sample and compares what they compute. `progress` hears after each sample how many
/// there were.
///
/// # Errors
/// The models have no output in common that is compared; there is no sample; a sample cannot be had or does not fit
/// both models; the engine fails with one of them; a value has other sizes in the two models.
///
/// ```
/// use std::path::Path;
/// use onnx_quant::{Config, Model, calibration::{RtenEngine, Samples}, compare::compare, quantize};
/// let float = Model::load("testdata/kws_dscnn.onnx")?;
/// let mut quantized = float.clone();
/// quantize(&mut quantized, &Config::default())?;
/// let samples = Samples::open(Path::new("testdata/calibration/kws_dscnn"), &float, Some(2))?;
/// let comparison = compare(&float, &quantized, samples, &RtenEngine, &mut |_| {})?;
/// assert!(comparison.outputs[0].error.sqnr.unwrap() > 20.0);
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn compare(
    float: &Model,
    quantized: &Model,
    samples: impl IntoIterator<Item = Result<Sample>>,
    engine: &dyn Engine,
    progress: &mut dyn FnMut(usize),
) -> Result<Comparison> {
    let Found { compared, not_compared } = pairing::find(float, quantized);
    if !compared.iter().any(|it| it.is_output) {
        return Err(Error::config(format!("there is no output to compare: {}", reasons(&not_compared))));
    }
    let one = Watching::new(float, compared.iter().map(|it| it.float))?;
    let other = Watching::new(quantized, compared.iter().flat_map(|it| [Some(it.quantized), it.after_pair]).flatten())?;
    let mut errors: Vec<(Accumulated, Accumulated)> = vec![Default::default(); compared.len()];
    let mut sessions = (engine.load(&one.observation)?, engine.load(&other.observation)?);
    let mut count = 0;
    for sample in samples {
        let sample = sample?;
        count += 1;
        let mut add = || {
            let exact = run(&one.observation, &mut *sessions.0, &sample)?;
            let rounded = run(&other.observation, &mut *sessions.1, &sample)?;
            for (it, (error, after_pair)) in compared.iter().zip(&mut errors) {
                let of = |value: ValueId| other.index.get(&value).and_then(|index| rounded.get(index));
                let Some(exact) = one.index.get(&it.float).and_then(|index| exact.get(index)) else { continue };
                if let Some(rounded) = of(it.quantized) {
                    error.add(exact, rounded).map_err(|error| error.of_value(&it.name))?;
                }
                if let Some(rounded) = it.after_pair.and_then(of) {
                    after_pair.add(exact, rounded).map_err(|error| error.of_value(&it.name))?;
                }
            }
            Ok(())
        };
        add().map_err(|error: Error| error.in_sample(count, &sample.origin))?;
        progress(count);
    }
    if count == 0 {
        return Err(Error::config("there are no samples"));
    }
    let errors = errors.iter().map(|(error, after_pair)| (error.finished(), after_pair.finished()));
    let (outputs, values) = results(quantized, &compared, errors.collect());
    Ok(Comparison { version: VERSION, engine: engine.name(), samples: count, outputs, values, not_compared })
}

fn reasons(not_compared: &[NotCompared]) -> String {
    let all: Vec<String> = not_compared.iter().map(|it| format!("'{}' {}", it.name, it.reason)).collect();
    if all.is_empty() { "the float model has none".to_owned() } else { all.join(", ") }
}

/// Which values of a model are watched.
struct Watching {
    observation: Observation,
    /// Where each is among them.
    index: HashMap<ValueId, usize>,
}

impl Watching {
    fn new(model: &Model, values: impl Iterator<Item = ValueId>) -> Result<Self> {
        let mut index = HashMap::new();
        let mut listed = Vec::new();
        for value in values {
            index.entry(value).or_insert_with(|| {
                listed.push(value);
                listed.len() - 1
            });
        }
        Ok(Self { observation: Observation::new(model, &listed)?, index })
    }
}

/// What a watched value held in one run.
struct Held {
    shape: Vec<usize>,
    elements: Vec<f32>,
}

fn run(observation: &Observation, session: &mut dyn Session, sample: &Sample) -> Result<HashMap<usize, Held>> {
    let inputs: Vec<Tensor> = observation.inputs(sample)?;
    let mut held = HashMap::new();
    session.run(&inputs, &mut |observed| {
        let copied =
            observed.iter().map(|it| (it.index, Held { shape: it.shape.to_vec(), elements: it.elements.to_vec() }));
        held.extend(copied);
    })?;
    Ok(held)
}

/// The outputs, and the other values.
fn results(
    quantized: &Model,
    compared: &[Compared],
    errors: Vec<(Option<ErrorOf>, Option<ErrorOf>)>,
) -> (Vec<ComparedValue>, Vec<ComparedValue>) {
    // How far what an operator reads is off: behind the pair, where it goes through one.
    let mut read: HashMap<ValueId, Option<f64>> = HashMap::new();
    for (it, (error, after_pair)) in compared.iter().zip(&errors) {
        read.insert(it.quantized, error.as_ref().and_then(|error| error.sqnr));
        if let Some(after) = it.after_pair {
            read.insert(after, after_pair.as_ref().and_then(|error| error.sqnr));
        }
    }
    let mut outputs = Vec::new();
    let mut values = Vec::new();
    for (it, (error, after_pair)) in compared.iter().zip(errors) {
        // A branch that no sample took.
        let Some(error) = error else { continue };
        let producer = quantized.producer(it.quantized);
        let inputs = producer.map(|op| quantized.inputs(op)).unwrap_or_default();
        let worst = inputs.iter().flatten().filter_map(|input| *read.get(input)?).min_by(f64::total_cmp);
        let mut value = ComparedValue {
            name: it.name.clone(),
            operator: producer.map(|op| quantized.op(op).describe()),
            error,
            after_pair,
            lost: None,
        };
        value.lost = worst.zip(value.as_read().sqnr).map(|(before, after)| before - after);
        if it.is_output { outputs.push(value) } else { values.push(value) }
    }
    (outputs, values)
}
