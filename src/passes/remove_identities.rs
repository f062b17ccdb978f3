//! Removes operators that give out what they read.

use std::collections::HashMap;

use super::{
    Pass,
    constants::{fixed, remove_unread},
};
use crate::{
    analysis::{Facts, cast_target},
    error::Result,
    ir::{Model, OpId, ScopeId, Use, ValueId},
    operators::is_standard,
};

/// Removes Identity, Dropout outside of training, Cast to the type that a value has already, Transpose
/// that moves no axis, and all but one of several Casts of one value to one type.
///
/// Readers go on with what the operator read. Where the graph gives its output out, whatever makes the
/// input makes that output instead; an operator stays where that cannot be, as where a graph gives out
/// one of its inputs or a body a value of the graph around it.
///
/// ```
/// use onnx_quant::{Model, passes::{Pass, RemoveIdentities}};
/// let mut model = Model::load("testdata/made/behind_moves.onnx")?;
/// assert!(RemoveIdentities.run(&mut model)?);
/// assert!(!model.ops().any(|op| model.op(op).is("Identity")));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RemoveIdentities;

impl Pass for RemoveIdentities {
    fn name(&self) -> &'static str {
        "remove-identities"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        let facts = Facts::guaranteed(model);
        let mut changed = false;
        let mut unread = Vec::new();
        let mut gone = Vec::new();
        let mut casts: HashMap<(ValueId, ScopeId), Vec<OpId>> = HashMap::new();
        for op in model.ops().collect::<Vec<_>>() {
            let (Some(input), Some(Some(output))) = (model.input(op, 0), model.outputs(op).first().copied()) else {
                continue;
            };
            // The mask of a Dropout goes too if nobody reads it; what makes more stays.
            let others = model.outputs(op).into_iter().skip(1).flatten().collect::<Vec<_>>();
            if !is_standard(model, op) || others.iter().any(|&other| model.is_read(other)) {
                continue;
            }
            let same = if is_identity(model, &facts, op) {
                Some(input)
            } else if model.op(op).is("Cast") {
                let known = casts.entry((input, model.op(op).scope())).or_default();
                let twin = known.iter().find(|&&known| model.op(known).shell.attribute == model.op(op).shell.attribute);
                let twin = twin.and_then(|&twin| model.outputs(twin).first().copied().flatten());
                known.extend(twin.is_none().then_some(op));
                twin
            } else {
                None
            };
            let Some(same) = same else { continue };
            let inputs = model.inputs(op);
            if let Some(removed) = bypass(model, op, same, output) {
                gone.push(removed);
                gone.extend(others);
                unread.extend(inputs.into_iter().flatten());
                changed = true;
            }
        }
        model.remove_values(gone);
        remove_unread(model, unread);
        Ok(changed)
    }
}

fn is_identity(model: &Model, facts: &Facts, id: OpId) -> bool {
    let op = model.op(id);
    match op.op_type() {
        "Identity" => true,
        "Dropout" => does_nothing(model, id),
        "Cast" => {
            let to = cast_target(op.int("to"), op.text("to")).filter(|_| !op.refers_to_caller("to"));
            to.is_some() && to == model.input(id, 0).and_then(|input| facts.dtype(input))
        }
        "Transpose" => op.ints("perm").is_some_and(|perm| perm.iter().copied().eq(0..perm.len() as i64)),
        _ => false,
    }
}

/// Whether a Dropout is one outside of training. Since opset 12 an input says so, from opset 7 on nothing
/// does, before an attribute.
fn does_nothing(model: &Model, id: OpId) -> bool {
    let op = model.op(id);
    let trains = match model.opset(op.scope()) {
        ..7 => op.int("is_test").unwrap_or(0) == 0,
        7..12 => false,
        12.. => model.input(id, 2).is_some_and(|mode| {
            let mode = fixed(model, mode).and_then(|mode| mode.bytes().ok());
            mode.is_none_or(|mode| mode.iter().any(|&byte| byte != 0))
        }),
    };
    !trains
}

/// Takes an operator away whose output `output` is the same as `same`. Returns the value that is gone
/// with it, or `None` where the operator has to stay.
fn bypass(model: &mut Model, op: OpId, same: ValueId, output: ValueId) -> Option<ValueId> {
    if !model.is_output(output) {
        let moves = readers(model, output, same)?;
        model.move_uses(output, &moves);
        model.remove_op(op);
        return Some(output);
    }
    let producer = model.producer(same)?;
    let scope = model.value(output).scope();
    if model.is_output(same) || model.value(same).scope() != scope {
        return None;
    }
    let mut moves = readers(model, same, output)?;
    moves.retain(|use_, _| use_.op != op);
    let slot = model.outputs(producer).iter().position(|made| *made == Some(same))?;
    model.move_uses(same, &moves);
    model.remove_op(op);
    model.set_output(producer, slot, output);
    Some(same)
}

/// The readers of one value, to read another one instead; `None` where one of them is in a body in
/// which another value has that one's name.
fn readers(model: &Model, from: ValueId, to: ValueId) -> Option<HashMap<Use, ValueId>> {
    let name = model.value(to).name();
    let uses = model.uses(from).into_iter();
    uses.map(|use_| (model.find(model.op(use_.op).scope(), name) == Some(to)).then_some((use_, to))).collect()
}
