"""What onnxruntime makes of every operator of a model, read from the graph that it optimizes the model into.

    python optimized.py MODEL.onnx [OUT.json]

Prints, or writes, JSON: {"version": 1, "runtime": ..., "operators": [...]}, an entry for each operator of the model in
the order of the file: the main graph, the bodies nested in it, functions. An entry has

- `name`, `op_type`, and `path`: the bodies that the operator is in, outermost first, as in "If 'gate'.then_branch";
- `runs_as`: the type of the operator of the optimized graph that gives what this one gave, or that it was fused into;
  "" where nothing is left of it;
- `verdict`: "integer", "float", "conversion", "other", or "unknown" where the optimized graph does not tell.

The rules for that, which are all there are:

1. A QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear, and a Cast between number types, is a *conversion*. It runs
   as the conversion that is left of it, also if the optimizer moved it; as "" where it went into a kernel, was merged
   with its counterpart, or was computed once at load.
2. What gives no numbers that could be integers is *other*: Constant, Shape, Size, control flow, Identity and Dropout,
   operators that neither read nor give floats or quantized integers; and whatever is computed once at load, is removed
   because it changes nothing, or is in a branch that is never taken (`runs_as` "").
3. Anything else takes the verdict of what it runs as: *integer* if that is a kernel for integers, or an operator whose
   data are quantized integers; *float* if they are floats; *conversion* if it went into a QuantizeLinear, as a Relu does.

The optimizer runs at ORT_ENABLE_EXTENDED, on the CPU provider: all that decides between integers and floats is done
there. ORT_ENABLE_ALL adds, and no verdict changes by it: a Conv, an Add and a Relu behind it become one FusedConv; float
convolutions with constant weights and pools become those of com.microsoft.nchwc, between ReorderInput and ReorderOutput;
QLinearConv works on channels last, between Transposes. The last two depend on the processor.

Works with onnxruntime 1.17 and newer. Operators are traced by their names: a copy of the model in memory gets the names
"@0@", "@1@", ..., which onnxruntime keeps, also inside the names that it makes up.
"""

import json
import re
import sys
import tempfile
from pathlib import Path

import onnx
import onnxruntime

from kinds import CONVERSIONS, MOVERS, NO_NUMBERS, is_computing, is_conversion, number, numbers, rename, touches
from values import FLOATS, QUANTIZED, scopes_of

INTEGER_KERNELS = {
    "ConvInteger",
    "DynamicQuantizeLSTM",
    "DynamicQuantizeMatMul",
    "GatherBlockQuantized",
    "MatMulInteger",
    "MatMulInteger16",
    "MatMulIntegerToFloat",
    "MatMulNBits",
    "QAttention",
    "QEmbedLayerNormalization",
    "QGemm",
    "QMoE",
    "QOrderedMatMul",
}
# Kernels that take movers in: what stands before one of these and is gone became part of it.
TAKES_MOVERS = re.compile(r"Attention|LayerNormalization|RotaryEmbedding|GroupNorm")
TAKES_TRANSPOSES = re.compile(r"Attention|FusedMatMul|Gemm|MatMulNBits")


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
    optimized = optimize(model)
    operators = Tracing(model, optimized, names).entries()
    return {"version": 1, "runtime": f"onnxruntime {onnxruntime.__version__}", "operators": operators}


def optimize(model):
    """The graph that onnxruntime makes of a model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(written)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(written, load_external_data=False)


class Tracing:
    """A model and its optimized graph, side by side."""

    def __init__(self, model, optimized, names):
        self.names = names
        self.local = {function.domain for function in model.functions}
        self.scopes = scopes_of(model, name_of=lambda node: names[number(node)])
        self.nodes = [(scope, node) for scope in self.scopes for node in scope.graph.node]
        self.optimized_scopes = scopes_of(optimized)
        self.index_model()
        self.index_optimized()

    def index_model(self):
        """Who reads and who makes each value, by scope and name of where it is defined."""
        self.readers, self.makers = {}, {}
        for scope, node in self.nodes:
            for name in node.input:
                if name:
                    self.readers.setdefault(home(scope, name), []).append((scope, node))
            for name in node.output:
                self.makers[home(scope, name)] = (scope, node)

    def index_optimized(self):
        """The operators of the optimized graph by the names in theirs, and by the values they make and read."""
        originals = {(scope.owner and number(scope.owner), scope.place): scope for scope in self.scopes[::-1]}
        self.named, self.mentioned, self.makes, self.reads, self.made_by = {}, {}, {}, {}, {}
        self.computed, self.inlined = set(), set()
        for scope in self.optimized_scopes:
            owner = numbers(scope.owner.name)[:1] if scope.owner else [None]
            original = originals.get((owner[0] if owner else -1, scope.place)) or self.scopes[0]
            for tensor in scope.graph.initializer:
                self.computed.add(self.key_in(original, tensor.name))
            for node in scope.graph.node:
                found = numbers(node.name)
                if found and node.name == f"@{found[0]}@":
                    self.named.setdefault(found[0], []).append((scope, node))
                for mentioned in found:
                    self.mentioned.setdefault(mentioned, []).append((scope, node))
                for name in node.output:
                    self.made_by[id(scope), name] = (scope, node)
                    if self.key_in(original, name) is not None:
                        self.makes.setdefault(self.key_in(original, name), (scope, node))
                for name in node.input:
                    self.reads.setdefault((id(scope), name), []).append((scope, node))
                    if self.key_in(original, name) is not None:
                        self.reads.setdefault(self.key_in(original, name), []).append((scope, node))

    def key_in(self, original, name):
        """The key of the model's value that one of the optimized graph has its name from, or None.

        The branch of an If that is always taken is put where the If was, its values with a prefix, its operators
        without their names.
        """
        key, bare = original.key_of(name), re.sub(r"^(_if_(then|else)_branch_)+|_token_\d+$", "", name)
        if key is None and name.startswith("_if_"):
            for scope in self.scopes:
                if scope.owner is not None and scope.place in name and bare in scope.keys:
                    self.inlined.add(id(scope))
                    return scope.keys[bare]
        return key

    def entries(self):
        """An entry for each operator of the model."""
        return [self.entry(scope, node) for scope, node in self.nodes]

    def entry(self, scope, node):
        """What one operator runs as."""
        runs_as, verdict = self.judge(scope, node)
        name = self.names[number(node)]
        return {"name": name, "op_type": node.op_type, "path": scope.path, "runs_as": runs_as, "verdict": verdict}

    def judge(self, scope, node):
        """`runs_as` and verdict of one operator."""
        if is_conversion(scope, node):
            return self.conversion_left(scope, node), "conversion"
        stands = self.stands_for(scope, node)
        if stands == "unknown":
            return "", "unknown"
        if node.op_type in NO_NUMBERS or stands is None or node.domain in self.local:
            return stands[1].op_type if stands else "", "other"
        if not touches(scope, node, FLOATS | QUANTIZED):
            return stands[1].op_type, "other"
        return stands[1].op_type, verdict_of(*stands)

    def conversion_left(self, scope, node):
        """The type of the conversion that is left of one."""
        if self.named.get(number(node)):
            return self.named[number(node)][0][1].op_type
        key = scope.key_of(node.output[0])
        if key in self.computed:
            return ""
        made = self.makes.get(key)
        if made and (made[1].op_type in CONVERSIONS or made[1].op_type == "Cast" == node.op_type):
            return made[1].op_type
        for found in self.mentioned.get(number(node), []):
            if found[1].op_type == node.op_type:
                return node.op_type
        moved = self.moved_up(made, node) or self.moved_down(scope, node)
        return node.op_type if moved else ""

    def moved_up(self, made, node):
        """Whether a made-up conversion stands before the movers that now give this one's result."""
        while made and made[1].op_type in MOVERS and made[1].input:
            made = self.made_by.get((id(made[0]), made[1].input[0]))
            if made and made[1].op_type == node.op_type and not numbers(made[1].name):
                return True
        return False

    def moved_down(self, scope, node):
        """Whether a made-up conversion stands behind the movers that now read what this one read."""
        own, waiting = set(), self.forward(scope, node)
        while waiting:
            found = waiting.pop()
            if number(found[1]) not in own:
                own.add(number(found[1]))
                waiting.extend(self.forward(*found) if lets_pass(found[1]) else [])
        waiting, seen = list(self.reads.get(scope.key_of(node.input[0]), [])), set()
        while waiting:
            where, reader = waiting.pop()
            place = id(where), reader.output[0]
            if place in seen or (numbers(reader.name) and not own.intersection(numbers(reader.name))):
                continue
            seen.add(place)
            if reader.op_type == node.op_type and not numbers(reader.name):
                return True
            if lets_pass(reader):
                waiting.extend(self.reads.get(place, []))
        return False

    def stands_for(self, scope, node):
        """The operator of the optimized graph that stands for one of the model; None where nothing does."""
        own = number(node)
        if self.named.get(own):
            return self.named[own][0]
        if node.op_type in NO_NUMBERS or node.domain in self.local or self.is_gone(scope, node):
            return None
        made = self.mentioned_or_made(scope, node)
        if made:
            return made if takes_in(*made, node) else None
        return self.fused_into(scope, node) if touches(scope, node, FLOATS | QUANTIZED) else None

    def is_gone(self, scope, node):
        """Whether an operator is not run: computed at load, never read, or in a branch that is not taken."""
        if any(key in self.computed for key in self.keys(scope, node)):
            return True
        while scope.owner is not None:
            if not self.named.get(number(scope.owner)) and id(scope) not in self.inlined:
                return True
            scope = scope.outer
        return False

    def behind_made_up(self, made, node):
        """The operator that computes what a chain of made-up movers and conversions gives."""
        if node.op_type in MOVERS:
            return made
        while made and made[1].op_type != node.op_type and not numbers(made[1].name) and not is_computing(made[1]):
            made = self.made_by.get((id(made[0]), made[1].input[0]))
        return made

    def fused_into(self, scope, node):
        """The kernel that an operator that is gone went into; None if it did nothing, or "unknown"."""
        behind, before = (self.reached(scope, node, step) for step in (self.forward, self.backward))
        if behind == []:
            # Nothing reads it any more: it went with what was computed at load.
            return None
        if node.op_type in MOVERS:
            return self.moved(node, behind) or only_kernel([found for found in behind or [] if takes_in(*found, node)])
        if node.op_type in ("Relu", "Clip"):
            # They go into the integer kernel before, or else into the QuantizeLinear behind, which may be merged with
            # one before.
            into = {"integer": [], "conversion": []}
            for found in before or []:
                into.setdefault(verdict_of(*found), []).append(found)
            return only_kernel(into["integer"]) or only_kernel(behind) or only_kernel(into["conversion"]) or "unknown"
        if self.is_bypassed(scope, node):
            return None
        for found in (behind, before):
            kernel = only_kernel([found for found in found or [] if is_computing(found[1])])
            if kernel:
                return kernel
        return "unknown"

    def moved(self, node, behind):
        """The made-up operator of its type that one was replaced with, before those that read its result."""
        for where, reader in behind or []:
            for name in reader.input:
                made = self.made_by.get((id(where), name))
                if made and made[1].op_type == node.op_type and not numbers(made[1].name):
                    return made
        return None

    def reached(self, scope, node, step):
        """The operators of the optimized graph that the ways from an operator lead to first; None if one gets lost."""
        kernels, waiting, seen = {}, [(scope, node)], set()
        while waiting:
            where, current = waiting.pop()
            if number(current) in seen:
                continue
            seen.add(number(current))
            for found in step(where, current):
                stands = self.found(*found)
                if stands is None and step == self.forward and found[1].op_type == "QuantizeLinear":
                    stands = self.quantized_by(*found)
                    if stands is None:
                        return None
                if stands is None:
                    waiting.append(found)
                elif stands != "gone":
                    kernels[id(stands[0]), stands[1].name, stands[1].output[0]] = stands
        return list(kernels.values())

    def quantized_by(self, scope, node):
        """What makes the integers that a QuantizeLinear made, if its DequantizeLinear is left to tell."""
        for _, reader in self.forward(scope, node):
            for where, left in self.named.get(number(reader), []):
                if left.op_type == "DequantizeLinear":
                    return self.behind_made_up(self.made_by.get((id(where), left.input[0])), node)
        return None

    def keys(self, scope, node):
        """The keys of an operator's results; what a function gives are results of its calls too."""
        found = [scope.key_of(name) for name in node.output if name]
        if scope.owner is None and hasattr(scope.graph, "opset_import"):
            for place, given in enumerate(scope.graph.output):
                if given in node.output:
                    called = scope.graph.domain, scope.graph.name
                    calls = [pair for pair in self.nodes if (pair[1].domain, pair[1].op_type) == called]
                    found += [where.key_of(call.output[place]) for where, call in calls if place < len(call.output)]
        return found

    def is_bypassed(self, scope, node):
        """Whether those who read an operator's result read what it was given now, so that it did nothing."""
        given = scope.key_of(node.input[0]) if node.input else None
        now = {(found[1].name, found[1].op_type) for found in self.reads.get(given, [])}
        readers = {(reader.name, reader.op_type) for _, reader in self.forward(scope, node)}
        return bool(readers & now) and node.op_type != "Pad"

    def forward(self, scope, node):
        """The operators that read one's results."""
        return [reader for name in node.output if name for reader in self.readers.get(home(scope, name), [])]

    def backward(self, scope, node):
        """The operators that make what one reads."""
        made = (self.makers.get(home(scope, name)) for name in node.input if name)
        return [maker for maker in made if maker]

    def found(self, scope, node):
        """What stands for an operator by name or result; "gone" if it is not run; None if that does not tell."""
        own = number(node)
        if self.named.get(own):
            return self.named[own][0]
        if self.is_gone(scope, node):
            return "gone"
        return self.mentioned_or_made(scope, node)

    def mentioned_or_made(self, scope, node):
        """The operator of the optimized graph whose name has one's in it, or that gives its result; or None."""
        for found in self.mentioned.get(number(node), []):
            if is_computing(found[1]) or found[1].op_type == node.op_type:
                return found
        made = next((self.makes[key] for key in self.keys(scope, node) if key in self.makes), None)
        return self.behind_made_up(made, node)


def lets_pass(node):
    """Whether conversions move over an operator."""
    return node.op_type in MOVERS or node.op_type == "MaxPool"


def only_kernel(found):
    """One of some operators of the optimized graph if they are all of one type."""
    return found[0] if found and len({node.op_type for _, node in found}) == 1 else None


def takes_in(_, kernel, node):
    """Whether a kernel has become of an operator that is gone; else it was removed as doing nothing."""
    if node.op_type not in MOVERS or kernel.op_type in MOVERS:
        return True
    return bool((TAKES_TRANSPOSES if node.op_type == "Transpose" else TAKES_MOVERS).search(kernel.op_type))


def home(scope, name):
    """Where a value is defined, and its name."""
    while scope.outer is not None and name not in scope.keys:
        scope = scope.outer
    return id(scope), name


def verdict_of(scope, node):
    """The verdict of an operator of the optimized graph."""
    if node.op_type in CONVERSIONS or node.op_type == "Cast":
        return "conversion"
    if node.op_type.startswith("QLinear") or node.op_type in INTEGER_KERNELS:
        return "integer"
    if touches(scope, node, FLOATS):
        return "float"
    return "integer" if touches(scope, node, QUANTIZED) else "unknown"


if __name__ == "__main__":
    main()
