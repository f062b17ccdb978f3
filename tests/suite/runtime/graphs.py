"""Walks over every graph of a model: the main one, the bodies of its nodes, its functions."""

import numpy as np
from onnx import numpy_helper


def graphs(model):
    """Graphs and functions, outer ones first."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop(0)
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting.extend([attribute.g] if attribute.HasField("g") else attribute.graphs)


def nodes(model):
    """The nodes of all graphs."""
    for graph in graphs(model):
        yield from graph.node


def constants(model, name):
    """The values of the initializers and Constant nodes of this name, outer ones first: bodies may
    have a name of their own."""
    for graph in graphs(model):
        for tensor in getattr(graph, "initializer", []):
            if tensor.name == name:
                yield numpy_helper.to_array(tensor)
        for node in graph.node:
            if node.op_type == "Constant" and name in node.output:
                if node.attribute[0].HasField("t"):
                    yield numpy_helper.to_array(node.attribute[0].t)
                elif node.attribute[0].floats:
                    yield np.array(node.attribute[0].floats, dtype=np.float32)


def constant(model, name):
    """The outermost of them."""
    for values in constants(model, name):
        return values
    raise ValueError(f"there is no constant {name!r}")
