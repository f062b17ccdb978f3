//! The order of operators: a file need not be sorted, but it must be possible to sort it.

use std::collections::HashMap;

use super::{Model, OpId, ScopeId, ValueId};
use crate::error::{Error, Result};

impl Model {
    /// The operator of `scope` that `op` is, or is nested in; `None` if it is in neither.
    pub(crate) fn enclosing_op(&self, op: OpId, scope: ScopeId) -> Option<OpId> {
        let mut op = op;
        while self.op(op).scope != scope {
            op = self.scope(self.op(op).scope).owner?;
        }
        Some(op)
    }

    /// The first operator, in the order of the value's own scope, that needs a value: one that
    /// reads it, or in whose bodies it is read.
    pub(crate) fn first_reader(&self, value: ValueId) -> Option<OpId> {
        let scope = self.value(value).scope;
        let mut readers: Vec<OpId> =
            self.uses(value).iter().filter_map(|use_| self.enclosing_op(use_.op, scope)).collect();
        readers.dedup();
        if let [reader] = readers[..] {
            return Some(reader);
        }
        self.scope(scope).ops.iter().copied().find(|op| readers.contains(op))
    }

    /// Checks that every scope's operators can be put in an order in which each comes after what it
    /// reads.
    pub(crate) fn check_order(&self) -> Result<()> {
        let mut waiting: HashMap<OpId, usize> = self.ops().map(|op| (op, 0)).collect();
        let mut readers: HashMap<OpId, Vec<OpId>> = HashMap::new();
        for reader in self.ops() {
            for value in self.inputs(reader).into_iter().flatten() {
                let Some(producer) = self.producer(value) else { continue };
                // A body's operator makes the operator around it wait.
                let Some(reader) = self.enclosing_op(reader, self.op(producer).scope) else { continue };
                readers.entry(producer).or_default().push(reader);
                *waiting.entry(reader).or_default() += 1;
            }
        }
        let mut ready: Vec<OpId> = self.ops().filter(|op| waiting[op] == 0).collect();
        let mut sorted = 0;
        while let Some(op) = ready.pop() {
            sorted += 1;
            for reader in readers.remove(&op).unwrap_or_default() {
                let count = waiting.entry(reader).or_default();
                *count -= 1;
                if *count == 0 {
                    ready.push(reader);
                }
            }
        }
        if sorted == waiting.len() {
            return Ok(());
        }
        let stuck = self.ops().find(|op| waiting[op] > 0).map(|op| self.location(op)).unwrap_or_default();
        Err(Error::invalid("stands in, or behind, a cycle: it needs its own output").at(stuck.path, stuck.operator))
    }
}
