"""`quantize`: what comes in, what goes out, and that it is what the command makes."""

from __future__ import annotations

import os

import numpy
import onnx
import pytest

import onnx_quant


def test_path_and_bytes_and_the_command_give_the_same_file(model, folder, command, tmp_path):
    by_command, by_path = tmp_path / "command.onnx", tmp_path / "path.onnx"
    done = command(model, by_command, "--samples", folder, "--exclude", "Gemm", "--weights", "uint8")
    assert done.returncode == 0, done.stderr
    options = {"samples": folder, "exclude": "Gemm", "weights": "uint8"}
    written = onnx_quant.quantize(model, by_path, **options)
    returned = onnx_quant.quantize(model.read_bytes(), **options)
    assert by_command.read_bytes() == by_path.read_bytes() == returned.model
    assert written.model is None and written.engine == "rten"
    assert written.to_dict() == returned.to_dict()


def test_weights_alone_need_no_samples(model, command, tmp_path):
    by_command = tmp_path / "command.onnx"
    assert command(model, by_command, "--weights", "int4", "--granularity", "block:32").returncode == 0
    report = onnx_quant.quantize(model, weights="int4", granularity="block:32")
    assert report.model == by_command.read_bytes() and report.engine is None


def test_a_model_proto_gives_a_model_proto(model):
    proto = onnx.load(model)
    report = onnx_quant.quantize(proto)
    assert isinstance(report.model, onnx.ModelProto)
    assert report.model.SerializeToString() == onnx_quant.quantize(proto.SerializeToString()).model
    onnx.checker.check_model(report.model)
    assert onnx.load(model) == proto, "what came in stays"


def test_a_file_may_be_replaced_by_its_result(model, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(model.read_bytes())
    onnx_quant.quantize(str(path), path)
    assert path.read_bytes() == onnx_quant.quantize(model).model
    assert os.listdir(tmp_path) == ["model.onnx"]


class Reader:
    """As people write them for onnxruntime."""

    def __init__(self, samples):
        self.samples = iter(samples)

    def get_next(self):
        return next(self.samples, None)


@pytest.mark.parametrize("form", [list, tuple, iter, Reader], ids=lambda form: form.__name__)
def test_samples_are_the_same_in_every_form(form, model, folder, arrays):
    expected = onnx_quant.quantize(model, samples=folder).model
    assert onnx_quant.quantize(model, samples=form(arrays)).model == expected


def test_arrays_of_other_types_and_orders_are_converted_as_files_are(model, arrays):
    expected = onnx_quant.calibrate(model, arrays)
    doubles = [{name: array.astype("float64") for name, array in sample.items()} for sample in arrays]
    swapped = [{name: array.astype(">f4") for name, array in sample.items()} for sample in arrays]
    fortran = [{name: numpy.asfortranarray(array) for name, array in sample.items()} for sample in arrays]
    lists = [{name: array.tolist() for name, array in sample.items()} for sample in arrays]
    for given in (doubles, swapped, fortran, lists):
        assert onnx_quant.calibrate(model, given) == expected


def test_samples_are_pulled_one_at_a_time_and_no_more_than_asked_for(model, arrays):
    events = []

    def samples():
        for number in range(1000):
            events.append(f"pulled {number}")
            yield arrays[number % len(arrays)]

    onnx_quant.quantize(model, samples=samples(), max_samples=3, progress=lambda done, total: events.append((done, total)))
    assert events == ["pulled 0", (1, 3), "pulled 1", (2, 3), "pulled 2", (3, 3)]


def test_progress_tells_of_how_many_where_that_is_known(model, folder, arrays):
    heard = []
    onnx_quant.calibrate(model, folder, progress=lambda *told: heard.append(told))
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]
    heard.clear()
    onnx_quant.calibrate(model, iter(arrays[:2]), progress=lambda *told: heard.append(told))
    assert heard == [(1, None), (2, None)]


def test_any_number_of_threads_gives_the_same(model, folder):
    one = onnx_quant.quantize(model, samples=folder, threads=1)
    assert onnx_quant.quantize(model, samples=folder, threads=5).model == one.model


def test_the_report_is_plain_data_and_shows_itself(model, folder):
    report = onnx_quant.quantize(model, samples=folder, exclude=["Gemm"], prefer="size")
    assert report.to_dict()["activations"] == report.activations
    assert len(report.quantized) == 9 and report.bytes["quantized"] < report.bytes["float"]
    assert [left["operators"] for left in report.left_float] == [["Gemm '/o/Gemm'"]], report.left_float
    findings = {finding.code: finding for finding in report.findings}
    assert findings["no-faster"].severity == "note" and "no faster than float" in findings["no-faster"].message
    # Four samples are too few to hold some back.
    assert findings["not-measured"].severity == "note"
    assert str(report).startswith("9 of 10 layers in integers")
    page = report._repr_html_()
    assert page.count("<tr>") == 1 + 9 + 1 and "/o/Gemm" in page


def test_names_from_models_are_spelled_out_in_notebooks():
    text = '<ir_version: 10, opset_import: ["": 21]> g (float[N,64] x) => (float[N,64] y) { y = Add (x, x) }'
    report = onnx_quant.Report('{"findings": [], "quantized": [], "left_float": []}', "<script>")
    assert "<script>" not in report._repr_html_()
    assert onnx_quant.inspect(onnx_quant.parse(text)).operators == {"Add": 1}


def test_dynamic_activations_need_no_samples():
    weight = onnx.numpy_helper.from_array(numpy.linspace(-1, 1, 64 * 64, dtype="float32").reshape(64, 64), "w")
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", 64]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "g", value[:1], value[1:], [weight])
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    made = onnx_quant.quantize(proto, activations="dynamic").model
    assert {node.op_type for node in made.graph.node} & {"DynamicQuantizeLinear", "MatMulInteger", "DynamicQuantizeMatMul"}
