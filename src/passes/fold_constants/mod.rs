//! Computes what is the same in every run.

mod arithmetic;
mod array;
mod evaluate;
mod partial;
mod rearrange;

use std::collections::HashSet;

use super::{
    Pass,
    constants::{fixed, remove_unread},
};
use crate::{
    analysis::Facts,
    error::Result,
    ir::{Model, OpId, Tensor, ValueId, is_float},
    operators::is_standard,
};
use array::Array;
use evaluate::{Evaluation, computes, is_computed, moves, shape_of};
use partial::{is_partial, of_known_sizes};

/// Computes operators whose inputs are all constant, Shape and Size of values whose sizes are known, and what is
/// made of known sizes where others, of the batch say, are not; their outputs become constants under the same names.
///
/// The operators are those that exporters leave in the constant parts of models: for shapes, indices,
/// masks, and weights that are scaled or normalized. Additions to divisions and square roots are bit for
/// bit what every runtime computes. The file does not grow: of more than 1 KiB a result takes no more
/// bytes than the constants that go for it. A weight that is only rearranged stays as it is, since
/// quantization looks through that, unless an operator takes the result as its weight, or needs it to be
/// folded into that.
///
/// ```
/// use onnx_quant::{Model, passes::{FoldConstants, Pass}};
/// let mut model = Model::load("testdata/ppocr_cls.onnx")?;
/// assert!(FoldConstants.run(&mut model)?);
/// assert!(!FoldConstants.run(&mut model)?);
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct FoldConstants;

/// A result of at most so many bytes may be larger than what goes for it.
const SMALL: usize = 1 << 10;
/// Axes beyond what any runtime takes.
const MAX_RANK: usize = 64;
/// Two do for what exporters write.
const MAX_ROUNDS: usize = 8;

impl Pass for FoldConstants {
    fn name(&self) -> &'static str {
        "fold-constants"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        let mut facts = Facts::guaranteed(model);
        let mut changed = false;
        // What one operator frees may be what another one's result may take.
        for _ in 0..MAX_ROUNDS {
            let folded = fold_all(model, &mut facts);
            if folded.is_empty() {
                break;
            }
            changed = true;
            // What only made sizes that are known now reads what others could be alone with.
            remove_unread(model, folded);
        }
        Ok(changed)
    }
}

/// Folds every operator that can be, in one go over all of them. Returns what they made and read, which
/// may have no reader any more.
fn fold_all(model: &mut Model, facts: &mut Facts) -> Vec<ValueId> {
    let mut touched = Vec::new();
    // One after the other may stand in any order in the file.
    let mut waiting: Vec<OpId> = model.ops().collect();
    waiting.reverse();
    while let Some(op) = waiting.pop() {
        if !model.contains_op(op) {
            continue;
        }
        let Some((output, tensor)) = folded(model, facts, op) else { continue };
        touched.push(output);
        touched.extend(model.inputs(op).into_iter().flatten());
        model.set_constant(output, tensor);
        waiting.extend(made_of_sizes(model, facts.spread(model, output)));
        waiting.extend(model.uses(output).into_iter().map(|use_| use_.op));
    }
    touched
}

/// Operators, and those behind them that compute with sizes: more may be known of what these make.
fn made_of_sizes(model: &Model, ops: Vec<OpId>) -> Vec<OpId> {
    let mut seen: HashSet<OpId> = ops.iter().copied().collect();
    let given = ops.len();
    let mut found = ops;
    let mut next = 0;
    while let Some(&op) = found.get(next) {
        next += 1;
        if model.op(op).is("Shape") || next > given && is_partial(model.op(op).op_type()) {
            let outputs = model.outputs(op).into_iter().flatten();
            let behind = outputs.flat_map(|output| model.uses(output)).map(|use_| use_.op);
            found.extend(behind.filter(|&op| seen.insert(op)).collect::<Vec<_>>());
        }
    }
    // The first is taken from the end.
    found.reverse();
    found
}

/// What an operator makes, if that is to be a constant.
fn folded(model: &Model, facts: &Facts, id: OpId) -> Option<(ValueId, Tensor)> {
    let op = model.op(id);
    let [Some(output)] = model.outputs(id)[..] else { return None };
    if !model.is_read(output) || !is_standard(model, id) {
        return None;
    }
    if matches!(op.op_type(), "Shape" | "Size") {
        let sizes = facts.shape(model.input(id, 0)?)?;
        return Some((output, shape_of(op, sizes)?.tensor()?));
    }
    let of_constants = model.inputs(id).into_iter().flatten().all(|value| fixed(model, value).is_some());
    if !of_constants && is_partial(op.op_type()) {
        return Some((output, of_known_sizes(model, facts, id)?.tensor()?));
    }
    if !is_computed(op, model.opset(op.scope())) {
        return None;
    }
    let mut freed = 0;
    let mut is_weight = false;
    for value in model.inputs(id).into_iter().flatten() {
        let tensor = fixed(model, value).filter(|tensor| tensor.shape().len() <= MAX_RANK)?;
        let alone = !model.is_output(value) && model.only_use(value).is_some();
        freed += if alone { tensor.byte_len() } else { 0 };
        is_weight |= is_float(tensor.dtype()) && tensor.byte_len() > SMALL;
    }
    if is_weight && moves(op.op_type()) && !is_needed(model, output) {
        return None;
    }
    let limit = freed.max(SMALL);
    let result = Evaluation::new(model, id, limit)?.result()?.tensor()?;
    (result.byte_len() <= limit).then_some((output, result))
}

/// Operators one behind the other that a constant is computed by: beyond what exporters write.
const MAX_DEPTH: usize = 16;
/// How many times as large as what it is made of a computed constant may be.
const MAX_GROWTH: usize = 4;

/// What a value is that operators of this pass make of constants, whatever its size and whoever else reads
/// these; `None` for constants themselves, and for what depends on anything else.
pub(super) fn computed(model: &Model, value: ValueId) -> Option<Tensor> {
    fn array(model: &Model, value: ValueId, depth: usize) -> Option<Array> {
        if let Some(tensor) = fixed(model, value) {
            return Array::of(&tensor);
        }
        let id = model.producer(value).filter(|_| depth < MAX_DEPTH)?;
        let [Some(_)] = model.outputs(id)[..] else { return None };
        let op = model.op(id);
        let nothing = is_standard(model, id) && op.is("Identity") && !op.has_attributes_of_caller();
        if nothing {
            return array(model, model.input(id, 0)?, depth + 1);
        }
        if model.called_function(id).is_some() || !is_computed(op, model.opset(op.scope())) {
            return None;
        }
        let inputs = model.inputs(id).into_iter().map(|input| match input {
            Some(input) => array(model, input, depth + 1).map(Some),
            None => Some(None),
        });
        let inputs: Vec<Option<Array>> = inputs.collect::<Option<_>>()?;
        let bytes = |array: &Array| array.element_size() * array.shape().iter().product::<usize>();
        let read: usize = inputs.iter().flatten().map(bytes).sum();
        Evaluation { op, inputs, limit: SMALL.max(read.saturating_mul(MAX_GROWTH)) }.result()
    }
    if fixed(model, value).is_some() {
        return None;
    }
    array(model, value, 0)?.tensor()
}

/// Operators that are looked at behind a rearranged weight: beyond what exporters write.
const MAX_READERS: usize = 64;

/// Whether some reader of a rearranged weight needs it to be a constant, because it computes another one
/// of it, or what follows is folded into its weight; or whether one behind further rearrangements does.
fn is_needed(model: &Model, value: ValueId) -> bool {
    let mut waiting = vec![value];
    let mut seen = HashSet::new();
    while let Some(value) = waiting.pop() {
        for use_ in model.uses(value) {
            let op = model.op(use_.op);
            if !is_standard(model, use_.op) || seen.len() > MAX_READERS || !seen.insert(use_.op) {
                continue;
            }
            let is_fixed = |other: ValueId| other == value || fixed(model, other).is_some();
            let computed = op.op_type() != "Gather" && computes(op.op_type());
            if use_.slot == 1 && matches!(op.op_type(), "Conv" | "ConvTranspose" | "Gemm" | "MatMul")
                || computed && model.inputs(use_.op).into_iter().flatten().all(is_fixed)
            {
                return true;
            }
            if moves(op.op_type()) {
                waiting.extend(model.outputs(use_.op).into_iter().flatten());
            }
        }
    }
    false
}
