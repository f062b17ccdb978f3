"""What the values of a graph are: their element types, and which of them are the same value.

Two graphs are walked with this: a model as it came, and what a runtime made of it. Scopes are the main graph, the
bodies nested in its operators, and functions.
"""

import hashlib

from onnx import AttributeProto, TensorProto

FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
# 8 and 16 bits, then 4 and 2 bits and the small floats, by number: an older onnx package lacks their names.
QUANTIZED = {TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16, *range(17, 28)}

INT64, INT32, BOOL, FLOAT, UINT8 = (
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.BOOL,
    TensorProto.FLOAT,
    TensorProto.UINT8,
)
# Operators whose results have a type of their own, whatever they read.
GIVES = {
    **dict.fromkeys(("Shape", "Size", "NonZero", "ArgMax", "ArgMin"), [INT64]),
    **dict.fromkeys(("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Not", "And", "Or", "Xor"), [BOOL]),
    **dict.fromkeys(("IsNaN", "IsInf"), [BOOL]),
    **dict.fromkeys(("MatMulInteger", "ConvInteger"), [INT32]),
    "DynamicQuantizeLinear": [UINT8, FLOAT, UINT8],
    "HannWindow": [FLOAT],
}
# Operators whose results have the type of an input that is not the first.
LIKE_INPUT = {
    "QuantizeLinear": 2,
    "DequantizeLinear": 1,
    "Where": 1,
    "CastLike": 1,
    "OneHot": 2,
    "QLinearConcat": 1,
    "QLinearWhere": 1,
    "QLinearConv": 7,
    "QLinearMatMul": 7,
    "MatMulIntegerToFloat": 2,
    "GatherBlockQuantized": 2,
}
OTHER_OUTPUTS = {"TopK": INT64, "MaxPool": INT64, "Dropout": BOOL, "Unique": INT64}
# Operators that give what they are given.
NOTHING = ("Identity", "Dropout")
RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli")


class Scope:
    """A graph or function, with the values that its operators see."""

    def __init__(self, graph, outer=None, owner=None, place=None, path=()):
        self.graph, self.outer, self.owner, self.place, self.path = graph, outer, owner, place, list(path)
        self.types, self.keys = {}, {}

    def look_up(self, table, name):
        """The entry of a value in `types` or `keys`, here or further out."""
        scope = self
        while scope is not None:
            found = getattr(scope, table)
            if name in found:
                return found[name]
            scope = scope.outer
        return None

    def type_of(self, name):
        """The element type of a value, 0 where it is unknown."""
        return self.look_up("types", name) or 0

    def key_of(self, name):
        """What equal values have in common, or None."""
        return self.look_up("keys", name)


def describe(node, name):
    """An operator by its type and name."""
    return f"{node.op_type} '{name}'" if name else f"{node.op_type} (unnamed)"


def bodies(node):
    """The attributes of an operator that hold graphs, with these."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.name, attribute.g
        for number, graph in enumerate(attribute.graphs):
            yield f"{attribute.name}[{number}]", graph


def scopes_of(model, name_of=lambda node: node.name):
    """The main graph, the bodies in it in the order of their operators, then the functions likewise."""
    found = []

    def add(graph, outer, owner, place, path):
        scope = Scope(graph, outer, owner, place, path)
        found.append(scope)
        for node in graph.node:
            for attribute, body in bodies(node):
                add(body, scope, node, attribute, [*path, f"{describe(node, name_of(node))}.{attribute}"])

    add(model.graph, None, None, None, [])
    for function in model.functions:
        add(function, None, None, None, [f"function '{function.name}'"])
    calls = {}
    for scope in found:
        follow(scope, calls)
    return found


def follow(scope, calls):
    """Notes type and key of every value of a scope whose outer ones are done.

    `calls` are the types that operators met so far are given: a function's inputs have those of its first call.
    """
    graph = scope.graph
    given = calls.get((getattr(graph, "domain", ""), graph.name), [])
    for tensor in getattr(graph, "initializer", []):
        scope.types[tensor.name] = tensor.data_type
        scope.keys[tensor.name] = tensor_key(tensor)
    for place, value in enumerate(graph.input):
        name = value if isinstance(value, str) else value.name
        scope.keys.setdefault(name, ("input", id(scope), name))
        if isinstance(value, str):
            scope.types[name] = given[place] if place < len(given) else 0
        else:
            scope.types.setdefault(name, value.type.tensor_type.elem_type)
    for value in [*getattr(graph, "value_info", []), *graph.output]:
        if not isinstance(value, str) and value.type.tensor_type.elem_type:
            scope.types.setdefault(value.name, value.type.tensor_type.elem_type)
    for node in graph.node:
        inputs = tuple(scope.key_of(name) if name else None for name in node.input)
        calls.setdefault((node.domain, node.op_type), [scope.type_of(name) for name in node.input])
        for index, name in enumerate(node.output):
            if name:
                scope.keys[name] = output_key(node, inputs, index) or ("result", id(scope), name)
                found = output_type(node, scope, index)
                if found:
                    scope.types.setdefault(name, found)


def tensor_key(tensor):
    """Equal for tensors of equal type, shape and bytes."""
    unnamed = TensorProto()
    unnamed.CopyFrom(tensor)
    unnamed.ClearField("name")
    unnamed.ClearField("doc_string")
    return "tensor", hashlib.sha256(unnamed.SerializeToString(deterministic=True)).hexdigest()


def output_key(node, inputs, index):
    """Equal for results of equal operators of equal inputs; None for what has no equal."""
    if node.op_type in NOTHING and index == 0:
        return inputs[0]
    if node.op_type == "Constant" and node.attribute[0].type == AttributeProto.TENSOR:
        return tensor_key(node.attribute[0].t)
    if node.op_type in RANDOM or any(True for _ in bodies(node)):
        return None
    attributes = sorted(attribute.SerializeToString(deterministic=True) for attribute in node.attribute)
    parts = repr((node.domain, node.op_type, attributes, inputs, index)).encode()
    return "output", hashlib.sha256(parts).hexdigest()


def output_type(node, scope, index):
    """The element type of a result, 0 where it is unknown."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    read = [scope.type_of(name) if name else 0 for name in node.input]
    kind = node.op_type
    if index > 0 and kind in OTHER_OUTPUTS:
        return OTHER_OUTPUTS[kind]
    for name in ("to", "output_dtype", "dtype"):
        if name in attributes and attributes[name].i:
            return attributes[name].i
    if kind == "Constant":
        return constant_type(node.attribute[0])
    if kind == "ConstantOfShape":
        return attributes["value"].t.data_type if "value" in attributes else FLOAT
    if kind in GIVES:
        return GIVES[kind][min(index, len(GIVES[kind]) - 1)]
    if kind == "QGemm":
        return read[8] if len(read) > 8 and read[8] else FLOAT
    if kind in ("If", "Loop", "Scan"):
        given = next(body for _, body in bodies(node)).output
        place = index + (kind == "Loop")
        return given[place].type.tensor_type.elem_type if place < len(given) else 0
    place = LIKE_INPUT.get(kind, 0)
    if place < len(read) and read[place]:
        return read[place]
    if kind == "QuantizeLinear":
        return UINT8
    return next((found for found in read if found in FLOATS), read[0] if read else FLOAT)


def constant_type(attribute):
    """The element type of a Constant, by the attribute that holds its value."""
    if attribute.type == AttributeProto.TENSOR:
        return attribute.t.data_type
    if attribute.type in (AttributeProto.FLOAT, AttributeProto.FLOATS):
        return FLOAT
    if attribute.type in (AttributeProto.INT, AttributeProto.INTS):
        return INT64
    return TensorProto.STRING
