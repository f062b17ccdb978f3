"""What OpenVINO's CPU plugin makes of every operator of a model, read from the model that it compiles.

    python compiled.py MODEL.onnx [OUT.json]

The same JSON as `optimized.py` writes for onnxruntime, with the same verdicts; `runs_as` is the `layerType` of the
compiled layer whose `originalLayersNames` have the operator. What differs by the nature of OpenVINO:

- A *conversion* runs as the "Subgraph", "FakeQuantize" or "Convert" that it is in, if not as "": such a Subgraph is one
  loop over elements in which other operators may be, too.
- Element-wise operators in a Subgraph compute in *float*, whatever it reads and gives.
- A FullyConnected with packed integer weights is *integer* also where activations are floats, as MatMulNBits is.

Floats are float32 (`INFERENCE_PRECISION_HINT`): processors with bfloat16 or float16 units would use these otherwise.
"""

import json
import re
import sys
from pathlib import Path

import onnx
import openvino

from kinds import CONVERSIONS, MOVERS, NO_NUMBERS, is_conversion, number, numbers, rename, touches
from values import FLOATS, QUANTIZED, scopes_of

NO_LAYERS = {"Input", "Output", "Const", "Parameter", "Result", "Reorder"}
ELEMENTWISE = {"Subgraph", "Eltwise", "FakeQuantize", "Convert"}
INTEGERS = {"u8", "i8", "u4", "i4", "u2", "i2", "u1", "nf4"}
FLOAT_NAMES = {"f32", "f16", "bf16", "f64"}


def main():
    path = Path(sys.argv[1])
    text = json.dumps(explained(path), indent=1)
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(text + "\n")
    else:
        print(text)


def explained(path):
    """The entries of a model file."""
    model = onnx.load(path)
    names = rename(model)
    scopes = scopes_of(model, name_of=lambda node: names[number(node)])
    layers = layers_by_number(scopes, compiled(model))
    operators = []
    for scope in scopes:
        for node in scope.graph.node:
            runs_as, verdict = judge(scope, node, layers.get(number(node), []))
            name = names[number(node)]
            entry = {"name": name, "op_type": node.op_type, "path": scope.path}
            operators.append({**entry, "runs_as": runs_as, "verdict": verdict})
    return {"version": 1, "runtime": f"openvino {openvino.__version__}", "operators": operators}


def compiled(model):
    """The layers of the compiled model: type, precision and the names of what they stand for."""
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    plan = core.compile_model(core.read_model(model.SerializeToString()), "CPU", settings)
    for layer in plan.get_runtime_model().get_ordered_ops():
        information = layer.get_rt_info()
        kind, precision, originals = (
            text_of(information, key) for key in ("layerType", "runtimePrecision", "originalLayersNames")
        )
        if kind not in NO_LAYERS:
            yield kind, precision, originals.split(",")


def text_of(information, key):
    """An entry of a layer's information, "" where there is none."""
    if key not in information:
        return ""
    value = information[key]
    return str(value.astype(str) if hasattr(value, "astype") else value)


def layers_by_number(scopes, layers):
    """The layers of each operator, by its number.

    OpenVINO names what gives an output of the model after the output.
    """
    by_name, by_key = {}, {}
    for scope in scopes:
        for node in scope.graph.node:
            for name in node.output:
                by_key.setdefault(scope.key_of(name), []).append(number(node))
    for scope in scopes[:1]:
        for value in scope.graph.output:
            by_name[value.name] = by_key.get(scope.key_of(value.name), [])
    found = {}
    for kind, precision, originals in layers:
        of = set()
        for original in originals:
            of.update(numbers(original))
            of.update(by_name.get(re.sub(r"[/.].*$|_original$", "", original) if original not in by_name else original, []))
        for own in of:
            found.setdefault(own, []).append((kind, precision))
    return found


def judge(scope, node, layers):
    """`runs_as` and verdict of one operator."""
    if is_conversion(scope, node):
        left = [kind for kind, _ in layers if kind in ELEMENTWISE or kind in CONVERSIONS]
        return (left[0] if left else ""), "conversion"
    kernels = [layer for layer in layers if layer[0] != "Convert"] or layers
    kernels.sort(key=lambda layer: layer[0] in ELEMENTWISE)
    if node.op_type in NO_NUMBERS or not touches(scope, node, FLOATS | QUANTIZED):
        return (kernels[0][0] if kernels and node.op_type not in NO_NUMBERS else ""), "other"
    if not kernels:
        return "", "other" if node.op_type in MOVERS else "unknown"
    kind, precision = kernels[0]
    if kind in ELEMENTWISE or precision in FLOAT_NAMES:
        return kind, "float"
    return kind, "integer" if precision in INTEGERS else "unknown"


if __name__ == "__main__":
    main()
