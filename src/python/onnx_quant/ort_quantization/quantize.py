"""`quantize_static`, `quantize_dynamic` and what configures them."""

from __future__ import annotations

import copy
import math
import warnings
from pathlib import Path
from typing import Any, Callable, Optional, Union

import onnx_quant
from onnx_quant._engine import find_onnxruntime
from onnx_quant.ort_quantization import _options, _selection
from onnx_quant.ort_quantization import tensor_quant_overrides as overriding
from onnx_quant.ort_quantization.calibrate import (
    FLOAT8,
    CalibrationMethod,
    load_tensors_data,
    native_method,
    samples_of,
    save_tensors_data,
    tensors_data,
)
from onnx_quant.ort_quantization.quant_utils import (
    QuantFormat,
    QuantizationWarning,
    QuantType,
    as_quant_type,
    get_qmin_qmax_for_qType,
)
from onnx_quant.ort_quantization.tensor_quant_overrides import TensorQuantOverridesHelper

Model = Union[str, Path, Any]


class QuantConfig:
    """What static and dynamic quantization have in common."""

    def __init__(
        self,
        activation_type: QuantType = QuantType.QUInt8,
        weight_type: QuantType = QuantType.QInt8,
        op_types_to_quantize: Any = None,
        nodes_to_quantize: Any = None,
        nodes_to_exclude: Any = None,
        per_channel: bool = False,
        reduce_range: bool = False,
        use_external_data_format: bool = False,
    ) -> None:
        self.activation_type = activation_type
        self.weight_type = weight_type
        self.op_types_to_quantize = op_types_to_quantize or []
        self.nodes_to_quantize = nodes_to_quantize or []
        self.nodes_to_exclude = nodes_to_exclude or []
        self.per_channel = per_channel
        self.reduce_range = reduce_range
        self.use_external_data_format = use_external_data_format


class StaticQuantConfig(QuantConfig):
    """The arguments of `quantize_static`, for `quantize`."""

    target: Optional[str] = None
    """The runtime that the model is for, by this tool's name; None is onnxruntime's CPU provider."""

    def __init__(
        self,
        calibration_data_reader: Any,
        calibrate_method: CalibrationMethod = CalibrationMethod.MinMax,
        quant_format: QuantFormat = QuantFormat.QDQ,
        activation_type: QuantType = QuantType.QInt8,
        weight_type: QuantType = QuantType.QInt8,
        op_types_to_quantize: Any = None,
        nodes_to_quantize: Any = None,
        nodes_to_exclude: Any = None,
        per_channel: bool = False,
        reduce_range: bool = False,
        use_external_data_format: bool = False,
        calibration_providers: Any = None,
        extra_options: Optional[dict[str, Any]] = None,
    ) -> None:
        super().__init__(
            activation_type, weight_type, op_types_to_quantize, nodes_to_quantize, nodes_to_exclude, per_channel,
            reduce_range, use_external_data_format,
        )
        self.calibration_data_reader = calibration_data_reader
        self.calibrate_method = calibrate_method
        self.quant_format = quant_format
        self.calibration_providers = calibration_providers
        self.extra_options = extra_options or {}


class DynamicQuantConfig(QuantConfig):
    """The arguments of `quantize_dynamic`, for `quantize`."""

    def __init__(
        self,
        weight_type: QuantType = QuantType.QInt8,
        op_types_to_quantize: Any = None,
        nodes_to_quantize: Any = None,
        nodes_to_exclude: Any = None,
        per_channel: bool = False,
        reduce_range: bool = False,
        use_external_data_format: bool = False,
        extra_options: Optional[dict[str, Any]] = None,
    ) -> None:
        super().__init__(
            weight_type=weight_type, op_types_to_quantize=op_types_to_quantize, nodes_to_quantize=nodes_to_quantize,
            nodes_to_exclude=nodes_to_exclude, per_channel=per_channel, reduce_range=reduce_range,
            use_external_data_format=use_external_data_format,
        )
        self.extra_options = extra_options or {}


def get_qdq_config(
    model_input: Model,
    calibration_data_reader: Any,
    calibrate_method: CalibrationMethod = CalibrationMethod.MinMax,
    calibrate_args: Optional[dict[str, Any]] = None,
    activation_type: QuantType = QuantType.QUInt8,
    weight_type: QuantType = QuantType.QInt8,
    activation_symmetric: bool = False,
    weight_symmetric: Optional[bool] = None,
    per_channel: bool = False,
    reduce_range: bool = False,
    keep_removable_activations: bool = False,
    min_real_range: Optional[float] = None,
    tensor_quant_overrides: Optional[dict[str, list[dict[str, Any]]]] = None,
    calibration_providers: Optional[list[str]] = None,
    op_types_to_quantize: Optional[list[str]] = None,
    nodes_to_exclude: Union[None, list[str], Callable[[Any, Any], bool]] = None,
    extra_options: Optional[dict[str, Any]] = None,
) -> StaticQuantConfig:
    """The configuration that quantizes all of a model, for `quantize`.

    Args:
        nodes_to_exclude: Names, or a function of the model and a node that says whether the node stays float.
        calibrate_args: `symmetric`, `moving_average`, `averaging_constant`, `max_intermediate_outputs`, `percentile`.
    """
    model = _selection.structure(model_input)
    overrides = TensorQuantOverridesHelper(copy.deepcopy(tensor_quant_overrides or {}))
    named = set() if callable(nodes_to_exclude) else set(nodes_to_exclude or ())
    types = set()
    for node in model.graph.node:
        if op_types_to_quantize and node.op_type not in op_types_to_quantize:
            continue
        if callable(nodes_to_exclude) and nodes_to_exclude(model, node):
            named.add(node.name)
        if node.name not in named:
            types.add(node.op_type)
    options: dict[str, Any] = {
        "MinimumRealRange": min_real_range,
        "QDQKeepRemovableActivations": keep_removable_activations,
        "ActivationSymmetric": activation_symmetric,
        "WeightSymmetric": weight_symmetric,
        "ForceQuantizeNoInputCheck": True,
        "TensorQuantOverrides": overrides.get_dict(),
    }
    of_calibration = {
        "symmetric": "CalibTensorRangeSymmetric",
        "moving_average": "CalibMovingAverage",
        "averaging_constant": "CalibMovingAverageConstant",
        "max_intermediate_outputs": "CalibMaxIntermediateOutputs",
        "percentile": "CalibPercentile",
    }
    for name, value in (calibrate_args or {}).items():
        if name not in of_calibration:
            raise ValueError(f"calibrate_args has '{name}', which is none of {', '.join(of_calibration)}")
        options[of_calibration[name]] = value
    if needs_contributed(model, overrides, activation_type, weight_type):
        options["UseQDQContribOps"] = True
    options.update(extra_options or {})
    return StaticQuantConfig(
        calibration_data_reader,
        calibrate_method,
        QuantFormat.QDQ,
        activation_type,
        weight_type,
        op_types_to_quantize or sorted(types - {"Cast", "DequantizeLinear", "QuantizeLinear"}),
        nodes_to_exclude=sorted(named),
        per_channel=per_channel,
        reduce_range=reduce_range,
        use_external_data_format=is_large(model),
        calibration_providers=calibration_providers,
        extra_options=options,
    )


def needs_contributed(model: Any, overrides: Any, *types: QuantType) -> bool:
    """Whether the types need operators of onnxruntime at the model's opset: those of 16 and of 4 bits came with 21."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    since_21 = {QuantType.QInt16, QuantType.QUInt16, QuantType.QInt4, QuantType.QUInt4}
    return opset < 21 and not since_21.isdisjoint({*overrides.get_quant_types(), *types})


def is_large(model: Any) -> bool:
    """Whether a model has external data, or is too large for a file without."""
    return any(tensor.data_location == 1 for tensor in model.graph.initializer) or model.ByteSize() >= 2**31


def quantize_static(
    model_input: Model,
    model_output: Union[str, Path],
    calibration_data_reader: Any = None,
    quant_format: QuantFormat = QuantFormat.QDQ,
    op_types_to_quantize: Any = None,
    per_channel: bool = False,
    reduce_range: bool = False,
    activation_type: QuantType = QuantType.QInt8,
    weight_type: QuantType = QuantType.QInt8,
    nodes_to_quantize: Any = None,
    nodes_to_exclude: Any = None,
    use_external_data_format: bool = False,
    calibrate_method: CalibrationMethod = CalibrationMethod.MinMax,
    calibration_providers: Any = None,
    extra_options: Optional[dict[str, Any]] = None,
    calibration_cache_path: Optional[Union[str, Path]] = None,
) -> None:
    """Quantizes weights and activations, with scales that samples decide.

    Args:
        model_input: A path or an onnx.ModelProto.
        model_output: Where the quantized model is written; what is there is replaced.
        calibration_data_reader: Anything that has `get_next()`. Samples are pulled one at a time.
        quant_format: `QuantFormat.QDQ`.
        extra_options: As onnxruntime documents them. One that is not honoured is refused.
        calibration_cache_path: A file of ranges: read if it is there, written otherwise.

    Raises:
        ValueError: Something is asked for that is not done; the message says what is instead.
        onnx_quant.Error: The model cannot be read, run or quantized.
    """
    config = StaticQuantConfig(
        calibration_data_reader, calibrate_method, quant_format, activation_type, weight_type, op_types_to_quantize,
        nodes_to_quantize, nodes_to_exclude, per_channel, reduce_range, use_external_data_format,
        calibration_providers, extra_options,
    )
    _static(model_input, model_output, config, calibration_cache_path)


def quantize_dynamic(
    model_input: Model,
    model_output: Union[str, Path],
    op_types_to_quantize: Any = None,
    per_channel: bool = False,
    reduce_range: bool = False,
    weight_type: QuantType = QuantType.QInt8,
    nodes_to_quantize: Any = None,
    nodes_to_exclude: Any = None,
    use_external_data_format: bool = False,
    extra_options: Optional[dict[str, Any]] = None,
) -> None:
    """Quantizes weights, and has each run find the scales of what products and recurrent layers read.

    Arguments are as for `quantize_static`.
    """
    config = DynamicQuantConfig(
        weight_type, op_types_to_quantize, nodes_to_quantize, nodes_to_exclude, per_channel, reduce_range,
        use_external_data_format, extra_options,
    )
    _dynamic(model_input, model_output, config)


def quantize(model_input: Model, model_output: Union[str, Path], quant_config: QuantConfig) -> None:
    """Quantizes by a configuration, static or dynamic."""
    if isinstance(quant_config, StaticQuantConfig):
        _static(model_input, model_output, quant_config)
    elif isinstance(quant_config, DynamicQuantConfig):
        _dynamic(model_input, model_output, quant_config)
    else:
        raise TypeError(f"a StaticQuantConfig or DynamicQuantConfig is needed, not {type(quant_config).__name__}")


def _static(
    model: Model, out: Union[str, Path], config: StaticQuantConfig, cache: Optional[Union[str, Path]] = None
) -> None:
    options = _options.static(config)
    activation_type, weight_type = as_quant_type(config.activation_type), as_quant_type(config.weight_type)
    is_float8 = activation_type == QuantType.QFLOAT8E4M3FN
    method = native_method(config.calibrate_method, {**config.extra_options, FLOAT8: is_float8})
    options["calibration"] = method
    everywhere = config.target is None and _everywhere(model, config)
    if everywhere:
        options["target"] = _EVERYWHERE
    options["exclude"] = _excluded(model, config)
    overrides = config.extra_options.get("TensorQuantOverrides") or {}
    least = config.extra_options.get("MinimumRealRange")
    known = _selection.structure(model) if overrides else None
    if known is not None:
        overriding.check(overrides, known, activation_type)
        options["tensor_type"] = overriding.tensor_types(overrides, known, activation_type, weight_type)
    read = cache is not None and Path(cache).exists()
    if config.calibration_data_reader is None and not read:
        raise ValueError("calibration_data_reader is needed, or calibration_cache_path with a file that is there")
    given: dict[str, Any] = {}
    if cache is None and known is None and least is None and not everywhere:
        given["samples"] = samples_of(config.calibration_data_reader, config.extra_options.get("CalibStridedMinMax"))
        given.update(_engine())
    else:
        if read:
            tensors = load_tensors_data(cache)  # type: ignore[arg-type]
            if tensors.calibration_method != config.calibrate_method:
                raise ValueError(f"{cache} holds ranges of {tensors.calibration_method}, not of {config.calibrate_method}")
        else:
            samples = samples_of(config.calibration_data_reader, config.extra_options.get("CalibStridedMinMax"))
            observed = onnx_quant.calibrate(_path(model), samples, **_engine(), **options)
            tensors = tensors_data(observed, method, config.calibrate_method)
            if cache is not None:
                save_tensors_data(tensors, cache)
        ranges = {name: (float(data.lowest), float(data.highest)) for name, data in tensors.items()}
        if known is not None:
            ranges = overriding.applied(ranges, overrides, known, activation_type, weight_type, options["asymmetric"])
        if least is not None:
            ranges = {name: (low, max(high, low + least)) for name, (low, high) in ranges.items()}
        if everywhere and not is_float8:
            # What is always zero has a scale of 1.
            whole = _limits(activation_type)
            ranges = {name: whole if low == high == 0.0 else (low, high) for name, (low, high) in ranges.items()}
        if not config.per_channel:
            widened = _widened(model, least, _limits(weight_type) if everywhere and not is_float8 else None)
            ranges = {**widened, **ranges}
        given["ranges"] = onnx_quant.Ranges(ranges)
    _write(model, out, config, options, given)
    if everywhere:
        _spell_out(out)
    if known is not None and needs_contributed(known, TensorQuantOverridesHelper(overrides), activation_type, weight_type):
        _contributed(out)
    for name in overriding.differing(out, overrides):
        message = f"tensor '{name}' has another scale than TensorQuantOverrides says: a Relu or Clip behind it limits its range"
        warnings.warn(message, QuantizationWarning, stacklevel=3)


def _engine() -> dict[str, Any]:
    """What runs the model with samples: onnxruntime, as scripts expect it, so that ranges are the same to the last bit."""
    return {"engine": "onnxruntime"} if find_onnxruntime() else {}


def _limits(kind: QuantType) -> tuple[float, float]:
    least, greatest = get_qmin_qmax_for_qType(kind.tensor_type)
    return float(least), float(greatest)


def _widened(model: Model, least: Optional[float], of_zeros: Optional[tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """The ranges of weights that are narrower than MinimumRealRange, or nothing but zero."""
    if least is None and of_zeros is None:
        return {}
    import numpy
    import onnx

    graph = _selection.structure(model).graph
    layers = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")]
    weights = {name for node in layers for name in node.input[:2]}
    found: dict[str, tuple[float, float]] = {}
    for tensor in graph.initializer:
        # What lies beside the file is large.
        if tensor.name not in weights or tensor.data_type != onnx.TensorProto.FLOAT or tensor.data_location == 1:
            continue
        elements = onnx.numpy_helper.to_array(tensor)
        low, high = float(numpy.minimum(elements.min(initial=0.0), 0)), float(numpy.maximum(elements.max(initial=0.0), 0))
        if least is not None and high < low + least:
            found[tensor.name] = low, low + least
        elif of_zeros is not None and low == high == 0.0:
            found[tensor.name] = of_zeros
    return found


# Rules by which every operator gets pairs.
_EVERYWHERE = str(Path(__file__).with_name("everywhere.toml"))


def _everywhere(model: Model, config: StaticQuantConfig) -> bool:
    """Whether pairs go around every operator: where single tensors are named, where it is asked for, and where nothing
    would become integer by what the runtime gains from it."""
    given = config.extra_options
    if _options.is_for_pairs_everywhere(config):
        return True
    if given.get("TensorQuantOverrides") or given.get("ForceQuantizeNoInputCheck"):
        return True
    return not any(operator["verdict"] == "integer" for operator in onnx_quant.explain(_path(model)).to_dict()["operators"])


def _dynamic(model: Model, out: Union[str, Path], config: DynamicQuantConfig) -> None:
    options = _options.dynamic(config)
    options["exclude"] = _excluded(model, config)
    _write(model, out, config, options, {})


def _excluded(model: Model, config: QuantConfig) -> list[str]:
    bodies = config.extra_options.get("EnableSubgraph") is not False  # type: ignore[attr-defined]
    return _selection.excluded(
        model, config.op_types_to_quantize, config.nodes_to_quantize, config.nodes_to_exclude, bodies
    )


def _write(model: Model, out: Union[str, Path], config: QuantConfig, options: dict[str, Any], given: dict[str, Any]) -> None:
    contributed = config.extra_options.get("UseQDQContribOps")  # type: ignore[attr-defined]
    report = onnx_quant.quantize(
        _path(model), str(out), overwrite=True, external_data=config.use_external_data_format or None, **options, **given
    )
    if contributed:
        _contributed(out)
    for finding in report.findings:
        if finding.severity == "warning":
            warnings.warn(f"{finding.message} [{finding.code}]", QuantizationWarning, stacklevel=4)


def _contributed(path: Union[str, Path]) -> None:
    """Gives a model the operators that onnxruntime had before ONNX had their types."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    for node in _selection.nodes(model.graph):
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.domain == "":
            node.domain = "com.microsoft"
    if all(entry.domain != "com.microsoft" for entry in model.opset_import):
        model.opset_import.add(domain="com.microsoft", version=1)
    onnx.save(model, str(path))


def _spell_out(path: Union[str, Path]) -> None:
    """Stores scales and zero points of tensors in the typed fields, and zero points of biases and small floats although they are 0: where
    scripts look for them that name single tensors."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    without = (onnx.TensorProto.INT32, onnx.TensorProto.FLOAT8E4M3FN)
    for node in model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        integers = constants.get(node.input[0])
        if len(node.input) == 2 and integers is not None and integers.data_type in without:
            is_bias = integers.data_type == onnx.TensorProto.INT32
            name = f"{integers.name if is_bias else integers.name.removesuffix('_quantized')}_zero_point"
            dims = tuple(constants[node.input[1]].dims)
            zeros = bytes((4 if is_bias else 1) * math.prod(dims))
            model.graph.initializer.append(onnx.helper.make_tensor(name, integers.data_type, dims, zeros, raw=True))
            constants[name] = model.graph.initializer[-1]
            node.input.append(name)
        for name in node.input[1:]:
            tensor = constants.get(name)
            small = tensor is not None and tensor.data_type == onnx.TensorProto.FLOAT8E4M3FN
            if tensor is not None and not small and not tensor.dims and tensor.HasField("raw_data"):
                value = onnx.numpy_helper.to_array(tensor).item()
                tensor.CopyFrom(onnx.helper.make_tensor(name, tensor.data_type, [], [value]))
    onnx.save(model, str(path))


def _path(model: Model) -> Any:
    return str(model) if isinstance(model, Path) else model
