#!/usr/bin/env python3
"""Writes the made fixtures into `made/`, with what onnx's checker and the runtimes say of each.

    pip install -r ../tests/suite/runtime/requirements.txt
    python make_models.py

The files are the same on every run. `models.json` lists all models, the real ones too: tests read
it. The tables of `README.md` are written from it. Some models are broken on purpose, or need more
than a runtime has: what they fail with is in `models.json`.
"""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent / "tests" / "runtime"))

import run as runtime  # noqa: E402
from make import bodies, containers, external, layers, placement, quantized, weights  # noqa: E402, F401
from make.builder import FIXTURES, Builder  # noqa: E402

MADE = HERE / "made"
LIMIT = 20_000
# How far the reference implementation may be from onnxruntime, relative to the largest output.
TOLERANCE = 1e-4
REAL = {
    "kws_dscnn.onnx": "Keyword spotting: depthwise convolutions, HardSwish, ReLU6 as Clip.",
    "rten_mnist.onnx": "Digits: metadata on every node, a second domain that nothing uses.",
    "mnist_external/mnist.onnx": "The same network with 5 tensors in external data.",
    "ppocr_cls.onnx": "Text direction: opset 11, 161 weights in Constant nodes, 35 BatchNormalization.",
}
# Sizes for inputs that 2 does not do for.
DIMS = {"ppocr_cls.onnx": {"x.2": 48, "x.3": 192}}


def write(fixture):
    """Makes one fixture and writes its files."""
    builder = Builder(fixture.name, fixture.purpose, fixture.opset, fixture.ir)
    made = fixture.make(builder) or builder.model()
    made, beside = made if isinstance(made, tuple) else (made, {})
    data = made if isinstance(made, bytes) else made.SerializeToString(deterministic=True)
    for name, contents in {f"{fixture.name}.onnx": data, **beside}.items():
        if len(contents) > LIMIT:
            raise ValueError(f"{name} has {len(contents)} bytes: fixtures are small")
        path = MADE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)


def verdict(request, judge):
    """None when all is well, else the first line of what the library says."""
    said = runtime.answer(judge, request).get("error")
    # Temporary and absolute paths differ from run to run.
    return said and re.sub(r"\S*/made/", "", said.strip().splitlines()[0])[:160]


def entry(path, purpose):
    """One model of `models.json`."""
    dims = DIMS.get(path, {})
    model, inputs = {"model": str(HERE / path)}, {"inputs": {"dims": dims}}
    judged = {"checker": verdict(model, "check")}
    for engine in ["onnxruntime", "reference"]:
        judged[engine] = verdict({**model, "engine": engine, **inputs}, "run")
    if not judged["onnxruntime"] and not judged["reference"]:
        sides = {side: {**model, "engine": engine} for side, engine in [("left", "onnxruntime_plain"), ("right", "reference")]}
        apart = runtime.compare({**sides, **inputs})
        if max(float(one["relative"]) for one in apart.values()) > TOLERANCE:
            judged["reference"] = "its results are not onnxruntime's"
    return {"path": path, "purpose": purpose, "dims": dims, **judged}


def table(entries, title):
    """A Markdown table of models."""
    yield f"| {title} | what it is for | checker | onnxruntime | reference |"
    yield "|---|---|---|---|---|"
    for one in entries:
        marks = " | ".join("no" if one[judge] else "yes" for judge in ["checker", "onnxruntime", "reference"])
        yield f"| {Path(one['path']).relative_to('made').stem} | {one['purpose']} | {marks} |"


def main():
    """Writes models, `models.json` and the table."""
    for fixture in FIXTURES.values():
        write(fixture)
    made = [entry(f"made/{fixture.name}.onnx", fixture.purpose) for fixture in FIXTURES.values()]
    entries = [entry(path, purpose) for path, purpose in REAL.items()] + made
    (HERE / "models.json").write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")

    readme = HERE / "README.md"
    before, after = "<!-- made by make_models.py -->", "<!-- end -->"
    head, tail = readme.read_text().split(before)[0], readme.read_text().split(after)[1]
    readme.write_text("\n".join([head + before, *table(made, "model"), after]) + tail)
    for one in entries:
        for judge in ["checker", "onnxruntime", "reference"]:
            if one[judge]:
                print(f"{one['path']}: {judge}: {one[judge]}")


if __name__ == "__main__":
    main()
