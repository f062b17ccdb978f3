//! One operator whose inputs are all constant, and what it makes of them.

use super::array::Array;
use crate::{
    analysis::cast_target,
    ir::{DataType, Model, Op, OpId},
    passes::constants::fixed,
};

/// An operator with its inputs.
pub(super) struct Evaluation<'a> {
    pub op: &'a Op,
    pub inputs: Vec<Option<Array>>,
    /// How many bytes the result may take.
    pub limit: usize,
}

/// Whether operators of this type are computed. Before opset 7 an attribute says how arithmetic
/// broadcasts.
pub(super) fn is_computed(op: &Op, opset: i64) -> bool {
    let known = moves(op.op_type()) || computes(op.op_type());
    // What a function's caller gives may be anything.
    let given = op.has_attributes_of_caller();
    known && op.domain().is_empty() && opset >= 7 && !given
}

/// Operators that only move elements, or convert them: what is quantized can be behind them.
pub(super) fn moves(op_type: &str) -> bool {
    matches!(op_type, "Cast" | "Concat" | "Reshape" | "Slice" | "Squeeze" | "Transpose" | "Unsqueeze")
}

/// Operators that make other elements of theirs, or repeat them.
#[rustfmt::skip]
pub(super) fn computes(op_type: &str) -> bool {
    matches!(
        op_type,
        "Abs" | "Add" | "And" | "Ceil" | "Clip" | "ConstantOfShape" | "Div" | "Equal" | "Exp" | "Expand" | "Floor"
            | "Gather" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Max" | "Min" | "Mod" | "Mul" | "Neg"
            | "Not" | "Or" | "Pow" | "Range" | "Reciprocal" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceSum"
            | "Sqrt" | "Sub" | "Sum" | "Tile" | "Where" | "Xor"
    )
}

impl<'a> Evaluation<'a> {
    /// An operator whose inputs are all constant; `None` for any other.
    pub fn new(model: &'a Model, id: OpId, limit: usize) -> Option<Self> {
        let inputs = model.inputs(id).into_iter();
        let inputs = inputs.map(|input| match input {
            Some(value) => Array::of(&*fixed(model, value)?).map(Some),
            None => Some(None),
        });
        Some(Self { op: model.op(id), inputs: inputs.collect::<Option<_>>()?, limit })
    }

    /// What the operator makes; `None` where that is too large, or left to the runtime.
    pub fn result(&self) -> Option<Array> {
        match self.op.op_type() {
            "Cast" => self.input(0)?.cast(cast_target(self.op.int("to"), self.op.text("to"))?),
            "Transpose" => self.transpose(),
            "Reshape" => self.reshape(),
            "Squeeze" => self.squeeze(),
            "Unsqueeze" => self.unsqueeze(),
            "Concat" => self.concat(),
            "Gather" => self.gather(),
            "Slice" => self.slice(),
            "Expand" => self.expand(),
            "Tile" => self.tile(),
            "ConstantOfShape" => self.constant_of_shape(),
            "Range" => self.range(),
            "Where" => self.choose(),
            "Clip" => self.clip(),
            "Max" | "Min" | "Sum" => self.variadic(),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" => self.binary(),
            "And" | "Or" | "Xor" | "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" => self.compare(),
            "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceSum" => self.reduce(),
            _ => self.unary(),
        }
    }

    pub(super) fn input(&self, slot: usize) -> Option<&Array> {
        self.inputs.get(slot)?.as_ref()
    }

    /// Integers that are an attribute in some opsets, and in others an input.
    pub(super) fn integers(&self, name: &str, slot: usize) -> Option<Vec<i64>> {
        match self.op.ints(name) {
            Some(list) => Some(list.to_vec()),
            None => self.input(slot)?.integers(),
        }
    }

    /// Whether a result of this shape with elements like those of `like` is small enough, before it is
    /// made. Sizes of zero do not make up for the others: no array could have these.
    pub(super) fn allow(&self, shape: &[usize], like: &Array) -> Option<()> {
        let bytes = shape.iter().try_fold(like.element_size(), |bytes, &size| bytes.checked_mul(size.max(1)))?;
        (bytes <= self.limit).then_some(())
    }
}

/// The sizes of a value that Shape gives, as far as they are known.
pub(super) fn sizes_of(op: &Op, sizes: &[Option<usize>]) -> Option<Vec<Option<i64>>> {
    let rank = i64::try_from(sizes.len()).ok().filter(|_| !op.has_attributes_of_caller() && op.domain().is_empty())?;
    let bound = |name, default| {
        let at: i64 = op.int(name).unwrap_or(default);
        if at < 0 { at.saturating_add(rank).max(0) } else { at.min(rank) }
    };
    let (start, end) = (bound("start", 0), bound("end", rank));
    let wanted = sizes.iter().skip(start as usize).take((end - start).max(0) as usize);
    Some(wanted.map(|size| size.and_then(|size| i64::try_from(size).ok())).collect())
}

/// The shape of a value of which every size is known, as Shape gives it, or Size.
pub(super) fn shape_of(op: &Op, sizes: &[Option<usize>]) -> Option<Array> {
    match op.op_type() {
        "Shape" => Some(Array::list(sizes_of(op, sizes)?.into_iter().collect::<Option<Vec<_>>>()?)),
        "Size" if !op.has_attributes_of_caller() && op.domain().is_empty() => {
            let mut sizes = sizes.iter().map(|size| size.and_then(|size| i64::try_from(size).ok()));
            let count = sizes.try_fold(1i64, |count, size| count.checked_mul(size?))?;
            Array::I64(ndarray::arr0(count).into_dyn()).cast(DataType::Int64)
        }
        _ => None,
    }
}
