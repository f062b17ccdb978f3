"""The interpreter while the library works: other threads run, Ctrl-C is heard, callbacks are called where they should be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

import onnx_quant

posix = pytest.mark.skipif(os.name != "posix", reason="signals and named pipes as POSIX has them")


def test_samples_and_progress_are_called_in_the_calling_thread(model, arrays):
    threads = set()

    def samples():
        for sample in arrays:
            threads.add(threading.get_ident())
            yield sample

    onnx_quant.calibrate(model, samples(), progress=lambda *_: threads.add(threading.get_ident()))
    assert threads == {threading.get_ident()}


@posix
def test_other_threads_run_while_the_library_works(model, tmp_path):
    """The model is a pipe that another thread of this interpreter fills: with the lock held nobody ever would."""
    script = """
        import os, sys, threading, onnx_quant
        model, pipe = sys.argv[1:]
        data = open(model, "rb").read()
        ranges = onnx_quant.Ranges({"a": (0.0, 1.0)}).to_bytes()

        def fill():
            with open(pipe, "wb") as out:
                out.write(ranges)

        threading.Thread(target=fill, daemon=True).start()
        assert "a" in onnx_quant.Ranges.load(pipe)

        # Each waits for the other's progress: neither gets on unless both are at work at the same time.
        barrier = threading.Barrier(2, timeout=60)
        samples = sys.argv[1].replace("kws_dscnn.onnx", "calibration/kws_dscnn")
        meet = lambda done, total: barrier.wait()
        work = lambda: onnx_quant.quantize(model, samples=samples, progress=meet).model
        other = []
        thread = threading.Thread(target=lambda: other.append(work()))
        thread.start()
        mine = work()
        thread.join()
        assert other == [mine]
    """
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = run(script, model, pipe)
    assert done.returncode == 0, done.stderr


@posix
def test_ctrl_c_ends_a_run_over_files(model, folder, tmp_path):
    """The signal comes while no code of Python runs; the run would take long otherwise."""
    listed, out = tmp_path / "samples.txt", tmp_path / "out.onnx"
    listed.write_text("".join(f"{path}\n" for path in sorted(folder.glob("*.npz"))) * 5_000)
    script = """
        import os, signal, sys, threading, onnx_quant
        model, samples, out = sys.argv[1:]
        threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT]).start()
        try:
            onnx_quant.quantize(model, out, samples=samples)
        except KeyboardInterrupt:
            # The interpreter is as it was: the next call works.
            onnx_quant.quantize(model, samples=samples, max_samples=2)
            sys.exit(7)
    """
    done = run(script, model, listed, out)
    assert done.returncode == 7, done.stderr
    assert sorted(os.listdir(tmp_path)) == ["samples.txt"]


@posix
def test_ctrl_c_ends_a_run_while_a_sample_is_made(model, arrays):
    def samples():
        yield arrays[0]
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            yield arrays[0]

    with pytest.raises(KeyboardInterrupt):
        onnx_quant.calibrate(model, samples())


def test_what_progress_raises_ends_the_run(model, arrays, tmp_path):
    class Enough(Exception):
        pass

    def stop(done, total):
        if done == 2:
            raise Enough

    pulled = []
    samples = (pulled.append(number) or arrays[number % 4] for number in range(1000))
    with pytest.raises(Enough):
        onnx_quant.quantize(model, tmp_path / "out.onnx", samples=samples, progress=stop)
    assert len(pulled) <= 3
    assert os.listdir(tmp_path) == []


def test_nothing_is_imported_that_is_not_needed(model, folder):
    script = """
        import sys, onnx_quant
        onnx_quant.quantize(sys.argv[1], samples=sys.argv[2])
        print([name for name in ("numpy", "onnx", "onnxruntime") if name in sys.modules])
    """
    done = run(script, model, folder)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)
