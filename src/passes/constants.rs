//! Constants as the passes read, add and remove them.
//!
//! A constant that callers may override, or that the model's training information sets, is none here:
//! nothing may be computed from it ahead of time.

use std::{borrow::Cow, collections::HashSet};

use crate::{
    ir::{Model, OpId, Tensor, ValueId},
    operators::is_standard,
};

/// The tensor of a constant that is the same in every run.
pub(super) fn fixed(model: &Model, value: ValueId) -> Option<Cow<'_, Tensor>> {
    model.fixed(value)
}

/// Adds a constant for operator `op`, in its scope. Initializers must be graph inputs before IR
/// version 4, so there (and in functions, which have none) it is a Constant node.
pub(super) fn add(model: &mut Model, op: OpId, tensor: Tensor) -> ValueId {
    let scope = model.op(op).scope();
    if model.ir_version() >= 4 {
        return model.new_constant(scope, tensor, None, Some(op));
    }
    let value = model.new_value(scope, tensor.name());
    model.insert_constant(scope, tensor, value, Some(op));
    value
}

/// Removes those of the values that nothing reads any more, with the operators that made them, and
/// then what only these read. Inputs and outputs stay, and operators of which more is expected than
/// their outputs: those with bodies, and those outside the default operator set.
///
/// Before IR version 4 every initializer is an input by necessity; it goes none the less.
pub(super) fn remove_unread(model: &mut Model, values: Vec<ValueId>) {
    let mut waiting = values;
    let mut unread = Vec::new();
    let mut initializers = Vec::new();
    let mut seen = HashSet::new();
    while let Some(value) = waiting.pop() {
        if !model.contains_value(value) || model.is_read(value) || !seen.insert(value) {
            continue;
        }
        if let Some(op) = model.producer(value) {
            let outputs: Vec<ValueId> = model.outputs(op).into_iter().flatten().collect();
            let plain = is_standard(model, op) && model.op(op).bodies().is_empty();
            if plain && !outputs.iter().any(|&output| model.is_read(output)) {
                waiting.extend(model.inputs(op).into_iter().flatten());
                model.remove_op(op);
                unread.extend(outputs);
            }
        } else if model.value(value).initializer().is_some()
            && (!model.is_input(value) || model.ir_version() < 4)
            && !model.is_trained(value)
        {
            initializers.push(value);
        }
    }
    // All at once: each alone would be searched for among all of them.
    model.remove_inputs(initializers.iter().copied());
    model.take_initializers(&initializers);
    unread.extend(initializers);
    model.remove_values(unread);
}
