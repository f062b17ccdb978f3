"""The other functions: each gives what the command of that name gives."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy
import onnx

import onnx_quant


def test_explain(model, folder, command):
    explanation = onnx_quant.explain(model, samples=folder)
    told = json.loads(command("explain", model, "--samples", folder, "--json", "-").stdout)
    assert explanation.to_dict() == told
    assert explanation.planned_with == "observed" and explanation.totals["integer"] > 0
    quantized = onnx_quant.quantize(model, samples=folder).model
    explanation = onnx_quant.explain(quantized, "onnxruntime:1.22")
    assert (explanation.planned_with, explanation.target) == (None, "onnxruntime")
    assert explanation._repr_html_().count("<tr>") > 10


def test_compare(model, folder, arrays, command, tmp_path):
    out = tmp_path / "out.onnx"
    onnx_quant.quantize(model, out, samples=folder)
    comparison = onnx_quant.compare(model, out, arrays, engine="rten", min_sqnr=1000.0)
    told = command("compare", model, out, "--samples", folder, "--json", "-")
    told = json.loads(told.stdout)
    assert comparison.outputs == told["outputs"] and comparison.samples == 4
    assert [finding.code for finding in comparison.findings][-1] == "inaccurate"
    assert json.loads(comparison.to_json()) == comparison.to_dict()
    assert comparison.to_html("here").lstrip().startswith("<!") and "here" in comparison.to_html("here")


def test_inspect(model, command):
    inspection = onnx_quant.inspect(model)
    assert inspection.to_dict() == json.loads(command("inspect", model, "--json").stdout)
    assert inspection.operators["Conv"] == 9 and "9 Conv" in str(inspection)


def test_simplify(model, command, tmp_path):
    simplified = onnx_quant.simplify(onnx.load(model))
    assert command("simplify", model, tmp_path / "out.onnx").returncode == 0
    assert simplified.model == onnx.load(tmp_path / "out.onnx")
    before, after = simplified.bytes
    assert before >= after and simplified.operators["Conv"] == [9, 9]


def test_upgrade(model, command, tmp_path):
    upgraded = onnx_quant.upgrade(model, 21, tmp_path / "api.onnx")
    assert command("upgrade", "--opset", 21, model, tmp_path / "out.onnx").returncode == 0
    assert (tmp_path / "api.onnx").read_bytes() == (tmp_path / "out.onnx").read_bytes()
    assert (upgraded.from_opset, upgraded.to_opset, upgraded.changed, upgraded.model) == (14, 21, True, None)


def test_text(model, command, capsys):
    text = onnx_quant.to_text(model)
    assert text == command("print", model).stdout.decode()
    onnx_quant.print(model)
    assert capsys.readouterr().out == text
    whole = onnx_quant.parse(onnx_quant.to_text(model, elements=None))
    assert onnx.load_from_string(whole).graph.initializer == onnx.load(model).graph.initializer


def test_help_reads_well():
    shown = subprocess.run(
        [sys.executable, "-c", "help('onnx_quant')"], capture_output=True, text=True, timeout=300
    ).stdout
    for name in onnx_quant.__all__:
        assert getattr(onnx_quant, name).__doc__, name
        assert name in shown
    for name in ("merge", "load", "save", "to_bytes", "from_bytes", "to_dict"):
        assert getattr(onnx_quant.Ranges, name).__doc__, name


def test_every_option_of_the_command_is_there(command):
    shown = command("--help").stdout.decode()
    for name in onnx_quant.option_names():
        assert f"--{name.replace('_', '-')}" in shown
    assert {"weights", "exclude", "weight_form", "strict"} <= set(onnx_quant.option_names())


def test_report_equals_the_commands(model, command, tmp_path):
    report = tmp_path / "report.json"
    assert command(model, tmp_path / "out.onnx", "--report", report).returncode == 0
    assert json.loads(report.read_text()) == onnx_quant.quantize(model).to_dict()
    assert numpy.isfinite([copy["sqnr_db"] for one in onnx_quant.quantize(model).quantized for copy in one["copies"]]).all()
