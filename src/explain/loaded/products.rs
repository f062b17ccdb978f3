//! MatMul and the Add of a bias become a Gemm.

use super::{Fate, Loaded};
use crate::{
    analysis::Facts,
    ir::{Model, OpId, Use, ValueId},
    operators::is_standard,
};

pub(super) fn join(loaded: &mut Loaded) {
    let facts = Facts::as_stated(&loaded.model);
    for add in loaded.model.ops().collect::<Vec<_>>() {
        let model = &mut loaded.model;
        let Some((product, bias)) = biased(model, &facts, add) else { continue };
        let Some(Some(output)) = model.outputs(add).first().copied() else { continue };
        model.remove_op(add);
        model.set_input(Use { op: product, slot: 2 }, bias);
        model.set_op_type(product, "Gemm");
        model.set_output(product, 0, output);
        loaded.fates.insert(add, Fate::PartOf(product));
    }
}

/// The product that an Add adds a bias to, and the bias.
fn biased(model: &Model, facts: &Facts, add: OpId) -> Option<(OpId, ValueId)> {
    if !model.op(add).is("Add") || !is_standard(model, add) {
        return None;
    }
    let [Some(left), Some(right)] = model.inputs(add)[..] else { return None };
    let is_product = |value: ValueId| {
        let op = model.producer(value)?;
        let alone = model.only_use(value).is_some() && !model.is_output(value);
        (alone && model.op(op).is("MatMul") && is_standard(model, op)).then_some(op)
    };
    let (product, bias) = match (is_product(left), is_product(right)) {
        (Some(product), _) => (product, right),
        (None, Some(product)) => (product, left),
        (None, None) => return None,
    };
    let left = facts.shape(model.input(product, 0)?)?;
    let right = facts.shape(model.input(product, 1)?)?;
    let &[_, columns] = right.as_slice() else { return None };
    let columns = columns?;
    let fits = match (left.len(), facts.shape(bias)?.as_slice()) {
        // More than matrices become matrices where all sizes are known.
        (3.., &[Some(size)]) => size == columns && left.iter().all(Option::is_some),
        (2, &[Some(size)]) => size == columns,
        // Sizes that are not known are mostly the batch's, on both sides.
        (2, &[rows, Some(size)]) => size == columns && (rows == Some(1) || left[0] == rows),
        _ => false,
    };
    fits.then_some((product, bias))
}
