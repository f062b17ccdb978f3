//! The operators that could compute in integers, as far as structure decides: layers, and the operators between
//! them that integers spread through.

mod reach;
mod spread;

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
};

use super::{
    Decision, FloatCause, FloatReason, OperatorPlan, Readers, existing_qdq,
    layers::{Layer, absorbed, is_layer, layer, no_kernel},
    scheme,
};
use crate::{
    config::{ActivationType, Config},
    error::Result,
    ir::{Model, OpId, Use, ValueId},
    operators::Interval,
    plan::{Constants, Plan, Reason, select, weights},
    targets::{Pairs, Quirk, Role, Target},
};

/// The operators that could compute in integers. Layers can be taken back to float, and what they carried falls
/// with them.
#[derive(Clone)]
pub(super) struct IntegerRegion<'a> {
    model: &'a Model,
    target: &'a Target,
    /// Whether a QuantizeLinear makes a Relu before it redundant.
    absorbs: bool,
    layers: BTreeMap<OpId, Layer>,
    float: BTreeMap<OpId, FloatReason>,
    /// Operators without weights that stay float.
    pinned: BTreeMap<OpId, FloatReason>,
    /// Values that cannot be quantized, and why.
    refused: HashMap<ValueId, FloatCause>,
    /// What becomes of the operators between the layers, once somebody asked for it; forgotten with every layer
    /// that is taken back.
    between: OnceCell<Between>,
}

/// What becomes of operators between layers.
#[derive(Clone, Default)]
pub(super) struct Between {
    /// Those that integers pass.
    bridges: BTreeMap<OpId, Bridge>,
    /// Those that could be such by themselves, and why they are not.
    fallen: BTreeMap<OpId, FloatReason>,
}

/// A value that is to be quantized.
#[derive(Debug, Clone)]
pub(super) struct QuantizedValue {
    pub value: ValueId,
    pub readers: Readers,
    /// What it is limited to.
    pub bounds: Interval,
    /// The value it was moved from, with the same parameters.
    pub moved_from: Option<ValueId>,
}

/// An operator without weights that has an integer kernel, so that no conversion is needed around it.
#[derive(Debug, Clone)]
struct Bridge {
    rule: String,
    /// Where it reads them.
    uses: Vec<Use>,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
    bounds: Interval,
    moves: bool,
}

/// An operator that can compute in integers.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub op: OpId,
    /// Where it reads what must be integers then.
    pub reads: Vec<Use>,
    pub inputs: Vec<ValueId>,
    /// What it gives; behind a Relu or Clip that its QuantizeLinear makes redundant.
    pub outputs: Vec<ValueId>,
    pub makes: Makes,
}

/// What an integer kernel makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Makes {
    /// Integers.
    Integers,
    /// Integers where a kernel reads them as such, floats otherwise.
    Either,
    /// Integers that somebody else's QuantizeLinear makes, which is there whatever is planned.
    Nothing,
}

/// A value that cannot be quantized, and why.
pub(super) struct Refused {
    pub value: ValueId,
    pub cause: FloatCause,
}

impl<'a> IntegerRegion<'a> {
    pub fn new(model: &'a Model, constants: &Constants, config: &'a Config) -> Result<Self> {
        let excluded = weights::excluded_layers(model, constants, config);
        // With the zero point in the middle, the integers below it stand for negative numbers.
        let absorbs = !config.activations.symmetric && !scheme(config).ty.is_signed();
        let target = &config.target;
        let mut region = Self {
            model,
            target,
            absorbs,
            layers: BTreeMap::new(),
            float: BTreeMap::new(),
            pinned: BTreeMap::new(),
            refused: HashMap::new(),
            between: OnceCell::new(),
        };
        for op in model.ops() {
            if !is_layer(model, op) {
                if let Some(reason) = select::excluded_operator(model, config, op) {
                    region.pinned.insert(op, reason);
                }
                continue;
            }
            let found = match excluded.get(&op) {
                Some(reason) => Err(FloatReason::Weight(reason.clone())),
                None => layer(model, target, op, absorbs),
            };
            match found {
                Ok(layer) => drop(region.layers.insert(op, layer)),
                Err(reason) => drop(region.float.insert(op, reason)),
            }
        }
        // A layer whose output has to be quantized, with no layer behind it.
        let leading = reach::leading_to_layers(model);
        let is_final =
            |layer: &&Layer| layer.to_integers && !layer.made_as_integers && !leading.contains(&layer.output);
        let rounds_outputs = matches!(target.writes().pairs, Pairs::EveryOutput | Pairs::Everywhere);
        let last: Vec<OpId> = match rounds_outputs {
            true => Vec::new(),
            false => region.layers.values().filter(is_final).map(|layer| layer.op).collect(),
        };
        for op in last {
            region.take_back(op, FloatReason::Final);
        }
        for (op, obstacle) in reach::near_obstacles(model, target) {
            if region.layers.contains_key(&op) {
                region.take_back(op, FloatReason::Near { operator: model.op(obstacle).describe() });
            }
        }
        if config.activations.ty == ActivationType::Int8 && target.has_quirk(Quirk::Int8Moved) {
            for (op, add) in reach::before_vectors(model) {
                if region.layers.contains_key(&op) {
                    region.take_back(op, FloatReason::Near { operator: model.op(add).describe() });
                }
            }
        }
        for (op, pair) in reach::dequantized_around(model, region.layers.values()) {
            region.take_back(op, FloatReason::Around { operator: model.op(pair).describe() });
        }
        for op in reach::before_logarithms(model) {
            if region.layers.contains_key(&op) {
                region.take_back(op, FloatReason::Logarithm);
            }
        }
        Ok(region)
    }

    pub fn layer_ops(&self) -> HashSet<OpId> {
        self.layers.keys().copied().collect()
    }

    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.values()
    }

    /// Layers whose weight is not among the planned ones stay float.
    pub fn without_weights(&mut self, plan: &Plan) {
        let planned: HashSet<OpId> = plan
            .weights
            .iter()
            .flat_map(|weight| &weight.copies)
            .flat_map(|copy| copy.layers.iter().copied())
            .collect();
        let missing: Vec<(OpId, ValueId)> = self
            .layers
            .values()
            .filter(|layer| !planned.contains(&layer.op) && layer.given_scales.is_none())
            .filter_map(|layer| Some((layer.op, self.model.input(layer.weight.op, layer.weight.slot)?)))
            .collect();
        let left_float: HashMap<ValueId, &Reason> =
            plan.left_float.iter().map(|left| (left.value, &left.reason)).collect();
        for (op, weight) in missing {
            let left = left_float.get(&weight);
            let reason =
                left.map_or(Reason::NoRule { operator: self.model.op(op).describe() }, |&reason| reason.clone());
            let reason = FloatReason::Weight(reason);
            self.take_back(op, reason);
        }
    }

    /// Takes a layer back to float, for a reason.
    fn take_back(&mut self, op: OpId, reason: FloatReason) {
        self.between.take();
        self.layers.remove(&op);
        self.float.insert(op, reason);
    }

    /// Has an operator stay float, whatever is around it.
    pub fn pin(&mut self, op: OpId, reason: FloatReason) {
        if self.layers.contains_key(&op) {
            self.take_back(op, reason);
        } else if !is_layer(self.model, op) {
            self.between.take();
            self.pinned.insert(op, reason);
        }
    }

    /// Takes back to float what needs values that cannot be quantized.
    pub fn refuse(&mut self, refused: Vec<Refused>) {
        self.between.take();
        let mut around: HashMap<ValueId, Vec<OpId>> = HashMap::new();
        for layer in self.layers.values() {
            let input = self.model.input(layer.input.op, layer.input.slot);
            for value in input.into_iter().chain(layer.to_integers.then_some(layer.output)) {
                around.entry(value).or_default().push(layer.op);
            }
        }
        for Refused { value, cause } in refused {
            self.refused.insert(value, cause);
            let name = self.model.value(value).name().to_owned();
            for op in around.remove(&value).unwrap_or_default() {
                // Between two such values, a layer is taken back for the first.
                if self.layers.contains_key(&op) {
                    self.take_back(op, FloatReason::Value { value: name.clone(), cause });
                }
            }
        }
    }

    /// What can compute in integers, or stay float by itself.
    pub fn candidates(&self) -> Vec<Candidate> {
        let input = |use_: &Use| self.model.input(use_.op, use_.slot);
        let layers = self.layers.values().map(|layer| Candidate {
            op: layer.op,
            reads: vec![layer.input],
            inputs: input(&layer.input).into_iter().collect(),
            outputs: vec![layer.output],
            makes: match () {
                () if layer.made_as_integers => Makes::Nothing,
                () if layer.to_integers || self.target.writes().pairs != Pairs::AsNeeded => Makes::Integers,
                () => Makes::Either,
            },
        });
        let bridges = self.bridges().iter().map(|(&op, bridge)| Candidate {
            op,
            reads: bridge.uses.clone(),
            inputs: bridge.inputs.clone(),
            outputs: bridge.outputs.clone(),
            makes: Makes::Integers,
        });
        layers.chain(bridges).collect()
    }

    /// Leaves all float but these candidates, because integers gain nothing there.
    pub fn keep(&mut self, integer: &HashSet<OpId>) {
        let between = self.between().clone();
        let left: Vec<OpId> = self.layers.keys().copied().filter(|op| !integer.contains(op)).collect();
        for op in left {
            self.take_back(op, FloatReason::NoGain);
        }
        let Between { bridges, mut fallen } = between;
        let (kept, left): (BTreeMap<_, _>, BTreeMap<_, _>) =
            bridges.into_iter().partition(|(op, _)| integer.contains(op));
        fallen.extend(left.into_keys().map(|op| (op, FloatReason::NoGain)));
        self.between = OnceCell::from(Between { bridges: kept, fallen });
    }

    /// Operators between layers that integers pass: each reads nothing but integers, and makes what is
    /// wanted as integers.
    fn bridges(&self) -> &BTreeMap<OpId, Bridge> {
        &self.between().bridges
    }

    fn between(&self) -> &Between {
        self.between.get_or_init(|| {
            let pairs = self.target.writes().pairs;
            if pairs == Pairs::Inputs || self.layers.is_empty() && pairs != Pairs::Everywhere {
                return Between::default();
            }
            let possible = self.model.ops().filter_map(|op| Some((op, self.bridge(op).ok()?))).collect();
            if pairs == Pairs::Everywhere {
                return Between { bridges: possible, fallen: BTreeMap::new() };
            }
            let read: HashSet<ValueId> = self.read_by_layers().collect();
            let made = self.layers.values().filter(|layer| !layer.made_as_integers).map(|layer| layer.output);
            // What a layer reads is there as integers too, wherever it is from.
            let integers: HashSet<ValueId> = read.iter().copied().chain(made).collect();
            let given = |value| integers.contains(&value) || existing_qdq::activation(self.model, value).is_some();
            spread::spread(self.model, possible, given, &read)
        })
    }

    /// What an operator needs so that integers pass it, or why they cannot, whatever is around it.
    fn bridge(&self, op: OpId) -> Result<Bridge, FloatReason> {
        let model = self.model;
        if let Some(reason) = self.pinned.get(&op) {
            return Err(reason.clone());
        }
        let kernel = self.target.kernel(model, op).filter(|kernel| kernel.role != Role::Layer);
        let kernel = kernel.ok_or_else(|| no_kernel(model, self.target, op))?;
        let listed = model.inputs(op);
        let uses = kernel.data_inputs(model, op);
        let inputs: Vec<ValueId> = uses.iter().filter_map(|use_| listed[use_.slot]).collect();
        let name = |value: ValueId| model.value(value).name().to_owned();
        if let Some(&constant) = inputs.iter().find(|&&input| model.constant(input).is_some()) {
            return Err(FloatReason::ConstantOperand { value: name(constant) });
        }
        let mut outputs: Vec<ValueId> = model.outputs(op).into_iter().flatten().collect();
        let mut bounds = Interval::ALL;
        if kernel.role == Role::Requantizes {
            let &[output] = outputs.as_slice() else {
                return Err(FloatReason::Unsupported { what: "several outputs".to_owned() });
            };
            if let Some((clamped, limits)) = absorbed(model, op, output).filter(|_| self.absorbs) {
                (outputs, bounds) = (vec![clamped], limits);
            }
        }
        if inputs.is_empty() || outputs.is_empty() {
            return Err(FloatReason::Unsupported { what: "missing input or output".to_owned() });
        }
        let around = inputs.iter().chain(&outputs);
        if let Some((&value, &cause)) = around.into_iter().find_map(|value| self.refused.get_key_value(value)) {
            return Err(FloatReason::Value { value: name(value), cause });
        }
        Ok(Bridge { rule: kernel.rule, uses, inputs, outputs, bounds, moves: kernel.role == Role::KeepsScale })
    }

    /// Values that are read as integers.
    fn wanted(&self, bridges: &BTreeMap<OpId, Bridge>) -> HashSet<ValueId> {
        let of_passages = bridges.values().flat_map(|bridge| bridge.inputs.iter().copied());
        self.read_by_layers().chain(of_passages).collect()
    }

    fn read_by_layers(&self) -> impl Iterator<Item = ValueId> {
        self.layers.values().filter_map(|layer| self.model.input(layer.input.op, layer.input.slot))
    }

    /// Values that are made as integers.
    fn integers(&self, bridges: &BTreeMap<OpId, Bridge>, wanted: &HashSet<ValueId>) -> HashSet<ValueId> {
        let pairs = self.target.writes().pairs;
        let makes = |layer: &&Layer| match pairs {
            Pairs::Inputs => false,
            Pairs::EveryOutput | Pairs::Everywhere => true,
            Pairs::AsNeeded => layer.to_integers || wanted.contains(&layer.output),
        };
        let of_layers = self.layers.values().filter(makes).filter(|layer| !layer.made_as_integers);
        let of_passages = bridges.values().flat_map(|bridge| bridge.outputs.iter().copied());
        let given = wanted.iter().copied().filter(|&value| existing_qdq::activation(self.model, value).is_some());
        of_layers.map(|layer| layer.output).chain(of_passages).chain(given).collect()
    }

    /// The values that are quantized, in the order of the file.
    pub fn quantized(&self) -> Vec<QuantizedValue> {
        let model = self.model;
        let bridges = self.bridges();
        let wanted = self.wanted(bridges);
        let integers = self.integers(bridges, &wanted);
        let mut values = BTreeMap::new();
        let is_given = |value: &ValueId| existing_qdq::activation(model, *value).is_some();
        for &value in integers.iter().filter(|value| !is_given(value)) {
            let quantized =
                QuantizedValue { value, readers: Readers::Everyone, bounds: Interval::ALL, moved_from: None };
            values.insert(value, quantized);
        }
        let mut readers: HashMap<ValueId, BTreeSet<Use>> = HashMap::new();
        for layer in self.layers.values() {
            if let Some(input) = model.input(layer.input.op, layer.input.slot) {
                readers.entry(input).or_default().insert(layer.input);
            }
            if let Some(made) = values.get_mut(&layer.output) {
                made.bounds = layer.bounds;
            }
        }
        for (&op, bridge) in bridges {
            let inputs = model.inputs(op);
            for &use_ in &bridge.uses {
                if let Some(input) = inputs[use_.slot] {
                    readers.entry(input).or_default().insert(use_);
                }
            }
            for output in &bridge.outputs {
                if let Some(made) = values.get_mut(output) {
                    made.bounds = bridge.bounds;
                    made.moved_from = Some(bridge.inputs[0]).filter(|_| bridge.moves);
                }
            }
        }
        for (value, uses) in readers.into_iter().filter(|(value, _)| !is_given(value)) {
            values.entry(value).or_insert_with(|| QuantizedValue {
                value,
                readers: Readers::Only(uses.into_iter().collect()),
                bounds: Interval::ALL,
                moved_from: None,
            });
        }
        values.into_values().collect()
    }

    /// What becomes of every layer, of every operator that integers pass, and of every other one that stands where
    /// integers end: next to one of the values that are quantized. In the order of the file.
    pub fn decisions(&self, quantized: &HashSet<ValueId>) -> Vec<OperatorPlan> {
        let model = self.model;
        let between = self.between();
        // A Relu or Clip whose work the QuantizeLinear of a kernel does is part of that.
        let of_layers = self.layers.values().map(|layer| layer.output);
        let of_kernels: HashSet<ValueId> =
            of_layers.chain(between.bridges.values().flat_map(|bridge| bridge.outputs.iter().copied())).collect();
        let is_absorbed =
            |op: OpId| model.outputs(op).first().copied().flatten().is_some_and(|made| of_kernels.contains(&made));
        let beside = |op: OpId| {
            let around = model.inputs(op).into_iter().chain(model.outputs(op));
            around.flatten().any(|value| quantized.contains(&value))
        };
        let decision = |op: OpId| {
            if let Some(layer) = self.layers.get(&op) {
                return Some(Decision::Layer { rule: layer.rule.clone() });
            }
            if let Some(bridge) = between.bridges.get(&op) {
                return Some(Decision::Bridge { rule: bridge.rule.clone() });
            }
            if let Some(reason) = self.float.get(&op) {
                return Some(Decision::FloatLayer(reason.clone()));
            }
            if !beside(op) || computes_no_numbers(model, op) || is_absorbed(op) {
                return None;
            }
            let fallen = || between.fallen.get(&op).cloned();
            Some(Decision::Float(self.bridge(op).err().or_else(fallen).unwrap_or(FloatReason::NotWanted)))
        };
        let plan = |op: OpId| {
            let path = model.scope_path(model.op(op).scope());
            Some(OperatorPlan { op, operator: model.op(op).describe(), path, decision: decision(op)? })
        };
        model.ops().filter_map(plan).collect()
    }
}

/// What only tells a shape, or converts what is quantized already, or hands numbers to bodies and functions.
fn computes_no_numbers(model: &Model, op: OpId) -> bool {
    let operator = model.op(op);
    let no_numbers = matches!(operator.op_type(), "Shape" | "Size" | "QuantizeLinear" | "DequantizeLinear");
    no_numbers || !operator.bodies().is_empty() || model.called_function(op).is_some()
}
