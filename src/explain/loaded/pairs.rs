//! Of two pairs of QuantizeLinear and DequantizeLinear in a row one goes: the DequantizeLinear of the first and
//! the QuantizeLinear of the second.

use super::{Fate, Loaded};
use crate::{
    ir::{Model, OpId, Use},
    targets::{is_dequantizer, is_quantizer},
};

pub(super) fn merge(loaded: &mut Loaded) {
    let model = &mut loaded.model;
    for first in model.ops().collect::<Vec<_>>() {
        let Some(Merge { second, readers }) = between(model, first) else { continue };
        let Some(integers) = model.input(first, 0) else { continue };
        for reader in readers {
            model.set_input(reader, integers);
        }
        for op in [second, first] {
            model.remove_op(op);
            loaded.fates.insert(op, Fate::MergedPair);
        }
    }
}

/// The end of one pair, the beginning of the next, and what reads that.
struct Merge {
    second: OpId,
    readers: Vec<Use>,
}

/// Whether a DequantizeLinear ends a pair that another one begins after.
fn between(model: &Model, first: OpId) -> Option<Merge> {
    let made_by_pair = |op: OpId| {
        let maker = model.producer(model.input(op, 0)?)?;
        model.op(maker).op_type().eq("QuantizeLinear").then_some(maker)
    };
    if !model.contains_op(first) || !is_dequantizer(model, first) {
        return None;
    }
    made_by_pair(first)?;
    let value = model.outputs(first).first().copied().flatten()?;
    let second = model.only_use(value).filter(|&use_| is_quantizer(model, use_) && !model.is_output(value))?.op;
    let integers = model.outputs(second).first().copied().flatten()?;
    let readers = model.uses(integers);
    let all_dequantize = !readers.is_empty() && readers.iter().all(|use_| is_dequantizer(model, use_.op));
    (all_dequantize && !model.is_output(integers)).then_some(Merge { second, readers })
}
