"""Arguments of onnxruntime's quantizer as options of this tool."""

from __future__ import annotations

import warnings
from typing import Any

from onnx_quant.ort_quantization.calibrate import only_cpu
from onnx_quant.ort_quantization.quant_utils import QuantFormat, QuantizationWarning, QuantType, as_quant_type

_ACTIVATIONS = {QuantType.QUInt8: "uint8", QuantType.QInt8: "int8", QuantType.QUInt16: "uint16", QuantType.QInt16: "int16",
                QuantType.QFLOAT8E4M3FN: "float8e4m3fn"}
_WEIGHTS = {QuantType.QUInt8: "uint8", QuantType.QInt8: "int8"}
# Weights that no kernel of onnxruntime's CPU provider takes: they are for models with pairs everywhere.
_OTHER_WEIGHTS = {QuantType.QUInt16: "uint16", QuantType.QInt16: "int16", QuantType.QFLOAT8E4M3FN: "float8e4m3fn"}

# Options that another part of this package reads, and those that decide on nothing here: samples are taken one at a
# time, so that memory needs no limit; pairs go where the runtime has kernels; and bodies are quantized anyway.
_KNOWN = {
    "ActivationSymmetric", "WeightSymmetric", "EnableSubgraph", "ForceQuantizeNoInputCheck", "MatMulConstBOnly",
    "AddQDQPairToWeight", "OpTypesToExcludeOutputQuantization", "DedicatedQDQPair", "QDQOpTypePerChannelSupportToAxis",
    "CalibTensorRangeSymmetric", "CalibStridedMinMax", "CalibMovingAverage", "CalibMovingAverageConstant",
    "CalibMaxIntermediateOutputs", "CalibPercentile", "QuantizeBias", "SmoothQuant", "SmoothQuantAlpha",
    "SmoothQuantFolding", "UseQDQContribOps", "MinimumRealRange", "TensorQuantOverrides", "QDQKeepRemovableActivations",
    "QDQDisableWeightAdjustForInt32Bias", "ActivationRestrictedAsymmetric", "extra.Sigmoid.nnapi",
}

# What is refused, unless it is as it would be without the option, and what to do instead.
_REFUSED = {
    "OpTypesToExcludeOutputQuantization": "name the operators in nodes_to_exclude",
    "DedicatedQDQPair": "leave it out: onnxruntime gives each reader its own DequantizeLinear when it loads the model",
    "SmoothQuant": "use per_channel=True, or calibrate_method=CalibrationMethod.Percentile",
    "ActivationRestrictedAsymmetric": "use ActivationSymmetric",
    "extra.Sigmoid.nnapi": "leave it out",
}


def static(config: Any) -> dict[str, Any]:
    """Those of a StaticQuantConfig, but for calibration and for which operators.

    Raises:
        ValueError: Something is asked for that is not done.
    """
    if config.quant_format == QuantFormat.QOperator:
        raise ValueError(
            "quant_format=QuantFormat.QOperator is not written: use QuantFormat.QDQ, of which onnxruntime makes the same "
            "operators of integers when it loads the model"
        )
    only_cpu(config.calibration_providers)
    activations, weights = as_quant_type(config.activation_type), as_quant_type(config.weight_type)
    given = config.extra_options
    if activations not in _ACTIVATIONS:
        raise ValueError(f"activations cannot be {activations}: use {', '.join(map(str, _ACTIVATIONS))}")
    symmetric = given.get("ActivationSymmetric") or given.get("CalibTensorRangeSymmetric") or None
    if activations == weights == QuantType.QInt8 and not config.per_channel and config.target is None:
        _warn(
            "int8 activations with a single scale for each weight, which is the default, are the least accurate choice and "
            "no faster: better are activation_type=QuantType.QUInt8 and per_channel=True"
        )
    if (activations == QuantType.QFLOAT8E4M3FN) != (weights == QuantType.QFLOAT8E4M3FN):
        raise ValueError(f"activations of {activations} do not go with weights of {weights}: both are float8, or neither")
    if weights in _OTHER_WEIGHTS:
        _warn(
            f"weights of {weights} have no kernels in onnxruntime's CPU provider, which with graph optimizations on was seen to "
            "give wrong numbers for such models (1.32): they are for other providers, or for ORT_DISABLE_ALL"
        )
    options = _common(config, weights, {**_WEIGHTS, **_OTHER_WEIGHTS})
    options["keep_weight_scales"] = given.get("QDQDisableWeightAdjustForInt32Bias") or None
    options["activations"] = _ACTIVATIONS[activations]
    options["symmetric_activations"] = symmetric
    options["target"] = config.target
    # What is asked for is quantized, as by the original, whether it gains time or not.
    options["prefer"] = "size"
    if given.get("AddQDQPairToWeight"):
        options["weight_form"] = "qdq"
    if given.get("QuantizeBias") is False:
        raise ValueError(
            "QuantizeBias=False: biases of integer kernels are integers; leave the operator float by nodes_to_exclude"
        )
    if given.get("QDQKeepRemovableActivations") and not symmetric:
        _warn("QDQKeepRemovableActivations: a Relu whose work the QuantizeLinear behind it does stays in the model anyway")
    axes = given.get("QDQOpTypePerChannelSupportToAxis") or {}
    other = [f"{op}: {axis}" for op, axis in axes.items() if axis not in _CHANNELS.get(op, ())]
    if other:
        asked = f"QDQOpTypePerChannelSupportToAxis {{{', '.join(other)}}}"
        raise ValueError(f"{asked}: scales lie along output channels; leave it out")
    return options


# The axes of output channels; those of a Gemm depend on transB.
_CHANNELS = {"Conv": (0,), "ConvTranspose": (1,), "MatMul": (1, -1), "Gemm": (0, 1, -1), "Gather": (1, -1)}


def dynamic(config: Any) -> dict[str, Any]:
    """Those of a DynamicQuantConfig, but for which operators.

    Raises:
        ValueError: Something is asked for that is not done.
    """
    given = config.extra_options
    if given.get("ActivationSymmetric"):
        raise ValueError("ActivationSymmetric: DynamicQuantizeLinear has zero points; use quantize_static")
    if given.get("MatMulConstBOnly") is False:
        _warn("MatMulConstBOnly=False: products of two activations stay float, which is faster")
    options = _common(config, as_quant_type(config.weight_type), _WEIGHTS)
    options["activations"] = "dynamic"
    return options


def is_for_pairs_everywhere(config: Any) -> bool:
    """Whether the types are such that no kernel of onnxruntime's CPU provider takes the weights."""
    return as_quant_type(config.weight_type) in _OTHER_WEIGHTS


def _common(config: Any, weights: QuantType, known: dict[QuantType, str]) -> dict[str, Any]:
    given = config.extra_options
    unknown = sorted(set(given) - _KNOWN)
    if unknown:
        _warn(f"extra_options has {', '.join(unknown)}, which neither onnxruntime's quantizer nor this tool knows")
    for name, instead in _REFUSED.items():
        if given.get(name):
            raise ValueError(f"{name} is not done: {instead}")
    if weights not in known:
        raise ValueError(
            f"weights cannot be {weights} where activations are quantized so: use QuantType.QInt8 or QuantType.QUInt8, or "
            "quantize weights alone with onnx_quant.quantize or MatMulNBitsQuantizer"
        )
    symmetric = given.get("WeightSymmetric")
    if symmetric is None:
        symmetric = weights in (QuantType.QInt8, QuantType.QInt16)
    return {
        "weights": known[weights],
        "granularity": "per-channel" if config.per_channel else "per-tensor",
        # Scales for channels have no zero points of their own in integer kernels.
        "asymmetric": not symmetric and not config.per_channel and weights != QuantType.QFLOAT8E4M3FN,
        "reduce_range": config.reduce_range or None,
        # What was asked for is done even if the file grows by it.
        "allow_growth": True,
    }


def _warn(message: str) -> None:
    warnings.warn(message, QuantizationWarning, stacklevel=5)
