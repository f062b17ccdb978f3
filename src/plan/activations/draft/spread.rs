//! How far integers spread between layers: the largest set of operators each of which reads nothing but
//! integers and makes what is wanted as integers.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Passage;
use crate::ir::{OpId, ValueId};

/// Those of some operators that are left when all that lack something are taken out, until none does.
/// Values that are `given` are integers, and those that are `read` are wanted as such, whatever is left.
pub(super) fn spread(
    mut possible: BTreeMap<OpId, Passage>,
    given: impl Fn(ValueId) -> bool,
    read: &HashSet<ValueId>,
) -> BTreeMap<OpId, Passage> {
    let (mut makers, mut readers) = (Ends::default(), Ends::default());
    for (&op, passage) in &possible {
        passage.outputs.iter().for_each(|&value| makers.add(value, op));
        passage.inputs.iter().for_each(|&value| readers.add(value, op));
    }
    let lacks = |passage: &Passage| {
        passage.inputs.iter().any(|&input| !makers.has(input) && !given(input))
            || passage.outputs.iter().any(|&output| !readers.has(output) && !read.contains(&output))
    };
    let mut falling: Vec<OpId> = possible.iter().filter(|(_, passage)| lacks(passage)).map(|(&op, _)| op).collect();
    while let Some(op) = falling.pop() {
        let Some(passage) = possible.remove(&op) else { continue };
        // Only where the last one falls that makes or reads a value do those at its other end.
        for output in passage.outputs {
            if makers.remove(output) && !given(output) {
                falling.extend(readers.of(output));
            }
        }
        for input in passage.inputs {
            if readers.remove(input) && !read.contains(&input) {
                falling.extend(makers.of(input));
            }
        }
    }
    possible
}

/// The operators at one end of each value, and how many of them are left.
#[derive(Default)]
struct Ends(HashMap<ValueId, (Vec<OpId>, usize)>);

impl Ends {
    fn add(&mut self, value: ValueId, op: OpId) {
        let (ops, left) = self.0.entry(value).or_default();
        ops.push(op);
        *left += 1;
    }

    fn has(&self, value: ValueId) -> bool {
        self.0.get(&value).is_some_and(|(_, left)| *left > 0)
    }

    /// Takes one out; whether it was the last.
    fn remove(&mut self, value: ValueId) -> bool {
        self.0.get_mut(&value).is_some_and(|(_, left)| {
            *left -= 1;
            *left == 0
        })
    }

    fn of(&self, value: ValueId) -> impl Iterator<Item = OpId> {
        self.0.get(&value).into_iter().flat_map(|(ops, _)| ops.iter().copied())
    }
}
