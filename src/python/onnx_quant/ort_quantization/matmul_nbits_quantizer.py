"""Weights of 2, 4 and 8 bits in blocks, for onnxruntime's MatMulNBits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

import onnx_quant
from onnx_quant.ort_quantization import _selection
from onnx_quant.ort_quantization.quant_utils import QuantFormat

_Types = Optional[Sequence[str]]
_Axes = Optional[Sequence[tuple[str, int]]]


class WeightOnlyQuantConfig:
    """How weights are quantized; its subclasses are meant."""

    block_size: Optional[int] = None
    is_symmetric: Optional[bool] = None
    accuracy_level: Optional[int] = None
    bits: Optional[int] = None
    channel_wised_quantize = False
    quant_axes: dict[str, int] = {}
    weight_scales: Optional[str] = None
    """How scales are chosen, by this tool's name."""

    def __init__(
        self,
        algorithm: str,
        quant_format: QuantFormat,
        op_types_to_quantize: _Types = None,
        quant_axes: _Axes = None,
        customized_weight_config: Optional[dict[str, Any]] = None,
    ) -> None:
        if customized_weight_config:
            raise ValueError("customized_weight_config is not done: quantize with several calls that name their nodes")
        self.algorithm = algorithm
        self.quant_format = quant_format
        self.op_types_to_quantize = tuple(op_types_to_quantize or ("MatMul",))
        self.quant_axes = {"MatMul": 0, "Gather": 1, **dict(quant_axes or ())}


class DefaultWeightOnlyQuantConfig(WeightOnlyQuantConfig):
    """Blocks of weights with a scale each, and with a zero point unless they are symmetric."""

    def __init__(
        self,
        block_size: int = 128,
        is_symmetric: bool = False,
        accuracy_level: Optional[int] = None,
        quant_format: QuantFormat = QuantFormat.QOperator,
        op_types_to_quantize: _Types = None,
        quant_axes: _Axes = None,
        bits: int = 4,
        channel_wised_quantize: bool = False,
    ) -> None:
        super().__init__("DEFAULT", quant_format, op_types_to_quantize, quant_axes)
        self.block_size = block_size
        self.is_symmetric = is_symmetric
        self.accuracy_level = accuracy_level
        self.bits = bits
        self.channel_wised_quantize = channel_wised_quantize


class _FixedRatios(WeightOnlyQuantConfig):
    """An algorithm whose ratios of clipping nobody sets."""

    _algorithm: str
    _instead: str
    """What decides on the ratios."""

    def __init__(
        self,
        ratios: Optional[dict[str, float]] = None,
        quant_format: QuantFormat = QuantFormat.QOperator,
        op_types_to_quantize: _Types = None,
        customized_weight_config: Optional[dict[str, Any]] = None,
    ) -> None:
        if ratios:
            raise ValueError(f"ratios of clipping are not set by hand: {self._instead}")
        super().__init__(self._algorithm, quant_format, op_types_to_quantize, None, customized_weight_config)


class RTNWeightOnlyQuantConfig(_FixedRatios):
    """Scales by the range of the weights."""

    weight_scales = "minmax"
    _algorithm = "RTN"
    _instead = "HQQWeightOnlyQuantConfig finds those of least error"


class KQuantWeightOnlyQuantConfig(_FixedRatios):
    """Scales with the least squared error, found by search."""

    weight_scales = "mse"
    _algorithm = "k_quant"
    _instead = "those of least error are found"


class HQQWeightOnlyQuantConfig(WeightOnlyQuantConfig):
    """Scales with the least squared error, found by search; no samples are needed."""

    weight_scales = "mse"

    def __init__(
        self,
        block_size: int = 128,
        bits: int = 4,
        axis: int = 1,
        quant_format: QuantFormat = QuantFormat.QOperator,
        op_types_to_quantize: _Types = None,
        quant_axes: _Axes = None,
    ) -> None:
        if axis != 1:
            raise ValueError("axis is 1: blocks lie along what a product sums over")
        super().__init__("HQQ", quant_format, op_types_to_quantize, quant_axes)
        self.block_size = block_size
        self.bits = bits
        self.is_symmetric = False


class GPTQWeightOnlyQuantConfig(WeightOnlyQuantConfig):
    """Is not done: MatMulNBitsQuantizer refuses it."""

    def __init__(
        self,
        calibration_data_reader: Any = None,
        percdamp: float = 0.01,
        block_size: int = 128,
        actorder: bool = False,
        mse: bool = False,
        perchannel: bool = True,
        quant_format: QuantFormat = QuantFormat.QOperator,
        op_types_to_quantize: _Types = None,
    ) -> None:
        super().__init__("GPTQ", quant_format, op_types_to_quantize)
        self.calibration_data_reader = calibration_data_reader
        self.percdamp = percdamp
        self.block_size = block_size
        self.actorder = actorder
        self.mse = mse
        self.perchannel = perchannel


class NVAWQWeightOnlyQuantConfig(WeightOnlyQuantConfig):
    """Is not done: MatMulNBitsQuantizer refuses it."""

    def __init__(
        self,
        tokenizer_dir: str,
        dataset_name: str = "cnn",
        cache_dir: str = "./cache",
        calibration_method: str = "awq_lite",
    ) -> None:
        super().__init__("nvidia_awq", QuantFormat.QDQ)
        self.tokenizer_dir = tokenizer_dir
        self.dataset_name = dataset_name
        self.cache_dir = cache_dir
        self.calibration_method = calibration_method


class QuantizedModel:
    """What `MatMulNBitsQuantizer.model` is: `.model` is the onnx.ModelProto."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def save_model_to_file(self, output_path: Union[str, Path], use_external_data_format: bool = False) -> None:
        """Writes it, with the tensors in a file beside it if that is wanted."""
        import onnx

        options: dict[str, Any] = {}
        if use_external_data_format:
            location = f"{Path(output_path).name}.data"
            (Path(output_path).parent / location).unlink(missing_ok=True)
            options = {"save_as_external_data": True, "all_tensors_to_one_file": True, "location": location}
        onnx.save_model(self.model, os.fspath(output_path), **options)

    def opset_import(self) -> Any:
        """The operator sets."""
        return self.model.opset_import

    def graph(self) -> Any:
        """The graph."""
        return self.model.graph


class MatMulNBitsQuantizer:
    """Quantizes the constant right factors of products, and tables, to 2, 4 or 8 bits in blocks.

    `process()` does it, to `.model`. With `QuantFormat.QOperator`, the default, operators become onnxruntime's MatMulNBits
    and GatherBlockQuantized; with `QuantFormat.QDQ` weights get a DequantizeLinear, of which onnxruntime makes the same
    when it loads the model.
    """

    def __init__(
        self,
        model: Any,
        bits: int = 4,
        block_size: int = 128,
        is_symmetric: bool = False,
        accuracy_level: Optional[int] = None,
        nodes_to_exclude: Optional[Sequence[str]] = None,
        nodes_to_include: Optional[Sequence[str]] = None,
        quant_format: QuantFormat = QuantFormat.QOperator,
        op_types_to_quantize: Optional[tuple[str, ...]] = None,
        quant_axes: Optional[tuple[tuple[str, int], ...]] = None,
        channel_wised_quantize: bool = False,
        algo_config: Optional[WeightOnlyQuantConfig] = None,
    ) -> None:
        import onnx

        self.model = QuantizedModel(onnx.load(os.fspath(model)) if isinstance(model, (str, os.PathLike)) else model)
        self.nodes_to_exclude = set(nodes_to_exclude or ())
        self.nodes_to_include = set(nodes_to_include or ())
        self.algo_config = algo_config or DefaultWeightOnlyQuantConfig(
            block_size, is_symmetric, accuracy_level, quant_format, op_types_to_quantize, quant_axes, bits,
            channel_wised_quantize,
        )
        config = self.algo_config
        self.bits = bits if config.bits is None else config.bits
        self.block_size = block_size if config.block_size is None else config.block_size
        self.is_symmetric = is_symmetric if config.is_symmetric is None else config.is_symmetric
        self.accuracy_level = accuracy_level if config.accuracy_level is None else config.accuracy_level

    def process(self) -> None:
        """Quantizes the model.

        Raises:
            ValueError: The algorithm is not done, or the form has no such blocks.
        """
        config = self.algo_config
        if config.algorithm in ("GPTQ", "nvidia_awq"):
            raise ValueError(
                f"{config.algorithm} is not done: use HQQWeightOnlyQuantConfig, which needs no samples, or "
                "DefaultWeightOnlyQuantConfig"
            )
        types = config.op_types_to_quantize
        axes = {name: axis for name, axis in config.quant_axes.items() if name in types}
        if axes.get("MatMul", 0) != 0 or axes.get("Gather", 1) not in (1, -1):
            raise ValueError(f"quant_axes {axes}: blocks lie along axis 0 of a product's weight and the last one of a table")
        operators = config.quant_format == QuantFormat.QOperator
        if self.bits not in ((2, 4, 8) if operators else (4,)):
            raise ValueError(f"{self.bits} bits: QuantFormat.QOperator has 2, 4 and 8, QuantFormat.QDQ has 4")
        if operators and config.channel_wised_quantize:
            raise ValueError("channel_wised_quantize is for QuantFormat.QDQ")
        options: dict[str, Any] = {
            "weights": f"uint{self.bits}" if operators or not self.is_symmetric else f"int{self.bits}",
            "asymmetric": not self.is_symmetric,
            "granularity": "per-channel" if config.channel_wised_quantize else f"block:{self.block_size}",
            "weight_scales": config.weight_scales,
            "exclude": _selection.excluded(self.model.model, types, self.nodes_to_include, self.nodes_to_exclude),
            "allow_growth": True,
        }
        if operators:
            options.update(weight_form="matmulnbits", accuracy_level=self.accuracy_level)
        self.model = QuantizedModel(onnx_quant.quantize(self.model.model, **options).model)

    def int4_quant_algo(self) -> None:
        """`process` by its former name."""
        self.process()
