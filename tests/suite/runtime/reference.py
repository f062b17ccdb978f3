"""onnx's reference implementation, with what it lacks for quantized and for older models."""

from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_batch_normalization import BatchNormalization_14
from onnx.reference.ops.op_dequantize_linear import DequantizeLinear_19

# DequantizeLinear is missing before opset 19; BatchNormalization before 14 takes its statistics from
# the input, as training does, although the model says inference.
EARLIER = {
    "BatchNormalization": (9, 14, BatchNormalization_14),
    "DequantizeLinear": (10, 19, DequantizeLinear_19),
}


class Reference(ReferenceEvaluator):
    """The evaluator with `EARLIER`, in functions and bodies as well: these are evaluated by the
    class of the evaluator around them, but do not get its `new_ops`."""

    def _load_impl(self, node, input_types=None):
        since, until, implementation = EARLIER.get(node.op_type, (0, 0, None))
        if node.domain == "" and since <= self.opsets[""] < until:
            return implementation
        return super()._load_impl(node, input_types)
