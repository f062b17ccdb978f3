//! LSTM, as onnxruntime has it with weights that are integers.

use std::collections::HashMap;

use super::Weight;
use crate::{
    error::Result,
    ir::{Model, OpId, Tensor, Use, ValueId},
};

/// onnxruntime's operators.
const DOMAIN: &str = "com.microsoft";
/// The inputs of an LSTM: those of DynamicQuantizeLSTM come behind them.
const INPUTS: usize = 8;

/// What has been stored for a model's LSTMs so far, by the integers that it was made of: a weight may have several
/// readers, in branches.
#[derive(Default)]
pub(super) struct Weights {
    stored: HashMap<ValueId, [ValueId; 3]>,
}

impl Weights {
    /// Makes an LSTM a DynamicQuantizeLSTM; returns what it read before. (onnxruntime's documentation of contributed
    /// operators: W and R are `[directions, inputs or hidden, 4 * hidden]`, the transpose of ONNX's, and have a scale
    /// and a zero point for each of the last axis, in each direction.)
    pub fn write(&mut self, model: &mut Model, op: OpId) -> Result<Option<Vec<ValueId>>> {
        let (Some(input), Some(hidden)) = (Weight::of(model, op, 1), Weight::of(model, op, 2)) else { return Ok(None) };
        let (Some(inputs), Some(hiddens)) = (self.store(model, &input)?, self.store(model, &hidden)?) else {
            return Ok(None);
        };
        for (index, values) in [inputs, hiddens].into_iter().enumerate() {
            let slots = [1 + index, INPUTS + 2 * index, INPUTS + 1 + 2 * index];
            for (value, slot) in values.into_iter().zip(slots) {
                model.set_input(Use { op, slot }, value);
            }
        }
        model.set_op_of_domain(op, DOMAIN, "DynamicQuantizeLSTM");
        // A default of ONNX's operator that this one does not know.
        model.take_attribute(op, "layout");
        Ok(Some(vec![input.dequantized, hidden.dequantized]))
    }

    fn store(&mut self, model: &mut Model, weight: &Weight) -> Result<Option<[ValueId; 3]>> {
        if let Some(&known) = self.stored.get(&weight.integers) {
            return Ok(Some(known));
        }
        let Some(tensors) = stored(model, weight)? else { return Ok(None) };
        let scope = model.value(weight.integers).scope();
        let place = model.producer(weight.integers);
        let names = [weight.integers, weight.scales, weight.zero_points.unwrap_or(weight.integers)];
        let mut tensors = tensors.into_iter().zip(names);
        let values = names.map(|before| {
            let (tensor, like) = tensors.next().expect("there are as many tensors as names");
            let tensor = tensor.named(model.value(like).name());
            model.new_constant(scope, tensor, Some(before), place)
        });
        self.stored.insert(weight.integers, values);
        Ok(Some(values))
    }
}

/// A weight's integers with the last two axes swapped, and scales and zero points for each direction.
fn stored(model: &Model, weight: &Weight) -> Result<Option<[Tensor; 3]>> {
    let constant = |value: ValueId| model.constant(value).map(|tensor| tensor.into_owned());
    let (Some(integers), Some(scales)) = (constant(weight.integers), constant(weight.scales)) else { return Ok(None) };
    let &[directions, gates, inputs] = &integers.shape()[..] else { return Ok(None) };
    let bytes = integers.bytes()?;
    let mut swapped = Vec::with_capacity(bytes.len());
    for matrix in bytes.chunks_exact((gates * inputs).max(1)) {
        swapped.extend((0..inputs).flat_map(|column| (0..gates).map(move |row| matrix[row * inputs + column])));
    }
    let zero_points = match weight.zero_points.and_then(constant) {
        Some(zero_points) => zero_points,
        None => Tensor::from_bytes("", integers.dtype(), &scales.shape(), vec![0; scales.element_count()])?,
    };
    // The directions share scales: those of one channel, or the only one.
    let each = |tensor: &Tensor| -> Result<Tensor> {
        let shape = if tensor.element_count() == 1 { vec![directions] } else { vec![directions, gates] };
        tensor.with_bytes(&shape, tensor.bytes()?.repeat(directions))
    };
    let swapped = integers.with_bytes(&[directions, inputs, gates], swapped)?;
    Ok(Some([swapped, each(&scales)?, each(&zero_points)?]))
}
