"""The names that `matmul_nbits_quantizer` had before onnxruntime 1.22."""

from __future__ import annotations

from typing import Any, Optional

from onnx_quant.ort_quantization.matmul_nbits_quantizer import (
    DefaultWeightOnlyQuantConfig,
    GPTQWeightOnlyQuantConfig,
    HQQWeightOnlyQuantConfig,
    MatMulNBitsQuantizer,
    RTNWeightOnlyQuantConfig,
    WeightOnlyQuantConfig,
)

__all__ = [
    "DefaultWeightOnlyQuantConfig",
    "GPTQWeightOnlyQuantConfig",
    "HQQWeightOnlyQuantConfig",
    "MatMul4BitsQuantizer",
    "RTNWeightOnlyQuantConfig",
    "WeightOnlyQuantConfig",
]


class MatMul4BitsQuantizer(MatMulNBitsQuantizer):
    """MatMulNBitsQuantizer for 4 bits, with its former arguments."""

    def __init__(
        self,
        model: Any,
        block_size: int = 128,
        is_symmetric: bool = False,
        accuracy_level: Optional[int] = None,
        nodes_to_exclude: Any = None,
        nodes_to_include: Any = None,
        quant_format: Any = None,
        op_types_to_quantize: Any = None,
        quant_axes: Any = None,
        algo_config: Optional[WeightOnlyQuantConfig] = None,
    ) -> None:
        given = {} if quant_format is None else {"quant_format": quant_format}
        super().__init__(
            model, 4, block_size, is_symmetric, accuracy_level, nodes_to_exclude, nodes_to_include,
            op_types_to_quantize=op_types_to_quantize, quant_axes=quant_axes, algo_config=algo_config, **given,
        )
