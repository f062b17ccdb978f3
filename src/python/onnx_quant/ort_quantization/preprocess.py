"""`python -m onnx_quant.ort_quantization.preprocess --input IN.onnx --output OUT.onnx`."""

from __future__ import annotations

import argparse

from onnx_quant.ort_quantization.shape_inference import quant_pre_process

__all__ = ["quant_pre_process"]


def main() -> None:
    """Simplifies a model."""
    parser = argparse.ArgumentParser(description="Simplify a model before it is quantized.")
    parser.add_argument("--input", required=True, help="the model")
    parser.add_argument("--output", required=True, help="where the simplified one is written")
    parser.add_argument("--skip_optimization", action="store_true", help="copy the model")
    parser.add_argument("--save_as_external_data", action="store_true", help="put large tensors beside the model")
    arguments = parser.parse_args()
    quant_pre_process(
        arguments.input,
        arguments.output,
        skip_optimization=arguments.skip_optimization,
        save_as_external_data=arguments.save_as_external_data,
        all_tensors_to_one_file=True,
    )


if __name__ == "__main__":
    main()
