//! What becomes integer, as far as structure decides: layers, and the operators between them that
//! integers spread through.

mod reach;
mod spread;

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
};

use super::{
    FloatCause, FloatLayer, FloatReason, IntegerOperator, Readers, given,
    layers::{Layer, absorbed, is_layer, layer},
    scheme,
};
use crate::{
    config::Config,
    error::Result,
    ir::{Model, OpId, Use, ValueId},
    operators::Interval,
    plan::{Plan, Reason, weights},
    targets::onnxruntime::{Kernel, absorbs_relu, data_inputs, kernel},
};

/// Layers and what surrounds them; layers can be taken back to float.
pub(super) struct Draft<'a> {
    model: &'a Model,
    /// Whether a QuantizeLinear makes a Relu before it redundant.
    absorbs: bool,
    layers: BTreeMap<OpId, Layer>,
    float: BTreeMap<OpId, FloatReason>,
    /// Values that cannot be quantized.
    refused: HashSet<ValueId>,
    /// Operators between the layers that integers pass, once somebody asked for them; forgotten with every
    /// layer that is taken back.
    passages: OnceCell<BTreeMap<OpId, Passage>>,
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

/// An operator between layers that integers pass.
#[derive(Debug, Clone)]
struct Passage {
    /// Where it reads them.
    uses: Vec<Use>,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
    bounds: Interval,
    moves: bool,
}

/// A value that cannot be quantized, and why.
pub(super) struct Refused {
    pub value: ValueId,
    pub cause: FloatCause,
}

impl<'a> Draft<'a> {
    pub fn new(model: &'a Model, config: &Config) -> Result<Self> {
        let excluded = weights::excluded_layers(model, config);
        // With the zero point in the middle, the integers below it stand for negative numbers.
        let absorbs = !config.activations.symmetric && absorbs_relu(scheme(config).ty);
        let mut draft = Self {
            model,
            absorbs,
            layers: BTreeMap::new(),
            float: BTreeMap::new(),
            refused: HashSet::new(),
            passages: OnceCell::new(),
        };
        for op in model.ops() {
            if !is_layer(model, op) {
                continue;
            }
            let found = match excluded.get(&op) {
                Some(reason) => Err(FloatReason::Weight(reason.clone())),
                None => layer(model, op, absorbs),
            };
            match found {
                Ok(layer) => drop(draft.layers.insert(op, layer)),
                Err(reason) => drop(draft.float.insert(op, reason)),
            }
        }
        // A layer whose output has to be quantized, with no layer behind it.
        let leading = reach::leading_to_layers(model);
        let is_final =
            |layer: &&Layer| layer.to_integers && !layer.made_as_integers && !leading.contains(&layer.output);
        let last: Vec<OpId> = draft.layers.values().filter(is_final).map(|layer| layer.op).collect();
        for op in last {
            draft.take_back(op, FloatReason::Final);
        }
        for (op, obstacle) in reach::near_obstacles(model) {
            if draft.layers.contains_key(&op) {
                draft.take_back(op, FloatReason::Near { operator: model.op(obstacle).describe() });
            }
        }
        for op in reach::before_logarithms(model) {
            if draft.layers.contains_key(&op) {
                draft.take_back(op, FloatReason::Logarithm);
            }
        }
        Ok(draft)
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

    fn take_back(&mut self, op: OpId, reason: FloatReason) {
        self.passages.take();
        self.layers.remove(&op);
        self.float.insert(op, reason);
    }

    /// Takes back to float what needs values that cannot be quantized.
    pub fn refuse(&mut self, refused: Vec<Refused>) {
        self.passages.take();
        let mut around: HashMap<ValueId, Vec<OpId>> = HashMap::new();
        for layer in self.layers.values() {
            let input = self.model.input(layer.input.op, layer.input.slot);
            for value in input.into_iter().chain(layer.to_integers.then_some(layer.output)) {
                around.entry(value).or_default().push(layer.op);
            }
        }
        for Refused { value, cause } in refused {
            self.refused.insert(value);
            let name = self.model.value(value).name().to_owned();
            for op in around.remove(&value).unwrap_or_default() {
                // Between two such values, a layer is taken back for the first.
                if self.layers.contains_key(&op) {
                    self.take_back(op, FloatReason::Value { value: name.clone(), cause });
                }
            }
        }
    }

    /// Operators between layers that integers pass: each reads nothing but integers, and makes what is
    /// wanted as integers.
    fn passages(&self) -> &BTreeMap<OpId, Passage> {
        self.passages.get_or_init(|| {
            if self.layers.is_empty() {
                return BTreeMap::new();
            }
            let possible = self.model.ops().filter_map(|op| Some((op, self.passage(op)?))).collect();
            let read: HashSet<ValueId> = self.read_by_layers().collect();
            let made = self.layers.values().filter(|layer| !layer.made_as_integers).map(|layer| layer.output);
            // What a layer reads is there as integers too, wherever it is from.
            let integers: HashSet<ValueId> = read.iter().copied().chain(made).collect();
            let given = |value| integers.contains(&value) || given::activation(self.model, value).is_some();
            spread::spread(possible, given, &read)
        })
    }

    fn passage(&self, op: OpId) -> Option<Passage> {
        let model = self.model;
        let kernel = kernel(model, op).filter(|kernel| matches!(kernel, Kernel::Computes | Kernel::Moves))?;
        let inputs = data_inputs(model, op);
        let data: HashSet<ValueId> = inputs.iter().copied().collect();
        if inputs.is_empty()
            || inputs.iter().any(|input| self.refused.contains(input) || model.constant(*input).is_some())
        {
            return None;
        }
        let mut outputs: Vec<ValueId> = model.outputs(op).into_iter().flatten().collect();
        let mut bounds = Interval::ALL;
        if kernel == Kernel::Computes {
            let &[output] = outputs.as_slice() else { return None };
            if let Some((clamped, limits)) = absorbed(model, op, output).filter(|_| self.absorbs) {
                (outputs, bounds) = (vec![clamped], limits);
            }
        }
        let refused = outputs.is_empty() || outputs.iter().any(|output| self.refused.contains(output));
        let read = model.inputs(op).into_iter().enumerate();
        let read = read.filter(|(_, input)| input.is_some_and(|input| data.contains(&input)));
        let uses = read.map(|(slot, _)| Use { op, slot }).collect();
        (!refused).then_some(Passage { uses, inputs, outputs, bounds, moves: kernel == Kernel::Moves })
    }

    /// Values that are read as integers.
    fn wanted(&self, passages: &BTreeMap<OpId, Passage>) -> HashSet<ValueId> {
        let of_passages = passages.values().flat_map(|passage| passage.inputs.iter().copied());
        self.read_by_layers().chain(of_passages).collect()
    }

    fn read_by_layers(&self) -> impl Iterator<Item = ValueId> {
        self.layers.values().filter_map(|layer| self.model.input(layer.input.op, layer.input.slot))
    }

    /// Values that are made as integers.
    fn integers(&self, passages: &BTreeMap<OpId, Passage>, wanted: &HashSet<ValueId>) -> HashSet<ValueId> {
        let makes = |layer: &&Layer| layer.to_integers || wanted.contains(&layer.output);
        let of_layers = self.layers.values().filter(makes).filter(|layer| !layer.made_as_integers);
        let of_passages = passages.values().flat_map(|passage| passage.outputs.iter().copied());
        let given = wanted.iter().copied().filter(|&value| given::activation(self.model, value).is_some());
        of_layers.map(|layer| layer.output).chain(of_passages).chain(given).collect()
    }

    /// The values that are quantized, in the order of the file.
    pub fn quantized(&self) -> Vec<QuantizedValue> {
        let model = self.model;
        let passages = self.passages();
        let wanted = self.wanted(passages);
        let integers = self.integers(passages, &wanted);
        let mut values = BTreeMap::new();
        let is_given = |value: &ValueId| given::activation(model, *value).is_some();
        for &value in integers.iter().filter(|value| !is_given(value)) {
            let quantized = QuantizedValue { value, readers: Readers::All, bounds: Interval::ALL, moved_from: None };
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
        for (&op, passage) in passages {
            let inputs = model.inputs(op);
            for &use_ in &passage.uses {
                if let Some(input) = inputs[use_.slot] {
                    readers.entry(input).or_default().insert(use_);
                }
            }
            for output in &passage.outputs {
                if let Some(made) = values.get_mut(output) {
                    made.bounds = passage.bounds;
                    made.moved_from = Some(passage.inputs[0]).filter(|_| passage.moves);
                }
            }
        }
        for (value, uses) in readers.into_iter().filter(|(value, _)| !is_given(value)) {
            values.entry(value).or_insert_with(|| QuantizedValue {
                value,
                readers: Readers::Some(uses.into_iter().collect()),
                bounds: Interval::ALL,
                moved_from: None,
            });
        }
        values.into_values().collect()
    }

    /// The operators that become integer kernels, in the order of the file.
    pub fn integer(&self) -> Vec<IntegerOperator> {
        let passages = self.passages();
        let model = self.model;
        let operator = |op: OpId, layer| IntegerOperator { op, operator: model.op(op).describe(), layer };
        model
            .ops()
            .filter_map(|op| match self.layers.contains_key(&op) {
                true => Some(operator(op, true)),
                false => passages.contains_key(&op).then(|| operator(op, false)),
            })
            .collect()
    }

    /// The layers that stay float, in the order of the file.
    pub fn float_layers(&self) -> Vec<FloatLayer> {
        let model = self.model;
        let layer = |op: OpId| {
            let reason = self.float.get(&op)?.clone();
            let path = model.scope_path(model.op(op).scope());
            Some(FloatLayer { op, operator: model.op(op).describe(), path, reason })
        };
        model.ops().filter_map(layer).collect()
    }
}
