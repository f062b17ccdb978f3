//! Which pairs of QuantizeLinear and DequantizeLinear have to be there once more.

use std::collections::HashSet;

use super::activations::quantized_to_int8;
use crate::{
    findings::Fact,
    ir::{Model, OpId, ScopeId, ValueId},
    targets::{Target, onnxruntime},
};

/// The opset from which on the runtime trips over a pair that it adds itself.
pub(super) const FROM_OPSET: i64 = 21;

/// The operators that move dequantized int8 activations, with nothing but what they moved it to quantized
/// again behind them: there the pair has to be repeated for onnxruntime to load the model. In the order of the
/// file, so that each finds what the one before it moved dequantized already.
pub fn unrepeated(model: &Model) -> Vec<OpId> {
    let mut dequantized: HashSet<ValueId> = HashSet::new();
    let mut moving = Vec::new();
    let concerned: HashSet<ScopeId> = model.scopes().filter(|&scope| model.opset(scope) >= FROM_OPSET).collect();
    for op in model.ops().filter(|&op| concerned.contains(&model.op(op).scope())) {
        if model.op(op).is("DequantizeLinear") {
            dequantized
                .extend(model.outputs(op).first().copied().flatten().filter(|&value| quantized_to_int8(model, value)));
        }
        let reads = model.input(op, 0).is_some_and(|input| dequantized.contains(&input));
        let [Some(output)] = model.outputs(op)[..] else { continue };
        if !reads || !onnxruntime::propagates(model, op) {
            continue;
        }
        let uses = model.uses(output);
        let quantized = |op: OpId| model.op(op).is("QuantizeLinear");
        if model.is_output(output) || uses.iter().any(|use_| !(use_.slot == 0 && quantized(use_.op))) {
            dequantized.insert(output);
            moving.push(op);
        }
    }
    moving
}

/// What a user should know where pairs are repeated behind so many operators.
pub fn repeated(operators: usize, target: &Target) -> Option<Fact> {
    let release = target.releases().map(|(_, newest)| newest.to_string()).unwrap_or_default();
    (operators > 0).then(|| Fact::PairsRepeated { target: target.name().to_owned(), release, operators })
}
