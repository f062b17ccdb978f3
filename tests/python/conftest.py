"""What the tests share: a real model, its samples, and the command of the package under test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy
import pytest

TESTDATA = Path(__file__).parents[2] / "testdata"


@pytest.fixture
def model() -> Path:
    """A keyword spotter of convolutions, whose input is `logmel`."""
    return TESTDATA / "kws_dscnn.onnx"


@pytest.fixture
def folder() -> Path:
    """Its four samples as files."""
    return TESTDATA / "calibration" / "kws_dscnn"


@pytest.fixture
def arrays(folder: Path) -> list[dict[str, numpy.ndarray]]:
    """The same as arrays, in the same order."""
    return [dict(numpy.load(path)) for path in sorted(folder.glob("*.npz"))]


@pytest.fixture
def command():
    """Runs the command, and returns what came of it."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "onnx_quant", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, timeout=300, **options)  # type: ignore[call-overload]

    return run
