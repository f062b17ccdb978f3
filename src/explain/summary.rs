//! A model in a few numbers.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::{Verdict, loaded::Loaded, verdicts::Found};
use crate::ir::{Model, OpId};

/// A model in a few numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
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
}

pub(super) fn sum(model: &Model, loaded: &Loaded, verdicts: &HashMap<OpId, Found>) -> Summary {
    let mut summary =
        Summary { constant_bytes: model.tensors().map(|tensor| tensor.byte_len()).sum(), ..Summary::default() };
    let mut counted = HashSet::new();
    for (op, found) in model.ops().map(|op| (op, &verdicts[&op])) {
        match found.verdict {
            Verdict::Integer => summary.integer += 1,
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
