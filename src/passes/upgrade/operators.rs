//! Which operators the default operator set has, since which opset each is there, and what each of
//! their changes means for a model.
//!
//! Every version that the operator set has is listed, so that nothing slips through: an operator
//! that is not here is refused by name, and so is an opset newer than [`NEWEST`]. When the operator
//! set grows, a test that compares this table with the one in the onnx package fails until the new
//! versions are added, each as one of the two kinds of [`Change`].
//!
//! `Same` changes add types, inputs, attributes with a default that does what was done before, or
//! words. Some that look like more:
//!
//! - AveragePool, MaxPool, Conv: the formulas of `auto_pad` and `ceil_mode` were corrected several
//!   times; runtimes computed the same all along.
//! - ConvTranspose 11: the text has the odd element of padding on the other side than before, where
//!   `auto_pad` is `SAME_UPPER`; the older one contradicted itself, and runtimes do not tell them apart.
//! - OneHot 11, Gather 11, Scatter 11: negative indices count from the end. Before they were errors.
//! - Clip 13: says what happens if `min` is above `max`, as runtimes had it.
//! - Attention 24: rows that are masked completely are zero where they were NaN.
//! - Loop, If, Scan: types; their bodies follow the graph around them.
//!
//! Onnxruntime has operators of its own in the default operator set, and its optimizer writes them into
//! files: a list of their own has them.

use super::{
    attributes::*, attributes_to_inputs::*, broadcasting::*, normalization::*, resize::*, scan::batch_around,
    softmax::along_one_axis, step::Step,
};
use crate::{error::Result, ir::OpId};

/// The newest opset that this table knows.
pub(super) const NEWEST: i64 = 28;

/// What an operator's new version means for one that was written for the version before.
#[derive(Clone, Copy)]
pub(super) enum Change {
    /// Nothing.
    Same,
    /// It has to be rewritten.
    Adapt(Adapter),
}

/// Rewrites an operator for the opset of the step; tells whether there was anything to do.
pub(super) type Adapter = fn(&mut Step<'_>, OpId) -> Result<bool>;

/// An operator's versions.
pub(super) struct Operator {
    pub op_type: &'static str,
    /// The opset in which it came.
    pub since: i64,
    /// The opsets in which it changed.
    pub changes: &'static [(i64, Change)],
}

const fn operator(op_type: &'static str, since: i64, changes: &'static [(i64, Change)]) -> Operator {
    Operator { op_type, since, changes }
}

/// An operator of the default operator set, by its type.
pub(super) fn find(op_type: &str) -> Option<&'static Operator> {
    OPERATORS.binary_search_by(|operator| operator.op_type.cmp(op_type)).ok().map(|index| &OPERATORS[index])
}

/// An operator that onnxruntime has in the default operator set beside those of ONNX.
pub(super) struct OfOnnxruntime {
    pub op_type: &'static str,
    /// The last opset in which it is onnxruntime's own, and what it means for the operator that the next
    /// opset is ONNX's.
    pub until: Option<(i64, Change)>,
}

/// Onnxruntime's own operator of this type in an opset, if it has one.
pub(super) fn find_of_onnxruntime(op_type: &str, opset: i64) -> Option<&'static OfOnnxruntime> {
    OF_ONNXRUNTIME.iter().find(|own| own.op_type == op_type && own.until.is_none_or(|(last, _)| opset <= last))
}

/// What an operator's change in an opset means for one written for the opset before, unless it does not
/// change there.
pub(super) fn change(op_type: &str, to: i64) -> Option<Change> {
    let of_body = OF_BODIES.iter().find(|(name, opset, _)| *name == op_type && *opset == to);
    of_body.map(|(_, _, change)| *change).or_else(|| {
        let operator = find(op_type)?;
        operator.changes.iter().find(|(version, _)| *version == to).map(|(_, change)| *change)
    })
}

/// Operators whose standard body, which a runtime without a kernel runs in their place, no longer takes
/// all that it took in the opset before. Their versions do not tell: what the body is made of changed.
/// Seen in onnxruntime 1.32, which loads float16 in opsets 12 and 16, but not in 13, 18 and 21.
static OF_BODIES: &[(&str, i64, Change)] =
    &[("MeanVarianceNormalization", 13, Adapt(in_float32)), ("MeanVarianceNormalization", 18, Adapt(in_float32))];

const fn of_onnxruntime(op_type: &'static str, until: Option<(i64, Change)>) -> OfOnnxruntime {
    OfOnnxruntime { op_type, until }
}

/// The operators that onnxruntime 1.32 has in the default operator set beside those of ONNX: of the
/// schemas that it registers, those that ONNX has not, but for the experimental operators of opset 1,
/// none of which goes beyond opset 9. Its optimizer and its builder of language models write the two
/// normalizations; LayerNormalization of opset 17 computes the same.
static OF_ONNXRUNTIME: &[OfOnnxruntime] = &[
    of_onnxruntime("DisentangledAttention_TRT", None),
    of_onnxruntime("EfficientNMS_TRT", None),
    of_onnxruntime("LayerNormalization", Some((16, Adapt(one_type)))),
    of_onnxruntime("MemcpyFromHost", None),
    of_onnxruntime("MemcpyToHost", None),
    of_onnxruntime("MultilevelCropAndResize_TRT", None),
    of_onnxruntime("PyramidROIAlign_TRT", None),
    of_onnxruntime("SimplifiedLayerNormalization", None),
    of_onnxruntime("ThresholdedRelu", Some((9, Same))),
];

use Change::{Adapt, Same};

/// By name.
#[rustfmt::skip]
pub(super) static OPERATORS: &[Operator] = &[
    operator("Abs", 1, &[(6, Adapt(drop_consumed_inputs)), (13, Same)]),
    operator("Acos", 7, &[(22, Same)]),
    operator("Acosh", 9, &[(22, Same)]),
    operator("Add", 1, &[(6, Adapt(drop_consumed_inputs)), (7, Adapt(two_operands)), (13, Same), (14, Same)]),
    operator("AffineGrid", 20, &[]),
    operator("And", 1, &[(7, Adapt(two_operands))]),
    operator("ArgMax", 1, &[(11, Same), (12, Same), (13, Same)]),
    operator("ArgMin", 1, &[(11, Same), (12, Same), (13, Same)]),
    operator("Asin", 7, &[(22, Same)]),
    operator("Asinh", 9, &[(22, Same)]),
    operator("Atan", 7, &[(22, Same)]),
    operator("Atanh", 9, &[(22, Same)]),
    operator("Attention", 23, &[(24, Same), (25, Same)]),
    operator("AveragePool", 1, &[(7, Same), (10, Same), (11, Same), (19, Same), (22, Same)]),
    operator("BatchNormalization", 1, &[(6, Adapt(drop_consumed_inputs)), (7, Adapt(batch_is_test)), (9, Adapt(batch_spatial)), (14, Adapt(batch_training)), (15, Same)]),
    operator("Bernoulli", 15, &[(22, Same)]),
    operator("BitCast", 26, &[]),
    operator("BitShift", 11, &[(28, Same)]),
    operator("BitwiseAnd", 18, &[]),
    operator("BitwiseNot", 18, &[]),
    operator("BitwiseOr", 18, &[]),
    operator("BitwiseXor", 18, &[]),
    operator("BlackmanWindow", 17, &[]),
    operator("Cast", 1, &[(6, Adapt(cast_by_number)), (9, Same), (13, Same), (19, Same), (21, Same), (23, Same), (24, Same), (25, Same), (28, Same)]),
    operator("CastLike", 15, &[(19, Same), (21, Same), (23, Same), (24, Same), (25, Same)]),
    operator("CausalConvWithState", 27, &[]),
    operator("Ceil", 1, &[(6, Adapt(drop_consumed_inputs)), (13, Same)]),
    operator("Celu", 12, &[(28, Same)]),
    operator("CenterCropPad", 18, &[]),
    operator("Clip", 1, &[(6, Adapt(drop_consumed_inputs)), (11, Adapt(clip)), (12, Same), (13, Same)]),
    operator("Col2Im", 18, &[]),
    operator("Compress", 9, &[(11, Same), (28, Same)]),
    operator("Concat", 1, &[(4, Adapt(concat_axis)), (11, Same), (13, Same)]),
    operator("ConcatFromSequence", 11, &[]),
    operator("Constant", 1, &[(9, Same), (11, Same), (12, Same), (13, Same), (19, Same), (21, Same), (23, Same), (24, Same), (25, Same)]),
    operator("ConstantOfShape", 9, &[(20, Same), (21, Same), (23, Same), (24, Same), (25, Same)]),
    operator("Conv", 1, &[(11, Same), (22, Same)]),
    operator("ConvInteger", 10, &[]),
    operator("ConvTranspose", 1, &[(11, Same), (22, Same)]),
    operator("Cos", 7, &[(22, Same)]),
    operator("Cosh", 9, &[(22, Same)]),
    operator("CumProd", 26, &[]),
    operator("CumSum", 11, &[(14, Same)]),
    operator("DFT", 17, &[(20, Adapt(dft_axis))]),
    operator("DeformConv", 19, &[(22, Same)]),
    operator("DepthToSpace", 1, &[(11, Same), (13, Same), (28, Same)]),
    operator("DequantizeLinear", 10, &[(13, Same), (19, Same), (21, Same), (23, Same), (24, Same), (25, Same), (28, Same)]),
    operator("Det", 11, &[(22, Same)]),
    operator("Div", 1, &[(6, Adapt(drop_consumed_inputs)), (7, Adapt(two_operands)), (13, Same), (14, Same)]),
    operator("Dropout", 1, &[(6, Adapt(drop_consumed_inputs)), (7, Adapt(dropout_is_test)), (10, Adapt(dropout_mask)), (12, Adapt(dropout_ratio)), (13, Same), (22, Same)]),
    operator("DynamicQuantizeLinear", 11, &[]),
    operator("Einsum", 12, &[(28, Same)]),
    operator("Elu", 1, &[(6, Adapt(drop_consumed_inputs)), (22, Same)]),
    operator("Equal", 1, &[(7, Adapt(two_operands)), (11, Same), (13, Same), (19, Same)]),
    operator("Erf", 9, &[(13, Adapt(no_integers))]),
    operator("Exp", 1, &[(6, Adapt(drop_consumed_inputs)), (13, Same)]),
    operator("Expand", 8, &[(13, Same)]),
    operator("EyeLike", 9, &[(22, Same)]),
    operator("Flatten", 1, &[(9, Same), (11, Same), (13, Same), (21, Same), (23, Same), (24, Same), (25, Same)]),
    operator("Floor", 1, &[(6, Adapt(drop_consumed_inputs)), (13, Same)]),
    operator("GRU", 1, &[(3, Adapt(gru_direction)), (7, Adapt(drop_output_sequence)), (14, Same), (22, Same)]),
    operator("Gather", 1, &[(11, Same), (13, Same)]),
    operator("GatherElements", 11, &[(13, Same)]),
    operator("GatherND", 11, &[(12, Same), (13, Same)]),
    operator("Gelu", 20, &[]),
    operator("Gemm", 1, &[(6, Same), (7, Adapt(gemm)), (9, Same), (11, Same), (13, Same)]),
    operator("GlobalAveragePool", 1, &[(22, Same)]),
    operator("GlobalLpPool", 1, &[(2, Adapt(integer_norm)), (22, Same)]),
    operator("GlobalMaxPool", 1, &[(22, Same)]),
    operator("Greater", 1, &[(7, Adapt(two_operands)), (9, Same), (13, Same)]),
    operator("GreaterOrEqual", 12, &[(16, Same)]),
    operator("GridSample", 16, &[(20, Adapt(grid_sample_mode)), (22, Same)]),
    operator("GroupNormalization", 18, &[(21, Adapt(group_parameters))]),
    operator("HammingWindow", 17, &[]),
    operator("HannWindow", 17, &[]),
    operator("HardSigmoid", 1, &[(6, Adapt(drop_consumed_inputs)), (22, Same)]),
    operator("HardSwish", 14, &[(22, Same)]),
    operator("Hardmax", 1, &[(11, Same), (13, Adapt(along_one_axis))]),
    operator("Identity", 1, &[(13, Same), (14, Same), (16, Same), (19, Same), (21, Same), (23, Same), (24, Same), (25, Same)]),
    operator("If", 1, &[(11, Same), (13, Same), (16, Same), (19, Same), (21, Same), (23, Same), (24, Same), (25, Same)]),
    operator("ImageDecoder", 20, &[]),
    operator("InstanceNormalization", 1, &[(6, Adapt(drop_consumed_inputs)), (22, Same)]),
    operator("IsInf", 10, &[(20, Same)]),
    operator("IsNaN", 9, &[(13, Same), (20, Same)]),
    operator("LRN", 1, &[(13, Same)]),
    operator("LSTM", 1, &[(7, Adapt(drop_output_sequence)), (14, Same), (22, Same)]),
    operator("LayerNormalization", 17, &[]),
    operator("LeakyRelu", 1, &[(6, Adapt(drop_consumed_inputs)), (16, Same)]),
    operator("Less", 1, &[(7, Adapt(two_operands)), (9, Same), (13, Same)]),
    operator("LessOrEqual", 12, &[(16, Same)]),
    operator("LinearAttention", 27, &[]),
    operator("Log", 1, &[(6, Adapt(drop_consumed_inputs)), (13, Same)]),
    operator("LogSoftmax", 1, &[(11, Same), (13, Adapt(along_one_axis))]),
    operator("Loop", 1, &[(11, Same), (13, Same), (16, Same), (19, Same), (21, Same), (23, Same), (24, Same), (25, Same)]),
    operator("LpNormalization", 1, &[(22, Same)]),
    operator("LpPool", 1, &[(2, Adapt(integer_norm)), (11, Same), (18, Same), (22, Same)]),
    operator("MatMul", 1, &[(9, Same), (13, Same)]),
    operator("MatMulInteger", 10, &[]),
    operator("Max", 1, &[(6, Adapt(drop_consumed_inputs)), (8, Same), (12, Same), (13, Same)]),
    operator("MaxPool", 1, &[(8, Same), (10, Same), (11, Same), (12, Same), (22, Same)]),
    operator("MaxRoiPool", 1, &[(22, Same)]),
    operator("MaxUnpool", 9, &[(11, Same), (22, Same)]),
    operator("Mean", 1, &[(6, Adapt(drop_consumed_inputs)), (8, Same), (13, Same)]),
    operator("MeanVarianceNormalization", 9, &[(13, Same)]),
    operator("MelWeightMatrix", 17, &[]),
    operator("Min", 1, &[(6, Adapt(drop_consumed_inputs)), (8, Same), (12, Same), (13, Same)]),
    operator("Mish", 18, &[(22, Same)]),
    operator("Mod", 10, &[(13, Same), (28, Same)]),
    operator("Mul", 1, &[(6, Adapt(drop_consumed_inputs)), (7, Adapt(two_operands)), (13, Same), (14, Same)]),
    operator("Multinomial", 7, &[(22, Same)]),
    operator("Neg", 1, &[(6, Adapt(drop_consumed_inputs)), (13, Same)]),
    operator("NegativeLogLikelihoodLoss", 12, &[(13, Same), (22, Same)]),
    operator("NonMaxSuppression", 10, &[(11, Same)]),
    operator("NonZero", 9, &[(13, Same)]),
    operator("Not", 1, &[]),
    operator("OneHot", 9, &[(11, Same), (28, Same)]),
    operator("Optional", 15, &[(28, Same)]),
    operator("OptionalGetElement", 15, &[(18, Same), (28, Same)]),
    operator("OptionalHasElement", 15, &[(18, Same), (28, Same)]),
    operator("Or", 1, &[(7, Adapt(two_operands))]),
    operator("PRelu", 1, &[(6, Adapt(drop_consumed_inputs)), (7, Adapt(prelu)), (9, Same), (16, Same)]),
    operator("Pad", 1, &[(2, Adapt(pads_renamed)), (11, Adapt(pad)), (13, Same), (18, Same), (19, Same), (21, Same), (23, Same), (24, Same), (25, Same)]),
    operator("Pow", 1, &[(7, Adapt(two_operands)), (12, Same), (13, Same), (15, Same)]),
    operator("QLinearConv", 10, &[]),
    operator("QLinearMatMul", 10, &[(21, Same)]),
    operator("QuantizeLinear", 10, &[(13, Same), (19, Same), (21, Same), (23, Same), (24, Same), (25, Same), (28, Same)]),
    operator("RMSNormalization", 23, &[]),
    operator("RNN", 1, &[(7, Adapt(drop_output_sequence)), (14, Same), (22, Same)]),
    operator("RandomNormal", 1, &[(22, Same)]),
    operator("RandomNormalLike", 1, &[(22, Same)]),
    operator("RandomUniform", 1, &[(22, Same)]),
    operator("RandomUniformLike", 1, &[(22, Same)]),
    operator("Range", 11, &[(27, Same)]),
    operator("Reciprocal", 1, &[(6, Adapt(drop_consumed_inputs)), (13, Same)]),
    operator("ReduceL1", 1, &[(11, Same), (13, Same), (18, Adapt(axes))]),
    operator("ReduceL2", 1, &[(11, Same), (13, Same), (18, Adapt(axes))]),
    operator("ReduceLogSum", 1, &[(11, Same), (13, Same), (18, Adapt(axes)), (28, Adapt(no_integers))]),
    operator("ReduceLogSumExp", 1, &[(11, Same), (13, Same), (18, Adapt(axes)), (28, Adapt(no_integers))]),
    operator("ReduceMax", 1, &[(11, Same), (12, Same), (13, Same), (18, Adapt(axes)), (20, Same)]),
    operator("ReduceMean", 1, &[(11, Same), (13, Same), (18, Adapt(axes))]),
    operator("ReduceMin", 1, &[(11, Same), (12, Same), (13, Same), (18, Adapt(axes)), (20, Same)]),
    operator("ReduceProd", 1, &[(11, Same), (13, Same), (18, Adapt(axes))]),
    operator("ReduceSum", 1, &[(11, Same), (13, Adapt(axes))]),
    operator("ReduceSumSquare", 1, &[(11, Same), (13, Same), (18, Adapt(axes))]),
    operator("RegexFullMatch", 20, &[]),
    operator("Relu", 1, &[(6, Adapt(drop_consumed_inputs)), (13, Same), (14, Same)]),
    operator("Reshape", 1, &[(5, Adapt(reshape)), (13, Same), (14, Same), (19, Same), (21, Same), (23, Same), (24, Same), (25, Same)]),
    operator("Resize", 10, &[(11, Adapt(resize_coordinates)), (13, Adapt(resize_optional)), (18, Same), (19, Same)]),
    operator("ReverseSequence", 10, &[(28, Same)]),
    operator("RoiAlign", 10, &[(16, Adapt(roi_align_as_before)), (22, Same)]),
    operator("RotaryEmbedding", 23, &[]),
    operator("Round", 11, &[(22, Same)]),
    operator("STFT", 17, &[]),
    operator("Scan", 8, &[(9, Adapt(batch_around)), (11, Same), (16, Same), (19, Same), (21, Same), (23, Same), (24, Same), (25, Same)]),
    operator("Scatter", 9, &[(11, Adapt(scatter_renamed))]),
    operator("ScatterElements", 11, &[(13, Same), (16, Same), (18, Same)]),
    operator("ScatterND", 11, &[(13, Same), (16, Same), (18, Same)]),
    operator("Selu", 1, &[(6, Adapt(selu)), (22, Same)]),
    operator("SequenceAt", 11, &[]),
    operator("SequenceConstruct", 11, &[]),
    operator("SequenceEmpty", 11, &[]),
    operator("SequenceErase", 11, &[]),
    operator("SequenceInsert", 11, &[]),
    operator("SequenceLength", 11, &[]),
    operator("SequenceMap", 17, &[]),
    operator("Shape", 1, &[(13, Same), (15, Same), (19, Same), (21, Same), (23, Same), (24, Same), (25, Same)]),
    operator("Shrink", 9, &[]),
    operator("Sigmoid", 1, &[(6, Adapt(drop_consumed_inputs)), (13, Same)]),
    operator("Sign", 9, &[(13, Same)]),
    operator("Sin", 7, &[(22, Same)]),
    operator("Sinh", 9, &[(22, Same)]),
    operator("Size", 1, &[(13, Same), (19, Same), (21, Same), (23, Same), (24, Same), (25, Same)]),
    operator("Slice", 1, &[(10, Adapt(slice)), (11, Same), (13, Same)]),
    operator("Softmax", 1, &[(11, Same), (13, Adapt(along_one_axis))]),
    operator("SoftmaxCrossEntropyLoss", 12, &[(13, Same)]),
    operator("Softplus", 1, &[(22, Same)]),
    operator("Softsign", 1, &[(22, Same)]),
    operator("SpaceToDepth", 1, &[(13, Same), (28, Same)]),
    operator("Split", 1, &[(2, Adapt(split_to_attribute)), (11, Same), (13, Adapt(split)), (18, Adapt(split_count))]),
    operator("SplitToSequence", 11, &[(24, Same)]),
    operator("Sqrt", 1, &[(6, Adapt(drop_consumed_inputs)), (13, Same)]),
    operator("Squeeze", 1, &[(11, Same), (13, Adapt(axes)), (21, Same), (23, Same), (24, Same), (25, Same)]),
    operator("StringConcat", 20, &[]),
    operator("StringNormalizer", 10, &[]),
    operator("StringSplit", 20, &[]),
    operator("Sub", 1, &[(6, Adapt(drop_consumed_inputs)), (7, Adapt(two_operands)), (13, Same), (14, Same)]),
    operator("Sum", 1, &[(6, Adapt(drop_consumed_inputs)), (8, Same), (13, Same)]),
    operator("SwiGLU", 28, &[]),
    operator("Swish", 24, &[]),
    operator("Tan", 7, &[(22, Same)]),
    operator("Tanh", 1, &[(6, Adapt(drop_consumed_inputs)), (13, Same)]),
    operator("TensorScatter", 24, &[]),
    operator("TfIdfVectorizer", 9, &[]),
    operator("ThresholdedRelu", 10, &[(22, Same)]),
    operator("Tile", 1, &[(6, Adapt(tile_all_axes)), (13, Same)]),
    operator("TopK", 1, &[(10, Adapt(top_k)), (11, Same), (24, Same)]),
    operator("Transpose", 1, &[(13, Same), (21, Same), (23, Same), (24, Same), (25, Same)]),
    operator("Trilu", 14, &[]),
    operator("Unique", 11, &[(28, Same)]),
    operator("Unsqueeze", 1, &[(11, Same), (13, Adapt(unsqueeze)), (21, Same), (23, Same), (24, Same), (25, Same)]),
    operator("Upsample", 1, &[(7, Adapt(upsample_scales)), (9, Adapt(upsample_scales_to_input)), (10, Adapt(upsample_to_resize))]),
    operator("Where", 9, &[(16, Same)]),
    operator("Xor", 1, &[(7, Adapt(two_operands))]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_sorted_and_versions_ascend() {
        assert!(OPERATORS.is_sorted_by(|a, b| a.op_type < b.op_type));
        for operator in OPERATORS {
            let versions: Vec<i64> =
                std::iter::once(operator.since).chain(operator.changes.iter().map(|(version, _)| *version)).collect();
            assert!(versions.is_sorted_by(|a, b| a < b), "{}: {versions:?}", operator.op_type);
            assert!(versions.iter().all(|version| (1..=NEWEST).contains(version)), "{}", operator.op_type);
        }
    }
}
