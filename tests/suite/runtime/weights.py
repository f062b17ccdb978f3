"""Compares a quantized weight with what the reference implementation makes of the float one."""

import numpy as np
import onnx
from onnx import helper

from graphs import constant, constants, nodes
from reference import Reference


def operator(node, op, inputs, opsets):
    """Evaluates `op`, with the attributes of `node`, on arrays."""
    names = [f"i{number}" for number in range(len(inputs))]
    made = helper.make_node(op, names, ["o"])
    # DequantizeLinear's output_dtype names the float type: it would be wrong on QuantizeLinear.
    made.attribute.extend(a for a in node.attribute if a.name in ("axis", "block_size"))
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in zip(names, inputs)
    ]
    out = helper.make_empty_tensor_value_info("o")
    model = helper.make_model(helper.make_graph([made], op, values, [out]), opset_imports=opsets)
    return Reference(model).run(None, dict(zip(names, inputs)))[0]


def check_weight(request):
    """Whether the stored integers are those that QuantizeLinear makes of the float weight with the
    file's own scale and zero point, and how far dequantized values are from the float ones. Where
    several bodies have a weight of that name: of the weight that fits best."""
    model = onnx.load(request["quantized_model"])
    weights = list(constants(onnx.load(request["float_model"]), request["weight"]))
    if request["transposed"]:
        weights = [np.ascontiguousarray(weight.T) for weight in weights]
    stored_name = request["stored"]
    # A DequantizeLinear may stand behind a Gather: it counts its axis from the end then, which is
    # also right for the integers as they are stored.
    picked = {n.output[0]: n.input[0] for n in nodes(model) if n.op_type == "Gather"}
    read = lambda name: picked.get(name, name)
    readers = [n for n in nodes(model) if n.op_type == "DequantizeLinear" and read(n.input[0]) == stored_name]
    if not readers:
        raise ValueError(f"no DequantizeLinear reads {stored_name!r}")
    stored, scale = constant(model, stored_name), constant(model, read(readers[0].input[1]))
    has_zero = len(readers[0].input) > 2 and readers[0].input[2]
    zero = constant(model, read(readers[0].input[2])) if has_zero else np.zeros(scale.shape, dtype=stored.dtype)
    fitting = [weight for weight in weights if weight.shape == stored.shape]
    if not fitting:
        shapes = [weight.shape for weight in weights]
        raise ValueError(f"{stored_name!r} has shape {stored.shape}, {request['weight']!r} has {shapes}")
    version = max(opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx"))
    opsets = [helper.make_opsetid("", version)]
    answers = [compared(readers[0], weight, stored, scale, zero, opsets) for weight in fitting]
    return min(answers, key=lambda answer: answer["mismatches"])


def compared(node, weight, stored, scale, zero, opsets):
    """One float weight against the stored integers; `node` is their DequantizeLinear."""
    # Scales that are powers of two are as good as float32; half-precision numbers the reference divides
    # in their own precision, runtimes in float32.
    wide = np.float32 if scale.dtype.itemsize <= 2 else scale.dtype
    expected = operator(node, "QuantizeLinear", [weight.astype(wide), scale.astype(wide), zero], opsets)
    restored = operator(node, "DequantizeLinear", [stored, scale, zero], opsets)
    # Integers of four bits and fewer compare only after widening.
    mismatches = stored.astype(np.float64) != expected.astype(np.float64)
    one_step = operator(node, "DequantizeLinear", [np.ones_like(stored), scale, np.zeros_like(zero)], opsets)
    error = np.abs(restored.astype(np.float64) - weight.astype(np.float64))
    return {
        "dtype": str(stored.dtype),
        "elements": stored.size,
        "mismatches": int(np.count_nonzero(mismatches)),
        "scale_shape": list(scale.shape),
        "max_abs_error": float(np.max(error, initial=0.0, where=np.isfinite(error))),
        "max_steps": float(np.max(error / one_step.astype(np.float64), initial=0.0, where=np.isfinite(error))),
    }
