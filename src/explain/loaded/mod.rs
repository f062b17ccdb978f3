//! A model as a runtime has it once it is loaded: what a target's description lists as done before kernels are
//! looked for is done here, in the order in which it is listed, on a copy that is never written. Operators keep
//! their ids, so that what became of each can be told.

mod branches;
mod clamps;
mod constants;
mod dequantizers;
mod equal;
mod identities;
mod int8;
mod no_effect;
mod pairs;
mod products;
mod propagation;
mod reshapes;
mod wide_pairs;

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
    /// Conversions that were made after the pattern of others.
    pub copies: HashMap<OpId, Vec<OpId>>,
}

/// What became of an operator when the model was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It gave out what it read, and is gone.
    Identity,
    /// It was computed once, or nothing needs it, or it is in a branch that is never taken.
    Computed,
    /// One of two pairs in a row, it is gone.
    MergedPair,
    /// A QuantizeLinear after it does the same, and it is gone.
    Clamp {
        /// What made what it read.
        before: Option<OpId>,
        /// The QuantizeLinear.
        after: OpId,
    },
    /// It has become part of another operator: the Add of a product.
    PartOf(OpId),
}

/// How often what is computed once may show which branch is taken, and that what can be computed once.
const MAX_ROUNDS: usize = 8;

/// Loads a model as a target does.
pub(super) fn load(model: &Model, target: &Target) -> Result<Loaded> {
    let mut loaded = Loaded { model: model.clone(), fates: HashMap::new(), copies: HashMap::new() };
    for step in target.steps() {
        run(step, &mut loaded, target)?;
    }
    Ok(loaded)
}

fn run(step: Step, loaded: &mut Loaded, target: &Target) -> Result<()> {
    match step {
        Step::FoldConstants => {
            for _ in 0..MAX_ROUNDS {
                constants::fold(loaded)?;
                if !branches::take(loaded) {
                    break;
                }
            }
        }
        Step::RemoveIdentities => identities::remove(loaded)?,
        Step::RemoveNoEffect => no_effect::remove(loaded),
        Step::MergeEqual => equal::merge(loaded),
        Step::MergePairs => pairs::merge(loaded),
        Step::FuseReshapes => reshapes::fuse(loaded),
        Step::ProductsWithBias => products::join(loaded),
        Step::DedicateDequantizers => dequantizers::dedicate(loaded),
        Step::PropagatePairs => propagation::propagate(loaded, target, true),
        Step::PropagateDequantizers => propagation::propagate(loaded, target, false),
        Step::DropWidePairs => wide_pairs::drop_wide(loaded),
        Step::AbsorbClamps => clamps::absorb(loaded),
        Step::Int8ToUint8 => int8::convert(loaded),
    }
    Ok(())
}

impl Loaded {
    /// Takes an operator away that gives out what another value is.
    fn bypass(&mut self, op: OpId, same: crate::ir::ValueId, fate: Fate) -> bool {
        let model = &mut self.model;
        let [Some(output)] = model.outputs(op)[..] else { return false };
        if !model.is_output(output) {
            model.read_instead(output, same);
        } else {
            let Some(maker) = model.producer(same).filter(|_| !model.is_output(same)) else { return false };
            if model.value(same).scope() != model.value(output).scope() {
                return false;
            }
            let Some(slot) = model.outputs(maker).iter().position(|made| *made == Some(same)) else { return false };
            model.remove_op(op);
            model.read_instead(same, output);
            model.set_output(maker, slot, output);
            self.fates.insert(op, fate);
            return true;
        }
        model.remove_op(op);
        self.fates.insert(op, fate);
        true
    }
}
