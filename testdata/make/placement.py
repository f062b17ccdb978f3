"""Fixtures about where a weight is best dequantized: transposed matrices, tables, shared weights."""

import numpy as np
from onnx import TensorProto

from .builder import BOOL, FLOAT, INT64, fixture
from .bodies import branches

FLOAT16 = TensorProto.FLOAT16
DOUBLE = TensorProto.DOUBLE


@fixture(opset=13, ir=7)
def gemm_transposed(g):
    """Gemm with transB=1: one with a bias, two that share a weight, one scaled, and one whose weight
    a MatMul reads as it is."""
    x = g.input("x", [4, 32])
    x = g.node("Gemm", x, g.weight("plain", 48, 32), g.weight("bias", 48), transB=1)
    x = g.node("Tanh", x)
    g.node("Gemm", x, g.weight("scaled", 6, 48), out="by_alpha", transB=1, alpha=0.5)
    shared = g.weight("shared", 32, 48)
    x = g.node("Add", g.node("Gemm", x, shared, transB=1), g.node("Gemm", g.node("Tanh", x), shared, transB=1))
    square = g.weight("square", 32, 32)
    x = g.node("Gemm", x, square, transB=1)
    g.node("MatMul", x, square, out="y")
    g.output("y", [4, 32])
    g.output("by_alpha", [4, 6])


@fixture(opset=13, ir=7)
def transposed_before_products(g):
    """Weights behind a Transpose: for one MatMul, for a MatMul and a Gemm, for a product's left side,
    for a product and the outside, and two Transposes of one weight."""
    x = g.input("x", [4, 32])
    x = g.node("MatMul", x, g.node("Transpose", g.weight("one", 48, 32), perm=[1, 0]))
    two = g.node("Transpose", g.weight("two", 32, 48))
    x = g.node("Add", g.node("MatMul", x, two), g.node("Gemm", g.node("Tanh", x), two))
    left = g.node("MatMul", g.node("Transpose", g.weight("left", 4, 6)), x, out="left_y")
    given = g.node("Transpose", g.weight("outside", 16, 32), out="given")
    x = g.node("MatMul", x, given)
    twice = g.weight("twice", 16, 16)
    x = g.node("MatMul", x, g.node("Transpose", twice, perm=[1, 0]))
    g.node("MatMul", x, g.node("Transpose", twice), out="y")
    g.output("y", [4, 16])
    g.output(left, [6, 32])
    g.output(given, [32, 16])


@fixture()
def tables(g):
    """Tables: one that three Gathers pick from, with indices of ranks 2, 1 and 0; one picked from
    along axis 1 of 3; one along a negative axis; one that is a graph output; one that is summed too;
    one in a Constant node; one of doubles."""
    ids = g.input("ids", ["batch", 5], INT64)
    table = g.weight("table", 12, 20)
    x = g.node("Gather", table, ids)
    row = g.node("Gather", table, g.tensor("rows", np.array([2, 11, 2, 0, 7])))
    x = g.node("Add", x, row)
    g.node("Add", x, g.node("Gather", table, g.tensor("third", np.int64(3))), out="picked")
    g.output("picked", ["batch", 5, 20])
    g.node("Gather", g.weight("middle", 3, 7, 20), ids, out="from_middle", axis=1)
    g.output("from_middle", [3, "batch", 5, 20])
    g.node("Gather", g.weight("negative", 9, 20), ids, out="from_end", axis=-2)
    g.output("from_end", ["batch", 5, 20])
    g.node("Gather", g.weight("given", 9, 20), ids, out="from_given")
    g.output("from_given", ["batch", 5, 20])
    g.output("given", [9, 20])
    summed = g.weight("summed", 9, 20)
    g.node("Add", g.node("Gather", summed, ids), g.node("ReduceMax", summed, axes=[0], keepdims=0), out="and_most")
    g.output("and_most", ["batch", 5, 20])
    g.node("Gather", g.constant("held", g.array(9, 20)), ids, out="from_held")
    g.output("from_held", ["batch", 5, 20])
    g.node("Gather", g.tensor("doubles", g.array(9, 20).astype(np.float64)), ids, out="from_doubles")
    g.output("from_doubles", ["batch", 5, 20], DOUBLE)


@fixture()
def tables_in_bodies(g):
    """A table of the outer graph that Gathers in both branches of an If pick from, beside one of the
    branch's own; what they pick is a branch's output and is multiplied by a weight."""
    condition, ids = g.input("condition", [], BOOL), g.input("ids", [5], INT64)
    table = g.weight("table", 12, 20)
    then, otherwise = g.body("then"), g.body("otherwise")
    picked = then.node("Gather", table, ids)
    own = then.node("Gather", then.weight("own", 7, 20), ids)
    picked = then.node("Tanh", then.node("Add", picked, own))
    then.output(then.node("MatMul", picked, then.weight("w", 20, 20), out="then_y"), [5, 20])
    otherwise.output(otherwise.node("Gather", table, ids, out="else_y"), [5, 20])
    branches(g, condition, then, otherwise, "y")
    g.output("y", [5, 20])


@fixture(opset=13, ir=7)
def float16_table(g):
    """A float16 model at opset 13 with a table, a product and a Gemm with transB=1."""
    ids = g.input("ids", ["batch"], INT64)
    x = g.node("Gather", g.tensor("table", g.array(12, 32).astype(np.float16)), ids)
    x = g.node("Tanh", x)
    x = g.node("MatMul", x, g.tensor("w", g.array(32, 32).astype(np.float16)))
    g.node("Gemm", x, g.tensor("head", g.array(8, 32).astype(np.float16)), out="y", transB=1)
    g.output("y", ["batch", 8], FLOAT16)


@fixture(opset=13, ir=7)
def mixed_float16(g):
    """A float32 model one of whose products is in float16: the smaller part."""
    x = g.input("x", [4, 32])
    x = g.node("MatMul", x, g.weight("wide", 32, 32))
    x = g.node("Cast", g.node("Tanh", x), to=FLOAT16)
    x = g.node("MatMul", x, g.tensor("half", g.array(32, 8).astype(np.float16)))
    g.node("Cast", x, out="y", to=FLOAT)
    g.output("y", [4, 8])


@fixture(opset=11, ir=6)
def not_to_be_raised(g):
    """Resize with tf_half_pixel_for_nn, which opset 13 has not, in front of a weight."""
    x = g.input("x", [1, 1, 4, 4])
    scales = g.tensor("scales", np.array([1, 1, 2, 1], dtype=np.float32))
    mode = {"mode": "linear", "coordinate_transformation_mode": "tf_half_pixel_for_nn"}
    x = g.node("Resize", x, g.tensor("roi", np.zeros(0, dtype=np.float32)), scales, **mode)
    g.node("MatMul", x, g.weight("w", 4, 6), out="y")
    g.output("y", [1, 1, 8, 6])
