"""What OpenVINO's CPU plugin makes of every operator of a model, read from the model that it compiles.

    python compiled.py MODEL.onnx [OUT.json]

The same JSON as `optimized.py` writes for onnxruntime, with the same verdicts; `runs_as` is the `layerType` of the
compiled layer whose `originalLayersNames` have the operator. What differs by the nature of OpenVINO:

- A *conversion* runs as the "Subgraph", "FakeQuantize" or "Convert" that it is in, if not as "": such a Subgraph is one
  loop over elements in which other operators may be, too.
- Element-wise operators in a Subgraph compute in *float*, whatever it reads and gives.
- A kernel is *integer* if the name of its primitive says so (`brgemm_avx512_I8`). A FullyConnected whose weights stay
  packed in 4 or 8 bits beside float activations is therefore *float* here.

Floats are float32 (`INFERENCE_PRECISION_HINT`): processors with bfloat16 or float16 units would use these otherwise.
"""

import json
import re
import sys
from pathlib import Path

import onnx
import openvino

from kinds import MOVERS, NO_NUMBERS, is_conversion, number, numbers, rename, touches
from values import FLOATS, NOTHING, QUANTIZED, scopes_of

NO_LAYERS = {"Input", "Output", "Const", "Parameter", "Result", "Reorder"}
ELEMENTWISE = {"Subgraph", "Eltwise", "FakeQuantize", "Convert"}
INFORMATION = ("layerType", "runtimePrecision", "primitiveType", "originalLayersNames")
INTEGERS = {"I8", "u8", "i8", "u4", "i4", "u2", "i2", "u1", "nf4"}
SIXTEEN_BITS = {onnx.TensorProto.INT16, onnx.TensorProto.UINT16}
MOVING_LAYERS = {
    *("Broadcast", "Concatenation", "Gather", "Reshape", "Split", "StridedSlice", "Tile", "Transpose", "Reorder"),
}
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
    return {
        "version": 1,
        "runtime": f"openvino {openvino.__version__}",
        "operators": Tracing(model, compiled(model), names).entries(),
    }


def compiled(model):
    """The layers of the compiled model: type, what they compute in, and the names of what they stand for."""
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    plan = core.compile_model(core.read_model(model.SerializeToString()), "CPU", settings)
    for layer in plan.get_runtime_model().get_ordered_ops():
        information = layer.get_rt_info()
        kind, precision, primitive, originals = (text_of(information, key) for key in INFORMATION)
        if kind not in NO_LAYERS:
            # A kernel tells its precision by its name; "unknown" is what only moves data.
            computed_in = primitive.rsplit("_", 1)[-1] if primitive and not primitive.startswith("unknown") else precision
            yield kind, computed_in, [*originals.split(","), layer.get_friendly_name()]


def text_of(information, key):
    """An entry of a layer's information, "" where there is none."""
    if key not in information:
        return ""
    value = information[key]
    return str(value.astype(str) if hasattr(value, "astype") else value)


class Tracing:
    """A model and the layers it is compiled into, side by side."""

    def __init__(self, model, layers, names):
        self.names = names
        self.scopes = scopes_of(model, name_of=lambda node: names[number(node)])
        self.nodes = [(scope, node) for scope in self.scopes for node in scope.graph.node]
        self.readers, self.makers = {}, {}
        for scope, node in self.nodes:
            for name in node.output:
                self.makers[id(scope), name] = (scope, node)
            for name in node.input:
                self.readers.setdefault((id(scope), name), []).append((scope, node))
        self.by_number, self.by_output = {}, {}
        outputs = {value.name: self.scopes[0].key_of(value.name) for value in model.graph.output}
        for kind, precision, originals in layers:
            for original in originals:
                for own in numbers(original):
                    exact = original == f"@{own}@"
                    self.by_number.setdefault(own, []).append((not exact, kind, precision))
                # What gives an output of the model is named after the output.
                output = original if original in outputs else re.sub(r"[/.].*$|_original$", "", original)
                if output in outputs:
                    self.by_output.setdefault(outputs[output], []).append((original != output, kind, precision))

    def entries(self):
        """An entry for each operator of the model."""
        found = []
        for scope, node in self.nodes:
            runs_as, verdict = self.judge(scope, node)
            entry = {"name": self.names[number(node)], "op_type": node.op_type, "path": scope.path}
            found.append({**entry, "runs_as": runs_as, "verdict": verdict})
        return found

    def layers(self, scope, node):
        """The layers that an operator is in."""
        given = [layer for name in node.output if name for layer in self.by_output.get(scope.key_of(name), [])]
        return self.by_number.get(number(node), []) + given

    def judge(self, scope, node):
        """`runs_as` and verdict of one operator."""
        if is_conversion(scope, node):
            return self.conversion_left(scope, node), "conversion"
        kernel = self.kernel(scope, node)
        if node.op_type in NO_NUMBERS or not touches(scope, node, FLOATS | QUANTIZED):
            return (kernel[0] if kernel and node.op_type not in NO_NUMBERS else ""), "other"
        if kernel is None:
            kernel = self.near(scope, node)
        if kernel is None:
            return "", "other" if node.op_type in MOVERS else "unknown"
        kind, precision = kernel
        if kind in ELEMENTWISE or precision in FLOAT_NAMES:
            return kind, "float"
        return kind, "integer" if precision in INTEGERS else "unknown"

    def conversion_left(self, scope, node):
        """The type of the layer that converts, "" where none does."""
        if {scope.type_of(name) for name in [node.input[0], node.output[0]]} & SIXTEEN_BITS:
            # Pairs of 16 bits are removed.
            return ""
        left = [kind for _, kind, _ in self.layers(scope, node) if kind in ELEMENTWISE]
        return left[0] if left else ""

    def kernel(self, scope, node):
        """Type and precision of the layer that computes an operator, or None."""
        layers = [layer for layer in self.layers(scope, node) if layer[1] != "Convert" or node.op_type == "Cast"]
        if node.op_type not in MOVERS:
            layers = [layer for layer in layers if layer[1] not in MOVING_LAYERS] or layers
        # The layer that is named after it rather than one made up for its weights; a kernel rather than a loop.
        layers.sort(key=lambda layer: (layer[1] in ELEMENTWISE, layer[0]))
        return layers[0][1:] if layers else None

    def near(self, scope, node):
        """The layer that an operator without one of its own went into."""
        waiting = [(scope, node)]
        if node.op_type in ("Relu", "Clip", "Add"):
            for _ in range(8):
                where, current = waiting[-1]
                maker = self.makers.get((id(where), current.input[0])) if current.input else None
                if maker is None:
                    break
                kernel = None if is_conversion(*maker) else self.kernel(*maker)
                if kernel:
                    return kernel
                waiting.append(maker)
        waiting, seen = [(scope, node)], set()
        while waiting and len(seen) < 50:
            where, current = waiting.pop(0)
            for name in current.output:
                for reader in self.readers.get((id(where), name), []):
                    if number(reader[1]) in seen:
                        continue
                    seen.add(number(reader[1]))
                    # A bias, or a pair that is gone and whose place at an output of the model its operator has taken.
                    takes_over = is_conversion(*reader) or reader[1].op_type in (*NOTHING, "Add") or node.op_type == "Pad"
                    kernel = self.kernel(*reader)
                    if kernel and takes_over and (node.op_type not in MOVERS or kernel[0] in MOVING_LAYERS):
                        return kernel
                    if takes_over:
                        waiting.append(reader)
        return None


if __name__ == "__main__":
    main()
