"""Measures what kernels of onnxruntime take on this machine, and prints it as a table that Costs::from_toml reads.

Layers are measured in chains of equal ones, of which the time of two is taken off; their rates are fitted to all
chains of one kind, none of them below zero, by least squares of the relative error. Operators without weights take
what the table that is given says, which is printed with them: argument 1 is its path.
"""

import sys
import time
import tomllib

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

LANES = 16
NAMES = ["call", "product", "output", "gather", "place", "position", "edge", "weight"]
# What the fit may use of each kind; the other rates say nothing of it.
FEATURES = {
    "convolution": ["call", "product", "output", "place", "position"],
    "narrow-convolution": ["call", "product", "output"],
    "uneven-convolution": ["call", "product", "output", "gather", "place"],
    "grouped-convolution": ["call", "product", "gather", "place", "position"],
    "depthwise": ["call", "product", "output", "place", "edge"],
    "uneven-depthwise": ["call", "product", "output", "place"],
    "product": ["call", "product", "output", "gather", "weight"],
}
random = np.random.default_rng(0)


class Chain:
    """A model from `x` to the last of equal layers."""

    def __init__(self, integers, layer, length):
        self.nodes, self.tensors, self.names, self.integers = [], [], 0, integers
        inputs, outputs, taps, groups, size = layer
        value = self.pair("x") if integers else "x"
        for step in range(length):
            sides = (inputs, outputs) if step % 2 == 0 else (outputs, inputs)
            value = self.layer(value, *sides, taps, groups)
        shape = [1, inputs, size, size] if taps else [size, inputs]
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        made = helper.make_tensor_value_info(value, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "chain", [given], [made], self.tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.feeds = {"x": random.standard_normal(shape).astype(np.float32)}

    def name(self):
        self.names += 1
        return f"v{self.names}"

    def tensor(self, array):
        self.tensors.append(numpy_helper.from_array(array, self.name()))
        return self.tensors[-1].name

    def node(self, op, inputs, **attributes):
        output = self.name()
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def pair(self, value):
        scale, zero = self.tensor(np.float32(0.05)), self.tensor(np.uint8(128))
        return self.node("DequantizeLinear", [self.node("QuantizeLinear", [value, scale, zero]), scale, zero])

    def weight(self, shape, axis):
        if not self.integers:
            return self.tensor((random.standard_normal(shape) * 0.1).astype(np.float32))
        scales, zeros = np.full(shape[axis], 0.002, np.float32), np.zeros(shape[axis], np.int8)
        integers = self.tensor(random.integers(-127, 128, shape).astype(np.int8))
        return self.node("DequantizeLinear", [integers, self.tensor(scales), self.tensor(zeros)], axis=axis)

    def layer(self, value, inputs, outputs, taps, groups):
        if taps:
            weight = self.weight((outputs, inputs // groups, taps, taps), 0)
            value = self.node("Conv", [value, weight], group=groups, pads=[taps // 2] * 4)
        else:
            value = self.node("MatMul", [value, self.weight((inputs, outputs), 1)])
        return self.pair(value) if self.integers else value

    def run(self):
        start = time.perf_counter()
        self.session.run(None, self.feeds)
        return (time.perf_counter() - start) * 1e9


def kind_and_amounts(integers, inputs, outputs, taps, groups, size):
    """The kind of kernel that a layer becomes and what it does, as src/targets/costs.rs has them."""
    into, out, window = inputs // groups, outputs // groups, taps * taps
    positions = size * size if taps else size
    fill = lambda channels: -(-channels // LANES) * LANES
    depthwise = groups > 1 and into == out == 1
    if not taps:
        kind, window = "product", 1
    elif integers:
        fast = into % 4 == 0 and out % 4 == 0 and out >= LANES
        if depthwise:
            kind = "uneven-depthwise" if groups % LANES else "depthwise"
        elif groups > 1:
            kind = "grouped-convolution"
        else:
            kind, out = ("convolution" if fast else "uneven-convolution"), fill(out)
    elif depthwise:
        kind, groups = ("uneven-depthwise", groups) if groups % 4 else ("depthwise", fill(groups))
    elif groups > 1 and (into % LANES or out % LANES):
        kind = "uneven-convolution"
    elif into < LANES:
        kind, out = "narrow-convolution", fill(out)
    elif into % 4 == 0:
        kind, into, out = "convolution", fill(into), fill(out)
    else:
        kind = "uneven-convolution"
    places = positions * window if taps > 1 else 0
    sharing = 1 if depthwise else groups
    return kind, {
        "call": 1,
        "product": positions * window * into * out * groups,
        "output": positions * out * groups,
        "gather": places * into * groups if taps else positions * into,
        "place": places * sharing,
        "position": positions * sharing,
        "edge": positions**0.5 * window**0.5 * out * groups,
        "weight": window * into * out * groups,
    }


def layers():
    for channels in [(16, 16), (32, 32), (64, 64), (128, 128), (24, 144), (8, 8), (12, 12), (58, 58), (4, 24), (2, 12)]:
        for taps, sizes in (1, (14, 28, 56)), (3, (7, 14, 28)):
            yield from ((*channels, taps, 1, size) for size in sizes)
    for channels in 8, 16, 24, 32, 58, 64, 128, 256:
        for taps in 3, 5:
            yield from ((channels, channels, taps, channels, size) for size in (7, 14, 28, 56))
    for channels, groups in (32, 8), (64, 8), (64, 4), (60, 3), (240, 3):
        yield from ((channels, channels, taps, groups, 14) for taps in (1, 3))
    for rows in 1, 16, 128:
        yield from ((*sides, 0, 1, rows) for sides in ((64, 64), (64, 256), (256, 256), (512, 512)))


def measure(layer):
    """Nanoseconds of one layer, as float and as integer."""
    chains = [Chain(integers, layer, length) for integers in (False, True) for length in (2, 8)]
    times = [[] for _ in chains]
    end = time.perf_counter() + 0.4
    while time.perf_counter() < end or len(times[0]) < 7:
        for chain, taken in zip(chains, times):
            taken.append(chain.run())
    # What else runs on the machine only adds.
    quiet = [np.quantile(taken[2:], 0.25) for taken in times]
    return (quiet[1] - quiet[0]) / 6, (quiet[3] - quiet[2]) / 6


def fit(amounts, times, names):
    """Rates, none below zero, with the least squares of the relative error: by coordinate descent."""
    matrix = np.array([[amount[name] for name in names] for amount in amounts]) / np.array(times)[:, None]
    size = np.maximum(matrix.max(0), 1e-300)
    matrix = matrix / size
    square, right, rates = matrix.T @ matrix, matrix.sum(0), np.zeros(len(names))
    for _ in range(5000):
        for index in range(len(names)):
            if square[index, index] > 0:
                step = (right[index] - square[index] @ rates) / square[index, index]
                rates[index] = max(0.0, rates[index] + step)
    return dict(zip(names, rates / size)), matrix @ rates


def line(rates):
    return "{ " + ", ".join(f"{name} = {float(f'{rate:.3g}'):g}" for name, rate in rates.items() if rate > 0) + " }"


def main():
    base = tomllib.load(open(sys.argv[1], "rb"))
    seen = [{}, {}]
    for layer in layers():
        for integers, nanoseconds in enumerate(measure(layer)):
            # Chains go to and fro between two numbers of channels: half of each.
            inputs, outputs, *rest = layer
            kinds = [kind_and_amounts(integers, *sides, *rest) for sides in ((inputs, outputs), (outputs, inputs))]
            if nanoseconds > 0 and kinds[0][0] == kinds[1][0]:
                mean = {name: (kinds[0][1][name] + kinds[1][1][name]) / 2 for name in NAMES}
                seen[integers].setdefault(kinds[0][0], []).append((mean, nanoseconds))
    print("# Nanoseconds on one core, measured by `cargo bench --bench costs`; operators are those of its base.")
    print(f'title = "onnxruntime {onnxruntime.__version__}, this machine"\nmeasured = true\nnear = {base["near"]}')
    for name in "conversion", "reorder", "transpose", "other":
        print(f"{name} = {line(base[name])}")
    for section, found in zip(("float", "integer"), seen):
        print(f"\n[{section}]")
        for kind, rates in base[section].items():
            if kind in found:
                rates, ratios = fit(*zip(*found[kind]), FEATURES[kind])
                print(f"# {len(ratios)} layers, estimated from {ratios.min():.2f} to {ratios.max():.2f} of measured")
            print(f"{kind} = {line(rates)}")
    print("\n[operators]")
    for operator, kernels in base["operators"].items():
        print(f'"{operator}" = {{ ' + ", ".join(f"{name} = {line(rates)}" for name, rates in kernels.items()) + " }")


main()
