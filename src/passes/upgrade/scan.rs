//! Opset 9: Scan lost its batch axis. A Scan over the batch around one over the sequence does the
//! same: to the outer one, the initial states are sequences too.

use super::step::Step;
use crate::{
    error::Result,
    ir::{Attribute, OpId, Use},
};

pub(super) fn batch_around(step: &mut Step, op: OpId) -> Result<bool> {
    let inputs = step.model.inputs(op);
    if inputs.first().copied().flatten().is_some() {
        return Err(
            step.refuse("input 0 gives sequences of the batch their own lengths, for which there is no form since")
        );
    }
    let states_and_sequences: Vec<_> = inputs.into_iter().skip(1).collect();
    if states_and_sequences.iter().any(Option::is_none) {
        return Err(step.refuse("an input is left out that must not be"));
    }
    // Listed outputs cannot be left out of a body: those that were get a name.
    for slot in 0..step.model.outputs(op).len() {
        if step.model.outputs(op)[slot].is_none() {
            let unused = step.model.new_value(step.model.op(op).scope(), "unused");
            step.model.set_output(op, slot, unused);
        }
    }
    let count = states_and_sequences.len();
    for (slot, value) in states_and_sequences.into_iter().flatten().enumerate() {
        step.model.set_input(Use { op, slot }, value);
    }
    step.model.omit_input(op, count);
    if let Some(mut directions) = step.model.take_attribute(op, "directions") {
        directions.name = Some("scan_input_directions".to_owned());
        step.model.put_attribute(op, directions);
    }
    let sequences = Attribute::Int(count as i64);
    step.model.nest_in_body(op, "Scan", vec![("num_scan_inputs", sequences)]);
    Ok(true)
}
