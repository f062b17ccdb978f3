"""Which engine runs a model, and that the installed onnxruntime is found."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap

import numpy
import pytest

import onnx_quant

TEXT = """<ir_version: 10, opset_import: ["": 17, "com.microsoft": 1]>
g (float[1,4,8,8] x) => (float[1,4,8,8] y) <float[4,4,1,1] w = {W}, float[4,4,1,1] v = {W}> {
  [odd] h = com.microsoft.Inverse (x)
  [first] f = Conv (h, w)
  [relu] r = Relu (f)
  [second] y = Conv (r, v)
}"""

installed = pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="onnxruntime is not installed")


@pytest.fixture
def refused() -> bytes:
    """A model with an operator that the built-in engine has not."""
    weights = ", ".join(f"{number:.4f}" for number in numpy.linspace(-1, 1, 16))
    return onnx_quant.parse(TEXT.replace("{W}", "{" + weights + "}"))


@pytest.fixture
def samples() -> list[dict[str, numpy.ndarray]]:
    random = numpy.random.default_rng(1)
    return [{"x": random.normal(size=(1, 4, 8, 8)).astype("float32")} for _ in range(3)]


@installed
def test_the_installed_library_is_found_without_importing_it():
    script = """
        import sys, onnx_quant
        print(onnx_quant.find_onnxruntime())
        assert "onnxruntime" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "onnxruntime" in done.stdout, done.stderr


@installed
def test_onnxruntime_runs_what_the_built_in_engine_refuses(refused, samples):
    report = onnx_quant.quantize(refused, samples=samples, include="Conv")
    assert report.engine == "onnxruntime"
    found = [finding for finding in report.findings if finding.code == "engine-replaced"]
    assert len(found) == 1 and "Inverse 'odd'" in found[0].message
    asked = onnx_quant.quantize(refused, samples=samples, include="Conv", engine="onnxruntime")
    assert asked.model == report.model
    assert "engine-replaced" not in [finding.code for finding in asked.findings]


def test_the_built_in_engine_refuses_by_name(refused, samples):
    with pytest.raises(onnx_quant.EngineError, match="Inverse") as raised:
        onnx_quant.quantize(refused, samples=samples, engine="rten")
    assert raised.value.operator == "Inverse 'odd'" and raised.value.code == "engine"


@installed
def test_the_library_works_beside_the_imported_package(refused, samples, model):
    import onnxruntime

    session = onnxruntime.InferenceSession(refused, providers=["CPUExecutionProvider"])
    before = session.run(None, samples[0])[0]
    made = onnx_quant.quantize(refused, samples=samples, include="Conv").model
    assert numpy.array_equal(session.run(None, samples[0])[0], before)
    quantized = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"]).run(None, samples[0])[0]
    assert numpy.abs(quantized - before).max() < 0.1 * numpy.abs(before).max()


@installed
def test_comparisons_run_as_users_do(model, folder):
    quantized = onnx_quant.quantize(model, samples=folder).model
    comparison = onnx_quant.compare(model, quantized, folder)
    assert comparison.engine == comparison.optimizing_engine == "onnxruntime"
    assert onnx_quant.compare(model, quantized, folder, engine="rten").engine == "rten"
