//! Of an If whose condition is known when the model is loaded, the branch that is taken stands in its place.

use super::{Fate, Loaded};
use crate::ir::{Model, OpId, ScopeId};

/// Whether there was such an If.
pub(super) fn take(loaded: &mut Loaded) -> bool {
    let mut any = false;
    for op in loaded.model.ops().collect::<Vec<_>>() {
        let model = &mut loaded.model;
        let Some(taken) = model.contains_op(op).then(|| taken(model, op)).flatten() else { continue };
        let others = model.op(op).bodies().iter().map(|body| body.scope).filter(|&body| body != taken);
        let gone: Vec<OpId> = others.flat_map(|body| all_ops(model, body)).chain([op]).collect();
        model.dissolve_into(op, taken);
        loaded.fates.extend(gone.into_iter().map(|op| (op, Fate::Computed)));
        any = true;
    }
    any
}

/// The branch that an If always takes.
fn taken(model: &Model, op: OpId) -> Option<ScopeId> {
    let operator = model.op(op);
    let condition = model.fixed(model.input(op, 0).filter(|_| operator.is("If"))?)?;
    let holds = condition.bytes().ok()?.first().copied()? != 0;
    let branch = if holds { "then_branch" } else { "else_branch" };
    let body = operator.bodies().iter().find(|body| body.place.attribute == branch)?;
    Some(body.scope)
}

/// The operators of a body and of those in it.
fn all_ops(model: &Model, body: ScopeId) -> Vec<OpId> {
    let mut ops = Vec::new();
    let mut waiting = vec![body];
    while let Some(body) = waiting.pop() {
        for &op in model.scope(body).ops() {
            waiting.extend(model.op(op).bodies().iter().map(|body| body.scope));
            ops.push(op);
        }
    }
    ops
}
