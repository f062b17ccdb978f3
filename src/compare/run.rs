//! The run over the samples: each goes through all models, and what it says is added up.

use std::{collections::HashMap, ops::ControlFlow};

use rayon::prelude::*;

use super::{
    comparison::{self, Comparison},
    isolated::{Isolated, isolated},
    measure::Measure,
    points::{Matched, Point, matched},
    tally::{Seen, Tally, Variant},
};
use crate::{
    calibration::{Engine, Observation, Sample, Session},
    error::{Error, ErrorKind, Result},
    ir::{DataType, Model, Tensor, ValueId},
    setters::setters,
    targets::Target,
};

/// What compares, and against what.
#[non_exhaustive]
pub struct Comparing<'a> {
    /// What runs the models operator by operator, as they are written.
    pub engine: &'a dyn Engine,
    /// What runs the quantized model as its users do, with all optimizations; with this, outputs and values behind a
    /// pair are compared as it computes them, too.
    pub optimizing: Option<&'a dyn Engine>,
    /// The runtime by whose rules is told what stayed float.
    pub target: Target,
    /// The least signal to noise of an output, in dB: below, there is a [finding](Comparison::findings).
    pub min_sqnr_db: Option<f64>,
}

setters!(Comparing<'_> { with_target(target: Target), with_min_sqnr_db(min_sqnr_db: Option<f64>) });

impl<'a> Comparing<'a> {
    /// As the models are written, for the default target, without a bound.
    pub fn new(engine: &'a dyn Engine) -> Self {
        Self { engine, optimizing: None, target: Target::default(), min_sqnr_db: None }
    }

    /// The same with an engine that runs the quantized model as its users do, too.
    #[must_use]
    pub fn with_optimizing(mut self, optimizing: Option<&'a dyn Engine>) -> Self {
        self.optimizing = optimizing;
        self
    }
}

/// Compares a quantized model with the float model that it was made from. `progress` hears after each sample how many
/// there were, and may end the run by [`Break`](ControlFlow::Break).
///
/// Memory holds the values of one sample at a time.
///
/// # Errors
/// There is no sample, or one does not fit a model; an engine cannot run a model; the models have no output in common, or
/// one of another shape.
///
/// ```
/// use onnx_quant::{Config, Model, calibration::{RtenEngine, Samples, proceed}, compare::{Comparing, compare}, quantize};
/// let float = Model::load("testdata/kws_dscnn.onnx")?;
/// let mut quantized = float.clone();
/// quantize(&mut quantized, &Config::default())?;
/// let samples = Samples::open("testdata/calibration/kws_dscnn", &float, Some(1))?;
/// let comparing = Comparing::new(&RtenEngine);
/// let comparison = compare(&float, &quantized, samples, &comparing, &mut proceed)?;
/// assert!(comparison.outputs[0].written.accuracy.sqnr_db > 20.0);
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn compare(
    float: &Model,
    quantized: &Model,
    samples: impl IntoIterator<Item = Result<Sample>>,
    comparing: &Comparing,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Comparison> {
    let matched = matched(float, quantized);
    if !matched.points.iter().any(|point| point.output) {
        let names = |model: &Model| {
            let outputs = model.scope(Model::MAIN).outputs().iter();
            let names: Vec<String> = outputs.map(|output| format!("'{}'", model.value(output.value).name())).collect();
            names.join(", ")
        };
        let (float, quantized) = (names(float), names(quantized));
        return Err(Error::invalid(format!(
            "the models have no output in common that can be compared: {float} in the float model, {quantized} in the \
             quantized one; is it made from this float model?"
        )));
    }
    let isolated = isolated(&matched);
    let mut tallies = Tally::of_all(&matched);
    let (count, not_isolated) = run(&matched, &isolated, &mut tallies, samples, comparing, progress)?;
    if count == 0 {
        return Err(Error::config("there are no samples to compare the models with"));
    }
    comparison::sum(float, quantized, &matched, &tallies, count, not_isolated, comparing)
}

/// A model that is loaded, with the places of the points among what it gives.
struct Loaded<'a> {
    observation: &'a Observation,
    session: Box<dyn Session + 'a>,
}

/// Values to be watched, each once.
#[derive(Default)]
struct Watched {
    values: Vec<ValueId>,
    places: HashMap<ValueId, usize>,
}

impl Watched {
    fn add(&mut self, value: ValueId) -> usize {
        *self.places.entry(value).or_insert_with(|| {
            self.values.push(value);
            self.values.len() - 1
        })
    }

    /// The places of these values, those that there are.
    fn add_all(&mut self, values: impl Iterator<Item = Option<ValueId>>) -> Vec<Option<usize>> {
        values.map(|value| value.map(|value| self.add(value))).collect()
    }
}

impl<'a> Loaded<'a> {
    fn new(engine: &dyn Engine, observation: &'a Observation) -> Result<Self> {
        Ok(Self { observation, session: engine.load(observation)? })
    }

    fn run(&mut self, sample: &Sample, count: usize) -> Result<Vec<Option<Seen>>> {
        let inputs = self.observation.inputs(sample)?;
        let mut values: Vec<Option<Seen>> = std::iter::repeat_with(|| None).take(count).collect();
        self.session.run(&inputs, &mut |observed| {
            for value in observed {
                let seen = Seen { shape: value.shape.to_vec(), elements: value.elements.to_vec() };
                values[value.index] = Some(seen);
            }
        })?;
        Ok(values)
    }
}

/// Runs all samples; how many there were, and why nothing was isolated if nothing was.
fn run(
    matched: &Matched,
    isolated: &Isolated,
    tallies: &mut [Tally],
    samples: impl IntoIterator<Item = Result<Sample>>,
    comparing: &Comparing,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<(usize, Option<String>)> {
    let points = &matched.points;
    let mut in_float = Watched::default();
    let float_places = in_float.add_all(points.iter().map(|point| Some(point.float)));
    let mut in_quantized = Watched::default();
    let given_places = in_quantized.add_all(points.iter().map(Point::given));
    let before_places = in_quantized.add_all(points.iter().map(|point| point.after.and(point.before)));
    let float = Observation::new(&matched.float, &in_float.values)?;
    let quantized = Observation::new(&matched.quantized, &in_quantized.values)?;
    let mut float_model = Loaded::new(comparing.engine, &float)?;
    let mut quantized_model = Loaded::new(comparing.engine, &quantized)?;

    let mut in_isolated = Watched::default();
    let own_places = in_isolated.add_all(points.iter().map(|point| point.given().filter(|_| !point.is_integer)));
    let cut = Observation::new(&isolated.model, &in_isolated.values)?;
    let mut not_isolated = None;
    let mut cut_model = match Loaded::new(comparing.engine, &cut) {
        Ok(model) => Some(model),
        Err(error) => {
            not_isolated = Some(error.to_string());
            None
        }
    };

    // What is watched can keep operators from becoming one: outputs are looked at in a run of their own.
    let mut outputs = Watched::default();
    let output_places = outputs.add_all(points.iter().map(|point| point.given().filter(|_| point.output)));
    let mut rounded = Watched::default();
    let rounded_places = rounded.add_all(points.iter().map(|point| point.after.filter(|_| !point.output)));
    let optimized_outputs = Observation::new(&matched.quantized, &outputs.values)?;
    let optimized_values = Observation::new(&matched.quantized, &rounded.values)?;
    let mut optimized_models = Vec::new();
    if let Some(engine) = comparing.optimizing {
        optimized_models.push((Loaded::new(engine, &optimized_outputs)?, &output_places, outputs.values.len()));
        if !rounded.values.is_empty() {
            optimized_models.push((Loaded::new(engine, &optimized_values)?, &rounded_places, rounded.values.len()));
        }
    }

    let mut count = 0;
    for sample in samples {
        let sample = sample?;
        count += 1;
        let mut one = || -> Result<()> {
            let expected = float_model.run(&sample, in_float.values.len())?;
            let computed = quantized_model.run(&sample, in_quantized.values.len())?;
            tallies.par_iter_mut().enumerate().with_max_len(1).for_each(|(index, tally)| {
                let Some(expected) = at(&expected, float_places[index]) else { return };
                tally.float.observe(&expected.elements);
                if let Some(given) = at(&computed, given_places[index]) {
                    tally.observe(expected, given, Variant::Written, &points[index]);
                }
                if let Some(before) = at(&computed, before_places[index]) {
                    tally.observe(expected, before, Variant::Before, &points[index]);
                }
            });
            drop(computed);
            for (model, places, watched) in &mut optimized_models {
                let computed = model.run(&sample, *watched)?;
                tallies.par_iter_mut().enumerate().with_max_len(1).for_each(|(index, tally)| {
                    let pair = at(&expected, float_places[index]).zip(at(&computed, places[index]));
                    if let Some((expected, given)) = pair {
                        tally.observe(expected, given, Variant::Optimized, &points[index]);
                    }
                });
            }
            if let Some(model) = &mut cut_model {
                let fed = fed(&sample, &expected, isolated, &float_places)?;
                let computed = model.run(&fed, in_isolated.values.len());
                match computed {
                    Ok(computed) => tallies.par_iter_mut().enumerate().with_max_len(1).for_each(|(index, tally)| {
                        let pair = at(&expected, float_places[index]).zip(at(&computed, own_places[index]));
                        if let Some((expected, given)) = pair {
                            tally.observe(expected, given, Variant::Own, &points[index]);
                        }
                    }),
                    Err(error) => {
                        not_isolated = Some(error.to_string());
                        cut_model = None;
                    }
                }
            }
            Ok(())
        };
        one().map_err(|error| error.in_sample(count, &sample.origin))?;
        if progress(count).is_break() {
            return Err(ErrorKind::Cancelled { samples: count }.into());
        }
    }
    if not_isolated.is_some() {
        // What was measured of some samples only is nothing to compare with what was measured of all.
        tallies.iter_mut().for_each(|tally| tally.own = Measure::default());
    }
    Ok((count, not_isolated))
}

fn at(values: &[Option<Seen>], place: Option<usize>) -> Option<&Seen> {
    values[place?].as_ref()
}

/// A sample with the float model's values for the cut model. What is in a branch that was not taken is not looked at in
/// the other model either, and only has to be there.
fn fed(sample: &Sample, values: &[Option<Seen>], isolated: &Isolated, places: &[Option<usize>]) -> Result<Sample> {
    let mut fed = sample.clone();
    for (index, name) in &isolated.feeds {
        let (shape, elements) = at(values, places[*index])
            .map_or(([0].as_slice(), [].as_slice()), |seen| (seen.shape.as_slice(), seen.elements.as_slice()));
        let bytes: Vec<u8> = elements.iter().flat_map(|number| number.to_le_bytes()).collect();
        fed.inputs.push(Tensor::from_bytes(name, DataType::Float, shape, bytes)?);
    }
    Ok(fed)
}
