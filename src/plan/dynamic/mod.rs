//! Which layers compute in integers with scales that each run finds: without samples.
//!
//! The target says which of its operators of integers can stand in a layer's place in the file. A product takes one
//! input, whose scale is right for what it reads at that moment. A recurrent layer takes a whole sequence with one
//! scale, and adds up what it makes of it: it is written only where one scale serves all of its input (`one_scale`).

mod one_scale;

use std::collections::{HashMap, HashSet};

use super::{
    ActivationPlan, Constants, Decision, FloatReason, OperatorPlan, Plan, Reason,
    activations::{drop_weights, is_layer, no_constant, reduce_range, unsupported_by},
    sites, weights,
};
use crate::{
    analysis::Facts,
    config::Config,
    error::Result,
    findings::Fact,
    ir::{DataType, Model, OpId, ValueId, type_name},
    operators::computes_with_integers,
    targets::Target,
};

/// Plans which layers compute in integers with scales that each run finds, and the weights of these.
///
/// # Errors
/// The configuration is not one for [dynamic activations](Config::check_for_dynamic), or a tensor cannot be read.
pub fn plan_dynamic(model: &Model, config: &Config) -> Result<Plan> {
    config.check_for_dynamic()?;
    let constants = Constants::of(model);
    let layers: Vec<OpId> = model.ops().filter(|&op| is_layer(model, op)).collect();
    let mut decisions: HashMap<OpId, Decision> = layers.iter().map(|&op| (op, decide(model, config, op))).collect();
    let integer = |decisions: &HashMap<OpId, Decision>| -> HashSet<OpId> {
        decisions.iter().filter(|(_, decision)| decision.is_integer()).map(|(&op, _)| op).collect()
    };
    let mut plan = weights::plan_layers(model, &constants, config, &integer(&decisions))?;
    for (op, reason) in without_weights(model, &plan, &integer(&decisions)) {
        decisions.insert(op, Decision::FloatLayer(FloatReason::Weight(reason)));
    }
    let integer = integer(&decisions);
    drop_weights(&mut plan, &integer, model);
    if config.activations.reduce_range {
        reduce_range(&mut plan);
    }
    for copy in plan.weights.iter_mut().flat_map(|weight| &mut weight.copies) {
        sites::only_layers_in_bodies(&mut copy.sites, |op| integer.contains(&op));
    }
    // What has several scales is small at least, unless so few steps make that slow.
    let facts = Facts::as_stated(model);
    let several =
        |op: OpId| matches!(decisions.get(&op), Some(Decision::FloatLayer(FloatReason::SeveralScales { .. })));
    let stored: HashSet<OpId> =
        layers.iter().copied().filter(|&op| several(op) && !is_short(model, &facts, op)).collect();
    if !stored.is_empty() && config.store_float_layers.is_none() {
        weights::store_weights_of(&mut plan, model, &constants, config, |op| stored.contains(&op))?;
    }
    let before = || model.ops().any(|op| computes_with_integers(model.op(op)) && !model.op(op).is("DequantizeLinear"));
    if integer.is_empty() && !layers.is_empty() && !before() {
        plan.findings.push(Fact::NothingInIntegers);
    }
    let operators = layers.into_iter().map(|op| OperatorPlan {
        op,
        operator: model.op(op).describe(),
        path: model.scope_path(model.op(op).scope()),
        decision: decisions.remove(&op).expect("every layer has its decision"),
    });
    plan.activations = Some(ActivationPlan { operators: operators.collect(), ..ActivationPlan::default() });
    Ok(plan)
}

/// Whether the target has operators of integers that could stand in an operator's place in the file, as far as the
/// operator itself tells.
pub fn can_be_dynamic(model: &Model, target: &Target, op: OpId) -> bool {
    target.written(model, op).is_ok()
}

fn decide(model: &Model, config: &Config, op: OpId) -> Decision {
    let target = &config.target;
    let rule = match target.written(model, op) {
        Ok(rule) => rule.id.clone(),
        Err(Some(condition)) => {
            return Decision::FloatLayer(FloatReason::Unsupported { what: unsupported_by(condition) });
        }
        Err(None) => return Decision::FloatLayer(FloatReason::NoDynamicKernel { target: target.name().to_owned() }),
    };
    let suits = match model.op(op).op_type() {
        "LSTM" => weight(model, op, 1, 3).and_then(|()| weight(model, op, 2, 3)).and_then(|()| recurrent(model, op)),
        _ => weight(model, op, 1, 2),
    };
    match suits {
        Ok(()) => Decision::Layer { rule },
        Err(reason) => Decision::FloatLayer(reason),
    }
}

/// Whether an input is a weight that an operator of integers takes: a constant, of float32 and this many axes.
fn weight(model: &Model, op: OpId, slot: usize, rank: usize) -> Result<(), FloatReason> {
    let unsupported = |what: String| Err(FloatReason::Unsupported { what });
    let Some(weight) = model.input(op, slot) else { return unsupported("missing input".to_owned()) };
    let tensor = model.constant(weight).ok_or_else(|| no_constant(model, op, weight))?;
    match tensor.shape().len() {
        _ if tensor.dtype() != DataType::Float => unsupported(type_name(tensor.dtype()).to_owned()),
        axes if axes != rank => unsupported(format!("weight of {axes} axes")),
        _ => Ok(()),
    }
}

/// Activation functions whose results are between -1 and 1.
const BOUNDED: [&str; 4] = ["hardsigmoid", "sigmoid", "softsign", "tanh"];

/// What an LSTM needs besides, since a run of its integer form has one scale for the whole sequence that it reads, and
/// in each step one for what it has made in the last.
fn recurrent(model: &Model, op: OpId) -> Result<(), FloatReason> {
    let operator = model.op(op);
    let bounded = |name: &String| BOUNDED.contains(&name.to_lowercase().as_str());
    if operator.has_attributes_of_caller() || !operator.texts("activations").iter().all(bounded) {
        return Err(FloatReason::Unsupported { what: "activation functions without bounds".to_owned() });
    }
    match model.input(op, 0).filter(|&value| !one_scale::serves(model, value)) {
        Some(value) => Err(FloatReason::SeveralScales { value: model.value(value).name().to_owned() }),
        None => Ok(()),
    }
}

/// The sequences that are shorter than this are run faster with weights that are floats. (Measured in onnxruntime 1.32:
/// to dequantize the weights of an LSTM takes as long as 14 of its steps.)
const SHORT: usize = 32;

/// Whether a recurrent layer is known to run few steps.
fn is_short(model: &Model, facts: &Facts, op: OpId) -> bool {
    let Some(input) = model.input(op, 0) else { return false };
    let steps = facts.shape(input).and_then(|shape| shape.first().copied().flatten());
    steps.is_some_and(|steps| steps < SHORT) || is_one_step(model, input)
}

/// Whether an Unsqueeze makes the first axis of a value, as of the one step that a streaming model is given at a time.
fn is_one_step(model: &Model, value: ValueId) -> bool {
    let Some(maker) = model.producer(value).filter(|&maker| model.op(maker).is("Unsqueeze")) else { return false };
    let axes = model.input(maker, 1).and_then(|axes| model.constant(axes)?.to_array::<i64>().ok());
    axes.is_some_and(|axes| axes.iter().any(|&axis| axis == 0))
}

/// The layers of which a weight cannot be quantized, each with the reason.
fn without_weights(model: &Model, plan: &Plan, layers: &HashSet<OpId>) -> Vec<(OpId, Reason)> {
    let quantized: HashSet<ValueId> = plan.weights.iter().map(|weight| weight.value).collect();
    let reasons: HashMap<ValueId, &Reason> = plan.left_float.iter().map(|left| (left.value, &left.reason)).collect();
    let slots = |op: OpId| if model.op(op).is("LSTM") { 1..=2 } else { 1..=1 };
    let missing = |op: OpId| {
        let weights = slots(op).filter_map(|slot| model.input(op, slot));
        let missing = weights.into_iter().find(|weight| !quantized.contains(weight))?;
        Some((op, reasons.get(&missing).map_or(Reason::FloatOperator, |&reason| reason.clone())))
    };
    layers.iter().filter_map(|&op| missing(op)).collect()
}
