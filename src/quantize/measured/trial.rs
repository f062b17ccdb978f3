//! How far a quantized model's outputs are from the float model's, on samples that its ranges were not made of.

use crate::{
    analysis::Facts,
    calibration::{Engine, Observation, Sample, can_be_watched},
    compare::{Channels, Measure, channel_axis, decibels},
    error::Result,
    ir::{Model, ValueId},
};

/// Samples with what the float model makes of them.
pub(super) struct Judge<'a> {
    engine: &'a dyn Engine,
    samples: &'a [Sample],
    /// The outputs that are compared: their places among the model's.
    places: Vec<usize>,
    /// Of each of them, which sizes are always the same.
    fixed: Vec<Vec<bool>>,
    /// What the float model makes of each sample.
    expected: Vec<Vec<Seen>>,
}

/// An output of one run.
#[derive(Debug, Clone, Default)]
struct Seen {
    shape: Vec<usize>,
    elements: Vec<f32>,
}

/// How far a model's outputs are from the float model's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Loss {
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
            first && facts.float_dtype(value).is_some() && can_be_watched(float, value).is_ok()
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
        judge.run(float, samples.len(), |_, seen| expected.push(seen))?;
        judge.expected = expected;
        Ok(Some(judge))
    }

    /// How many samples there are.
    pub fn samples(&self) -> usize {
        self.samples.len()
    }

    /// How far a model is from the float one, on the first samples, as many as are asked for.
    ///
    /// # Errors
    /// The engine cannot run the model.
    pub fn loss(&self, model: &Model, samples: usize) -> Result<Loss> {
        let mut tallies: Vec<Tally> = self.places.iter().map(|_| Tally::default()).collect();
        self.run(model, samples, |sample, seen| {
            for (output, (tally, seen)) in tallies.iter_mut().zip(&seen).enumerate() {
                tally.observe(&self.expected[sample][output], seen, &self.fixed[output]);
            }
        })?;
        let shares: Vec<f64> = tallies.iter().map(Tally::share).collect();
        let share = shares.iter().sum::<f64>() / shares.len() as f64;
        let worst = (0..shares.len()).max_by(|&a, &b| shares[a].total_cmp(&shares[b])).unwrap_or_default();
        let worst_db = decibels(1.0 - shares[worst], shares[worst]);
        Ok(Loss { share, worst_db, worst: self.places[worst] })
    }

    fn run(&self, model: &Model, samples: usize, mut each: impl FnMut(usize, Vec<Seen>)) -> Result<()> {
        let outputs = model.scope(Model::MAIN).outputs();
        let watched: Vec<ValueId> = self.places.iter().map(|&place| outputs[place].value).collect();
        let observation = Observation::new(model, &watched)?;
        let mut session = self.engine.load(&observation)?;
        for (index, sample) in self.samples.iter().take(samples).enumerate() {
            let mut seen = vec![Seen::default(); watched.len()];
            session.run(&observation.inputs(sample)?, &mut |observed| {
                for value in observed {
                    seen[value.index] = Seen { shape: value.shape.to_vec(), elements: value.elements.to_vec() };
                }
            })?;
            each(index, seen);
        }
        Ok(())
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
