"""The native part of onnx_quant; use `onnx_quant` instead."""

import os
from collections.abc import Mapping
from typing import Any, Callable, Optional, Union, final

from ._samples import Reader

__all__ = [
    "Comparison",
    "Ranges",
    "calibrate",
    "compare",
    "explain",
    "inspect",
    "option_names",
    "parse_text",
    "quantize",
    "run_command",
    "sensitivity",
    "simplify",
    "to_text",
    "upgrade",
    "version",
]

_Model = Union[str, bytes]
_Samples = Union[str, Reader]
_Progress = Callable[[int, Optional[int]], object]

@final
class Ranges:
    """What was observed of a model's activations: statistics by the name of the value.

    Ranges of several runs are merged, and written to files.
    """

    def __new__(cls, ranges: Optional[Mapping[str, tuple[float, float]]] = None, /) -> Ranges: ...
    @staticmethod
    def load(path: Union[str, os.PathLike[str]]) -> Ranges: ...
    @staticmethod
    def from_bytes(data: bytes) -> Ranges: ...
    def to_bytes(self) -> bytes: ...
    def save(
        self, path: Union[str, os.PathLike[str]], format: str = "json", calibration: str = "auto"
    ) -> None: ...
    def merge(self, later: Ranges) -> Ranges: ...
    def to_dict(self) -> dict[str, tuple[float, float]]: ...
    @property
    def samples(self) -> int: ...
    def __or__(self, later: Ranges, /) -> Ranges: ...
    def __ror__(self, later: Ranges, /) -> Ranges: ...
    def __len__(self) -> int: ...
    def __contains__(self, name: str, /) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __reduce__(self) -> tuple[Callable[[bytes], Ranges], tuple[bytes]]: ...

@final
class Comparison:
    def json(self) -> str: ...
    def html(self, title: str) -> str: ...
    def text(self) -> str: ...

def version() -> str: ...
def option_names() -> list[tuple[str, bool]]: ...
def run_command(arguments: list[str]) -> int: ...
def quantize(
    model: _Model,
    out: Optional[str],
    samples: Optional[_Samples],
    ranges: list[Ranges],
    options: str,
    onnxruntime: Optional[str],
    overwrite: bool,
    threads: Optional[int],
    progress: Optional[_Progress],
) -> tuple[str, str, Optional[bytes], Optional[str]]: ...
def calibrate(
    model: _Model,
    samples: _Samples,
    options: str,
    onnxruntime: Optional[str],
    threads: Optional[int],
    progress: Optional[_Progress],
) -> Ranges: ...
def sensitivity(
    model: _Model,
    samples: _Samples,
    options: str,
    onnxruntime: Optional[str],
    threads: Optional[int],
    progress: Optional[_Progress],
) -> tuple[str, str, str]: ...
def explain(
    model: _Model,
    target: str,
    samples: Optional[_Samples],
    max_samples: Optional[int],
    onnxruntime: Optional[str],
    engine: str,
    threads: Optional[int],
    progress: Optional[_Progress],
) -> tuple[str, str]: ...
def compare(
    float: _Model,
    quantized: _Model,
    samples: _Samples,
    max_samples: Optional[int],
    onnxruntime: Optional[str],
    target: str,
    min_sqnr: Optional[float],
    threads: Optional[int],
    progress: Optional[_Progress],
) -> Comparison: ...
def inspect(model: _Model, target: str) -> tuple[str, str]: ...
def simplify(
    model: _Model, out: Optional[str], keep_overridable: bool, overwrite: bool
) -> tuple[str, str, Optional[bytes]]: ...
def upgrade(
    model: _Model, opset: int, out: Optional[str], overwrite: bool
) -> tuple[str, str, Optional[bytes]]: ...
def to_text(model: _Model, elements: Optional[int]) -> str: ...
def parse_text(text: str) -> bytes: ...
