//! Of several operators that compute the same of the same, one is left.

use std::collections::HashMap;

use super::{Fate, Loaded};
use crate::ir::{Model, OpId, ScopeId, ValueId};

/// What two operators that are equal have in common.
type Likeness = (ScopeId, String, String, Vec<Option<ValueId>>, Vec<u8>);

pub(super) fn merge(loaded: &mut Loaded) {
    let mut known: HashMap<Likeness, OpId> = HashMap::new();
    for op in in_order(&loaded.model) {
        let model = &mut loaded.model;
        let Some(likeness) = likeness(model, op) else { continue };
        let twin = *known.entry(likeness).or_insert(op);
        let (outputs, twins) = (model.outputs(op), model.outputs(twin));
        let given_out = outputs.iter().flatten().any(|&output| model.is_output(output));
        if twin == op || given_out || outputs.len() > twins.len() {
            continue;
        }
        for (output, same) in outputs.into_iter().zip(twins) {
            if let (Some(output), Some(same)) = (output, same) {
                model.read_instead(output, same);
            }
        }
        model.remove_op(op);
        loaded.fates.insert(op, Fate::PartOf(twin));
    }
}

fn likeness(model: &Model, op: OpId) -> Option<Likeness> {
    let operator = model.op(op);
    if !operator.bodies().is_empty() || operator.op_type().starts_with("Random") || operator.is("Constant") {
        return None;
    }
    let attributes = operator.plain_attributes()?;
    let inputs = model.inputs(op);
    let outputs = model.outputs(op);
    (!inputs.is_empty() && outputs.iter().all(Option::is_some))
        .then(|| (operator.scope(), operator.domain().to_owned(), operator.op_type().to_owned(), inputs, attributes))
}

/// Operators behind those that they read from.
pub(super) fn in_order(model: &Model) -> Vec<OpId> {
    model.ops().collect()
}
