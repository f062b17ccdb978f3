//! What lies downstream of some operators, as a model of its own: what a change of them does to the outputs is seen
//! without running the rest.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::ir::{DataType, Model, OpId, Use, ValueId};

/// The part of a model that is downstream of some operators.
pub(super) struct Downstream {
    pub model: Model,
    /// The values of the whole model that are inputs here, each with the input's name.
    pub feeds: Vec<(ValueId, String)>,
    /// The outputs that depend on the operators.
    pub outputs: Vec<ValueId>,
    /// How many operators it runs.
    pub operators: usize,
}

/// Cuts a model in front of some operators, and at what else is read downstream of them, as far as that is among the
/// `known` values. What is not known is computed again.
pub(super) fn downstream(mut model: Model, operators: &[OpId], known: &HashSet<ValueId>) -> Downstream {
    let affected = Affected::by(&model, operators);
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
    let outputs: Vec<ValueId> = outputs.filter(|output| affected.values.contains(output)).collect();
    let feeds = cuts.into_iter().map(|it| (it, feed(&mut model, it))).collect();
    model.set_outputs(Model::MAIN, &outputs);
    for op in model.scope(Model::MAIN).ops().iter().rev().copied().collect::<Vec<_>>() {
        if !needed.contains(&op) {
            model.remove_with_bodies(op);
        }
    }
    let unread = |&value: &ValueId| !model.is_read(value) && !model.is_output(value) && !model.is_input(value);
    let unread: Vec<ValueId> = model.scope(Model::MAIN).initializers().iter().copied().filter(unread).collect();
    model.take_initializers(&unread);
    Downstream { model, feeds, outputs, operators: needed.len() }
}

/// Has all that read a value read a new input instead; the input's name.
fn feed(model: &mut Model, value: ValueId) -> String {
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

/// What depends on some operators.
struct Affected {
    values: HashSet<ValueId>,
    ops: HashSet<OpId>,
}

impl Affected {
    fn by(model: &Model, operators: &[OpId]) -> Self {
        let mut affected = Self { values: HashSet::new(), ops: HashSet::new() };
        let mut pending: Vec<OpId> = operators.to_vec();
        while let Some(op) = pending.pop() {
            if !affected.ops.insert(op) {
                continue;
            }
            // What happens in a body is the doing of the operators around it, too.
            pending.extend(model.scope(model.op(op).scope()).owner());
            for made in model.outputs(op).into_iter().flatten() {
                affected.values.insert(made);
                pending.extend(model.uses(made).into_iter().map(|it| it.op));
                let around = model.scopes_that_give_out(made).iter();
                pending.extend(around.filter_map(|&scope| model.scope(scope).owner()));
            }
        }
        affected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "<ir_version: 8, opset_import: [\"\": 17]>
        g (float[2,4] x, bool c) => (float[2,4] y, float[2,4] z)
        <float[4,4] w = {1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1}, float[4,4] unread = {1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1}>
        {
            [first] a = MatMul (x, w)
            [side] b = MatMul (x, unread)
            [shape] s = Shape (a)
            [branch] d = If (c) <then_branch = t () => (e) { [inside] e = Relu (a) },
                else_branch = f () => (h) { h = Neg (b) }>
            [late] y = Add (d, b)
            [apart] z = Reshape (b, s)
        }";

    fn cut_at(name: &str, known: &[&str]) -> (Vec<String>, Vec<String>, Vec<String>) {
        let model = Model::from_text(TEXT).expect("a model");
        let op = model.ops().find(|&op| model.op(op).name() == name).expect("it is there");
        let value = |name: &&str| model.find(Model::MAIN, name).expect("it is there");
        let part = downstream(model.clone(), &[op], &known.iter().map(value).collect());
        // Nothing is left of bodies whose operator is gone.
        assert!(part.model.values().all(|it| !part.model.shadows(it)));
        let names = |values: Vec<ValueId>| values.iter().map(|&it| model.value(it).name().to_owned()).collect();
        let ops = part.model.scope(Model::MAIN).ops().iter().map(|&op| part.model.op(op).name().to_owned()).collect();
        (names(part.feeds.iter().map(|it| it.0).collect()), names(part.outputs), ops)
    }

    #[test]
    fn what_is_known_is_fed_and_what_made_it_is_gone() {
        let (feeds, outputs, ops) = cut_at("late", &["a", "b", "d"]);
        assert_eq!((feeds, outputs, ops), (vec!["b".into(), "d".into()], vec!["y".into()], vec!["late".into()]));
    }

    #[test]
    fn what_happens_in_a_branch_happens_to_what_is_around_it() {
        let (feeds, outputs, ops) = cut_at("inside", &["a", "b", "d"]);
        assert_eq!((feeds, outputs), (vec!["a".into(), "b".into()], vec!["y".to_owned()]));
        assert_eq!(ops, ["branch", "late"]);
    }

    #[test]
    fn what_is_not_known_is_computed_again() {
        let (feeds, outputs, ops) = cut_at("side", &["a"]);
        // The sizes are no floats that could be fed, but are of what is known.
        assert_eq!((feeds, outputs), (vec!["a".into()], vec!["y".to_owned(), "z".to_owned()]));
        assert_eq!(ops, ["side", "shape", "branch", "late", "apart"]);
    }
}
