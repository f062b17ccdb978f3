//! The search for what brings the outputs closer to the float model's: other ranges first, operators in float at last.
//!
//! Each trial is a model written as the plan says and run; it is kept where the outputs come closer by more than
//! [`LEAST_GAIN`]. Ranges are tried for all values together, then for the first and the second half of them in the order
//! of the file, then for quarters, and so on to single values, for as long as the budget lasts: errors of neighbours
//! have the same cause more often than not.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use super::trial::{Judge, Loss};
use crate::{
    calibration::Ranges,
    config::{CalibrationMethod, Config},
    error::{ErrorKind, Result},
    ir::{Model, OpId, ValueId},
    passes::{self, QuantizeActivations, QuantizeWeights, RemoveIdentities},
    plan::{Decision, FloatReason, Plan, Planner},
};

/// What a trial has to take off the loss to be kept: less may be chance, of so few samples.
const LEAST_GAIN: f64 = 0.02;

/// Samples that trials are run on; the rest only tells in the end how good the plan is.
const TRIED: usize = 4;

/// From here on ranges are good enough, in dB: a trial would cost more time than it could be worth.
const GOOD_DB: f64 = 45.0;

/// The ranges that are tried.
const METHODS: [CalibrationMethod; 4] = [
    CalibrationMethod::MinMax,
    CalibrationMethod::Mse,
    CalibrationMethod::Percentile(99.99),
    CalibrationMethod::Percentile(99.9),
];

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Choices {
    /// Values with a range of their own.
    pub methods: BTreeMap<ValueId, CalibrationMethod>,
    /// Layers that stay float.
    pub float: BTreeSet<OpId>,
}

/// The search over one model, whose layers have weights of their own.
pub(super) struct Search<'a> {
    model: &'a Model,
    judge: &'a Judge<'a>,
    planner: Planner<'a>,
    choices: Choices,
    /// How many runs of a sample are left.
    budget: usize,
    best: Loss,
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
        budget: usize,
        progress: &'a mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Self> {
        let mut planner = Planner::new(model, config, ranges)?;
        let plan = planner.plan()?;
        let best = judge.loss(&written(model, &plan)?, TRIED)?;
        let values: Vec<ValueId> = values_of(&plan);
        for method in METHODS {
            let mut copy = planner.clone();
            values.iter().for_each(|&value| copy.choose(value, method));
            copy.plan()?;
            planner.learn(copy);
        }
        Ok(Self { model, judge, planner, choices: Choices::default(), budget, best, plan, trials: 0, progress })
    }

    /// What was found.
    pub fn found(self) -> Choices {
        self.choices
    }

    /// The loss on all samples.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn verified(&self) -> Result<Loss> {
        self.judge.loss(&written(self.model, &self.plan)?, self.judge.samples())
    }

    /// Tries other ranges.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn ranges(&mut self) -> Result<()> {
        let mut parts = vec![values_of(&self.plan)];
        while !parts.is_empty() {
            let mut next = Vec::new();
            for part in parts {
                for method in METHODS {
                    if self.best.worst_db >= GOOD_DB || !self.can_try() {
                        return Ok(());
                    }
                    self.try_range(&part, method)?;
                }
                if part.len() > 1 {
                    let (first, second) = part.split_at(part.len() / 2);
                    next.extend([first.to_vec(), second.to_vec()]);
                }
            }
            parts = next;
        }
        Ok(())
    }

    /// Leaves layers float until the worst output is at least so good on the samples of the trials: those that gain
    /// most. They are found as ranges are, from large parts of the graph to single layers.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn float_layers(&mut self, bound_db: f64) -> Result<()> {
        let layers: Vec<OpId> = self.layers();
        let mut parts: Vec<(f64, Vec<OpId>)> = Vec::new();
        for part in layers.chunks(layers.len().div_ceil(PARTS).max(1)) {
            if self.best.worst_db >= bound_db || !self.can_try() {
                return Ok(());
            }
            let gain = self.gain(part)?;
            parts.push((gain, part.to_vec()));
        }
        while self.best.worst_db < bound_db && self.can_try() {
            // The most gain a layer; the first of several.
            let worth = |part: &(f64, Vec<OpId>)| part.0 / part.1.len() as f64;
            let most = (0..parts.len()).max_by(|&a, &b| worth(&parts[a]).total_cmp(&worth(&parts[b])).then(b.cmp(&a)));
            let Some((_, part)) = most.map(|most| parts.remove(most)).filter(|part| part.0 > 0.0) else { break };
            if let [layer] = part[..] {
                let (planner, plan, loss) = self.without(&[layer])?;
                if loss.share < self.best.share {
                    (self.planner, self.plan, self.best) = (planner, plan, loss);
                    self.choices.float.insert(layer);
                }
                continue;
            }
            let (first, second) = part.split_at(part.len() / 2);
            for half in [first, second] {
                parts.push((self.gain(half)?, half.to_vec()));
            }
        }
        Ok(())
    }

    fn can_try(&self) -> bool {
        self.budget >= self.tried()
    }

    /// How many samples a trial takes.
    fn tried(&self) -> usize {
        self.judge.samples().min(TRIED)
    }

    /// The layers that compute in integers.
    pub fn layers(&self) -> Vec<OpId> {
        let operators = self.plan.activations.iter().flat_map(|plan| &plan.operators);
        operators.filter(|it| matches!(it.decision, Decision::Layer { .. })).map(|it| it.op).collect()
    }

    fn try_range(&mut self, values: &[ValueId], method: CalibrationMethod) -> Result<()> {
        let mut planner = self.planner.clone();
        values.iter().for_each(|&value| planner.choose(value, method));
        let plan = planner.plan()?;
        let is_other = parameters(&plan) != parameters(&self.plan);
        // What a range would take back to float is not gained by the range.
        if !is_other || layers_of(&plan) != layers_of(&self.plan) {
            return Ok(());
        }
        let loss = self.try_plan(&plan)?;
        if loss.share < self.best.share * (1.0 - LEAST_GAIN) {
            self.choices.methods.extend(values.iter().map(|&value| (value, method)));
            (self.planner, self.plan, self.best) = (planner, plan, loss);
        }
        Ok(())
    }

    /// How much less the loss is without some layers.
    fn gain(&mut self, layers: &[OpId]) -> Result<f64> {
        Ok(self.best.share - self.without(layers)?.2.share)
    }

    fn without(&mut self, layers: &[OpId]) -> Result<(Planner<'a>, Plan, Loss)> {
        let mut planner = self.planner.clone();
        layers.iter().for_each(|&layer| planner.pin(layer, FloatReason::Inaccurate));
        let plan = planner.plan()?;
        let loss = self.try_plan(&plan)?;
        Ok((planner, plan, loss))
    }

    fn try_plan(&mut self, plan: &Plan) -> Result<Loss> {
        self.budget = self.budget.saturating_sub(self.tried());
        self.trials += 1;
        if (self.progress)(self.trials).is_break() {
            return Err(ErrorKind::Cancelled { samples: self.trials }.into());
        }
        self.judge.loss(&written(self.model, plan)?, TRIED)
    }
}

/// Into how many parts the layers are split at first.
const PARTS: usize = 8;

/// The values that have a range, not that of another value.
fn values_of(plan: &Plan) -> Vec<ValueId> {
    let values = plan.activations.iter().flat_map(|plan| &plan.values);
    values.filter(|it| it.parameters_of == it.value).map(|it| it.value).collect()
}

/// What every value is quantized with.
fn parameters(plan: &Plan) -> Vec<(ValueId, u32, i32)> {
    let values = plan.activations.iter().flat_map(|plan| &plan.values);
    values.map(|it| (it.value, it.params.scale.to_bits(), it.params.zero_point)).collect()
}

fn layers_of(plan: &Plan) -> usize {
    plan.activations.iter().map(|plan| plan.layers().count()).sum()
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
