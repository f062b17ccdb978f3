"""Fixtures about where a weight is kept and what values it has."""

import ml_dtypes
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .builder import BOOL, FLOAT, INT64, fixture


@fixture()
def constant_nodes(g):
    """Every weight in a Constant node, `value` and `value_floats` behind a Reshape; scalars as
    `value_float`, `value_int` and `value_ints`, and strings."""
    x = g.input("x", [2, 8])
    x = g.node("MatMul", x, g.constant("w", g.array(8, 6)))
    flat = g.node("Constant", out="flat", value_floats=[float(v) for v in g.array(24)])
    shape = g.node("Constant", out="shape", value_ints=[6, 4])
    x = g.node("MatMul", x, g.node("Reshape", flat, shape))
    x = g.node("Mul", x, g.node("Constant", out="half", value_float=0.5))
    axis = g.node("Constant", out="axis", value_int=0)
    x = g.node("CumSum", x, axis)
    bias = g.node("Constant", out="bias", value_floats=[0.5, -0.25, 1.0])
    g.node("Gemm", x, g.constant("last", g.array(4, 3)), bias, out="y")
    g.node("Constant", out="word", value_string="never read")
    g.node("Constant", out="words", value_strings=["never", "read"])
    g.output("y", [2, 3])


def sparse(name, values, indices, dims):
    """A `SparseTensorProto` whose values are called `name`."""
    values = numpy_helper.from_array(np.array(values, dtype=np.float32), name)
    indices = numpy_helper.from_array(np.array(indices, dtype=np.int64), f"{name}_indices")
    return helper.make_sparse_tensor(values, indices, dims)


@fixture()
def constant_sparse(g):
    """A Constant node with `sparse_value`, to be left alone, beside a dense weight."""
    x = g.input("x", [2, 6])
    w = g.node("Constant", out="w", sparse_value=sparse("", [0.5, -1.0, 2.0], [1, 7, 20], [6, 4]))
    x = g.node("MatMul", x, w)
    g.node("MatMul", x, g.weight("dense", 4, 3), out="y")
    g.output("y", [2, 3])


@fixture()
def sparse_initializer(g):
    """A sparse initializer, to be left alone, beside a dense weight."""
    x = g.input("x", [2, 6])
    g.sparse.append(sparse("w", [0.5, -1.0, 2.0], [1, 7, 20], [6, 4]))
    x = g.node("MatMul", x, "w")
    g.node("MatMul", x, g.weight("dense", 4, 3), out="y")
    g.output("y", [2, 3])


@fixture()
def behind_moves(g):
    """Weights behind operators that only move data: Identity, Transpose, Reshape, Squeeze,
    Unsqueeze, Flatten, and chains of them that change which axis holds the channels."""
    x = g.input("x", [2, 8])
    zero = g.shape("zero", 0)
    moved = {
        "identity": g.node("Identity", g.weight("w_identity", 8, 4)),
        "transpose": g.node("Transpose", g.weight("w_transpose", 4, 8), perm=[1, 0]),
        "reshape": g.node("Reshape", g.weight("w_reshape", 32), g.shape("to", 8, 4)),
        "reshape_minus": g.node("Reshape", g.weight("w_minus", 2, 4, 4), g.shape("infer", -1, 4)),
        "squeeze": g.node("Squeeze", g.weight("w_squeeze", 1, 8, 4), zero),
        "unsqueeze": g.node("Unsqueeze", g.weight("w_unsqueeze", 8, 4), zero),
        "flatten": g.node("Flatten", g.weight("w_flatten", 8, 2, 2), axis=1),
    }
    chain = g.node("Identity", g.weight("w_chain", 1, 4, 8))
    chain = g.node("Squeeze", chain, zero)
    chain = g.node("Transpose", chain, perm=[1, 0])
    moved["chain"] = g.node("Identity", chain)
    for name, w in moved.items():
        g.node("MatMul", x, w, out=name)
        g.output(name, [1, 2, 4] if name == "unsqueeze" else [2, 4])
    image = g.input("image", [1, 2, 3, 3])
    w = g.node("Unsqueeze", g.weight("w_conv", 4, 2, 3), g.shape("three", 3))
    g.output(g.node("Conv", image, w, out="conv"), [1, 4, 1, 3])


@fixture()
def behind_cast(g):
    """Weights behind Cast: float to float, which does nothing, float16 to float, double to float,
    and a chain of Cast and Transpose."""
    x = g.input("x", [2, 8])
    half, double = g.array(8, 4).astype(np.float16), g.array(8, 4).astype(np.float64)
    chained = g.node("Cast", g.tensor("w_chain", g.array(4, 8).astype(np.float16)), to=FLOAT)
    for name, w in {
        "same": g.node("Cast", g.weight("w_same", 8, 4), to=FLOAT),
        "half": g.node("Cast", g.tensor("w_half", half), to=FLOAT),
        "double": g.node("Cast", g.tensor("w_double", double), to=FLOAT),
        "chain": g.node("Transpose", chained),
    }.items():
        g.output(g.node("MatMul", x, w, out=name), [2, 4])


@fixture()
def behind_shared(g):
    """One weight read directly and through Transpose, Identity used as a weight and as a graph
    output, and a Constant node behind an Identity."""
    x = g.input("x", [2, 6])
    w = g.weight("w", 6, 6)
    x = g.node("MatMul", x, w)
    x = g.node("MatMul", x, g.node("Transpose", w))
    copy = g.node("Identity", g.weight("copied", 6, 6), out="copy")
    x = g.node("MatMul", x, copy)
    g.node("MatMul", x, g.node("Identity", g.constant("c", g.array(6, 4))), out="y")
    g.output("y", [2, 4])
    g.output("copy", [6, 6])


@fixture()
def weight_with_other_readers(g):
    """Weights that something else reads too: Shape, Add, Relu before the MatMul; and a weight
    computed from a constant by arithmetic."""
    x = g.input("x", [2, 6])
    w = g.weight("w", 6, 6)
    x = g.node("MatMul", x, w)
    rows = g.node("Gather", g.node("Shape", w), g.tensor("first", np.int64(0)))
    x = g.node("Div", x, g.node("Cast", rows, to=FLOAT))
    total = g.node("ReduceSum", w, g.shape("rows", 0), keepdims=0)
    x = g.node("Add", x, total)
    g.node("MatMul", x, g.node("Mul", g.weight("base", 6, 4), g.weight("factor", 4)), out="y")
    g.output("y", [2, 4])


@fixture()
def weight_is_output(g):
    """A weight that is also a graph output, and one that is only a graph output."""
    x = g.input("x", [2, 6])
    g.node("MatMul", x, g.weight("w", 6, 4), out="y")
    g.output("y", [2, 4])
    g.output("w", [6, 4])
    g.output(g.weight("lonely", 3), [3])


@fixture()
def input_is_output(g):
    """A graph input that is a graph output too, and a graph input that nobody reads."""
    x = g.input("x", [2, 6])
    g.input("unused", [1])
    g.node("MatMul", x, g.weight("w", 6, 4), out="y")
    g.output("y", [2, 4])
    g.output("x", [2, 6])


@fixture(opset=8, ir=3)
def initializers_as_inputs_ir3(g):
    """IR version 3, where every initializer has to be listed as a graph input."""
    x = g.input("x", [2, 8])
    for name, shape in [("w0", (8, 6)), ("b0", (6,)), ("w1", (6, 4))]:
        g.input(g.weight(name, *shape), shape)
    x = g.node("Gemm", x, "w0", "b0")
    g.node("MatMul", x, "w1", out="y")
    g.output("y", [2, 4])


@fixture(opset=10, ir=3)
def initializers_as_inputs_opset10(g):
    """As IR version 3 has it, with opset 10 as some exporters wrote it."""
    initializers_as_inputs_ir3(g)


@fixture()
def overridable_defaults(g):
    """IR version 8 and a weight listed as a graph input: a default that callers may replace, so
    that its values are not known."""
    x = g.input("x", [2, 8])
    g.input(g.weight("w", 8, 6), (8, 6))
    x = g.node("MatMul", x, "w")
    g.node("MatMul", x, g.weight("fixed", 6, 4), out="y")
    g.output("y", [2, 4])


def one_matmul(g, array, elem=FLOAT):
    """x @ w for a given w, and nothing else."""
    rows, columns = array.shape
    x = g.input("x", [2, rows], elem)
    g.node("MatMul", x, g.tensor("w", array), out="y")
    g.output("y", [2, columns], elem)


@fixture()
def values_nan(g):
    """A weight with a NaN in it."""
    w = g.array(8, 4)
    w[2, 1] = np.nan
    one_matmul(g, w)


@fixture()
def values_infinite(g):
    """A weight with both infinities in it, as masks have."""
    w = g.array(8, 4)
    w[2, 1], w[5, 3] = np.inf, -np.inf
    one_matmul(g, w)


@fixture()
def values_zero(g):
    """A weight of zeros, one of them negative."""
    w = np.zeros((8, 4), dtype=np.float32)
    w[0, 0] = -0.0
    one_matmul(g, w)


@fixture()
def values_constant_channels(g):
    """Channels that are all zero, all the same, all positive, and one value beside zeros."""
    w = np.zeros((8, 6), dtype=np.float32)
    w[:, 1], w[:, 2], w[:, 3] = 0.7, -1e-3, np.abs(g.array(8)) + 1
    w[3, 4], w[:, 5] = 5, g.array(8)
    one_matmul(g, w)


@fixture()
def values_denormal(g):
    """Channels so small that amax / 127 is denormal or zero, and channels near the largest float."""
    w = g.array(8, 5)
    w[:, 0] *= 1e-38
    w[:, 1] *= 1e-43
    w[:, 2] = 1e-45
    w[:, 3] *= 1e38
    w[0, 3], w[1, 3] = 3.4028234e38, -3.4028234e38
    one_matmul(g, w)


@fixture()
def values_uneven_channels(g):
    """Channels whose ranges differ by a factor of a million: per-tensor scales lose most of them."""
    one_matmul(g, g.array(16, 8) * np.logspace(-4, 2, 8, dtype=np.float32))


@fixture()
def single_element(g):
    """Weights of a single element: a 1x1 matrix, a 1x1 convolution, a scalar in Gemm's bias."""
    x = g.input("x", [2, 1])
    x = g.node("Gemm", x, g.weight("w", 1, 1), g.tensor("b", np.float32(0.5)))
    x = g.node("Reshape", x, g.shape("image", 2, 1, 1, 1))
    g.node("Conv", x, g.weight("k", 1, 1, 1, 1), out="y")
    g.output("y", [2, 1, 1, 1])


@fixture()
def zero_size(g):
    """Tensors without elements: an empty table joined to a real one, a MatMul with no columns,
    and one that sums over nothing."""
    x = g.input("x", [2, 4])
    w = g.node("Concat", g.weight("empty", 0, 3), g.weight("w", 4, 3), axis=0)
    g.output(g.node("MatMul", x, w, out="y"), [2, 3])
    g.output(g.node("MatMul", x, g.weight("no_columns", 4, 0), out="nothing"), [2, 0])
    none = g.node("Slice", x, g.shape("zero", 0), "zero", g.shape("one", 1))
    g.output(g.node("MatMul", none, g.weight("no_rows", 0, 3), out="zeros"), [2, 3])


@fixture(opset=13, ir=7)
def float16_opset13(g):
    """float16 weights and activations at opset 13, where Q/DQ know no float16."""
    one_matmul(g, g.array(8, 4).astype(np.float16), TensorProto.FLOAT16)


@fixture(opset=19, ir=9)
def float16_opset19(g):
    """float16 weights and activations at opset 19, where Q/DQ know float16."""
    one_matmul(g, g.array(8, 4).astype(np.float16), TensorProto.FLOAT16)


@fixture(opset=19, ir=9)
def bfloat16(g):
    """bfloat16 weights and activations."""
    one_matmul(g, g.array(8, 4).astype(ml_dtypes.bfloat16), TensorProto.BFLOAT16)


@fixture()
def double(g):
    """Weights and activations of double precision."""
    one_matmul(g, g.array(8, 4).astype(np.float64), TensorProto.DOUBLE)


@fixture()
def integer_matmul(g):
    """A MatMul of int32 and a Gather from an int64 table: weights with nothing to quantize."""
    x = g.input("x", [2, 4], TensorProto.INT32)
    i = g.input("ids", [3], INT64)
    mask = g.input("mask", [2, 5], BOOL)
    w = g.random.integers(-9, 9, (4, 5), dtype=np.int32)
    y = g.node("MatMul", x, g.tensor("w", w))
    g.node("Where", mask, y, g.tensor("none", np.int32(-1)), out="y")
    g.output("y", [2, 5], TensorProto.INT32)
    table = g.tensor("table", g.random.integers(0, 99, (8, 2)))
    g.output(g.node("Gather", table, i, out="z"), [3, 2], INT64)


@fixture()
def typed_data_fields(g):
    """Weights in `float_data`, `double_data` and (float16) `int32_data` instead of `raw_data`."""
    x = g.input("x", [2, 8])
    for name, elem in [("float", FLOAT), ("double", TensorProto.DOUBLE), ("half", TensorProto.FLOAT16)]:
        values = g.array(8, 4)
        g.initializers.append(helper.make_tensor(f"w_{name}", elem, values.shape, values.flatten()))
        w = f"w_{name}" if elem == FLOAT else g.node("Cast", f"w_{name}", to=FLOAT)
        g.output(g.node("MatMul", x, w, out=name), [2, 4])
