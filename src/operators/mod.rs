//! What quantization must know of each operator.
//!
//! One table says where weights go in and along which axis their output channels lie; another file
//! says how an axis moves through operators that only rearrange data. Neither knows anything of
//! plans or configurations.

mod view;

pub use view::View;
pub(crate) use view::is_constant;

use crate::ir::{Model, Op, Use};

/// Where a weight's output channels lie, seen from the operator that takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Channels {
    /// Along this axis.
    Axis(usize),
    /// Along this axis, counted from the last one (0).
    FromLast(usize),
    /// Along the axis of the product's columns, or rows for a left factor; an attribute may say
    /// that the factor is transposed.
    Factor { side: Side, transposed: Option<&'static str> },
    /// Along the axis that Gather picks from: an embedding table has a scale for every row.
    Gathered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

struct Operator {
    domain: &'static str,
    op_type: &'static str,
    weights: &'static [(usize, Channels)],
}

const fn operator(domain: &'static str, op_type: &'static str, weights: &'static [(usize, Channels)]) -> Operator {
    Operator { domain, op_type, weights }
}

const fn factor(side: Side, transposed: Option<&'static str>) -> Channels {
    Channels::Factor { side, transposed }
}

/// Onnxruntime's contributed operators.
const CONTRIB: &str = "com.microsoft";

use Channels::{Axis, FromLast, Gathered};

const LINEAR: &[(usize, Channels)] =
    &[(0, factor(Side::Left, Some("transA"))), (1, factor(Side::Right, Some("transB")))];
const MATMUL: &[(usize, Channels)] = &[(0, factor(Side::Left, None)), (1, factor(Side::Right, None))];
/// `[directions, gates * hidden, ..]`: a scale for every gate row, shared by the directions.
const RECURRENT: &[(usize, Channels)] = &[(1, Axis(1)), (2, Axis(1))];

static OPERATORS: &[Operator] = &[
    operator("", "Conv", &[(1, Axis(0))]),
    // [in, out / group, ..]: with groups a scale serves the same channel of each group.
    operator("", "ConvTranspose", &[(1, Axis(1))]),
    operator("", "DeformConv", &[(1, Axis(0))]),
    operator("", "Gather", &[(0, Gathered)]),
    operator("", "Gemm", LINEAR),
    operator("", "GRU", RECURRENT),
    operator("", "LSTM", RECURRENT),
    operator("", "MatMul", MATMUL),
    operator("", "RNN", RECURRENT),
    operator(CONTRIB, "Attention", &[(1, FromLast(0))]),
    operator(CONTRIB, "ConvTransposeWithDynamicPads", &[(1, Axis(1))]),
    operator(CONTRIB, "EmbedLayerNormalization", &[(2, Axis(0)), (3, Axis(0)), (4, Axis(0))]),
    operator(CONTRIB, "FusedConv", &[(1, Axis(0))]),
    operator(CONTRIB, "FusedGemm", LINEAR),
    operator(CONTRIB, "FusedMatMul", LINEAR),
    operator(CONTRIB, "NhwcFusedConv", &[(1, Axis(0))]),
    operator(CONTRIB, "TransposeMatMul", LINEAR),
];

/// Whether an operator takes a weight in input `slot`, and along which axis of that weight its
/// output channels lie: `None` if it takes none, `Some(None)` if a weight of this rank has no such
/// axis (a vector has none).
///
/// Conv: axis 0. ConvTranspose: axis 1. Gemm: the last axis, or the first with `transB`. MatMul: the
/// last axis. LSTM, GRU, RNN: axis 1, the gate rows. Gather: the axis it picks from. (ONNX operator
/// specifications, the shapes of W, B and R.)
///
/// ```
/// use onnx_quant::{Model, operators::weight_axis};
/// let model = Model::load("testdata/kws_dscnn.onnx")?;
/// let conv = model.ops().find(|&op| model.op(op).is("Conv")).unwrap();
/// assert_eq!(weight_axis(model.op(conv), 1, 4), Some(Some(0)));
/// assert_eq!(weight_axis(model.op(conv), 2, 1), None); // the bias is no weight
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn weight_axis(op: &Op, slot: usize, rank: usize) -> Option<Option<usize>> {
    let entry = OPERATORS.iter().find(|entry| entry.domain == op.domain() && entry.op_type == op.op_type())?;
    let channels = entry.weights.iter().find(|(weight, _)| *weight == slot)?.1;
    let axis = match channels {
        Axis(axis) => Some(axis),
        FromLast(distance) => rank.checked_sub(1 + distance),
        Gathered => normalize_axis(op.int("axis").unwrap_or(0), rank),
        Channels::Factor { side, transposed } => {
            let flipped = transposed.is_some_and(|name| op.int(name).unwrap_or(0) != 0);
            // Where a caller decides whether it is transposed, no axis is right for all calls.
            let unknown = transposed.is_some_and(|name| op.refers_to_caller(name));
            let from_last = usize::from((side == Side::Left) != flipped);
            rank.checked_sub(1 + from_last).filter(|_| rank >= 2 && !unknown)
        }
    };
    Some(axis.filter(|axis| *axis < rank))
}

/// Whether an operator multiplies what it reads in `slot` with a constant: neither factor is a weight
/// then, and their product, which runtimes compute once, is a constant.
pub fn multiplies_constants(model: &Model, use_: Use) -> bool {
    let op = model.op(use_.op);
    let entry = OPERATORS.iter().find(|entry| entry.domain == op.domain() && entry.op_type == op.op_type());
    let factors = entry.map_or([].as_slice(), |entry| entry.weights);
    let other =
        factors.iter().find(|(slot, channels)| matches!(channels, Channels::Factor { .. }) && *slot != use_.slot);
    other.and_then(|(slot, _)| model.input(use_.op, *slot)).is_some_and(|value| is_constant(model, value))
}

/// Whether an operator gives an integer form to its input.
pub fn is_quantizer(op: &Op) -> bool {
    matches!((op.domain(), op.op_type()), ("" | CONTRIB, "QuantizeLinear" | "DynamicQuantizeLinear"))
}

/// A possibly negative axis as an index; `None` beyond the rank.
pub(crate) fn normalize_axis(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis.checked_add(i64::try_from(rank).ok()?)? } else { axis };
    usize::try_from(axis).ok().filter(|axis| *axis < rank)
}
