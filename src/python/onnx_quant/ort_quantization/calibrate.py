"""Samples, and what is observed of a model with them."""

from __future__ import annotations

import abc
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Optional, Union

import onnx_quant
from onnx_quant.ort_quantization.quant_utils import QuantizationWarning


class CalibrationMethod(Enum):
    """How a range is made of what was observed."""

    MinMax = 0
    Entropy = 1
    Percentile = 2
    Distribution = 3


class CalibrationDataReader(metaclass=abc.ABCMeta):
    """Gives samples one after the other: a dict of arrays by the names of the model's inputs, and None at the end."""

    @classmethod
    def __subclasshook__(cls, subclass: Any) -> Any:
        return (hasattr(subclass, "get_next") and callable(subclass.get_next)) or NotImplemented

    @abc.abstractmethod
    def get_next(self) -> Optional[dict[str, Any]]:
        """The next sample."""
        raise NotImplementedError

    def __iter__(self) -> CalibrationDataReader:
        return self

    def __next__(self) -> dict[str, Any]:
        sample = self.get_next()
        if sample is None:
            raise StopIteration
        return sample

    def __len__(self) -> int:
        raise NotImplementedError

    def set_range(self, start_index: int, end_index: int) -> None:
        """Has `get_next` give these samples from now on."""
        raise NotImplementedError


def samples_of(reader: Any, stride: Optional[int] = None) -> Iterator[dict[str, Any]]:
    """All samples of a reader; with a stride, those of one range of so many after the other."""
    if stride is None:
        yield from _until_none(reader)
        return
    try:
        count = len(reader)
    except (TypeError, NotImplementedError):
        yield from _until_none(reader)
        return
    for start in range(0, count, stride):
        reader.set_range(start_index=start, end_index=min(start + stride, count))
        yield from _until_none(reader)


def _until_none(reader: Any) -> Iterator[dict[str, Any]]:
    while True:
        sample = reader.get_next()
        if sample is None:
            return
        yield sample


class TensorData:
    """What is known of one tensor: `lowest` and `highest` as arrays, and whatever else was given."""

    _allowed = frozenset(["avg", "std", "lowest", "highest", "hist", "hist_edges", "bins"])
    _floats = frozenset(["avg", "std", "lowest", "highest", "hist_edges"])

    def __init__(self, **kwargs: Any) -> None:
        self._attrs = list(kwargs)
        for name, value in kwargs.items():
            if name not in self._allowed:
                raise ValueError(f"'{name}' is none of {', '.join(sorted(self._allowed))}")
            if name in self._floats and str(getattr(value, "dtype", None)) not in ("float16", "float32"):
                raise ValueError(f"'{name}' is to be an array of float16 or float32")
            setattr(self, name, value)

    @property
    def range_value(self) -> tuple[Any, Any]:
        """The lowest and the highest value."""
        return self.lowest, self.highest  # type: ignore[attr-defined]

    @property
    def avg_std(self) -> tuple[Any, Any]:
        """Mean and standard deviation."""
        return self.avg, self.std  # type: ignore[attr-defined]

    def to_dict(self) -> dict[str, Any]:
        """It as JSON has it."""
        return {**{name: getattr(self, name) for name in self._attrs}, "CLS": "TensorData"}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> TensorData:
        """What `to_dict` gave, also after it was JSON."""
        import numpy

        def array(name: str, value: Any) -> Any:
            if isinstance(value, dict) and value.get("CLS") == "numpy.array":
                return numpy.array(value["data"], dtype=value["dtype"])
            if name in cls._floats and isinstance(value, (int, float)):
                return numpy.array(value, dtype=numpy.float32)
            return value

        return cls(**{name: array(name, value) for name, value in d.items() if name != "CLS"})


class TensorsData:
    """What is known of tensors, by their names."""

    def __init__(self, calibration_method: CalibrationMethod, data: dict[str, Any]) -> None:
        self.calibration_method = calibration_method
        self.data: dict[str, TensorData] = {}
        for name, value in data.items():
            if not isinstance(name, str):
                raise TypeError(f"tensors have names, not {type(name).__name__}")
            if isinstance(value, tuple) and len(value) in (2, 4):
                keys = ("lowest", "highest", "hist", "bins")
                value = TensorData(**dict(zip(keys, value)))
            if not isinstance(value, TensorData):
                raise TypeError(f"tensor '{name}' has a TensorData, or a lowest and a highest value, not {value!r}")
            self.data[name] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __contains__(self, key: object) -> bool:
        return key in self.data

    def __getitem__(self, key: str) -> TensorData:
        return self.data[key]

    def __setitem__(self, key: str, value: TensorData) -> None:
        if key not in self.data:
            raise RuntimeError(f"there is no tensor '{key}' to change")
        self.data[key] = value

    def keys(self) -> Any:
        """The names."""
        return self.data.keys()

    def values(self) -> Any:
        """What is known."""
        return self.data.values()

    def items(self) -> Any:
        """Names with what is known."""
        return self.data.items()

    def to_dict(self) -> dict[str, Any]:
        """It as JSON has it."""
        return {"CLS": "TensorsData", "data": self.data, "calibration_method": self.calibration_method}

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> TensorsData:
        """What `to_dict` gave, also after it was JSON."""
        method = d["calibration_method"]
        if isinstance(method, dict):
            method = CalibrationMethod[method["value"].split(".")[-1]]
        return cls(method, {name: TensorData.from_dict(value) for name, value in d["data"].items()})


class CalibrationCacheEncoder(json.JSONEncoder):
    """JSON of tensors' data, as onnxruntime's quantizer writes it."""

    def default(self, obj: Any) -> Any:
        if isinstance(obj, (TensorData, TensorsData)):
            return obj.to_dict()
        if isinstance(obj, CalibrationMethod):
            return {"CLS": "CalibrationMethod", "value": str(obj)}
        if hasattr(obj, "tolist"):
            return {"data": obj.tolist(), "dtype": str(obj.dtype), "CLS": "numpy.array"}
        return super().default(obj)


def as_tensors(data: Any) -> dict[str, TensorData]:
    """TensorsData, or a dict of TensorData or pairs, as a dict."""
    if not isinstance(data, TensorsData):
        data = TensorsData(CalibrationMethod.MinMax, {name: _floats(value) for name, value in data.items()})
    return dict(data.items())


def _floats(value: Any) -> Any:
    if not isinstance(value, (tuple, list)):
        return value
    import numpy

    return tuple(numpy.asarray(end, dtype=numpy.float32) for end in value[:2])


def save_tensors_data(tensors_data: TensorsData, path: Union[str, Path], *, smooth_quant: bool = False) -> None:
    """Writes what is known of tensors, for `calibration_cache_path`."""
    text = json.dumps({**tensors_data.to_dict(), "smooth_quant": smooth_quant}, cls=CalibrationCacheEncoder)
    Path(path).write_text(text)


def load_tensors_data(path: Union[str, Path]) -> TensorsData:
    """Reads what `save_tensors_data` wrote."""
    return TensorsData.from_dict(json.loads(Path(path).read_text()))


class CalibraterBase:
    """Observes a model with samples. Only values that are quantized are observed."""

    def __init__(self, model: Any, method: CalibrationMethod, options: dict[str, Any]) -> None:
        self._model = model
        self._method = method
        self._native = native_method(method, options)
        self._ranges: Any = None

    def collect_data(self, data_reader: Any) -> None:
        """Runs the model with all samples of a reader, besides those of former calls."""
        seen = onnx_quant.calibrate(self._model, samples_of(data_reader), calibration=self._native)
        self._ranges = seen if self._ranges is None else self._ranges | seen

    def compute_data(self) -> TensorsData:
        """The ranges."""
        if self._ranges is None:
            raise ValueError("collect_data is to be called first")
        return tensors_data(self._ranges, self._native, self._method)

    def set_execution_providers(self, execution_providers: Sequence[str] = ("CPUExecutionProvider",)) -> None:
        """The CPU, which is the only one."""
        only_cpu(execution_providers)

    def create_inference_session(self) -> None:
        """Nothing: a session is made when samples are there."""

    def augment_graph(self) -> None:
        """Nothing: the model stays as it is."""


def create_calibrator(
    model: Union[str, Path],
    op_types_to_calibrate: Optional[Sequence[str]] = None,
    augmented_model_path: str = "augmented_model.onnx",
    calibrate_method: CalibrationMethod = CalibrationMethod.MinMax,
    use_external_data_format: bool = False,
    providers: Optional[Sequence[str]] = None,
    extra_options: Optional[dict[str, Any]] = None,
) -> CalibraterBase:
    """Makes what observes a model. No augmented model is written, whatever its path."""
    only_cpu(providers)
    if op_types_to_calibrate:
        raise ValueError("values are observed where they are quantized: leave out op_types_to_calibrate")
    names = {"percentile": "CalibPercentile", "moving_average": "CalibMovingAverage",
             "averaging_constant": "CalibMovingAverageConstant"}
    given = {names.get(name, name): value for name, value in (extra_options or {}).items()}
    return CalibraterBase(os.fspath(model) if isinstance(model, os.PathLike) else model, calibrate_method, given)


def only_cpu(providers: Optional[Sequence[Any]]) -> None:
    """Refuses to calibrate elsewhere than on the CPU."""
    names = [provider if isinstance(provider, str) else provider[0] for provider in providers or []]
    if names and "CPUExecutionProvider" not in names:
        raise ValueError(f"calibration runs on the CPU, not on {', '.join(names)}: leave the providers out")


# Onnxruntime's default; what is averaged by another constant has no counterpart.
_PERCENTILE = 99.999
_AVERAGING_CONSTANT = 0.01

# Says among the options for calibration that activations are of float8.
FLOAT8 = "float8"


def native_method(method: CalibrationMethod, options: dict[str, Any]) -> str:
    """The method by this tool's name."""
    if method == CalibrationMethod.MinMax:
        if not options.get("CalibMovingAverage"):
            return "minmax"
        if options.get("CalibMovingAverageConstant", _AVERAGING_CONSTANT) != _AVERAGING_CONSTANT:
            raise ValueError(f"CalibMovingAverageConstant is {_AVERAGING_CONSTANT}, or leave it out")
        return "moving-average"
    if method == CalibrationMethod.Entropy:
        return "entropy"
    if method == CalibrationMethod.Percentile:
        return f"percentile:{options.get('CalibPercentile', _PERCENTILE)}"
    if options.get(FLOAT8):
        warnings.warn(
            "CalibrationMethod.Distribution: scales of float8 reach to the largest value here, so that none saturates",
            QuantizationWarning, stacklevel=4,
        )
        return "minmax"
    raise ValueError(f"{method} is for activations of float8: use CalibrationMethod.Percentile")


def tensors_data(ranges: Any, native: str, method: CalibrationMethod) -> TensorsData:
    """Ranges of this tool, by a method, as those of onnxruntime's quantizer."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "ranges.json")
        ranges.save(path, format="onnxruntime", calibration=native)
        found = load_tensors_data(path)
    return TensorsData(method, found.data)


def entropy(pk: Any, qk: Any, base: Optional[float] = None, axis: int = 0) -> Any:
    """The divergence of Kullback and Leibler of one distribution from another, which need not add up to one."""
    import numpy

    pk = numpy.asarray(pk, dtype=numpy.float32)
    qk = numpy.asarray(qk, dtype=numpy.float32)
    pk, qk = numpy.broadcast_arrays(pk / pk.sum(axis=axis, keepdims=True), qk / qk.sum(axis=axis, keepdims=True))
    with numpy.errstate(divide="ignore", invalid="ignore"):
        terms = numpy.where(pk > 0, pk * numpy.log(pk / qk), numpy.where((pk == 0) & (qk >= 0), 0.0, numpy.inf))
    found = terms.sum(axis=axis)
    return (found / numpy.log(base) if base is not None else found).astype(pk.dtype)
