"""Models for Qualcomm's processors."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any, Optional, Union

import onnx_quant
from onnx_quant.ort_quantization import _selection
from onnx_quant.ort_quantization.calibrate import CalibrationMethod
from onnx_quant.ort_quantization.quant_utils import QuantizationWarning, QuantType
from onnx_quant.ort_quantization.quantize import StaticQuantConfig, is_large, needs_contributed
from onnx_quant.ort_quantization.tensor_quant_overrides import TensorQuantOverridesHelper, check

__all__ = ["get_qnn_qdq_config", "qnn_preprocess_model"]

_SIXTEEN = (QuantType.QInt16, QuantType.QUInt16)
_EIGHT = (QuantType.QInt8, QuantType.QUInt8)
# The scale and zero point that the kernels of these demand, of signed and unsigned integers of 16 bits.
_DEMANDED = {
    "Sigmoid": {QuantType.QUInt16: (1 / 65536, 0, "uint16"), QuantType.QInt16: (1 / 32768, 0, "int16")},
    "Tanh": {QuantType.QUInt16: (1 / 32768, 32768, "uint16"), QuantType.QInt16: (1 / 32768, 0, "int16")},
}


def get_qnn_qdq_config(
    model_input: Union[str, Path, Any],
    calibration_data_reader: Any,
    calibrate_method: CalibrationMethod = CalibrationMethod.MinMax,
    activation_type: QuantType = QuantType.QUInt8,
    weight_type: QuantType = QuantType.QUInt8,
    per_channel: bool = False,
    init_overrides: Optional[dict[str, list[dict[str, Any]]]] = None,
    add_qtype_converts: bool = True,
    activation_symmetric: bool = False,
    weight_symmetric: Optional[bool] = None,
    keep_removable_activations: bool = False,
    stride: Optional[int] = None,
    calibration_providers: Optional[list[str]] = None,
    op_types_to_quantize: Optional[list[str]] = None,
    nodes_to_exclude: Optional[list[str]] = None,
) -> StaticQuantConfig:
    """The configuration that suits the QNN execution provider, for `quantize`.

    It is for the target `qnn` of this tool, which knows what its kernels take, and `TensorQuantOverrides` has what they
    demand of single tensors.
    """
    if weight_symmetric is None:
        weight_symmetric = weight_type in (QuantType.QInt8, QuantType.QInt16)
    model = _selection.structure(model_input)
    overrides = TensorQuantOverridesHelper(copy.deepcopy(init_overrides or {}))
    weights = {tensor.name for tensor in model.graph.initializer}
    if not overrides.empty():
        check(overrides.get_dict(), model, activation_type)
        changed = [name for name in overrides if name not in weights and "quant_type" in overrides[name][0]]
        if changed and add_qtype_converts:
            raise ValueError(
                f"conversions around tensors of other types ({', '.join(changed)}) are not added: state them as 'convert', "
                "with add_qtype_converts=False"
            )
    types = set()
    for node in model.graph.node:
        if op_types_to_quantize and node.op_type not in op_types_to_quantize or node.name in (nodes_to_exclude or ()):
            continue
        types.add(node.op_type)
        if node.op_type == "MatMul" and per_channel:
            # Its kernels have one scale for the weight.
            for name in node.input:
                if name in weights and name not in overrides:
                    overrides.update_tensor_overrides(name, {"quant_type": weight_type, "symmetric": weight_symmetric})
        elif node.op_type in ("MatMul", "LayerNormalization") and not per_channel and weight_type in _EIGHT:
            _weight_beside_sixteen(node, overrides, weights, activation_type, weight_type, weight_symmetric)
        elif node.op_type in _DEMANDED:
            _demanded_output(node, overrides, activation_type)
    options: dict[str, Any] = {
        "MinimumRealRange": 0.0001,
        "DedicatedQDQPair": False,
        "QDQKeepRemovableActivations": keep_removable_activations,
        "TensorQuantOverrides": overrides.get_dict(),
        "ActivationSymmetric": activation_symmetric,
        "WeightSymmetric": weight_symmetric,
        "CalibStridedMinMax": stride,
    }
    if needs_contributed(model, overrides, activation_type, weight_type):
        options["UseQDQContribOps"] = True
    config = StaticQuantConfig(
        calibration_data_reader,
        calibrate_method,
        activation_type=activation_type,
        weight_type=weight_type,
        op_types_to_quantize=op_types_to_quantize or sorted(types - {"Cast"}),
        nodes_to_exclude=nodes_to_exclude,
        per_channel=per_channel,
        use_external_data_format=is_large(model),
        calibration_providers=calibration_providers,
        extra_options=options,
    )
    config.target = "qnn"
    return config


def _weight_beside_sixteen(
    node: Any, overrides: TensorQuantOverridesHelper, weights: set[str], activation_type: QuantType,
    weight_type: QuantType, symmetric: bool,
) -> None:
    """Has a weight be of 8 bits although what it is multiplied with is of 16."""
    weight, has_sixteen = None, False
    for name in filter(None, node.input[:2]):
        is_weight = name in weights
        known = overrides.get_node_input_qtype_info(name, node.name, None if is_weight else activation_type)
        if known.axis is not None or is_weight and (known.quant_type, known.symmetric) == (weight_type, symmetric):
            return
        if is_weight:
            weight = name
        elif known.quant_type in _SIXTEEN:
            has_sixteen = True
    asked = {"quant_type": weight_type, "symmetric": symmetric}
    if weight and has_sixteen and not overrides.update_tensor_overrides(weight, asked, overwrite=False):
        message = f"{node.op_type} '{node.name}': its weight '{weight}' has overrides already, which QNN may not take"
        warnings.warn(message, QuantizationWarning, stacklevel=4)


def _demanded_output(node: Any, overrides: TensorQuantOverridesHelper, activation_type: QuantType) -> None:
    import numpy

    output = node.output[0]
    made = overrides.get_node_output_qtype_info(output, activation_type).quant_type
    if made in _DEMANDED[node.op_type]:
        scale, zero_point, dtype = _DEMANDED[node.op_type][made]
        asked = {"quant_type": made, "scale": numpy.array(scale, dtype=numpy.float32),
                 "zero_point": numpy.array(zero_point, dtype=dtype)}
        overrides.update_tensor_overrides(output, asked)


def qnn_preprocess_model(
    model_input: Union[str, Path, Any],
    model_output: Union[str, Path],
    exclude_initializer_from_input: bool = False,
    fuse_layernorm: bool = False,
    save_as_external_data: bool = False,
    all_tensors_to_one_file: bool = False,
    external_data_location: Optional[str] = None,
    external_data_size_threshold: int = 1024,
    external_data_convert_attribute: bool = False,
    inputs_to_make_channel_last: Optional[list[str]] = None,
    outputs_to_make_channel_last: Optional[list[str]] = None,
    dynamic_input_shapes: Optional[list[tuple[str, str]]] = None,
) -> bool:
    """Simplifies a model; whether there was anything to simplify, and the output is written.

    Raises:
        ValueError: It is to be changed otherwise: norms that are to be put together, other layouts, fixed shapes.
    """
    refused = {
        "fuse_layernorm": fuse_layernorm,
        "inputs_to_make_channel_last": inputs_to_make_channel_last,
        "outputs_to_make_channel_last": outputs_to_make_channel_last,
        "dynamic_input_shapes": dynamic_input_shapes,
    }
    asked = [name for name, value in refused.items() if value]
    if asked:
        raise ValueError(f"{', '.join(asked)}: not done; export the model so")
    import onnx

    model = model_input if isinstance(model_input, onnx.ModelProto) else onnx.load(str(model_input))
    simplified = onnx_quant.simplify(model, keep_overridable=not exclude_initializer_from_input).model
    if simplified == model:
        return False
    options: dict[str, Any] = {}
    if save_as_external_data:
        options = {"save_as_external_data": True, "all_tensors_to_one_file": all_tensors_to_one_file,
                   "location": external_data_location, "size_threshold": external_data_size_threshold,
                   "convert_attribute": external_data_convert_attribute}
    onnx.save_model(simplified, str(model_output), **options)
    return True
