"""Names by which operators are traced through a runtime, and what kinds of operators there are."""

import re

from values import FLOATS, NOTHING, QUANTIZED, scopes_of

CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")
NO_NUMBERS = {"Constant", "ConstantOfShape", "Shape", "Size", "If", "Loop", "Scan", "EyeLike", *NOTHING}
# What only moves or views data; the optimizer adds, moves and removes such operators at will.
MOVERS = {
    *("Cast", "Concat", "Expand", "Flatten", "Gather", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose"),
    *("Unsqueeze", *NOTHING),
}


def rename(model):
    """Gives every operator a name that says where it is in the list; returns the names they had."""
    names = []
    for scope in scopes_of(model):
        for node in scope.graph.node:
            names.append(node.name)
            node.name = f"@{len(names) - 1}@"
    return names


def number(node):
    """The number in the name that `rename` gave."""
    return int(node.name.strip("@"))


def numbers(name):
    """The numbers of the model's operators in the name of an optimized one."""
    return [int(found) for found in re.findall(r"@(\d+)@", name)]


def is_conversion(scope, node):
    """Whether an operator only changes the type that numbers are kept in."""
    if node.op_type in CONVERSIONS:
        return True
    if node.op_type != "Cast":
        return False
    given, made = scope.type_of(node.input[0]), scope.type_of(node.output[0])
    return (given in FLOATS | QUANTIZED or is_accumulator(scope, node.input[0])) and made in FLOATS | QUANTIZED


def is_accumulator(scope, name):
    """Whether a value is the int32 result of an integer product."""
    makers = (node for node in scope.graph.node if name in node.output)
    return any(node.op_type in ("MatMulInteger", "ConvInteger") for node in makers)


def is_computing(node):
    """Whether an operator does more than move or convert data."""
    return node.op_type not in MOVERS and node.op_type not in CONVERSIONS


def touches(scope, node, kinds):
    """Whether an operator's data, which are its first input and its results, are of one of these types."""
    return any(scope.type_of(name) in kinds for name in data_of(node))


def data_of(node):
    """The values an operator works on, without scales, indices and the like."""
    first = 1 if node.op_type == "Where" else 0
    return [name for name in [*node.input[first : first + 1], *node.output] if name]
