"""Samples as they come in: a path, anything that is iterated over, or a reader with `get_next()`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Callable, Optional, Protocol, Union

from ._errors import SampleError


class DataReader(Protocol):
    """What gives the next sample, and None behind the last: onnxruntime's CalibrationDataReader is one."""

    def get_next(self) -> Optional[Mapping[str, Any]]:
        """The arrays of the next sample by the names of the model's inputs."""


Samples = Union[str, "os.PathLike[str]", Iterable[Mapping[str, Any]], DataReader]

_Array = tuple[str, str, tuple[int, ...], bytes]


class Reader:
    """Gives samples to the native part, one when it is asked for one."""

    def __init__(self, samples: Any) -> None:
        self.origin = f"from {type(samples).__name__}"
        self.total: Optional[int] = None
        self._next: Callable[[], Any]
        get_next = getattr(samples, "get_next", None)
        if callable(get_next):
            self._next = get_next
        elif isinstance(samples, Mapping):
            raise TypeError("samples are many: give a list, even of one dict of arrays")
        elif hasattr(samples, "__iter__") or hasattr(samples, "__getitem__"):
            iterator = iter(samples)
            self._next = lambda: next(iterator, None)
        else:
            kind = type(samples).__name__
            raise TypeError(f"samples are a path, an iterable of dicts of arrays, or have get_next(); {kind} is not")
        try:
            self.total = len(samples)
        except TypeError:
            pass

    def pull(self) -> Optional[list[_Array]]:
        """The next sample's arrays."""
        sample = self._next()
        if sample is None:
            return None
        if not isinstance(sample, Mapping):
            raise SampleError(
                f"a sample is a dict of arrays by the names of the model's inputs, not {type(sample).__name__}"
            )
        return [_array(name, value) for name, value in sample.items()]


def source(samples: Optional[Samples]) -> Union[None, str, Reader]:
    """Samples as the native part takes them."""
    if samples is None:
        return None
    if isinstance(samples, (str, os.PathLike)):
        return os.fspath(samples)
    return Reader(samples)


def _array(name: object, value: Any) -> _Array:
    try:
        import numpy
    except ImportError as error:
        raise SampleError("samples of arrays need numpy: pip install numpy, or give a path") from error
    if not isinstance(name, str):
        raise SampleError(f"an input's name is a str, not {type(name).__name__}")
    if not isinstance(value, numpy.ndarray) and callable(getattr(value, "detach", None)):
        value = value.detach().cpu()
    if not hasattr(value, "__array__") and callable(getattr(value, "numpy", None)):
        value = value.numpy()
    array = numpy.asarray(value)
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return name, array.dtype.name, array.shape, array.tobytes()
