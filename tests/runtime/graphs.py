"""Walks over every graph of a model: the main one, the bodies of its nodes, its functions."""

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


def constant(model, name):
    """The values of the initializer or Constant node of this name, the outermost if several."""
    for graph in graphs(model):
        for tensor in getattr(graph, "initializer", []):
            if tensor.name == name:
                return numpy_helper.to_array(tensor)
        for node in graph.node:
            if node.op_type == "Constant" and name in node.output and node.attribute[0].HasField("t"):
                return numpy_helper.to_array(node.attribute[0].t)
    raise ValueError(f"there is no constant {name!r}")
