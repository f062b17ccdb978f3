"""What is asked of single tensors: the option TensorQuantOverrides."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, Optional

from onnx_quant.ort_quantization.quant_utils import (
    QuantizationWarning,
    QuantType,
    as_quant_type,
    compute_scale_zp,
    get_qmin_qmax_for_qType,
)

_NOT_WITH_SCALE = ("rmax", "rmin", "symmetric", "reduce_range")


@dataclass
class QuantTypeInfo:
    """A tensor's type; None is what holds for all tensors."""

    quant_type: Optional[QuantType]
    symmetric: Optional[bool] = None
    reduce_range: Optional[bool] = None
    axis: Optional[int] = None


class TensorQuantOverridesHelper(MutableMapping):  # type: ignore[type-arg]
    """Overrides by the names of tensors: a list with a dict, or a dict for each channel."""

    def __init__(self, raw_overrides: dict[str, list[dict[str, Any]]]) -> None:
        self.overrides = raw_overrides

    def get_quant_types(self) -> set[QuantType]:
        """All types that are asked for."""
        given = [override for overrides in self.overrides.values() for override in overrides]
        given += [override["convert"] for override in given if "convert" in override]
        return {override["quant_type"] for override in given if "quant_type" in override}

    def is_valid(
        self, initializers: Any, activation_names: Any, default_activation_qtype: Any
    ) -> tuple[bool, Optional[str]]:
        """Whether they make sense, or why they do not."""
        for name, overrides in self.overrides.items():
            reason = _fault(name, overrides, name in initializers, name in activation_names, default_activation_qtype)
            if reason:
                return False, reason
        return True, None

    def get_node_output_qtype_info(
        self, output_name: str, default_qtype: Any, default_symmetric: Any = None
    ) -> QuantTypeInfo:
        """The type that an operator makes."""
        first = (self.overrides.get(output_name) or [{}])[0]
        return QuantTypeInfo(first.get("quant_type", default_qtype), first.get("symmetric", default_symmetric),
                             first.get("reduce_range"), first.get("axis"))

    def get_node_input_qtype_info(
        self, input_name: str, node_name: str, default_qtype: Any, default_symmetric: Any = None,
        default_reduce_range: Any = None,
    ) -> QuantTypeInfo:
        """The type that an operator reads, which a conversion may have made of another."""
        first = (self.overrides.get(input_name) or [{}])[0]
        convert = first.get("convert")
        if convert and node_name in convert.get("recv_nodes", (node_name,)):
            first = convert
        return QuantTypeInfo(first.get("quant_type", default_qtype), first.get("symmetric", default_symmetric),
                             first.get("reduce_range", default_reduce_range), first.get("axis"))

    def update_tensor_overrides(
        self, tensor_name: str, new_vals: dict[str, Any], channels: Any = None, overwrite: bool = True
    ) -> bool:
        """Sets what is asked of a tensor; whether it did, which without `overwrite` it does not where something is set."""
        overrides = self.overrides.setdefault(tensor_name, [{}])
        chosen = range(len(overrides)) if channels is None else channels
        if not overwrite and any(key in overrides[index] for index in chosen for key in new_vals):
            return False
        for index in chosen:
            overrides[index].update(new_vals)
        return True

    def empty(self) -> bool:
        """Whether nothing is asked for."""
        return not self.overrides

    def get_dict(self) -> dict[str, list[dict[str, Any]]]:
        """All of them."""
        return self.overrides

    def __getitem__(self, key: str) -> list[dict[str, Any]]:
        return self.overrides[key]

    def __setitem__(self, key: str, value: list[dict[str, Any]]) -> None:
        self.overrides[key] = value

    def __delitem__(self, key: str) -> None:
        del self.overrides[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.overrides)

    def __len__(self) -> int:
        return len(self.overrides)


def _fault(name: str, overrides: Any, is_weight: bool, is_activation: bool, default_type: Any) -> Optional[str]:
    if not is_weight and not is_activation:
        return f"Tensor '{name}' in TensorQuantOverrides is not present in the model"
    if not isinstance(overrides, list) or not overrides or not all(isinstance(one, dict) for one in overrides):
        return f"Tensor '{name}': overrides are a list of dicts"
    for override in overrides:
        convert = override.get("convert")
        for one in [override] + ([convert] if convert else []):
            if ("scale" in one) != ("zero_point" in one):
                return f"Must provide both 'scale' and 'zero_point' if one of them is provided (tensor '{name}')"
            both = [key for key in _NOT_WITH_SCALE if key in one]
            if "scale" in one and both:
                return f"Tensor override option(s) [{', '.join(both)}] are invalid with 'scale' and 'zero_point' (tensor '{name}')"
            if ("rmin" in one) != ("rmax" in one):
                return f"Must provide both 'rmin' and 'rmax' if one is provided (tensor '{name}')"
            if "reduce_range" in one and not is_weight:
                return f"'reduce_range' is for weights only, not for the activation '{name}'"
        if convert and is_weight:
            return f"'convert' is for activations only, not for the weight '{name}'"
        if convert and convert.get("quant_type") in (None, override.get("quant_type", default_type)):
            return f"'convert' of tensor '{name}' must have a 'quant_type' that differs from the original one"
    if not is_weight and (len(overrides) > 1 or "axis" in overrides[0]):
        return f"Tensor '{name}' has overrides for channels, but is not an initializer"
    return None


def check(overrides: dict[str, Any], model: Any, activation_type: QuantType) -> None:
    """Refuses overrides that make no sense for a model.

    Raises:
        ValueError: They do not.
    """
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    values = {value.name for value in graph.input} | {name for node in graph.node for name in node.output}
    valid, reason = TensorQuantOverridesHelper(overrides).is_valid(weights, values - weights, activation_type)
    if not valid:
        raise ValueError(reason)


def _as_types(override: dict[str, Any], default: QuantType) -> QuantType:
    return as_quant_type(override.get("quant_type", default))


def tensor_types(
    overrides: dict[str, Any], model: Any, activation_type: QuantType, weight_type: QuantType
) -> list[str]:
    """What the option `tensor_type` says so that single tensors have the types that are asked for.

    Raises:
        ValueError: A tensor cannot have the type, or something else is asked that there is no form for.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")]
    of_layers = {name for node in layers for name in node.input[:2]}
    given = []
    for name, (override, *others) in overrides.items():
        known = {"quant_type", "symmetric", "rmin", "rmax", "scale", "zero_point"}
        known |= {"reduce_range"} if name in weights else set()
        unknown = sorted(set(override) - known)
        if unknown or others:
            what = ", ".join(unknown) or "overrides of channels"
            raise ValueError(f"tensor '{name}': {what} cannot be set for a single tensor")
        if name in weights and name not in of_layers and override:
            raise ValueError(
                f"'{name}' is the weight of no layer, so there is nothing to set for it: biases are int32, in units that "
                "follow from input and weight; leave it out of TensorQuantOverrides"
            )
        default = weight_type if name in weights else activation_type
        kind = _as_types(override, default)
        if kind != default:
            if kind not in _TYPES:
                raise ValueError(f"tensor '{name}' cannot be {kind}: use {', '.join(map(str, _TYPES))}")
            given.append(f"re:^{re.escape(name)}$={_TYPES[kind]}")
    return given


_TYPES = {QuantType.QUInt8: "uint8", QuantType.QInt8: "int8", QuantType.QUInt16: "uint16", QuantType.QInt16: "int16"}


def _spanned(kind: QuantType, scale: float, zero: int) -> tuple[float, float]:
    """What all integers of a type stand for."""
    least, greatest = (int(end) for end in get_qmin_qmax_for_qType(kind.tensor_type))
    return (least - zero) * scale, (greatest - zero) * scale


def _of_weight(name: str, override: dict[str, Any], tensor: Any, kind: QuantType, asymmetric: bool) -> tuple[float, float]:
    """The range of a weight that gives it the scale and zero point that are asked for."""
    import onnx

    middle = 128 if kind == QuantType.QUInt8 else 32768 if kind == QuantType.QUInt16 else 0
    if "scale" in override:
        scale, zero = float(override["scale"]), int(override["zero_point"])
    else:
        symmetric = override.get("symmetric", not asymmetric)
        least, greatest = get_qmin_qmax_for_qType(kind.tensor_type, override.get("reduce_range", False), symmetric)
        elements = onnx.numpy_helper.to_array(tensor)
        low, high = override.get("rmin", elements.min()), override.get("rmax", elements.max())
        zero_point, found = compute_scale_zp(low, high, least, greatest, symmetric)
        scale, zero = float(found), int(zero_point)
    if asymmetric:
        return _spanned(kind, scale, zero)
    if zero != middle:
        raise ValueError(f"weight '{name}' has the zero point {zero}: give WeightSymmetric=False, with per_channel=False")
    largest = int(get_qmin_qmax_for_qType(kind.tensor_type)[1]) - middle
    return -largest * scale, largest * scale


def applied(
    ranges: dict[str, tuple[float, float]],
    overrides: dict[str, Any],
    model: Any,
    activation_type: QuantType,
    weight_type: QuantType,
    asymmetric: bool,
) -> dict[str, tuple[float, float]]:
    """The ranges with what is asked of single tensors, weights too.

    Raises:
        ValueError: A weight is to have a zero point where weights have none.
    """
    ranges = dict(ranges)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for name, (override, *_) in overrides.items():
        if name in weights:
            if override:
                kind = _as_types(override, weight_type)
                ranges[name] = _of_weight(name, override, weights[name], kind, asymmetric)
            continue
        if name not in ranges:
            message = f"tensor '{name}' stays float, so what TensorQuantOverrides says of it has no effect"
            warnings.warn(message, QuantizationWarning, stacklevel=4)
            continue
        low, high = ranges[name]
        if "rmin" in override:
            low, high = float(override["rmin"]), float(override["rmax"])
        elif "scale" in override:
            kind = _as_types(override, activation_type)
            low, high = _spanned(kind, float(override["scale"]), int(override["zero_point"]))
        if override.get("symmetric"):
            high = max(abs(low), abs(high))
            low = -high
        ranges[name] = low, high
    return ranges


def differing(path: Any, overrides: dict[str, Any]) -> list[str]:
    """The tensors that a model at a path has quantized with another scale than was asked for."""
    import numpy
    import onnx

    asked = {name: override["scale"] for name, (override, *_) in overrides.items() if "scale" in override}
    if not asked:
        return []
    constants = {tensor.name: tensor for tensor in onnx.load(str(path), load_external_data=False).graph.initializer}
    found = {name: constants.get(f"{name}_scale") for name in asked}
    scales = {name: onnx.numpy_helper.to_array(tensor) for name, tensor in found.items() if tensor is not None}
    return [name for name, scale in scales.items() if not numpy.isclose(scale, asked[name], rtol=1e-5)]
