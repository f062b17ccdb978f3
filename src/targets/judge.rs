//! What becomes of an operator, by the rules of a target.

use super::{
    Target,
    condition::{Along, Condition},
    schema::{self, Form, Rule},
    unit::{Input, Output, Quantized, Unit},
};
use crate::{
    ir::{DataType, Model, OpId, element_bits},
    operators::{is_standard, weight_axes},
};

/// What a target makes of an operator with integers around it.
#[derive(Debug, Clone, PartialEq)]
pub enum Judgement<'t> {
    /// A kernel computes it with integers, by this rule.
    Integer(&'t Rule),
    /// It computes in float.
    Float(Vec<Unmet<'t>>),
}

/// A rule for an operator's type that it does not meet.
#[derive(Debug, Clone, PartialEq)]
pub struct Unmet<'t> {
    /// The rule.
    pub rule: &'t Rule,
    /// What is not as the rule needs it: the first such thing.
    pub what: Lack<'t>,
}

/// What a rule needs and an operator has not.
#[derive(Debug, Clone, PartialEq)]
pub enum Lack<'t> {
    /// No release that is asked for has the kernel.
    Release,
    /// An input is not dequantized.
    Dequantized(usize),
    /// An input is of another type than the kernel takes.
    Type(usize, Option<DataType>),
    /// The output is of another type than the kernel makes.
    OutputType(Option<DataType>),
    /// No QuantizeLinear stands on an output.
    Quantized,
    /// A Relu or Clip that is needed stands before the QuantizeLinear.
    Clamped,
    /// Besides a QuantizeLinear something else reads an output, or it is the graph's.
    Shared,
    /// A QuantizeLinear stands on an output that must not be quantized.
    NotQuantized,
    /// A condition.
    Condition(&'t Condition),
}

impl Target {
    /// What becomes of an operator as it stands in a model.
    pub fn judge(&self, model: &Model, op: OpId) -> Judgement<'_> {
        let unit = Unit::of(model, op);
        self.judge_unit(model, op, &unit)
    }

    /// What becomes of an operator with `unit` around it, in a model that is loaded: int8 activations that have
    /// not become uint8 by then find no kernel.
    pub fn judge_loaded(&self, model: &Model, op: OpId, unit: &Unit) -> Judgement<'_> {
        if self.steps().all(|step| step != schema::Step::Int8ToUint8) {
            return self.judge_unit(model, op, unit);
        }
        match self.judge_unit(model, op, unit) {
            Judgement::Integer(rule) if rule.form == Form::Static => match left_int8(rule, unit) {
                Some(what) => Judgement::Float(vec![Unmet { rule, what }]),
                None => Judgement::Integer(rule),
            },
            judgement => judgement,
        }
    }

    /// What becomes of an operator with `unit` around it.
    pub fn judge_unit(&self, model: &Model, op: OpId, unit: &Unit) -> Judgement<'_> {
        let mut unmet = Vec::new();
        for rule in self.rules_for(model, op) {
            match self.lack(rule, model, op, unit) {
                None => return Judgement::Integer(rule),
                Some(what) => unmet.push(Unmet { rule, what }),
            }
        }
        Judgement::Float(unmet)
    }

    fn rules_for<'t>(&'t self, model: &Model, op: OpId) -> impl Iterator<Item = &'t Rule> {
        let operator = model.op(op);
        let standard = is_standard(model, op);
        let op_type = operator.op_type().to_owned();
        self.description()
            .rules
            .iter()
            .filter(move |rule| standard && rule.form != Form::Written && rule.is_for(&op_type))
    }

    /// Whether a condition holds.
    pub(super) fn holds(&self, condition: &Condition, rule: &Rule, model: &Model, op: OpId, unit: &Unit) -> bool {
        let operator = model.op(op);
        match condition {
            Condition::Attribute { name, is, default } => {
                let float = operator.float(name).map(f64::from);
                let value = operator.int(name).map(|value| value as f64).or(float).unwrap_or(*default);
                !operator.refers_to_caller(name) && is.contains(&value)
            }
            Condition::Text { name, is, default } => {
                !operator.refers_to_caller(name) && is.iter().any(|text| text == operator.text(name).unwrap_or(default))
            }
            Condition::Ones(name) => {
                !operator.refers_to_caller(name)
                    && operator.ints(name).is_none_or(|all| all.iter().all(|&one| one == 1))
            }
            Condition::NoAttribute(name) => operator.attribute(name).is_none(),
            Condition::NoInput(slot) => matches!(unit.inputs.get(*slot), None | Some(Input::Absent)),
            Condition::Zero(slot) => match unit.inputs.get(*slot) {
                None | Some(Input::Absent) => true,
                Some(Input::Constant) => {
                    let constant = model.input(op, *slot).and_then(|input| model.constant(input));
                    let elements = constant.and_then(|tensor| tensor.to_array::<f32>().ok());
                    elements.is_some_and(|elements| elements.iter().all(|&element| element == 0.0))
                }
                _ => false,
            },
            Condition::Rank { input, is } => rank(model, op, unit, *input).is_some_and(|rank| is.contains(&rank)),
            Condition::Constant(slot) => match unit.inputs.get(*slot) {
                Some(Input::Dequantized(quantized)) => quantized.constant.is_some(),
                Some(Input::Constant) => true,
                _ => false,
            },
            Condition::FloatConstant(slot) => matches!(unit.inputs.get(*slot), Some(Input::Constant)),
            Condition::FloatVector(slot) => match unit.inputs.get(*slot) {
                None | Some(Input::Absent) => true,
                Some(Input::Constant) => rank(model, op, unit, *slot) == Some(1),
                _ => false,
            },
            Condition::Scales { input, along } => unit
                .dequantized(*input)
                .is_some_and(|it| lies(model, op, *input, it).is_some_and(|it| along.contains(&it))),
            Condition::BlocksFrom(least) => unit.dequantized(WEIGHT).is_some_and(|weight| match weight.block {
                None => weight.is_per_tensor() || weight.axis >= 0,
                Some(size) => {
                    let size = usize::try_from(size).unwrap_or(0);
                    size >= *least && size.is_power_of_two() && weight.axis == 0
                }
            }),
            Condition::OneReader(slot) => unit.dequantized(*slot).is_some_and(|it| it.one_reader),
            Condition::BiasScale(tolerance) => bias_scale(unit, *tolerance),
            Condition::ZeroPointsZero(slot) => unit.dequantized(*slot).is_none_or(|quantized| {
                quantized.zero_points.as_ref().is_some_and(|zero_points| zero_points.iter().all(|&zero| zero == 0))
            }),
            Condition::NotInt8(slot) => unit.dequantized(*slot).is_none_or(|it| it.dtype != Some(DataType::Int8)),
            Condition::NotDequantized(slot) => unit.dequantized(*slot).is_none(),
            Condition::SameWidth => {
                let all = unit.all_dequantized().chain(unit.all_quantized());
                let mut widths = all.map(|it| it.dtype.and_then(element_bits));
                let first = widths.next().flatten();
                first.is_some() && widths.all(|width| width == first)
            }
            Condition::SameParameters => same_parameters(rule, unit),
            Condition::NoClamp => {
                !unit.outputs.iter().any(|output| matches!(output, Output::Quantized { after_clamp: true, .. }))
            }
            Condition::NotClamped(since) => {
                let concerned = self.releases().is_none_or(|(_, newest)| newest >= *since);
                !concerned || unit.is_quantized() || !is_clamped(model, op)
            }
            Condition::OpsetUntil(opset) => model.opset(operator.scope()) <= *opset,
            Condition::OpsetFrom(opset) => model.opset(operator.scope()) >= *opset,
            Condition::FoundAtRun(slot) => unit.dequantized(*slot).is_some_and(|it| it.scales.is_none()),
            Condition::ScaledAfter => scaled_after(model, op),
        }
    }

    /// The first thing that a rule needs and an operator has not.
    fn lack<'t>(&self, rule: &'t Rule, model: &Model, op: OpId, unit: &Unit) -> Option<Lack<'t>> {
        if !self.has(rule) {
            return Some(Lack::Release);
        }
        inputs(rule, unit).or_else(|| output(rule, unit)).or_else(|| types(rule, unit)).or_else(|| {
            let lacks = |condition: &&Condition| !self.holds(condition, rule, model, op, unit);
            rule.require.iter().find(lacks).map(Lack::Condition)
        })
    }
}

/// An activation that is int8. Of what computes without weights, constants are activations too.
fn left_int8<'t>(rule: &Rule, unit: &Unit) -> Option<Lack<'t>> {
    let is_weight = |quantized: &Quantized| rule.role == schema::Role::Layer && quantized.constant.is_some();
    let is_int8 = |quantized: &Quantized| quantized.dtype == Some(DataType::Int8) && !is_weight(quantized);
    let input = (0..unit.inputs.len()).find(|&slot| {
        let counts = rule.dequantized.as_ref().is_none_or(|slots| slots.contains(&slot));
        counts && unit.dequantized(slot).is_some_and(is_int8)
    });
    let output = || unit.all_quantized().find(|made| is_int8(made)).map(|_| Lack::OutputType(Some(DataType::Int8)));
    input.map(|slot| Lack::Type(slot, Some(DataType::Int8))).or_else(output)
}

fn inputs<'t>(rule: &Rule, unit: &Unit) -> Option<Lack<'t>> {
    unit.inputs.iter().enumerate().find_map(|(slot, input)| {
        let wanted = rule.dequantized.as_ref().is_none_or(|slots| slots.contains(&slot));
        match (input, wanted) {
            (Input::Absent | Input::Dequantized(_), _) | (_, false) => None,
            (Input::Constant | Input::Computed, true) => Some(Lack::Dequantized(slot)),
        }
    })
}

fn output<'t>(rule: &Rule, unit: &Unit) -> Option<Lack<'t>> {
    let shared = unit.outputs.contains(&Output::Shared);
    let some = unit.all_quantized().next().is_some();
    match rule.output {
        schema::Output::Any => None,
        _ if unit.outputs.contains(&Output::Clamped) => Some(Lack::Clamped),
        schema::Output::Required if unit.is_quantized() => None,
        schema::Output::Required if shared => Some(Lack::Shared),
        schema::Output::Required => Some(Lack::Quantized),
        schema::Output::Absent if some => Some(Lack::NotQuantized),
        schema::Output::Optional if some && !unit.is_quantized() => Some(Lack::Quantized),
        schema::Output::Absent | schema::Output::Optional => None,
    }
}

/// The input that holds a layer's weight.
const WEIGHT: usize = 1;
/// The input that holds a layer's bias.
const BIAS: usize = 2;

fn types<'t>(rule: &Rule, unit: &Unit) -> Option<Lack<'t>> {
    let is_layer = rule.role == schema::Role::Layer;
    let among = |types: &[schema::ElementType], dtype: Option<DataType>| {
        dtype.is_some_and(|dtype| types.iter().any(|known| known.0 == dtype))
    };
    let wrong = unit.inputs.iter().enumerate().find_map(|(slot, input)| {
        let Input::Dequantized(quantized) = input else { return None };
        if rule.dequantized.as_ref().is_some_and(|slots| !slots.contains(&slot)) {
            return None;
        }
        let right = match slot {
            BIAS if is_layer => quantized.dtype == Some(DataType::Int32),
            WEIGHT if is_layer => among(rule.weights.as_ref().unwrap_or(&rule.types), quantized.dtype),
            _ => among(&rule.types, quantized.dtype),
        };
        (!right).then_some(Lack::Type(slot, quantized.dtype))
    });
    wrong.or_else(|| {
        // A rule for weights says nothing of what is made of them.
        let made = unit.all_quantized().find(|made| rule.form == Form::Static && !among(&rule.types, made.dtype));
        made.map(|made| Lack::OutputType(made.dtype))
    })
}

fn rank(model: &Model, op: OpId, unit: &Unit, slot: usize) -> Option<usize> {
    if let Some(quantized) = unit.dequantized(slot)
        && let Some(shape) = &quantized.constant
    {
        return Some(shape.len());
    }
    Some(model.constant(model.input(op, slot)?)?.shape().len())
}

/// How the scales of an input lie; `None` for a way that no kernel takes.
fn lies(model: &Model, op: OpId, slot: usize, quantized: &Quantized) -> Option<Along> {
    if quantized.block.is_some() {
        return Some(Along::Blocks);
    }
    if quantized.is_per_tensor() {
        return Some(Along::Tensor);
    }
    let rank = quantized.constant.as_ref()?.len();
    let channels = weight_axes(model.op(op), slot, rank).and_then(|axes| axes.channels);
    (channels.is_some() && quantized.axis_of(rank) == channels).then_some(Along::Channels)
}

/// Whether a bias has the product of the scales of input and weight, within a part of it.
fn bias_scale(unit: &Unit, tolerance: f32) -> bool {
    let Some(bias) = unit.dequantized(BIAS) else { return true };
    let scales = |slot| unit.dequantized(slot).and_then(|it| it.scales.as_deref());
    let (Some(&[input]), Some(weight), Some(bias)) = (scales(0), scales(WEIGHT), bias.scales.as_deref()) else {
        return false;
    };
    let count = weight.len().max(bias.len());
    (0..count).all(|index| {
        let of = |scales: &[f32]| scales.get(index).or(scales.first()).copied().unwrap_or(0.0);
        let product = input * of(weight);
        (of(bias) - product).abs() < tolerance * product.abs() || of(bias) == product
    })
}

fn same_parameters(rule: &Rule, unit: &Unit) -> bool {
    let slots = rule.dequantized.as_deref();
    let inputs = unit.all_dequantized().enumerate().filter(|(slot, _)| slots.is_none_or(|it| it.contains(slot)));
    let mut all = inputs.map(|(_, it)| it).chain(unit.all_quantized());
    let Some(first) = all.next() else { return false };
    let known = |it: &Quantized| {
        it.is_per_tensor() && it.scales.is_some() && it.zero_points.as_ref().is_some_and(|zero| zero.len() == 1)
    };
    known(first) && all.all(|it| known(it) && it.scales == first.scales && it.zero_points == first.zero_points)
}

/// Whether what an operator makes goes into a Relu or Clip, and nowhere else.
fn is_clamped(model: &Model, op: OpId) -> bool {
    let output = model.outputs(op).first().copied().flatten();
    let reader = output.and_then(|output| super::unit::only_reader(model, output));
    reader.is_some_and(|use_| {
        let clamps = matches!(model.op(use_.op).op_type(), "Relu" | "Clip");
        clamps && use_.slot == 0 && is_standard(model, use_.op)
    })
}

/// Whether what an operator makes becomes float, and is multiplied by its scales.
fn scaled_after(model: &Model, op: OpId) -> bool {
    let next = |op: OpId| {
        let output = model.outputs(op).first().copied().flatten()?;
        super::unit::only_reader(model, output).map(|use_| use_.op)
    };
    let cast = next(op).filter(|&cast| model.op(cast).is("Cast"));
    cast.and_then(next).is_some_and(|product| model.op(product).is("Mul"))
}
