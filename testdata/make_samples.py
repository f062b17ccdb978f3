#!/usr/bin/env python3
"""Writes `samples/`: calibration samples as numpy itself writes them.

    pip install -r ../tests/runtime/requirements.txt
    python make_samples.py

`tests/samples/numpy.rs` knows what is in them: every array counts up from 1.
"""

from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent / "samples"
TYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def counting(shape, dtype):
    """1, 2, 3, ... in row-major order."""
    return np.arange(1, np.prod(shape, dtype=int) + 1).reshape(shape).astype(dtype)


def main():
    """Writes all files."""
    HERE.mkdir(exist_ok=True)
    arrays = {name: counting((2, 3), name) for name in TYPES}
    arrays["bool"] = np.array([[True, False, True], [False, False, True]])
    arrays["scalar"] = counting((), "float32")
    arrays["none"] = np.zeros((0, 4), "float32")
    np.savez(HERE / "stored.npz", **arrays)
    np.savez_compressed(HERE / "compressed.npz", **arrays)

    big = {name: array.astype(array.dtype.newbyteorder(">")) for name, array in arrays.items()}
    np.savez(HERE / "big_endian.npz", **big)
    np.savez(HERE / "fortran_order.npz", **{name: np.asarray(array, order="F") for name, array in arrays.items()})
    np.save(HERE / "big_endian_fortran_order.npy", np.asfortranarray(counting((2, 3, 4), ">f4")))
    for version in [(2, 0), (3, 0)]:
        with open(HERE / f"version_{version[0]}.npy", "wb") as file:
            np.lib.format.write_array(file, counting((2, 3, 4), "float32"), version=version)


if __name__ == "__main__":
    main()
