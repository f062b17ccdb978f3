//! What each source of noise does to the outputs by itself: a value that is rounded, or a layer whose weights are.
//!
//! A source is put into the float model, and what lies [downstream](super::downstream) of it is run. As long as noise is
//! small, what several sources do adds up: a plan's loss is foreseen without running it. Most sources do next to nothing.
//! They are told from the others in groups of neighbours, which are divided where they do much.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use super::{
    downstream::{Downstream, can_be_fed, downstream},
    losses::Losses,
    trial::{Judge, Seen},
};
use crate::{
    analysis::Facts,
    calibration::{Observation, Sample, can_be_watched},
    error::Result,
    ir::{DataType, Model, NewOp, OpId, Tensor, Use, ValueId},
    numeric::QuantizedType,
    passes::{self, QuantizeWeights},
    plan::{Plan, Readers, ValuePlan, WeightPlan, storage_dtype},
};

/// The most elements of a sample's values that are kept: 1 GiB. What is beyond is computed again where it is needed.
const MOST_KEPT: usize = 1 << 28;

/// Into how many groups sources are divided at first.
const GROUPS: usize = 16;

/// What does less than this part of what all do is looked at no further.
pub(super) const LEAST_PART: f64 = 0.005;

/// A source of noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// A value, and what it is rounded with: the bits of the scale, and the zero point.
    Value(ValueId, QuantizedType, u32, i32),
    /// The weights of a layer.
    Weights(OpId),
}

impl Source {
    /// The rounding of a value.
    pub fn of(value: &ValuePlan) -> Self {
        Self::Value(value.value, value.scheme.ty, value.params.scale.to_bits(), value.params.zero_point)
    }
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
    found: HashMap<Source, Losses>,
    /// Runs of the whole model on one sample that all took so far.
    pub runs: f64,
}

impl<'a> Sources<'a> {
    /// Runs the float model on some of the judge's samples.
    ///
    /// # Errors
    /// The engine cannot run it.
    pub fn new(model: &'a Model, judge: &'a Judge<'a>, samples: Vec<usize>) -> Result<Self> {
        let facts = Facts::as_stated(model);
        let is_float = |value: &ValueId| facts.float_dtype(*value) == Some(DataType::Float);
        let inputs = model.scope(Model::MAIN).inputs().iter().map(|input| input.value);
        let inputs: HashSet<ValueId> = inputs.collect();
        let is_known = |value: &ValueId| {
            let computed = model.producer(*value).is_some_and(|op| !model.op(op).is("Constant"));
            computed && !inputs.contains(value) && can_be_watched(model, *value).is_ok() && can_be_fed(model, *value)
        };
        let watched: Vec<ValueId> = model.values().filter(is_float).filter(is_known).collect();
        let observation = Observation::new(model, &watched)?;
        let mut session = judge.engine().load(&observation)?;
        let mut known: HashSet<ValueId> = watched.iter().copied().collect();
        let mut kept = Vec::new();
        for &place in &samples {
            let mut values = HashMap::new();
            let mut elements = 0;
            session.run(&observation.inputs(&judge.samples()[place])?, &mut |observed| {
                for value in observed {
                    elements += value.elements.len();
                    if elements <= MOST_KEPT {
                        values.insert(watched[value.index], Seen::of(value));
                    }
                }
            })?;
            known.retain(|value| values.contains_key(value));
            kept.push(values);
        }
        let runs = kept.len() as f64;
        let operators = model.ops().count().max(1);
        Ok(Self { model, judge, samples, kept, known, operators, found: HashMap::new(), runs })
    }

    /// What is known of a source.
    pub fn loss(&self, source: Source) -> Option<&Losses> {
        self.found.get(&source)
    }

    /// Finds out what each source of a plan does to the first sample, as exactly as is possible in so many runs in all.
    ///
    /// # Errors
    /// The engine cannot run a part of the model.
    pub fn measure(&mut self, plan: &Plan, until: f64) -> Result<()> {
        let sources = self.in_order(plan);
        let mut groups: Vec<(f64, Vec<Source>)> = Vec::new();
        for group in sources.chunks(sources.len().div_ceil(GROUPS).max(1)) {
            groups.push((self.measure_group(plan, group)?, group.to_vec()));
        }
        while self.runs < until {
            let all: f64 = groups.iter().map(|(loss, _)| loss).sum();
            // The one that does most; the first of several.
            let most = (0..groups.len())
                .filter(|&it| groups[it].1.len() > 1 && groups[it].0 > LEAST_PART * all)
                .max_by(|&one, &other| groups[one].0.total_cmp(&groups[other].0).then(other.cmp(&one)));
            let Some((_, group)) = most.map(|most| groups.remove(most)) else { break };
            let (first, second) = group.split_at(group.len() / 2);
            for half in [first, second] {
                groups.push((self.measure_group(plan, half)?, half.to_vec()));
            }
        }
        Ok(())
    }

    /// Finds out what the sources of a plan do of which nothing is known yet, in groups.
    ///
    /// # Errors
    /// As [`measure`](Self::measure).
    pub fn measure_rest(&mut self, plan: &Plan) -> Result<()> {
        let sources = self.in_order(plan);
        let unknown: Vec<Source> = sources.into_iter().filter(|it| !self.found.contains_key(it)).collect();
        for group in unknown.chunks(unknown.len().div_ceil(GROUPS).max(1)) {
            self.measure_group(plan, group)?;
        }
        Ok(())
    }

    /// Measures a source by itself on the first samples, as many as are asked for, as far as that was not done yet.
    ///
    /// # Errors
    /// As [`measure`](Self::measure).
    pub fn measure_alone(&mut self, plan: &Plan, source: Source, samples: usize) -> Result<Losses> {
        let mut losses = self.found.remove(&source).filter(Losses::is_of_one).unwrap_or_default();
        losses.extend(self.run(plan, &[source], losses.samples()..samples.min(self.kept.len()))?);
        self.found.insert(source, losses.clone());
        Ok(losses)
    }

    /// What a plan loses by what was measured, of each output: on the sample on which most is lost.
    pub fn foreseen(&self, plan: &Plan) -> Vec<f64> {
        let mut sum = vec![0.0; self.judge.outputs()];
        for losses in sources_of(plan).filter_map(|source| self.found.get(&source)) {
            sum.iter_mut().zip(losses.of_outputs()).for_each(|(sum, loss)| *sum += loss);
        }
        sum
    }

    /// The sources of a plan in the order of the operators: neighbours have more downstream in common.
    fn in_order(&self, plan: &Plan) -> Vec<Source> {
        let places: HashMap<OpId, usize> = self.model.ops().enumerate().map(|(place, op)| (op, place)).collect();
        let place = |source: &Source| match source {
            Source::Value(value, ..) => self.model.producer(*value).map(|op| places[&op]),
            Source::Weights(op) => Some(places[op]),
        };
        let mut sources: Vec<Source> = sources_of(plan).collect();
        sources.sort_by_key(place);
        sources
    }

    /// What sources do together; each is taken to do an equal part of it.
    fn measure_group(&mut self, plan: &Plan, group: &[Source]) -> Result<f64> {
        let mut losses = Losses::default();
        losses.extend(self.run(plan, group, 0..1)?);
        let loss = losses.first();
        self.found.extend(group.iter().map(|&source| (source, losses.among(group.len()))));
        Ok(loss)
    }

    /// What some sources do together to some samples, of each output.
    fn run(&mut self, plan: &Plan, sources: &[Source], samples: Range<usize>) -> Result<Vec<Vec<f64>>> {
        if samples.is_empty() {
            return Ok(Vec::new());
        }
        let noisy = self.noisy(plan, sources)?;
        let replaced: HashMap<ValueId, ValueId> = noisy.outputs.iter().map(|&(value, it)| (it, value)).collect();
        let part = downstream(noisy.model, &noisy.operators, &self.known);
        self.runs += (samples.len() * part.operators) as f64 / self.operators as f64;
        if part.outputs.is_empty() {
            return Ok(vec![vec![0.0; self.judge.outputs()]; samples.len()]);
        }
        let observation = Observation::new(&part.model, &part.outputs)?;
        let mut session = self.judge.engine().load(&observation)?;
        let mut losses = Vec::new();
        for index in samples {
            let mut outputs: HashMap<ValueId, Seen> = HashMap::new();
            let sample = self.fed(index, &part)?;
            session.run(&observation.inputs(&sample)?, &mut |observed| {
                for it in observed {
                    let output = part.outputs[it.index];
                    outputs.insert(replaced.get(&output).copied().unwrap_or(output), Seen::of(it));
                }
            })?;
            let mut comparison = self.judge.comparison();
            comparison.observe_changed(self.samples[index], self.model, &outputs);
            losses.push(comparison.shares());
        }
        Ok(losses)
    }

    /// A sample for a part of the model.
    fn fed(&self, index: usize, part: &Downstream) -> Result<Sample> {
        let mut sample = self.judge.samples()[self.samples[index]].clone();
        for (value, name) in &part.feeds {
            sample.inputs.push(self.kept[index][value].tensor(name)?);
        }
        Ok(sample)
    }

    /// The float model with some sources of noise in it.
    fn noisy(&self, plan: &Plan, sources: &[Source]) -> Result<Noisy> {
        let mut noisy = Noisy { model: self.model.clone(), operators: Vec::new(), outputs: Vec::new() };
        let layers: HashSet<OpId> = sources
            .iter()
            .filter_map(|source| match source {
                Source::Weights(op) => Some(*op),
                Source::Value(..) => None,
            })
            .collect();
        if !layers.is_empty() {
            let of_layers = |weight: &&WeightPlan| {
                weight.copies.iter().any(|copy| copy.layers.iter().any(|op| layers.contains(op)))
            };
            let weights = plan.weights.iter().filter(of_layers).cloned().collect();
            let plan = Plan { weights, ..Plan::default() };
            passes::run(&mut noisy.model, &[&QuantizeWeights { plan: &plan }])?;
            noisy.operators.extend(layers);
        }
        for &source in sources {
            if let Source::Value(value, ty, scale, zero_point) = source {
                let readers = plan.activations.iter().flat_map(|plan| &plan.values).find(|it| it.value == value);
                let readers = readers.map_or(&Readers::Everyone, |it| &it.readers);
                noisy.round(value, readers, ty, f32::from_bits(scale), zero_point)?;
            }
        }
        Ok(noisy)
    }
}

/// A model with sources of noise in it.
struct Noisy {
    model: Model,
    /// The operators that make the noise.
    operators: Vec<OpId>,
    /// Outputs that are rounded, and what they are then.
    outputs: Vec<(ValueId, ValueId)>,
}

impl Noisy {
    /// Has those that read a value read it rounded.
    fn round(&mut self, value: ValueId, readers: &Readers, ty: QuantizedType, scale: f32, zero: i32) -> Result<()> {
        let Self { model, .. } = self;
        let scope = model.value(value).scope();
        let name = model.value(value).name().to_owned();
        let before = match model.producer(value) {
            Some(maker) => model.op_after(maker),
            None => model.scope(scope).ops().first().copied(),
        };
        let uses: Vec<Use> = match readers {
            Readers::Everyone => model.uses(value),
            Readers::Only(uses) => uses.clone(),
        };
        let tensor = Tensor::from_bytes(&format!("{name}_scale"), DataType::Float, &[], scale.to_le_bytes().to_vec())?;
        let scale = model.new_constant(scope, tensor, None, before);
        let tensor = Tensor::from_bytes(&format!("{name}_zero_point"), storage_dtype(ty), &[], ty.encode(&[zero]))?;
        let zero_point = model.new_constant(scope, tensor, None, before);
        let integers = model.new_value(scope, &format!("{name}_quantized"));
        let rounded = model.new_value(scope, &format!("{name}_rounded"));
        let mut insert = |op_type, name, input, output| {
            let inputs = vec![input, scale, zero_point];
            model.insert_op(scope, before, NewOp { op_type, name, inputs, output, attributes: vec![] })
        };
        let quantize = insert("QuantizeLinear", format!("{name}_quantize"), value, integers);
        let dequantize = insert("DequantizeLinear", format!("{name}_dequantize"), integers, rounded);
        model.move_uses(value, &uses.into_iter().map(|it| (it, rounded)).collect());
        self.operators.extend([quantize, dequantize]);
        let outputs: Vec<ValueId> = self.model.scope(Model::MAIN).outputs().iter().map(|it| it.value).collect();
        if matches!(readers, Readers::Everyone) && outputs.contains(&value) {
            let with: Vec<ValueId> = outputs.into_iter().map(|it| if it == value { rounded } else { it }).collect();
            self.model.set_outputs(Model::MAIN, &with);
            self.outputs.push((value, rounded));
        }
        Ok(())
    }
}

/// The values that have parameters of their own: those that are moved are not rounded again.
pub(super) fn values_of(plan: &Plan) -> impl Iterator<Item = &ValuePlan> {
    let values = plan.activations.iter().flat_map(|plan| &plan.values);
    values.filter(|it| it.parameters_of == it.value)
}

/// The layers that compute in integers.
pub(super) fn layers_of(plan: &Plan) -> impl Iterator<Item = OpId> {
    plan.activations.iter().flat_map(|plan| plan.layers()).map(|it| it.op)
}

/// All that makes noise in a plan.
pub(super) fn sources_of(plan: &Plan) -> impl Iterator<Item = Source> {
    values_of(plan).map(Source::of).chain(layers_of(plan).map(Source::Weights))
}
