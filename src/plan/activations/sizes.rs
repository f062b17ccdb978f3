//! How many elements the values of a model have in one run, as far as that can be told.

use std::collections::HashMap;

use super::{existing_qdq, parameters::Observed};
use crate::{
    analysis::Facts,
    ir::{Model, OpId, ValueId},
    operators::clamp_bounds,
    targets::costs::Layer,
};

/// Elements of values in one run, on average over the samples.
pub(super) struct Sizes<'a> {
    model: &'a Model,
    facts: Facts,
    elements: HashMap<ValueId, f64>,
}

impl<'a> Sizes<'a> {
    /// What was observed counts; then what the file states; then what an operator makes of what is known.
    pub fn of(model: &'a Model, observed: &Observed) -> Self {
        let counted = observed.iter().filter(|(_, statistics)| statistics.runs() > 0 && statistics.elements() > 0);
        let elements = counted.map(|(&value, it)| (value, it.elements() as f64 / it.runs() as f64)).collect();
        let mut sizes = Self { model, facts: Facts::as_stated(model), elements };
        for scope in model.scopes() {
            for input in model.scope(scope).inputs() {
                sizes.learn(input.value, None);
            }
        }
        for op in model.ops() {
            for value in model.outputs(op).into_iter().flatten() {
                let made = sizes.made_of_inputs(op);
                sizes.learn(value, made);
            }
        }
        sizes
    }

    /// The elements of a value; `None` where nothing tells.
    pub fn elements(&self, value: ValueId) -> Option<f64> {
        self.elements.get(&value).copied()
    }

    /// The most elements that an operator reads or makes of one value.
    pub fn largest(&self, op: OpId) -> f64 {
        let around = self.model.inputs(op).into_iter().chain(self.model.outputs(op)).flatten();
        let computed = around.filter(|&value| self.model.constant(value).is_none());
        computed.filter_map(|value| self.elements(value)).fold(0.0, f64::max)
    }

    /// The rank of a value, where it is known.
    pub fn rank(&self, value: ValueId) -> Option<usize> {
        self.facts.rank(value)
    }

    /// A layer, or a product of two values, as large as it is in one run.
    pub fn layer(&self, op: OpId) -> Option<Layer> {
        let operator = self.model.op(op);
        let input = self.elements(self.model.input(op, 0)?);
        let output = self.elements(self.model.outputs(op).first().copied().flatten()?);
        let groups = operator.int("group").and_then(|groups| usize::try_from(groups).ok()).unwrap_or(1).max(1);
        let product = |positions, inputs, outputs| {
            Some(Layer { convolves: false, positions, taps: 1, inputs, outputs, groups: 1 })
        };
        match operator.op_type() {
            "Conv" => {
                let shape = self.weight(op, 1)?;
                let &[channels, inputs, ref window @ ..] = shape.as_slice() else { return None };
                let (taps, positions) = (window.iter().product(), output? / channels.max(1) as f64);
                Some(Layer { convolves: true, positions, taps, inputs, outputs: channels / groups, groups })
            }
            "ConvTranspose" => {
                let shape = self.weight(op, 1)?;
                let &[channels, outputs, ref window @ ..] = shape.as_slice() else { return None };
                let (taps, positions) = (window.iter().product(), input? / channels.max(1) as f64);
                Some(Layer { convolves: true, positions, taps, inputs: channels / groups, outputs, groups })
            }
            "MatMul" | "Gemm" => {
                let transposed = operator.int("transB").unwrap_or(0) != 0;
                let shape: Vec<usize> = match self.weight(op, 1) {
                    Some(shape) => shape,
                    None => self.facts.shape(self.model.input(op, 1)?)?.iter().map(|size| size.unwrap_or(1)).collect(),
                };
                let &[.., rows, columns] = shape.as_slice() else { return None };
                let (inputs, outputs) = if transposed { (columns, rows) } else { (rows, columns) };
                product(output.or(input)? / output.map_or(inputs, |_| outputs).max(1) as f64, inputs, outputs)
            }
            "LSTM" | "GRU" | "RNN" => {
                let (input_weight, state_weight) = (self.weight(op, 1)?, self.weight(op, 2)?);
                let (&[directions, gates, inputs], &[_, _, state]) = (input_weight.as_slice(), state_weight.as_slice())
                else {
                    return None;
                };
                product(input? / inputs.max(1) as f64, inputs + state, gates * directions)
            }
            _ => None,
        }
    }

    /// The shape of a constant weight, quantized or not.
    fn weight(&self, op: OpId, slot: usize) -> Option<Vec<usize>> {
        let value = self.model.input(op, slot)?;
        let given = existing_qdq::weight(self.model, value).map(|given| given.tensor.shape());
        given.or_else(|| self.model.constant(value).map(|tensor| tensor.shape()))
    }

    fn learn(&mut self, value: ValueId, made: Option<f64>) {
        if self.elements.contains_key(&value) {
            return;
        }
        let shape = self.facts.shape(value);
        let stated: Option<usize> = shape.and_then(|shape| shape.iter().copied().product());
        // Of a size that is left open, most often that of a batch, there is one.
        let least = || shape.map(|shape| shape.iter().flatten().product::<usize>() as f64);
        if let Some(elements) = stated.map(|elements| elements as f64).or(made).or_else(least) {
            self.elements.insert(value, elements);
        }
    }

    /// What an operator makes that makes as many numbers as it reads, or of a known weight.
    fn made_of_inputs(&self, op: OpId) -> Option<f64> {
        let inputs = self.model.inputs(op).into_iter().flatten();
        let computed = inputs.filter(|&input| self.model.constant(input).is_none());
        let most = computed.filter_map(|input| self.elements(input)).reduce(f64::max)?;
        match self.model.op(op).op_type() {
            // What is observed is the value behind the Relu or Clip that the kernel includes.
            "Conv" => {
                let made = self.model.outputs(op).first().copied().flatten()?;
                let clamp = self.model.only_use(made).filter(|use_| clamp_bounds(self.model, use_.op).is_some())?;
                self.elements(self.model.outputs(clamp.op).first().copied().flatten()?)
            }
            "Shape" | "Size" | "ArgMax" | "ArgMin" => None,
            "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" => None,
            "MatMul" | "Gemm" => self.layer(op).map(|layer| layer.positions * layer.outputs as f64),
            _ => Some(most),
        }
    }
}
