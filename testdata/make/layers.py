"""Fixtures about operators that have weights."""

import numpy as np

from .builder import FLOAT, INT64, fixture

# As exporters write them: some runtimes do not know the defaults.
PLAIN = {"strides": [1, 1], "dilations": [1, 1]}
STRIDED = {"strides": [2, 2], "dilations": [1, 1]}


@fixture(opset=13, ir=7)
def mlp(g):
    """Gemm with transB=0 and with transB=1, each with a bias and a Relu."""
    x = g.input("x", ["batch", 16])
    x = g.node("Gemm", x, g.weight("w0", 16, 32), g.weight("b0", 32))
    x = g.node("Relu", x)
    x = g.node("Gemm", x, g.weight("w1", 24, 32), g.weight("b1", 24), transB=1)
    x = g.node("Relu", x)
    g.node("Gemm", x, g.weight("w2", 24, 10), out="y", alpha=0.5)
    g.output("y", ["batch", 10])


@fixture()
def gemm_variants(g):
    """Gemm with transA, with alpha and beta, with a bias that is a matrix, a row, a column and a
    scalar, and with its constant as A."""
    x = g.input("x", [4, 6])
    g.node("Gemm", x, g.weight("wt", 4, 5), g.weight("matrix", 6, 5), out="transposed", transA=1)
    g.node("Gemm", x, g.weight("wab", 6, 5), g.weight("row", 1, 5), out="scaled", alpha=2.0, beta=0.5)
    g.node("Gemm", x, g.weight("wc", 6, 5), g.weight("column", 4, 1), out="by_column")
    g.node("Gemm", x, g.weight("ws", 6, 5), g.tensor("scalar", np.float32(0.25)), out="by_scalar")
    g.node("Gemm", g.weight("wa", 5, 4), x, out="constant_first")
    for name, shape in [("transposed", [6, 5]), ("scaled", [4, 5]), ("by_column", [4, 5])]:
        g.output(name, shape)
    g.output("by_scalar", [4, 5])
    g.output("constant_first", [5, 6])


@fixture(opset=13, ir=7)
def convolutions(g):
    """Conv, depthwise Conv, grouped Conv, pointwise Conv with a ReLU6, then ConvTranspose without
    and with groups: the output channels are axis 0, or axis 1 within each group."""
    x = g.input("x", ["batch", 3, 8, 8])
    x = g.node("Conv", x, g.weight("conv.w", 8, 3, 3, 3), g.weight("conv.b", 8), pads=[1] * 4, **PLAIN)
    x = g.node("Relu", x)
    x = g.node("Conv", x, g.weight("depthwise.w", 8, 1, 3, 3), g.weight("depthwise.b", 8), pads=[1] * 4, group=8, **PLAIN)
    six = [g.tensor("zero", np.float32(0)), g.tensor("six", np.float32(6))]
    x = g.node("Clip", x, *six)
    x = g.node("Conv", x, g.weight("grouped.w", 12, 4, 3, 3), **STRIDED, pads=[1] * 4, group=2)
    x = g.node("Conv", x, g.weight("pointwise.w", 8, 12, 1, 1), g.weight("pointwise.b", 8), pads=[0] * 4, **PLAIN)
    x = g.node("ConvTranspose", x, g.weight("up.w", 8, 6, 2, 2), g.weight("up.b", 6), **STRIDED)
    g.node("ConvTranspose", x, g.weight("up_grouped.w", 6, 2, 3, 3), group=3, out="y", **PLAIN)
    g.output("y", ["batch", 6, 10, 10])


@fixture()
def conv_ranks(g):
    """Conv over one and over three spatial dimensions."""
    x = g.input("line", [1, 4, 12])
    v = g.input("volume", [1, 2, 4, 4, 4])
    g.node("Conv", x, g.weight("w1d", 6, 4, 3), g.weight("b1d", 6), out="line_out", dilations=[2])
    g.node("Conv", v, g.weight("w3d", 4, 2, 2, 2, 2), out="volume_out")
    g.output("line_out", [1, 6, 8])
    g.output("volume_out", [1, 4, 3, 3, 3])


@fixture(opset=13, ir=7)
def conv_batchnorm(g):
    """Conv followed by a BatchNormalization that was not folded, and a residual Add."""
    x = g.input("x", [1, 4, 6, 6])
    y = g.node("Conv", x, g.weight("w", 4, 4, 3, 3), pads=[1] * 4, **PLAIN)
    scale, variance = np.abs(g.array(4)) + 0.5, np.abs(g.array(4)) + 0.5
    parts = [g.tensor("scale", scale), g.weight("shift", 4), g.weight("mean", 4), g.tensor("variance", variance)]
    y = g.node("BatchNormalization", y, *parts)
    y = g.node("Relu", y)
    y = g.node("Add", x, y)
    g.node("GlobalAveragePool", y, out="y")
    g.output("y", [1, 4, 1, 1])


@fixture()
def matmul_ranks(g):
    """MatMul with a constant of rank 2, of rank 3 with a batch of matrices, of rank 3 with one
    matrix, of rank 4, and of rank 1 on the right and on the left."""
    x = g.input("x", [3, 4, 8])
    for name, shape, out in [
        ("matrix", (8, 6), [3, 4, 6]),
        ("batch", (3, 8, 6), [3, 4, 6]),
        ("broadcast", (1, 8, 6), [3, 4, 6]),
        ("rank4", (2, 1, 8, 6), [2, 3, 4, 6]),
        ("vector", (8,), [3, 4]),
    ]:
        g.output(g.node("MatMul", x, g.weight(f"w_{name}", *shape), out=name), out)
    g.output(g.node("MatMul", g.weight("w_left", 4), x, out="vector_left"), [3, 8])


@fixture()
def matmul_constant_left(g):
    """MatMul whose first input is the constant: its channels are rows, axis -2."""
    x = g.input("x", [8, "n"])
    x = g.node("MatMul", g.weight("w0", 12, 8), x)
    x = g.node("Relu", x)
    g.node("MatMul", g.weight("w1", 2, 6, 12), x, out="y")
    g.output("y", [2, 6, "n"])


@fixture()
def matmul_activations(g):
    """MatMul of two activations, and MatMul of two constants: neither has a weight and an input."""
    x = g.input("x", [4, 8])
    scores = g.node("MatMul", x, g.node("Transpose", x))
    folded = g.node("MatMul", g.weight("c0", 4, 3), g.weight("c1", 3, 4))
    g.node("Add", scores, folded, out="y")
    g.output("y", [4, 4])


@fixture()
def einsum_and_others(g):
    """Weights of operators that quantizers forget: Einsum, PRelu, LayerNormalization,
    InstanceNormalization, and constants of Add and Mul that are no weights."""
    x = g.input("x", [2, 4, 8])
    x = g.node("Einsum", x, g.weight("einsum.w", 8, 6), equation="bij,jk->bik")
    x = g.node("PRelu", x, g.weight("slope", 4, 1))
    x = g.node("LayerNormalization", x, g.weight("ln.scale", 6), g.weight("ln.bias", 6))
    x = g.node("InstanceNormalization", x, g.weight("in.scale", 4), g.weight("in.bias", 4))
    x = g.node("Mul", x, g.weight("gain", 4, 6))
    g.node("Add", x, g.weight("offset", 6), out="y")
    g.output("y", [2, 4, 6])


@fixture()
def embedding(g):
    """An embedding table read by Gather on axis 0, and a table read on axis 1."""
    i = g.input("ids", ["batch", 5], INT64)
    x = g.node("Gather", g.weight("table", 12, 16), i)
    g.node("MatMul", x, g.weight("w", 16, 8), out="y")
    g.node("Gather", g.weight("columns", 6, 10), i, axis=1, out="z")
    g.output("y", ["batch", 5, 8])
    g.output("z", [6, "batch", 5])


@fixture()
def embedding_tied_by_transpose(g):
    """A table read by Gather (channels: rows) and, through a Transpose, by the output MatMul
    (channels: columns of the transpose): one weight, the axes agree."""
    i = g.input("ids", ["batch", 5], INT64)
    table = g.weight("table", 12, 16)
    x = g.node("Gather", table, i)
    x = g.node("MatMul", x, g.weight("w", 16, 16))
    g.node("MatMul", x, g.node("Transpose", table, perm=[1, 0]), out="logits")
    g.output("logits", ["batch", 5, 12])


@fixture()
def tied_axes_disagree(g):
    """One weight read by Gemm with transB=1 (channels: axis 0) and by MatMul (channels: axis 1)."""
    x = g.input("x", [2, 8])
    w = g.weight("w", 8, 8)
    x = g.node("Gemm", x, w, transB=1)
    x = g.node("Relu", x)
    g.node("MatMul", x, w, out="y")
    g.output("y", [2, 8])


@fixture()
def weight_used_twice(g):
    """One weight in two slots of one node, and one weight shared by three MatMuls."""
    x = g.input("x", [2, 8])
    square = g.node("MatMul", g.weight("both", 8, 8), "both")
    w = g.weight("shared", 8, 8)
    for _ in range(3):
        x = g.node("MatMul", x, w)
        x = g.node("Tanh", x)
    g.node("MatMul", x, square, out="y")
    g.output("y", [2, 8])


def recurrent(g, op, gates, directions, hidden=5, width=4):
    """A recurrent layer with every optional input that can be there, and without."""
    x = g.input("x", ["steps", 2, width])
    weights = [
        g.weight("w", directions, gates * hidden, width),
        g.weight("r", directions, gates * hidden, hidden),
        g.weight("b", directions, 2 * gates * hidden),
    ]
    way = "bidirectional" if directions == 2 else "forward"
    g.node(op, x, *weights, outputs=["y", "y_h"], hidden_size=hidden, direction=way)
    bare = [g.weight("w2", 1, gates * hidden, width), g.weight("r2", 1, gates * hidden, hidden)]
    start = g.weight("initial_h", 1, 2, hidden)
    g.node(op, x, *bare, "", "", start, outputs=["", "last"], hidden_size=hidden)
    g.output("y", ["steps", directions, 2, hidden])
    g.output("y_h", [directions, 2, hidden])
    g.output("last", [1, 2, hidden])


@fixture()
def lstm(g):
    """LSTM: W and R of rank 3, with a bias; a second one with omitted inputs and first output."""
    recurrent(g, "LSTM", 4, 1)


@fixture()
def lstm_bidirectional(g):
    """LSTM in both directions: axis 0 of W, R and B is the direction."""
    recurrent(g, "LSTM", 4, 2)


@fixture(opset=14, ir=7)
def gru(g):
    """GRU: three gates, in both directions."""
    recurrent(g, "GRU", 3, 2)


@fixture(opset=14, ir=7)
def rnn(g):
    """RNN: one gate."""
    recurrent(g, "RNN", 1, 1)


@fixture()
def contrib_operators(g):
    """Operators of com.microsoft with weights: FusedMatMul, FusedConv, FusedGemm, Attention."""
    ms = {"domain": "com.microsoft"}
    x = g.input("x", [1, 4, 8])
    x = g.node("Attention", x, g.weight("attention.w", 8, 24), g.weight("attention.b", 24), num_heads=2, **ms)
    x = g.node("FusedMatMul", x, g.weight("fused.w", 6, 8), transB=1, alpha=0.5, **ms)
    x = g.node("Reshape", x, g.shape("image", 1, 4, 2, 3))
    x = g.node("FusedConv", x, g.weight("conv.w", 4, 4, 1, 1), g.weight("conv.b", 4), activation="Relu", **ms)
    x = g.node("Reshape", x, g.shape("flat", 1, 24))
    g.node("FusedGemm", x, g.weight("gemm.w", 5, 24), g.weight("gemm.b", 5), transB=1, activation="Relu", out="y", **ms)
    g.output("y", [1, 5])
    return g.model("com.microsoft")


@fixture(opset=23, ir=11)
def attention_opset23(g):
    """Attention and RMSNormalization of opset 23, between MatMuls: a newer opset than the Q/DQ
    operators need."""
    x = g.input("x", [1, 4, 8])
    x = g.node("RMSNormalization", x, g.weight("norm", 8))
    parts = [g.node("MatMul", x, g.weight(f"w{name}", 8, 8)) for name in "qkv"]
    x = g.node("Attention", *parts, q_num_heads=2, kv_num_heads=2)
    g.node("MatMul", x, g.weight("wo", 8, 8), out="y")
    g.output("y", [1, 4, 8], FLOAT)
