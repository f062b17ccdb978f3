//! What is known of values without running the model: element type, rank, and sizes where stated.
//!
//! A little is enough: what the file states, and what follows from it through the operators that
//! stand between. It is gathered once, before anything changes; an upgrade keeps what every value
//! is, so it stays true.

use std::collections::HashMap;

use crate::{
    ir::{DataType, Interface, Model, OpId, ScopeId, ScopeShell, ValueId},
    operators::normalize_axis,
    proto::{ValueInfoProto, tensor_shape_proto::dimension, type_proto},
};

/// The sizes of a tensor's dimensions; `None` for those that are not known.
pub(super) type Shape = Vec<Option<usize>>;

/// What is known of the values of a model.
#[derive(Debug, Default)]
pub(super) struct Facts {
    known: HashMap<ValueId, Fact>,
    only_float32: bool,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Fact {
    dtype: Option<DataType>,
    shape: Option<Shape>,
}

/// Operators whose first output has the type and shape of the first input.
const SAME_SHAPE: &[&str] = &[
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BatchNormalization",
    "BitwiseNot",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "Cosh",
    "CumSum",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Hardmax",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "MeanVarianceNormalization",
    "Mish",
    "Neg",
    "Not",
    "PRelu",
    "RMSNormalization",
    "Reciprocal",
    "Relu",
    "ReverseSequence",
    "Round",
    "Scatter",
    "ScatterElements",
    "ScatterND",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Trilu",
];

/// Operators whose outputs have the type and rank of the first input.
const SAME_RANK: &[&str] = &[
    "AveragePool",
    "Compress",
    "Concat",
    "Conv",
    "ConvTranspose",
    "DeformConv",
    "DepthToSpace",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "LpPool",
    "MaxPool",
    "MaxUnpool",
    "Pad",
    "Resize",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Tile",
    "TopK",
    "Upsample",
];

/// Operators that broadcast their inputs against each other.
const BROADCAST: &[&str] =
    &["Add", "Sub", "Mul", "Div", "Pow", "Mod", "Max", "Min", "Mean", "Sum", "BitwiseAnd", "BitwiseOr", "BitwiseXor"];

/// The same, to booleans.
const COMPARE: &[&str] = &["And", "Or", "Xor", "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"];

/// Facts travel from file to end in one round where operators are sorted; bodies may need another.
const MAX_ROUNDS: usize = 4;

impl Facts {
    /// Gathers what can be known.
    pub(super) fn of(model: &Model) -> Self {
        let mut facts = Self { only_float32: only_float32(model), ..Self::default() };
        for scope in model.scopes() {
            facts.read_stated(model, scope);
        }
        for _ in 0..MAX_ROUNDS {
            let mut changed = false;
            for op in model.ops() {
                for (value, fact) in facts.outputs(model, op) {
                    changed |= facts.learn(value, fact);
                }
            }
            if !changed {
                break;
            }
        }
        facts
    }

    /// A value's element type.
    pub(super) fn dtype(&self, value: ValueId) -> Option<DataType> {
        self.known.get(&value)?.dtype
    }

    /// The element type of a value that can only be of a floating-point type. Where nothing says
    /// which, it is float if the model has no source of any other.
    pub(super) fn float_dtype(&self, value: ValueId) -> Option<DataType> {
        self.dtype(value).or(self.only_float32.then_some(DataType::Float))
    }

    /// A value's shape.
    pub(super) fn shape(&self, value: ValueId) -> Option<&Shape> {
        self.known.get(&value)?.shape.as_ref()
    }

    /// A value's rank.
    pub(super) fn rank(&self, value: ValueId) -> Option<usize> {
        self.shape(value).map(Vec::len)
    }

    fn learn(&mut self, value: ValueId, fact: Fact) -> bool {
        let known = self.known.entry(value).or_default();
        let before = known.clone();
        known.dtype = known.dtype.or(fact.dtype);
        match (&mut known.shape, fact.shape) {
            (Some(sizes), Some(new)) if sizes.len() == new.len() => {
                sizes.iter_mut().zip(new).for_each(|(size, new)| *size = size.or(new));
            }
            (shape @ None, new) => *shape = new,
            // What the file states counts.
            (Some(_), _) => {}
        }
        *known != before
    }

    fn read_stated(&mut self, model: &Model, scope: ScopeId) {
        let interfaces = model.scope(scope).inputs().iter().chain(model.scope(scope).outputs());
        for Interface { value, info } in interfaces {
            if let Some(fact) = info.as_ref().and_then(stated) {
                self.learn(*value, fact);
            }
        }
        let infos = match &model.scope(scope).shell {
            ScopeShell::Graph(graph) => &graph.value_info,
            ScopeShell::Function(function) => &function.value_info,
        };
        for info in infos {
            if let (Some(value), Some(fact)) = (model.find(scope, info.name()), stated(info)) {
                self.learn(value, fact);
            }
        }
        for &value in model.scope(scope).initializers() {
            if let Some(tensor) = model.value(value).initializer() {
                let shape = tensor.shape().into_iter().map(Some).collect();
                self.learn(value, Fact { dtype: Some(tensor.dtype()), shape: Some(shape) });
            }
        }
    }

    /// What an operator says of its outputs.
    fn outputs(&self, model: &Model, id: OpId) -> Vec<(ValueId, Fact)> {
        let op = model.op(id);
        if !op.domain().is_empty() {
            return vec![];
        }
        let (inputs, outputs) = (model.inputs(id), model.outputs(id));
        let input = |slot: usize| inputs.get(slot).copied().flatten();
        let shape = |slot: usize| input(slot).and_then(|value| self.shape(value));
        let rank = |slot: usize| shape(slot).map(Vec::len);
        let dtype = |slot: usize| input(slot).and_then(|value| self.dtype(value));
        let integers = |name: &str, slot: usize| match op.ints(name) {
            Some(list) => Some(list.to_vec()),
            None => input(slot).and_then(|value| constant_integers(model, value)),
        };
        let unknown = |rank: usize| vec![None; rank];

        let op_type = op.op_type();
        let mut fact = Fact { dtype: dtype(0), shape: None };
        match op_type {
            _ if SAME_SHAPE.contains(&op_type) => fact.shape = shape(0).cloned(),
            _ if SAME_RANK.contains(&op_type) => {
                fact.shape = rank(0).map(unknown);
                if op_type == "Conv"
                    && let Some(channels) = fact.shape.as_mut().and_then(|sizes| sizes.get_mut(1))
                {
                    *channels = shape(1).and_then(|weight| weight.first().copied().flatten());
                }
            }
            _ if BROADCAST.contains(&op_type) || COMPARE.contains(&op_type) => {
                let ranks: Option<Vec<usize>> = (0..inputs.len()).map(rank).collect();
                fact.shape = ranks.and_then(|ranks| ranks.into_iter().max()).map(unknown);
                if (0..inputs.len()).all(|slot| shape(slot).is_some() && shape(slot) == shape(0)) {
                    fact.shape = shape(0).cloned();
                }
                if COMPARE.contains(&op_type) {
                    fact.dtype = Some(DataType::Bool);
                }
            }
            "Cast" => {
                fact = Fact { dtype: cast_target(op.int("to"), op.text("to")), shape: shape(0).cloned() };
            }
            "Constant" => {
                let tensor = outputs.first().copied().flatten().and_then(|value| model.constant(value));
                fact = tensor.map_or_else(Fact::default, |tensor| Fact {
                    dtype: Some(tensor.dtype()),
                    shape: Some(tensor.shape().into_iter().map(Some).collect()),
                });
                if let Some(list) = op.ints("value_ints").filter(|_| !op.refers_to_caller("value_ints")) {
                    fact = Fact { dtype: Some(DataType::Int64), shape: Some(vec![Some(list.len())]) };
                } else if op.int("value_int").is_some() {
                    fact = Fact { dtype: Some(DataType::Int64), shape: Some(vec![]) };
                }
            }
            "ConstantOfShape" => {
                fact.dtype = Some(op.tensor("value").map_or(DataType::Float, |tensor| tensor.dtype()));
                fact.shape =
                    integers("", 0).map(|sizes| sizes.into_iter().map(|size| usize::try_from(size).ok()).collect());
            }
            "Shape" => fact = Fact { dtype: Some(DataType::Int64), shape: Some(unknown(1)) },
            "Size" => fact = Fact { dtype: Some(DataType::Int64), shape: Some(vec![]) },
            "NonZero" => fact = Fact { dtype: Some(DataType::Int64), shape: Some(unknown(2)) },
            "Flatten" | "Gemm" => fact.shape = Some(unknown(2)),
            "MatMul" => {
                let ranks = rank(0).zip(rank(1)).filter(|(left, right)| *left >= 2 && *right >= 2);
                fact.shape = ranks.map(|(left, right)| unknown(left.max(right)));
            }
            "Transpose" => fact.shape = shape(0).map(|sizes| transposed(sizes, op.ints("perm"))),
            "Reshape" => {
                fact.shape = integers("shape", 1).map(|sizes| {
                    sizes.into_iter().map(|size| usize::try_from(size).ok().filter(|&size| size > 0)).collect()
                });
            }
            "Squeeze" => {
                fact.shape = integers("axes", 1).zip(shape(0)).and_then(|(axes, sizes)| {
                    let axes: Vec<usize> = normalized(&axes, sizes.len())?;
                    Some((0..sizes.len()).filter(|axis| !axes.contains(axis)).map(|axis| sizes[axis]).collect())
                });
            }
            "Unsqueeze" => {
                fact.shape = integers("axes", 1).zip(shape(0)).and_then(|(axes, sizes)| {
                    let rank = sizes.len() + axes.len();
                    let axes = normalized(&axes, rank)?;
                    let mut old = sizes.iter().copied();
                    let new = (0..rank).map(|axis| if axes.contains(&axis) { Some(1) } else { old.next().flatten() });
                    Some(new.collect())
                });
            }
            "Gather" => {
                fact.shape =
                    rank(0).zip(rank(1)).and_then(|(data, indices)| (data + indices).checked_sub(1)).map(unknown);
            }
            "Where" => {
                fact.dtype = dtype(1);
                fact.shape = rank(0).zip(rank(1)).zip(rank(2)).map(|((a, b), c)| unknown(a.max(b).max(c)));
            }
            "ArgMax" | "ArgMin" => {
                fact.dtype = Some(DataType::Int64);
                fact.shape =
                    rank(0).and_then(|rank| rank.checked_sub(usize::from(op.int("keepdims") == Some(0)))).map(unknown);
            }
            _ if op_type.starts_with("Reduce") => {
                let kept = op.int("keepdims").unwrap_or(1) != 0;
                fact.shape = match integers("axes", 1) {
                    _ if kept => rank(0).map(unknown),
                    Some(axes) => rank(0).and_then(|rank| rank.checked_sub(axes.len())).map(unknown),
                    None if input(1).is_none() && op.int("noop_with_empty_axes").unwrap_or(0) == 0 => Some(vec![]),
                    None => None,
                };
            }
            "LSTM" | "GRU" | "RNN" => fact.shape = Some(unknown(4)),
            "DequantizeLinear" => fact = Fact { dtype: dtype(1), shape: shape(0).cloned() },
            _ => return vec![],
        }
        let mut facts = Vec::new();
        for (slot, value) in outputs.into_iter().enumerate() {
            let Some(value) = value else { continue };
            let fact = match (op_type, slot) {
                (_, 0) | ("Split", _) => fact.clone(),
                ("TopK" | "MaxPool", 1) => Fact { dtype: Some(DataType::Int64), ..fact.clone() },
                ("LSTM" | "GRU" | "RNN", _) => Fact { shape: Some(unknown(3)), ..fact.clone() },
                _ => continue,
            };
            facts.push((value, fact));
        }
        facts
    }
}

fn stated(info: &ValueInfoProto) -> Option<Fact> {
    let type_proto::Value::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()? else { return None };
    let dtype = DataType::try_from(tensor.elem_type()).ok().filter(|&dtype| dtype != DataType::Undefined);
    let size = |value: &Option<dimension::Value>| match value {
        Some(dimension::Value::DimValue(size)) => usize::try_from(*size).ok(),
        _ => None,
    };
    let shape = tensor.shape.as_ref().map(|shape| shape.dim.iter().map(|dim| size(&dim.value)).collect());
    Some(Fact { dtype, shape })
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
pub(super) fn cast_target(number: Option<i64>, name: Option<&str>) -> Option<DataType> {
    match name {
        Some(name) => DataType::from_str_name(name),
        None => DataType::try_from(i32::try_from(number?).ok()?).ok(),
    }
}

fn transposed(sizes: &Shape, perm: Option<&[i64]>) -> Shape {
    let unknown = || vec![None; sizes.len()];
    match perm {
        None => sizes.iter().rev().copied().collect(),
        Some(perm) => normalized(perm, sizes.len())
            .filter(|perm| perm.len() == sizes.len())
            .map_or_else(unknown, |perm| perm.into_iter().map(|axis| sizes[axis]).collect()),
    }
}

fn normalized(axes: &[i64], rank: usize) -> Option<Vec<usize>> {
    axes.iter().map(|&axis| normalize_axis(axis, rank)).collect()
}

/// The elements of a constant list of integers.
fn constant_integers(model: &Model, value: ValueId) -> Option<Vec<i64>> {
    if let Some(list) = model.producer(value).map(|op| model.op(op)).filter(|op| op.is("Constant"))
        && let Some(attribute) = list.attribute("value_ints").filter(|_| !list.refers_to_caller("value_ints"))
    {
        return Some(attribute.ints.clone());
    }
    // Since IR version 4 an input's default value may be overridden by whoever runs the model.
    let overridable = model.ir_version() >= 4 && model.is_input(value);
    let tensor = model.constant(value).filter(|_| !overridable)?;
    Some(tensor.to_i64().ok()?.into_iter().collect())
}
