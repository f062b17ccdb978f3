"""onnx's reference implementation, with what it lacks for quantized models."""

from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_dequantize_linear import DequantizeLinear_19


class Reference(ReferenceEvaluator):
    """Has DequantizeLinear before opset 19 too, in functions and bodies as well: they are evaluated
    by the class of the evaluator around them, but do not get its `new_ops`."""

    def _load_impl(self, node, input_types=None):
        if node.domain == "" and node.op_type == "DequantizeLinear" and self.opsets[""] < 19:
            return DequantizeLinear_19
        return super()._load_impl(node, input_types)
