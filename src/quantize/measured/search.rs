//! The search for what brings the outputs closer to the float model's: other ranges first, operators in float at last.
//!
//! What each range and each layer does to the outputs is measured [by itself](super::sources). That makes one plan with
//! other ranges, and an order in which operators become float; these plans are written and run, and the best is kept.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::ControlFlow,
};

use super::{
    losses::{Losses, gain_db},
    sources::{LEAST_PART, Source, Sources, layers_of, values_of},
    trial::{Judge, Loss},
};
use crate::{
    calibration::Ranges,
    compare::decibels,
    config::{CalibrationMethod, Config},
    error::{ErrorKind, Result},
    ir::{Model, OpId, ValueId},
    passes::{self, QuantizeActivations, QuantizeWeights, RemoveIdentities},
    plan::{FloatReason, Plan, Planner, ValuePlan},
};

/// What other ranges have to gain together to be kept, in dB beyond what may be chance.
const LEAST_GAIN_DB: f64 = 0.25;

/// What a range has to take off what its value does, in dB beyond what may be chance.
const LEAST_GAIN_OF_RANGE_DB: f64 = 1.5;

/// From here on ranges are good enough, in dB: to look for others would cost more time than it could be worth.
const GOOD_DB: f64 = 45.0;

/// How many runs of the float model one of the quantized model takes, as it is written: an engine that observes runs
/// each pair.
const QUANTIZED_RUN: f64 = 1.5;

/// The most samples that sources of noise are measured on.
const MEASURED_ON: usize = 4;

/// The ranges that are tried.
const METHODS: [CalibrationMethod; 5] = [
    CalibrationMethod::MinMax,
    CalibrationMethod::Mse,
    CalibrationMethod::Percentile(99.999),
    CalibrationMethod::Percentile(99.99),
    CalibrationMethod::Percentile(99.9),
];

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Choices {
    /// Values with a range of their own.
    pub methods: BTreeMap<ValueId, CalibrationMethod>,
    /// Operators that stay float.
    pub float: BTreeSet<OpId>,
}

/// Operators that would have to be float together for a source of noise to be gone.
pub(super) struct Noise {
    /// What the source loses of the outputs: noise over signal and noise.
    pub noise: f64,
    pub operators: Vec<OpId>,
}

/// The search over one model, whose layers have weights of their own.
pub(super) struct Search<'a> {
    model: &'a Model,
    judge: &'a Judge<'a>,
    planner: Planner<'a>,
    choices: Choices,
    /// Runs of the float model on one sample that all may take.
    budget: f64,
    sources: Sources<'a>,
    pub before: Loss,
    pub best: Loss,
    /// Of each sample what share of it is noise by the best plan.
    best_of_each: Vec<f64>,
    plan: Plan,
    trials: usize,
    progress: &'a mut dyn FnMut(usize) -> ControlFlow<()>,
}

impl<'a> Search<'a> {
    /// A search that starts with the plan that the configuration gives.
    ///
    /// # Errors
    /// A tensor cannot be read, or the engine cannot run the quantized model.
    pub fn new(
        model: &'a Model,
        config: &'a Config,
        ranges: &'a Ranges,
        judge: &'a Judge<'a>,
        budget: f64,
        progress: &'a mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Self> {
        let mut planner = Planner::new(model, config, ranges)?;
        let plan = planner.plan()?;
        let (before, of_each) = judge.loss(&written(model, &plan)?)?;
        let samples = MEASURED_ON.min(of_each.len());
        // Where most is lost there is most to be seen, but others are not to lose more for it.
        let mut worst: Vec<usize> = (0..of_each.len()).collect();
        worst.sort_by(|&one, &other| of_each[other].total_cmp(&of_each[one]));
        let spread = (0..samples).map(|index| worst[index * worst.len() / samples]).collect();
        let sources = Sources::new(model, judge, spread)?;
        let choices = Choices::default();
        let mut search = Self {
            model,
            judge,
            planner,
            choices,
            budget,
            sources,
            before,
            best: before,
            best_of_each: of_each,
            plan,
            trials: 0,
            progress,
        };
        search.sources.runs += 2.0 * search.run_of_plan();
        Ok(search)
    }

    /// What was found.
    pub fn found(self) -> Choices {
        self.choices
    }

    /// The layers that compute in integers.
    pub fn layers(&self) -> impl Iterator<Item = OpId> {
        layers_of(&self.plan)
    }

    /// The best plan so far.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Measures what each value and each layer does to the outputs.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn measure(&mut self) -> Result<()> {
        self.sources.measure(&self.plan, 0.6 * self.budget)
    }

    /// Looks for other ranges.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn ranges(&mut self) -> Result<()> {
        if self.best.worst_db >= GOOD_DB {
            return Ok(());
        }
        let others = self.other_ranges()?;
        let plan = self.plan.clone();
        let loss = |value: &ValuePlan| self.sources.loss(Source::of(value)).map_or(0.0, Losses::first);
        let mut values: Vec<(f64, &ValuePlan)> = values_of(&plan).map(|value| (loss(value), value)).collect();
        values.sort_by(|one, other| other.0.total_cmp(&one.0));
        let all: f64 = values.iter().map(|(loss, _)| loss).sum();
        let until = self.budget - self.run_of_plan();
        let mut found: Vec<(f64, ValueId, CalibrationMethod)> = Vec::new();
        for (loss, value) in values {
            let Some(others) = others.get(&value.value) else { continue };
            if self.sources.runs >= until || loss < LEAST_PART * all {
                break;
            }
            self.told()?;
            let losses = self.sources.measure_alone(&plan, Source::of(value), 1)?;
            let mut best: Option<(f64, &ValuePlan, CalibrationMethod)> = None;
            for (method, other) in others {
                let gain_db = self.sources.measure_alone(&plan, Source::of(other), 1)?.gain_db(&losses);
                if best.is_none_or(|best| gain_db > best.0) {
                    best = Some((gain_db, other, *method));
                }
            }
            let Some((_, other, method)) = best.filter(|best| best.0 > LEAST_GAIN_OF_RANGE_DB) else { continue };
            // What is better for one sample has to be for others, too.
            let losses = self.sources.measure_alone(&plan, Source::of(value), MEASURED_ON)?;
            let least = self.sources.measure_alone(&plan, Source::of(other), MEASURED_ON)?;
            if least.gain_db(&losses) > LEAST_GAIN_OF_RANGE_DB {
                found.push((losses.first() - least.first(), value.value, method));
            }
        }
        found.sort_by(|one, other| other.0.total_cmp(&one.0));
        // Where all together are no better, those that gain most may be.
        let counts = BTreeSet::from([found.len(), found.len().div_ceil(4)]);
        for count in counts.into_iter().rev() {
            if count == 0 || self.try_ranges(&found[..count])? {
                break;
            }
        }
        Ok(())
    }

    /// Leaves operators float until the worst output is at least so good: those whose noise costs most, as few as it
    /// takes.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn float_layers(&mut self, bound_db: f64, trials: usize) -> Result<()> {
        let noisiest = self.noisiest();
        let (mut least, mut most) = (0, noisiest.len());
        // What was foreseen is off by so much.
        let mut off_db = self.off_db();
        let start = self.planner.clone();
        let mut reached = self.best.worst_db >= bound_db;
        for _ in 0..trials {
            if least >= most || (reached && self.choices.float.is_empty()) {
                break;
            }
            let foreseen = self.count_for(&start, &noisiest[..most], least, bound_db - off_db)?;
            // Between what was too few and what was more than enough lies what is asked for, whatever was foreseen.
            let count = if reached { foreseen.min((least + 1).midpoint(most)) } else { foreseen };
            let float: BTreeSet<OpId> = operators_of(&noisiest[..count]).collect();
            let mut planner = start.clone();
            float.iter().for_each(|&op| planner.pin(op, FloatReason::Inaccurate));
            let plan = planner.plan()?;
            // Integers begin and end elsewhere now.
            self.sources.measure_rest(&plan)?;
            let (loss, _) = self.try_plan(&plan)?;
            off_db = loss.worst_db - self.foreseen_db(&plan);
            let is_enough = loss.worst_db >= bound_db;
            if is_enough || (!reached && loss.share < self.best.share) {
                (self.planner, self.plan, self.best) = (planner, plan, loss);
                self.choices.float = float;
            }
            reached |= is_enough;
            (least, most) = if is_enough { (least, count - 1) } else { (count, most) };
        }
        Ok(())
    }

    /// How many of the noisiest groups have to be float for so much signal to noise to be foreseen; more than `least`.
    fn count_for(&self, start: &Planner<'a>, groups: &[Noise], least: usize, db: f64) -> Result<usize> {
        let (mut low, mut high) = (least + 1, groups.len());
        while low < high {
            let middle = low.midpoint(high);
            let mut planner = start.clone();
            operators_of(&groups[..middle]).for_each(|op| planner.pin(op, FloatReason::Inaccurate));
            if self.foreseen_db(&planner.plan()?) >= db {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }

    /// What is foreseen of signal to noise of the worst output, in dB, by what was measured of single sources.
    pub fn foreseen_db(&self, plan: &Plan) -> f64 {
        decibels_of(&self.sources.foreseen(plan))
    }

    /// How much more signal to noise the best plan has than was foreseen.
    pub fn off_db(&self) -> f64 {
        self.best.worst_db - self.foreseen_db(&self.plan)
    }

    /// The plan with some operators in float besides.
    ///
    /// # Errors
    /// A tensor cannot be read.
    pub fn with_float(&self, operators: &HashSet<OpId>) -> Result<Plan> {
        let mut planner = self.planner.clone();
        operators.iter().for_each(|&op| planner.pin(op, FloatReason::Inaccurate));
        planner.plan()
    }

    /// What makes noise, that first which makes most for each of the operators that would have to be float for it.
    pub fn noisiest(&self) -> Vec<Noise> {
        let integer: HashSet<OpId> =
            self.plan.activations.iter().flat_map(|plan| plan.integer()).map(|it| it.op).collect();
        let mut groups: Vec<Noise> = Vec::new();
        for value in values_of(&self.plan) {
            let Some(losses) = self.sources.loss(Source::of(value)) else { continue };
            let ops: BTreeSet<OpId> = self.beside(value.value).filter(|op| integer.contains(op)).collect();
            if !ops.is_empty() {
                groups.push(Noise { noise: losses.first(), operators: ops.into_iter().collect() });
            }
        }
        for op in layers_of(&self.plan) {
            if let Some(losses) = self.sources.loss(Source::Weights(op)) {
                groups.push(Noise { noise: losses.first(), operators: vec![op] });
            }
        }
        groups.retain(|group| group.noise > 0.0);
        let worth = |group: &Noise| group.noise / group.operators.len() as f64;
        groups.sort_by(|one, other| worth(other).total_cmp(&worth(one)));
        groups
    }

    /// What makes a value, also what is before a Relu that its QuantizeLinear stands for, and what reads it.
    fn beside(&self, value: ValueId) -> impl Iterator<Item = OpId> {
        let maker = self.model.producer(value);
        let before = maker.and_then(|op| self.model.input(op, 0)).and_then(|input| self.model.producer(input));
        let absorbed = maker.is_some_and(|op| self.model.op(op).is("Relu") || self.model.op(op).is("Clip"));
        let before = before.filter(|_| absorbed);
        maker.into_iter().chain(before).chain(self.model.uses(value).into_iter().map(|it| it.op))
    }

    /// The values that other methods give another range, with what they are quantized with then.
    fn other_ranges(&mut self) -> Result<HashMap<ValueId, Vec<(CalibrationMethod, ValuePlan)>>> {
        // What is made by a rule is kept to.
        let values = values_of(&self.plan).map(|value| value.value);
        let values: Vec<ValueId> = values.filter(|&value| !self.planner.has_chosen(value)).collect();
        let mut found: HashMap<ValueId, Vec<(CalibrationMethod, ValuePlan)>> = HashMap::new();
        let mut seen: HashSet<_> = values_of(&self.plan).map(Source::of).collect();
        for method in METHODS {
            let mut copy = self.planner.clone();
            values.iter().for_each(|&value| copy.choose(value, method));
            let plan = copy.plan()?;
            self.planner.learn(copy);
            for value in values_of(&plan).filter(|value| seen.insert(Source::of(value))) {
                found.entry(value.value).or_default().push((method, value.clone()));
            }
        }
        Ok(found)
    }

    fn try_ranges(&mut self, found: &[(f64, ValueId, CalibrationMethod)]) -> Result<bool> {
        let mut planner = self.planner.clone();
        found.iter().for_each(|&(_, value, method)| planner.choose(value, method));
        let plan = planner.plan()?;
        // What a range would take back to float is not gained by the range.
        if layers_of(&plan).ne(layers_of(&self.plan)) {
            return Ok(false);
        }
        let (loss, of_each) = self.try_plan(&plan)?;
        let gain = gain_db(&of_each, &self.best_of_each);
        let is_better = gain > LEAST_GAIN_DB;
        if is_better {
            self.choices.methods = found.iter().map(|&(_, value, method)| (value, method)).collect();
            (self.planner, self.plan, self.best, self.best_of_each) = (planner, plan, loss, of_each);
        }
        Ok(is_better)
    }

    fn try_plan(&mut self, plan: &Plan) -> Result<(Loss, Vec<f64>)> {
        self.told()?;
        self.sources.runs += self.run_of_plan();
        self.judge.loss(&written(self.model, plan)?)
    }

    /// How many runs of the float model a plan's trial takes.
    fn run_of_plan(&self) -> f64 {
        QUANTIZED_RUN * self.judge.samples().len() as f64
    }

    fn told(&mut self) -> Result<()> {
        self.trials += 1;
        match (self.progress)(self.trials) {
            ControlFlow::Break(()) => Err(ErrorKind::Cancelled { samples: self.trials }.into()),
            ControlFlow::Continue(()) => Ok(()),
        }
    }
}

fn operators_of(groups: &[Noise]) -> impl Iterator<Item = OpId> {
    groups.iter().flat_map(|group| &group.operators).copied()
}

/// Signal to noise of the worst output.
fn decibels_of(losses: &[f64]) -> f64 {
    let worst = losses.iter().copied().fold(0.0, f64::max).min(1.0);
    decibels(1.0 - worst, worst)
}

/// The model as a plan says.
fn written(model: &Model, plan: &Plan) -> Result<Model> {
    let mut model = model.clone();
    let weights = QuantizeWeights { plan };
    passes::run(&mut model, &[&weights])?;
    if let Some(plan) = &plan.activations {
        passes::run(&mut model, &[&QuantizeActivations { plan }, &RemoveIdentities])?;
    }
    Ok(model)
}
