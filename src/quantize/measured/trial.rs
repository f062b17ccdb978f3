//! How far a quantized model's outputs are from the float model's, on samples that were held back to measure with.

use std::collections::HashMap;

use crate::{
    analysis::Facts,
    calibration::{Engine, Observation, ObservedValue, Sample, can_be_watched},
    compare::{Channels, Measure, channel_axis, decibels},
    error::Result,
    ir::{DataType, Model, Tensor, ValueId},
    plan::float_type,
};

/// Samples with what the float model makes of them.
pub(in crate::quantize) struct Judge<'a> {
    engine: &'a dyn Engine,
    samples: &'a [Sample],
    /// The outputs that are compared: their places among the model's.
    places: Vec<usize>,
    /// Of each of them, which sizes are always the same.
    fixed: Vec<Vec<bool>>,
    /// What the float model makes of each sample.
    expected: Vec<Vec<Seen>>,
}

/// What a value held in one run.
#[derive(Debug, Clone, Default)]
pub(in crate::quantize) struct Seen {
    pub shape: Vec<usize>,
    pub elements: Vec<f32>,
}

impl Seen {
    pub fn of(observed: &ObservedValue) -> Self {
        Self { shape: observed.shape.to_vec(), elements: observed.elements.to_vec() }
    }

    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let bytes: Vec<u8> = self.elements.iter().flat_map(|number| number.to_le_bytes()).collect();
        Tensor::from_bytes(name, DataType::Float, &self.shape, bytes)
    }
}

/// How far a model's outputs are from the float model's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::quantize) struct Loss {
    /// The mean over all outputs, and over the channels of each, of noise over signal and noise: from 0 to 1, for each
    /// against its own variance, so that a channel of small numbers counts like one of large ones.
    pub share: f64,
    /// Signal to noise of the worst output, its channels taken together, in dB.
    pub worst_db: f64,
    /// The place of that output among the model's.
    pub worst: usize,
}

impl<'a> Judge<'a> {
    /// Runs the float model. `None` where there is nothing to compare: no sample, or no output of floats.
    ///
    /// # Errors
    /// The engine cannot run the model.
    pub fn new(float: &Model, samples: &'a [Sample], engine: &'a dyn Engine) -> Result<Option<Self>> {
        let facts = Facts::as_stated(float);
        let outputs: Vec<ValueId> = float.scope(Model::MAIN).outputs().iter().map(|output| output.value).collect();
        let compared = |&place: &usize| {
            let value = outputs[place];
            let first = outputs.iter().position(|&other| other == value) == Some(place);
            let is_float = facts.float_dtype(value).is_some_and(|dtype| float_type(dtype).is_some());
            first && is_float && can_be_watched(float, value).is_ok()
        };
        let places: Vec<usize> = (0..outputs.len()).filter(compared).collect();
        if places.is_empty() || samples.is_empty() {
            return Ok(None);
        }
        let is_fixed = |&place: &usize| {
            facts.shape(outputs[place]).map_or_else(Vec::new, |shape| shape.iter().map(Option::is_some).collect())
        };
        let fixed = places.iter().map(is_fixed).collect();
        let mut judge = Self { engine, samples, places, fixed, expected: Vec::new() };
        let mut expected = Vec::new();
        judge.run(float, |_, seen| expected.push(seen))?;
        judge.expected = expected;
        Ok(Some(judge))
    }

    /// The samples.
    pub fn samples(&self) -> &'a [Sample] {
        self.samples
    }

    /// What runs the models.
    pub fn engine(&self) -> &'a dyn Engine {
        self.engine
    }

    /// How many outputs are compared.
    pub fn outputs(&self) -> usize {
        self.places.len()
    }

    /// How far a model is from the float one, and of each sample by itself what share of it is noise.
    ///
    /// # Errors
    /// The engine cannot run the model.
    pub fn loss(&self, model: &Model) -> Result<(Loss, Vec<f64>)> {
        let mut all = self.comparison();
        let mut each = Vec::new();
        self.run(model, |sample, seen| {
            let seen: Vec<&Seen> = seen.iter().collect();
            all.observe(sample, &seen);
            let mut alone = self.comparison();
            alone.observe(sample, &seen);
            each.push(alone.loss().share);
        })?;
        Ok((all.loss(), each))
    }

    /// A comparison with the float model of which nothing is known yet.
    pub fn comparison(&self) -> Comparison<'_, 'a> {
        Comparison { judge: self, tallies: self.places.iter().map(|_| Tally::default()).collect() }
    }

    fn run(&self, model: &Model, mut each: impl FnMut(usize, Vec<Seen>)) -> Result<()> {
        let outputs = model.scope(Model::MAIN).outputs();
        let watched: Vec<ValueId> = self.places.iter().map(|&place| outputs[place].value).collect();
        let observation = Observation::new(model, &watched)?;
        let mut session = self.engine.load(&observation)?;
        for (index, sample) in self.samples.iter().enumerate() {
            let mut seen = vec![Seen::default(); watched.len()];
            session.run(&observation.inputs(sample)?, &mut |observed| {
                for value in observed {
                    seen[value.index] = Seen::of(value);
                }
            })?;
            each(index, seen);
        }
        Ok(())
    }
}

/// The outputs of runs beside the float model's.
pub(in crate::quantize) struct Comparison<'j, 'a> {
    judge: &'j Judge<'a>,
    tallies: Vec<Tally>,
}

impl Comparison<'_, '_> {
    /// Takes the outputs of a run of one sample.
    pub fn observe(&mut self, sample: usize, seen: &[&Seen]) {
        for (output, (tally, seen)) in self.tallies.iter_mut().zip(seen).enumerate() {
            tally.observe(&self.judge.expected[sample][output], seen, &self.judge.fixed[output]);
        }
    }

    /// Takes those outputs of a run of one sample that are not what they were.
    pub fn observe_changed(&mut self, sample: usize, model: &Model, changed: &HashMap<ValueId, Seen>) {
        let outputs = model.scope(Model::MAIN).outputs();
        let expected = &self.judge.expected[sample];
        let places = self.judge.places.iter().zip(expected);
        let seen: Vec<&Seen> =
            places.map(|(&place, as_it_was)| changed.get(&outputs[place].value).unwrap_or(as_it_was)).collect();
        self.observe(sample, &seen);
    }

    /// Of each output noise over signal and noise.
    pub fn shares(&self) -> Vec<f64> {
        self.tallies.iter().map(Tally::share).collect()
    }

    pub fn loss(&self) -> Loss {
        let shares = self.shares();
        let share = shares.iter().sum::<f64>() / shares.len() as f64;
        let worst = (0..shares.len()).max_by(|&a, &b| shares[a].total_cmp(&shares[b])).unwrap_or_default();
        let worst_db = decibels(1.0 - shares[worst], shares[worst]);
        Loss { share, worst_db, worst: self.judge.places[worst] }
    }
}

/// One output over the samples.
#[derive(Default)]
struct Tally {
    measure: Measure,
    channels: Option<Channels>,
    started: bool,
    /// Whether it had another shape than the float model's.
    differs: bool,
}

impl Tally {
    fn observe(&mut self, expected: &Seen, seen: &Seen, fixed: &[bool]) {
        if expected.shape != seen.shape {
            self.differs = true;
            return;
        }
        if !self.started {
            self.started = true;
            let axis = channel_axis(&expected.shape, fixed);
            self.channels = axis.map(|axis| Channels::new(axis, expected.shape[axis]));
        }
        self.measure.observe(&expected.elements, &seen.elements);
        let counted = self.channels.as_mut();
        if counted.is_some_and(|it| !it.observe(&expected.shape, &expected.elements, &seen.elements)) {
            self.channels = None;
        }
    }

    fn share(&self) -> f64 {
        match &self.channels {
            _ if self.differs => 1.0,
            Some(channels) => channels.share(),
            None => self.measure.share(),
        }
    }
}
