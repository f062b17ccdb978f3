//! Which weights can make up for each other's errors, and how they lie.

use std::collections::HashMap;

use rayon::prelude::*;

use super::{
    Seen,
    inputs::{Inputs, Windows},
};
use crate::{
    calibration::can_be_watched,
    ir::{Model, OpId, ValueId},
    numeric::{Matrix, Moments},
    plan::{Plan, WeightForm, WeightPlan},
};

/// The most bytes that sums of products of one weight's inputs may take.
const MOST_BYTES: usize = 1 << 30;

/// So many rows are enough for each element that a layer sums over.
const ROWS_OF_INPUT: usize = 4;

/// A weight, with what its layers read.
pub(super) struct Layer {
    /// Its place in the plan.
    pub place: usize,
    /// The values that its layers read.
    pub read: Vec<ValueId>,
    pub inputs: Inputs,
    /// One for each group.
    pub matrices: Vec<Matrix>,
}

impl Layer {
    /// Whether so many rows of inputs were seen, of each group, that more would hardly say more.
    pub fn has_seen_enough(&self, moments: &[Moments], least: usize) -> bool {
        moments.iter().all(|moments| moments.rows() >= least.max(ROWS_OF_INPUT * moments.size()))
    }

    /// How many bytes its sums take.
    pub fn bytes(&self) -> usize {
        self.matrices.iter().map(|matrix| Moments::bytes(matrix.inputs)).fold(0, usize::saturating_add)
    }

    /// Takes what one sample made of a value that is read, in the float model and in the model so far.
    pub fn add(&self, float: &Seen, quantized: &Seen, moments: &mut [Moments]) {
        let rows = |seen: &Seen| self.inputs.rows(&seen.shape, &seen.elements);
        let (Some(float), Some(quantized)) = (rows(float), rows(quantized)) else { return };
        let groups = moments.par_iter_mut().zip(&self.matrices).zip(float.par_iter().zip(&quantized));
        groups.for_each(|((moments, matrix), (float, quantized))| {
            if float.dim() == quantized.dim() && float.ncols() == matrix.inputs {
                moments.add(float.view(), quantized.view());
            }
        });
    }

    /// `None` where a weight is none of these, or something about it cannot be observed: it is in a loop or a function,
    /// or moved on its way.
    fn of(model: &Model, place: usize, weight: &WeightPlan) -> Option<Self> {
        let [copy] = weight.copies.as_slice() else { return None };
        if weight.form == WeightForm::Qdq {
            return None;
        }
        let shape = model.constant(weight.value)?.shape();
        let mut layers = copy.layers.iter().map(|&op| described(model, op, weight.value, &shape));
        let (inputs, matrices, read) = layers.next()??;
        let mut layer = Self { place, read: vec![read], inputs, matrices };
        for other in layers {
            let (inputs, matrices, read) = other?;
            if (&inputs, &matrices) != (&layer.inputs, &layer.matrices) {
                return None;
            }
            if !layer.read.contains(&read) {
                layer.read.push(read);
            }
        }
        (layer.bytes() <= MOST_BYTES).then_some(layer)
    }
}

/// How an operator reads a weight, and what it multiplies with it.
fn described(model: &Model, op: OpId, weight: ValueId, shape: &[usize]) -> Option<(Inputs, Vec<Matrix>, ValueId)> {
    let operator = model.op(op);
    let read = model.input(op, 0)?;
    let watched = can_be_watched(model, read).is_ok() && model.constant(read).is_none();
    if model.input(op, 1) != Some(weight) || read == weight || !watched {
        return None;
    }
    let matrix = |inputs, outputs, input_stride, output_stride| Matrix {
        inputs,
        outputs,
        input_stride,
        output_stride,
        start: 0,
    };
    let set = |name: &str| operator.int(name).is_some_and(|set| set != 0);
    let op_type = ["MatMul", "Gemm", "Conv"].into_iter().find(|op_type| operator.is(op_type))?;
    match (op_type, shape) {
        ("MatMul", &[inputs, outputs]) => Some((Inputs::Last, vec![matrix(inputs, outputs, outputs, 1)], read)),
        ("Gemm", _) if set("transA") => None,
        ("Gemm", &[outputs, inputs]) if set("transB") => {
            Some((Inputs::Last, vec![matrix(inputs, outputs, 1, inputs)], read))
        }
        ("Gemm", &[inputs, outputs]) => Some((Inputs::Last, vec![matrix(inputs, outputs, outputs, 1)], read)),
        ("Conv", &[outputs, channels, ..]) => {
            let windows = Windows::of(operator, shape)?;
            let inputs = channels * windows.kernel.iter().product::<usize>();
            let of_group = outputs / windows.groups();
            let start = |group| Matrix { start: group * of_group * inputs, ..matrix(inputs, of_group, 1, inputs) };
            let matrices = (0..windows.groups()).map(start).collect();
            Some((Inputs::Windows(windows), matrices, read))
        }
        _ => None,
    }
}

/// Weights that are rounded before others are looked at.
#[derive(Default)]
pub(super) struct Stage {
    /// Those that make up for errors.
    pub layers: Vec<Layer>,
    /// The places of those that are rounded each by itself.
    pub others: Vec<usize>,
}

/// The weights of a plan in the order in which they are read, in so many stages at most, unless sums of one would take
/// too much memory.
pub(super) fn stages(model: &Model, plan: &Plan, most: usize) -> Vec<Stage> {
    let order: HashMap<OpId, usize> = model.ops().enumerate().map(|(place, op)| (op, place)).collect();
    let first = |weight: &WeightPlan| {
        let layers = weight.copies.iter().flat_map(|copy| &copy.layers);
        layers.filter_map(|op| order.get(op)).min().copied()
    };
    let mut places: Vec<(Option<usize>, usize)> =
        plan.weights.iter().enumerate().map(|(place, weight)| (first(weight), place)).collect();
    places.sort();
    let each = places.len().div_ceil(most).max(1);
    let mut stages: Vec<Stage> = Vec::new();
    let (mut count, mut bytes) = (usize::MAX, 0_usize);
    for (_, place) in places {
        let layer = Layer::of(model, place, &plan.weights[place]);
        let own = layer.as_ref().map_or(0, Layer::bytes);
        // Layers that read the same value stay together: none of them changes what it is.
        let same = |stage: &Stage| {
            let read = layer.as_ref().and_then(|layer| layer.read.first());
            read.is_some() && stage.layers.last().and_then(|last| last.read.first()) == read
        };
        let full = count >= each && !stages.last().is_some_and(same);
        if full || bytes.saturating_add(own) > MOST_BYTES {
            stages.push(Stage::default());
            (count, bytes) = (0, 0);
        }
        (count, bytes) = (count + 1, bytes + own);
        let Some(stage) = stages.last_mut() else { continue };
        match layer {
            Some(layer) => stage.layers.push(layer),
            None => stage.others.push(place),
        }
    }
    stages
}
