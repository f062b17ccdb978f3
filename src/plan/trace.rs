//! Where float constants go: forward from each one, through operators that only rearrange data and
//! into the model's functions, to the operators that take it as a weight.

use crate::{
    ir::{Model, OpId, Use, ValueId, is_float},
    operators::{View, WeightAxes, is_quantizer, multiplies_constants, weight_axes},
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
/// Steps from one constant: an end for functions that call others many times, many levels deep.
const MAX_STEPS: usize = 1 << 16;

/// Every float constant, in the order of the file.
pub(super) fn constants(model: &Model) -> Vec<Constant> {
    model.values().filter_map(|value| constant(model, value)).collect()
}

fn constant(model: &Model, value: ValueId) -> Option<Constant> {
    let tensor = model.constant(value)?;
    if !is_float(tensor.dtype()) {
        return None;
    }
    let view = View::new(tensor.shape());
    let mut found = Constant {
        value,
        weight_uses: Vec::new(),
        other_readers: Vec::new(),
        quantized: false,
        multiplied: Vec::new(),
    };
    for first in model.uses(value) {
        let known = found.weight_uses.len();
        let mut search = Search { model, first, found: &mut found, calls: Vec::new(), steps: 0 };
        search.reader(first, &view);
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
    /// The calls that the search is inside of.
    calls: Vec<OpId>,
    steps: usize,
}

impl Search<'_> {
    fn value(&mut self, value: ValueId, view: &View) {
        for use_ in self.model.uses(value) {
            self.reader(use_, view);
        }
        self.leave_function(value, view);
    }

    fn reader(&mut self, use_: Use, view: &View) {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return;
        }
        let model = self.model;
        let op = model.op(use_.op);
        if let Some(function) = model.called_function(use_.op) {
            let input = model.scope(function).inputs().get(use_.slot);
            if let Some(input) = input.filter(|_| self.calls.len() < MAX_CALL_DEPTH) {
                self.calls.push(use_.op);
                self.value(input.value, view);
                self.calls.pop();
            }
        } else if let Some(seen) = weight_axes(op, use_.slot, view.shape.len()) {
            if multiplies_constants(model, use_) {
                self.found.multiplied.push(use_.op);
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
            self.value(output, &view);
        }
    }

    /// What a function gives out goes on behind the call.
    fn leave_function(&mut self, value: ValueId, view: &View) {
        let model = self.model;
        let scope = model.scope(model.value(value).scope());
        let Some(call) = self.calls.last().copied().filter(|_| scope.is_function()) else { return };
        let outputs = model.outputs(call);
        for (slot, output) in scope.outputs().iter().enumerate() {
            if output.value == value
                && let Some(Some(behind)) = outputs.get(slot).copied()
            {
                self.calls.pop();
                self.value(behind, view);
                self.calls.push(call);
            }
        }
    }
}
