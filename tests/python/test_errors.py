"""What goes wrong is an exception with attributes, and leaves nothing behind."""

from __future__ import annotations

import os

import numpy
import pytest

import onnx_quant
from onnx_quant import (
    DeniedError,
    EngineError,
    Error,
    FileError,
    ModelError,
    OpsetError,
    OptionError,
    SampleError,
    UnknownOptionError,
)


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "missing.onnx"
    with pytest.raises(FileError, match="missing.onnx: cannot be read: No such file") as raised:
        onnx_quant.quantize(path)
    error = raised.value
    assert (error.code, error.file, error.operator) == ("read", str(path), None)
    assert isinstance(error, (Error, OSError))


def test_bytes_that_are_no_model():
    with pytest.raises(ModelError, match="not an ONNX model") as raised:
        onnx_quant.quantize(b"\xff")
    assert (raised.value.code, raised.value.file) == ("not-a-model", None)


def test_other_things_are_no_models():
    with pytest.raises(TypeError, match="not int"):
        onnx_quant.quantize(3)


def test_an_operator_is_named():
    text = """<ir_version: 10, opset_import: ["": 17, "other": 1]>
    g (float[1,64] x) => (float[1,64] y) <float[64,64] w = ["sha256": "0"]> { [odd] h = other.Odd (x) [fc] y = MatMul (h, w) }"""
    with pytest.raises(ModelError) as raised:
        onnx_quant.parse(text)
    assert raised.value.code == "elided"
    old = """<ir_version: 3, opset_import: ["": 1]>
    g (float[2,3] x) => (float[2,3] y) { [crop] y = Affine <alpha = 1.0, beta = 0.0> (x) }"""
    with pytest.raises(OpsetError) as raised:
        onnx_quant.upgrade(onnx_quant.parse(old), 21)
    assert (raised.value.code, raised.value.operator) == ("upgrade", "Affine 'crop'")


def test_unknown_options_name_near_ones(model):
    with pytest.raises(UnknownOptionError, match="'weight_forms'; spelled like it: 'weight_form'") as raised:
        onnx_quant.quantize(model, weight_forms="qdq")
    assert raised.value.code == "unknown-option" and isinstance(raised.value, (TypeError, OptionError))
    with pytest.raises(TypeError, match="there is no option 'qqq'; the options are weights, granularity"):
        onnx_quant.calibrate(model, [], qqq=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "int3"}, "option 'weights': .*int3"),
        ({"min_elements": "many"}, "option 'min_elements': .*many"),
        ({"exclude": ["re:("]}, "option 'exclude': "),
        ({"deny": "no-such-code"}, "option 'deny': .*no-such-code"),
        ({"target": "toaster"}, "toaster"),
        ({"max_samples": 3}, "'max_samples' makes no sense without samples"),
        ({"calibration": "mse"}, "'calibration' makes no sense without samples or ranges"),
        ({"weights": "float8e4m3fn", "asymmetric": True}, "cannot be asymmetric"),
        ({"exclude": "Gemn"}, "'Gemn' matches no weight.*spelled like it: 'Gemm'"),
        ({"engine": "rten", "onnxruntime": "lib.so"}, "makes no sense"),
    ],
    ids=str,
)
def test_options_that_make_no_sense(model, options, message):
    with pytest.raises(OptionError, match=message):
        onnx_quant.quantize(model, **options)


def test_what_is_denied_names_the_finding(model, tmp_path):
    out = tmp_path / "out.onnx"
    with pytest.raises(DeniedError) as raised:
        onnx_quant.quantize(model, out, deny=["dequantized-every-run"])
    assert (raised.value.code, raised.value.finding) == ("denied", "dequantized-every-run")
    assert os.listdir(tmp_path) == []


def test_samples_that_do_not_fit_say_which(model, arrays):
    good = arrays[0]
    wrong = [good, {"logmel": numpy.zeros((1, 3, 40), "float32")}]
    with pytest.raises(SampleError, match=r"sample 2 \(from list\): input 'logmel' is float\[.*,62,40\]") as raised:
        onnx_quant.quantize(model, samples=wrong)
    assert raised.value.code == "sample" and raised.value.file == str(model)
    with pytest.raises(SampleError, match="'other' is no input of the model"):
        onnx_quant.quantize(model, samples=[{"other": good["logmel"]}])
    with pytest.raises(SampleError, match="input 'logmel' .* is missing"):
        onnx_quant.quantize(model, samples=[{}])
    with pytest.raises(SampleError, match="numpy's type complex64"):
        onnx_quant.quantize(model, samples=[{"logmel": numpy.zeros((1, 62, 40), "complex64")}])
    with pytest.raises(SampleError, match="which is not finite"):
        onnx_quant.quantize(model, samples=[{"logmel": numpy.full((1, 62, 40), numpy.nan, "float32")}])
    with pytest.raises(SampleError, match="a sample is a dict of arrays"):
        onnx_quant.quantize(model, samples=[good["logmel"]])
    with pytest.raises(OptionError, match="no calibration samples"):
        onnx_quant.quantize(model, samples=[])


def test_samples_that_are_none(model, arrays):
    with pytest.raises(TypeError, match="samples are many"):
        onnx_quant.quantize(model, samples=arrays[0])
    with pytest.raises(TypeError, match="int is not"):
        onnx_quant.quantize(model, samples=3)


def test_what_samples_raise_comes_through(model, arrays, tmp_path):
    class Broken(Exception):
        pass

    def samples():
        yield arrays[0]
        raise Broken("disk")

    with pytest.raises(Broken, match="disk"):
        onnx_quant.quantize(model, tmp_path / "out.onnx", samples=samples())
    assert os.listdir(tmp_path) == []


def test_an_engine_that_is_not_there_is_named(model, arrays):
    # A process loads one library only: where an earlier test loaded one, that is what is wrong.
    with pytest.raises(EngineError, match="cannot be loaded|is loaded already") as raised:
        onnx_quant.calibrate(model, arrays, onnxruntime="missing.so")
    assert raised.value.code == "engine"


def test_nothing_is_written_over_what_is_read(model, folder, tmp_path):
    samples = tmp_path / "samples.npz"
    numpy.savez(samples, logmel=numpy.zeros((2, 62, 40), "float32"))
    before = samples.read_bytes()
    with pytest.raises(Error, match="samples"):
        onnx_quant.quantize(model, samples, samples=samples)
    assert samples.read_bytes() == before
