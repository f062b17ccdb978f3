"""The types that are stated are those that there are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import onnx_quant

pytest.importorskip("mypy", reason="mypy is not installed")

USES = '''
from pathlib import Path
import numpy as np
import onnx
import onnx_quant

report = onnx_quant.quantize(Path("a.onnx"), samples=[{"x": np.zeros(3)}], weights="int8", exclude=["Gemm"])
count: int = report.bytes["float"]
code: str = report.findings[0].code
ranges: onnx_quant.Ranges = onnx_quant.calibrate(onnx.ModelProto(), "samples") | onnx_quant.Ranges.load("r.json")
onnx_quant.quantize(b"", ranges=[ranges, "r.json"], progress=lambda done, total: None)

class Reader:
    def get_next(self) -> "dict[str, np.ndarray] | None":
        return None

onnx_quant.calibrate("a.onnx", Reader())
onnx_quant.quantize(3)  # type: ignore[arg-type]
'''


def test_sources_and_uses_check(tmp_path: Path) -> None:
    (tmp_path / "uses.py").write_text(USES)
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nstrict = True\ncache_dir = " + str(tmp_path / "cache"))
    check("mypy", "--config-file", str(config), "-p", "onnx_quant", cwd=tmp_path)
    check("mypy", "--config-file", str(config), str(tmp_path / "uses.py"), cwd=tmp_path)


def test_stubs_are_those_of_the_module(tmp_path: Path) -> None:
    check("mypy.stubtest", "onnx_quant", cwd=tmp_path)


def test_types_are_found_by_others() -> None:
    assert (Path(onnx_quant.__file__).parent / "py.typed").exists()


def check(module: str, *arguments: str, cwd: Path) -> None:
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, cwd=cwd, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
