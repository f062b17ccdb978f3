//! What is not as it could be.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
};

use super::{
    Verdict,
    loaded::{self, Loaded},
    sentences,
    verdicts::{self, Cause, Found},
};
use crate::{
    analysis::Facts,
    error::Result,
    findings::{Code, Fact, Finding, Severity, SlowOperators},
    ir::{DataType, Model, OpId, ValueId},
    targets::{Lack, Quirk, Target, is_dequantizer, quantized},
};

pub(super) fn find(model: &Model, loaded: &Loaded, target: &Target, verdicts: &HashMap<OpId, Found>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = does_not_load(model, target).into_iter().collect();
    for (op, found) in model.ops().map(|op| (op, &verdicts[&op])) {
        findings.extend(of_operator(model, loaded, target, verdicts, op, found));
    }
    let mut findings = merged(findings);
    for finding in &mut findings {
        // An operator may have several weights.
        let mut seen = HashSet::new();
        finding.subjects.retain(|subject| seen.insert(subject.clone()));
    }
    rank(&mut findings);
    findings
}

/// What is the same of several operators is one finding of all of them.
fn merged(findings: Vec<Finding>) -> Vec<Finding> {
    let mut merged: Vec<Finding> = Vec::new();
    let mut places: HashMap<(Code, String), usize> = HashMap::new();
    for finding in findings {
        match places.entry((finding.code, finding.message.clone())) {
            Entry::Occupied(place) => {
                let known = &mut merged[*place.get()];
                known.subjects.extend(finding.subjects);
                known.elements = known.elements.saturating_add(finding.elements);
            }
            Entry::Vacant(place) => {
                place.insert(merged.len());
                merged.push(finding);
            }
        }
    }
    merged
}

/// The worst first: warnings before notes, then by how many elements it costs.
pub(crate) fn rank(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| (Reverse(finding.severity), Reverse(finding.elements), finding.code));
}

/// The operators of a model for which the target dequantizes weights on each run, because no kernel takes these as
/// integers.
///
/// # Errors
/// The model cannot be loaded as the target does it.
pub(crate) fn dequantized_every_run(model: &Model, target: &Target) -> Result<Option<Fact>> {
    if !target.description().dequantizes_every_run || !model.ops().any(|op| model.op(op).is("DequantizeLinear")) {
        return Ok(None);
    }
    let target = target.clone().one_release();
    let loaded = loaded::load(model, &target)?;
    let verdicts = verdicts::all(model, &loaded, &target);
    let mut operators: BTreeMap<String, SlowOperators> = BTreeMap::new();
    let mut counted: HashSet<OpId> = HashSet::new();
    let mut elements = 0;
    for op in model.ops().filter(|op| verdicts[op].cause == Cause::EveryRun && loaded.model.contains_op(*op)) {
        let model_of = &loaded.model;
        let weight = model_of.input(op, 0).and_then(|integers| model_of.constant(integers));
        let Some(weight) = weight.filter(|weight| weight.shape().len() > 1) else { continue };
        elements += weight.element_count();
        for reader in readers(model, model_of, op).into_iter().filter(|&reader| counted.insert(reader)) {
            let of_type = operators.entry(model.op(reader).op_type().to_owned()).or_default();
            of_type.count += 1;
            of_type.names.extend(Some(model.op(reader).name().to_owned()).filter(|name| !name.is_empty()));
        }
    }
    let target = target.name().to_owned();
    Ok((!operators.is_empty()).then_some(Fact::DequantizedEveryRun { target, operators, elements }))
}

/// A product that the target may not load: of int8 activations of other than two axes, where a vector is added to
/// it. No pair in the file prevents that.
pub(crate) fn int8_product_not_loaded(model: &Model, target: &Target) -> Option<Fact> {
    if !target.has_quirk(Quirk::Int8Moved) {
        return None;
    }
    let int8 = |value: ValueId| {
        let pair = model.producer(value).filter(|&pair| is_dequantizer(model, pair))?;
        Some(quantized(model, pair, value)).filter(|it| it.dtype == Some(DataType::Int8) && it.constant.is_none())
    };
    let concerned = |op: &OpId| model.op(*op).is("MatMul") && model.opset(model.op(*op).scope()) >= INT8_TRIPS_FROM;
    let mut products =
        model.ops().filter(concerned).filter(|&op| model.input(op, 0).and_then(int8).is_some()).peekable();
    products.peek()?;
    let facts = Facts::as_stated(model);
    let trips = |op: &OpId| {
        let output = model.outputs(*op).first().copied().flatten();
        let add = output.and_then(|it| model.only_use(it)).filter(|add| model.op(add.op).is("Add"));
        let bias = add.and_then(|add| model.input(add.op, 1 - add.slot.min(1)));
        let rank = |value: Option<ValueId>| value.and_then(|value| facts.rank(value));
        bias.is_some() && rank(bias).is_none_or(|rank| rank == 1) && rank(model.input(*op, 0)) != Some(2)
    };
    let operator = model.op(products.find(trips)?).describe();
    Some(Fact::Int8ProductNotLoaded { target: target.name().to_owned(), operator })
}

/// Products in the main graph that take integers and half floats.
pub(crate) fn zero_halves(model: &Model, target: &Target) -> Option<Fact> {
    let takes_halves = |op: OpId| {
        let weight = model.input(op, 1)?;
        let pair = model.producer(weight).filter(|&pair| is_dequantizer(model, pair))?;
        let it = quantized(model, pair, weight);
        let fuses = it.axis >= 0 && it.constant.is_some() && it.one_reader;
        (fuses && it.float == Some(DataType::Float16)).then(|| model.op(op).describe())
    };
    if !target.has_quirk(Quirk::ZeroHalves) {
        return None;
    }
    let products = model.scope(Model::MAIN).ops().iter().copied().filter(|&op| model.op(op).is("MatMul"));
    let operators: Vec<String> = products.filter_map(takes_halves).collect();
    (!operators.is_empty()).then(|| Fact::ZeroHalves { target: target.name().to_owned(), operators })
}

/// The opset from which on the type of the integers that a QuantizeLinear makes is an attribute, which onnxruntime
/// states wrongly for pairs that it makes itself.
const INT8_TRIPS_FROM: i64 = 21;

/// The operators of the model that read what a DequantizeLinear makes, as the model is loaded; what moves it is passed.
fn readers(model: &Model, loaded: &Model, op: OpId) -> Vec<OpId> {
    let mut found = Vec::new();
    let mut waiting = vec![op];
    while let Some(op) = waiting.pop() {
        let made: Vec<ValueId> = loaded.outputs(op).into_iter().flatten().collect();
        for use_ in made.into_iter().flat_map(|made| loaded.uses(made)) {
            let moves = MOVES.contains(&loaded.op(use_.op).op_type());
            if moves && found.len() + waiting.len() < MAX_READERS {
                waiting.push(use_.op);
            } else if model.contains_op(use_.op) && !found.contains(&use_.op) {
                found.push(use_.op);
            }
        }
    }
    found
}

/// What a dequantized weight passes on its way to those who compute with it.
const MOVES: [&str; 11] = [
    "Cast",
    "Concat",
    "Expand",
    "Flatten",
    "Identity",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// How many readers of one weight are told.
const MAX_READERS: usize = 64;

fn does_not_load(model: &Model, target: &Target) -> Option<Finding> {
    let newest = target.newest_opset()?;
    let quantized = model.ops().find(|&op| {
        let operator = model.op(op);
        let is_pair = operator.is("QuantizeLinear") || operator.is("DequantizeLinear");
        is_pair && model.opset(operator.scope()) > newest
    })?;
    let opset = model.opset(model.op(quantized).scope());
    let release = target.releases().map(|(_, newest)| format!(" {newest}")).unwrap_or_default();
    Some(Finding {
        code: Code::DoesNotLoad,
        severity: Severity::Warning,
        subjects: vec![model.op(quantized).describe()],
        elements: 0,
        message: format!("{}{release} has no QuantizeLinear and DequantizeLinear of opset {opset}", target.name()),
        help: format!("quantize a model of opset {newest} or lower"),
    })
}

fn of_operator(
    model: &Model,
    loaded: &Loaded,
    target: &Target,
    verdicts: &HashMap<OpId, Found>,
    op: OpId,
    found: &Found,
) -> Option<Finding> {
    let finding = |code, elements, message: String, help: String| {
        Some(Finding {
            code,
            severity: Severity::Warning,
            subjects: vec![model.op(op).describe()],
            elements,
            message,
            help,
        })
    };
    match &found.cause {
        Cause::Rule(rule) => {
            let differs = rule.differs.as_ref()?;
            let help = "write it in the form that the kernel takes".to_owned();
            finding(Code::ComputedOtherwise, 0, format!("{} in {}", differs, target.name()), help)
        }
        Cause::EveryRun => {
            let model_of = &loaded.model;
            let integers = model_of.input(op, 0)?;
            let elements = model_of.constant(integers)?.element_count();
            let made: Vec<ValueId> = model_of.outputs(op).into_iter().flatten().collect();
            let readers = made.iter().flat_map(|&made| model_of.uses(made)).map(|use_| use_.op);
            let reader = readers.into_iter().find(|&reader| model.contains_op(reader))?;
            let why = verdicts.get(&reader).map(|found| sentences::why(model, target, reader, found));
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            Some(Finding {
                code: Code::DequantizedEveryRun,
                severity: Severity::Warning,
                subjects: vec![model.op(reader).describe()],
                elements,
                message: format!("every run dequantizes the weight{why}"),
                help: "quantize activations too (--samples), or leave the weight float".to_owned(),
            })
        }
        Cause::Unmet(rule, lack) if found.verdict == Verdict::Float && !matches!(lack, Lack::Dequantized(0)) => {
            let message = format!("computes in float: {}", sentences::lack(rule, lack));
            finding(Code::NotFused, 0, message, "quantize it in the form that the kernel takes".to_owned())
        }
        _ => None,
    }
}
