"""Fixtures about graphs within graphs: If, Loop and Scan bodies, and model-local functions."""

import numpy as np
from onnx import helper, numpy_helper

from .builder import BOOL, FLOAT, INT64, fixture


def branches(g, condition, then, otherwise, out, **attributes):
    """An If node over two bodies."""
    return g.node("If", condition, out=out, then_branch=then.graph(), else_branch=otherwise.graph(), **attributes)


@fixture()
def if_weights(g):
    """If with a weight as an initializer in one body and as a Constant node in the other."""
    condition, x = g.input("condition", [], BOOL), g.input("x", [2, 8])
    then, otherwise = g.body("then"), g.body("otherwise")
    then.output(then.node("MatMul", x, then.weight("w_then", 8, 4), out="then_y"), [2, 4])
    w = otherwise.constant("w_else", g.array(8, 4))
    otherwise.output(otherwise.node("MatMul", x, w, out="else_y"), [2, 4])
    branches(g, condition, then, otherwise, "y")
    g.output("y", [2, 4])


@fixture()
def if_constant_forms(g):
    """Constant nodes with `value_floats` and `value_float` inside If bodies."""
    condition, x = g.input("condition", [], BOOL), g.input("x", [2, 8])
    then, otherwise = g.body("then"), g.body("otherwise")
    flat = then.node("Constant", out="flat", value_floats=[float(v) for v in g.array(32)])
    w = then.node("Reshape", flat, then.node("Constant", out="shape", value_ints=[8, 4]))
    then.output(then.node("MatMul", x, w, out="then_y"), [2, 4])
    half = otherwise.node("Constant", out="half", value_float=0.5)
    scaled = otherwise.node("Mul", x, half)
    otherwise.output(otherwise.node("MatMul", scaled, otherwise.constant("w", g.array(8, 4)), out="else_y"), [2, 4])
    branches(g, condition, then, otherwise, "y")
    g.output("y", [2, 4])


@fixture()
def if_outer_weights(g):
    """Weights of the outer graph used inside bodies: one by a body only, one by a body and the
    outer graph, and the outer value that the body reads, before its Relu."""
    condition, x = g.input("condition", [], BOOL), g.input("x", [2, 8])
    inside, shared = g.weight("w_inside", 8, 8), g.weight("w_shared", 8, 8)
    hidden = g.node("MatMul", x, shared, out="hidden")
    g.node("Relu", hidden, out="rectified")
    then, otherwise = g.body("then"), g.body("otherwise")
    then.output(then.node("MatMul", hidden, inside, out="then_y"), [2, 8])
    otherwise.output(otherwise.node("MatMul", "rectified", shared, out="else_y"), [2, 8])
    chosen = branches(g, condition, then, otherwise, "chosen")
    g.node("Add", chosen, "rectified", out="y")
    g.output("y", [2, 8])


@fixture()
def if_nested(g):
    """An If within an If; the inner body uses weights of its own, of the outer body and of the
    main graph."""
    outer, inner = g.input("outer", [], BOOL), g.input("inner", [], BOOL)
    x = g.input("x", [2, 8])
    w_main = g.weight("w_main", 8, 8)
    then, otherwise = g.body("then"), g.body("otherwise")
    w_then = then.weight("w_then", 8, 8)
    deep, deep_else = then.body("deep"), then.body("deep_else")
    y = deep.node("MatMul", x, w_main)
    y = deep.node("MatMul", y, w_then)
    deep.output(deep.node("MatMul", y, deep.weight("w_deep", 8, 4), out="deep_y"), [2, 4])
    deep_else.output(deep_else.node("MatMul", x, deep_else.weight("w_deep_else", 8, 4), out="deep_else_y"), [2, 4])
    then.output(branches(then, inner, deep, deep_else, "then_y"), [2, 4])
    otherwise.output(otherwise.node("MatMul", x, otherwise.weight("w_else", 8, 4), out="else_y"), [2, 4])
    branches(g, outer, then, otherwise, "y")
    g.output("y", [2, 4])


@fixture()
def same_names_in_bodies(g):
    """Two bodies that use the same names for different weights: scopes, not one name space."""
    condition, x = g.input("condition", [], BOOL), g.input("x", [2, 8])
    bodies = [g.body("then"), g.body("otherwise")]
    for body in bodies:
        body.output(body.node("MatMul", x, body.weight("w", 8, 4), out="body_y"), [2, 4])
    branches(g, condition, *bodies, "y")
    g.output("y", [2, 4])


@fixture()
def shadowing(g):
    """Bodies with a weight of the same name as a weight of the outer graph: the inner one counts."""
    condition, x = g.input("condition", [], BOOL), g.input("x", [2, 8])
    x = g.node("MatMul", x, g.weight("w", 8, 8))
    then, otherwise = g.body("then"), g.body("otherwise")
    then.output(then.node("MatMul", x, then.weight("w", 8, 8), out="then_y"), [2, 8])
    otherwise.output(otherwise.node("MatMul", x, "w", out="else_y"), [2, 8])
    branches(g, condition, then, otherwise, "y")
    g.output("y", [2, 8])


@fixture()
def loop(g):
    """Loop whose body has a weight of its own and uses one of the outer graph; a state that is
    carried round and an output that is stacked."""
    count, x = g.input("count", [], INT64), g.input("x", [2, 6])
    w_outer = g.weight("w_outer", 6, 6)
    body = g.body("body")
    body.input("iteration", [], INT64)
    going, state = body.input("going", [], BOOL), body.input("state", [2, 6])
    y = body.node("MatMul", state, w_outer)
    y = body.node("Tanh", y)
    y = body.node("MatMul", y, body.weight("w_body", 6, 6))
    body.output(body.node("Identity", going, out="still_going"), [], BOOL)
    body.output(body.node("Tanh", y, out="next_state"), [2, 6])
    body.output(body.node("ReduceSum", "next_state", body.shape("last", 1), out="row"), [2, 1])
    g.node("Loop", count, "", x, outputs=["final", "rows"], body=body.graph())
    g.output("final", [2, 6])
    g.output("rows", ["steps", 2, 1])


@fixture()
def scan(g):
    """Scan whose body has a Gemm with a weight of its own."""
    x, start = g.input("x", ["steps", 2, 4]), g.weight("start", 2, 6)
    body = g.body("body")
    state, item = body.input("state", [2, 6]), body.input("item", [2, 4])
    joined = body.node("Concat", item, state, axis=1)
    y = body.node("Gemm", joined, body.weight("w", 10, 6), body.weight("b", 6))
    body.output(body.node("Tanh", y, out="next_state"), [2, 6])
    body.output(body.node("Identity", "next_state", out="seen"), [2, 6])
    g.node("Scan", start, x, outputs=["final", "all"], num_scan_inputs=1, body=body.graph())
    g.output("final", [2, 6])
    g.output("all", ["steps", 2, 6])


@fixture()
def sequence_map(g):
    """SequenceMap, an operator that is itself a function, with a weight in its body."""
    x = g.input("x", [2, 6])
    parts = g.node("SplitToSequence", x, g.tensor("one", np.int64(1)), axis=0)
    body = g.body("body")
    item = body.input("item", [1, 6])
    body.output(body.node("MatMul", item, body.weight("w", 6, 4), out="mapped"), [1, 4])
    mapped = g.node("SequenceMap", parts, body=body.graph())
    g.node("ConcatFromSequence", mapped, axis=0, out="y")
    g.output("y", [2, 4])


DOMAIN = "onnx_quant.test"


def constant(name, array):
    """A Constant node, for the body of a function."""
    return helper.make_node("Constant", [], [name], name=f"hold_{name}", value=numpy_helper.from_array(array, name))


@fixture()
def function_constants(g):
    """A model-local function with its weights as Constant nodes, called twice."""
    nodes = [
        constant("w", g.array(8, 8)),
        constant("b", g.array(8)),
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], name="gemm"),
        helper.make_node("Relu", ["h"], ["y"], name="relu"),
    ]
    g.function(DOMAIN, "Dense", ["x"], ["y"], nodes, doc_string="x @ w + b, rectified")
    x = g.input("x", [2, 8])
    x = g.node("Dense", x, domain=DOMAIN)
    g.node("Dense", x, domain=DOMAIN, out="y")
    g.output("y", [2, 8])
    return g.model(DOMAIN)


@fixture()
def function_arguments(g):
    """A function that gets its weight as an argument: a different weight at each call, one of
    them also read by a MatMul of the main graph."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="matmul"),
        helper.make_node("Relu", ["h"], ["y"], name="relu"),
    ]
    g.function(DOMAIN, "Layer", ["x", "w"], ["y"], nodes)
    x = g.input("x", [2, 8])
    x = g.node("Layer", x, g.weight("w0", 8, 8), domain=DOMAIN)
    x = g.node("Layer", x, g.weight("w1", 8, 8), domain=DOMAIN)
    g.node("MatMul", x, "w1", out="y")
    g.output("y", [2, 8])
    return g.model(DOMAIN)


@fixture()
def function_nested(g):
    """A function that calls a function, with an If in its body and a weight inside that, and an
    attribute that the caller gives."""
    inner = [constant("w_inner", g.array(8, 8)), helper.make_node("MatMul", ["x", "w_inner"], ["y"])]
    g.function(DOMAIN, "Inner", ["x"], ["y"], inner)
    then, otherwise = g.body("then"), g.body("otherwise")
    then.output(then.node("MatMul", "h", then.constant("w_then", g.array(8, 8)), out="then_y"), [2, 8])
    otherwise.output(otherwise.node("Relu", "h", out="else_y"), [2, 8])
    leaky = helper.make_node("LeakyRelu", ["chosen"], ["y"])
    alpha = leaky.attribute.add()
    alpha.name, alpha.ref_attr_name, alpha.type = "alpha", "slope", alpha.FLOAT
    outer = [
        helper.make_node("Inner", ["x"], ["h"], domain=DOMAIN),
        helper.make_node("If", ["c"], ["chosen"], then_branch=then.graph(), else_branch=otherwise.graph()),
        leaky,
    ]
    g.function(DOMAIN, "Outer", ["x", "c"], ["y"], outer, attributes=["slope"])
    x, c = g.input("x", [2, 8]), g.input("c", [], BOOL)
    g.node("Outer", x, c, domain=DOMAIN, slope=0.1, out="y")
    g.output("y", [2, 8])
    return g.model(DOMAIN)


@fixture(ir=10)
def function_overloads(g):
    """Two functions of one name that differ in `overload`, and a call of each."""
    for overload in ["plain", "wide"]:
        nodes = [constant("w", g.array(8, 8)), helper.make_node("MatMul", ["x", "w"], ["y"])]
        g.function(DOMAIN, "Layer", ["x"], ["y"], nodes, overload=overload)
    x = g.input("x", [2, 8])
    x = g.node("Layer", x, domain=DOMAIN, overload="plain")
    g.node("Layer", x, domain=DOMAIN, overload="wide", out="y")
    g.output("y", [2, 8], FLOAT)
    return g.model(DOMAIN)


@fixture()
def function_called_from_body(g):
    """A function called inside an If body with a weight of the outer graph."""
    g.function(DOMAIN, "Layer", ["x", "w"], ["y"], [helper.make_node("MatMul", ["x", "w"], ["y"])])
    condition, x = g.input("condition", [], BOOL), g.input("x", [2, 8])
    w = g.weight("w", 8, 4)
    then, otherwise = g.body("then"), g.body("otherwise")
    then.output(then.node("Layer", x, w, domain=DOMAIN, out="then_y"), [2, 4])
    otherwise.output(otherwise.node("Layer", x, otherwise.weight("w_else", 8, 4), domain=DOMAIN, out="else_y"), [2, 4])
    branches(g, condition, then, otherwise, "y")
    g.output("y", [2, 4])
    return g.model(DOMAIN)
