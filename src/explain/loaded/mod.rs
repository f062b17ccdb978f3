//! A model as a runtime has it once it is loaded: what a target's description lists as done before kernels are
//! looked for is done here, on a copy that is never written. Operators keep their ids, so that what became of
//! each can be told.

mod clamps;
mod identities;
mod pairs;
mod products;
mod propagation;

use std::collections::HashMap;

use crate::{
    error::Result,
    ir::{Model, OpId},
    targets::{Step, Target},
};

/// A model as it is once it is loaded.
pub(super) struct Loaded {
    /// The graph that kernels are looked for in.
    pub model: Model,
    /// What became of operators that are not in it any more, or are something else now.
    pub fates: HashMap<OpId, Fate>,
}

/// What became of an operator when the model was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It gave out what it read, and is gone.
    Identity,
    /// One of two pairs in a row, it is gone.
    MergedPair,
    /// A QuantizeLinear after it does the same, and it is gone: what it follows is the operator.
    Clamp(OpId),
    /// It has become part of another operator: the Add of a product.
    PartOf(OpId),
}

/// Loads a model as a target does.
pub(super) fn load(model: &Model, target: &Target) -> Result<Loaded> {
    let mut loaded = Loaded { model: model.clone(), fates: HashMap::new() };
    if target.does(Step::RemoveIdentities) {
        identities::remove(&mut loaded)?;
    }
    if target.does(Step::MergePairs) {
        pairs::merge(&mut loaded);
    }
    if target.does(Step::ProductsWithBias) {
        products::join(&mut loaded);
    }
    if target.does(Step::PropagatePairs) {
        propagation::propagate(&mut loaded);
    }
    if target.does(Step::AbsorbClamps) {
        clamps::absorb(&mut loaded);
    }
    Ok(loaded)
}
