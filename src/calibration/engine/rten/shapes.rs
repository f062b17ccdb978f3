//! The shapes of the values that a run is about to make, as far as rten's rules can tell: of shapes that
//! are known, and of integers that shapes are computed of.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use rten_shape_inference::{
    BinaryOp, InferShapes, InferShapesContext, ReductionOp, SymExpr, SymTensor, SymbolGen, UnaryOp, VariadicOp, ops,
};

use crate::ir::{DataType, Model, Op, OpId, ScopeId, Tensor, ValueId};

/// Longer lists of integers are no shapes, and not looked into.
const MAX_VALUES: usize = 64;
/// No axis is lengthened by more; larger numbers could overflow where rten's rules compute with them.
const MAX_LENGTH: i64 = 1 << 24;

/// What is known of values: shapes, and the elements of small integers.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    known: HashMap<ValueId, SymTensor>,
}

impl Shapes {
    /// What follows from the shapes of the main graph's inputs; an input that is not given has the shape
    /// that the model states, if any.
    pub fn infer(model: &Model, inputs: &[Tensor]) -> Self {
        let mut shapes = Self::default();
        for interface in model.scope(Model::MAIN).inputs() {
            let name = model.value(interface.value).name();
            let known = match inputs.iter().find(|tensor| tensor.name() == name) {
                Some(tensor) => Some(of_tensor(tensor)),
                None if model.value(interface.value).initializer().is_some() => None,
                None => interface.tensor_type().and_then(|stated| {
                    let mut unknown = SymbolGen::new();
                    let dims = stated.dims?.into_iter();
                    Some(SymTensor::from_shape(
                        dims.map(|dim| dim.size().map_or_else(|| unknown.gen_positive(), of_size)).collect(),
                    ))
                }),
            };
            if let Some(known) = known {
                shapes.known.insert(interface.value, known);
            }
        }
        shapes.infer_scope(model, Model::MAIN, &mut SymbolGen::with_prefix("unknown_size".into()));
        shapes
    }

    /// How many dimensions a value has.
    pub fn rank(&self, value: ValueId) -> Option<usize> {
        self.known.get(&value)?.ndim()
    }

    /// Its sizes; those that are not known are `None`.
    pub fn sizes(&self, value: ValueId) -> Option<Vec<Option<i64>>> {
        Some(self.known.get(&value)?.shape()?.map(|size| fixed(&size)).collect())
    }

    /// Its elements, of a scalar or vector of integers.
    pub fn integers(&self, value: ValueId) -> Option<Vec<i64>> {
        self.known.get(&value)?.values()?.iter().map(fixed).collect()
    }

    /// How many elements it has, as a number that does not overflow. A size below zero is one that
    /// overflowed.
    pub fn elements(&self, value: ValueId) -> Option<f64> {
        let known = |size: i64| if size < 0 { f64::INFINITY } else { size as f64 };
        self.sizes(value)?.into_iter().map(|size| size.map(known)).product()
    }

    fn infer_scope(&mut self, model: &Model, scope: ScopeId, unknown: &mut SymbolGen) {
        for &value in model.scope(scope).initializers() {
            if let (None, Some(tensor)) = (self.known.get(&value), model.value(value).initializer()) {
                self.known.insert(value, of_tensor(tensor));
            }
        }
        for &op in model.scope(scope).ops() {
            for body in model.op(op).bodies() {
                self.infer_scope(model, body.scope, unknown);
            }
            for (output, shape) in model.outputs(op).into_iter().zip(self.outputs(model, op, unknown)) {
                if let Some(output) = output {
                    self.known.insert(output, shape);
                }
            }
        }
    }

    fn outputs(&self, model: &Model, op: OpId, unknown: &mut SymbolGen) -> Vec<SymTensor> {
        let output = model.outputs(op).first().copied().flatten();
        if model.op(op).is("Constant") {
            let constant = output.and_then(|output| model.constant(output));
            return constant.map(|tensor| of_tensor(&tensor)).into_iter().collect();
        }
        let mut inputs: Vec<Option<SymTensor>> = Vec::new();
        for input in model.inputs(op) {
            let known = |input| self.known.get(&input).cloned().unwrap_or_else(|| SymTensor::unknown("not inferred"));
            inputs.push(input.map(known));
        }
        // The rules are for models that are valid.
        if asks_for_too_much(model.op(op), &inputs) {
            return vec![SymTensor::from_shape(vec![SymExpr::Value(i32::MAX); 2])];
        }
        let inferred =
            catch_unwind(AssertUnwindSafe(|| infer(model.op(op), &mut inputs, model.outputs(op).len(), unknown)));
        inferred.ok().flatten().unwrap_or_default().into_iter().map(SymTensor::simplify).collect()
    }
}

/// Whether an operator is to enlarge its input by more than there are addresses for, or rten's rules have
/// numbers for.
fn asks_for_too_much(op: &Op, inputs: &[Option<SymTensor>]) -> bool {
    let large = |size: &i64| *size > MAX_LENGTH;
    let attribute = |name: &str| op.ints(name).is_some_and(|sizes| sizes.iter().any(large));
    let input = || {
        let values = inputs.get(1).and_then(|input| input.as_ref()?.values());
        values.is_some_and(|values| values.iter().filter_map(fixed).any(|size| large(&size)))
    };
    match op.op_type() {
        "Conv" | "ConvInteger" | "MaxPool" | "AveragePool" => attribute("pads"),
        "ConvTranspose" => ["strides", "dilations", "output_padding"].into_iter().any(attribute),
        "Pad" | "Tile" => input() || attribute("pads"),
        _ => false,
    }
}

fn of_size(size: usize) -> SymExpr {
    // No dimension that memory has room for is larger.
    SymExpr::Value(i32::try_from(size).unwrap_or(i32::MAX))
}

fn fixed(size: &SymExpr) -> Option<i64> {
    match size {
        SymExpr::Value(size) => Some(i64::from(*size)),
        _ => None,
    }
}

fn of_tensor(tensor: &Tensor) -> SymTensor {
    let shape = tensor.shape();
    let integers = matches!(tensor.dtype(), DataType::Int64 | DataType::Int32) && tensor.element_count() <= MAX_VALUES;
    if let (true, Ok(elements)) = (integers && shape.len() <= 1, tensor.to_array::<i64>()) {
        let saturated = |&element: &i64| element.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        let mut elements = elements.iter().map(saturated).map(SymExpr::Value);
        return match shape.is_empty() {
            true => SymTensor::from_scalar(elements.next().unwrap_or(SymExpr::Value(0))),
            false => SymTensor::from_vec(elements.collect()),
        };
    }
    SymTensor::from_shape(shape.into_iter().map(of_size).collect())
}

/// rten's rule for an operator, given its attributes. Attributes that were inputs in other opsets are
/// given as inputs, as rten does. `None` where there is no rule.
fn infer(
    op: &Op,
    inputs: &mut Vec<Option<SymTensor>>,
    outputs: usize,
    unknown: &mut SymbolGen,
) -> Option<Vec<SymTensor>> {
    if !op.domain().is_empty() {
        return None;
    }
    let int = |name: &str, default: i32| op.int(name).map_or(Some(default), |number| i32::try_from(number).ok());
    let sizes = |name: &str, default: Vec<usize>| match op.ints(name) {
        None => Some(default),
        Some(sizes) => sizes.iter().map(|&size| (size <= MAX_LENGTH).then_some(usize::try_from(size).ok()?)).collect(),
    };
    for (name, slot) in [("axes", 1), ("split", 1), ("shape", 1), ("pads", 1), ("starts", 1), ("ends", 2)] {
        let slot = if op.is("Slice") && name == "axes" { 3 } else { slot };
        let was_attribute = matches!(op.op_type(), "Squeeze" | "Unsqueeze" | "Split" | "Reshape" | "Pad" | "Slice")
            || name == "axes" && op.op_type().starts_with("Reduce");
        if let (true, Some(numbers)) = (was_attribute, op.ints(name)) {
            let numbers = numbers.iter().map(|&number| Some(SymExpr::Value(i32::try_from(number).ok()?)));
            inputs.resize(inputs.len().max(slot + 1), None);
            inputs[slot] = Some(SymTensor::from_vec(numbers.collect::<Option<_>>()?));
        }
    }
    let context = InferShapesContext::new(inputs);
    macro_rules! inferred {
        ($rule:expr) => {
            $rule.infer_shapes(context, unknown).ok()
        };
    }
    match op.op_type() {
        "Conv" | "ConvTranspose" | "ConvInteger" | "MaxPool" | "AveragePool" => {
            let rank = inputs.first()?.as_ref()?.ndim()?.checked_sub(2)?;
            let (strides, dilations) = (sizes("strides", vec![1; rank])?, sizes("dilations", vec![1; rank])?);
            let pads = sizes("pads", vec![0; 2 * rank])?;
            let padding = match op.text("auto_pad") {
                Some("SAME_UPPER" | "SAME_LOWER") => ops::Padding::Same,
                _ => ops::Padding::Fixed(&pads),
            };
            let (strides, dilations) = (strides.as_slice(), dilations.as_slice());
            match op.op_type() {
                "Conv" | "ConvInteger" => inferred!(ops::Conv { dilations, padding, strides }),
                "ConvTranspose" => {
                    let groups = usize::try_from(int("group", 1)?).ok()?;
                    let output_padding = sizes("output_padding", vec![0; rank])?;
                    let output_padding = Some(output_padding.as_slice());
                    inferred!(ops::ConvTranspose { groups, padding, strides, dilations, output_padding })
                }
                _ => {
                    let kernel_size = sizes("kernel_shape", vec![])?;
                    let (kernel_size, ceil_mode) = (kernel_size.as_slice(), int("ceil_mode", 0)? != 0);
                    inferred!(ops::Pool { dilations, kernel_size, padding, strides, ceil_mode })
                }
            }
        }
        "GlobalAveragePool" | "GlobalMaxPool" => inferred!(ops::GlobalPool),
        "MatMul" | "MatMulInteger" => inferred!(ops::MatMul),
        "Gemm" => inferred!(ops::Gemm { transpose_a: int("transA", 0)? != 0, transpose_b: int("transB", 0)? != 0 }),
        "Einsum" => inferred!(ops::Einsum { equation: op.text("equation")? }),
        "Add" => inferred!(ops::Add),
        "Sub" => inferred!(ops::Sub),
        "Mul" => inferred!(ops::Mul),
        "Div" => inferred!(ops::Div),
        "Equal" => inferred!(ops::Equal),
        "Where" => inferred!(ops::Where),
        "And" | "Or" | "Xor" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Mod" | "Pow" | "PRelu" => {
            inferred!(BinaryOp)
        }
        "Max" | "Min" | "Mean" | "Sum" => inferred!(VariadicOp),
        "Concat" => inferred!(ops::Concat { axis: int("axis", 1)? }),
        "Tile" => inferred!(ops::Tile),
        "Expand" => inferred!(ops::Expand),
        "Flatten" => inferred!(ops::Flatten { axis: int("axis", 1)? }),
        "Reshape" => inferred!(ops::Reshape { allow_zero: int("allowzero", 0)? != 0 }),
        "Shape" => {
            let end = |name: &str| op.int(name).map(|end| end.clamp(-MAX_LENGTH, MAX_LENGTH) as i32);
            inferred!(ops::Shape { start: end("start"), end: end("end") })
        }
        "Size" => inferred!(ops::Size),
        "Squeeze" => inferred!(ops::Squeeze),
        "Unsqueeze" => inferred!(ops::Unsqueeze),
        "Transpose" => {
            let perm = op.ints("perm").map(|perm| perm.iter().map(|&axis| usize::try_from(axis)).collect());
            let perm: Option<Vec<usize>> = perm.transpose().ok()?;
            inferred!(ops::Transpose { perm: perm.as_deref() })
        }
        "Gather" => inferred!(ops::Gather { axis: int("axis", 0)? }),
        "GatherElements" => inferred!(ops::GatherElements),
        "GatherND" => inferred!(ops::GatherND { batch_dims: usize::try_from(int("batch_dims", 0)?).ok()? }),
        "Slice" => inferred!(ops::Slice),
        "Split" => {
            let given = op.int("num_outputs").map_or(u32::try_from(outputs), u32::try_from).ok()?;
            inferred!(ops::Split { axis: int("axis", 0)?, num_outputs: Some(given) })
        }
        "Pad" => inferred!(ops::Pad),
        "Resize" => inferred!(ops::Resize),
        "Upsample" => inferred!(ops::Upsample),
        "ConstantOfShape" => {
            let value = op.tensor("value").filter(|value| value.dtype() == DataType::Int64);
            let value = value.and_then(|value| value.to_array::<i64>().ok()?.first().copied());
            inferred!(ops::ConstantOfShape { value: value.and_then(|value| i32::try_from(value).ok()) })
        }
        "OneHot" => inferred!(ops::OneHot { axis: int("axis", -1)? }),
        "Range" => inferred!(ops::Range),
        "RandomNormal" | "RandomUniform" => inferred!(ops::FixedShape { shape: &sizes("shape", vec![])? }),
        "DepthToSpace" => inferred!(ops::DepthToSpace { block_size: u32::try_from(int("blocksize", 1)?).ok()? }),
        "TopK" => inferred!(ops::TopK { axis: op.int("axis").map(|axis| axis as i32) }),
        "NonZero" => inferred!(ops::NonZero),
        "Dropout" => inferred!(ops::Dropout),
        "GridSample" => inferred!(ops::GridSample),
        "Neg" => inferred!(ops::Neg),
        "LSTM" | "GRU" => {
            let both = op.text("direction") == Some("bidirectional");
            let direction = if both { ops::Direction::Bidirectional } else { ops::Direction::Unidirectional };
            match op.op_type() {
                "LSTM" => inferred!(ops::LSTM { direction }),
                _ => inferred!(ops::GRU { direction }),
            }
        }
        "ArgMax" | "ArgMin" => {
            let axes = [int("axis", 0)?];
            inferred!(ReductionOp { axes: Some(&axes), keep_dims: int("keepdims", 1)? != 0 })
        }
        reduction if reduction.starts_with("Reduce") => {
            let nothing = int("noop_with_empty_axes", 0)? != 0 && inputs.get(1).is_none_or(Option::is_none);
            if nothing {
                return inferred!(UnaryOp);
            }
            inferred!(ReductionOp { axes: None, keep_dims: int("keepdims", 1)? != 0 })
        }
        "Identity" | "Cast" => inferred!(ops::Identity),
        same if SAME_SHAPE.contains(&same) => inferred!(UnaryOp),
        _ => None,
    }
}

/// Operators whose first output has the shape of their first input.
const SAME_SHAPE: &[&str] = &[
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BatchNormalization",
    "CastLike",
    "Ceil",
    "Clip",
    "Cos",
    "Cosh",
    "CumSum",
    "DequantizeLinear",
    "Elu",
    "Erf",
    "Exp",
    "EyeLike",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "InstanceNormalization",
    "IsInf",
    "IsNaN",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "Not",
    "QuantizeLinear",
    "RMSNormalization",
    "RandomNormalLike",
    "RandomUniformLike",
    "Reciprocal",
    "Relu",
    "ReverseSequence",
    "Round",
    "Scatter",
    "ScatterElements",
    "ScatterND",
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
    "Trilu",
];
