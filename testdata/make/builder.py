"""A short way to write a graph, and the list of fixtures.

A fixture is a function that takes a `Builder`. Its name is the file's name, its docstring is the
model's `doc_string` and its line in the README. It may return a `ModelProto`, or bytes where the
protobuf library would not write what is wanted; returning nothing means `builder.model()`.
"""

import zlib
from dataclasses import dataclass
from typing import Callable

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
INT64 = TensorProto.INT64
BOOL = TensorProto.BOOL


@dataclass(frozen=True)
class Fixture:
    """A model to make, and the versions it is to be made with."""

    name: str
    purpose: str
    make: Callable
    opset: int
    ir: int


FIXTURES: dict[str, Fixture] = {}


def fixture(opset: int = 17, ir: int = 8):
    """Puts the decorated function on the list of fixtures."""

    def register(make):
        purpose = " ".join(make.__doc__.split())
        FIXTURES[make.__name__] = Fixture(make.__name__, purpose, make, opset, ir)
        return make

    return register


class Builder:
    """Collects the parts of one graph; every method that makes a value returns its name."""

    def __init__(self, name, purpose="", opset=17, ir=8, outer=None):
        self.name, self.purpose, self.opset, self.ir = name, purpose, opset, ir
        # Seeded by the name, so that adding a fixture does not change the others.
        self.random = outer.random if outer else np.random.default_rng(zlib.crc32(name.encode()))
        self.numbers = outer.numbers if outer else {}
        self.inputs, self.outputs, self.values = [], [], []
        self.initializers, self.sparse, self.nodes, self.functions = [], [], [], []

    def input(self, name, shape, elem=FLOAT):
        """A graph input. A dimension may be a number or a name."""
        self.inputs.append(helper.make_tensor_value_info(name, elem, shape))
        return name

    def output(self, name, shape, elem=FLOAT):
        """A graph output: the value of that name."""
        self.outputs.append(helper.make_tensor_value_info(name, elem, shape))
        return name

    def array(self, *shape):
        """Random float32 numbers of the size that weights have."""
        return (self.random.standard_normal(shape) * 0.3).astype(np.float32)

    def tensor(self, name, array):
        """An initializer with these values."""
        self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weight(self, name, *shape):
        """An initializer with random float32 values."""
        return self.tensor(name, self.array(*shape))

    def shape(self, name, *values):
        """An int64 vector: a shape, axes, pads."""
        return self.tensor(name, np.array(values, dtype=np.int64))

    def node(self, op, *inputs, out=None, outputs=None, **attributes):
        """A node. `out` names its one output, `outputs` several; returns the first one's name."""
        number = self.numbers[op] = self.numbers.get(op, -1) + 1
        outputs = outputs or [out or f"{op.lower()}_{number}"]
        self.nodes.append(helper.make_node(op, inputs, outputs, name=f"{op}_{number}", **attributes))
        return outputs[0]

    def constant(self, name, array):
        """A Constant node that holds a tensor."""
        return self.node("Constant", out=name, value=numpy_helper.from_array(np.asarray(array), name))

    def body(self, name):
        """A graph for an attribute of a node of this one."""
        return Builder(name, outer=self)

    def graph(self):
        """The parts as a `GraphProto`."""
        return helper.make_graph(
            self.nodes,
            self.name,
            self.inputs,
            self.outputs,
            self.initializers,
            value_info=self.values,
            sparse_initializer=self.sparse,
        )

    def function(self, domain, name, inputs, outputs, nodes, **kept):
        """A model-local function."""
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(domain, 1)]
        self.functions.append(helper.make_function(domain, name, inputs, outputs, nodes, opsets, **kept))

    def model(self, *domains) -> ModelProto:
        """The whole model; `domains` are imported at version 1 beside the default one."""
        return helper.make_model(
            self.graph(),
            opset_imports=[helper.make_opsetid("", self.opset)] + [helper.make_opsetid(d, 1) for d in domains],
            ir_version=self.ir,
            functions=self.functions,
            producer_name="make_models.py",
            doc_string=self.purpose,
        )
