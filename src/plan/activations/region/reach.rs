//! What can be reached from where: the values that lead to layers, the layers that logarithms are taken of, and
//! those near operators that the runtime fails with. Each is one walk over the graph, however many layers there are.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Layer, existing_qdq, is_layer};
use crate::{
    analysis::Facts,
    ir::{Model, Op, OpId, ScopeId, ValueId},
    operators::{is_standard, output_interval},
    plan::pairs,
    targets::{
        Quirk, Role, Target,
        onnxruntime::{fails_between_integers, misplaces_axes},
    },
};

/// The values of which a layer, of whatever kind, reads what is made of them, or a function, which may
/// have layers.
pub(super) fn leading_to_layers(model: &Model) -> HashSet<ValueId> {
    let runs: HashMap<ValueId, ScopeId> = model
        .scopes()
        .filter(|&scope| model.scope(scope).owner().is_some())
        .flat_map(|body| model.scope(body).inputs().iter().map(move |input| (input.value, body)))
        .collect();
    let read = model.ops().filter(|&op| is_layer(model, op) || model.called_function(op).is_some());
    let mut back: Vec<ValueId> = read.flat_map(|op| model.inputs(op)).flatten().collect();
    let mut leading = HashSet::new();
    let mut bodies = HashSet::new();
    while let Some(value) = back.pop() {
        if !leading.insert(value) {
            continue;
        }
        let maker = model.producer(value);
        if let Some(op) = maker.filter(|&op| !passes_nothing_on(model.op(op))) {
            back.extend(model.inputs(op).into_iter().flatten());
        }
        // What a body gives out is an output of the operator around it, and an input of its next run.
        let around = maker.into_iter().flat_map(|op| model.op(op).bodies()).map(|body| body.scope);
        for body in around.chain(runs.get(&value).copied()) {
            if bodies.insert(body) {
                back.extend(model.scope(body).outputs().iter().map(|output| output.value));
            }
        }
    }
    leading
}

/// What decides on a branch or a number of runs, or only tells a shape, passes no numbers on.
fn passes_nothing_on(op: &Op) -> bool {
    matches!(op.op_type(), "Shape" | "Size" | "If")
}

/// Layers that compute what a logarithm is taken of: spectrograms inside of models. They are linear up
/// to the logarithm, or to powers and sums, and what is quiet counts there as much as what is loud.
pub(super) fn before_logarithms(model: &Model) -> BTreeSet<OpId> {
    let mut seen = BTreeSet::new();
    let mut back: Vec<OpId> = model.ops().filter(|&op| model.op(op).is("Log")).collect();
    while let Some(op) = back.pop() {
        for input in model.inputs(op).into_iter().flatten() {
            let maker = model.producer(input).filter(|&op| !hides_size(model, op));
            back.extend(maker.filter(|&maker| seen.insert(maker)));
        }
    }
    seen.retain(|&op| is_layer(model, op));
    seen
}

/// Whether how large or small the numbers are that an operator reads no longer shows in what it makes:
/// activation functions even that out, and shapes, comparisons and positions are other numbers.
fn hides_size(model: &Model, op: OpId) -> bool {
    let operator = model.op(op);
    if !operator.domain().is_empty() {
        return false;
    }
    match operator.op_type() {
        "LeakyRelu" | "PRelu" | "Elu" | "Selu" | "Celu" | "Gelu" | "Softplus" | "HardSwish" | "Mish" | "Swish"
        | "ThresholdedRelu" | "LogSoftmax" => true,
        "Shape" | "Size" | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "IsNaN" | "IsInf"
        | "ArgMax" | "ArgMin" | "NonZero" => true,
        // Spectrograms are kept from zero before the logarithm is taken.
        "Clip" => output_interval(model, op).is_some_and(|interval| interval.min <= 0.0 || interval.max.is_finite()),
        _ => output_interval(model, op).is_some(),
    }
}

/// Layers that must not compute in integers because the runtime fails with an operator near them, and which
/// operator that is.
///
/// What varies by less than a step is constant once it is rounded, and where a kernel divides by the deviation alone,
/// it is not a number.
///
/// Transposes travel from an integer convolution to where axes are misplaced, through anything but a layer, with
/// the data and against it. And where only what integers pass lies between an operator and the layer behind it,
/// it would stand between integers.
pub(super) fn near_obstacles(model: &Model, target: &Target) -> BTreeMap<OpId, OpId> {
    let beside = |forward| walk(model, |op| misplaces_axes(model, op), |_| true, forward);
    let moves = |op| target.kernel(model, op).is_some_and(|kernel| kernel.role == Role::KeepsScale);
    let passes = |op| moves(op) || matches!(model.op(op).op_type(), "Relu" | "Clip");
    let mut near = BTreeMap::new();
    if target.has_quirk(Quirk::DilatedAveragePool) {
        near = walk(model, |op| fails_between_integers(model, op), passes, true);
    }
    if target.has_quirk(Quirk::NormalizedConstant) {
        let normalizes = |op| is_standard(model, op) && model.op(op).is("MeanVarianceNormalization");
        for (layer, normalization) in walk(model, normalizes, passes, false) {
            near.entry(layer).or_insert(normalization);
        }
    }
    if !target.has_quirk(Quirk::MisplacedAxes) {
        return near;
    }
    for (layer, obstacle) in beside(true).into_iter().chain(beside(false)) {
        if target.kernel(model, layer).is_some_and(|kernel| kernel.to_integers) {
            near.entry(layer).or_insert(obstacle);
        }
    }
    near
}

/// Layers in a body whose input a DequantizeLinear in the graph around makes already, and that DequantizeLinear. A
/// runtime looks for it next to the layer: for onnxruntime a product has dequantized weights only, which it then
/// looks for in the body, too, and does not load the model.
pub(super) fn dequantized_around<'a>(model: &Model, layers: impl Iterator<Item = &'a Layer>) -> Vec<(OpId, OpId)> {
    let around = |layer: &Layer| {
        let input = model.input(layer.input.op, layer.input.slot)?;
        existing_qdq::activation(model, input)?;
        let pair = model.producer(input)?;
        (model.op(pair).scope() != model.op(layer.op).scope()).then_some((layer.op, pair))
    };
    layers.filter_map(around).collect()
}

/// Products that a vector is added to, or what may be one, of opsets where the runtime trips over pairs that it makes itself,
/// and the Add: it makes a Gemm of both, between two Reshapes, which int8 does not pass there. (A bias of one row
/// keeps it from that; where the rank of a product is not known, or is one, there is none.)
pub(super) fn before_vectors(model: &Model) -> BTreeMap<OpId, OpId> {
    let concerned = |op: &OpId| model.op(*op).is("MatMul") && model.opset(model.op(*op).scope()) >= pairs::FROM_OPSET;
    if !model.ops().any(|op| concerned(&op)) {
        return BTreeMap::new();
    }
    let facts = Facts::as_stated(model);
    let added = |product: OpId| {
        let output = model.outputs(product).first().copied().flatten()?;
        let add = model.only_use(output).filter(|add| model.op(add.op).is("Add"))?;
        let bias = model.input(add.op, 1 - add.slot.min(1))?;
        let rank = model.fixed(bias).map(|bias| bias.shape().len()).or_else(|| facts.rank(bias));
        rank.is_none_or(|rank| rank == 1).then_some(add.op)
    };
    model.ops().filter(concerned).filter_map(|product| Some((product, added(product)?))).collect()
}

/// The first layers on all ways from some operators through others that are `passed`, each with the operator
/// that the way began at.
fn walk(
    model: &Model,
    starts: impl Fn(OpId) -> bool,
    passed: impl Fn(OpId) -> bool,
    forward: bool,
) -> BTreeMap<OpId, OpId> {
    let mut layers = BTreeMap::new();
    let mut seen = HashSet::new();
    let mut ahead: Vec<(OpId, OpId)> = model.ops().filter(|&op| starts(op)).map(|op| (op, op)).collect();
    while let Some((op, start)) = ahead.pop() {
        let next: Vec<OpId> = match forward {
            true => {
                let outputs = model.outputs(op).into_iter().flatten();
                outputs.flat_map(|output| model.uses(output)).map(|use_| use_.op).collect()
            }
            false => model.inputs(op).into_iter().flatten().filter_map(|input| model.producer(input)).collect(),
        };
        for next in next {
            if model.op(next).scope() != model.op(start).scope() || !seen.insert(next) {
                continue;
            }
            if is_layer(model, next) {
                layers.insert(next, start);
            } else if passed(next) {
                ahead.push((next, start));
            }
        }
    }
    layers
}
