//! The model simplified, without quantizing anything.

use std::collections::BTreeMap;

use super::{
    activations::{MAX_ROUNDS, simplify as simplify_once},
    no_longer_inputs,
};
use crate::{config::Config, error::Result, findings::Finding, ir::Model, plan::unknown_fields};

/// What was there before a model was simplified, and what is left.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Simplified {
    /// How many operators of each type there were, and are; Constant nodes are counted too.
    pub operators: BTreeMap<String, (usize, usize)>,
    /// The bytes of all constants, before and after.
    pub bytes: (usize, usize),
    /// What a user should know besides.
    pub findings: Vec<Finding>,
}

/// Simplifies a model as [`quantize_activations`](crate::quantize_activations) does before it plans, with the passes
/// of [`before_activations`](crate::passes::before_activations), until nothing changes. It computes the same, but that weights into which
/// something is folded are rounded once more. With `keep_overridable` callers can go on overriding what they could.
///
/// # Errors
/// A tensor cannot be read. The model is unchanged then.
///
/// ```
/// let mut model = onnx_quant::Model::load("testdata/ppocr_cls.onnx")?;
/// let simplified = onnx_quant::simplify(&mut model, false)?;
/// let (before, after) = simplified.operators["BatchNormalization"];
/// assert!(before > 0 && after == 0);
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn simplify(model: &mut Model, keep_overridable: bool) -> Result<Simplified> {
    let config = Config { keep_overridable, ..Config::default() };
    let mut simpler = model.clone();
    for _ in 0..MAX_ROUNDS {
        if !simplify_once(&mut simpler, &config)? {
            break;
        }
    }
    let mut operators: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for op in model.ops() {
        operators.entry(model.op(op).op_type().to_owned()).or_default().0 += 1;
    }
    for op in simpler.ops() {
        operators.entry(simpler.op(op).op_type().to_owned()).or_default().1 += 1;
    }
    let bytes = |model: &Model| model.tensors().map(|tensor| tensor.byte_len()).sum();
    let facts = no_longer_inputs(model, &simpler).into_iter().chain(unknown_fields(model));
    let findings = facts.map(Finding::from).collect();
    let simplified = Simplified { operators, bytes: (bytes(model), bytes(&simpler)), findings };
    *model = simpler;
    Ok(simplified)
}
