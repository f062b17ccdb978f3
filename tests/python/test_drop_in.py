"""The drop-in's names and signatures, what it refuses, and what it warns of."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
reference = pytest.importorskip("onnxruntime.quantization")

from drop_in_models import decoder, resnet, samples  # noqa: E402
from onnx_quant import ort_quantization as drop_in  # noqa: E402
from onnx_quant.ort_quantization import QuantFormat, QuantizationWarning, QuantType, quant_utils  # noqa: E402

FUNCTIONS = ["quantize_static", "quantize_dynamic", "quantize", "StaticQuantConfig", "DynamicQuantConfig", "get_qdq_config",
             "quant_pre_process", "create_calibrator", "write_calibration_table"]


def parameters(function):
    return [(name, one.kind) for name, one in inspect.signature(function).parameters.items()]


def is_current():
    import onnxruntime

    return tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 32)


@pytest.mark.skipif(not is_current(), reason="signatures are those of onnxruntime 1.32")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_are_those_of_onnxruntime(name):
    ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in (drop_in, reference))
    named = lambda these: [one.name for one in these.values() if one.kind != one.VAR_KEYWORD]  # noqa: E731
    assert named(ours) == named(theirs)
    for argument in named(ours):
        default = theirs[argument].default
        ours_is = ours[argument].default
        assert str(ours_is) == str(default) or {str(ours_is), str(default)} == {"None", "{}"}, argument


@pytest.mark.skipif(not is_current(), reason="signatures are those of onnxruntime 1.32")
@pytest.mark.parametrize("name", ["MatMulNBitsQuantizer", "DefaultWeightOnlyQuantConfig", "RTNWeightOnlyQuantConfig",
                                  "KQuantWeightOnlyQuantConfig", "GPTQWeightOnlyQuantConfig", "HQQWeightOnlyQuantConfig",
                                  "NVAWQWeightOnlyQuantConfig"])
def test_arguments_for_weights_are_those_of_onnxruntime(name):
    theirs = pytest.importorskip("onnxruntime.quantization.matmul_nbits_quantizer")
    from onnx_quant.ort_quantization import matmul_nbits_quantizer as ours

    assert parameters(getattr(ours, name)) == parameters(getattr(theirs, name))


@pytest.mark.skipif(not is_current(), reason="signatures are those of onnxruntime 1.32")
def test_arguments_for_qnn_are_those_of_onnxruntime():
    from onnx_quant.ort_quantization.execution_providers import qnn as ours
    from onnxruntime.quantization.execution_providers import qnn as theirs

    for name in ("get_qnn_qdq_config", "qnn_preprocess_model"):
        assert parameters(getattr(ours, name)) == parameters(getattr(theirs, name))


def test_types_have_onnx_numbers():
    for kind in QuantType:
        assert kind.tensor_type == reference.QuantType[kind.name].tensor_type
    assert QuantType.from_string("QInt8") is QuantType.QInt8 and str(QuantFormat.QDQ) == "QDQ"


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("low,high", [(-1.0, 3.0), (0.5, 2.0), (-4.0, -1.0), (0.0, 0.0)])
def test_scales_are_those_of_onnxruntime(low, high, symmetric):
    theirs = pytest.importorskip("onnxruntime.quantization.quant_utils")
    ends = np.float32(low), np.float32(high)
    for kind in (onnx.TensorProto.UINT8, onnx.TensorProto.INT8, onnx.TensorProto.UINT16, onnx.TensorProto.INT16):
        found = [module.compute_scale_zp(*ends, *module.get_qmin_qmax_for_qType(kind, symmetric=symmetric), symmetric)
                 for module in (quant_utils, theirs)]
        assert found[0][0] == found[1][0] and np.isclose(found[0][1], found[1][1], rtol=1e-7)


class Reader(drop_in.CalibrationDataReader):
    def __init__(self, model):
        self.feeds = iter(samples(model, 4))

    def get_next(self):
        return next(self.feeds, None)


def static(tmp_path, **options):
    model = resnet()
    drop_in.quantize_static(model, str(tmp_path / "out.onnx"), Reader(model), **options)
    return onnx.load(tmp_path / "out.onnx")


REFUSED = [
    ({"quant_format": QuantFormat.QOperator}, "QuantFormat.QDQ"),
    ({"activation_type": QuantType.QFLOAT8E4M3FN}, "both are float8"),
    ({"weight_type": QuantType.QInt4}, "MatMulNBitsQuantizer"),
    ({"calibrate_method": drop_in.CalibrationMethod.Distribution}, "Percentile"),
    ({"calibration_providers": ["CUDAExecutionProvider"]}, "CPU"),
    ({"extra_options": {"SmoothQuant": True}}, "per_channel"),
    ({"extra_options": {"QuantizeBias": False}}, "nodes_to_exclude"),
    ({"extra_options": {"DedicatedQDQPair": True}}, "leave it out"),
    ({"extra_options": {"OpTypesToExcludeOutputQuantization": ["Conv"]}}, "nodes_to_exclude"),
    ({"extra_options": {"QDQOpTypePerChannelSupportToAxis": {"Conv": 1}}}, "output channels"),
    ({"extra_options": {"TensorQuantOverrides": {"nowhere": [{}]}}}, "is not present in the model"),
    ({"extra_options": {"TensorQuantOverrides": {"r0": [{"quant_type": QuantType.QInt4}]}}}, "QInt16"),
    ({"extra_options": {"TensorQuantOverrides": {"r0": [{"convert": {"quant_type": QuantType.QInt16}}]}}}, "convert"),
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("options,instead", REFUSED)
def test_what_is_not_done_is_refused_with_what_is(tmp_path, options, instead):
    with pytest.raises(ValueError, match=instead.replace(".", r"\.")):
        static(tmp_path, **options)
    assert not (tmp_path / "out.onnx").exists()


def test_poor_choices_are_warned_of(tmp_path):
    with pytest.warns(QuantizationWarning, match="QUInt8 and per_channel"):
        static(tmp_path)
    with pytest.warns(QuantizationWarning, match="Conv_nowhere"):
        static(tmp_path, nodes_to_exclude=["Conv_nowhere"])
    with pytest.warns(QuantizationWarning, match="Mystery"):
        static(tmp_path, extra_options={"Mystery": 1})


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_ranges_of_single_tensors_are_as_asked(tmp_path):
    asked = {"r0": [{"rmin": 0.0, "rmax": 5.1}], "input": [{"scale": np.float32(0.25), "zero_point": np.uint8(30)}]}
    model = static(tmp_path, activation_type=QuantType.QUInt8, extra_options={"TensorQuantOverrides": asked})
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert constants["r0_scale"] == np.float32(0.02) and constants["r0_zero_point"] == 0
    assert constants["input_scale"] == np.float32(0.25) and constants["input_zero_point"] == 30


def test_ranges_that_a_relu_limits_are_warned_of(tmp_path):
    asked = {"r1": [{"scale": np.float32(0.25), "zero_point": np.uint8(3)}]}
    with pytest.warns(QuantizationWarning, match="'r1' has another scale"):
        static(tmp_path, activation_type=QuantType.QUInt8, extra_options={"TensorQuantOverrides": asked})


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_types_and_ranges_of_single_tensors_are_as_asked(tmp_path):
    asked = {"input": [{"quant_type": QuantType.QUInt16}], "w1a": [{"quant_type": QuantType.QUInt8}],
             "w1b": [{"scale": np.float32(0.5), "zero_point": np.int8(0)}]}
    model = static(tmp_path, activation_type=QuantType.QUInt8, extra_options={"TensorQuantOverrides": asked})
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert constants["input_zero_point"].dtype == np.uint16 and constants["r0_zero_point"].dtype == np.uint8
    assert constants["w1a_quantized"].dtype == np.uint8 and constants["w2a_quantized"].dtype == np.int8
    assert constants["w1b_scale"] == np.float32(0.5)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_asked_of_biases_is_refused(tmp_path):
    with pytest.raises(ValueError, match="biases are int32"):
        static(tmp_path, extra_options={"TensorQuantOverrides": {"b1a": [{"quant_type": QuantType.QUInt8}]}})


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", [QuantType.QFLOAT8E4M3FN, QuantType.QInt16])
def test_weights_that_onnxruntime_multiplies_as_floats(tmp_path, kind):
    import onnxruntime

    model = static(tmp_path, activation_type=kind, weight_type=kind)
    stored = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert stored["w1a_quantized"] == stored["input_zero_point"] == kind.tensor_type
    feed = samples(resnet(), 1)[0]
    # With its optimizations on, onnxruntime's CPU provider gives other numbers, which is what users are warned of.
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    run = lambda model: onnxruntime.InferenceSession(model.SerializeToString(), settings).run(None, feed)[0]  # noqa: E731
    exact, found = run(resnet()), run(model)
    assert np.sqrt(np.mean((exact - found) ** 2)) < 0.1 * np.sqrt(np.mean(exact**2))


def test_weights_without_kernels_are_warned_of(tmp_path):
    with pytest.warns(QuantizationWarning, match="wrong numbers"):
        static(tmp_path, activation_type=QuantType.QInt16, weight_type=QuantType.QInt16)


def with_a_huge_bias():
    model = resnet()
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "b1a")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(16, 1e9, np.float32), "b1a"))
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "w1a")
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * np.float32(1e-3), "w1a"))
    return model


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kept", [True, False])
def test_scales_of_weights_are_kept_if_asked(tmp_path, kept):
    model, out = with_a_huge_bias(), tmp_path / "out.onnx"
    options = {"QDQDisableWeightAdjustForInt32Bias": kept, "ForceQuantizeNoInputCheck": True}
    drop_in.quantize_static(model, str(out), Reader(model), activation_type=QuantType.QUInt8, per_channel=True,
                            extra_options=options)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(out).graph.initializer}
    weight = next(onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == "w1a")
    own = np.abs(weight).max(axis=(1, 2, 3)) / 127
    assert np.allclose(constants["w1a_scale"], own, rtol=1e-5) == kept
    assert ("b1a_quantized" in constants) != kept


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_half_floats_at_the_inputs_alone(tmp_path):
    import onnxruntime

    half = onnx.TensorProto.FLOAT16
    ends = [onnx.helper.make_tensor_value_info(name, half, [2, 3]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    feed = {"x": np.array([[-1, 0, 1], [2, 3, 4]], np.float16)}
    readers = iter([feed])
    reader = type("Reader", (drop_in.CalibrationDataReader,), {"get_next": lambda self: next(readers, None)})()
    drop_in.quantize_static(model, str(tmp_path / "out.onnx"), reader)
    found = onnxruntime.InferenceSession(str(tmp_path / "out.onnx")).run(None, feed)[0]
    assert found.dtype == np.float16 and np.allclose(found, np.maximum(feed["x"], 0), atol=0.05)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_pairs_of_onnxruntimes_own_operators(tmp_path):
    model = static(tmp_path, activation_type=QuantType.QUInt8, extra_options={"UseQDQContribOps": True})
    domains = {node.domain for node in model.graph.node if node.op_type.endswith("quantizeLinear")}
    assert domains == {"com.microsoft"}


def test_weights_that_are_calibrated_are_refused():
    from onnx_quant.ort_quantization.matmul_nbits_quantizer import GPTQWeightOnlyQuantConfig, MatMulNBitsQuantizer

    with pytest.raises(ValueError, match="HQQWeightOnlyQuantConfig"):
        MatMulNBitsQuantizer(decoder(), algo_config=GPTQWeightOnlyQuantConfig()).process()


def test_packing_is_that_of_onnxruntime():
    """With equal scales and zero points every bit of the weights is equal."""
    theirs = pytest.importorskip("onnxruntime.quantization.matmul_nbits_quantizer")
    from onnx_quant.ort_quantization import matmul_nbits_quantizer as ours

    model = decoder()
    # Whole numbers in blocks that hold both ends of the integers, so that both quantizers find a scale of 1.
    for tensor in model.graph.initializer:
        if tensor.name in ("gate", "up", "lm_head"):
            rows, columns = tensor.dims
            numbers = np.arange(rows * columns).reshape(columns, rows).T % 16
            tensor.CopyFrom(onnx.numpy_helper.from_array(numbers.astype(np.float32), tensor.name))
    found = []
    for module in (ours, theirs):
        copied = onnx.ModelProto()
        copied.CopyFrom(model)
        quantizer = module.MatMulNBitsQuantizer(copied, bits=4, block_size=32, is_symmetric=False)
        quantizer.process()
        made = quantizer.model.model
        constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
        nodes = [node for node in made.graph.node if node.op_type == "MatMulNBits"]
        found.append({node.output[0]: [constants[name].ravel() for name in node.input[1:]] for node in nodes})
    assert found[0].keys() == found[1].keys() and len(found[0]) == 3
    for output, tensors in found[0].items():
        for mine, other in zip(tensors, found[1][output]):
            assert np.array_equal(mine, other), output
