//! Where float constants go, and where what operators read comes from.
//!
//! Forward: from each constant, through operators that only rearrange data and into the model's functions,
//! to the operators that take it as a weight, and to whatever else it ends at. Backward: from an operator's
//! input to what it is. Facts about a model; no configuration has a say in them.

use std::{collections::HashSet, rc::Rc};

use crate::{
    ir::{Model, OpId, ScopeId, Use, ValueId, is_float},
    operators::{
        View, WeightAxes, computes_with_integers, has_weights, is_constant, is_quantizer, is_standard, makes_scales,
        multiplies_constants, rearranges, weight_axes,
    },
};

/// A float constant and where it goes.
pub(super) struct Constant {
    pub value: ValueId,
    pub weight_uses: Vec<WeightUse>,
    /// Direct readers that lead to no weight slot.
    pub other_readers: Vec<OpId>,
    /// Whether a QuantizeLinear reads it.
    pub quantized: bool,
    /// Where else it ends, as it is or rearranged.
    pub ends: Vec<End>,
}

/// Where a constant ends that is no weight there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// An operator that multiplies it with another constant.
    Multiplied(OpId),
    /// An operator that computes another constant of it.
    Folded(OpId),
    /// An operator of which it is not known that it takes weights there.
    Read(OpId),
    /// An operator whose bias, scales or norm it is.
    Parameter,
    /// The outputs of the main graph or a function, or of a body of this operator.
    GivenOut(Option<OpId>),
}

/// An operator that takes a constant as a weight.
pub(super) struct WeightUse {
    /// The use of the constant itself that leads there.
    pub first: Use,
    /// The operator and which input of it.
    pub last: Use,
    /// Channels and summed axis among the constant's own axes, as far as they are one of them.
    pub axes: WeightAxes,
}

/// Calls of calls of functions: far beyond what exporters write, and an end for functions that
/// call themselves.
const MAX_CALL_DEPTH: usize = 16;
/// Uses that are looked at behind one use of a constant: an end for functions that are called from
/// many places, and take many constants.
const MAX_STEPS: usize = 1 << 13;

/// The float constants of a model and where each of them goes, traced once, in the order of the file.
pub struct Constants(pub(super) Vec<Constant>);

impl Constants {
    /// Follows every float constant of a model.
    pub fn of(model: &Model) -> Self {
        Self(model.values().filter_map(|value| constant(model, value)).collect())
    }
}

fn constant(model: &Model, value: ValueId) -> Option<Constant> {
    let tensor = model.constant(value)?;
    if !is_float(tensor.dtype()) {
        return None;
    }
    let view = Rc::new(View::new(tensor.shape()));
    let mut found = Constant {
        value,
        weight_uses: Vec::new(),
        other_readers: Vec::new(),
        quantized: false,
        ends: given_out(model, value).collect(),
    };
    for first in model.uses(value) {
        let known = found.weight_uses.len();
        Search { model, first, found: &mut found, visited: HashSet::new(), ahead: Vec::new() }.run(view.clone());
        if found.weight_uses.len() == known {
            found.other_readers.push(first.op);
        }
    }
    Some(found)
}

/// The scopes' outputs that a value ends at.
fn given_out(model: &Model, value: ValueId) -> impl Iterator<Item = End> {
    let scopes = model.scopes_that_give_out(value);
    scopes.iter().map(|&scope| End::GivenOut(model.scope(scope).owner()))
}

/// The search behind one use of a constant.
struct Search<'a> {
    model: &'a Model,
    first: Use,
    found: &'a mut Constant,
    /// Uses that were looked at, each as part of a call. That a use is reached again, by another way,
    /// is no news.
    visited: HashSet<(Use, Option<OpId>)>,
    /// What is still to be looked at, the next one last. A list and no recursion: a file may have a
    /// hundred thousand operators in a row.
    ahead: Vec<Step>,
}

/// A use of what a constant has become.
struct Step {
    use_: Use,
    view: Rc<View>,
    calls: Calls,
}

/// The calls that the search is inside of, innermost first.
type Calls = Option<Rc<Call>>;

struct Call {
    op: OpId,
    depth: usize,
    outer: Calls,
}

impl Search<'_> {
    fn run(mut self, view: Rc<View>) {
        self.ahead.push(Step { use_: self.first, view, calls: None });
        while let Some(step) = self.ahead.pop() {
            let call = step.calls.as_ref().map(|call| call.op);
            if self.visited.len() < MAX_STEPS && self.visited.insert((step.use_, call)) {
                self.reader(step);
            }
        }
    }

    fn reader(&mut self, Step { use_, view, calls }: Step) {
        let model = self.model;
        let op = model.op(use_.op);
        if let Some(function) = model.called_function(use_.op) {
            let depth = calls.as_ref().map_or(1, |call| call.depth + 1);
            let input = model.scope(function).inputs().get(use_.slot);
            if let Some(input) = input.filter(|_| depth <= MAX_CALL_DEPTH) {
                self.value(input.value, &view, &Some(Rc::new(Call { op: use_.op, depth, outer: calls })));
            }
        } else if let Some(seen) = weight_axes(op, use_.slot, view.shape.len()) {
            if multiplies_constants(model, use_) {
                self.found.ends.push(End::Multiplied(use_.op));
                return;
            }
            if makes_scales(model, use_.op) {
                self.found.ends.push(End::Parameter);
                return;
            }
            let own = |axis: Option<usize>| axis.and_then(|axis| view.axes[axis]);
            let axes = WeightAxes { channels: own(seen.channels), reduced: own(seen.reduced), any: seen.any };
            self.found.weight_uses.push(WeightUse { first: self.first, last: use_, axes });
        } else if is_quantizer(op) && use_.slot == 0 {
            self.found.quantized = true;
        } else if let Some(view) = view.behind(model, use_)
            && let Some(Some(output)) = model.outputs(use_.op).first().copied()
        {
            self.value(output, &Rc::new(view), &calls);
        } else {
            self.found.ends.push(end(model, use_));
        }
    }

    /// Goes on behind a value: first with those that read it, then, where a function gives it out,
    /// behind the call.
    fn value(&mut self, value: ValueId, view: &Rc<View>, calls: &Calls) {
        let model = self.model;
        let scope = model.scope(model.value(value).scope());
        if let Some(call) = calls.as_ref().filter(|_| scope.is_function()) {
            let outputs = model.outputs(call.op);
            for (slot, output) in scope.outputs().iter().enumerate().rev() {
                if output.value == value
                    && let Some(Some(behind)) = outputs.get(slot).copied()
                {
                    self.value(behind, view, &call.outer);
                }
            }
        }
        if !scope.is_function() {
            self.found.ends.extend(given_out(model, value));
        }
        let uses = model.uses(value).into_iter().rev();
        self.ahead.extend(uses.map(|use_| Step { use_, view: view.clone(), calls: calls.clone() }));
    }
}

/// What an operator is to a constant that it takes as no weight.
fn end(model: &Model, use_: Use) -> End {
    let op = use_.op;
    let operator = model.op(op);
    let norms = is_standard(model, op) && operator.op_type().ends_with("Normalization") && use_.slot > 0;
    if norms || computes_with_integers(operator) || is_quantizer(operator) || has_weights(model, op) {
        return End::Parameter;
    }
    let others = model.inputs(op).into_iter().enumerate().filter(|(slot, _)| *slot != use_.slot);
    let constant = is_standard(model, op)
        && model.op(op).arity.inputs <= MAX_OPERANDS
        && model.op(op).bodies().is_empty()
        && others.filter_map(|(_, input)| input).all(|input| is_constant(model, input));
    match (constant, model.op(op).op_type()) {
        (true, "Mul" | "Div") => End::Multiplied(op),
        (true, _) => End::Folded(op),
        (false, _) => End::Read(op),
    }
}

/// What a value is that an operator reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// An input of the main graph, or of a body or function.
    Input(ScopeId),
    /// A constant of a function whose value each call gives.
    Caller,
    /// Dequantized integers that are constant.
    Quantized(OpId),
    /// What this operator makes of nothing but constants.
    Constants(OpId),
    /// What this operator computes.
    Computed(OpId),
}

/// Inputs of an operator that computes a constant of constants, all of which are looked at for each.
const MAX_OPERANDS: usize = 16;

/// Operators one behind the other that are followed back: beyond what exporters write.
const MAX_DEPTH: usize = 16;

/// Where a value comes from that is no constant, through operators that only rearrange data.
pub(super) fn origin(model: &Model, value: ValueId) -> Origin {
    let Some(last) = model.producer(value) else { return Origin::Input(model.value(value).scope()) };
    if made_of_constants(model, value, 0) {
        return Origin::Constants(last);
    }
    let mut maker = last;
    for _ in 0..MAX_DEPTH {
        let op = model.op(maker);
        if op.is("Constant") {
            return if op.has_attributes_of_caller() { Origin::Caller } else { Origin::Constants(maker) };
        }
        let input = model.input(maker, 0);
        if op.is("DequantizeLinear") && input.is_some_and(|input| made_of_constants(model, input, 0)) {
            return Origin::Quantized(maker);
        }
        let rearranges = is_standard(model, maker) && rearranges(op.op_type());
        match input.filter(|_| rearranges) {
            Some(input) => match model.producer(input) {
                Some(before) => maker = before,
                None => return Origin::Input(model.value(input).scope()),
            },
            None => break,
        }
    }
    Origin::Computed(maker)
}

/// Whether a value depends on nothing but constants.
fn made_of_constants(model: &Model, value: ValueId, depth: usize) -> bool {
    if model.constant(value).is_some() {
        return true;
    }
    let Some(op) = model.producer(value).filter(|_| depth < MAX_DEPTH) else { return false };
    let inputs: Vec<ValueId> = model.inputs(op).into_iter().flatten().collect();
    is_standard(model, op)
        && model.op(op).bodies().is_empty()
        && !model.op(op).has_attributes_of_caller()
        && !inputs.is_empty()
        && !is_random(model.op(op).op_type())
        && !model.op(op).is("DequantizeLinear")
        && inputs.into_iter().all(|input| made_of_constants(model, input, depth + 1))
}

fn is_random(op_type: &str) -> bool {
    op_type.starts_with("Random") || matches!(op_type, "Bernoulli" | "Multinomial" | "Dropout")
}
