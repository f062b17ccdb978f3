//! How many bytes a run moves: what kernels read and write, at the width in which they do.

use std::collections::{HashMap, HashSet};

use super::{Verdict, loaded::Loaded, summary::elements, verdicts::Found};
use crate::{
    analysis::Facts,
    ir::{Model, OpId, Use, ValueId, element_bits},
    targets::{is_dequantizer, is_quantizer},
};

/// Bytes that operators read and write in a run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moved {
    /// As the model is.
    pub bytes: u64,
    /// If it computed in float throughout, without conversions.
    pub bytes_in_float: u64,
}

/// Bytes of an element where the model computes in float.
const FLOAT: u64 = 4;

/// What the operators that compute and the conversions that are left read and write, of a batch of one where its
/// size is open. A value is counted once for its writer and once for each operator that reads it; those whose sizes
/// are not known are not counted.
pub(super) fn moved(loaded: &Loaded, verdicts: &HashMap<OpId, Found>, facts: &Facts) -> Moved {
    let run = Run { model: &loaded.model, verdicts, facts };
    let mut moved = Moved::default();
    for op in run.model.ops().filter(|&op| run.computes(op)) {
        let mut seen = HashSet::new();
        let read = run.model.inputs(op).into_iter().flatten().filter(|&value| seen.insert(value));
        let read = read.map(|value| run.source(value));
        let written = run.model.outputs(op).into_iter().flatten().filter(|&value| run.model.is_read(value));
        let written = written.map(|value| run.result(value));
        let is_conversion = run.is_conversion(op);
        for value in read.chain(written) {
            let Some((elements, bytes)) = run.size(value) else { continue };
            moved.bytes = moved.bytes.saturating_add(bytes);
            if !is_conversion {
                moved.bytes_in_float = moved.bytes_in_float.saturating_add(elements.saturating_mul(FLOAT));
            }
        }
    }
    moved
}

struct Run<'a> {
    model: &'a Model,
    verdicts: &'a HashMap<OpId, Found<'a>>,
    facts: &'a Facts,
}

impl Run<'_> {
    /// Whether an operator has a kernel of its own that reads and writes numbers.
    fn computes(&self, op: OpId) -> bool {
        let found = self.verdicts.get(&op);
        found.is_some_and(|found| found.verdict != Verdict::Other && !found.runs_as.is_empty())
    }

    fn is_conversion(&self, op: OpId) -> bool {
        self.verdicts.get(&op).is_some_and(|found| found.verdict == Verdict::Conversion)
    }

    /// Whether an operator is part of the kernels around it.
    fn is_absorbed(&self, op: OpId) -> bool {
        let converts = is_dequantizer(self.model, op) || is_quantizer(self.model, Use { op, slot: 0 });
        match self.verdicts.get(&op) {
            Some(found) => found.verdict != Verdict::Other && found.runs_as.is_empty(),
            None => converts,
        }
    }

    /// What a kernel reads for a value: the integers where their DequantizeLinear is part of it.
    fn source(&self, value: ValueId) -> ValueId {
        let dequantizer = self.model.producer(value).filter(|&op| is_dequantizer(self.model, op));
        let inside = dequantizer.filter(|&op| self.is_absorbed(op));
        inside.and_then(|op| self.model.input(op, 0)).unwrap_or(value)
    }

    /// What a kernel writes for a value: what the one operator makes of it that is part of the kernel.
    fn result(&self, value: ValueId) -> ValueId {
        let mut value = value;
        // A QuantizeLinear, behind an activation function at most.
        for _ in 0..2 {
            let reader = self.model.only_use(value).map(|use_| use_.op);
            let absorbed = reader.filter(|&op| self.is_absorbed(op) && !is_dequantizer(self.model, op));
            let made = absorbed.and_then(|op| self.model.outputs(op).first().copied().flatten());
            match made.filter(|_| !self.model.is_output(value)) {
                Some(made) => value = made,
                None => break,
            }
        }
        value
    }

    /// The elements of a value and their bytes.
    fn size(&self, value: ValueId) -> Option<(u64, u64)> {
        if let Some(tensor) = self.model.constant(value) {
            return Some((tensor.element_count() as u64, tensor.byte_len() as u64));
        }
        let elements = elements(self.facts.shape(value)?)?;
        let bits = self.facts.dtype(value).and_then(element_bits)? as u64;
        Some((elements, elements.checked_mul(bits)?.div_ceil(8)))
    }
}
