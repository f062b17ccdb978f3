"""The types that scripts name, and the arithmetic of scales and zero points."""

from __future__ import annotations

import json
import os
from enum import Enum
from pathlib import Path
from typing import Any, Optional, Union

ms_domain = "com.microsoft"

# Numbers of ONNX's TensorProto.DataType, so that this imports without onnx.
_FLOAT8E4M3FN = 17
_TENSOR_TYPES = {"QInt8": 3, "QUInt8": 2, "QUInt16": 4, "QInt16": 5, "QUInt4": 21, "QInt4": 22,
                 "QFLOAT8E4M3FN": _FLOAT8E4M3FN}
_NUMPY_TYPES = {2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 21: "uint8", 22: "int8"}
_RANGES = {2: (0, 255), 3: (-128, 127), 4: (0, 65535), 5: (-32768, 32767), 21: (0, 15), 22: (-8, 7)}
_SYMMETRIC_RANGES = {3: (-127, 127), 5: (-32767, 32767)}
_REDUCED_RANGES = {2: (0, 127), 3: (-64, 64), 4: (0, 32767), 5: (-16384, 16384), 21: (0, 7), 22: (-4, 3)}


class QuantizationWarning(UserWarning):
    """What was asked for is done, and there is a better choice; or something may not be as intended."""


class _Named(Enum):
    def __str__(self) -> str:
        return self.name

    @classmethod
    def from_string(cls, name: str) -> Any:
        try:
            return cls[name]
        except KeyError:
            raise ValueError(f"'{name}' is none of {', '.join(cls.__members__)}") from None


class QuantizationMode(_Named):
    """With scales that each run finds, or with fixed ones."""

    IntegerOps = 0
    QLinearOps = 1


class QuantFormat(_Named):
    """Operators of integers, or QuantizeLinear and DequantizeLinear around the model's own operators."""

    QOperator = 0
    QDQ = 1


class QuantType(_Named):
    """What weights or activations are stored as."""

    QInt8 = 0
    QUInt8 = 1
    QFLOAT8E4M3FN = 2
    QInt16 = 3
    QUInt16 = 4
    QInt4 = 5
    QUInt4 = 6

    @property
    def tensor_type(self) -> int:
        """The number of ONNX's type."""
        return _TENSOR_TYPES[self.name]


def as_quant_type(value: Any) -> QuantType:
    """A QuantType, also of the number that ONNX has for the type."""
    if isinstance(value, QuantType):
        return value
    for name, number in _TENSOR_TYPES.items():
        if value == number:
            return QuantType[name]
    raise TypeError(f"a QuantType is needed, not {value!r}")


def get_qmin_qmax_for_qType(qType: int, reduce_range: bool = False, symmetric: bool = False) -> Any:  # noqa: N802, N803
    """The least and the greatest integer of an ONNX type that are used, as arrays of it."""
    import numpy

    if qType == _FLOAT8E4M3FN:
        raise NotImplementedError("float8 has no range of integers")
    ranges = _RANGES
    if reduce_range:
        ranges = _REDUCED_RANGES
    elif symmetric and qType in _SYMMETRIC_RANGES:
        ranges = _SYMMETRIC_RANGES
    if qType not in ranges:
        raise ValueError(f"{qType} is no type of integers that are quantized to")
    low, high = ranges[qType]
    dtype = _NUMPY_TYPES[qType]
    return numpy.array(low, dtype=dtype), numpy.array(high, dtype=dtype)


def compute_scale_zp(
    rmin: Any, rmax: Any, qmin: Any, qmax: Any, symmetric: bool = False, min_real_range: Optional[float] = None
) -> list[Any]:
    """Zero point and scale of a range of real numbers: `real = (integer - zero_point) * scale`, zero being exact.

    The range is widened to hold zero and `min_real_range`; a symmetric one is as wide on both sides of zero.
    """
    import numpy

    if qmin > 0 or qmax < 0:
        raise ValueError(f"zero is not between the integers {qmin} and {qmax}")
    dtype = numpy.asarray(rmax).dtype
    low, high = min(float(rmin), 0.0), max(float(rmax), 0.0)
    if min_real_range is not None:
        high = max(high, low + min_real_range)
    if symmetric:
        high = max(abs(low), abs(high))
        low = -high
    integer = numpy.asarray(qmin).dtype
    scale = (high - low) / (float(qmax) - float(qmin))
    if scale < numpy.finfo(dtype).tiny:
        return [numpy.array(0, dtype=integer), numpy.array(1.0, dtype=dtype)]
    middle = (float(qmin) + float(qmax)) / 2 if symmetric else float(qmin) - low / scale
    return [numpy.array(numpy.round(middle), dtype=integer), numpy.array(scale, dtype=dtype)]


def load_model_with_shape_infer(model_path: Union[str, Path]) -> Any:
    """The onnx.ModelProto of a file. Shapes are not inferred: the tool does that itself where it needs them."""
    import onnx

    return onnx.load(os.fspath(model_path))


def write_calibration_table(calibration_cache: Any, dir: str = ".") -> None:  # noqa: A002
    """Writes ranges as TensorRT's execution provider reads them: `calibration.cache`, and `calibration.json` beside it.

    (The FlatBuffers file of that name's `calibration.flatbuffers`, which some releases read instead, is not written.)
    """
    from onnx_quant.ort_quantization.calibrate import CalibrationCacheEncoder, as_tensors

    tensors = as_tensors(calibration_cache)
    folder = Path(dir)
    text = json.dumps({name: data.to_dict() for name, data in tensors.items()}, cls=CalibrationCacheEncoder)
    (folder / "calibration.json").write_text(text)
    lines = []
    for name in sorted(tensors):
        low, high = tensors[name].range_value
        lines.append(f"{name} {max(abs(float(low)), abs(float(high)))}\n")
    (folder / "calibration.cache").write_text("".join(lines))
