//! What operators tell of their outputs' types and shapes.

use super::{Fact, Facts, Shape, cast_target};
use crate::{
    ir::{DataType, Model, Op, OpId, ValueId},
    operators::normalize_axis,
};

/// Operators whose first output has the type and shape of the first input.
#[rustfmt::skip]
const SAME_SHAPE: &[&str] = &[
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BatchNormalization", "BitwiseNot", "Ceil", "Celu", "Clip",
    "Cos", "Cosh", "CumSum", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "GroupNormalization", "HardSigmoid",
    "HardSwish", "Hardmax", "Identity", "InstanceNormalization", "LRN", "LayerNormalization", "LeakyRelu", "Log",
    "LogSoftmax", "LpNormalization", "MeanVarianceNormalization", "Mish", "Neg", "Not", "PRelu", "RMSNormalization",
    "Reciprocal", "Relu", "ReverseSequence", "Round", "Scatter", "ScatterElements", "ScatterND", "Selu", "Shrink",
    "Sigmoid", "Sign", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh",
    "ThresholdedRelu", "Trilu",
];

/// Operators whose outputs have the type and rank of the first input.
#[rustfmt::skip]
const SAME_RANK: &[&str] = &[
    "ConvTranspose", "DeformConv", "DepthToSpace", "MaxUnpool", "Resize", "SpaceToDepth", "Split", "Tile", "TopK",
    "Upsample",
];

/// Operators that broadcast their inputs against each other.
#[rustfmt::skip]
const BROADCAST: &[&str] = &[
    "Add", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Max", "Mean", "Min", "Mod", "Mul", "Pow", "Sub", "Sum",
];

/// The same, to booleans.
const COMPARE: &[&str] = &["And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Or", "Xor"];

/// A file may state any size of a list that is a shape; no tensor has that many dimensions.
pub(super) const MAX_RANK: usize = 64;

/// An operator, and what is known of what it reads.
pub(super) struct Rule<'a> {
    facts: &'a Facts,
    model: &'a Model,
    pub(super) op: &'a Op,
    inputs: Vec<Option<ValueId>>,
}

impl Facts {
    /// What an operator tells of the values that it makes or reads.
    pub(super) fn follow(&self, model: &Model, id: OpId) -> Vec<(ValueId, Fact)> {
        let op = model.op(id);
        if op.is("If") || op.is("Loop") || op.is("Scan") {
            return self.given_by_bodies(model, id);
        }
        if op.domain() == "com.microsoft" && model.called_function(id).is_none() {
            return self.made_by_contributed(model, id);
        }
        // What a caller gives may be anything.
        if !op.domain().is_empty() || op.has_attributes_of_caller() {
            return vec![];
        }
        let rule = Rule { facts: self, model, op, inputs: model.inputs(id) };
        let outputs = model.outputs(id);
        let op_type = op.op_type();
        let constant = outputs.first().copied().flatten().and_then(|value| model.constant(value));
        let fact = match constant {
            Some(tensor) if op_type == "Constant" => {
                Fact { dtype: Some(tensor.dtype()), shape: Some(tensor.shape().into_iter().map(Some).collect()) }
            }
            _ => Fact { dtype: rule.output_dtype(), shape: rule.output_shape() },
        };
        let mut told = Vec::new();
        for (slot, value) in outputs.iter().enumerate() {
            let Some(value) = *value else { continue };
            let fact = match (op_type, slot) {
                (_, 0) | ("Split", _) => fact.clone(),
                ("TopK" | "MaxPool", 1) => Fact { dtype: Some(DataType::Int64), ..fact.clone() },
                ("DynamicQuantizeLinear", 1) => Fact { dtype: Some(DataType::Float), shape: Some(vec![]) },
                ("DynamicQuantizeLinear", _) => Fact { dtype: Some(DataType::Uint8), shape: Some(vec![]) },
                ("LSTM" | "GRU" | "RNN", _) => Fact { shape: Some(unknown(3)), ..fact.clone() },
                _ => continue,
            };
            told.push((value, fact));
        }
        // The other way round, from what the file states of its outputs.
        if let (true, Some(input), Some(output)) =
            (SAME_SHAPE.contains(&op_type), rule.input(0), outputs.first().copied().flatten())
        {
            told.push((input, Fact { dtype: self.dtype(output), shape: self.shape(output).cloned() }));
        }
        told
    }

    /// The types that the branches of an If, or the body of a Loop or Scan, give out.
    fn given_by_bodies(&self, model: &Model, id: OpId) -> Vec<(ValueId, Fact)> {
        // What a Loop's body gives first says whether it goes on.
        let before = usize::from(model.op(id).is("Loop"));
        let given = |slot: usize| {
            let slot = slot + before;
            let bodies = model.op(id).bodies().iter();
            bodies.filter_map(|body| model.scope(body.scope).outputs().get(slot)).find_map(|it| self.dtype(it.value))
        };
        let outputs = model.outputs(id).into_iter().enumerate();
        outputs.filter_map(|(slot, value)| Some((value?, Fact { dtype: given(slot), shape: None }))).collect()
    }

    /// The type that an operator of onnxruntime's own makes first, by the input that it shares it with.
    fn made_by_contributed(&self, model: &Model, id: OpId) -> Vec<(ValueId, Fact)> {
        let like = |slot: usize| model.input(id, slot).and_then(|input| self.dtype(input));
        if model.op(id).is_of("com.microsoft", "DynamicQuantizeLSTM") {
            let made = |(slot, value): (usize, Option<ValueId>)| {
                let rank = if slot == 0 { 4 } else { 3 };
                Some((value?, Fact { dtype: like(0), shape: Some(unknown(rank)) }))
            };
            return model.outputs(id).into_iter().enumerate().filter_map(made).collect();
        }
        let dtype = match model.op(id).op_type() {
            "QLinearConcat" | "QLinearWhere" => like(1),
            "MatMulIntegerToFloat" | "GatherBlockQuantized" => like(2),
            "QLinearConv" => like(7),
            "QGemm" => like(8).or(Some(DataType::Float)),
            op_type if op_type.starts_with("QLinear") || op_type.starts_with("MatMul") => like(0),
            _ => None,
        };
        let output = model.outputs(id).first().copied().flatten();
        output.map(|output| (output, Fact { dtype, shape: None })).into_iter().collect()
    }
}

impl Rule<'_> {
    fn input(&self, slot: usize) -> Option<ValueId> {
        self.inputs.get(slot).copied().flatten()
    }

    pub(super) fn shape(&self, slot: usize) -> Option<&Shape> {
        self.facts.shape(self.input(slot)?)
    }

    fn rank(&self, slot: usize) -> Option<usize> {
        self.shape(slot).map(Vec::len)
    }

    /// How many sizes an input lists that is a shape: the rank of what gets it.
    fn listed(&self, slot: usize) -> Option<usize> {
        self.shape(slot)?.first().copied().flatten().filter(|&rank| rank <= MAX_RANK)
    }

    fn dtype(&self, slot: usize) -> Option<DataType> {
        self.facts.dtype(self.input(slot)?)
    }

    /// Integers that are an attribute in some opsets, and in others an input.
    fn integers(&self, name: &str, slot: usize) -> Option<Vec<i64>> {
        let list = match self.op.ints(name) {
            Some(list) => Some(list.to_vec()),
            None => constant_integers(self.model, self.input(slot)?),
        };
        list.filter(|list| list.len() <= MAX_RANK)
    }

    fn output_dtype(&self) -> Option<DataType> {
        let op_type = self.op.op_type();
        match op_type {
            "Cast" => cast_target(self.op.int("to"), self.op.text("to")),
            "ConstantOfShape" => Some(self.op.tensor("value").map_or(DataType::Float, |tensor| tensor.dtype())),
            "Shape" | "Size" | "NonZero" | "ArgMax" | "ArgMin" => Some(DataType::Int64),
            "Constant" => self.op.attribute("value_ints").or(self.op.attribute("value_int")).map(|_| DataType::Int64),
            "Where" | "DequantizeLinear" => self.dtype(1),
            "QuantizeLinear" => self.input(2).map_or(Some(DataType::Uint8), |_| self.dtype(2)),
            "DynamicQuantizeLinear" => Some(DataType::Uint8),
            "ConvInteger" | "MatMulInteger" => Some(DataType::Int32),
            "QLinearConv" | "QLinearMatMul" => self.dtype(7),
            _ if COMPARE.contains(&op_type) => Some(DataType::Bool),
            "AveragePool" | "Compress" | "Concat" | "Conv" | "Einsum" | "Expand" | "Flatten" | "GRU" | "Gather"
            | "GatherElements" | "GatherND" | "Gemm" | "LSTM" | "MatMul" | "RNN" | "Reshape" | "LpPool" | "MaxPool"
            | "GlobalAveragePool" | "GlobalLpPool" | "GlobalMaxPool" | "Pad" | "Slice" | "Squeeze" | "Transpose"
            | "Unsqueeze" => self.dtype(0),
            _ if SAME_SHAPE.contains(&op_type) || SAME_RANK.contains(&op_type) || BROADCAST.contains(&op_type) => {
                self.dtype(0)
            }
            _ if op_type.starts_with("Reduce") => self.dtype(0),
            _ => None,
        }
    }

    fn output_shape(&self) -> Option<Shape> {
        let op_type = self.op.op_type();
        match op_type {
            "Cast" | "DequantizeLinear" | "DynamicQuantizeLinear" | "QuantizeLinear" => self.shape(0).cloned(),
            "Conv" => self.windowed(self.shape(1).and_then(|weight| weight.first().copied().flatten())),
            "AveragePool" | "LpPool" | "MaxPool" => self.windowed(self.shape(0)?.get(1).copied().flatten()),
            "GlobalAveragePool" | "GlobalLpPool" | "GlobalMaxPool" => {
                let one = |(axis, size): (usize, &Option<usize>)| if axis < 2 { *size } else { Some(1) };
                Some(self.shape(0)?.iter().enumerate().map(one).collect())
            }
            _ if SAME_SHAPE.contains(&op_type) => self.shape(0).cloned(),
            _ if SAME_RANK.contains(&op_type) => self.rank(0).map(unknown),
            _ if BROADCAST.contains(&op_type) || COMPARE.contains(&op_type) || op_type == "Where" => self.broadcast(),
            "Constant" => self.op.ints("value_ints").map(|list| vec![Some(list.len())]),
            "ConstantOfShape" => sizes_from(&self.integers("", 0)?),
            "Shape" => {
                let all = self.op.attribute("start").is_none() && self.op.attribute("end").is_none();
                Some(vec![self.rank(0).filter(|_| all)])
            }
            "Size" => Some(vec![]),
            "Gemm" => {
                let size = |slot: usize, transposed: &str, axis: usize| {
                    let turned = self.op.int(transposed).unwrap_or(0) != 0;
                    self.shape(slot)?.get(if turned { 1 - axis } else { axis }).copied().flatten()
                };
                Some(vec![size(0, "transA", 0), size(1, "transB", 1)])
            }
            "NonZero" | "Flatten" => Some(unknown(2)),
            "MatMul" | "MatMulInteger" => self.multiplied(),
            "Transpose" => self.transposed(),
            "Reshape" => match self.integers("shape", 1) {
                Some(sizes) => sizes_from(&sizes),
                None => self.listed(1).map(unknown),
            },
            "Expand" => Some(unknown(self.listed(1)?.max(self.rank(0)?))),
            // What is squeezed without saying which axes are those of size 1.
            "Squeeze" if self.input(1).is_none() && self.op.attribute("axes").is_none() => {
                let sizes: Vec<usize> = self.shape(0)?.iter().copied().collect::<Option<_>>()?;
                Some(sizes.into_iter().filter(|&size| size != 1).map(Some).collect())
            }
            "Squeeze" => {
                let (axes, sizes) = (self.integers("axes", 1).filter(|axes| !axes.is_empty())?, self.shape(0)?);
                let axes = normalized(&axes, sizes.len())?;
                Some((0..sizes.len()).filter(|axis| !axes.contains(axis)).map(|axis| sizes[axis]).collect())
            }
            "Unsqueeze" => {
                let (axes, sizes) = (self.integers("axes", 1)?, self.shape(0)?);
                let rank = sizes.len() + axes.len();
                let axes = normalized(&axes, rank)?;
                let mut old = sizes.iter().copied();
                Some((0..rank).map(|axis| if axes.contains(&axis) { Some(1) } else { old.next().flatten() }).collect())
            }
            "Concat" => self.concatenated(),
            "Slice" => self.sliced(),
            "Pad" => self.padded(),
            "Gather" => {
                let (data, indices) = (self.shape(0)?, self.shape(1)?);
                let axis = normalize_axis(self.op.int("axis").unwrap_or(0), data.len())?;
                Some([&data[..axis], indices, &data[axis + 1..]].concat())
            }
            "GatherElements" => self.shape(1).cloned(),
            "GatherND" => {
                let (data, indices) = (self.shape(0)?.len(), self.shape(1)?);
                let batched = usize::try_from(self.op.int("batch_dims").unwrap_or(0)).ok()?;
                let picked = batched.checked_add((*indices.last()?)?)?;
                Some(unknown((indices.len() - 1).checked_add(data.checked_sub(picked)?)?))
            }
            "Compress" if self.op.attribute("axis").is_some() => self.rank(0).map(unknown),
            "Einsum" => {
                let output = self.op.text("equation")?.split_once("->")?.1;
                (!output.contains('.')).then(|| unknown(output.chars().filter(|letter| letter.is_alphabetic()).count()))
            }
            "ArgMax" | "ArgMin" => {
                self.rank(0)?.checked_sub(usize::from(self.op.int("keepdims") == Some(0))).map(unknown)
            }
            _ if op_type.starts_with("Reduce") => self.reduced(),
            "LSTM" | "GRU" | "RNN" => Some(unknown(4)),
            _ => None,
        }
    }

    fn broadcast(&self) -> Option<Shape> {
        let shapes: Vec<&Shape> = (0..self.inputs.len()).map(|slot| self.shape(slot)).collect::<Option<_>>()?;
        let rank = shapes.iter().map(|shape| shape.len()).max()?;
        let size = |axis: usize| {
            // Counted from the end; who has no such axis goes along with the others.
            let from_end = rank - axis;
            let sizes = shapes.iter().filter_map(|shape| Some(shape[shape.len().checked_sub(from_end)?]));
            let all: Vec<Option<usize>> = sizes.collect();
            let larger = all.iter().flatten().find(|&&size| size != 1);
            match larger {
                Some(&size) => Some(size),
                None if all.iter().all(|size| *size == Some(1)) => Some(1),
                None => None,
            }
        };
        Some((0..rank).map(size).collect())
    }

    fn transposed(&self) -> Option<Shape> {
        let sizes = self.shape(0)?;
        match self.op.ints("perm") {
            None => Some(sizes.iter().rev().copied().collect()),
            Some(perm) => {
                let perm = normalized(perm, sizes.len()).filter(|perm| perm.len() == sizes.len())?;
                Some(perm.into_iter().map(|axis| sizes[axis]).collect())
            }
        }
    }

    /// Rows of the left factor, columns of the right one, behind what either has before.
    fn multiplied(&self) -> Option<Shape> {
        let matrices = |slot| self.shape(slot).filter(|sizes| sizes.len() >= 2);
        let (left, right) = (matrices(0)?, matrices(1)?);
        let mut sizes = unknown(left.len().max(right.len()));
        let rank = sizes.len();
        sizes[rank - 2] = left[left.len() - 2];
        sizes[rank - 1] = right[right.len() - 1];
        if right.len() == 2 {
            sizes[..rank - 2].copy_from_slice(&left[..rank - 2]);
        }
        Some(sizes)
    }

    fn concatenated(&self) -> Option<Shape> {
        let axis = self.op.int("axis").unwrap_or(1);
        let rank = (0..self.inputs.len()).find_map(|slot| self.rank(slot))?;
        let axis = normalize_axis(axis, rank)?;
        let part = |slot: usize| self.shape(slot).filter(|sizes| sizes.len() == rank);
        // Along the other axes all parts are of the same size.
        let known = |other: usize| (0..self.inputs.len()).find_map(|slot| part(slot)?[other]);
        let mut sizes: Shape = (0..rank).map(known).collect();
        let parts = (0..self.inputs.len()).map(|slot| part(slot)?[axis]);
        sizes[axis] = parts.into_iter().try_fold(0usize, |sum, part| sum.checked_add(part?));
        Some(sizes)
    }

    /// What is taken of each axis that is named; other axes keep their size.
    fn sliced(&self) -> Option<Shape> {
        let sizes = self.shape(0)?;
        let taken = || {
            let (starts, ends) = (self.integers("starts", 1)?, self.integers("ends", 2)?);
            let axes = match self.op.attribute("axes").is_some() || self.input(3).is_some() {
                true => normalized(&self.integers("axes", 3)?, sizes.len())?,
                false => (0..starts.len()).collect(),
            };
            let steps = match self.input(4) {
                Some(steps) => constant_integers(self.model, steps)?,
                None => vec![1; starts.len()],
            };
            if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
                return None;
            }
            let mut sizes = sizes.clone();
            for (((axis, start), end), step) in axes.into_iter().zip(starts).zip(ends).zip(steps) {
                let size = sizes.get_mut(axis)?;
                *size = size.and_then(|size| elements_of_slice(size, start, end, step));
            }
            Some(sizes)
        };
        Some(taken().unwrap_or_else(|| unknown(sizes.len())))
    }

    /// Each size with what is put before and behind it.
    fn padded(&self) -> Option<Shape> {
        let sizes = self.shape(0)?;
        let sum = || {
            let (pads, axes) = (self.integers("pads", 1)?, self.input(3));
            let axes = match axes {
                Some(axes) => normalized(&constant_integers(self.model, axes)?, sizes.len())?,
                None => (0..sizes.len()).collect(),
            };
            if pads.len() != 2 * axes.len() {
                return None;
            }
            let mut sizes = sizes.clone();
            for (index, &axis) in axes.iter().enumerate() {
                let (before, behind) = (pads[index], pads[axes.len() + index]);
                let padded = |size: usize| {
                    let size = i64::try_from(size).ok()?.checked_add(before)?.checked_add(behind)?;
                    usize::try_from(size).ok()
                };
                sizes[axis] = sizes[axis].and_then(padded);
            }
            Some(sizes)
        };
        Some(sum().unwrap_or_else(|| unknown(sizes.len())))
    }

    fn reduced(&self) -> Option<Shape> {
        let rank = self.rank(0);
        if self.op.int("keepdims").unwrap_or(1) != 0 {
            return rank.map(unknown);
        }
        match self.integers("axes", 1).filter(|axes| !axes.is_empty()) {
            Some(axes) => rank?.checked_sub(axes.len()).map(unknown),
            None if self.input(1).is_none() && self.op.int("noop_with_empty_axes").unwrap_or(0) == 0 => Some(vec![]),
            None => None,
        }
    }
}

/// How many elements a Slice takes of an axis; `None` for a step that is none or a size out of all bounds.
fn elements_of_slice(size: usize, start: i64, end: i64, step: i64) -> Option<usize> {
    let size = i64::try_from(size).ok()?;
    let index = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let span = match step {
        1.. => index(end).clamp(0, size) - index(start).clamp(0, size),
        0 => return None,
        _ => index(start).clamp(-1, size - 1) - index(end).clamp(-1, size - 1),
    };
    usize::try_from(span.max(0)).ok().map(|span| span.div_ceil(step.unsigned_abs() as usize))
}

fn unknown(rank: usize) -> Shape {
    vec![None; rank]
}

/// Sizes as Reshape and its like take them: 0 and -1 say what the input decides.
fn sizes_from(sizes: &[i64]) -> Option<Shape> {
    Some(sizes.iter().map(|&size| usize::try_from(size).ok().filter(|&size| size > 0)).collect())
}

fn normalized(axes: &[i64], rank: usize) -> Option<Vec<usize>> {
    axes.iter().map(|&axis| normalize_axis(axis, rank)).collect()
}

/// The elements of a constant list of integers.
fn constant_integers(model: &Model, value: ValueId) -> Option<Vec<i64>> {
    // Since IR version 4 an input's default value may be overridden by whoever runs the model.
    let overridable = model.ir_version() >= 4 && model.is_input(value);
    let tensor = model.constant(value).filter(|_| !overridable)?;
    Some(tensor.to_array::<i64>().ok()?.into_iter().collect())
}
