//! Identity, and Dropout outside of training, go.

use super::{Fate, Loaded};
use crate::{
    error::Result,
    ir::OpId,
    passes::{Pass, RemoveIdentities},
};

pub(super) fn remove(loaded: &mut Loaded) -> Result<()> {
    let before: Vec<OpId> = loaded.model.ops().collect();
    RemoveIdentities.run(&mut loaded.model)?;
    let gone = before.into_iter().filter(|&op| !loaded.model.contains_op(op));
    loaded.fates.extend(gone.map(|op| (op, Fate::Identity)));
    Ok(())
}
