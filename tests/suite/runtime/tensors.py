"""Tensors in JSON, random inputs that fit a model's declared inputs, and distances."""

import numpy as np
import onnx
from onnx import helper


def number(value):
    """A number as JSON can hold it: NaN and the infinities as strings."""
    value = value.item() if hasattr(value, "item") else value
    return value if np.isfinite(value) else str(value)


def to_json(array):
    """A tensor: its type, shape and elements in row-major order."""
    array = np.asarray(array)
    # Booleans go as 0 and 1; bfloat16 and the like, which numpy itself does not know, as float32.
    plain = {"b": np.uint8, "V": np.float32}.get(array.dtype.kind, array.dtype)
    return {
        "dtype": str(array.dtype),
        "shape": list(array.shape),
        "values": [number(value) for value in array.astype(plain).ravel()],
    }


def from_json(tensor):
    """The array that `to_json` was given."""
    values = [float(v) if isinstance(v, str) else v for v in tensor["values"]]
    return np.array(values, dtype=tensor["dtype"]).reshape(tensor["shape"])


def random_inputs(model, seed=0, dims=None, feeds=None):
    """Values for the model's inputs: from `feeds` where given, random for the rest.

    `dims` gives sizes to named dimensions, or to an input's dimension as in `x.2`; a dimension that
    is not known otherwise is 2. Integers are from 0 to 3, so that they will do as indices into
    small tables, and scalars from 1 to 3, so that a Loop runs. Initializers that are listed as inputs keep their values.
    """
    graph = onnx.load(model, load_external_data=False).graph
    random, dims, feeds = np.random.default_rng(seed), dims or {}, feeds or {}
    defaults = {tensor.name for tensor in graph.initializer}
    values = {}
    for declared in graph.input:
        name, kind = declared.name, declared.type.tensor_type
        if name in feeds:
            values[name] = from_json(feeds[name])
        elif name not in defaults:
            sizes = [size(dim, f"{name}.{axis}", dims) for axis, dim in enumerate(kind.shape.dim)]
            values[name] = random_array(random, sizes, helper.tensor_dtype_to_np_dtype(kind.elem_type))
    return values


def size(dim, place, dims):
    """The size of one dimension of an input; `dims` has no say where the model states it."""
    return dim.dim_value if dim.dim_value > 0 else dims.get(place, dims.get(dim.dim_param, 2))


def random_array(random, sizes, dtype):
    """Random elements that make sense for the type."""
    if dtype == np.bool_:
        return random.integers(0, 2, sizes).astype(np.bool_)
    if np.issubdtype(dtype, np.integer):
        return random.integers(0 if sizes else 1, 4, sizes).astype(dtype)
    return random.standard_normal(sizes).astype(dtype)


def difference(expected, got):
    """How far `got` is from `expected`: the largest absolute difference, the same relative to the
    largest magnitude expected, and the signal to quantization noise ratio in decibels. Elements that
    are NaN on both sides agree; NaN on one side is infinitely far away."""
    expected, got = np.asarray(expected), np.asarray(got)
    if expected.shape != got.shape or expected.dtype != got.dtype:
        raise ValueError(f"{expected.dtype}{expected.shape} against {got.dtype}{got.shape}")
    left, right = expected.astype(np.float64), got.astype(np.float64)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        noise = np.where(same, 0.0, np.abs(left - right))
    noise[np.isnan(noise)] = np.inf
    signal = np.abs(left[np.isfinite(left)])
    largest, peak = np.max(noise, initial=0.0), np.max(signal, initial=0.0)
    power = np.sum(noise**2)
    with np.errstate(divide="ignore"):
        sqnr = 10 * np.log10(np.sum(signal**2) / power) if power else np.inf
    return {
        "identical": bool(same.all()),
        "max_abs": number(largest),
        "relative": number(largest / peak if peak else largest),
        "sqnr_db": number(sqnr),
    }
