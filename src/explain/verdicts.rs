//! The verdict on every operator of a model.

use std::collections::{HashMap, HashSet};

use super::{
    Verdict,
    kinds::{Kind, is_quantizing, kind, touches_floats},
    loaded::{Fate, Loaded},
};
use crate::{
    analysis::Facts,
    ir::{Model, OpId, ValueId},
    operators::is_standard,
    targets::{Form, Fusion, Judgement, Lack, Quantized, Rule, Target, Unit},
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
    /// It is computed once, when the model is loaded, or not at all.
    Computed,
    /// A QuantizeLinear does what it did.
    Clamped,
}

/// The verdicts on all operators of `model`, which is `loaded`.
pub(super) fn all<'t>(model: &Model, loaded: &Loaded, target: &'t Target) -> HashMap<OpId, Found<'t>> {
    let facts = Facts::as_stated(model);
    let loaded_facts = Facts::as_stated(&loaded.model);
    let clamped: HashSet<OpId> = loaded
        .fates
        .values()
        .filter_map(|fate| match fate {
            Fate::Clamp { before, .. } => *before,
            _ => None,
        })
        .collect();
    let mut found = HashMap::new();
    let mut absorbed = HashSet::new();
    for op in loaded.model.ops() {
        if let Some(verdict) = computing(loaded, target, op, &loaded_facts, clamped.contains(&op), &mut absorbed) {
            found.insert(op, verdict);
        }
    }
    dynamic(loaded, &mut found, &mut absorbed);
    for op in loaded.model.ops().filter(|&op| is_quantizing(&loaded.model, op)) {
        found.insert(op, conversion(&loaded.model, op, &absorbed));
    }
    fuse(loaded, target, &mut found);
    fuse_gates(loaded, target, &mut found);
    let verdict = |op: OpId| verdict(model, &facts, loaded, op, &found);
    model.ops().map(|op| (op, verdict(op))).collect()
}

/// The verdict on an operator of the model as it came, by what became of it.
fn verdict<'t>(model: &Model, facts: &Facts, loaded: &Loaded, op: OpId, found: &HashMap<OpId, Found<'t>>) -> Found<'t> {
    let kind = kind(model, facts, op);
    if let (Kind::Numbers, Some(Fate::Clamp { before, after })) = (kind, loaded.fates.get(&op)) {
        let before = before.map(|before| before_merged_pairs(model, loaded, before));
        let kernel = before.and_then(|before| found.get(&standing(loaded, before)));
        if let (Some(kernel), Some(before)) = (kernel.filter(|it| it.verdict == Verdict::Integer), before) {
            return Found { cause: Cause::PartOf(before), ..kernel.clone() };
        }
        let quantizer = found.get(after);
        let runs_as = quantizer.map_or_else(|| "QuantizeLinear".to_owned(), |it| it.runs_as.clone());
        return Found { verdict: Verdict::Conversion, runs_as, cause: Cause::Clamped };
    }
    let stands = standing(loaded, op);
    let is_there = loaded.model.contains_op(stands);
    let known = found.get(&stands).filter(|_| is_there);
    let runs_as = |verdict| match (known, is_there) {
        (Some(known), _) => Found { verdict, ..known.clone() },
        (None, true) if loaded.model.op(stands).is("Constant") => gone(verdict, Cause::NoNumbers),
        (None, true) => {
            let runs_as = loaded.model.op(stands).op_type().to_owned();
            Found { verdict, runs_as, cause: Cause::NoNumbers }
        }
        (None, false) => {
            let cause = match loaded.fates.get(&op) {
                Some(Fate::MergedPair) => Cause::MergedPair,
                Some(Fate::Computed) => Cause::Computed,
                _ => Cause::Identity,
            };
            gone(verdict, cause)
        }
    };
    match kind {
        Kind::Conversion => copied(loaded, stands, found).unwrap_or_else(|| runs_as(Verdict::Conversion)),
        Kind::Nothing => runs_as(Verdict::Other),
        Kind::Numbers => match known {
            Some(known) if stands != op => Found { cause: Cause::PartOf(stands), ..known.clone() },
            Some(known) => known.clone(),
            None => runs_as(Verdict::Other),
        },
    }
}

/// What made the numbers that a DequantizeLinear gives which was merged with the pair after it.
fn before_merged_pairs(model: &Model, loaded: &Loaded, op: OpId) -> OpId {
    let maker = |op: OpId| model.input(op, 0).and_then(|input| model.producer(input));
    let merged = loaded.fates.get(&op) == Some(&Fate::MergedPair);
    merged.then(|| maker(op).and_then(maker)).flatten().unwrap_or(op)
}

/// The operator of the loaded model that one has become part of.
fn standing(loaded: &Loaded, op: OpId) -> OpId {
    let mut op = op;
    while let Some(Fate::PartOf(other)) = loaded.fates.get(&op) {
        op = *other;
    }
    op
}

/// What is left of a conversion that moved.
fn copied<'t>(loaded: &Loaded, op: OpId, found: &HashMap<OpId, Found<'t>>) -> Option<Found<'t>> {
    let is_left = |op: &OpId| found.get(op).is_some_and(|it| !it.runs_as.is_empty());
    let op_type = loaded.model.contains_op(op).then(|| loaded.model.op(op).op_type())?;
    if is_left(&op) {
        return None;
    }
    let mut waiting: Vec<OpId> = loaded.copies.get(&op)?.clone();
    while let Some(copy) = waiting.pop() {
        let same = loaded.model.contains_op(copy) && loaded.model.op(copy).op_type() == op_type;
        if same && is_left(&copy) {
            return found.get(&copy).cloned();
        }
        waiting.extend(loaded.copies.get(&copy).into_iter().flatten());
    }
    None
}

fn gone<'t>(verdict: Verdict, cause: Cause<'t>) -> Found<'t> {
    Found { verdict, runs_as: String::new(), cause }
}

/// The verdict on an operator of the loaded model that does not quantize; what a kernel absorbs around it is
/// noted.
fn computing<'t>(
    loaded: &Loaded,
    target: &'t Target,
    op: OpId,
    facts: &Facts,
    clamped: bool,
    absorbed: &mut HashSet<(OpId, OpId)>,
) -> Option<Found<'t>> {
    let model = &loaded.model;
    let op_type = model.op(op).op_type();
    if is_quantizing(model, op) {
        return None;
    }
    if target.is_integer_operator(model, op) {
        let runs_as = op_type.to_owned();
        return Some(Found { verdict: Verdict::Integer, runs_as, cause: Cause::IntegerOperator });
    }
    let kind = kind(model, facts, op);
    if kind != Kind::Numbers {
        let conversion = kind == Kind::Conversion;
        let runs_as = op_type.to_owned();
        return conversion.then_some(Found { verdict: Verdict::Conversion, runs_as, cause: Cause::Needed });
    }
    let mut unit = Unit::of(model, op);
    unit.note_clamp(clamped);
    let quantized = unit.all_dequantized().chain(unit.all_quantized()).next().is_some();
    let float = |cause| Some(Found { verdict: Verdict::Float, runs_as: op_type.to_owned(), cause });
    match target.judge_loaded(model, op, &unit) {
        Judgement::Integer(rule) => {
            let around = unit.all_dequantized().chain(unit.all_quantized());
            absorbed.extend(around.map(|Quantized { op: pair, .. }| (*pair, op)));
            let expanded = rule.form == Form::Weights && target.description().weights_are_expanded;
            let verdict = if expanded { Verdict::Float } else { Verdict::Integer };
            Some(Found { verdict, runs_as: kernel(rule, op_type), cause: Cause::Rule(rule) })
        }
        Judgement::Float(_) if !touches_floats(model, facts, op) => {
            Some(Found { verdict: Verdict::Integer, runs_as: op_type.to_owned(), cause: Cause::IntegerOperator })
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
            // One number for each column; a matrix is added by itself.
            let columns = |input: ValueId| {
                let shape = model.constant(input).map(|bias| bias.shape());
                shape.is_some_and(|shape| {
                    let columns = shape.last().copied().unwrap_or(1);
                    columns > 1 && shape.iter().product::<usize>() == columns
                })
            };
            model.op(bias).is("Add") && inputs.into_iter().any(columns)
        });
        // Integers that several products read are made once, and by themselves.
        let alone = model.input(op, 0).is_some_and(|integers| model.only_use(integers).is_some());
        let kernel = if alone { "DynamicQuantizeMatMul" } else { "MatMulIntegerToFloat" };
        for part in [scale].into_iter().chain(scales).chain(bias) {
            let whole = Found { verdict: Verdict::Integer, runs_as: kernel.to_owned(), cause: Cause::PartOf(op) };
            found.insert(part, whole);
        }
        found
            .insert(op, Found { verdict: Verdict::Integer, runs_as: kernel.to_owned(), cause: Cause::IntegerOperator });
        let cause = Cause::PartOf(op);
        found.insert(cast, Found { verdict: Verdict::Conversion, runs_as: String::new(), cause });
        if alone {
            absorbed.insert((quantizer, op));
        }
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

/// Operators that one kernel computes together.
fn fuse(loaded: &Loaded, target: &Target, found: &mut HashMap<OpId, Found>) {
    let model = &loaded.model;
    for fusion in target.fusions() {
        for op in model.ops().filter(|&op| model.op(op).is(&fusion.operator) && is_standard(model, op)) {
            let Some(whole) = found.get(&op).filter(|it| it.verdict == fusion.verdict()).cloned() else { continue };
            if fusion.integer && whole.runs_as != fusion.kernel {
                continue;
            }
            let mut last = op;
            while let Some(next) = follower(model, fusion, last, found) {
                for part in [op, next] {
                    let before = found.remove(&part).map(|before| before.cause);
                    let cause = match (fusion.integer, part == op) {
                        (true, true) => whole.cause.clone(),
                        (true, false) => Cause::PartOf(op),
                        (false, _) => before.filter(|it| *it != Cause::NothingQuantized).unwrap_or(Cause::FloatFusion),
                    };
                    found.insert(part, Found { verdict: fusion.verdict(), runs_as: fusion.kernel.clone(), cause });
                }
                last = next;
                if !fusion.chain {
                    break;
                }
            }
        }
    }
}

impl Fusion {
    fn verdict(&self) -> Verdict {
        if self.integer { Verdict::Integer } else { Verdict::Float }
    }
}

/// The float operator that alone reads what another makes, and that a fusion takes in.
fn follower(model: &Model, fusion: &Fusion, op: OpId, found: &HashMap<OpId, Found>) -> Option<OpId> {
    let output = model.outputs(op).first().copied().flatten().filter(|&output| !model.is_output(output))?;
    let mut next = model.only_use(output)?;
    // Rounding is one more thing that a chain does.
    while fusion.chain && is_quantizing(model, next.op) {
        let output = model.outputs(next.op).first().copied().flatten().filter(|&output| !model.is_output(output))?;
        next = model.only_use(output)?;
    }
    let is = fusion.followed_by.iter().any(|known| model.op(next.op).is(known)) && is_standard(model, next.op);
    let beside = || model.input(next.op, 1 - next.slot.min(1)).and_then(|other| model.constant(other));
    let right = match (fusion.vector, fusion.chain) {
        (true, _) => beside().is_some_and(|it| it.shape().len() == 1),
        (false, true) => true,
        (false, false) => next.slot == 0,
    };
    let float = found.get(&next.op).is_some_and(|found| found.verdict == Verdict::Float);
    (is && right && float && !begins_gelu(model, next.op)).then_some(next.op)
}

/// A number times its own Sigmoid, which a factor may be in, is one float kernel.
fn fuse_gates(loaded: &Loaded, target: &Target, found: &mut HashMap<OpId, Found>) {
    let model = &loaded.model;
    let Some(kernel) = &target.description().gate else { return };
    let is_float =
        |op: OpId, found: &HashMap<OpId, Found>| found.get(&op).is_some_and(|found| found.verdict == Verdict::Float);
    let maker = |value: ValueId, op_type: &str| {
        let only = model.only_use(value).is_some() && !model.is_output(value);
        model.producer(value).filter(|&op| only && model.op(op).is(op_type) && is_standard(model, op))
    };
    for op in model.ops().filter(|&op| model.op(op).is("Mul") && is_standard(model, op)) {
        let [Some(left), Some(right)] = model.inputs(op)[..] else { continue };
        let sides = [(left, right), (right, left)];
        let gate = sides.into_iter().find_map(|(value, gate)| {
            let sigmoid = maker(gate, "Sigmoid")?;
            let input = model.input(sigmoid, 0)?;
            let scaled = maker(input, "Mul").filter(|&scaled| {
                let inputs: Vec<ValueId> = model.inputs(scaled).into_iter().flatten().collect();
                inputs.contains(&value) && inputs.iter().any(|&it| model.constant(it).is_some())
            });
            (input == value || scaled.is_some()).then(|| scaled.into_iter().chain([sigmoid, op]).collect::<Vec<_>>())
        });
        let Some(parts) = gate.filter(|parts| parts.iter().all(|&part| is_float(part, found))) else { continue };
        for part in parts {
            let whole = Found { verdict: Verdict::Float, runs_as: kernel.clone(), cause: Cause::FloatFusion };
            found.insert(part, whole);
        }
    }
}

/// Whether an Add begins a Gelu, which takes it for its own.
fn begins_gelu(model: &Model, add: OpId) -> bool {
    let readers = |op: OpId| {
        let outputs = model.outputs(op).into_iter().flatten();
        outputs.flat_map(|output| model.uses(output)).map(|use_| use_.op).collect::<Vec<_>>()
    };
    let scaled = readers(add).into_iter().filter(|&op| model.op(op).is("Div") || model.op(op).is("Mul"));
    model.op(add).is("Add") && scaled.flat_map(readers).any(|op| model.op(op).is("Erf"))
}
