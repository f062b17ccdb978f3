//! The planner: what it found out about a model is kept, so that it can plan again with more operators pinned to
//! float.

use std::collections::HashSet;

use super::{
    ActivationPlan, Decision, FloatReason, ValuePlan, biases,
    parameters::{self, Chosen, Known, Observed},
    placement::Placements,
    region::{IntegerRegion, Refused},
    scheme,
    sizes::Sizes,
    speed::Speed,
};
use crate::{
    calibration::Ranges,
    config::{ActivationType, CalibrationMethod, Config, Preference},
    error::Result,
    findings::Fact,
    ir::{Model, OpId, ValueId},
    numeric::{QuantParams, Scheme},
    plan::{Constants, LeftFloat, Plan, QuantizedCopy, Reason, Site, WeightPlan, sites, storage_dtype, weights},
    targets::{Quirk, costs::Costs},
};

/// The values that have to be observed so that activations can be planned, in the order of the file.
///
/// # Errors
/// The configuration contradicts itself, or a tensor cannot be read.
pub fn watched(model: &Model, config: &Config) -> Result<Vec<ValueId>> {
    let region = IntegerRegion::new(model, &Constants::of(model), config)?;
    Ok(region.quantized().into_iter().map(|value| value.value).collect())
}

/// Plans the quantization of activations, and of weights and biases with them, once.
///
/// # Errors
/// As [`Planner::new`].
pub fn plan_activations(model: &Model, config: &Config, ranges: &Ranges) -> Result<Plan> {
    Planner::new(model, config, ranges)?.plan()
}

/// Plans the quantization of activations, and of weights and biases with them, as often as is asked for.
///
/// The weights are read once, and the range of each value is searched for once: to plan again, with more operators
/// [pinned](Self::pin) to float, takes little time.
///
/// ```
/// # #[cfg(feature = "rten")] {
/// use onnx_quant::{Config, Model, calibrate, calibration::{RtenEngine, Samples, proceed}};
/// use onnx_quant::plan::{FloatReason, Planner};
///
/// let model = Model::load("testdata/kws_dscnn.onnx")?;
/// let config = Config::default();
/// let samples = Samples::open("testdata/calibration/kws_dscnn", &model, None)?;
/// let ranges = calibrate(&model, &config, samples, &RtenEngine, &mut proceed)?;
/// let mut planner = Planner::new(&model, &config, &ranges)?;
/// let layers = |planner: &mut Planner| -> onnx_quant::Result<Vec<_>> {
///     Ok(planner.plan()?.activations.unwrap().layers().map(|layer| layer.op).collect())
/// };
/// let first = layers(&mut planner)?[0];
/// planner.pin(first, FloatReason::Pinned);
/// assert!(!layers(&mut planner)?.contains(&first));
/// # }
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Clone)]
pub struct Planner<'a> {
    model: &'a Model,
    config: &'a Config,
    observed: Observed<'a>,
    region: IntegerRegion<'a>,
    /// Those of all layers that could be integer kernels by structure.
    weights: Plan,
    known: Known,
    /// Values whose range is made by another method than the configuration's.
    chosen: Chosen,
}

impl<'a> Planner<'a> {
    /// A planner that has pinned nothing yet.
    ///
    /// # Errors
    /// As [`plan`](crate::plan::plan).
    pub fn new(model: &'a Model, config: &'a Config, ranges: &'a Ranges) -> Result<Self> {
        config.check()?;
        let constants = Constants::of(model);
        let mut region = IntegerRegion::new(model, &constants, config)?;
        let mut weights = weights::plan_layers(model, &constants, config, &region.layer_ops())?;
        region.without_weights(&weights);
        if config.activations.reduce_range {
            reduce_range(&mut weights);
        }
        let observed = ranges.of_values(model);
        limit(&mut weights, &observed);
        let chosen = chosen_by_rules(model, config, &observed);
        Ok(Self { model, config, observed, region, weights, known: Known::new(), chosen })
    }

    /// Has an operator stay float from the next plan on.
    pub fn pin(&mut self, op: OpId, reason: FloatReason) {
        self.region.pin(op, reason);
    }

    /// Makes the range of a value by this method from the next plan on, whatever the configuration says.
    pub fn choose(&mut self, value: ValueId, method: CalibrationMethod) {
        self.chosen.insert(value, method);
    }

    /// Whether it was said how the range of a value is made.
    pub(crate) fn has_chosen(&self, value: ValueId) -> bool {
        self.chosen.contains_key(&value)
    }

    /// Takes over what a copy has found out since.
    pub fn learn(&mut self, copy: Self) {
        self.known = copy.known;
    }

    /// The plan, with everything that fits together.
    ///
    /// # Errors
    /// A tensor cannot be read.
    pub fn plan(&mut self) -> Result<Plan> {
        let Self { model, config, .. } = *self;
        let scheme = scheme(config);
        let (region, values, speed) = self.placed();
        let layers = region.layer_ops();
        let mut plan = self.weights.clone();
        drop_weights(&mut plan, &layers, model);
        let has_kernels = config.target.computes_with(storage_dtype(scheme.ty));
        let computes = |op: OpId| layers.contains(&op) && has_kernels;
        for copy in plan.weights.iter_mut().flat_map(|weight| &mut weight.copies) {
            sites::only_layers_in_bodies(&mut copy.sites, computes);
        }
        let biases = biases::plan(model, config, &region, &values, &mut plan)?;
        let quantized = values.iter().map(|value| value.value).collect();
        let operators = region.decisions(&quantized);
        let activations = ActivationPlan { operators, values, biases, speed };
        plan.findings.extend(findings(config, scheme, &activations));
        plan.activations = Some(activations);
        Ok(plan)
    }

    /// What computes in integers where everything fits together, and, where times are known, only where that is
    /// faster; with the values that are quantized then.
    fn placed(&mut self) -> (IntegerRegion<'a>, Vec<ValuePlan>, Option<Speed>) {
        let sizes = Sizes::of(self.model, &self.observed);
        loop {
            let all = match self.assigned(&self.region.clone()) {
                Ok(values) => values,
                Err(refused) => {
                    self.region.refuse(refused);
                    continue;
                }
            };
            if !self.times_are_known(&all) {
                return (self.region.clone(), all, None);
            }
            let by = |costs| Placements::of(self.model, &self.region, &sizes, costs);
            let own = self.config.costs.as_deref().unwrap_or(Costs::with_vnni());
            let (placements, without_vnni) = (by(own), by(Costs::without_vnni()));
            let all_integer = placements.given(&self.region.candidates().into_iter().map(|it| it.op).collect());
            let fastest = placements.fastest();
            let placement = match placements.times(&fastest) {
                _ if self.config.prefer == Preference::Size => all_integer,
                times if times.float < LEAST_TIME => all_integer,
                times if times.ratio() > 1.0 - LEAST_GAIN => placements.given(&HashSet::new()),
                _ => fastest,
            };
            let speed = Speed { with_vnni: placements.times(&placement), without_vnni: without_vnni.times(&placement) };
            let mut region = self.region.clone();
            region.keep(&placement.integer);
            match self.assigned(&region) {
                Ok(values) => return (region, values, Some(speed)),
                Err(refused) => self.region.refuse(refused),
            }
        }
    }

    fn assigned(&mut self, region: &IntegerRegion) -> Result<Vec<ValuePlan>, Vec<Refused>> {
        let observed = (&self.observed, &self.chosen);
        parameters::assign(self.model, self.config, region, observed, &mut self.known)
    }

    /// Whether it is known how long kernels take for values like these, and how many elements each of them has. (The
    /// range of one may be somebody else's.)
    fn times_are_known(&self, values: &[ValuePlan]) -> bool {
        let counted = |value: &ValuePlan| {
            value.scheme.ty.bits() == 8 && self.observed.get(&value.value).is_some_and(|it| it.elements() > 0)
        };
        self.config.target.description().measured_times && !values.is_empty() && values.iter().all(counted)
    }
}

/// The values whose ranges rules say how to make.
fn chosen_by_rules(model: &Model, config: &Config, observed: &Observed) -> Chosen {
    let method = |value: ValueId| {
        let maker = model.producer(value).map(|op| model.op(op));
        let of_maker = maker.into_iter().flat_map(|op| [op.name(), op.op_type()]);
        let subjects: Vec<&str> = [model.value(value).name()].into_iter().chain(of_maker).collect();
        config.calibration_of(&subjects)
    };
    observed.keys().filter_map(|&value| Some((value, method(value)?))).collect()
}

/// What integers have to gain of the time of a run: less may be nothing but the error of the estimate.
const LEAST_GAIN: f64 = 0.03;

/// Nanoseconds of a run below which it is the call itself that takes the time: nothing is estimated then, and all
/// that can compute in integers does.
const LEAST_TIME: f64 = 20_000.0;

/// What a user should know of the activations of a plan.
fn findings(config: &Config, scheme: Scheme, plan: &ActivationPlan) -> Vec<Fact> {
    let mut found = Vec::new();
    let target = || config.target.name().to_owned();
    let nothing = plan.integer().next().is_none();
    if !config.target.computes_with(storage_dtype(scheme.ty)) && !plan.values.is_empty() {
        found.push(Fact::NoIntegerKernels { target: target(), activations: config.activations.ty.to_string() });
    }
    let int8 = config.activations.ty == ActivationType::Int8;
    if int8 && config.target.has_quirk(Quirk::Int8OfOneReader) && !nothing {
        found.push(Fact::Int8OfSeveralReaders { target: target() });
    }
    let float = |decision: &Decision| matches!(decision, Decision::FloatLayer(_));
    let could = |decision: &Decision| matches!(decision, Decision::FloatLayer(FloatReason::NoGain));
    let any = |is: &dyn Fn(&Decision) -> bool| plan.operators.iter().any(|operator| is(&operator.decision));
    if nothing && any(&float) && !any(&could) {
        found.push(Fact::NothingInIntegers);
    }
    found
}

/// Weights of layers that turned out to stay float stay float too.
pub(in crate::plan) fn drop_weights(plan: &mut Plan, layers: &HashSet<OpId>, model: &Model) {
    let reads = |weight: &WeightPlan| {
        weight.copies.iter().any(|copy| is_table(copy) || copy.layers.iter().any(|op| layers.contains(op)))
    };
    let (kept, dropped) = std::mem::take(&mut plan.weights).into_iter().partition(reads);
    plan.weights = kept;
    for weight in dropped {
        let weight: WeightPlan = weight;
        let bytes = model.constant(weight.value).map_or(0, |tensor| tensor.byte_len());
        let operators = weight.copies.into_iter().flat_map(|copy| copy.operators).collect();
        plan.left_float.push(LeftFloat {
            value: weight.value,
            name: weight.name,
            operators,
            bytes,
            reason: Reason::FloatOperator,
        });
    }
    plan.left_float.sort_by_key(|left| left.value);
}

/// Gives weights that have a range among those of values the scales of it, whatever their elements are.
fn limit(plan: &mut Plan, observed: &Observed) {
    for weight in &mut plan.weights {
        let Some(range) = observed.get(&weight.value).and_then(|given| given.extremes()) else { continue };
        for copy in &mut weight.copies {
            let params = copy.scheme.parameters(range);
            copy.params = copy.params.iter().map(|_| params).collect();
        }
    }
}

/// Whether rows are picked from a weight: it is quantized for its size.
pub(super) fn is_table(copy: &QuantizedCopy) -> bool {
    copy.sites.iter().any(|site| matches!(site, Site::BehindGather(_)))
}

/// How much wider the steps of 7 bits are than those of 8.
pub(super) const REDUCED: f32 = 127.0 / 63.0;

/// Scales weights to 7 bits: two products of an activation and such a weight fit into 16 bits.
pub(in crate::plan) fn reduce_range(plan: &mut Plan) {
    for copy in plan.weights.iter_mut().flat_map(|weight| &mut weight.copies).filter(|copy| !is_table(copy)) {
        let wider = |params: &QuantParams| QuantParams { scale: params.scale * REDUCED, ..*params };
        copy.params = copy.params.iter().map(wider).collect();
    }
}
