"""Writes the seeds that are made: small models, one for each operator, files of ranges, and files of samples.

Run with the packages of tests/suite/runtime/requirements.txt. Seeds called fault_* are inputs that failed once: they stay.
"""

import io
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

SEEDS = Path(__file__).parent / "seeds"
LARGEST = 1024


def with_constants(case: onnx.ModelProto, inputs: list) -> onnx.ModelProto:
    """The model of a node test, with all inputs but the first as initializers: constants are what is rewritten."""
    model = onnx.ModelProto()
    model.CopyFrom(case)
    graph = model.graph
    model.producer_name = ""
    for info, value in list(zip(graph.input, inputs))[1:]:
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.nbytes <= 512:
            graph.initializer.append(numpy_helper.from_array(value, info.name))
            graph.input.remove(info)
    return model


def models() -> dict[str, onnx.ModelProto]:
    """The smallest node test of every operator."""
    smallest: dict[str, onnx.ModelProto] = {}
    for case in collect_testcases(None):
        if case.model is None or not case.data_sets or len(case.model.graph.node) != 1:
            continue
        op_type = case.model.graph.node[0].op_type
        model = with_constants(case.model, list(case.data_sets[0][0]))
        known = smallest.get(op_type)
        if model.ByteSize() <= LARGEST:
            if known is None or (len(model.graph.initializer) > 0, -model.ByteSize()) > (
                len(known.graph.initializer) > 0,
                -known.ByteSize(),
            ):
                smallest[op_type] = model
    return smallest


def samples() -> dict[str, bytes]:
    """An array in each of the ways that there are, of the shapes that the body's models have."""
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    y = np.zeros(2, np.int64)

    def saved(write) -> bytes:
        file = io.BytesIO()
        write(file)
        return file.getvalue()

    return {
        "stored.npz": saved(lambda file: np.savez(file, x=x, y=y)),
        "compressed.npz": saved(lambda file: np.savez_compressed(file, x=x, y=y)),
        "one.npy": saved(lambda file: np.save(file, x)),
        "big_endian_fortran.npy": saved(lambda file: np.save(file, np.asfortranarray(x.astype(">f8")))),
        "many.npy": saved(lambda file: np.save(file, np.stack([x[0], x[1]]).astype(np.float16))),
        "scalar.npy": saved(lambda file: np.save(file, np.float32(1))),
        "input_0.pb": numpy_helper.from_array(x, "x").SerializeToString(),
        "list.txt": b"# samples\n0.npz\n\n1.npy\nno/such.npz\n",
    }


def ranges() -> dict[str, bytes]:
    """Ranges of testdata/made/mlp.onnx in each of the formats."""
    histogram = {
        "min": -0.5,
        "max": 2.0,
        "runs": 2,
        "elements": 6,
        "nan": 0,
        "infinite": 0,
        "average": {"factor": 0.9801, "min": {"first": -0.5, "offset": -0.00995}, "max": {"first": 2.0, "offset": 0.0398}},
        "power": {"runs": 2, "log2": -524288},
        "histogram": [[-8064, 1], [0, 3], [8192, 2]],
    }
    given = {"min": -1.0, "max": 3.0, "given": True, "runs": 0, "elements": 0, "nan": 0, "infinite": 0}
    own = {"format": "onnx-quant ranges", "version": 1, "values": {"x": histogram, "relu_0": given, "gemm_1": given}}
    cache = {"gemm_0": [-3.1, 3.4], "relu_0": [0.0, 3.4], "gemm_1": [-4.9, 3.8], "x": [-2.5, 2.0], "y": [-3.6, 1.8]}
    table = {
        name: {"lowest": low, "highest": {"data": high, "dtype": "float32", "CLS": "numpy.array"}, "CLS": "TensorData"}
        for name, (low, high) in cache.items()
    }
    by_name = {"x": [{"bitwidth": 8, "max": 2.0, "min": -2.5, "offset": -142, "scale": 0.0176, "is_symmetric": "False"}]}
    listed = [{"name": "x", "bw": 8, "dtype": "INT", "enc_type": "PER_TENSOR", "is_sym": False, "offset": [-142], "scale": [0.0176]}]
    version_2 = [{"name": "x", "output_dtype": "uint8", "y_scale": 0.0176, "y_zero_point": 142}]
    return {
        "own.json": json.dumps(own).encode(),
        "onnxruntime_cache.json": json.dumps({"CLS": "TensorsData", "data": table}).encode(),
        "onnxruntime_table.json": json.dumps(table).encode(),
        "onnxruntime_pairs.json": json.dumps(cache).encode(),
        "tensorrt.cache": b"TRT-8601-EntropyCalibration2\nx: 3c010a14\nrelu_0: 3d010a14\ngemm_1: 3cc10a14\n",
        "aimet_0.6.json": json.dumps({"version": "0.6.1", "activation_encodings": by_name, "param_encodings": {}}).encode(),
        "aimet_1.json": json.dumps({"version": "1.0.0", "activation_encodings": listed, "param_encodings": []}).encode(),
        "aimet_2.json": json.dumps({"version": "2.0.0", "encodings": version_2}).encode(),
    }


def main() -> None:
    for folder, made in (("models", models()), ("ranges", ranges()), ("samples", samples())):
        (SEEDS / folder).mkdir(parents=True, exist_ok=True)
        for name, content in made.items():
            if isinstance(content, bytes):
                (SEEDS / folder / name).write_bytes(content)
            else:
                (SEEDS / folder / f"{name}.onnx").write_bytes(content.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
