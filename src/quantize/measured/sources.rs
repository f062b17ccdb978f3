//! What each source of noise does to the outputs by itself: a value that is rounded, or a layer whose weights are.
//!
//! Noise of one source is made in the float model and run through what lies [downstream](super::downstream) of it. As
//! long as it is small, what several sources do adds up: a plan's loss is foreseen without running it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
};

use super::{
    downstream::{Downstream, can_be_fed, downstream, feed},
    trial::{Judge, Seen},
};
use crate::{
    analysis::Facts,
    calibration::{Observation, can_be_watched},
    compare::{Measure, decibels},
    error::Result,
    ir::{DataType, Model, OpId, Tensor, ValueId},
    numeric::QuantParams,
    passes::{self, QuantizeWeights},
    plan::{Plan, ValuePlan},
};

/// The most elements of a sample's values that are kept: 1 GiB. What is beyond is computed again where it is needed.
const MOST_KEPT: usize = 1 << 28;

/// What a source of noise does to the outputs: noise over signal and noise, of each of the samples that it was measured
/// on so far and of each output.
#[derive(Debug, Clone, Default)]
pub(super) struct Losses(Vec<Vec<f64>>);

impl Losses {
    /// The mean over the outputs, of the sample on which most is lost.
    pub fn first(&self) -> f64 {
        self.each().next().unwrap_or_default()
    }

    /// How much less is lost than by another source: as [`gain_db`].
    pub fn gain_db(&self, other: &Self) -> f64 {
        gain_db(self.each(), other.each())
    }

    /// Of each sample the mean over the outputs.
    fn each(&self) -> impl Iterator<Item = f64> {
        self.0.iter().map(|outputs| mean(outputs))
    }
}

/// How many decibels less is lost of several samples, on the mean: less a standard error, as far as that is known, since
/// it may be chance. Samples differ by orders of magnitude in what they lose; each that loses anything worth mentioning
/// counts the same here.
pub(super) fn gain_db(one: impl Iterator<Item = f64>, other: impl Iterator<Item = f64>) -> f64 {
    let of = |loss: f64| decibels(1.0, loss + NOT_WORTH_MENTIONING);
    let gains: Vec<f64> = one.zip(other).map(|(one, other)| of(one) - of(other)).collect();
    let (mean, count) = (mean(&gains), gains.len() as f64);
    let variance = gains.iter().map(|gain| (gain - mean) * (gain - mean)).sum::<f64>() / (count - 1.0).max(1.0);
    mean - (variance / count.max(1.0)).sqrt()
}

/// Noise over signal of -40 dB.
const NOT_WORTH_MENTIONING: f64 = 1e-4;

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len().max(1) as f64
}

/// A value with what it is quantized with.
pub(super) type Rounding = (ValueId, u32, i32);

/// A value's rounding, as a key.
pub(super) fn rounding(value: &ValuePlan) -> Rounding {
    (value.value, value.params.scale.to_bits(), value.params.zero_point)
}

/// The float model's values, and what was found of sources so far.
pub(super) struct Sources<'a> {
    model: &'a Model,
    judge: &'a Judge<'a>,
    /// The places of the samples among the judge's.
    samples: Vec<usize>,
    /// Of each sample the values.
    kept: Vec<HashMap<ValueId, Seen>>,
    known: HashSet<ValueId>,
    /// How many operators the whole model has.
    operators: usize,
    pub of_values: HashMap<Rounding, Losses>,
    pub of_weights: BTreeMap<OpId, Losses>,
    /// Runs of the whole model on one sample that all took so far.
    pub runs: f64,
}

/// A source that was not measured yet.
enum Source<'p> {
    Value(&'p ValuePlan),
    /// A layer, and what it makes with its weights quantized, of each sample.
    Weights(OpId, ValueId, Vec<Seen>),
}

impl<'a> Sources<'a> {
    /// Runs the float model on some of the judge's samples.
    ///
    /// # Errors
    /// The engine cannot run it.
    pub fn new(model: &'a Model, judge: &'a Judge<'a>, samples: Vec<usize>) -> Result<Self> {
        let facts = Facts::as_stated(model);
        let is_known = |&value: &ValueId| {
            let computed = model.producer(value).is_some_and(|op| !model.op(op).is("Constant"));
            let float = facts.float_dtype(value) == Some(DataType::Float);
            computed && float && can_be_watched(model, value).is_ok() && can_be_fed(model, value)
        };
        let mut watched: Vec<ValueId> = model.values().filter(is_known).collect();
        let inputs = model.scope(Model::MAIN).inputs().iter().map(|input| input.value);
        let inputs: Vec<ValueId> = inputs.filter(|&input| facts.float_dtype(input) == Some(DataType::Float)).collect();
        watched.retain(|value| !inputs.contains(value));
        let mut kept = Vec::new();
        let mut known: HashSet<ValueId> = watched.iter().copied().collect();
        let observation = Observation::new(model, &watched)?;
        let mut session = judge.engine().load(&observation)?;
        for sample in samples.iter().map(|&place| &judge.samples()[place]) {
            let mut values = HashMap::new();
            let mut elements = 0;
            session.run(&observation.inputs(sample)?, &mut |observed| {
                for value in observed {
                    elements += value.elements.len();
                    if elements <= MOST_KEPT {
                        values.insert(watched[value.index], Seen::of(value));
                    }
                }
            })?;
            for &input in &inputs {
                let given = sample.inputs.iter().find(|tensor| tensor.name() == model.value(input).name());
                if let Some(tensor) = given.filter(|tensor| tensor.dtype() == DataType::Float) {
                    let elements = tensor.to_array::<f32>()?.into_raw_vec_and_offset().0;
                    values.insert(input, Seen { shape: tensor.shape(), elements });
                }
            }
            known.retain(|value| values.contains_key(value));
            kept.push(values);
        }
        let runs = kept.len() as f64;
        let operators = model.ops().count().max(1);
        let (of_values, of_weights) = (HashMap::new(), BTreeMap::new());
        Ok(Self { model, judge, samples, kept, known, operators, of_values, of_weights, runs })
    }

    /// Measures what each source in a plan does, the noisiest first, for as long as that takes no more runs in all than
    /// `until`.
    ///
    /// # Errors
    /// The engine cannot run a part of the model.
    pub fn measure(&mut self, plan: &Plan, until: f64) -> Result<()> {
        let mut sources: Vec<(f64, Source)> = Vec::new();
        for value in values_of(plan).filter(|it| self.can_measure(it.value)) {
            let mut measure = Measure::default();
            for kept in self.kept.iter().take(1) {
                let seen = &kept[&value.value];
                measure.observe(&seen.elements, &rounded(seen, value).elements);
            }
            sources.push((measure.share(), Source::Value(value)));
        }
        for (op, output, made) in self.with_quantized_weights(plan)? {
            let mut measure = Measure::default();
            for (kept, made) in self.kept.iter().zip(&made).take(1) {
                measure.observe(&kept[&output].elements, &made.elements);
            }
            sources.push((measure.share(), Source::Weights(op, output, made)));
        }
        sources.sort_by(|one, other| other.0.total_cmp(&one.0));
        for (_, source) in sources {
            if self.runs >= until {
                break;
            }
            match source {
                Source::Value(value) => self.measure_roundings(&[value], 1)?,
                Source::Weights(op, output, made) => {
                    let mut losses = self.losses(output, &[made], 0..1)?;
                    self.of_weights.extend(losses.pop().map(|losses| (op, Losses(losses))));
                }
            }
        }
        Ok(())
    }

    /// Measures what roundings of one value do to the first samples, as many as are asked for, as far as that is not known
    /// yet.
    ///
    /// # Errors
    /// As [`measure`](Self::measure).
    pub fn measure_roundings(&mut self, roundings: &[&ValuePlan], samples: usize) -> Result<()> {
        let samples = samples.min(self.kept.len());
        let known = |sources: &Self, it: &ValuePlan| sources.of_values.get(&rounding(it)).map_or(0, |it| it.0.len());
        let least = roundings.iter().map(|it| known(self, it)).min().unwrap_or(samples);
        for from in least..samples {
            let new: Vec<&ValuePlan> = roundings.iter().copied().filter(|it| known(self, it) == from).collect();
            let Some(value) = new.first().map(|first| first.value).filter(|&value| self.can_measure(value)) else {
                continue;
            };
            // What all lack is measured at once.
            let to = if new.len() == roundings.len() { samples } else { from + 1 };
            let changes: Vec<Vec<Seen>> = new
                .iter()
                .map(|it| self.kept[from..to].iter().map(|kept| rounded(&kept[&value], it)).collect())
                .collect();
            let losses = self.losses(value, &changes, from..to)?;
            for (it, losses) in new.into_iter().zip(losses) {
                self.of_values.entry(rounding(it)).or_default().0.extend(losses);
            }
        }
        Ok(())
    }

    /// What a plan loses by what was measured, of each output: on the sample on which most is lost.
    pub fn foreseen(&self, plan: &Plan) -> Vec<f64> {
        let layers = super::search::layers_of(plan);
        let values = values_of(plan).filter_map(|value| self.of_values.get(&rounding(value)));
        let weights = layers.iter().filter_map(|op| self.of_weights.get(op));
        let mut sum = vec![0.0; self.judge.outputs()];
        for losses in values.chain(weights) {
            let first = losses.0.iter().take(1).flatten();
            sum.iter_mut().zip(first).for_each(|(sum, loss)| *sum += loss);
        }
        sum
    }

    pub fn kept_count(&self) -> usize {
        self.kept.len()
    }
    fn can_measure(&self, value: ValueId) -> bool {
        self.kept.iter().all(|kept| kept.contains_key(&value)) && can_be_fed(self.model, value)
    }

    /// What the outputs lose by each of several changes of a value, which say what it is for each of some samples.
    fn losses(&mut self, value: ValueId, changes: &[Vec<Seen>], samples: Range<usize>) -> Result<Vec<Vec<Vec<f64>>>> {
        let part = downstream(self.model, value, &self.known);
        let runs = changes.len() * samples.len() * part.operators;
        self.runs += runs as f64 / self.operators as f64;
        let observation = Observation::new(&part.model, &part.outputs)?;
        let mut session = match part.outputs.is_empty() {
            true => None,
            false => Some(self.judge.engine().load(&observation)?),
        };
        let mut losses = Vec::new();
        for change in changes {
            let mut of_samples = Vec::new();
            for (index, changed) in samples.clone().zip(change) {
                let mut outputs: HashMap<ValueId, Seen> = HashMap::from([(value, changed.clone())]);
                if let Some(session) = &mut session {
                    let sample = self.fed(index, &part, changed)?;
                    session.run(&observation.inputs(&sample)?, &mut |observed| {
                        outputs.extend(observed.iter().map(|it| (part.outputs[it.index], Seen::of(it))));
                    })?;
                }
                let mut comparison = self.judge.comparison();
                comparison.observe_changed(self.samples[index], self.model, &outputs);
                of_samples.push(comparison.shares());
            }
            losses.push(of_samples);
        }
        Ok(losses)
    }

    /// A sample for what is downstream of a value.
    fn fed(&self, index: usize, part: &Downstream, changed: &Seen) -> Result<crate::calibration::Sample> {
        let mut sample = self.judge.samples()[self.samples[index]].clone();
        for (place, (value, name)) in part.feeds.iter().enumerate() {
            let seen = if place == 0 { changed } else { &self.kept[index][value] };
            sample.inputs.push(seen.tensor(name)?);
        }
        Ok(sample)
    }

    /// What each layer makes of the float model's values with its weights quantized: the layer, its output and that of
    /// each sample. One run shows it of all.
    fn with_quantized_weights(&mut self, plan: &Plan) -> Result<Vec<(OpId, ValueId, Vec<Seen>)>> {
        let mut model = self.model.clone();
        passes::run(&mut model, &[&QuantizeWeights { plan }])?;
        let outputs = |op: &OpId| self.model.outputs(*op).first().copied().flatten().map(|output| (*op, output));
        let layers: Vec<(OpId, ValueId)> = super::search::layers_of(plan)
            .iter()
            .filter_map(outputs)
            .filter(|&(op, output)| self.can_measure(output) && model.contains_op(op))
            .collect();
        let mut known: Vec<ValueId> = self.known.iter().copied().filter(|&value| model.contains_value(value)).collect();
        known.sort();
        let feeds: Vec<(ValueId, String)> = known.into_iter().map(|value| (value, feed(&mut model, value))).collect();
        let watched: Vec<ValueId> = layers.iter().map(|&(_, output)| output).collect();
        let observation = Observation::new(&model, &watched)?;
        let mut session = self.judge.engine().load(&observation)?;
        let mut made: Vec<(OpId, ValueId, Vec<Seen>)> =
            layers.into_iter().map(|(op, output)| (op, output, Vec::new())).collect();
        for (index, kept) in self.kept.iter().enumerate().take(1) {
            let mut sample = self.judge.samples()[self.samples[index]].clone();
            for (value, name) in &feeds {
                sample.inputs.push(kept[value].tensor(name)?);
            }
            session.run(&observation.inputs(&sample)?, &mut |observed| {
                observed.iter().for_each(|it| made[it.index].2.push(Seen::of(it)));
            })?;
        }
        self.runs += 1.0;
        made.retain(|(.., seen)| seen.len() == 1);
        Ok(made)
    }
}

/// The values that have parameters of their own: those that are moved are not rounded again.
pub(super) fn values_of(plan: &Plan) -> impl Iterator<Item = &ValuePlan> {
    let values = plan.activations.iter().flat_map(|plan| &plan.values);
    values.filter(|it| it.parameters_of == it.value)
}

/// A value after QuantizeLinear and DequantizeLinear.
fn rounded(seen: &Seen, value: &ValuePlan) -> Seen {
    let QuantParams { scale, zero_point, .. } = value.params;
    let (least, most) = value.scheme.ty.limits();
    let (low, high) = ((least - zero_point) as f32, (most - zero_point) as f32);
    let round = |x: &f32| (x / scale).round_ties_even().clamp(low, high) * scale;
    Seen { shape: seen.shape.clone(), elements: seen.elements.iter().map(round).collect() }
}

impl Seen {
    fn tensor(&self, name: &str) -> Result<Tensor> {
        let bytes: Vec<u8> = self.elements.iter().flat_map(|number| number.to_le_bytes()).collect();
        Tensor::from_bytes(name, DataType::Float, &self.shape, bytes)
    }
}
