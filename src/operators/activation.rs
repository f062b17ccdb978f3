//! Activation functions: where they are constant, and what that says of the values around them.

use crate::ir::{Model, OpId, ValueId};

/// An interval of real numbers; either end may be infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub min: f32,
    /// Upper end.
    pub max: f32,
}

impl Interval {
    /// All numbers.
    pub const ALL: Self = Self { min: f32::NEG_INFINITY, max: f32::INFINITY };

    /// The smallest interval that holds both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// What a Relu, or a Clip with constant bounds, limits its output to.
pub fn clamp_bounds(model: &Model, op: OpId) -> Option<Interval> {
    let operator = model.op(op);
    if operator.is("Relu") {
        return Some(Interval { min: 0.0, max: f32::INFINITY });
    }
    if !operator.is("Clip") {
        return None;
    }
    let inputs = model.inputs(op);
    let bound = |slot: usize, attribute: &str, none: f32| match inputs.get(slot).copied().flatten() {
        Some(value) => number(model, value),
        None => Some(operator.float(attribute).unwrap_or(none)),
    };
    let (min, max) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
    (min <= max).then_some(Interval { min, max })
}

/// The values an operator can give, whatever it reads, where the definition of the operator limits them.
pub fn output_interval(model: &Model, op: OpId) -> Option<Interval> {
    match model.op(op).op_type() {
        "Sigmoid" | "HardSigmoid" | "Softmax" => Some(Interval { min: 0.0, max: 1.0 }),
        "Tanh" | "Softsign" | "Sin" | "Cos" | "Erf" => Some(Interval { min: -1.0, max: 1.0 }),
        _ => clamp_bounds(model, op),
    }
}

/// The one element of a constant.
pub fn number(model: &Model, value: ValueId) -> Option<f32> {
    let tensor = model.constant(value)?;
    (tensor.element_count() == 1).then(|| tensor.to_f32().ok()?.first().copied()).flatten()
}
