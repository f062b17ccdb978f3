"""Answers batches of requests about models: a line with a JSON object on stdin, a line with a JSON list on stdout.

    {"kind": "run", "requests": [{"model": "a.onnx", "engine": "onnxruntime", "inputs": {"seed": 1}}]}
    [{"ok": {"inputs": {...}, "outputs": {...}}}]

The list has one entry for every request, in order: `{"ok": answer}` or `{"error": "why not"}`.
Starting Python and importing onnxruntime costs a second, so a process answers batch after batch, until stdin ends.
"""

import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

import onnx
import onnx.parser
import onnx.printer
import onnxruntime

from graphs import nodes
from reference import Reference
from tensors import difference, random_inputs, to_json
from weights import check_weight

onnxruntime.set_default_logger_severity(4)


def session(model, optimized=True, save_as=None):
    """An onnxruntime session: one thread, so that sums are always made in the same order."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
    if save_as:
        options.optimized_model_filepath = str(save_as)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def execute(model, engine, feeds):
    """The outputs of a model by name, from the engine of that name."""
    if engine == "reference":
        evaluator = Reference(model)
        return dict(zip(evaluator.output_names, evaluator.run(None, feeds)))
    if engine not in ("onnxruntime", "onnxruntime_plain"):
        raise ValueError(f"there is no engine {engine!r}")
    runtime = session(model, optimized=engine == "onnxruntime")
    return dict(zip([output.name for output in runtime.get_outputs()], runtime.run(None, feeds)))


def check(request):
    """What onnx's checker says, shape inference included."""
    onnx.checker.check_model(request["model"], full_check=True)


def run(request):
    """Inputs, given or random, and outputs of a model."""
    feeds = random_inputs(request["model"], **request["inputs"])
    outputs = execute(request["model"], request["engine"], feeds)
    return {
        "inputs": {name: to_json(value) for name, value in feeds.items()},
        "outputs": {name: to_json(value) for name, value in outputs.items()},
    }


def compare(request):
    """How far the right side's outputs are from the left side's, on the same inputs."""
    left, right = request["left"], request["right"]
    feeds = random_inputs(left["model"], **request["inputs"])
    expected = execute(left["model"], left["engine"], feeds)
    got = execute(right["model"], right["engine"], feeds)
    if list(expected) != list(got):
        raise ValueError(f"the outputs differ: {list(expected)} and {list(got)}")
    return {name: difference(expected[name], got[name]) for name in expected}


def ranges(request):
    """The ends of each range in a calibration cache, as onnxruntime's quantizer reads it."""
    from onnxruntime.quantization.calibrate import load_tensors_data  # takes its time

    return {name: [float(end) for end in data.range_value] for name, data in load_tensors_data(request["model"]).items()}


def kernels(request):
    """How often each operator occurs in the graph that onnxruntime makes of the model."""
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder, "optimized.onnx")
        session(request["model"], save_as=optimized)
        return Counter(node.op_type for node in nodes(onnx.load(optimized)))


def parse(request):
    """Writes a model that is given in the ONNX textual syntax."""
    onnx.save(onnx.parser.parse_model(request["text"]), request["model"])


def to_text(request):
    """A model in the ONNX textual syntax, by the package's own printer, and the model that its parser makes of that."""
    text = onnx.printer.to_text(onnx.load(request["model"]))
    parsed = Path(request["parsed"])
    parsed.unlink(missing_ok=True)
    try:
        onnx.save(onnx.parser.parse_model(text), parsed)
    except Exception:
        pass
    return text


def versions(request):
    """Every version of every operator of the default domain, with what a model that was written for
    the version before cannot take as it is: nothing, for most."""
    schemas = sorted(onnx.defs.get_all_schemas_with_history(), key=lambda schema: schema.since_version)
    found = {}
    for schema in schemas:
        if schema.domain == "":
            found.setdefault(schema.name, []).append(schema)
    return {
        name: [
            {"version": new.since_version, "breaks": breaks(old, new) if old else None}
            for old, new in zip([None, *versions], versions)
        ]
        for name, versions in found.items()
    }


def breaks(old, new):
    """What a schema takes away from the one before, or None."""
    if new.deprecated:
        return "it is deprecated"
    for name, attribute in old.attributes.items():
        other = new.attributes.get(name)
        if other is None:
            return f"attribute {name} is gone"
        if (attribute.type, attribute.default_value) != (other.type, other.default_value):
            return f"attribute {name} has another type or default"
        if other.required and not attribute.required:
            return f"attribute {name} is required"
    if any(attribute.required for name, attribute in new.attributes.items() if name not in old.attributes):
        return "a new attribute is required"
    optional = onnx.defs.OpSchema.FormalParameterOption.Optional
    for which in ["inputs", "outputs"]:
        before, after = getattr(old, which), getattr(new, which)
        if len(after) < len(before):
            return f"{which} are gone"
        if which == "inputs" and any(one.option != optional for one in after[len(before) :]):
            return "a new input is required"
        for one, other in zip(before, after):
            if not one.types <= other.types:
                return f"{one.name} takes fewer types"
            if one.option == optional and other.option != optional:
                return f"{one.name} is required"
    return None


def corpus(kind):
    """A function of `corpus`, which takes seconds to import."""

    def ask(request):
        import corpus

        return getattr(corpus, kind)(request)

    return ask


def became(request):
    """What became of every operator in the graph that onnxruntime makes of the model."""
    import optimized

    return optimized.explained(Path(request["model"]))["operators"]


KINDS = {
    "became": became,
    "check": check,
    "run": run,
    "compare": compare,
    "kernels": kernels,
    "ranges": ranges,
    "weights": check_weight,
    "parse": parse,
    "to_text": to_text,
    "versions": versions,
    "write_corpus": corpus("write_corpus"),
    "write_engine_corpus": corpus("write_engine_corpus"),
    "run_case": corpus("run_case"),
}


def answer(kind, request):
    """One answer; what a library raises is an answer too."""
    try:
        return {"ok": KINDS[kind](request)}
    except Exception as error:  # every library has exceptions of its own
        return {"error": f"{type(error).__name__}: {error}"}


def main():
    """Reads batches, writes their answers."""
    # Libraries print to stdout at times; what they print goes to stderr, the answers alone to stdout.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        batch = json.loads(line)
        json.dump([answer(batch["kind"], request) for request in batch["requests"]], out, allow_nan=False)
        print(file=out, flush=True)


if __name__ == "__main__":
    main()
