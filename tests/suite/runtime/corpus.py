"""The models that the onnx package tests backends with: those it has as files, and those it makes,
one for every operator and option. Each comes with inputs and the outputs that are expected."""

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.backend.test import loader
from onnx.backend.test.case.node import collect_testcases

from reference import Reference

# As onnx's own runner has it.
RTOL, ATOL = 1e-3, 1e-5


def file_cases():
    """Models in files: a name, the model, pairs of inputs and expected outputs."""
    for path in sorted(Path(loader.__file__).parents[1].glob("data/*/*/model.onnx")):
        model = onnx.load(path)
        sets = []
        for folder in sorted(path.parent.glob("test_data_set_*")):
            inputs = [value(folder / f"input_{i}.pb", one) for i, one in enumerate(fed(model))]
            outputs = [value(folder / f"output_{i}.pb", one) for i, one in enumerate(model.graph.output)]
            sets.append((inputs, outputs))
        yield path.parent.name, model, sets


def fed(model):
    """The inputs that are no initializers."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [one for one in model.graph.input if one.name not in constants]


def value(path, info):
    """A value from a file, of the kind that the model states."""
    kind = info.type.WhichOneof("value")
    if kind == "sequence_type":
        return numpy_helper.to_list(onnx.SequenceProto.FromString(path.read_bytes()))
    if kind == "optional_type":
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(path.read_bytes()))
    return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


@cache
def cases():
    """All cases by name, the same on every run."""
    np.random.seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = [(case.name, case.model, case.data_sets) for case in collect_testcases(None)]
    return {name: (model, sets) for name, model, sets in [*file_cases(), *made]}


def write_corpus(request):
    """Writes all models into a folder; returns their names. With `constant`, those that can be written
    with their inputs as initializers."""
    names = []
    for name, (model, sets) in cases().items():
        written = with_constants(model, sets) if request["constant"] else model
        if written is not None:
            Path(request["folder"], f"{name}.onnx").write_bytes(written.SerializeToString(deterministic=True))
            names.append(name)
    return names


def with_constants(model, sets):
    """A copy of a model that has its inputs as initializers; nothing where one of them is no tensor of
    numbers, or there are several sets of them."""
    if len(sets) != 1 or not all(isinstance(one, np.ndarray) and one.dtype != object for one in sets[0][0]):
        return None
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    # Before that every initializer has to be an input.
    copy.ir_version = max(copy.ir_version, 4)
    for one, constant in zip(fed(model), sets[0][0], strict=True):
        copy.graph.input.remove(one)
        copy.graph.initializer.append(numpy_helper.from_array(constant, one.name))
    return copy


def write_engine_corpus(request):
    """Writes the models whose inputs and outputs are tensors of numbers, as an engine that observes floats
    alone can be asked for them: each output is made a float, and comes with its shape. Beside each model,
    a file for each of its sets of inputs and expected outputs; returns the names with the outputs of each
    that are to be watched."""
    folder, written = Path(request["folder"]), {}
    for name, (model, sets) in cases().items():
        if not all(numeric(one) for pair in sets for side in pair for one in side):
            continue
        copy = onnx.ModelProto.FromString(model.SerializeToString())
        # Before that Cast has another form.
        opset = next((one.version for one in copy.opset_import if one.domain in ("", "ai.onnx")), 0)
        casts = opset >= 6
        taken = {value for node in copy.graph.node for value in [*node.input, *node.output]}
        watched = []
        for place, one in enumerate(model.graph.output):
            floating = sets[0][1][place].dtype.kind == "f" and sets[0][1][place].dtype.name != "float16"
            if not floating and not casts:
                continue
            value, shape = f"value {place}", f"shape {place}"
            assert not taken & {value, shape}
            to = onnx.TensorProto.FLOAT
            kind = onnx.helper.make_node("Cast", [one.name], [value], to=to) if casts else onnx.helper.make_node("Identity", [one.name], [value])
            copy.graph.node.append(kind)
            if casts:
                copy.graph.node.append(onnx.helper.make_node("Shape", [one.name], [f"{shape} integers"]))
                copy.graph.node.append(onnx.helper.make_node("Cast", [f"{shape} integers"], [shape], to=to))
            watched.append(place)
        if not watched or not model.graph.node:
            continue
        Path(folder, f"{name}.onnx").write_bytes(copy.SerializeToString(deterministic=True))
        for number, (inputs, outputs) in enumerate(sets):
            tensors = [numpy_helper.from_array(array, one.name) for one, array in zip(fed(model), inputs) if array is not None]
            for place in watched:
                array = np.asarray(outputs[place]).astype(np.float32)
                tensors.append(numpy_helper.from_array(array, f"value {place}"))
            graph = onnx.helper.make_graph([], "data", [], [], tensors)
            Path(folder, f"{name}.{number}.data").write_bytes(onnx.helper.make_model(graph).SerializeToString())
        written[name] = {"outputs": watched, "sets": len(sets), "shapes": casts}
    return written


def numeric(value):
    """Whether a value is a tensor of numbers that numpy has, or one that is left out."""
    return value is None or isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "fiub"


def run_case(request):
    """Runs a model, the case's own or another that is to do the same; fails if an output is not the
    expected one."""
    failure = outcome(request["case"], request["model"], request["engine"])
    if failure:
        raise ValueError(failure)


@cache
def outcome(case, path, engine):
    """Why a model fails; nothing if it does not."""
    try:
        run(onnx.load(path), cases()[case][1], engine)
    except Exception as error:  # every library has exceptions of its own
        return f"{type(error).__name__}: {error}"


def run(model, sets, engine):
    """Runs a model on all sets of inputs."""
    names = [one.name for one in fed(model)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session = runner(model, engine)
        for inputs, expected in sets:
            # An optional input that is left out is fed as None; where the inputs are constants, nothing is.
            feeds = dict(zip(names, inputs, strict=True)) if names else {}
            got = session(feeds)
            for one, wanted in zip(got, expected, strict=True):
                assert_same(one, wanted)


def runner(model, engine):
    """A function from inputs to outputs."""
    if engine == "reference":
        evaluator = Reference(model)
        return lambda feeds: evaluator.run(None, feeds)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda feeds: session.run(None, feeds)


def assert_same(got, wanted):
    """Fails unless two values, tensors or lists of them, are as good as equal."""
    if wanted is None or isinstance(wanted, list):
        if wanted is None:
            assert got is None, "a value where none is expected"
            return
        assert len(got) == len(wanted), f"{len(got)} elements, not {len(wanted)}"
        for one, other in zip(got, wanted):
            assert_same(one, other)
        return
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert got.dtype == wanted.dtype, f"{got.dtype}, not {wanted.dtype}"
    assert got.shape == wanted.shape, f"{got.shape}, not {wanted.shape}"
    if got.dtype.kind in "OUS":
        assert (got == wanted).all(), "texts differ"
        return
    if got.dtype.kind == "V" or got.dtype.name.startswith(("float8", "bfloat", "float4", "float6", "int4", "uint4", "int2", "uint2")):
        got, wanted = got.astype(np.float32), wanted.astype(np.float32)
    np.testing.assert_allclose(got, wanted, rtol=RTOL, atol=ATOL)
