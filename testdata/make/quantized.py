"""Fixtures that are quantized already, in part or as a training framework leaves them."""

import ml_dtypes
import numpy as np
from onnx import TensorProto

from .builder import fixture

# As exporters write it: the attributes in full.
CONV = {"kernel_shape": [3, 3], "pads": [0] * 4, "strides": [1, 1], "dilations": [1, 1], "group": 1}


def scale_and_zero(g, name, dtype=np.int8, scale=0.02, zero=0, channels=None):
    """The names of a scale and a zero point, scalars or one of each per channel."""
    shape = () if channels is None else (channels,)
    return [
        g.tensor(f"{name}_scale", np.full(shape, scale, dtype=np.float32)),
        g.tensor(f"{name}_zero_point", np.full(shape, zero, dtype=dtype)),
    ]


@fixture(opset=13, ir=7)
def qdq_partly(g):
    """A Conv with an int8 weight, an int32 bias and Q/DQ around it, and a MatMul that is float."""
    x = g.input("x", [1, 3, 6, 6])
    pair = scale_and_zero(g, "x", np.uint8, 0.03, 128)
    x = g.node("DequantizeLinear", g.node("QuantizeLinear", x, *pair), *pair)
    w = g.tensor("w_quantized", g.random.integers(-127, 128, (4, 3, 3, 3), dtype=np.int8))
    w = g.node("DequantizeLinear", w, *scale_and_zero(g, "w", channels=4), axis=0)
    b = g.tensor("b_quantized", g.random.integers(-900, 900, 4, dtype=np.int32))
    b = g.node("DequantizeLinear", b, g.tensor("b_scale", np.full(4, 0.0006, dtype=np.float32)), axis=0)
    x = g.node("Conv", x, w, b, **CONV)
    pair = scale_and_zero(g, "conv", np.uint8, 0.05, 120)
    x = g.node("DequantizeLinear", g.node("QuantizeLinear", x, *pair), *pair)
    g.node("MatMul", x, g.weight("left", 4, 5), out="y")
    g.output("y", [1, 4, 4, 5])


@fixture(opset=13, ir=7)
def qdq_training(g):
    """As quantization-aware training leaves it: float weight -> QuantizeLinear ->
    DequantizeLinear -> Conv, and the same on the activations."""
    x = g.input("x", [1, 3, 6, 6])
    pair = scale_and_zero(g, "x", np.int8, 0.03)
    x = g.node("DequantizeLinear", g.node("QuantizeLinear", x, *pair), *pair)
    pair = scale_and_zero(g, "w", np.int8, 0.01, channels=4)
    w = g.node("QuantizeLinear", g.weight("w", 4, 3, 3, 3), *pair, axis=0)
    w = g.node("DequantizeLinear", w, *pair, axis=0)
    g.node("Conv", x, w, g.weight("b", 4), out="y", **CONV)
    g.output("y", [1, 4, 4, 4])


@fixture(opset=21, ir=10)
def qdq_blocked_int4(g):
    """A MatMul whose weight is int4 in blocks of 16 rows, with an odd number of elements in one
    tensor, and a MatMul that is float."""
    x = g.input("x", [2, 32])
    w = g.random.integers(-8, 8, (32, 5)).astype(ml_dtypes.int4)
    scale = g.tensor("w_scale", np.abs(g.array(2, 5)) + 0.01)
    w = g.node("DequantizeLinear", g.tensor("w_quantized", w), scale, axis=0, block_size=16)
    x = g.node("MatMul", x, w)
    odd = g.tensor("odd_quantized", g.random.integers(-8, 8, (5, 3)).astype(ml_dtypes.int4))
    x = g.node("MatMul", x, g.node("DequantizeLinear", odd, g.tensor("odd_scale", np.float32(0.1))))
    g.node("MatMul", x, g.weight("w_float", 3, 4), out="y")
    g.output("y", [2, 4])


@fixture()
def quantized_operators(g):
    """Operators that are integer themselves: DynamicQuantizeLinear with MatMulInteger, and
    QLinearMatMul; beside them one MatMul that is float."""
    x = g.input("x", [2, 8])
    g.node("DynamicQuantizeLinear", x, outputs=["x_q", "x_scale", "x_zero"])
    w = g.tensor("w_quantized", g.random.integers(-127, 128, (8, 6), dtype=np.int8))
    y = g.node("MatMulInteger", "x_q", w, "x_zero")
    y = g.node("Mul", g.node("Cast", y, to=TensorProto.FLOAT), "x_scale")
    y = g.node("Mul", y, g.tensor("w_scale", np.float32(0.01)))
    pair = scale_and_zero(g, "y", np.uint8, 0.05, 128)
    v = g.tensor("v_quantized", g.random.integers(0, 256, (6, 6), dtype=np.uint8))
    q = g.node("QLinearMatMul", g.node("QuantizeLinear", y, *pair), *pair, v, *scale_and_zero(g, "v", np.uint8, 0.01, 128), *pair)
    g.node("MatMul", g.node("DequantizeLinear", q, *pair), g.weight("float", 6, 4), out="y")
    g.output("y", [2, 4])


@fixture(opset=13, ir=7)
def qdq_without_zero_points(g):
    """Q/DQ without zero points, which are optional, around a float MatMul."""
    x = g.input("x", [2, 8])
    scale = g.tensor("scale", np.float32(0.03))
    x = g.node("DequantizeLinear", g.node("QuantizeLinear", x, scale), scale)
    g.node("MatMul", x, g.weight("w", 8, 4), out="y")
    g.output("y", [2, 4])


@fixture(opset=21, ir=10)
def qdq_beside_float(g):
    """Two weights as floats and, beside them, quantized: to int8 per column, and to int4 in blocks
    of 4 rows with zero points. The stored integers are those of QuantizeLinear."""
    x = g.input("x", [2, 8])
    w, v = g.array(8, 6), g.array(8, 3)
    w_scale = np.abs(w).max(axis=0) / np.float32(127)
    blocks = v.reshape(2, 4, 3)
    v_scale = (blocks.max(axis=1) - blocks.min(axis=1)) / np.float32(15)
    v_zero = np.clip(np.rint(-8 - blocks.min(axis=1) / v_scale), -8, 7)
    w_stored = np.clip(np.rint(w / w_scale), -128, 127).astype(np.int8)
    v_stored = np.rint(v / np.repeat(v_scale, 4, axis=0)) + np.repeat(v_zero, 4, axis=0)
    v_stored = np.clip(v_stored, -8, 7).astype(ml_dtypes.int4)
    zeros = np.zeros(6, dtype=np.int8)
    for name, parts, how in [
        ("w", [w_stored, w_scale, zeros], {"axis": 1}),
        ("v", [v_stored, v_scale, v_zero.astype(ml_dtypes.int4)], {"axis": 0, "block_size": 4}),
    ]:
        floats = {"w": w, "v": v}[name]
        suffixes = ["quantized", "scale", "zero_point"]
        tensors = [g.tensor(f"{name}_{suffix}", part) for suffix, part in zip(suffixes, parts)]
        g.node("MatMul", x, g.tensor(name, floats), out=f"{name}_float")
        g.node("MatMul", x, g.node("DequantizeLinear", *tensors, **how), out=f"{name}_out")
        g.output(f"{name}_float", [2, floats.shape[1]])
        g.output(f"{name}_out", [2, floats.shape[1]])
