//! Where integers gain time: which of the operators that can compute in them do.
//!
//! Every operator takes a time as float kernel and one as integer kernel, and every value that passes between the two
//! kinds is converted: quantized once for all that read integers, dequantized for each that reads floats. The cheapest
//! of all placements is a minimum [`Cut`]; that of all candidates is one of them.
//!
//! Layouts count where kernels have their own: float convolutions of onnxruntime have channels in blocks, and so
//! have some operators behind them; integer convolutions have channels last.

use std::collections::{HashMap, HashSet};

use super::{
    cut::{Cut, Item},
    existing_qdq,
    region::{Candidate, IntegerRegion, Makes},
    sizes::Sizes,
    speed::Times,
};
use crate::{
    ir::{Model, OpId, ValueId},
    targets::{
        costs::{Costs, Layer},
        onnxruntime::{keeps_blocks, takes_any_layout},
    },
};

/// Which operators compute in integers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placement {
    pub integer: HashSet<OpId>,
    /// Those that have channels last.
    channels_last: HashSet<OpId>,
}

/// The placements of one model, and what each takes.
pub(super) struct Placements<'a> {
    model: &'a Model,
    sizes: &'a Sizes<'a>,
    costs: &'a Costs,
    candidates: HashMap<OpId, Candidate>,
    /// In the order of the file.
    order: Vec<OpId>,
    /// Who makes a value that can be made as integers.
    makers: HashMap<ValueId, OpId>,
    /// Relu and Clip that are part of a candidate.
    absorbed: HashSet<OpId>,
    layers: HashMap<OpId, Layer>,
    /// Float operators that have channels in blocks.
    blocked: HashSet<OpId>,
}

impl<'a> Placements<'a> {
    pub fn of(model: &'a Model, region: &IntegerRegion, sizes: &'a Sizes<'a>, costs: &'a Costs) -> Self {
        let listed = region.candidates();
        let makers = listed.iter().flat_map(|it| it.outputs.iter().map(|&output| (output, it.op))).collect();
        let made = listed.iter().flat_map(|it| it.outputs.iter().map(|&output| (model.producer(output), it.op)));
        let absorbed = made.filter_map(|(op, maker)| op.filter(|&op| op != maker)).collect();
        let order = model.ops().collect();
        let layers = model.ops().filter_map(|op| Some((op, sizes.layer(op)?))).collect();
        let candidates = listed.into_iter().map(|it| (it.op, it)).collect();
        let blocked = HashSet::new();
        let mut placements = Self { model, sizes, costs, candidates, order, makers, absorbed, layers, blocked };
        placements.find_blocked();
        placements
    }

    /// The placement that takes the least time.
    pub fn fastest(&self) -> Placement {
        self.cut(|_| None)
    }

    /// The placement in which these candidates compute in integers and no others.
    pub fn given(&self, integer: &HashSet<OpId>) -> Placement {
        self.cut(|op| Some(integer.contains(&op)))
    }

    fn cut(&self, pinned: impl Fn(OpId) -> Option<bool>) -> Placement {
        let mut cut = Cut::new();
        let mut items = HashMap::new();
        for &op in self.order.iter().filter(|op| self.candidates.contains_key(op)) {
            let item = match pinned(op) {
                None => cut.add(self.integer(op), self.float(op)),
                Some(true) => cut.chosen(),
                Some(false) => cut.rejected(),
            };
            items.insert(op, item);
        }
        let mut channels_last = HashMap::new();
        for &op in &self.order {
            match items.get(&op) {
                Some(&item) if self.convolves(op) => drop(channels_last.insert(op, item)),
                _ if self.model.op(op).is("Conv") => {}
                _ if takes_any_layout(self.model.op(op).op_type()) => drop(channels_last.insert(op, cut.add(0.0, 0.0))),
                _ => {}
            }
        }
        for (value, maker, reader) in self.edges() {
            let layout = |op| channels_last.get(&op).copied().unwrap_or(cut.rejected());
            let (made, read, cost) = (layout(maker), layout(reader), self.relayout(value, maker, reader));
            cut.separate(made, read, cost);
            cut.separate(read, made, cost);
        }
        let item = |cut: &Cut, op: OpId| items.get(&op).copied().unwrap_or(cut.rejected());
        for value in self.values() {
            let maker = self.makers.get(&value).map(|op| &self.candidates[op]);
            let made = match maker {
                _ if existing_qdq::activation(self.model, value).is_some() => cut.chosen(),
                None => cut.rejected(),
                Some(maker) if maker.makes == Makes::Integers => items[&maker.op],
                Some(Candidate { makes: Makes::Nothing, .. }) => cut.rejected(),
                Some(maker) => {
                    let made = cut.add(0.0, 0.0);
                    cut.require(made, items[&maker.op]);
                    made
                }
            };
            let integers: Item = cut.add(0.0, 0.0);
            cut.separate(integers, made, self.quantize(value));
            // The runtime moves a QuantizeLinear in front of a pool, and a DequantizeLinear behind it.
            if let Some(pool) = self.makers.get(&value).filter(|&&op| self.is_pool(op)) {
                cut.require(integers, items[pool]);
            }
            for (reader, takes) in self.readers(value) {
                if takes && self.is_pool(reader) {
                    cut.require(made, items[&reader]);
                }
                if takes {
                    cut.require(items[&reader], integers);
                    cut.separate(items[&reader], made, self.alone(reader));
                }
                // What a float operator pays for another layout in front of it, it pays in float as well.
                let reorder = self.reorder(value, Some(reader));
                let reads = item(&cut, reader);
                cut.separate(cut.chosen(), reads, reorder);
                cut.separate(made, reads, self.dequantize(value, Some(reader)) - reorder);
            }
            for _ in 0..usize::from(self.model.is_output(value)) {
                cut.separate(made, cut.rejected(), self.dequantize(value, None));
            }
        }
        let is_chosen = cut.solve();
        let chosen = |items: HashMap<OpId, Item>| {
            items.into_iter().filter(|&(_, item)| is_chosen(item)).map(|(op, _)| op).collect()
        };
        Placement { integer: chosen(items), channels_last: chosen(channels_last) }
    }

    /// What a run takes as placed, and with all in float.
    pub fn times(&self, Placement { integer, channels_last }: &Placement) -> Times {
        let mut times = Times::default();
        for &op in &self.order {
            let float = self.float(op);
            let reorders = self.model.inputs(op).into_iter().flatten().map(|value| self.reorder(value, Some(op)));
            let float_reorders: f64 = reorders.sum();
            times.float += float + float_reorders;
            if integer.contains(&op) {
                let taken = self.integer(op);
                times.integer += taken;
                times.integer_depthwise +=
                    if self.layers.get(&op).is_some_and(Layer::is_depthwise) { taken } else { 0.0 };
            } else {
                times.integer += float;
            }
        }
        let mut converted = HashSet::new();
        for value in self.values() {
            converted.insert(value);
            let readers = self.readers(value);
            let reads = |&(reader, takes): &(OpId, bool)| takes && integer.contains(&reader);
            let wanted = readers.iter().any(reads);
            let given = existing_qdq::activation(self.model, value).is_some();
            let maker = self.makers.get(&value).filter(|maker| integer.contains(maker));
            let made = given
                || maker.is_some_and(|maker| match self.candidates[maker].makes {
                    Makes::Integers => true,
                    Makes::Either => wanted,
                    Makes::Nothing => false,
                });
            if wanted && !made {
                times.conversions += self.quantize(value);
            }
            if !made {
                let alone = readers.iter().filter(|reader| reads(reader)).map(|&(reader, _)| self.alone(reader));
                times.integer += alone.sum::<f64>();
            }
            for reader in readers.iter().filter(|reader| !reads(reader)) {
                times.conversions += match made {
                    true => self.dequantize(value, Some(reader.0)),
                    false => self.reorder(value, Some(reader.0)),
                };
            }
            if made && self.model.is_output(value) {
                times.conversions += self.dequantize(value, None);
            }
        }
        let changes = self
            .edges()
            .into_iter()
            .filter(|(_, maker, reader)| channels_last.contains(maker) != channels_last.contains(reader));
        times.conversions += changes.map(|(value, maker, reader)| self.relayout(value, maker, reader)).sum::<f64>();
        for &op in self.order.iter().filter(|op| !integer.contains(op)) {
            let others = self.model.inputs(op).into_iter().flatten().filter(|value| !converted.contains(value));
            times.conversions += others.map(|value| self.reorder(value, Some(op))).sum::<f64>();
        }
        times
    }

    /// The values that a candidate reads or makes, in the order of the file.
    fn values(&self) -> Vec<ValueId> {
        let around = self.candidates.values().flat_map(|it| it.inputs.iter().chain(&it.outputs).copied());
        let mut values: Vec<ValueId> = around.collect::<HashSet<_>>().into_iter().collect();
        values.sort_unstable();
        values
    }

    /// Who reads a value, and whether integers do if the reader computes in them.
    fn readers(&self, value: ValueId) -> Vec<(OpId, bool)> {
        let takes =
            |op: OpId, slot| self.candidates.get(&op).is_some_and(|it| it.reads.iter().any(|use_| use_.slot == slot));
        let mut readers: Vec<(OpId, bool)> =
            self.model.uses(value).into_iter().map(|use_| (use_.op, takes(use_.op, use_.slot))).collect();
        // An operator that reads a value twice has it converted once.
        readers.sort_unstable();
        readers.dedup();
        readers
    }

    /// Nanoseconds of an operator as float kernel.
    fn float(&self, op: OpId) -> f64 {
        if let Some(layer) = self.layers.get(&op) {
            return self.costs.float_layer(layer);
        }
        let operator = self.model.op(op);
        if self.absorbed.contains(&op) || !self.computes(op) {
            return 0.0;
        }
        let elements = self.sizes.largest(op);
        let apart = if self.blocked.contains(&op) { self.costs.apart(operator.op_type(), elements) } else { 0.0 };
        self.costs.float_operator(&self.kind(op), elements) - apart
    }

    /// Nanoseconds of a candidate as integer kernel.
    fn integer(&self, op: OpId) -> f64 {
        match self.layers.get(&op) {
            Some(layer) => self.costs.integer_layer(layer),
            None => self.costs.integer_operator(&self.kind(op), self.sizes.largest(op)),
        }
    }

    /// How much longer that takes where no integer kernel makes what it reads.
    fn alone(&self, op: OpId) -> f64 {
        self.costs.alone(self.model.op(op).op_type(), self.sizes.largest(op))
    }

    /// An operator's type, and what makes its kernel another one.
    fn kind(&self, op: OpId) -> String {
        let op_type = self.model.op(op).op_type();
        let mut inputs = self.model.inputs(op).into_iter().flatten();
        match op_type {
            "Add" | "Mul" if self.spreads(op) => format!("{op_type} broadcast"),
            "Transpose" if inputs.any(|input| self.sizes.rank(input).is_some_and(|rank| rank > 4)) => {
                "Transpose of many axes".to_owned()
            }
            _ => op_type.to_owned(),
        }
    }

    /// Whether an operator reads values of several sizes, none of them a single number.
    fn spreads(&self, op: OpId) -> bool {
        let inputs = self.model.inputs(op).into_iter().flatten();
        let sizes: Vec<f64> = inputs.filter_map(|input| self.sizes.elements(input)).collect();
        sizes.iter().all(|&size| size > 1.0) && sizes.iter().any(|size| Some(size) != sizes.first())
    }

    fn is_pool(&self, op: OpId) -> bool {
        self.model.op(op).is("MaxPool")
    }

    /// Whether an operator runs at all, and by itself.
    fn computes(&self, op: OpId) -> bool {
        let outputs = self.model.outputs(op);
        let constant = |value: &Option<ValueId>| value.is_some_and(|value| self.model.constant(value).is_some());
        self.model.op(op).bodies().is_empty() && !outputs.iter().any(constant)
    }

    fn quantize(&self, value: ValueId) -> f64 {
        let elements = self.sizes.elements(value).unwrap_or(0.0);
        let from_blocks = self.model.producer(value).is_some_and(|op| self.convolves(op) && self.blocked.contains(&op));
        let reorder = if from_blocks { self.costs.reorder(elements) } else { 0.0 };
        self.costs.conversion(elements) + reorder
    }

    fn dequantize(&self, value: ValueId, reader: Option<OpId>) -> f64 {
        let elements = self.sizes.elements(value).unwrap_or(0.0);
        let conversion = self.costs.conversion(elements);
        let Some(reader) = reader.filter(|op| self.blocked.contains(op)) else { return conversion };
        match self.convolves(reader) {
            true => conversion + self.costs.reorder(elements),
            // An activation function that was part of a convolution runs by itself.
            false => conversion + self.costs.apart(self.model.op(reader).op_type(), elements),
        }
    }

    /// What it takes to bring channels to the end or back; to blocks or from them, where one of the two has blocks
    /// else.
    fn relayout(&self, value: ValueId, maker: OpId, reader: OpId) -> f64 {
        let elements = self.sizes.elements(value).unwrap_or(0.0);
        let follows = |op: OpId| self.blocked.contains(&op) && !self.convolves(op);
        let reorder = if follows(maker) || follows(reader) { self.costs.reorder(elements) } else { 0.0 };
        self.costs.transpose(elements) + reorder
    }

    /// The computed values of a picture's rank that one operator makes and another reads.
    fn edges(&self) -> Vec<(ValueId, OpId, OpId)> {
        let readers = |op: OpId| {
            let inputs: HashSet<ValueId> = self.model.inputs(op).into_iter().flatten().collect();
            inputs.into_iter().filter_map(move |value| Some((value, self.model.producer(value)?, op)))
        };
        let mut edges: Vec<_> = self.order.iter().flat_map(|&op| readers(op)).collect();
        edges.retain(|&(value, ..)| self.sizes.rank(value).is_none_or(|rank| rank == 4));
        edges.retain(|&(value, ..)| self.model.constant(value).is_none());
        edges.sort_unstable();
        edges
    }

    /// What it takes to bring a float value from the layout that its maker has to that of a reader.
    fn reorder(&self, value: ValueId, reader: Option<OpId>) -> f64 {
        let has = |op: Option<OpId>| op.is_some_and(|op| self.blocked.contains(&op));
        match self.sizes.elements(value) {
            Some(elements)
                if self.model.constant(value).is_none() && has(self.model.producer(value)) != has(reader) =>
            {
                self.costs.reorder(elements)
            }
            _ => 0.0,
        }
    }

    fn convolves(&self, op: OpId) -> bool {
        self.model.op(op).is("Conv") && self.layers.contains_key(&op)
    }

    /// Convolutions have blocks where their channels fill them, others where what they read has.
    fn find_blocked(&mut self) {
        for index in 0..self.order.len() {
            let op = self.order[index];
            let operator = self.model.op(op);
            let made = self.model.outputs(op).first().copied().flatten();
            let is_picture = || made.and_then(|made| self.sizes.rank(made)).is_none_or(|rank| rank == 4);
            let blocked = match self.layers.get(&op) {
                Some(layer) => operator.is("Conv") && layer.is_blocked() && is_picture(),
                None => {
                    let follows =
                        |value: ValueId| self.model.producer(value).is_some_and(|op| self.blocked.contains(&op));
                    let mut inputs = self.model.inputs(op).into_iter().flatten();
                    let all = matches!(operator.op_type(), "Add" | "Mul" | "Sum" | "Concat");
                    keeps_blocks(operator.op_type())
                        && is_picture()
                        && if all { !self.spreads(op) && inputs.all(follows) } else { inputs.any(follows) }
                }
            };
            if blocked {
                self.blocked.insert(op);
            }
        }
    }
}
