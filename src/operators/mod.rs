//! What quantization must know of each operator.
//!
//! One table says where weights go in and along which axis their output channels lie; another file
//! says how an axis moves through operators that only rearrange data. Neither knows anything of
//! plans or configurations.

mod activation;
mod view;

pub use activation::{Interval, clamp_bounds, interval_that_matters, is_standard, number, output_interval};
pub use view::View;
pub(crate) use view::{is_constant, rearranges};

use crate::ir::{Model, Op, OpId, Use};

/// The axes of a weight that matter to quantization, as the operator that takes it sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightAxes {
    /// The axis of the output channels, which get a scale each; `None` if there is no such axis.
    pub channels: Option<usize>,
    /// The axis that the operator sums over, which blocks divide; `None` if there is no such axis.
    pub reduced: Option<usize>,
    /// Whether any other axis is as good: a table's rows are looked up, not summed over.
    pub any: bool,
}

/// Where the axes of a weight lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axes {
    /// Channels and summed axis, counted from the first.
    At { channels: usize, reduced: usize },
    /// The left or right factor of a product, whose last two axes count; an attribute may say that
    /// it is transposed.
    Factor { side: Side, transposed: Option<&'static str> },
    /// A table that Gather picks from along its attribute `axis`.
    Table,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

struct Operator {
    domain: &'static str,
    op_type: &'static str,
    weights: &'static [(usize, Axes)],
}

const fn operator(domain: &'static str, op_type: &'static str, weights: &'static [(usize, Axes)]) -> Operator {
    Operator { domain, op_type, weights }
}

const fn at(channels: usize, reduced: usize) -> Axes {
    Axes::At { channels, reduced }
}

const fn factor(side: Side, transposed: Option<&'static str>) -> Axes {
    Axes::Factor { side, transposed }
}

/// Onnxruntime's contributed operators.
const CONTRIB: &str = "com.microsoft";

const CONV: &[(usize, Axes)] = &[(1, at(0, 1))];
/// `[in, out / group, ..]`: with groups a scale serves the same channel of each group.
const CONV_TRANSPOSE: &[(usize, Axes)] = &[(1, at(1, 0))];
const LINEAR: &[(usize, Axes)] = &[(0, factor(Side::Left, Some("transA"))), (1, factor(Side::Right, Some("transB")))];
const MATMUL: &[(usize, Axes)] = &[(0, factor(Side::Left, None)), (1, factor(Side::Right, None))];
/// `[directions, gates * hidden, ..]`: a scale for every gate row, shared by the directions.
const RECURRENT: &[(usize, Axes)] = &[(1, at(1, 2)), (2, at(1, 2))];

static OPERATORS: &[Operator] = &[
    operator("", "Conv", CONV),
    operator("", "ConvTranspose", CONV_TRANSPOSE),
    operator("", "DeformConv", CONV),
    operator("", "Gather", &[(0, Axes::Table)]),
    operator("", "Gemm", LINEAR),
    operator("", "GRU", RECURRENT),
    operator("", "LSTM", RECURRENT),
    operator("", "MatMul", MATMUL),
    operator("", "RNN", RECURRENT),
    operator(CONTRIB, "Attention", &[(1, factor(Side::Right, None))]),
    operator(CONTRIB, "ConvTransposeWithDynamicPads", CONV_TRANSPOSE),
    operator(CONTRIB, "EmbedLayerNormalization", &[(2, at(0, 1)), (3, at(0, 1)), (4, at(0, 1))]),
    operator(CONTRIB, "FusedConv", CONV),
    operator(CONTRIB, "FusedGemm", LINEAR),
    operator(CONTRIB, "FusedMatMul", LINEAR),
    operator(CONTRIB, "NhwcFusedConv", CONV),
    operator(CONTRIB, "TransposeMatMul", LINEAR),
];

/// Whether an operator takes a weight of this rank in input `slot`, and which of its axes are the
/// output channels and which one the operator sums over.
///
/// Conv: channels on axis 0. ConvTranspose: axis 1. Gemm: the last axis, or the first with `transB`.
/// MatMul: the last axis. LSTM, GRU, RNN: axis 1, the gate rows. (ONNX operator specifications, the
/// shapes of W, B and R.) Gather's table has no output channels; its last axis serves as such,
/// because scales along it still fit what Gather has picked.
///
/// ```
/// use onnx_quant::{Model, operators::weight_axes};
/// let model = Model::load("testdata/kws_dscnn.onnx")?;
/// let conv = model.ops().find(|&op| model.op(op).is("Conv")).unwrap();
/// assert_eq!(weight_axes(model.op(conv), 1, 4).unwrap().channels, Some(0));
/// assert_eq!(weight_axes(model.op(conv), 2, 1), None); // the bias is no weight
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn weight_axes(op: &Op, slot: usize, rank: usize) -> Option<WeightAxes> {
    let entry = OPERATORS.iter().find(|entry| entry.domain == op.domain() && entry.op_type == op.op_type())?;
    let axes = entry.weights.iter().find(|(weight, _)| *weight == slot)?.1;
    let (channels, reduced) = match axes {
        Axes::At { channels, reduced } => (Some(channels), Some(reduced)),
        Axes::Table => {
            let picked = normalize_axis(op.int("axis").unwrap_or(0), rank).filter(|_| !op.refers_to_caller("axis"));
            let last = rank.checked_sub(1).filter(|last| picked.is_some_and(|picked| picked < *last));
            (last, last)
        }
        Axes::Factor { side, transposed } => {
            let flipped = transposed.is_some_and(|name| op.int(name).unwrap_or(0) != 0);
            // Where a caller decides whether it is transposed, no axis is right for all calls.
            let unknown = transposed.is_some_and(|name| op.refers_to_caller(name));
            let from_last = |distance: usize| rank.checked_sub(1 + distance).filter(|_| rank >= 2 && !unknown);
            let channels_first = (side == Side::Left) != flipped;
            (from_last(usize::from(channels_first)), from_last(usize::from(!channels_first)))
        }
    };
    let within = |axis: Option<usize>| axis.filter(|axis| *axis < rank);
    Some(WeightAxes { channels: within(channels), reduced: within(reduced), any: axes == Axes::Table })
}

/// Whether an operator is one that takes weights; what else it reads is an activation, or a bias.
pub(crate) fn has_weights(model: &Model, op: OpId) -> bool {
    (0..model.op(op).arity.inputs).any(|slot| weight_axes(model.op(op), slot, 2).is_some())
}

/// Whether an operator multiplies what it reads in `slot` with a constant: neither factor is a weight
/// then, and their product, which runtimes compute once, is a constant.
pub fn multiplies_constants(model: &Model, use_: Use) -> bool {
    let op = model.op(use_.op);
    let entry = OPERATORS.iter().find(|entry| entry.domain == op.domain() && entry.op_type == op.op_type());
    let factors = entry.map_or([].as_slice(), |entry| entry.weights);
    let other = factors.iter().find(|(slot, axes)| matches!(axes, Axes::Factor { .. }) && *slot != use_.slot);
    other.and_then(|(slot, _)| model.input(use_.op, *slot)).is_some_and(|value| is_constant(model, value))
}

/// Whether an operator gives an integer form to its input.
pub fn is_quantizer(op: &Op) -> bool {
    matches!((op.domain(), op.op_type()), ("" | CONTRIB, "QuantizeLinear" | "DynamicQuantizeLinear"))
}

/// Whether an operator is a QuantizeLinear, of the default operator set or of onnxruntime's.
pub fn is_linear_quantizer(model: &Model, op: OpId) -> bool {
    let operator = model.op(op);
    // None has a use for a body: where there is one, it is some other operator.
    let plain = operator.bodies().is_empty() && model.called_function(op).is_none();
    plain && is_quantizer(operator) && operator.op_type() == "QuantizeLinear"
}

/// Whether an operator makes nothing but scales: those of what was picked from a table are picked from
/// the table's, and these are no weights.
pub fn makes_scales(model: &Model, op: OpId) -> bool {
    let outputs = model.outputs(op);
    let uses: Vec<Use> = outputs.into_iter().flatten().flat_map(|output| model.uses(output)).collect();
    let scales = |use_: &Use| {
        let op = model.op(use_.op);
        use_.slot == 1 && (is_quantizer(op) || op.is("DequantizeLinear"))
    };
    !uses.is_empty() && uses.iter().all(scales)
}

/// Whether an operator takes weights or activations that were quantized before.
pub fn computes_with_integers(op: &Op) -> bool {
    let ty = op.op_type();
    matches!(op.domain(), "" | CONTRIB)
        && (matches!(ty, "DequantizeLinear" | "MatMulNBits" | "GatherBlockQuantized" | "QGemm" | "QAttention")
            || ty.starts_with("QLinear")
            || ty.starts_with("DynamicQuantize") && ty != "DynamicQuantizeLinear"
            || ty.ends_with("Integer"))
}

/// A possibly negative axis as an index; `None` beyond the rank.
pub(crate) fn normalize_axis(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis.checked_add(i64::try_from(rank).ok()?)? } else { axis };
    usize::try_from(axis).ok().filter(|axis| *axis < rank)
}
