//! Which values of two models are the same.

use std::collections::{HashMap, HashSet};

use super::NotCompared;
use crate::{
    analysis::Facts,
    calibration::{can_be_watched, value_keys},
    ir::{DataType, Model, Use, ValueId},
    targets::{is_dequantizer, is_quantizer},
};

/// A value of both models.
pub(super) struct Compared {
    /// Its name in the float model.
    pub name: String,
    pub float: ValueId,
    pub quantized: ValueId,
    /// What a DequantizeLinear makes of what a QuantizeLinear makes of it, in the quantized model.
    pub after_pair: Option<ValueId>,
    pub is_output: bool,
}

pub(super) struct Found {
    /// Outputs in the float model's order, then the others in the quantized model's.
    pub compared: Vec<Compared>,
    /// Outputs that cannot be compared.
    pub not_compared: Vec<NotCompared>,
}

/// Values of the same name that are numbers in both models and can be watched there. Left out are constants, which
/// may have been scaled together with what reads them, and what only a Relu or Clip reads: where integers begin
/// behind it, the quantized model need not keep what it takes away. The value behind it is compared.
pub(super) fn find(float: &Model, quantized: &Model) -> Found {
    let (float_facts, quantized_facts) = (Facts::as_stated(float), Facts::as_stated(quantized));
    let by_key: HashMap<String, ValueId> = value_keys(quantized).into_iter().map(|(value, key)| (key, value)).collect();
    let mut compared = Vec::new();
    let mut not_compared = Vec::new();
    let mut outputs = HashSet::new();
    for output in float.scope(Model::MAIN).outputs() {
        let name = float.value(output.value).name().to_owned();
        let other = quantized.scope(Model::MAIN).outputs().iter().find(|it| quantized.value(it.value).name() == name);
        let reason = match other {
            None => Some("is no output of the quantized model"),
            Some(other) => {
                let numbers = is_float(&float_facts, output.value) && is_float(&quantized_facts, other.value);
                (!numbers).then_some("is not of floats")
            }
        };
        match (reason, other) {
            (None, Some(other)) if outputs.insert(output.value) => compared.push(Compared {
                name,
                float: output.value,
                quantized: other.value,
                after_pair: None,
                is_output: true,
            }),
            (Some(reason), _) => not_compared.push(NotCompared { name, reason }),
            _ => {}
        }
    }
    let mut inner: Vec<Compared> = Vec::new();
    for (value, name) in value_keys(float) {
        let Some(&other) = by_key.get(&name).filter(|_| !outputs.contains(&value)) else { continue };
        let made = |model: &Model, facts: &Facts, value| {
            is_float(facts, value) && model.producer(value).is_some() && can_be_watched(model, value).is_ok()
        };
        let stands = !is_constant(float, value) && !is_constant(quantized, other) && !is_clamped(float, value);
        if stands && made(float, &float_facts, value) && made(quantized, &quantized_facts, other) {
            let after_pair = after_pair(quantized, other);
            inner.push(Compared { name, float: value, quantized: other, after_pair, is_output: false });
        }
    }
    let order: HashMap<_, usize> = quantized.ops().enumerate().map(|(place, op)| (op, place)).collect();
    inner.sort_by_key(|it| (quantized.producer(it.quantized).map(|op| order[&op]), it.quantized));
    compared.extend(inner);
    Found { compared, not_compared }
}

fn is_float(facts: &Facts, value: ValueId) -> bool {
    matches!(facts.dtype(value), Some(DataType::Float | DataType::Float16 | DataType::Double))
}

/// Whether a value is constant, as it is or once it is dequantized.
fn is_constant(model: &Model, value: ValueId) -> bool {
    let dequantized = model.producer(value).filter(|&op| is_dequantizer(model, op));
    let stored = dequantized.and_then(|op| model.input(op, 0)).unwrap_or(value);
    model.fixed(stored).is_some()
}

fn is_clamped(model: &Model, value: ValueId) -> bool {
    let uses = model.uses(value);
    !uses.is_empty()
        && uses.into_iter().all(|use_| use_.slot == 0 && matches!(model.op(use_.op).op_type(), "Relu" | "Clip"))
}

fn after_pair(model: &Model, value: ValueId) -> Option<ValueId> {
    let made = |use_: &Use| model.outputs(use_.op).first().copied().flatten();
    let quantizer = model.uses(value).into_iter().find(|&use_| is_quantizer(model, use_))?;
    let dequantizer = model.uses(made(&quantizer)?).into_iter().find(|use_| is_dequantizer(model, use_.op))?;
    made(&dequantizer).filter(|&value| can_be_watched(model, value).is_ok())
}
