//! Where float constants go: forward from each one, through operators that only rearrange data and
//! into the model's functions, to the operators that take it as a weight.

use std::{collections::HashSet, rc::Rc};

use crate::{
    ir::{Model, OpId, Use, ValueId, is_float},
    operators::{View, WeightAxes, is_quantizer, makes_scales, multiplies_constants, weight_axes},
};

/// A float constant and where it goes.
pub(super) struct Constant {
    pub value: ValueId,
    pub weight_uses: Vec<WeightUse>,
    /// Direct readers that lead to no weight slot.
    pub other_readers: Vec<OpId>,
    /// Whether a QuantizeLinear reads it.
    pub quantized: bool,
    /// Operators that multiply it with another constant.
    pub multiplied: Vec<OpId>,
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

/// Every float constant, in the order of the file.
pub(super) fn constants(model: &Model) -> Vec<Constant> {
    model.values().filter_map(|value| constant(model, value)).collect()
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
        multiplied: Vec::new(),
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
                self.found.multiplied.push(use_.op);
                return;
            }
            if makes_scales(model, use_.op) {
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
        let uses = model.uses(value).into_iter().rev();
        self.ahead.extend(uses.map(|use_| Step { use_, view: view.clone(), calls: calls.clone() }));
    }
}
