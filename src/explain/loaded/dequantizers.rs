//! Every reader of a dequantized activation gets a DequantizeLinear of its own.

use super::Loaded;
use crate::{
    ir::{Model, NewOp, OpId, Use, ValueId},
    targets::is_dequantizer,
};

pub(super) fn dedicate(loaded: &mut Loaded) {
    for op in loaded.model.ops().collect::<Vec<_>>() {
        let model = &mut loaded.model;
        let constant = model.input(op, 0).is_none_or(|integers| model.constant(integers).is_some());
        if !is_dequantizer(model, op) || constant {
            continue;
        }
        let Some(Some(output)) = model.outputs(op).first().copied() else { continue };
        let scope = model.op(op).scope();
        let uses = model.uses(output);
        // The graph's output keeps the first; so does the first reader.
        let kept = usize::from(!model.is_output(output));
        let more: Vec<Use> = uses.into_iter().filter(|use_| model.op(use_.op).scope() == scope).skip(kept).collect();
        for use_ in more {
            let copy = copy(model, op, output);
            let Some(Some(value)) = model.outputs(copy).first().copied() else { continue };
            model.set_input(use_, value);
            loaded.copies.entry(op).or_default().push(copy);
        }
    }
}

/// Another DequantizeLinear of the same.
fn copy(model: &mut Model, op: OpId, output: ValueId) -> OpId {
    let scope = model.op(op).scope();
    let inputs = model.inputs(op).into_iter().flatten().collect();
    let name = model.value(output).name().to_owned();
    let value = model.new_value(scope, &name);
    let before = model.op_after(op);
    let new = NewOp { op_type: "DequantizeLinear", name: String::new(), inputs, output: value, attributes: Vec::new() };
    let copy = model.insert_op(scope, before, new);
    model.copy_attributes(op, copy);
    copy
}
