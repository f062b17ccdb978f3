"""One calibration by onnxruntime's own tools, for the benchmark beside this file.

    python calibration.py METHOD MODEL FOLDER COUNT RESULT

METHOD is plain (the model is only run), MinMax, Percentile or Entropy. Writes the seconds, without those that Python
took to start, to RESULT.
"""

import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator


def main():
    method, model, folder, count, result = sys.argv[1:]
    onnxruntime.set_default_logger_severity(3)
    started = time.perf_counter()
    session = None
    if method == "plain":
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        names = [node.name for node in session.get_inputs()]
        for sample in Samples(folder, int(count), names):
            session.run(None, sample)
    else:
        names = [node.name for node in onnxruntime.InferenceSession(model).get_inputs()]
        with tempfile.TemporaryDirectory() as augmented:
            calibrator = create_calibrator(
                model,
                op_types_to_calibrate=["Conv", "MatMul", "Gemm"],
                augmented_model_path=str(Path(augmented) / "augmented.onnx"),
                calibrate_method=CalibrationMethod[method],
            )
            calibrator.collect_data(Samples(folder, int(count), names))
            calibrator.compute_data()
    Path(result).write_text(str(time.perf_counter() - started))


class Samples(CalibrationDataReader):
    """The files of a folder in the order of their numbers, read when their turn comes."""

    def __init__(self, folder, count, names):
        paths = [path for path in Path(folder).iterdir() if path.suffix in (".npz", ".npy")]
        number = lambda path: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]
        self.paths = iter(sorted(paths, key=number)[:count])
        self.names = names

    def get_next(self):
        path = next(self.paths, None)
        if path is None:
            return None
        loaded = np.load(path)
        return {self.names[0]: loaded} if path.suffix == ".npy" else dict(loaded)


if __name__ == "__main__":
    main()
