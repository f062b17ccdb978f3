"""Which operators are meant, by names and types."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterator
from typing import Any, Optional

from onnx_quant.ort_quantization.quant_utils import QuantizationWarning


def structure(model: Any) -> Any:
    """An onnx.ModelProto of what may be a path; its external data stays where it is."""
    import onnx

    return model if isinstance(model, onnx.ModelProto) else onnx.load(str(model), load_external_data=False)


def nodes(graph: Any, bodies_only: bool = False) -> Iterator[Any]:
    """All nodes of a graph and of the bodies in it."""
    for node in graph.node:
        if not bodies_only:
            yield node
        for attribute in node.attribute:
            for body in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from nodes(body)


def excluded(
    model: Any,
    op_types: Optional[Collection[str]],
    to_quantize: Optional[Collection[str]],
    to_exclude: Optional[Collection[str]],
    bodies: bool = True,
) -> list[str]:
    """What the option `exclude` says so that only the operators stay that are meant; empty where all are.

    Raises:
        ValueError: A name is also a type of operators, or an operator that is not meant has no name.
    """
    if not (op_types or to_quantize or to_exclude) and bodies:
        return []
    graph = structure(model).graph
    every = list(nodes(graph))
    names = {node.name for node in every if node.name}
    for argument, given in (("nodes_to_quantize", to_quantize), ("nodes_to_exclude", to_exclude)):
        unknown = sorted(set(given or ()) - names)
        if unknown:
            message = f"{argument} names operators that the model has not: {', '.join(unknown)}"
            warnings.warn(message, QuantizationWarning, stacklevel=5)
    out = {node.op_type for node in every if op_types and node.op_type not in op_types}
    types = {node.op_type for node in every}
    unwanted = [node for node in every if node.name in (to_exclude or ())]
    if to_quantize:
        unwanted += [node for node in every if node.name not in to_quantize]
    if not bodies:
        unwanted += list(nodes(graph, bodies_only=True))
    for node in (node for node in unwanted if node.op_type not in out):
        if not node.name:
            others = [other for other in every if other.op_type == node.op_type and other not in unwanted]
            if others:
                raise ValueError(
                    f"an operator {node.op_type} without a name is not to be quantized, and '{others[0].name}' of the same "
                    "type is: give the operators names"
                )
            out.add(node.op_type)
        elif node.name in types and node.name != node.op_type:
            raise ValueError(f"the operator '{node.name}' is named like a type of operators: give it another name")
        else:
            out.add(node.name)
    return [f"re:^(?:{'|'.join(re.escape(name) for name in sorted(out))})$"] if out else []
