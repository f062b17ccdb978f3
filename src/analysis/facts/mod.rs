//! What is known of values without running the model: element type, rank, and sizes where stated.
//!
//! A little is enough: what the file states, and what follows from it through the operators that
//! stand between. It is gathered once, before anything changes; a pass that keeps what every value
//! is keeps it true. What operators tell is in `rules.rs`.

mod rules;
mod windows;

use std::collections::HashMap;

use crate::{
    ir::{DataType, Dim, Interface, Model, OpId, ScopeId, ScopeShell, TensorType, ValueId},
    proto::ValueInfoProto,
};

/// The sizes of a tensor's dimensions; `None` for those that are not known.
pub(crate) type Shape = Vec<Option<usize>>;

/// What is known of the values of a model.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    known: HashMap<ValueId, Fact>,
    only_float32: bool,
}

/// What is known of one value.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Fact {
    pub dtype: Option<DataType>,
    pub shape: Option<Shape>,
}

/// Facts travel from file to end in one round where operators are sorted; bodies may need another.
const MAX_ROUNDS: usize = 4;

impl Facts {
    /// Gathers what can be known, taking the file's word.
    pub(crate) fn as_stated(model: &Model) -> Self {
        Self::gather(model, |_| true)
    }

    /// Gathers what must be so whenever the model runs at all: sizes that the file states of anything
    /// but the inputs of the main graph are not enforced, and often those of another batch size.
    pub(crate) fn guaranteed(model: &Model) -> Self {
        Self::gather(model, |value| model.is_input(value) && model.value(value).scope() == Model::MAIN)
    }

    fn gather(model: &Model, sizes_count: impl Fn(ValueId) -> bool) -> Self {
        let mut facts = Self { only_float32: only_float32(model), ..Self::default() };
        for scope in model.scopes() {
            facts.read_stated(model, scope, &sizes_count);
        }
        for _ in 0..MAX_ROUNDS {
            let mut changed = false;
            for op in model.ops() {
                for (value, fact) in facts.follow(model, op) {
                    changed |= facts.learn(value, fact);
                }
            }
            if !changed {
                break;
            }
        }
        facts
    }

    /// Takes to account that a value has become a constant: what operators tell may depend on its
    /// elements. Returns those that read what more is known of now.
    pub(crate) fn spread(&mut self, model: &Model, constant: ValueId) -> Vec<OpId> {
        let uses = model.uses(constant).into_iter().map(|use_| use_.op);
        let mut waiting: Vec<OpId> = uses.chain(model.producer(constant)).collect();
        let mut readers = Vec::new();
        while let Some(op) = waiting.pop() {
            for (value, fact) in self.follow(model, op) {
                if self.learn(value, fact) {
                    let behind = model.uses(value).into_iter().map(|use_| use_.op);
                    readers.extend(behind.clone());
                    waiting.extend(behind.chain(model.producer(value)));
                }
            }
        }
        readers
    }

    /// A value's element type.
    pub(crate) fn dtype(&self, value: ValueId) -> Option<DataType> {
        self.known.get(&value)?.dtype
    }

    /// The element type of a value that can only be of a floating-point type. Where nothing says
    /// which, it is float if the model has no source of any other.
    pub(crate) fn float_dtype(&self, value: ValueId) -> Option<DataType> {
        self.dtype(value).or(self.only_float32.then_some(DataType::Float))
    }

    /// A value's shape.
    pub(crate) fn shape(&self, value: ValueId) -> Option<&Shape> {
        self.known.get(&value)?.shape.as_ref()
    }

    /// A value's rank.
    pub(crate) fn rank(&self, value: ValueId) -> Option<usize> {
        self.shape(value).map(Vec::len)
    }

    fn learn(&mut self, value: ValueId, fact: Fact) -> bool {
        let known = self.known.entry(value).or_default();
        let before = known.clone();
        known.dtype = known.dtype.or(fact.dtype);
        match (&mut known.shape, fact.shape.filter(|shape| shape.len() <= rules::MAX_RANK)) {
            (Some(sizes), Some(new)) if sizes.len() == new.len() => {
                sizes.iter_mut().zip(new).for_each(|(size, new)| *size = size.or(new));
            }
            (shape @ None, new) => *shape = new,
            // What the file states counts.
            (Some(_), _) => {}
        }
        *known != before
    }

    fn read_stated(&mut self, model: &Model, scope: ScopeId, sizes_count: &impl Fn(ValueId) -> bool) {
        let counting = |value: ValueId, fact: Fact| Fact { shape: fact.shape.filter(|_| sizes_count(value)), ..fact };
        let interfaces = model.scope(scope).inputs().iter().chain(model.scope(scope).outputs());
        for Interface { value, info } in interfaces {
            if let Some(fact) = info.as_ref().and_then(stated) {
                self.learn(*value, counting(*value, fact));
            }
        }
        let infos = match &model.scope(scope).shell {
            ScopeShell::Graph(graph) => &graph.value_info,
            ScopeShell::Function(function) => &function.value_info,
        };
        for info in infos {
            if let (Some(value), Some(fact)) = (model.find(scope, info.name()), stated(info)) {
                self.learn(value, counting(value, fact));
            }
        }
        for &value in model.scope(scope).initializers() {
            if let Some(tensor) = model.value(value).initializer() {
                let shape = tensor.shape().into_iter().map(Some).collect();
                self.learn(value, Fact { dtype: Some(tensor.dtype()), shape: Some(shape) });
            }
        }
    }
}

fn stated(info: &ValueInfoProto) -> Option<Fact> {
    let TensorType { dtype, dims } = TensorType::stated(info)?;
    Some(Fact { dtype, shape: dims.map(|dims| dims.iter().map(Dim::size).collect()) })
}

/// Whether nothing in the model is, or makes, floating-point numbers of another type than float.
fn only_float32(model: &Model) -> bool {
    let float32 = |dtype: Option<DataType>| {
        use DataType::*;
        !matches!(dtype, Some(Float16 | Bfloat16 | Double | Complex64 | Complex128))
    };
    let states_float32 = |info: &ValueInfoProto| stated(info).is_none_or(|fact| float32(fact.dtype));
    model.tensors().all(|tensor| float32(Some(tensor.dtype())))
        && model.scopes().all(|scope| {
            let scope = model.scope(scope);
            let infos = match &scope.shell {
                ScopeShell::Graph(graph) => &graph.value_info,
                ScopeShell::Function(function) => &function.value_info,
            };
            let interfaces = scope.inputs().iter().chain(scope.outputs());
            infos.iter().all(states_float32) && interfaces.filter_map(|it| it.info.as_ref()).all(states_float32)
        })
        && model.ops().all(|op| {
            let op = model.op(op);
            float32(cast_target(op.int("to"), op.text("to"))) && float32(cast_target(op.int("dtype"), None))
        })
}

/// The type that Cast's `to` names, by number or (before opset 6) by name.
pub(crate) fn cast_target(number: Option<i64>, name: Option<&str>) -> Option<DataType> {
    match name {
        Some(name) => DataType::from_str_name(name),
        None => DataType::try_from(i32::try_from(number?).ok()?).ok(),
    }
}
