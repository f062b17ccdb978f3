"""Fixtures about the file around the graph: names, versions, metadata, fields."""

import numpy as np
from onnx import TensorProto, helper

from .builder import BOOL, FLOAT, fixture


@fixture()
def unsorted_nodes(g):
    """Nodes that stand before the nodes whose outputs they read."""
    x = g.input("x", [2, 8])
    x = g.node("MatMul", x, g.weight("w0", 8, 8))
    x = g.node("Relu", x)
    g.node("MatMul", x, g.weight("w1", 8, 4), out="y")
    g.output("y", [2, 4])
    g.nodes.reverse()


@fixture()
def names_taken(g):
    """Names that a quantizer likes to give are taken, in the graph and in a body: `w_quantized`
    by a weight, `w_scale` by an input, `w_zero_point` by a value, `w_dequantized` by an output."""
    condition, x = g.input("condition", [], BOOL), g.input("w_scale", [2, 8])
    x = g.node("MatMul", x, g.weight("w", 8, 8))
    x = g.node("MatMul", x, g.weight("w_quantized", 8, 8), out="w_zero_point")
    then, otherwise = g.body("then"), g.body("otherwise")
    y = then.node("MatMul", x, then.weight("v", 8, 8), out="v_scale")
    y = then.node("MatMul", y, then.weight("v_quantized", 8, 4), out="w_quantized_quantized")
    then.output(then.node("Identity", y, out="v_zero_point"), [2, 4])
    otherwise.output(otherwise.node("MatMul", x, otherwise.weight("u", 8, 4), out="w_quantized_scale"), [2, 4])
    g.node("If", condition, out="w_dequantized", then_branch=then.graph(), else_branch=otherwise.graph())
    g.output("w_dequantized", [2, 4])
    for node in g.nodes:
        node.name = f"{node.name}_DequantizeLinear"


@fixture()
def names_unusual(g):
    """Names with slashes, colons, spaces, quotes, percent signs and letters of other scripts, a
    very long one, and nodes without names."""
    x = g.input("in put/0:0", [2, 8])
    for number, name in enumerate(
        ["model/layer.0/kernel:0", "scope::weight", "a weight", 'quo"te\\d', "%w", "Gewicht_größe", "重み", "w" * 300]
    ):
        x = g.node("MatMul", x, g.weight(name, 8, 8), out=f"{name}/out")
        x = g.node("Tanh", x, out=f"tanh::{number}")
    g.node("MatMul", x, g.weight("вес 🎚", 8, 4), out="выход")
    g.output("выход", [2, 4])
    for node in g.nodes:
        node.name = "" if node.op_type == "Tanh" else f"{node.output[0]}::узел"


@fixture()
def node_names_repeated(g):
    """Two nodes of the same name, which the format allows and onnxruntime refuses."""
    x = g.input("x", [2, 8])
    x = g.node("MatMul", x, g.weight("w", 8, 8))
    g.node("MatMul", x, g.weight("v", 8, 4), out="y")
    g.output("y", [2, 4])
    for node in g.nodes:
        node.name = "same"


@fixture(ir=11)
def metadata_everywhere(g):
    """Doc strings, metadata_props on the model, graph, nodes, values, tensors and functions, a
    quantization annotation, device configurations, a domain that nothing uses, value_info."""
    x = g.input("x", ["batch", 8])
    y = g.node("MatMul", x, g.weight("w", 8, 8), doc_string="the layer's node")
    y = g.node("Helper", y, domain="onnx_quant.test")
    g.node("MatMul", y, g.weight("v", 8, 4), out="y")
    g.values.append(helper.make_tensor_value_info("matmul_0", FLOAT, ["batch", 8], "between"))
    g.output("y", ["batch", 4])
    g.function("onnx_quant.test", "Helper", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])])
    model = g.model("onnx_quant.test", "com.example.unused")
    model.producer_version, model.domain, model.model_version = "0.1", "com.example", 7
    graph = model.graph
    graph.doc_string = "a graph with a doc string"
    graph.initializer[0].doc_string = "a tensor with a doc string"
    kept = [model, graph, model.functions[0], graph.input[0], graph.output[0], graph.value_info[0]]
    for message in [*kept, *graph.node, *graph.initializer]:
        message.metadata_props.add(key="origin", value=type(message).__name__)
        message.metadata_props.add(key="ключ", value="значение\nwith a line break")
    annotation = graph.quantization_annotation.add(tensor_name="w")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="v")
    model.configuration.add(name="two_devices", num_devices=2, device=["first", "second"])
    place = graph.node[0].device_configurations.add(configuration_id="two_devices", pipeline_stage=1)
    place.sharding_spec.add(tensor_name="w", device=[0, 1])
    return model


@fixture()
def training_info(g):
    """A model with `training_info`, whose graphs have weights of their own."""
    x = g.input("x", [2, 8])
    g.node("MatMul", x, g.weight("w", 8, 4), out="y")
    g.output("y", [2, 4])
    model = g.model()
    start = g.body("initialization")
    start.output(start.tensor("w_start", g.array(8, 4)), [8, 4])
    step = g.body("algorithm")
    step.output(step.node("Mul", "w", step.tensor("decay", np.float32(0.99)), out="w_next"), [8, 4])
    info = model.training_info.add(initialization=start.graph(), algorithm=step.graph())
    info.initialization_binding.add(key="w", value="w_start")
    info.update_binding.add(key="w", value="w_next")
    return model


@fixture()
def unknown_operator(g):
    """An operator of a domain that nobody knows, with a weight, beside a MatMul."""
    x = g.input("x", [2, 8])
    x = g.node("MatMul", x, g.weight("w", 8, 8))
    g.node("Mystery", x, g.weight("v", 8, 4), domain="com.example", out="y", power=3)
    g.output("y", [2, 4])
    return g.model("com.example")


@fixture()
def optional_inputs(g):
    """Optional inputs left out as empty strings: in the middle, at the end, and a Gemm and a Conv
    whose bias is an empty string."""
    x = g.input("x", [2, 8])
    x = g.node("Gemm", x, g.weight("w", 8, 8), "")
    x = g.node("Clip", x, "", g.tensor("top", np.float32(1)))
    x = g.node("Clip", x, g.tensor("bottom", np.float32(-1)), "")
    x = g.node("Reshape", x, g.shape("image", 1, 2, 2, 4))
    g.node("Conv", x, g.weight("k", 3, 2, 1, 1), "", out="image_y")
    g.node("Dropout", "image_y", "", "", outputs=["y", ""])
    g.output("y", [1, 3, 2, 4])


@fixture(opset=13, ir=7)
def two_default_domains(g):
    """Both names of the default domain in `opset_import`: what a careless writer makes."""
    x = g.input("x", [2, 8])
    g.node("MatMul", x, g.weight("w", 8, 4), out="y")
    g.output("y", [2, 4])
    return g.model("ai.onnx")


@fixture(opset=13, ir=7)
def default_domain_spelled_out(g):
    """The default domain written as `ai.onnx`, in `opset_import` and on a node."""
    x = g.input("x", [2, 8])
    x = g.node("MatMul", x, g.weight("w", 8, 8), domain="ai.onnx")
    g.node("Relu", x, out="y")
    g.output("y", [2, 8])
    model = g.model()
    model.opset_import[0].domain = "ai.onnx"
    return model


def small_classifier(g):
    """Convolution, flattening, Dropout, Gemm, Softmax: what versions before opset 13 spell
    differently."""
    x = g.input("x", [1, 2, 4, 4])
    x = g.node("Conv", x, g.weight("conv.w", 4, 2, 3, 3), g.weight("conv.b", 4), pads=[1] * 4)
    if g.opset >= 11:
        x = g.node("Clip", x, g.tensor("low", np.float32(0)), g.tensor("high", np.float32(6)))
        x = g.node("Pad", x, g.shape("pads", 0, 0, 1, 1, 0, 0, 1, 1))
    else:
        x = g.node("Clip", x, min=0.0, max=6.0)
        x = g.node("Pad", x, pads=[0, 0, 1, 1, 0, 0, 1, 1])
    x = g.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = g.node("Dropout", x, **({} if g.opset >= 12 else {"ratio": 0.3}))
    x = g.node("Flatten", x)
    x = g.node("Unsqueeze", x, axes=[1])
    x = g.node("Squeeze", x, axes=[1])
    x = g.node("Gemm", x, g.weight("gemm.w", 5, 36), g.weight("gemm.b", 5), transB=1)
    total = g.node("ReduceSum", x, axes=[1], keepdims=1)
    x = g.node("Sub", x, total)
    # Before opset 13 this is a softmax over everything from axis 1 on, not along axis 1.
    x = g.node("Reshape", x, g.shape("cube", 1, 5, 1))
    g.node("Softmax", x, axis=1, out="y")
    g.output("y", [1, 5, 1])


@fixture(opset=9, ir=4)
def opset9(g):
    """Opset 9: no QuantizeLinear at all; Clip and Pad take attributes, and Upsample is there."""
    small_classifier(g)
    up = g.node("Upsample", "x", g.tensor("scales", np.float32([1, 1, 2, 2])), mode="nearest", out="big")
    g.output(up, [1, 2, 8, 8])


@fixture(opset=10, ir=5)
def opset10(g):
    """Opset 10: QuantizeLinear without axis; Resize has no region of interest yet."""
    small_classifier(g)
    g.output(g.node("Resize", "x", g.tensor("scales", np.float32([1, 1, 2, 2])), out="big"), [1, 2, 8, 8])


@fixture(opset=11, ir=6)
def opset11(g):
    """Opset 11: Clip and Pad take inputs, Dropout still an attribute."""
    small_classifier(g)


@fixture(opset=12, ir=7)
def opset12(g):
    """Opset 12: the last before per-channel QuantizeLinear; Squeeze and ReduceSum take attributes."""
    small_classifier(g)


@fixture(opset=10, ir=5)
def opset10_axis_conversions(g):
    """Operators whose meaning changes when opset 10 is raised to 13: Softmax, LogSoftmax and
    Hardmax over axis 1 of three, Split, TopK, BatchNormalization."""
    x = g.input("x", [2, 3, 4])
    x = g.node("MatMul", x, g.weight("w", 4, 4))
    for op in ["Softmax", "LogSoftmax", "Hardmax"]:
        g.output(g.node(op, x, axis=1, out=op.lower()), [2, 3, 4])
    g.output(g.node("Softmax", x, out="softmax_default"), [2, 3, 4])
    g.node("Split", x, axis=2, split=[1, 3], outputs=["narrow", "wide"])
    g.output("narrow", [2, 3, 1])
    g.output("wide", [2, 3, 3])
    g.node("TopK", x, g.shape("k", 2), outputs=["best", "places"])
    g.output("best", [2, 3, 2])
    scale = [g.tensor(n, np.abs(g.array(3)) + 0.5) for n in ["scale", "shift", "mean", "variance"]]
    g.output(g.node("BatchNormalization", x, *scale, out="normal"), [2, 3, 4])


def encode(number, payload):
    """A length-delimited protobuf field, by hand."""

    def varint(value):
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes([*out, value])

    return varint(number << 3 | 2) + varint(len(payload)) + payload


@fixture()
def unknown_fields(g):
    """Field 999 in ModelProto and in a NodeProto, which no schema knows."""
    x = g.input("x", [2, 8])
    g.node("MatMul", x, g.weight("w", 8, 4), out="y")
    g.output("y", [2, 4])
    model = g.model()
    node = model.graph.node[0].SerializeToString() + encode(999, b"from a later version")
    del model.graph.node[:]
    # A message field that appears twice is merged, so the node may come in a second graph field.
    return model.SerializeToString() + encode(7, encode(1, node)) + encode(999, b"from a later version")


@fixture()
def fields_reversed(g):
    """A file whose fields stand in descending order of their numbers, in the model and the graph."""
    x = g.input("x", [2, 8])
    g.node("MatMul", x, g.weight("w", 8, 4), out="y")
    g.output("y", [2, 4])
    graph = [encode(12, v.SerializeToString()) for v in g.outputs]
    graph += [encode(11, v.SerializeToString()) for v in g.inputs]
    graph += [encode(5, t.SerializeToString()) for t in g.initializers]
    graph += [encode(2, b"fields_reversed")] + [encode(1, n.SerializeToString()) for n in g.nodes]
    opset = encode(8, helper.make_opsetid("", g.opset).SerializeToString())
    text = encode(6, g.purpose.encode())
    return opset + encode(7, b"".join(graph)) + text + bytes([1 << 3, g.ir])


@fixture()
def tensor_fields_split(g):
    """A repeated scalar field that is not packed, and a message field in two parts that merge."""
    x = g.input("x", [2, 8])
    values = g.array(8, 4)
    w = TensorProto(name="w", data_type=FLOAT, raw_data=values.tobytes())
    # TensorProto.dims is field 1, written one by one: tag, value, tag, value.
    split = b"".join(bytes([1 << 3, d]) for d in values.shape) + w.SerializeToString()
    g.node("MatMul", x, "w", out="y")
    g.output("y", [2, 4])
    return g.model().SerializeToString() + encode(7, encode(5, split))
