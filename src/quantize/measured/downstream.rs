//! What lies downstream of a value, as a model of its own: what a change of the value does to the outputs is seen
//! without running the rest.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::ir::{DataType, Model, OpId, Use, ValueId};

/// The part of a model that is downstream of a value.
pub(super) struct Downstream {
    pub model: Model,
    /// The values of the whole model that are inputs here, each with the input's name; the first is the value itself.
    pub feeds: Vec<(ValueId, String)>,
    /// The outputs that depend on the value, but for the value itself.
    pub outputs: Vec<ValueId>,
    /// How many operators it runs.
    pub operators: usize,
}

/// Cuts a model at a value, and at what else is read downstream of it, as far as that is among the `known` values. What
/// is not known is computed again.
pub(super) fn downstream(model: &Model, value: ValueId, known: &HashSet<ValueId>) -> Downstream {
    let affected = Affected::by(model, value);
    let mut needed: HashSet<OpId> = affected.ops.clone();
    let mut pending: Vec<OpId> = affected.ops.iter().copied().collect();
    let mut cuts: BTreeSet<ValueId> = BTreeSet::new();
    while let Some(op) = pending.pop() {
        let bodies = model.op(op).bodies().iter().map(|body| body.scope);
        let given_out = bodies.clone().flat_map(|body| model.scope(body).outputs()).map(|output| output.value);
        let read: Vec<ValueId> = model.inputs(op).into_iter().flatten().chain(given_out).collect();
        pending.extend(bodies.flat_map(|body| model.ops_within(body)).filter(|&op| needed.insert(op)));
        for read in read.into_iter().filter(|read| !affected.values.contains(read)) {
            if known.contains(&read) {
                cuts.insert(read);
            } else if let Some(maker) = model.producer(read) {
                pending.extend(needed.insert(maker).then_some(maker));
            }
        }
    }
    let outputs = model.scope(Model::MAIN).outputs().iter().map(|output| output.value);
    let outputs: Vec<ValueId> =
        outputs.filter(|&output| output != value && affected.values.contains(&output)).collect();
    let mut cut = model.clone();
    let feeds = [value].into_iter().chain(cuts).map(|it| (it, feed(&mut cut, it))).collect();
    cut.set_outputs(Model::MAIN, &outputs);
    for op in model.scope(Model::MAIN).ops().iter().rev().filter(|op| !needed.contains(op)) {
        cut.remove_with_bodies(*op);
    }
    let unread = |&value: &ValueId| !cut.is_read(value) && !cut.is_output(value) && !cut.is_input(value);
    let unread: Vec<ValueId> = cut.scope(Model::MAIN).initializers().iter().copied().filter(unread).collect();
    cut.take_initializers(&unread);
    Downstream { model: cut, feeds, outputs, operators: needed.len() }
}

/// Has all that read a value read a new input instead; the input's name.
pub(super) fn feed(model: &mut Model, value: ValueId) -> String {
    let name = format!("{}_fed", model.value(value).name());
    let input = model.new_input(&name, DataType::Float);
    let uses: HashMap<Use, ValueId> = model.uses(value).into_iter().map(|it| (it, input)).collect();
    model.move_uses(value, &uses);
    model.value(input).name().to_owned()
}

/// Whether a value can be fed: what a body gives out as it is has to be made in there.
pub(super) fn can_be_fed(model: &Model, value: ValueId) -> bool {
    model.scopes_that_give_out(value).iter().all(|&scope| scope == Model::MAIN)
}

/// What depends on a value.
struct Affected {
    values: HashSet<ValueId>,
    ops: HashSet<OpId>,
}

impl Affected {
    fn by(model: &Model, value: ValueId) -> Self {
        let mut affected = Self { values: HashSet::from([value]), ops: HashSet::new() };
        let mut pending = vec![value];
        while let Some(value) = pending.pop() {
            let readers = model.uses(value).into_iter().map(|it| it.op);
            let around = model.scopes_that_give_out(value).iter().filter_map(|&scope| model.scope(scope).owner());
            for reader in readers.chain(around) {
                // What happens in a body is the doing of the operators around it, too.
                let mut op = Some(reader);
                while let Some(it) = op.filter(|&it| affected.ops.insert(it)) {
                    let made = model.outputs(it).into_iter().flatten();
                    pending.extend(made.filter(|&made| affected.values.insert(made)));
                    op = model.scope(model.op(it).scope()).owner();
                }
            }
        }
        affected
    }
}
