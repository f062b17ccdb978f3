//! Whether one scale serves all of a value, by what makes it.
//!
//! Measured with three LSTMs in a row in onnxruntime 1.32, signal to noise of what the last one gives: with features of
//! about the same size, 34 dB, as much as with their weights quantized alone (36 dB); with powers of a spectrum, whose
//! largest are a hundred thousand times the typical ones, 1 dB, and 33 dB where the first LSTM alone stays float. So
//! it is neither the hidden state nor the weights: 255 steps from the smallest to the largest number of a whole
//! sequence leave none for what is quiet. What an LSTM, a normalization or a bounded function makes has no such
//! numbers; of a model's inputs, and of what is computed from them, nothing is known.

use std::collections::HashSet;

use super::super::activations::LEAST_SIGNAL_TO_NOISE;
use crate::{
    ir::{Model, Tensor, ValueId},
    operators::{is_standard, rearranges, weight_axes},
};

/// How many values are looked at: an end for graphs that are very deep.
const MAX_VALUES: usize = 256;

/// Whether the numbers of a value are of about one size, so that 255 steps of one scale serve them all.
pub(super) fn serves(model: &Model, value: ValueId) -> bool {
    let mut seen = HashSet::new();
    let mut ahead = vec![value];
    while let Some(value) = ahead.pop() {
        if !seen.insert(value) {
            continue;
        }
        if seen.len() > MAX_VALUES {
            return false;
        }
        match sources(model, value) {
            Some(sources) => ahead.extend(sources),
            None => return false,
        }
    }
    true
}

/// The values whose numbers decide of what size those of a value are; `None` where nothing is known of it.
fn sources(model: &Model, value: ValueId) -> Option<Vec<ValueId>> {
    if let Some(tensor) = model.fixed(value) {
        return is_even(&tensor).then(Vec::new);
    }
    let id = model.producer(value)?;
    let op = model.op(id);
    // A run before may have written the LSTM that makes it.
    if !is_standard(model, id) && !op.is_of("com.microsoft", "DynamicQuantizeLSTM") {
        return None;
    }
    let input = |slot| model.input(id, slot);
    match op.op_type() {
        // Of about one size whatever they read.
        "Tanh"
        | "Sigmoid"
        | "HardSigmoid"
        | "Softsign"
        | "LayerNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "RMSNormalization"
        | "SimplifiedLayerNormalization"
        | "BatchNormalization" => Some(Vec::new()),
        "LSTM" | "GRU" | "RNN" | "DynamicQuantizeLSTM" if op.attribute("activations").is_none() => {
            // The states of the cells have no bounds.
            let cells = model.outputs(id).get(2).copied().flatten();
            (cells != Some(value)).then(Vec::new)
        }
        // A row of a table: the others may be picked another time.
        "Gather" => Some(vec![input(0)?]),
        "Concat" | "Max" | "Min" | "Add" | "Sub" => Some(model.inputs(id).into_iter().flatten().collect()),
        "Mul" | "Div" => {
            let (left, right) = (input(0)?, input(1)?);
            let number = |value| model.fixed(value).is_some_and(|tensor| tensor.element_count() == 1);
            match (number(left), number(right)) {
                (_, true) => Some(vec![left]),
                (true, false) if op.is("Mul") => Some(vec![right]),
                _ => None,
            }
        }
        "Relu" | "LeakyRelu" | "PRelu" | "Elu" | "Selu" | "Gelu" | "Clip" | "HardSwish" | "Softplus" | "Cast"
        | "Identity" | "Dropout" | "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" | "Split"
        | "Pad" | "Slice" | "Expand" | "Tile" => Some(vec![input(0)?]),
        // Sums of many such numbers.
        "Conv" | "Gemm" | "MatMul" => {
            let weight = input(1)?;
            let rank = model.fixed(weight)?.shape().len();
            weight_axes(op, 1, rank)?;
            Some(vec![input(0)?])
        }
        other if rearranges(other) => Some(vec![input(0)?]),
        _ => None,
    }
}

/// Whether a constant is well above the noise of 255 steps from its smallest to its largest number.
fn is_even(tensor: &Tensor) -> bool {
    let Ok(numbers) = tensor.to_array::<f32>() else { return false };
    let (mut min, mut max, mut squares) = (0f64, 0f64, 0f64);
    for &number in &numbers {
        let number = f64::from(number);
        (min, max, squares) = (min.min(number), max.max(number), squares + number * number);
    }
    // An initial state of zeros.
    if squares == 0.0 {
        return true;
    }
    let step = (max - min) / 255.0;
    let noise = step * step / 12.0;
    10.0 * (squares / numbers.len() as f64 / noise).log10() >= LEAST_SIGNAL_TO_NOISE
}
