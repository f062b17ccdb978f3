//! Writes operators of integers whose activations get their scale in each run.

mod lstm;
mod products;

use super::{Pass, constants::remove_unread};
use crate::{
    error::Result,
    ir::{Model, OpId, ValueId},
    plan::ActivationPlan,
};

/// Carries out a plan's decisions about layers whose activations get their scale in each run. Their weights are
/// integers behind a DequantizeLinear already, by [`QuantizeWeights`](super::QuantizeWeights).
///
/// A `MatMul` becomes `MatMulInteger` of what `DynamicQuantizeLinear` makes, a `Cast`, and a `Mul` by the product of
/// both scales. An `LSTM` becomes onnxruntime's `DynamicQuantizeLSTM`. Values keep their names.
#[derive(Debug)]
pub struct QuantizeDynamically<'a> {
    /// The plan, made of the same model.
    pub plan: &'a ActivationPlan,
}

impl Pass for QuantizeDynamically<'_> {
    fn name(&self) -> &'static str {
        "quantize-dynamically"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        let mut products = products::Products::of(model);
        let mut recurrent = lstm::Weights::default();
        let mut unread = Vec::new();
        for layer in self.plan.layers() {
            unread.extend(match model.op(layer.op).op_type() {
                "MatMul" => products.write(model, layer.op)?,
                "LSTM" => recurrent.write(model, layer.op)?,
                _ => None,
            });
        }
        let unread: Vec<ValueId> = unread.into_iter().flatten().collect();
        let changed = !unread.is_empty();
        remove_unread(model, unread);
        Ok(changed)
    }
}

/// A weight that a DequantizeLinear makes: its integers, and the scales and zero points.
struct Weight {
    dequantized: ValueId,
    integers: ValueId,
    scales: ValueId,
    zero_points: Option<ValueId>,
}

impl Weight {
    fn of(model: &Model, op: OpId, slot: usize) -> Option<Self> {
        let dequantized = model.input(op, slot)?;
        let maker = model.producer(dequantized).filter(|&maker| model.op(maker).is("DequantizeLinear"))?;
        let (integers, scales) = (model.input(maker, 0)?, model.input(maker, 1)?);
        Some(Self { dequantized, integers, scales, zero_points: model.input(maker, 2) })
    }

    /// The zero points, where one of them is not 0.
    fn other_zero_points(&self, model: &Model) -> Option<ValueId> {
        self.zero_points.filter(|&value| {
            let bytes = model.constant(value).and_then(|tensor| tensor.bytes().ok());
            bytes.is_none_or(|bytes| bytes.iter().any(|&byte| byte != 0))
        })
    }
}
