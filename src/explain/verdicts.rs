//! The verdict on every operator of a model.

use std::collections::{HashMap, HashSet};

use super::{
    Verdict,
    loaded::{Fate, Loaded},
};
use crate::{
    analysis::Facts,
    ir::{DataType, Model, OpId, ValueId},
    operators::is_standard,
    targets::{Judgement, Lack, Quantized, Rule, Target, Unit},
};

/// What was found of one operator.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found<'t> {
    pub verdict: Verdict,
    /// The kernel that does its work; empty where none is left.
    pub runs_as: String,
    pub cause: Cause<'t>,
}

/// Why it is so.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cause<'t> {
    /// A rule of the target.
    Rule(&'t Rule),
    /// It is an operator of integers in the file already.
    IntegerOperator,
    /// Nothing around it is quantized.
    NothingQuantized,
    /// The target has no integer kernel for its type.
    NoKernel,
    /// The rule that came nearest, and what it lacks.
    Unmet(&'t Rule, Lack<'t>),
    /// A float kernel computes it together with others.
    FloatFusion,
    /// It is part of a kernel.
    PartOf(OpId),
    /// It gives out what it reads.
    Identity,
    /// A second pair right after a first.
    MergedPair,
    /// Integer kernels read what it reads, or make what it makes.
    Absorbed,
    /// Somebody needs what it makes.
    Needed,
    /// It dequantizes a constant in each run.
    EveryRun,
    /// No numbers that a quantized model has as integers.
    NoNumbers,
}

/// Operators that compute nothing themselves.
const COMPUTE_NOTHING: [&str; 8] = ["Constant", "ConstantOfShape", "If", "Loop", "Scan", "Shape", "Size", "Range"];

/// The verdicts on all operators of `model`, which is `loaded`.
pub(super) fn all<'t>(model: &Model, loaded: &Loaded, target: &'t Target) -> HashMap<OpId, Found<'t>> {
    let facts = Facts::as_stated(model);
    let mut found = HashMap::new();
    let mut absorbed = HashSet::new();
    for op in loaded.model.ops() {
        let Some(verdict) = computing(loaded, target, op, &mut absorbed) else { continue };
        found.insert(op, verdict);
    }
    dynamic(loaded, &mut found, &mut absorbed);
    for op in loaded.model.ops().filter(|&op| is_conversion(&loaded.model, op)) {
        found.insert(op, conversion(&loaded.model, op, &absorbed));
    }
    fuse_floats(loaded, target, &mut found);
    for op in model.ops() {
        let fate = loaded.fates.get(&op).copied();
        let known = match fate {
            Some(Fate::PartOf(other) | Fate::Clamp(other)) => part_of(other, fate, &found),
            Some(Fate::Identity) => gone(Cause::Identity),
            Some(Fate::MergedPair) => Found { verdict: Verdict::Conversion, ..gone(Cause::MergedPair) },
            None => match found.remove(&op) {
                Some(verdict) if makes_numbers(model, &facts, op) || verdict.verdict != Verdict::Float => verdict,
                _ => other(model, op),
            },
        };
        found.insert(op, known);
    }
    found
}

fn gone<'t>(cause: Cause<'t>) -> Found<'t> {
    Found { verdict: Verdict::Other, runs_as: String::new(), cause }
}

fn other<'t>(model: &Model, op: OpId) -> Found<'t> {
    Found { verdict: Verdict::Other, runs_as: model.op(op).op_type().to_owned(), cause: Cause::NoNumbers }
}

fn part_of<'t>(other: OpId, fate: Option<Fate>, found: &HashMap<OpId, Found<'t>>) -> Found<'t> {
    match found.get(&other) {
        Some(whole) if whole.verdict == Verdict::Integer || matches!(fate, Some(Fate::PartOf(_))) => {
            Found { verdict: whole.verdict, runs_as: whole.runs_as.clone(), cause: Cause::PartOf(other) }
        }
        _ => gone(Cause::Absorbed),
    }
}

pub(super) fn is_conversion(model: &Model, op: OpId) -> bool {
    let operator = model.op(op);
    let op_type = operator.op_type();
    matches!(op_type, "QuantizeLinear" | "DequantizeLinear" | "DynamicQuantizeLinear")
        && matches!(operator.domain(), "" | "com.microsoft")
}

/// The verdict on an operator that is no conversion; what a kernel absorbs around it is noted.
fn computing<'t>(
    loaded: &Loaded,
    target: &'t Target,
    op: OpId,
    absorbed: &mut HashSet<(OpId, OpId)>,
) -> Option<Found<'t>> {
    let model = &loaded.model;
    let op_type = model.op(op).op_type();
    if is_conversion(model, op) || COMPUTE_NOTHING.contains(&op_type) || model.called_function(op).is_some() {
        return None;
    }
    if target.is_integer_operator(model, op) {
        let runs_as = op_type.to_owned();
        return Some(Found { verdict: Verdict::Integer, runs_as, cause: Cause::IntegerOperator });
    }
    if is_cast_of_integers(model, target, op) {
        return Some(Found { verdict: Verdict::Conversion, runs_as: op_type.to_owned(), cause: Cause::Needed });
    }
    let mut unit = Unit::of(model, op);
    unit.note_clamp(loaded.fates.values().any(|&fate| fate == Fate::Clamp(op)));
    let quantized = unit.all_dequantized().chain(unit.all_quantized()).next().is_some();
    let float = |cause| Some(Found { verdict: Verdict::Float, runs_as: op_type.to_owned(), cause });
    match target.judge_unit(model, op, &unit) {
        Judgement::Integer(rule) => {
            let around = unit.all_dequantized().chain(unit.all_quantized());
            absorbed.extend(around.map(|Quantized { op: pair, .. }| (*pair, op)));
            Some(Found { verdict: Verdict::Integer, runs_as: kernel(rule, op_type), cause: Cause::Rule(rule) })
        }
        Judgement::Float(unmet) if unmet.is_empty() && quantized => float(Cause::NoKernel),
        Judgement::Float(mut unmet) if quantized => {
            // The last thing that a rule looks at is its conditions: who gets there came nearest.
            let distance = |lack: &Lack| match lack {
                Lack::Condition(_) => 0,
                Lack::Type(..) | Lack::OutputType(_) => 1,
                Lack::Quantized | Lack::Clamped | Lack::Shared | Lack::NotQuantized => 2,
                Lack::Dequantized(_) => 3,
                Lack::Release => 4,
            };
            unmet.sort_by_key(|unmet| distance(&unmet.what));
            let nearest = unmet.swap_remove(0);
            float(Cause::Unmet(nearest.rule, nearest.what))
        }
        Judgement::Float(_) => float(Cause::NothingQuantized),
    }
}

/// Whether an operator makes floats of the sums that an operator of integers gives out.
fn is_cast_of_integers(model: &Model, target: &Target, op: OpId) -> bool {
    let maker = || model.producer(model.input(op, 0)?);
    model.op(op).is("Cast") && maker().is_some_and(|maker| target.is_integer_operator(model, maker))
}

fn kernel(rule: &Rule, op_type: &str) -> String {
    rule.kernel.as_deref().map_or_else(|| op_type.to_owned(), |kernel| kernel.replace('*', op_type))
}

/// The integer product of integers that a run finds the scale of, and what makes a float of it, are one kernel.
fn dynamic(loaded: &Loaded, found: &mut HashMap<OpId, Found>, absorbed: &mut HashSet<(OpId, OpId)>) {
    let model = &loaded.model;
    let reader = |op: OpId| {
        let output = model.outputs(op).first().copied().flatten()?;
        model.only_use(output).filter(|_| !model.is_output(output)).map(|use_| use_.op)
    };
    for op in model.ops().filter(|&op| model.op(op).is("MatMulInteger") && is_standard(model, op)) {
        let made_at_run = model.input(op, 0).and_then(|input| model.producer(input));
        let Some(quantizer) = made_at_run.filter(|&maker| model.op(maker).is("DynamicQuantizeLinear")) else {
            continue;
        };
        let cast = reader(op).filter(|&cast| model.op(cast).is("Cast"));
        let Some((cast, scale)) = cast.and_then(|cast| Some((cast, reader(cast)?))) else { continue };
        if !model.op(scale).is("Mul") {
            continue;
        }
        let scales = model.inputs(scale).into_iter().flatten().filter_map(|input| model.producer(input));
        let scales = scales.filter(|&maker| maker != cast && model.op(maker).is("Mul"));
        let bias = reader(scale).filter(|&bias| {
            let inputs = model.inputs(bias).into_iter().flatten();
            model.op(bias).is("Add") && inputs.into_iter().any(|input| model.constant(input).is_some())
        });
        let kernel = "DynamicQuantizeMatMul";
        for part in [scale].into_iter().chain(scales).chain(bias) {
            let whole = Found { verdict: Verdict::Integer, runs_as: kernel.to_owned(), cause: Cause::PartOf(op) };
            found.insert(part, whole);
        }
        found
            .insert(op, Found { verdict: Verdict::Integer, runs_as: kernel.to_owned(), cause: Cause::IntegerOperator });
        let cause = Cause::PartOf(op);
        found.insert(cast, Found { verdict: Verdict::Conversion, runs_as: String::new(), cause });
        absorbed.insert((quantizer, op));
    }
}

/// A conversion is gone where kernels read what it reads, all of its readers, or make what it makes.
fn conversion<'t>(model: &Model, op: OpId, absorbed: &HashSet<(OpId, OpId)>) -> Found<'t> {
    let operator = model.op(op);
    let outputs: Vec<ValueId> = model.outputs(op).into_iter().flatten().collect();
    let is_gone = match operator.op_type() {
        "DequantizeLinear" | "DynamicQuantizeLinear" => {
            let uses: Vec<_> = outputs.iter().flat_map(|&output| model.uses(output)).collect();
            let all = uses.iter().all(|use_| absorbed.contains(&(op, use_.op)) || part_of_absorber(model, use_.op));
            all && !uses.is_empty() && !outputs.iter().any(|&output| model.is_output(output))
        }
        _ => {
            let maker = model.input(op, 0).and_then(|input| model.producer(input));
            maker.is_some_and(|maker| absorbed.contains(&(op, maker)))
        }
    };
    let constant = model.input(op, 0).is_some_and(|input| model.constant(input).is_some());
    let (runs_as, cause) = match is_gone {
        true => (String::new(), Cause::Absorbed),
        false if constant && operator.op_type() == "DequantizeLinear" => {
            (operator.op_type().to_owned(), Cause::EveryRun)
        }
        false => (operator.op_type().to_owned(), Cause::Needed),
    };
    Found { verdict: Verdict::Conversion, runs_as, cause }
}

/// The scale of a dynamic product is read by the Mul that is part of its kernel.
fn part_of_absorber(model: &Model, op: OpId) -> bool {
    model.op(op).is("Mul")
        && model
            .inputs(op)
            .into_iter()
            .flatten()
            .filter_map(|input| model.producer(input))
            .any(|it| model.op(it).is("DynamicQuantizeLinear"))
}

/// Float operators that one kernel computes together.
fn fuse_floats(loaded: &Loaded, target: &Target, found: &mut HashMap<OpId, Found>) {
    let model = &loaded.model;
    for fusion in &target.description().float_fusions {
        for op in model.ops().filter(|&op| model.op(op).is(&fusion.operator) && is_standard(model, op)) {
            let is_float = |op: OpId| found.get(&op).is_some_and(|found| found.verdict == Verdict::Float);
            let Some(output) = model.outputs(op).first().copied().flatten() else { continue };
            let next = model.only_use(output).filter(|use_| use_.slot == 0 && !model.is_output(output)).map(|it| it.op);
            let follows = |&next: &OpId| {
                let is = fusion.followed_by.iter().any(|known| model.op(next).is(known));
                is && is_standard(model, next) && is_float(next)
            };
            let Some(next) = next.filter(follows).filter(|_| is_float(op)) else { continue };
            for part in [op, next] {
                let fused =
                    Found { verdict: Verdict::Float, runs_as: fusion.kernel.clone(), cause: Cause::FloatFusion };
                let cause = found.remove(&part).map(|before| before.cause).filter(|it| *it != Cause::NothingQuantized);
                found.insert(part, Found { cause: cause.unwrap_or(Cause::FloatFusion), ..fused });
            }
        }
    }
}

/// Whether an operator makes numbers that a quantized model may have as integers.
fn makes_numbers(model: &Model, facts: &Facts, op: OpId) -> bool {
    let outputs = model.outputs(op).into_iter().flatten();
    let mut types = outputs.map(|output| facts.dtype(output)).peekable();
    let float = |dtype: Option<DataType>| {
        dtype.is_none_or(|it| matches!(it, DataType::Float | DataType::Float16 | DataType::Bfloat16 | DataType::Double))
    };
    types.peek().is_some() && types.any(float)
}
