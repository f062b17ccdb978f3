"""Quantizes ONNX models: weights become integers behind DequantizeLinear, and with samples of a model's input the values
between its layers do too, so that runtimes compute in integers.

    import onnx_quant

    report = onnx_quant.quantize("model.onnx", "model.int8.onnx", samples="samples/")
    print(report)

`quantize` takes paths, bytes and onnx.ModelProto, and samples from files, iterators of dicts of arrays, and objects with
`get_next()`. `calibrate` observes alone, and its `Ranges` are merged, saved and loaded; `explain` tells what a runtime
makes of a model, `compare` what quantization cost, `inspect` what is in a model, `sensitivity` which
operators cost most in accuracy; `simplify`, `upgrade`, `to_text`, `parse`
and `print` do what the command of that name does. What goes wrong is an `Error`, with the attributes `file`, `operator`
and `code`.

No other package is needed; numpy is where arrays come in, onnx where a ModelProto does. onnxruntime is found where it is
installed, and runs models that the built-in engine does not.
"""

from ._api import (
    calibrate,
    compare,
    explain,
    inspect,
    main,
    option_names,
    parse,
    print,
    quantize,
    sensitivity,
    simplify,
    to_text,
    upgrade,
)
from ._engine import find_onnxruntime
from ._errors import (
    DeniedError,
    EngineError,
    Error,
    FileError,
    ModelError,
    OpsetError,
    OptionError,
    OutputError,
    SampleError,
    UnknownOptionError,
)
from ._native import Ranges, version
from ._results import Comparison, Explanation, Finding, Inspection, Report, Sensitivity, Simplified, Upgraded
from ._samples import DataReader

__version__ = version()

__all__ = [
    "Comparison",
    "DataReader",
    "DeniedError",
    "EngineError",
    "Error",
    "Explanation",
    "FileError",
    "Finding",
    "Inspection",
    "ModelError",
    "OpsetError",
    "OptionError",
    "OutputError",
    "Ranges",
    "Report",
    "SampleError",
    "Sensitivity",
    "Simplified",
    "UnknownOptionError",
    "Upgraded",
    "calibrate",
    "compare",
    "explain",
    "find_onnxruntime",
    "inspect",
    "main",
    "option_names",
    "parse",
    "print",
    "quantize",
    "sensitivity",
    "simplify",
    "to_text",
    "upgrade",
]
