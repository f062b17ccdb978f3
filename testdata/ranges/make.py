"""Makes the calibration caches of onnxruntime 1.32 beside this file: `python make.py`."""

import shutil
from pathlib import Path

import numpy as np
from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator, save_tensors_data
from onnxruntime.quantization.quant_utils import write_calibration_table

HERE = Path(__file__).parent
MODEL = HERE.parent / "made" / "mlp.onnx"


def samples(session):
    random = np.random.default_rng(7)
    for _ in range(3):
        yield {i.name: random.normal(size=[d if isinstance(d, int) else 2 for d in i.shape]).astype(np.float32)
               for i in session.get_inputs()}


def calibrate(method):
    calibrator = create_calibrator(str(MODEL), calibrate_method=method, augmented_model_path=str(HERE / "augmented.onnx"))
    reader = samples(calibrator.infer_session)
    calibrator.collect_data(type("Reader", (), {"get_next": lambda self: next(reader, None)})())
    (HERE / "augmented.onnx").unlink()
    tensors = calibrator.compute_data()
    tensors.data = dict(sorted(tensors.data.items()))  # they come in the order of a set
    return tensors


save_tensors_data(calibrate(CalibrationMethod.MinMax), HERE / "onnxruntime_cache.json")
table = HERE / "table"
table.mkdir(exist_ok=True)
write_calibration_table(calibrate(CalibrationMethod.Percentile).data, str(table))
shutil.move(table / "calibration.json", HERE / "onnxruntime_table.json")
shutil.rmtree(table)
