"""Ranges: merged, saved, loaded, sent from process to process."""

from __future__ import annotations

import json
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from functools import reduce

import pytest

import onnx_quant
from onnx_quant import Ranges


def test_merged_ranges_are_those_of_one_run_bit_by_bit(model, arrays):
    whole = onnx_quant.calibrate(model, arrays, calibration="entropy")
    parts = [onnx_quant.calibrate(model, [sample], calibration="entropy") for sample in arrays]
    merged = reduce(Ranges.merge, parts)
    assert merged.samples == 4 and len(merged) == len(whole)
    one, other = (onnx_quant.quantize(model, ranges=ranges, calibration="entropy") for ranges in (whole, parts))
    assert one.model == other.model
    without_averages = [json.loads(ranges.to_bytes()) for ranges in (whole, merged)]
    for ranges in without_averages:
        for value in ranges["values"].values():
            value.pop("average", None)
    assert without_averages[0] == without_averages[1]


def test_ranges_are_as_good_as_the_samples(model, arrays, tmp_path):
    ranges = onnx_quant.calibrate(model, arrays)
    ranges.save(tmp_path / "ranges.json")
    expected = onnx_quant.quantize(model, samples=arrays).model
    assert onnx_quant.quantize(model, ranges=ranges).model == expected
    assert onnx_quant.quantize(model, ranges=str(tmp_path / "ranges.json")).model == expected
    half = onnx_quant.calibrate(model, arrays[:2])
    assert onnx_quant.quantize(model, ranges=half, samples=arrays[2:]).model == expected


def test_what_the_command_saves_is_the_same(model, arrays, folder, command, tmp_path):
    saved = tmp_path / "ranges.json"
    assert command("calibrate", model, saved, "--samples", folder).returncode == 0
    assert Ranges.load(saved) == onnx_quant.calibrate(model, arrays)
    assert saved.read_bytes() == onnx_quant.calibrate(model, arrays).to_bytes()


def test_ranges_come_back_as_they_were(model, arrays, tmp_path):
    ranges = onnx_quant.calibrate(model, arrays)
    assert pickle.loads(pickle.dumps(ranges)) == ranges == Ranges.from_bytes(ranges.to_bytes())
    assert ranges != Ranges() and ranges | Ranges() == ranges
    name, (low, high) = next(iter(ranges.to_dict().items()))
    assert name in ranges and low <= high
    for form in ("onnxruntime", "tensorrt", "aimet"):
        ranges.save(tmp_path / form, format=form, calibration="minmax")
        assert len(Ranges.load(tmp_path / form)) == len(ranges)


def test_ranges_of_somebody_else(model, arrays):
    observed = onnx_quant.calibrate(model, arrays, calibration="minmax")
    given = Ranges(observed.to_dict())
    options = {"calibration": "minmax"}
    one = onnx_quant.quantize(model, ranges=given, **options).activations
    other = onnx_quant.quantize(model, ranges=observed, **options).activations
    scales = [{value["name"]: value["scale"] for value in found["values"]} for found in (one, other)]
    assert set(scales[0]) >= set(scales[1])
    assert all(scales[0][name] == scale for name, scale in scales[1].items())
    with pytest.raises(onnx_quant.OptionError, match="'a' is none"):
        Ranges({"a": (1.0, -1.0)})


def observe(part: tuple[str, list]) -> Ranges:
    path, samples = part
    return onnx_quant.calibrate(path, samples)


def test_tasks_in_processes_of_their_own(model, arrays):
    parts = [(str(model), arrays[:1]), (str(model), arrays[1:])]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        ranges = list(pool.map(observe, parts))
    assert onnx_quant.quantize(model, ranges=ranges).model == onnx_quant.quantize(model, samples=arrays).model


def test_tasks_of_ray(model, arrays):
    ray = pytest.importorskip("ray", reason="ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:

        @ray.remote
        def task(path: str, samples: list) -> Ranges:
            return onnx_quant.calibrate(path, samples)

        parts = ray.get([task.remote(str(model), arrays[first::2]) for first in range(2)])
    finally:
        ray.shutdown()
    assert [part.samples for part in parts] == [2, 2]
    assert onnx_quant.quantize(model, ranges=parts).model == onnx_quant.quantize(model, samples=arrays).model
