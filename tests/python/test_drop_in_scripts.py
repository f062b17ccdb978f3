"""Scripts as people write them for onnxruntime.quantization, with nothing but the import changed. What they make is compared
with the float model and with what onnxruntime's own quantizer makes of the same call."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
reference = pytest.importorskip("onnxruntime.quantization")

from drop_in_models import decoder, encoder, operators, resnet, run, samples, signal_to_noise, yolo  # noqa: E402
from onnx_quant import ort_quantization as drop_in  # noqa: E402

# What rounding alone moves either way.
SLACK = 1.5


@pytest.fixture(autouse=True)
def quietly():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def reader(quantization, feeds):
    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.iterator = iter(feeds)

        def get_next(self):
            return next(self.iterator, None)

    return Reader()


def measure(tmp_path, model, script):
    """Runs a script with both quantizers, and gives the decibels of each."""
    float_path = tmp_path / "float.onnx"
    onnx.save(model, float_path)
    feeds = samples(model, seed=99)
    exact = run(float_path, feeds)
    found = {}
    for name, quantization in (("ours", drop_in), ("theirs", reference)):
        out = tmp_path / f"{name}.onnx"
        script(quantization, str(float_path), str(out))
        found[name] = signal_to_noise(exact, run(out, feeds))
    return found


def judge(tmp_path, model, script, least, slack=SLACK):
    """Ours is at least so many decibels, and no worse than the other."""
    found = measure(tmp_path, model, script)
    assert found["ours"] >= least, found
    assert found["ours"] >= found["theirs"] - slack, found
    return tmp_path / "ours.onnx"


def test_dynamic_encoder(tmp_path):
    def script(q, model, out):
        q.quantize_dynamic(model, out, weight_type=q.QuantType.QInt8)

    out = judge(tmp_path, encoder(), script, 25)
    assert "DynamicQuantizeLinear" in operators(out)


def test_dynamic_per_channel_of_named_types(tmp_path):
    def script(q, model, out):
        q.quantize_dynamic(model, out, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=q.QuantType.QUInt8)

    out = judge(tmp_path, encoder(), script, 25)
    tables = [tensor for tensor in onnx.load(out).graph.initializer if tensor.name.startswith("embedding")]
    assert [tensor.data_type for tensor in tables] == [onnx.TensorProto.FLOAT]


def test_dynamic_by_configuration_with_excluded_nodes(tmp_path):
    def script(q, model, out):
        q.quantize(model, out, q.DynamicQuantConfig(nodes_to_exclude=["MatMul_output"]))

    out = judge(tmp_path, encoder(), script, 25)
    last = next(node for node in onnx.load(out).graph.node if "output" in node.output)
    assert last.op_type == "MatMul"


def static(**options):
    def script(q, model, out):
        given = {name: value(q) if callable(value) else value for name, value in options.items()}
        q.quantize_static(model, out, reader(q, samples(onnx.load(model))), **given)

    return script


UINT8 = {"activation_type": lambda q: q.QuantType.QUInt8, "weight_type": lambda q: q.QuantType.QInt8}


def test_static_with_defaults(tmp_path):
    out = judge(tmp_path, resnet(), static(), 20)
    assert "QuantizeLinear" in operators(out)


def test_static_per_channel(tmp_path):
    judge(tmp_path, resnet(), static(per_channel=True, **UINT8), 25)


def test_static_reduced_range(tmp_path):
    # With 7 bits a single model says little: one quantizer is up to 7 dB ahead on one, and behind on the next.
    script = static(reduce_range=True, per_channel=True, **UINT8)
    found = [measure(tmp_path, resnet(seed), script) for seed in range(5)]
    ours, theirs = (sum(one[name] for one in found) / len(found) for name in ("ours", "theirs"))
    assert ours >= 30 and ours >= theirs - SLACK, found
    weights = [onnx.numpy_helper.to_array(t) for t in onnx.load(tmp_path / "ours.onnx").graph.initializer if t.data_type == onnx.TensorProto.INT8]
    assert max(int(np.abs(weight.astype(int)).max()) for weight in weights) <= 64


def test_static_unsigned_weights(tmp_path):
    judge(tmp_path, resnet(), static(activation_type=lambda q: q.QuantType.QUInt8, weight_type=lambda q: q.QuantType.QUInt8), 20)


@pytest.mark.parametrize("method", ["Entropy", "Percentile"])
def test_static_by_histograms(tmp_path, method):
    script = static(calibrate_method=lambda q: getattr(q.CalibrationMethod, method), per_channel=True, **UINT8)
    judge(tmp_path, resnet(), script, 15)


def test_static_moving_average(tmp_path):
    judge(tmp_path, resnet(), static(extra_options={"CalibMovingAverage": True}, per_channel=True, **UINT8), 15)


def test_static_symmetric_activations(tmp_path):
    out = judge(tmp_path, resnet(), static(per_channel=True, extra_options={"ActivationSymmetric": True}), 18)
    activations = [t for t in onnx.load(out).graph.initializer if t.name.endswith("_zero_point") and not t.dims]
    assert activations and all(onnx.numpy_helper.to_array(t) == 0 for t in activations)


def test_static_16_bits(tmp_path):
    script = static(activation_type=lambda q: q.QuantType.QUInt16, weight_type=lambda q: q.QuantType.QInt8, per_channel=True)
    judge(tmp_path, resnet(), script, 30)


def test_static_yolo_with_excluded_nodes(tmp_path):
    out = judge(tmp_path, yolo(), static(nodes_to_exclude=["Conv_head", "Sigmoid_boxes"], per_channel=True, **UINT8), 20)
    model = onnx.load(out)
    assert "head_w" in {tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}


def test_static_of_named_nodes(tmp_path):
    names = ["Conv_c1a", "Conv_c1b"]
    out = judge(tmp_path, resnet(), static(nodes_to_quantize=names, per_channel=True, **UINT8), 25)
    integers = {t.name for t in onnx.load(out).graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 4}
    assert {name.split("_")[0] for name in integers} == {"w1a", "w1b"}


def test_static_of_named_types(tmp_path):
    out = judge(tmp_path, resnet(), static(op_types_to_quantize=["Conv"], per_channel=True, **UINT8), 25)
    assert "fc" in {tensor.name for tensor in onnx.load(out).graph.initializer}


def test_static_by_configuration(tmp_path):
    def script(q, model, out):
        config = q.StaticQuantConfig(
            reader(q, samples(onnx.load(model))), activation_type=q.QuantType.QUInt8, per_channel=True,
            extra_options={"WeightSymmetric": True, "CalibMovingAverage": False},
        )
        q.quantize(model, out, config)

    judge(tmp_path, resnet(), script, 25)


def test_get_qdq_config(tmp_path):
    def script(q, model, out):
        config = q.get_qdq_config(
            model, reader(q, samples(onnx.load(model))), per_channel=True,
            nodes_to_exclude=lambda model, node: node.op_type == "Softmax",
        )
        q.quantize(model, out, config)

    out = judge(tmp_path, resnet(), script, 18, slack=3)
    assert operators(out).count("QuantizeLinear") > 8


def test_qnn_config(tmp_path):
    def script(q, model, out):
        if q is drop_in:
            from onnx_quant.ort_quantization.execution_providers.qnn import get_qnn_qdq_config
        else:
            from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config
        feeds = reader(q, samples(onnx.load(model)))
        config = get_qnn_qdq_config(model, feeds, activation_type=q.QuantType.QUInt8, weight_type=q.QuantType.QUInt8)
        config.extra_options["WeightSymmetric"] = True
        q.quantize(model, out, config)

    judge(tmp_path, resnet(), script, 15, slack=3)


def test_preprocessed_first(tmp_path):
    def script(q, model, out):
        simplified = out + ".pre.onnx"
        q.quant_pre_process(model, simplified, skip_symbolic_shape=True)
        q.quantize_static(simplified, out, reader(q, samples(onnx.load(model))), per_channel=True,
                          activation_type=q.QuantType.QUInt8)

    judge(tmp_path, resnet(), script, 25)


def test_external_data(tmp_path):
    out = judge(tmp_path, resnet(), static(use_external_data_format=True, per_channel=True, **UINT8), 25)
    model = onnx.load(out, load_external_data=False)
    assert any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer)


def test_calibration_cache(tmp_path):
    model = resnet()
    onnx.save(model, tmp_path / "float.onnx")
    cache = tmp_path / "ranges.json"
    for out, feeds in (("a.onnx", reader(drop_in, samples(model))), ("b.onnx", None)):
        drop_in.quantize_static(str(tmp_path / "float.onnx"), str(tmp_path / out), feeds, calibration_cache_path=str(cache),
                                activation_type=drop_in.QuantType.QUInt8)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert "input" in drop_in.load_tensors_data(cache)


def test_installed_in_the_place_of_the_original(tmp_path):
    import subprocess
    import sys

    onnx.save(encoder(), tmp_path / "float.onnx")
    script = (
        "import onnx_quant.ort_quantization as q; q.install()\n"
        "from onnxruntime.quantization import QuantType, quantize_dynamic\n"
        "from onnxruntime.quantization.quantize import quantize\n"
        "from onnxruntime.quantization.shape_inference import quant_pre_process\n"
        "from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer\n"
        "from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config\n"
        "assert quantize_dynamic.__module__.startswith('onnx_quant.')\n"
        "quantize_dynamic('float.onnx', 'out.onnx', weight_type=QuantType.QInt8)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    assert "DynamicQuantizeLinear" in operators(tmp_path / "out.onnx")


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [4, 8])
def test_matmul_nbits_of_a_decoder(tmp_path, bits, symmetric):
    from onnx_quant.ort_quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    model = decoder()
    feeds = samples(model, seed=99)
    quantizer = MatMulNBitsQuantizer(model, bits=bits, block_size=32, is_symmetric=symmetric, accuracy_level=1,
                                     nodes_to_exclude=["MatMul_logits"])
    quantizer.process()
    quantizer.model.save_model_to_file(str(tmp_path / "out.onnx"), use_external_data_format=True)
    made = onnx.load(tmp_path / "out.onnx")
    assert operators(made).count("MatMulNBits") == 2 and operators(made).count("MatMul") == 1
    attributes = {a.name: a.i for a in next(n for n in made.graph.node if n.op_type == "MatMulNBits").attribute}
    assert attributes == {"K": 64, "N": 128, "bits": bits, "block_size": 32, "accuracy_level": 1}
    assert made.opset_import[0].version == 14
    assert signal_to_noise(run(decoder(), feeds), run(tmp_path / "out.onnx", feeds)) > (15 if bits == 4 else 35)


def test_matmul_nbits_in_pairs(tmp_path):
    from onnx_quant.ort_quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

    config = DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=True, quant_format=drop_in.QuantFormat.QDQ)
    quantizer = MatMulNBitsQuantizer(decoder(), algo_config=config)
    quantizer.process()
    feeds = samples(decoder(), seed=99)
    assert operators(quantizer.model.model).count("DequantizeLinear") == 3
    assert signal_to_noise(run(decoder(), feeds), run(quantizer.model.model, feeds)) > 15


def test_tables_in_blocks():
    from onnx_quant.ort_quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

    config = DefaultWeightOnlyQuantConfig(block_size=32, op_types_to_quantize=("MatMul", "Gather"))
    quantizer = MatMulNBitsQuantizer(decoder(), algo_config=config)
    quantizer.process()
    feeds = samples(decoder(), seed=99)
    assert "GatherBlockQuantized" in operators(quantizer.model.model)
    assert signal_to_noise(run(decoder(), feeds), run(quantizer.model.model, feeds)) > 15
