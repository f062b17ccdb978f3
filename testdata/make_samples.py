#!/usr/bin/env python3
"""Writes `samples/`, calibration samples as numpy itself writes them, and `calibration/`, samples for a model.

    pip install -r ../tests/suite/runtime/requirements.txt
    python make_samples.py

`tests/suite/samples/numpy.rs` knows what is in `samples/`: every array counts up from 1. Those in `calibration/` are made
up, so that they have no origin but this script, and look like what the model was trained for.
"""

from pathlib import Path

import numpy as np

TESTDATA = Path(__file__).resolve().parent
HERE = TESTDATA / "samples"
KEYWORDS = TESTDATA / "calibration" / "kws_dscnn"
TYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def counting(shape, dtype):
    """1, 2, 3, ... in row-major order."""
    return np.arange(1, np.prod(shape, dtype=int) + 1).reshape(shape).astype(dtype)


def keyword(generator):
    """Logarithms of mel energies, 62 frames of 40 bands: a spoken word between silences at the floor of ln 0.0001."""
    floor, frames, bands = np.log(1e-4), np.arange(62)[:, None], np.arange(40)[None, :]
    middle, length = generator.uniform(15, 45), generator.uniform(6, 14)
    energies = np.zeros((62, 40))
    for _ in range(3):  # formants: bands that are loud, and move
        band, drift, loudness = generator.uniform(3, 36), generator.uniform(-0.3, 0.3), generator.uniform(-4, 1.7)
        distance = (bands - band - drift * (frames - middle)) / generator.uniform(1.5, 4)
        energies += np.exp(loudness - distance**2 - ((frames - middle) / length) ** 4)
    noise = np.exp(generator.normal(0, 0.5, energies.shape))
    return np.maximum(np.log(energies * noise + 1e-4), floor).round(2).astype("float32")[None]


def main():
    """Writes all files."""
    KEYWORDS.mkdir(parents=True, exist_ok=True)
    generator = np.random.Generator(np.random.PCG64(1))
    for index in range(4):
        np.savez_compressed(KEYWORDS / f"{index}.npz", logmel=keyword(generator))

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
