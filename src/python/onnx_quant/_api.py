"""The functions of onnx_quant."""

from __future__ import annotations

import builtins
import json
import os
import sys
from collections.abc import Iterable
from typing import Any, Callable, Optional, Union

from . import _engine, _models, _native, _samples
from ._errors import OptionError
from ._models import Model
from ._native import Ranges
from ._results import Comparison, Explanation, Inspection, Report, Sensitivity, Simplified, Upgraded
from ._samples import Samples

Path = Union[str, "os.PathLike[str]"]
Progress = Union[None, bool, Callable[[int, Optional[int]], object]]


def quantize(
    model: Model,
    out: Optional[Path] = None,
    *,
    samples: Optional[Samples] = None,
    ranges: Union[None, Ranges, Path, Iterable[Union[Ranges, Path]]] = None,
    target: Optional[str] = None,
    engine: str = "auto",
    onnxruntime: Optional[Path] = None,
    progress: Progress = None,
    max_samples: Optional[int] = None,
    overwrite: bool = False,
    threads: Optional[int] = None,
    **options: Any,
) -> Report:
    """Quantizes a model: its weights, and with samples or ranges the values between its layers too.

    Args:
        model: A path, the bytes of a model, or an onnx.ModelProto. With a path, memory holds neither the model nor the
            result.
        out: Where the result is written; it may be the same file. Without it the result is `report.model`: bytes, or an
            onnx.ModelProto where one came in.
        samples: What the model's layers are observed with, so that they compute in integers: a path (what the command
            takes for --samples), an iterable of dicts of arrays by the names of the model's inputs, or an object with
            `get_next()`. Samples are pulled one at a time, in the thread that calls.
        ranges: What was observed before, of `calibrate` or a file; several are merged, and with what is observed of the
            samples.
        target: The runtime that the model is for: "onnxruntime", "onnxruntime:1.22", "openvino", "qnn", "tensorrt",
            "coreml", "generic", or a TOML file of rules.
        engine: What runs the model with the samples: "rten", which is built in, "onnxruntime", or "auto": the built-in
            one, and onnxruntime for a model that this refuses. `report.engine` says which it was, and a finding says
            why, where it was onnxruntime.
        onnxruntime: onnxruntime's library; without it that of the installed package is found, which is not imported.
        progress: Is called with how many samples are done and how many there are (None where that is not known); what it
            raises ends the run. True shows a line on stderr.
        max_samples: Take at most so many samples.
        overwrite: Replace the file `out`.data, where the result has external data, even if it is not `out`'s own.
        threads: Use so many threads; the result is the same with any number.
        **options: The options of the command, with underscores: weights="int4", granularity="block:32",
            activations="dynamic", calibration="minmax", exclude=["Gather", "*/head/*"], weight_form="qdq",
            external_data=True, strict=True, and so on; `option_names()` lists them. What is None does not count.

    Returns:
        What was done, what was not and why.

    Raises:
        Error: One of its subclasses. Nothing is written then, and nothing is left behind.
    """
    # A file may have been meant where an option is misspelt, so options are checked first, by the native part.
    settings = _settings(options, target=target, max_samples=max_samples)
    library = _choose(settings, engine, onnxruntime)
    text, summary, made, ran = _native.quantize(
        _models.source(model),
        _path(out),
        _samples.source(samples),
        _ranges(ranges),
        json.dumps(settings),
        library,
        overwrite,
        threads,
        _progress(progress),
    )
    report = Report(text, summary)
    report.model, report.engine = _models.like(model, made), ran
    return report


def calibrate(
    model: Model,
    samples: Samples,
    *,
    target: Optional[str] = None,
    engine: str = "auto",
    onnxruntime: Optional[Path] = None,
    progress: Progress = None,
    max_samples: Optional[int] = None,
    threads: Optional[int] = None,
    **options: Any,
) -> Ranges:
    """Runs a float model with samples and tells what the values between its layers were.

    The ranges are for `quantize(model, ranges=...)` with the same options; those of several runs, on as many machines,
    are merged. Arguments are as for `quantize`. Where an `engine` of your own choice is not given, runs whose ranges are
    to be merged should all have the same runtimes installed.
    """
    settings = _settings(options, target=target, max_samples=max_samples)
    library = _choose(settings, engine, onnxruntime)
    source = _samples.source(samples)
    if source is None:
        raise TypeError("calibrate needs samples")
    return _native.calibrate(
        _models.source(model), source, json.dumps(settings), library, threads, _progress(progress)
    )


def sensitivity(
    model: Model,
    samples: Samples,
    *,
    target: Optional[str] = None,
    engine: str = "auto",
    onnxruntime: Optional[Path] = None,
    progress: Progress = None,
    max_samples: Optional[int] = None,
    threads: Optional[int] = None,
    **options: Any,
) -> Sensitivity:
    """Ranks the operators of a float model by what quantizing them costs in accuracy.

    Each step tells what is foreseen if its operators and those of all steps before stay float. Arguments and options are
    as for `quantize`; of the samples a fourth is held back to measure with, so eight of them are the least.
    """
    settings = _settings(options, target=target, max_samples=max_samples)
    library = _choose(settings, engine, onnxruntime)
    source = _samples.source(samples)
    if source is None:
        raise TypeError("sensitivity needs samples")
    text, summary, rules = _native.sensitivity(
        _models.source(model), source, json.dumps(settings), library, threads, _progress(progress)
    )
    return Sensitivity(text, summary, rules)


def explain(
    model: Model,
    target: str = "onnxruntime",
    *,
    samples: Optional[Samples] = None,
    engine: str = "auto",
    onnxruntime: Optional[Path] = None,
    progress: Progress = None,
    max_samples: Optional[int] = None,
    threads: Optional[int] = None,
) -> Explanation:
    """Tells what a runtime makes of a model: which operators compute with integers, which do not, and why.

    A quantized model is judged as it is, whoever quantized it; a float one as it would be quantized, with ranges of the
    samples where there are any.
    """
    settings: dict[str, Any] = {}
    library = _choose(settings, engine, onnxruntime)
    return Explanation(
        *_native.explain(
            _models.source(model),
            target,
            _samples.source(samples),
            max_samples,
            library,
            settings.get("engine", "auto"),
            threads,
            _progress(progress),
        )
    )


def compare(
    float: Model,
    quantized: Model,
    samples: Samples,
    *,
    target: str = "onnxruntime",
    engine: str = "auto",
    onnxruntime: Optional[Path] = None,
    min_sqnr: Optional[builtins.float] = None,
    progress: Progress = None,
    max_samples: Optional[int] = None,
    threads: Optional[int] = None,
) -> Comparison:
    """Runs a float model and a quantized one with the same samples, and tells how far the quantized one is off, where,
    and since when.

    Args:
        float: The float model.
        quantized: The model that was made of it, by anybody.
        samples: As for `quantize`; best not those of the calibration.
        target: The runtime by whose rules it is told what stayed float.
        engine: "rten", "onnxruntime", or "auto": onnxruntime where it is installed, which then also runs the quantized
            model with all of its optimizations, as its users do.
        onnxruntime: Its library, if not that of the installed package.
        min_sqnr: The least signal to noise of an output in dB; below it there is a finding "inaccurate".
        progress: As for `quantize`.
        max_samples: Take at most so many samples.
        threads: Use so many threads.
    """
    settings: dict[str, Any] = {}
    library = _choose(settings, engine, onnxruntime)
    if settings.get("engine") == "rten":
        library = None
    source = _samples.source(samples)
    if source is None:
        raise TypeError("compare needs samples")
    return Comparison(
        _native.compare(
            _models.source(float),
            _models.source(quantized),
            source,
            max_samples,
            library,
            target,
            min_sqnr,
            threads,
            _progress(progress),
        )
    )


def inspect(model: Model, target: str = "onnxruntime") -> Inspection:
    """Tells what is in a model: versions, inputs and outputs, operators, weights, what is quantized, what it needs."""
    return Inspection(*_native.inspect(_models.source(model), target))


def simplify(
    model: Model, out: Optional[Path] = None, *, keep_overridable: bool = False, overwrite: bool = False
) -> Simplified:
    """Computes what is constant in a model and removes what does nothing; it computes the same.

    With `keep_overridable`, initializers that are graph inputs too stay. Without `out` the result is `.model`.
    """
    text, summary, made = _native.simplify(_models.source(model), _path(out), keep_overridable, overwrite)
    simplified = Simplified(text, summary)
    simplified.model = _models.like(model, made)
    return simplified


def upgrade(model: Model, opset: int, out: Optional[Path] = None, *, overwrite: bool = False) -> Upgraded:
    """Raises a model's opset; operators that changed on the way are rewritten. Without `out` the result is `.model`."""
    text, summary, made = _native.upgrade(_models.source(model), opset, _path(out), overwrite)
    upgraded = Upgraded(text, summary)
    upgraded.model = _models.like(model, made)
    return upgraded


def to_text(model: Model, elements: Optional[int] = 8) -> str:
    """A model in the ONNX textual syntax. Tensors of more than `elements` elements are a digest; None spells out all."""
    return _native.to_text(_models.source(model), elements)


def print(model: Model, elements: Optional[int] = 8) -> None:
    """Prints a model in the ONNX textual syntax, as `to_text` gives it."""
    builtins.print(to_text(model, elements), end="")


def parse(text: str) -> bytes:
    """The bytes of a model that is written in the ONNX textual syntax, as `to_text` writes it."""
    return _native.parse_text(text)


def option_names() -> list[str]:
    """The names of the options that `quantize` and `calibrate` take; `onnx-quant --help` describes them."""
    return [name for name, _ in _native.option_names()]


def main(arguments: Optional[list[str]] = None) -> int:
    """Runs the command `onnx-quant` with these arguments, or those of the process, and returns its exit status.

    From here on Ctrl-C ends the process, as it does a command: in a program of your own call the functions instead.
    """
    library = _engine.find_onnxruntime()
    if library is not None:
        os.environ["ORT_DYLIB_PATH"] = library
    sys.stdout.flush()
    return _native.run_command(sys.argv[1:] if arguments is None else arguments)


def _settings(options: dict[str, Any], **named: Any) -> dict[str, Any]:
    """The options that were given, as JSON can hold them."""
    given = {name: value for name, value in {**options, **named}.items() if value is not None}
    return {name: list(value) if isinstance(value, (tuple, set, frozenset)) else value for name, value in given.items()}


def _choose(settings: dict[str, Any], engine: str, onnxruntime: Optional[Path]) -> Optional[str]:
    """Puts the engine among the settings, and gives the library of onnxruntime, if there is one."""
    if onnxruntime is not None:
        if engine == "rten":
            raise OptionError("onnxruntime's library makes no sense with engine='rten'")
        engine = "onnxruntime"
    if engine != "auto":
        settings["engine"] = engine
    return _engine.find_onnxruntime() if onnxruntime is None else os.fspath(onnxruntime)


def _path(out: Optional[Path]) -> Optional[str]:
    return None if out is None else os.fspath(out)


def _ranges(ranges: Union[None, Ranges, Path, Iterable[Union[Ranges, Path]]]) -> list[Ranges]:
    if ranges is None:
        return []
    if isinstance(ranges, (Ranges, str, os.PathLike)):
        ranges = [ranges]
    return [one if isinstance(one, Ranges) else Ranges.load(one) for one in ranges]


def _progress(progress: Progress) -> Optional[Callable[[int, Optional[int]], object]]:
    if progress is True:
        return _show
    return progress if callable(progress) else None


def _show(done: int, total: Optional[int]) -> None:
    """A line on stderr."""
    of = "" if total is None else f" of {total}"
    end = "\n" if done == total else ""
    builtins.print(f"\r{done}{of} samples", end=end, file=sys.stderr, flush=True)
