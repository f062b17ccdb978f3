"""Small float models for the tests of the drop-in, with seeded weights, and what they are compared by."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """Nodes and weights, one after the other."""

    def __init__(self, seed: int = 7) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, *shape: int) -> str:
        fan = max(int(np.prod(shape[1:])), 1) if len(shape) != 2 else shape[0]
        self.constant(name, (self.random.normal(size=shape) / np.sqrt(fan)).astype(np.float32))
        return name

    def constant(self, name: str, value: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op_type: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=f"{op_type}_{output}", **attributes))
        return output

    def model(self, inputs: dict[str, tuple], outputs: dict[str, tuple], opset: int = 17) -> onnx.ModelProto:
        def values(shapes: dict[str, tuple]) -> list[onnx.ValueInfoProto]:
            kind = lambda name: TensorProto.INT64 if name == "input_ids" else TensorProto.FLOAT  # noqa: E731
            return [helper.make_tensor_value_info(name, kind(name), shape) for name, shape in shapes.items()]

        graph = helper.make_graph(self.nodes, "g", values(inputs), values(outputs), self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.checker.check_model(model)
        return model


def resnet(seed: int = 7) -> onnx.ModelProto:
    """Two residual blocks behind a convolution, and a classifier."""
    b = Builder(seed)
    b.node("Conv", ["input", b.weight("stem", 16, 3, 3, 3), b.weight("stem_bias", 16)], "c0", pads=[1, 1, 1, 1])
    x = b.node("Relu", ["c0"], "r0")
    for block in (1, 2):
        first = b.node("Conv", [x, b.weight(f"w{block}a", 16, 16, 3, 3), b.weight(f"b{block}a", 16)], f"c{block}a", pads=[1, 1, 1, 1])
        middle = b.node("Relu", [first], f"r{block}a")
        second = b.node("Conv", [middle, b.weight(f"w{block}b", 16, 16, 3, 3), b.weight(f"b{block}b", 16)], f"c{block}b", pads=[1, 1, 1, 1])
        x = b.node("Relu", [b.node("Add", [second, x], f"a{block}")], f"r{block}")
    flat = b.node("Flatten", [b.node("GlobalAveragePool", [x], "pooled")], "flat")
    b.node("Gemm", [flat, b.weight("fc", 16, 10), b.weight("fc_bias", 10)], "output")
    return b.model({"input": ("batch", 3, 16, 16)}, {"output": ("batch", 10)})


def yolo() -> onnx.ModelProto:
    """Convolutions with sigmoid gates, two scales, and a head that decodes boxes."""
    b = Builder()

    def gated(x: str, name: str, channels: int, into: int, stride: int = 1) -> str:
        conv = b.node("Conv", [x, b.weight(f"{name}_w", into, channels, 3, 3), b.weight(f"{name}_b", into)], f"{name}_conv",
                      pads=[1, 1, 1, 1], strides=[stride, stride])
        return b.node("Mul", [conv, b.node("Sigmoid", [conv], f"{name}_gate")], f"{name}_out")

    deep = gated(gated("images", "p1", 3, 16), "p2", 16, 16, 2)
    b.constant("scales", np.array([1, 1, 2, 2], np.float32))
    up = b.node("Resize", [deep, "", "scales"], "up", mode="nearest")
    both = b.node("Concat", [up, gated("images", "side", 3, 16)], "both", axis=1)
    head = b.node("Conv", [both, b.weight("head_w", 6, 32, 1, 1), b.weight("head_b", 6)], "head")
    b.constant("shape", np.array([0, 6, -1]))
    b.node("Sigmoid", [b.node("Reshape", [head, "shape"], "rows")], "boxes")
    return b.model({"images": (1, 3, 16, 16)}, {"boxes": (1, 6, 256)})


def encoder(tokens: int = 12, size: int = 32) -> onnx.ModelProto:
    """An embedding, one layer of attention and a feed-forward part."""
    b = Builder()
    x = b.node("Gather", [b.weight("embedding", 100, size), "input_ids"], "embedded")
    q, k, v = (b.node("Add", [b.node("MatMul", [x, b.weight(f"{name}_w", size, size)], f"{name}_product"),
                              b.weight(f"{name}_b", size)], name) for name in "qkv")
    scores = b.node("Softmax", [b.node("MatMul", [q, b.node("Transpose", [k], "kt", perm=[0, 2, 1])], "scores")], "p", axis=-1)
    mixed = b.node("MatMul", [b.node("MatMul", [scores, v], "mixed"), b.weight("o_w", size, size)], "attended")
    b.constant("gain", np.ones(size, np.float32))
    b.constant("shift", np.zeros(size, np.float32))
    x = b.node("LayerNormalization", [b.node("Add", [x, mixed], "sum"), "gain", "shift"], "normed")
    hidden = b.node("Relu", [b.node("MatMul", [x, b.weight("up", size, 4 * size)], "wide")], "hidden")
    b.node("MatMul", [hidden, b.weight("down", 4 * size, size)], "output")
    return b.model({"input_ids": ("batch", tokens)}, {"output": ("batch", tokens, size)})


def decoder(size: int = 64) -> onnx.ModelProto:
    """A table and three products, as they are in the layers of a decoder."""
    b = Builder()
    x = b.node("Gather", [b.weight("table", 96, size), "input_ids"], "embedded")
    gate = b.node("Sigmoid", [b.node("MatMul", [x, b.weight("gate", size, 2 * size)], "gate_out")], "gated")
    up = b.node("Mul", [gate, b.node("MatMul", [x, b.weight("up", size, 2 * size)], "up_out")], "both")
    b.node("MatMul", [up, b.weight("lm_head", 2 * size, 96)], "logits")
    return b.model({"input_ids": ("batch", "sequence")}, {"logits": ("batch", "sequence", 96)}, opset=14)


def samples(model: onnx.ModelProto, count: int = 16, seed: int = 3) -> list[dict[str, np.ndarray]]:
    """Seeded inputs of a model; sizes that are open are 4."""
    random = np.random.default_rng(seed)

    def array(value: onnx.ValueInfoProto) -> np.ndarray:
        shape = [dim.dim_value or 4 for dim in value.type.tensor_type.shape.dim]
        if value.type.tensor_type.elem_type == TensorProto.INT64:
            return random.integers(0, 96, shape)
        return random.normal(size=shape).astype(np.float32)

    return [{value.name: array(value) for value in model.graph.input} for _ in range(count)]


def run(model: object, feeds: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """The first output with each of some inputs, by onnxruntime."""
    content = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    return [session.run(None, feed)[0] for feed in feeds]


def signal_to_noise(exact: list[np.ndarray], found: list[np.ndarray]) -> float:
    """In decibels, of all outputs together."""
    noise = sum(float(np.square(a.astype(np.float64) - b).sum()) for a, b in zip(exact, found))
    signal = sum(float(np.square(a.astype(np.float64)).sum()) for a in exact)
    return 10 * float(np.log10(signal / max(noise, 1e-30)))


def operators(path: object) -> list[str]:
    """The types of a file's operators."""
    model = path if isinstance(path, onnx.ModelProto) else onnx.load(str(path))
    return [node.op_type for node in model.graph.node]
