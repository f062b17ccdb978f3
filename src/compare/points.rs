//! Which values of two models are the same one.
//!
//! Values are matched by name. A quantized value exists twice: as its operator computes it, before a QuantizeLinear,
//! and rounded, behind the DequantizeLinear. Which of the two has the float model's name differs between quantizers,
//! so the pair is found in the graph; and where only integers are left (`QLinearConv` and its kin), a DequantizeLinear
//! is added to look at them.

use std::collections::{HashMap, HashSet};

use crate::{
    analysis::Facts,
    calibration::{can_be_watched, value_keys},
    ir::{Attribute, DataType, Model, NewOp, OpId, ScopeId, Use, ValueId, is_float},
    targets::{Quantized, is_dequantizer, is_quantizer, quantized},
};

/// What other quantizers, and this one, make of a value's name where something else has the name itself.
const SUFFIXES: [&str; 4] = ["_DequantizeLinear_Output", "_dequantized", "_quantized", "_QuantizeLinear_Output"];

/// Where operators of integers have the scale of their result among their inputs; the zero point comes next.
const RESULT_SCALES: [(&str, usize); 17] = [
    ("QuantizeLinear", 1),
    ("QLinearConv", 6),
    ("QLinearMatMul", 6),
    ("QLinearAdd", 6),
    ("QLinearMul", 6),
    ("QGemm", 7),
    ("QLinearSigmoid", 3),
    ("QLinearLeakyRelu", 3),
    ("QLinearSoftmax", 3),
    ("QLinearAveragePool", 3),
    ("QLinearGlobalAveragePool", 3),
    ("QLinearReduceMean", 3),
    ("QLinearConcat", 0),
    ("QLinearWhere", 7),
    ("QLinearConvTranspose", 6),
    ("QLinearSub", 6),
    ("QLinearDiv", 6),
];

/// A value that both models have.
#[derive(Debug)]
pub(super) struct Point {
    /// The float model's name of it.
    pub name: String,
    /// The operator of the float model that makes it, by type and name; empty for an input.
    pub operator: String,
    /// In the float model.
    pub float: ValueId,
    /// In the quantized model, as its operator computes it.
    pub before: Option<ValueId>,
    /// In the quantized model, rounded.
    pub after: Option<ValueId>,
    /// The integers between the two.
    pub integers: Option<Integers>,
    /// Whether the model gives it out.
    pub output: bool,
    /// Whether the model has it as integers, which are compared as they are.
    pub is_integer: bool,
}

/// A quantized value's integers and what they mean.
#[derive(Debug, Clone, Copy)]
pub(super) struct Integers {
    pub value: ValueId,
    pub scale: ValueId,
    pub zero_point: Option<ValueId>,
}

/// Both models, prepared to be observed, and the values that both have, in the order of the float model's graph.
pub(super) struct Matched {
    pub float: Model,
    pub quantized: Model,
    pub points: Vec<Point>,
    /// What has no counterpart or cannot be compared, and why.
    pub not_compared: Vec<(String, String)>,
}

impl Point {
    /// What readers in the quantized model get.
    pub fn given(&self) -> Option<ValueId> {
        self.after.or(self.before)
    }

    /// How it is rounded, where it is.
    pub fn rounding(&self, model: &Model) -> Option<Quantized> {
        let rounded = self.after.filter(|_| self.integers.is_some())?;
        Some(quantized(model, model.producer(rounded)?, rounded))
    }
}

/// Matches the values of two models.
pub(super) fn matched(float: &Model, quantized: &Model) -> Matched {
    let (float_facts, quantized_facts) = (Facts::as_stated(float), Facts::as_stated(quantized));
    let keys = value_keys(float);
    let named: HashMap<String, ValueId> = value_keys(quantized).into_iter().map(|(value, key)| (key, value)).collect();
    let mut matched =
        Matched { float: float.clone(), quantized: quantized.clone(), points: Vec::new(), not_compared: Vec::new() };
    let inputs = float.scope(Model::MAIN).inputs().iter().map(|input| (None, input.value));
    let mut taken = HashSet::new();
    for (op, value) in inputs.chain(in_order(float)) {
        if float.fixed(value).is_some() || float.value(value).initializer().is_some() {
            continue;
        }
        let is_output = float.is_output(value) && float.value(value).scope() == Model::MAIN;
        let mut point = Point {
            name: keys[&value].clone(),
            operator: op.map(|op| float.op(op).describe()).unwrap_or_default(),
            float: value,
            before: None,
            after: None,
            integers: None,
            output: is_output,
            is_integer: false,
        };
        let refuse = |matched: &mut Matched, reason: String| {
            if is_output {
                matched.not_compared.push((point.name.clone(), reason));
            }
        };
        match float_facts.float_dtype(value).or(stated(float, value)) {
            Some(dtype) if is_float(dtype) => {}
            Some(DataType::String) => {
                refuse(&mut matched, "it is text".to_owned());
                continue;
            }
            // Of what is no number between layers, only what comes out is of interest.
            Some(_) if is_output => point.is_integer = true,
            _ => {
                refuse(&mut matched, "its type is not known".to_owned());
                continue;
            }
        }
        let found = named.get(&point.name).copied();
        let renamed = || SUFFIXES.iter().find_map(|suffix| named.get(&format!("{}{suffix}", point.name)).copied());
        let found = match (is_output, found) {
            (true, found) => found.filter(|&found| quantized.is_output(found)),
            (false, found) => found.or_else(renamed),
        };
        let Some(found) = found.filter(|&found| quantized.fixed(found).is_none()) else {
            refuse(&mut matched, "the quantized model has no output of this name".to_owned());
            continue;
        };
        if let Err(reason) = can_be_watched(float, value).and(can_be_watched(quantized, found)) {
            refuse(&mut matched, reason.to_string());
            continue;
        }
        if point.is_integer {
            point.float = as_float(&mut matched.float, value);
            point.before = Some(as_float(&mut matched.quantized, found));
        } else {
            let given_out = is_output.then_some(found);
            resolve(&mut matched.quantized, &quantized_facts, found, &mut point);
            if given_out.is_some() && !matched.quantized.is_output(point.given().unwrap_or(found)) {
                // What comes out of the model is what counts, whatever readers inside get.
                (point.before, point.after) = (given_out, None);
            }
        }
        // An input that nothing rounds is the same in both.
        let is_rounded = op.is_some() || point.after.is_some();
        if let Some(given) = point.given().filter(|_| is_rounded)
            && taken.insert(given)
        {
            matched.points.push(point);
        }
    }
    matched
}

/// Finds the pair that a value stands before or behind.
fn resolve(model: &mut Model, facts: &Facts, found: ValueId, point: &mut Point) {
    let is_floats = |value| facts.float_dtype(value).is_some_and(is_float);
    if let Some(op) = model.producer(found).filter(|&op| is_dequantizer(model, op)) {
        point.after = Some(found);
        point.integers = integers_read(model, op).filter(|it| model.fixed(it.value).is_none());
        let quantizer = point.integers.and_then(|it| model.producer(it.value));
        let quantizer = quantizer.filter(|&op| is_quantizer(model, Use { op, slot: 0 }));
        point.before = quantizer.and_then(|op| model.input(op, 0));
        return;
    }
    if let Some(integers) = integers_made(model, found) {
        point.integers = Some(integers);
        point.after = Some(looked_at(model, integers));
        return;
    }
    if !is_floats(found) && facts.dtype(found).is_some() {
        return;
    }
    if !model.is_input(found) {
        point.before = Some(found);
    }
    let quantizer = model.uses(found).into_iter().find(|&use_| is_quantizer(model, use_));
    let Some(quantized) = quantizer.and_then(|it| model.outputs(it.op).first().copied().flatten()) else { return };
    let Some(integers) = integers_made(model, quantized) else { return };
    point.integers = Some(integers);
    let dequantized =
        dequantizers(model, quantized).first().and_then(|&op| model.outputs(op).first().copied().flatten());
    // In another scope than the value's it may not have been computed.
    let dequantized = dequantized.filter(|&value| can_be_watched(model, value).is_ok());
    point.after = Some(dequantized.unwrap_or_else(|| looked_at(model, integers)));
}

/// The operators that dequantize integers.
pub(super) fn dequantizers(model: &Model, integers: ValueId) -> Vec<OpId> {
    let readers = model.uses(integers).into_iter().filter(|it| it.slot == 0).map(|it| it.op);
    readers.filter(|&op| is_dequantizer(model, op)).collect()
}

fn integers_read(model: &Model, dequantizer: OpId) -> Option<Integers> {
    let (value, scale) = (model.input(dequantizer, 0)?, model.input(dequantizer, 1)?);
    Some(Integers { value, scale, zero_point: model.input(dequantizer, 2) })
}

/// A value's scale and zero point, if an operator of integers makes it.
fn integers_made(model: &Model, value: ValueId) -> Option<Integers> {
    let op = model.producer(value)?;
    let (_, slot) = RESULT_SCALES.iter().find(|(op_type, _)| model.op(op).op_type() == *op_type)?;
    Some(Integers { value, scale: model.input(op, *slot)?, zero_point: model.input(op, slot + 1) })
}

/// Adds a DequantizeLinear behind what makes the integers; what it gives.
fn looked_at(model: &mut Model, integers: Integers) -> ValueId {
    let scope = model.value(integers.value).scope();
    let name = format!("{}_looked_at", model.value(integers.value).name());
    let output = model.new_value(scope, &name);
    let inputs = [integers.value, integers.scale].into_iter().chain(integers.zero_point).collect();
    let behind = model.producer(integers.value).and_then(|op| model.op_after(op));
    model.insert_op(scope, behind, NewOp { op_type: "DequantizeLinear", name, inputs, output, attributes: vec![] });
    output
}

fn as_float(model: &mut Model, value: ValueId) -> ValueId {
    let name = format!("{}_as_float", model.value(value).name());
    let output = model.new_value(Model::MAIN, &name);
    let attributes = vec![("to", Attribute::Int(DataType::Float as i64))];
    model.insert_op(Model::MAIN, None, NewOp { op_type: "Cast", name, inputs: vec![value], output, attributes });
    output
}

fn stated(model: &Model, value: ValueId) -> Option<DataType> {
    let scope = model.scope(Model::MAIN);
    let interface = scope.outputs().iter().chain(scope.inputs()).find(|it| it.value == value)?;
    interface.tensor_type()?.dtype
}

/// What operators make, in the order in which they run; what is in a body comes before what its operator makes.
fn in_order(model: &Model) -> Vec<(Option<OpId>, ValueId)> {
    let mut values = Vec::new();
    let operators = |scope: ScopeId| model.scope(scope).ops().iter().rev().map(|&op| (op, false));
    let mut waiting: Vec<(OpId, bool)> = operators(Model::MAIN).collect();
    while let Some((op, bodies_done)) = waiting.pop() {
        if bodies_done || model.op(op).bodies().is_empty() {
            values.extend(model.outputs(op).into_iter().flatten().map(|value| (Some(op), value)));
            continue;
        }
        waiting.push((op, true));
        for body in model.op(op).bodies().iter().rev() {
            waiting.extend(operators(body.scope));
        }
    }
    values
}
