//! A model in a few numbers.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{
    Verdict,
    loaded::Loaded,
    moved::{Moved, moved},
    verdicts::Found,
};
use crate::{
    analysis::Facts,
    ir::{Model, OpId, ValueId},
    operators::is_standard,
};

/// A model in a few numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Summary {
    /// Operators that compute with integers.
    pub integer: usize,
    /// Operators that compute in float.
    pub float: usize,
    /// Conversions between integers and floats that are left in a run.
    pub conversions_left: usize,
    /// Of these, the ones that dequantize constants.
    pub constants_dequantized: usize,
    /// Bytes of constants that integer kernels read.
    pub integer_weight_bytes: usize,
    /// Bytes of constants in the file.
    pub constant_bytes: usize,
    /// Multiply-accumulates of convolutions and products in one run, of a batch of one where its size is open.
    pub multiply_accumulates: u64,
    /// Those of them that integer kernels do.
    pub integer_multiply_accumulates: u64,
    /// Bytes that operators read and write in one run, each value once for its writer and once for each reader; of
    /// a batch of one where its size is open, and without values of which more is open.
    pub bytes_moved: u64,
    /// The same if the model computed in float throughout, without conversions.
    pub bytes_moved_in_float: u64,
    /// Convolutions and products whose sizes are not known, which are not counted.
    pub uncounted: usize,
}

pub(super) fn sum(model: &Model, loaded: &Loaded, verdicts: &HashMap<OpId, Found>) -> Summary {
    let mut summary =
        Summary { constant_bytes: model.tensors().map(|tensor| tensor.byte_len()).sum(), ..Summary::default() };
    let facts = Facts::as_stated(&loaded.model);
    let Moved { bytes, bytes_in_float } = moved(loaded, verdicts, &facts);
    (summary.bytes_moved, summary.bytes_moved_in_float) = (bytes, bytes_in_float);
    for op in loaded.model.ops() {
        let Some(count) = multiply_accumulates(&loaded.model, &facts, op) else { continue };
        let Some(count) = count else {
            summary.uncounted += 1;
            continue;
        };
        summary.multiply_accumulates = summary.multiply_accumulates.saturating_add(count);
        if verdicts.get(&op).is_some_and(|found| found.verdict == Verdict::Integer) {
            summary.integer_multiply_accumulates = summary.integer_multiply_accumulates.saturating_add(count);
        }
    }
    let mut counted = HashSet::new();
    for (op, found) in model.ops().map(|op| (op, &verdicts[&op])) {
        match found.verdict {
            Verdict::Integer => {
                summary.integer += 1;
                // Weights that operators of integers read themselves.
                for slot in integer_weights(model, op) {
                    let stored = model.input(op, *slot).filter(|&input| counted.insert(input));
                    let tensor = stored.and_then(|input| model.constant(input));
                    summary.integer_weight_bytes += tensor.map_or(0, |tensor| tensor.byte_len());
                }
            }
            Verdict::Float => summary.float += 1,
            Verdict::Conversion if !found.runs_as.is_empty() => {
                summary.conversions_left += 1;
                let constant = loaded.model.contains_op(op)
                    && loaded.model.input(op, 0).is_some_and(|input| loaded.model.constant(input).is_some());
                summary.constants_dequantized += usize::from(constant);
            }
            // What is dequantized inside of a kernel is read by it as it is stored.
            Verdict::Conversion => {
                let stored = model.input(op, 0).filter(|&input| counted.insert(input));
                let tensor = stored.and_then(|input| model.constant(input));
                summary.integer_weight_bytes += tensor.map_or(0, |tensor| tensor.byte_len());
            }
            Verdict::Other => {}
        }
    }
    summary
}

/// The inputs in which an operator of integers takes its weights.
fn integer_weights(model: &Model, op: OpId) -> &'static [usize] {
    match model.op(op).op_type() {
        "MatMulInteger" | "ConvInteger" => &[1],
        "DynamicQuantizeLSTM" => &[1, 2],
        _ => &[],
    }
}

/// How many numbers an operator multiplies; `None` if it is no convolution and no product, and none inside where the
/// sizes are not known.
fn multiply_accumulates(model: &Model, facts: &Facts, op: OpId) -> Option<Option<u64>> {
    let shape = |value: Option<ValueId>| value.and_then(|value| facts.shape(value));
    let (input, weight) = (shape(model.input(op, 0)), shape(model.input(op, 1)));
    let made = shape(model.outputs(op).first().copied().flatten());
    let operator = model.op(op);
    let known = is_standard(model, op) || operator.domain() == "com.microsoft";
    Some(match operator.op_type() {
        _ if !known => return None,
        // Each element that is made is a sum over a kernel.
        "Conv" | "ConvInteger" => {
            made.zip(weight).and_then(|(made, weight)| elements(made)?.checked_mul(elements(weight.get(1..)?)?))
        }
        // Each element that is read is spread over a kernel.
        "ConvTranspose" => {
            input.zip(weight).and_then(|(input, weight)| elements(input)?.checked_mul(elements(weight.get(1..)?)?))
        }
        "MatMul" | "MatMulInteger" => {
            input.zip(weight).and_then(|(left, right)| elements(left)?.checked_mul(last(right)?))
        }
        "Gemm" => {
            let turned = model.op(op).int("transB").unwrap_or(0) != 0;
            let columns = |right: &Vec<Option<usize>>| if turned { right.first().copied()? } else { *right.last()? };
            input.zip(weight).and_then(|(left, right)| elements(left)?.checked_mul(columns(right)? as u64))
        }
        _ => return None,
    })
}

fn last(sizes: &[Option<usize>]) -> Option<u64> {
    (*sizes.last()?).map(|size| size as u64)
}

/// The number of elements, of a batch of one where the first size is open.
pub(super) fn elements(sizes: &[Option<usize>]) -> Option<u64> {
    let known = sizes.iter().enumerate().map(|(axis, size)| size.or((axis == 0).then_some(1)));
    known.map(|size| size.map(|size| size as u64)).try_fold(1u64, |all, size| all.checked_mul(size?))
}
