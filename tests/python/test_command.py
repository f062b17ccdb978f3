"""The command that the package installs: arguments, exit statuses, signals."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import onnx_quant

posix = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


def test_exit_statuses(model, command, tmp_path):
    out = tmp_path / "out.onnx"
    assert command("--version").stdout.decode() == f"onnx-quant {onnx_quant.__version__}\n"
    assert command(model, out).returncode == 0 and out.exists()
    failed = command(tmp_path / "missing.onnx", out)
    assert failed.returncode == 1 and b"missing.onnx: cannot be read" in failed.stderr
    usage = command(model)
    assert usage.returncode == 2 and b"where is the result" in usage.stderr
    unknown = command("--wheights", "int4", model, out)
    assert unknown.returncode == 2 and b"--weights" in unknown.stderr


def test_a_model_goes_through_a_pipe(model, command):
    done = command("-", "-", "-q", input=model.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == onnx_quant.quantize(model).model


def test_the_installed_script_is_the_command(model, tmp_path):
    script = shutil.which("onnx-quant", path=str(Path(sys.executable).parent))
    if script is None:
        pytest.skip("the package is not installed")
    done = subprocess.run([script, "inspect", model], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "9 Conv" in done.stdout
    assert subprocess.run([script, "inspect"], capture_output=True, timeout=300).returncode == 2


@posix
def test_ctrl_c_ends_it_as_a_command_and_leaves_nothing(model, folder, tmp_path):
    listed = tmp_path / "samples.txt"
    listed.write_text("".join(f"{path}\n" for path in sorted(folder.glob("*.npz"))) * 5_000)
    ready = tmp_path / "seen"
    arguments = [model, tmp_path / "out.onnx", "--samples", listed, "--save-samples", ready]
    running = subprocess.Popen([sys.executable, "-m", "onnx_quant", *map(str, arguments)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (ready / "1.npz").exists():
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=120)
    assert running.returncode == -signal.SIGINT
    assert sorted(os.listdir(tmp_path)) == ["samples.txt", "seen"]


@posix
def test_nobody_who_reads_ends_it_by_the_signal(model):
    running = subprocess.Popen(
        [sys.executable, "-m", "onnx_quant", "print", "--elements", "all", str(model)], stdout=subprocess.PIPE
    )
    running.stdout.read(10)
    running.stdout.close()
    assert running.wait(120) == -signal.SIGPIPE
