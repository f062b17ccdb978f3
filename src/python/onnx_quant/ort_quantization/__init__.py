"""The functions of `onnxruntime.quantization`, done by this tool.

Change the import and leave the script as it is:

    from onnx_quant.ort_quantization import CalibrationDataReader, QuantType, quantize_static

or, where the import is not yours to change, call `install()` first: `import onnxruntime.quantization` gives this then.

Names, signatures and defaults are those of onnxruntime 1.32. What an argument asks for is done, or refused with an
exception that says what to ask for instead; a choice that costs accuracy or speed is a `QuantizationWarning`. Which
operators become integers is decided by this tool, by what the runtime has kernels for, so the nodes of the result are not
those that onnxruntime's quantizer would write. The operator format (`QuantFormat.QOperator`) is not written, but for
MatMulNBits.
"""

import importlib
import sys

from onnx_quant.ort_quantization.calibrate import (
    CalibraterBase,
    CalibrationDataReader,
    CalibrationMethod,
    TensorData,
    TensorsData,
    create_calibrator,
    load_tensors_data,
    save_tensors_data,
)
from onnx_quant.ort_quantization.quant_utils import (
    QuantFormat,
    QuantizationMode,
    QuantizationWarning,
    QuantType,
    write_calibration_table,
)
from onnx_quant.ort_quantization.quantize import (
    DynamicQuantConfig,
    StaticQuantConfig,
    get_qdq_config,
    quantize,
    quantize_dynamic,
    quantize_static,
)
from onnx_quant.ort_quantization.shape_inference import quant_pre_process

__all__ = [
    "CalibraterBase",
    "CalibrationDataReader",
    "CalibrationMethod",
    "DynamicQuantConfig",
    "QuantFormat",
    "QuantType",
    "QuantizationMode",
    "QuantizationWarning",
    "StaticQuantConfig",
    "TensorData",
    "TensorsData",
    "create_calibrator",
    "get_qdq_config",
    "install",
    "load_tensors_data",
    "quant_pre_process",
    "quantize",
    "quantize_dynamic",
    "quantize_static",
    "save_tensors_data",
    "write_calibration_table",
]

_SUBMODULES = (
    "calibrate",
    "execution_providers",
    "execution_providers.qnn",
    "matmul_4bits_quantizer",
    "matmul_nbits_quantizer",
    "preprocess",
    "quant_utils",
    "quantize",
    "shape_inference",
    "tensor_quant_overrides",
)


def install() -> None:
    """Puts this in the place of `onnxruntime.quantization`, for all that imports it from here on.

    onnxruntime itself need not be installed; where it is, the rest of it stays what it is.
    """
    here = sys.modules[__name__]
    for name in _SUBMODULES:
        sys.modules[f"onnxruntime.quantization.{name}"] = importlib.import_module(f"{__name__}.{name}")
    # Importing the submodule of this name took the place of the function.
    here.quantize = sys.modules[f"{__name__}.quantize"].quantize  # type: ignore[attr-defined]
    sys.modules["onnxruntime.quantization"] = here
    try:
        onnxruntime = importlib.import_module("onnxruntime")
    except ImportError:
        return
    onnxruntime.quantization = here  # type: ignore[attr-defined]
