"""What scripts do before they quantize."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Optional, Union

import onnx_quant
from onnx_quant.ort_quantization.quant_utils import QuantizationWarning

_PREPROCESSED = "onnx.quant.pre_process"


def quant_pre_process(
    input_model: Optional[Union[str, Path, Any]] = None,
    output_model_path: Optional[Union[str, Path]] = None,
    skip_optimization: bool = False,
    skip_onnx_shape: bool = False,
    skip_symbolic_shape: bool = False,
    auto_merge: bool = False,
    int_max: int = 2**31 - 1,
    guess_output_rank: bool = False,
    verbose: int = 0,
    save_as_external_data: bool = False,
    all_tensors_to_one_file: bool = False,
    external_data_location: Optional[str] = None,
    external_data_size_threshold: int = 1024,
    **deprecated_kwargs: Any,
) -> None:
    """Simplifies a model: what is constant is computed, norms are folded, what does nothing goes.

    Quantizing does the same, so it is never needed; the result is worth having for its own sake. Shapes are found out
    where they are needed, so arguments about shape inference change nothing: `skip_onnx_shape`, `skip_symbolic_shape`,
    `auto_merge`, `int_max`, `guess_output_rank` and `verbose`. With `skip_optimization` the model is copied.
    """
    input_model = deprecated_kwargs.pop("input_model_path", None) or input_model
    if deprecated_kwargs:
        raise TypeError(f"unknown arguments: {', '.join(deprecated_kwargs)}")
    if input_model is None or output_model_path is None:
        raise ValueError("input_model and output_model_path are needed")
    if save_as_external_data and not all_tensors_to_one_file:
        message = "all tensors go to one file beside the model, as with all_tensors_to_one_file=True"
        warnings.warn(message, QuantizationWarning, stacklevel=2)
    import onnx

    model = input_model if isinstance(input_model, onnx.ModelProto) else onnx.load(input_model)
    if not skip_optimization:
        model = onnx_quant.simplify(model).model
    if all(entry.key != _PREPROCESSED for entry in model.metadata_props):
        model.metadata_props.add(key=_PREPROCESSED, value="onnxruntime.quant")
    options: dict[str, Any] = {}
    if save_as_external_data:
        location = external_data_location or f"{Path(output_model_path).name}.data"
        options = {"save_as_external_data": True, "all_tensors_to_one_file": True, "location": location,
                   "size_threshold": external_data_size_threshold}
    onnx.save_model(model, str(output_model_path), **options)
