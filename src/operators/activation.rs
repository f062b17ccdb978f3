//! Activation functions: where they are constant, and what that says of the values around them.

use crate::ir::{Model, OpId, Use, ValueId};

/// Beyond this Sigmoid and Tanh are constant but for less than 10^-4, and so is `x * Sigmoid(x)` on the
/// negative side but for less than 10^-3.
const SATURATED: f32 = 10.0;

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

    /// What lies in both, if they meet.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self { min: self.min.max(other.min), max: self.max.min(other.max) }
    }

    /// The smallest interval that holds both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// What a Relu, or a Clip with constant bounds, limits its output to.
pub fn clamp_bounds(model: &Model, op: OpId) -> Option<Interval> {
    let operator = model.op(op);
    if !is_standard(model, op) || operator.has_attributes_of_caller() {
        return None;
    }
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
    if !is_standard(model, op) {
        return None;
    }
    match model.op(op).op_type() {
        "Sigmoid" | "HardSigmoid" | "Softmax" => Some(Interval { min: 0.0, max: 1.0 }),
        "Tanh" | "Softsign" | "Sin" | "Cos" | "Erf" => Some(Interval { min: -1.0, max: 1.0 }),
        _ => clamp_bounds(model, op),
    }
}

/// The one element of a constant.
pub fn number(model: &Model, value: ValueId) -> Option<f32> {
    let tensor = model.fixed(value)?;
    (tensor.element_count() == 1).then(|| tensor.to_array::<f32>().ok()?.first().copied()).flatten()
}

/// The numbers between which a value matters to those who read it: beyond, its readers give the same
/// as at the ends. So it may be clipped to them. Known are functions that saturate, and values times a
/// gate that such a function makes of them: HardSwish, Swish, and what exporters spell them as.
pub fn interval_that_matters(model: &Model, value: ValueId) -> Interval {
    if model.is_output(value) {
        return Interval::ALL;
    }
    let uses = model.uses(value);
    let mut matters: Option<Interval> = None;
    let mut gates = Vec::new();
    let mut products = Vec::new();
    for use_ in uses {
        let op = model.op(use_.op);
        if !is_standard(model, use_.op) {
            return Interval::ALL;
        }
        let slope = || (op.float("alpha").unwrap_or(0.2), op.float("beta").unwrap_or(0.5));
        let interval = match op.op_type() {
            "Mul" => {
                products.push(use_);
                continue;
            }
            "HardSigmoid" if slope().0 > 0.0 && !op.has_attributes_of_caller() => {
                let (alpha, beta) = slope();
                gates.push((use_.op, -beta / alpha));
                Interval { min: -beta / alpha, max: (1.0 - beta) / alpha }
            }
            // A logarithm, or what a difference from one is divided by, makes much of what is nearly nothing.
            "Sigmoid" if leads_to(model, use_.op, &["Log", "Sub", "Div", "Reciprocal", "Clip"]) => {
                return Interval::ALL;
            }
            "Sigmoid" => {
                gates.push((use_.op, -SATURATED));
                Interval { min: -SATURATED, max: SATURATED }
            }
            "Tanh" => Interval { min: -SATURATED, max: SATURATED },
            "HardSwish" => Interval { min: -3.0, max: f32::INFINITY },
            "Add" => match shifted_clip(model, use_) {
                Some((clip, interval)) => {
                    gates.push((clip, interval.min));
                    interval
                }
                None => return Interval::ALL,
            },
            _ => match clamp_bounds(model, use_.op) {
                Some(bounds) => bounds,
                None => return Interval::ALL,
            },
        };
        matters = Some(matters.map_or(interval, |known| known.hull(interval)));
    }
    for product in products {
        // The value times its gate: nothing where the gate is closed, anything where it is open.
        let factor = model.inputs(product.op).into_iter().flatten().find(|&factor| factor != value);
        let gate = factor.and_then(|factor| model.producer(factor));
        let Some(&(_, closed)) = gates.iter().find(|(op, _)| Some(*op) == gate) else { return Interval::ALL };
        let interval = Interval { min: closed, max: f32::INFINITY };
        matters = Some(matters.map_or(interval, |known| known.hull(interval)));
    }
    matters.unwrap_or(Interval::ALL)
}

/// `Clip(x + c)` that is nothing up to where it opens: the Clip, and the interval of x in which it is
/// neither closed nor fully open.
fn shifted_clip(model: &Model, add: Use) -> Option<(OpId, Interval)> {
    let inputs = model.inputs(add.op);
    let shift = number(model, inputs.get(1 - add.slot.min(1)).copied().flatten()?)?;
    let sum = model.outputs(add.op).first().copied().flatten()?;
    let &[Use { op: clip, slot: 0 }] = model.uses(sum).as_slice() else { return None };
    if model.is_output(sum) {
        return None;
    }
    let bounds = clamp_bounds(model, clip).filter(|bounds| bounds.min == 0.0)?;
    Some((clip, Interval { min: -shift, max: bounds.max - shift }))
}

/// Whether an operator of one of these types reads what an operator makes.
fn leads_to(model: &Model, op: OpId, types: &[&str]) -> bool {
    let outputs = model.outputs(op).into_iter().flatten();
    outputs.flat_map(|output| model.uses(output)).any(|use_| types.contains(&model.op(use_.op).op_type()))
}

/// Whether an operator is one of the default operator set: no call of a function of the model's own, and
/// nothing that carries a graph which its type has no use for. What that would be for, nobody knows, so
/// nothing is made of such an operator.
pub fn is_standard(model: &Model, id: OpId) -> bool {
    let op = model.op(id);
    let runs_graphs = matches!(op.op_type(), "If" | "Loop" | "Scan" | "SequenceMap");
    op.domain().is_empty() && (runs_graphs || op.bodies().is_empty()) && model.called_function(id).is_none()
}
