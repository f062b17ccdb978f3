"""The other functions: each gives what the command of that name gives."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy
import onnx
import pytest

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


def test_sensitivity(model, arrays, command, tmp_path):
    numpy.savez(tmp_path / "samples.npz", logmel=numpy.concatenate([one["logmel"] for one in arrays * 2]))
    options = ["--samples", tmp_path / "samples.npz", "--prefer", "size", "--min-sqnr", 33]
    done = command("sensitivity", model, *options, "--json", tmp_path / "told.json", "--save-rules", tmp_path / "r.toml")
    assert done.returncode == 0, done.stderr
    ranking = onnx_quant.sensitivity(model, arrays * 2, prefer="size", min_sqnr=33.0)
    assert ranking.to_dict() == json.loads((tmp_path / "told.json").read_text())
    assert ranking.rules == (tmp_path / "r.toml").read_text() and "[[rule]]" in ranking.rules
    assert str(ranking) == done.stdout.decode()
    assert ranking._repr_html_().count("<tr>") == len(ranking.steps) + 1
    name = ranking.steps[0]["operators"][0]["name"]
    report = onnx_quant.quantize(model, samples=arrays, prefer="size", rule={"match": name, "float": True})
    assert [one for one in report.activations["operators"] if f"'{name}'" in one["operator"]][0]["integer"] is False
    with pytest.raises(TypeError):
        onnx_quant.sensitivity(model, None)


def test_samples_serve_weights_of_few_bits(model, arrays):
    report = onnx_quant.quantize(model, samples=arrays * 2, weights="int4")
    assert "compensated" in [finding.code for finding in report.findings] and report.activations is None
    assert report.model != onnx_quant.quantize(model, weights="int4").model
    with pytest.raises(onnx_quant.OptionError, match="calibration"):
        onnx_quant.quantize(model, samples=arrays, weights="int4", calibration="mse")


@pytest.mark.skipif(onnx_quant.find_onnxruntime() is None, reason="onnxruntime is not installed")
def test_tune(model, arrays):
    report = onnx_quant.quantize(model, samples=arrays * 2, tune=True)
    plans = report.tuned["plans"]
    assert len(plans) == 4 and sum(plan["taken"] for plan in plans) <= 1
    assert "tuned" in [finding.code for finding in report.findings]


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
    # Rules have no place on a line.
    for name in set(onnx_quant.option_names()) - {"rule"}:
        assert f"--{name.replace('_', '-')}" in shown
    assert {"weights", "exclude", "weight_form", "strict"} <= set(onnx_quant.option_names())


def test_report_equals_the_commands(model, command, tmp_path):
    report = tmp_path / "report.json"
    assert command(model, tmp_path / "out.onnx", "--report", report).returncode == 0
    assert json.loads(report.read_text()) == onnx_quant.quantize(model).to_dict()
    assert numpy.isfinite([copy["sqnr_db"] for one in onnx_quant.quantize(model).quantized for copy in one["copies"]]).all()
