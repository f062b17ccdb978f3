"""Fixtures whose weights lie in files beside the model. They return the model and those files."""

import numpy as np
from onnx import TensorProto

from .builder import BOOL, fixture


def move_out(tensor, location, contents, **place):
    """Makes `tensor` point at `location`, where its bytes are appended to `contents`."""
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **place}.items():
        tensor.external_data.add(key=key, value=str(value))
    contents.extend(data)


@fixture()
def external_two_files(g):
    """Weights in two files, one of them in a folder: two tensors in one file at aligned offsets,
    and one that is a whole file, with neither offset nor length."""
    x = g.input("x", [2, 8])
    x = g.node("MatMul", x, g.weight("w0", 8, 6))
    x = g.node("MatMul", x, g.weight("w1", 6, 6))
    x = g.node("MatMul", x, g.weight("w2", 6, 4))
    g.node("Add", x, g.weight("inline", 4), out="y")
    g.output("y", [2, 4])
    model = g.model()
    first, second = bytearray(), bytearray()
    w0, w1, w2, _ = model.graph.initializer
    location = "external_two_files.bin"
    move_out(w0, location, first, offset=0, length=len(w0.raw_data))
    first.extend(bytes(-len(first) % 256))
    move_out(w1, location, first, offset=len(first), length=len(w1.raw_data))
    move_out(w2, "external folder/w2.bin", second)
    return model, {location: bytes(first), "external folder/w2.bin": bytes(second)}


@fixture()
def external_everywhere(g):
    """External data of an initializer in an If body, of a Constant node's tensor, of two tensors
    that share their bytes, and of one whose offset is odd."""
    condition, x = g.input("condition", [], BOOL), g.input("x", [2, 8])
    x = g.node("MatMul", x, g.weight("twin", 8, 8))
    x = g.node("MatMul", x, g.tensor("other_twin", np.zeros((8, 8), dtype=np.float32)))
    x = g.node("MatMul", x, g.constant("c", g.array(8, 8)))
    bodies = [g.body("then"), g.body("otherwise")]
    for body in bodies:
        body.output(body.node("MatMul", x, body.weight("w", 8, 4), out="body_y"), [2, 4])
    g.node("If", condition, out="y", then_branch=bodies[0].graph(), else_branch=bodies[1].graph())
    g.output("y", [2, 4])
    model = g.model()
    location, contents = "external_everywhere.bin", bytearray(b"odd")
    twin, other = model.graph.initializer
    move_out(twin, location, contents, offset=3, length=256)
    move_out(other, location, bytearray(), offset=3, length=256)
    held = next(node for node in model.graph.node if node.op_type == "Constant").attribute[0].t
    move_out(held, location, contents, offset=len(contents), length=256, checksum="0" * 40)
    for attribute in model.graph.node[-1].attribute:
        w = attribute.g.initializer[0]
        move_out(w, location, contents, offset=len(contents), length=128)
    return model, {location: bytes(contents)}
