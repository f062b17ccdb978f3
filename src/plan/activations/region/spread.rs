//! How far integers spread between layers: the largest set of operators each of which reads nothing but
//! integers and makes what is wanted as integers.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Between, Bridge};
use crate::{
    ir::{Model, OpId, ValueId},
    plan::FloatReason,
};

/// Those of some operators that are left when all that lack something are taken out, until none does, and what the
/// others lack. Values that are `given` are integers, and those that are `read` are wanted as such, whatever is
/// left.
pub(super) fn spread(
    model: &Model,
    mut possible: BTreeMap<OpId, Bridge>,
    given: impl Fn(ValueId) -> bool,
    read: &HashSet<ValueId>,
) -> Between {
    let (mut makers, mut readers) = (Ends::default(), Ends::default());
    for (&op, bridge) in &possible {
        bridge.outputs.iter().for_each(|&value| makers.add(value, op));
        bridge.inputs.iter().for_each(|&value| readers.add(value, op));
    }
    let lack = |bridge: &Bridge, makers: &Ends, readers: &Ends| {
        let float = bridge.inputs.iter().find(|&&input| !makers.has(input) && !given(input));
        let name = |&value: &ValueId| model.value(value).name().to_owned();
        let float = float.map(|input| FloatReason::FloatOperand { value: name(input) });
        let unwanted = || bridge.outputs.iter().any(|&output| !readers.has(output) && !read.contains(&output));
        float.or_else(|| unwanted().then_some(FloatReason::NotWanted))
    };
    let lacks = |bridge: &Bridge| lack(bridge, &makers, &readers).is_some();
    let mut falling: Vec<OpId> = possible.iter().filter(|(_, bridge)| lacks(bridge)).map(|(&op, _)| op).collect();
    let mut fallen = BTreeMap::new();
    while let Some(op) = falling.pop() {
        let Some(bridge) = possible.remove(&op) else { continue };
        fallen.extend(lack(&bridge, &makers, &readers).map(|reason| (op, reason)));
        // Only where the last one falls that makes or reads a value do those at its other end.
        for output in bridge.outputs {
            if makers.remove(output) && !given(output) {
                falling.extend(readers.of(output));
            }
        }
        for input in bridge.inputs {
            if readers.remove(input) && !read.contains(&input) {
                falling.extend(makers.of(input));
            }
        }
    }
    Between { bridges: possible, fallen }
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
