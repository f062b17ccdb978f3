//! Weights that operators make of constants, as constants of their own.

use std::collections::{BTreeMap, HashSet};

use super::{Pass, constants::remove_unread, fold_constants::computed};
use crate::{
    error::Result,
    ir::{DataType, Model, OpId, Use, ValueId},
    operators::is_standard,
};

/// Gives `Conv`, `Gemm` and `MatMul` whose weight is computed from constants alone that weight as a constant
/// of their own, whatever else reads the constants that it is made of: a table that is also read transposed
/// by the last product of a decoder, float16 weights behind a Cast, weights that are normalized.
///
/// Unlike [`FoldConstants`](super::FoldConstants) it does not look at sizes: it is for layers whose weight is
/// quantized next.
///
/// ```
/// use onnx_quant::{Model, passes::{Pass, SettleWeights}};
/// let mut model = Model::load("testdata/made/embedding_tied_by_transpose.onnx")?;
/// assert!(SettleWeights::default().run(&mut model)?);
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct SettleWeights {
    /// Operators whose weights stay as they are.
    pub except: HashSet<OpId>,
    /// Whether the weights of `LSTM` are settled, too.
    pub recurrent: bool,
}

impl Pass for SettleWeights {
    fn name(&self) -> &'static str {
        "settle-weights"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        Ok(!self.settle(model).is_empty())
    }
}

impl SettleWeights {
    /// Does it, and tells which constants it made, and which operators take them.
    pub fn settle(&self, model: &mut Model) -> BTreeMap<ValueId, Vec<OpId>> {
        let mut uses: BTreeMap<ValueId, Vec<Use>> = BTreeMap::new();
        for op in model.ops().filter(|op| !self.except.contains(op)) {
            for slot in self.weights(model, op) {
                if let Some(weight) = model.input(op, *slot).filter(|&weight| model.producer(weight).is_some()) {
                    uses.entry(weight).or_default().push(Use { op, slot: *slot });
                }
            }
        }
        let mut settled = BTreeMap::new();
        let mut unread = Vec::new();
        for (value, uses) in uses {
            let Some(tensor) = computed(model, value).filter(|tensor| tensor.dtype() == DataType::Float) else {
                continue;
            };
            let scope = model.value(value).scope();
            let tensor = tensor.named(&format!("{}_constant", model.value(value).name()));
            let weight = model.new_constant(scope, tensor, None, model.producer(value));
            settled.insert(weight, uses.iter().map(|use_| use_.op).collect());
            model.move_uses(value, &uses.into_iter().map(|use_| (use_, weight)).collect());
            unread.push(value);
        }
        remove_unread(model, unread);
        settled
    }

    /// The inputs of an operator that take its weights.
    fn weights(&self, model: &Model, op: OpId) -> &'static [usize] {
        match model.op(op).op_type() {
            _ if !is_standard(model, op) => &[],
            "Conv" | "Gemm" | "MatMul" => &[1],
            "LSTM" if self.recurrent => &[1, 2],
            _ => &[],
        }
    }
}
