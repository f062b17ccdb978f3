//! What is planned for each target: by structure, on real models.

use crate::testdata;
use onnx_quant::{
    Config, Model, Preference, calibrate,
    calibration::{RtenEngine, Samples, proceed},
    explain::{Verdict, explain},
    ir::DataType,
    quantize_activations,
    targets::{Target, Unit, UnitOutput},
};

fn quantized(target: &str) -> Model {
    quantized_by(&Config::for_target(target.parse().expect("a target")))
}

fn quantized_by(config: &Config) -> Model {
    let mut model = Model::load(testdata::path("kws_dscnn.onnx")).expect("it loads");
    let samples = Samples::open(testdata::path("calibration/kws_dscnn"), &model, None).expect("samples");
    let ranges = calibrate(&model, config, samples, &RtenEngine, &mut proceed).expect("it runs");
    quantize_activations(&mut model, config, &ranges).expect("it is quantized");
    model
}

fn layers(model: &Model) -> Vec<Unit> {
    let is_layer = |op: &onnx_quant::ir::OpId| matches!(model.op(*op).op_type(), "Conv" | "Gemm");
    model.ops().filter(is_layer).map(|op| Unit::of(model, op)).collect()
}

fn the_files_of_all_targets_can_be_read() {
    for name in Target::names() {
        let target: Target = name.parse().expect("it is of the form of a target");
        let description = target.description();
        assert_eq!(description.name, name);
        let mut ids: Vec<&str> = description.rules.iter().map(|rule| rule.id.as_str()).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{name}: rules of the same name");
    }
}

fn errors_of_targets_say_what_there_is() {
    let said = |text: &str| text.parse::<Target>().expect_err("there is no such target").to_string();
    assert!(said("onxruntime").contains("onnxruntime, openvino"), "{}", said("onxruntime"));
    assert!(said("onnxruntime:1.2").contains("its releases begin with 1.17"));
    assert!(said("onnxruntime:new").contains("is no release"));
    assert!(said("generic:1.0").contains("no releases"));
}

fn layers_have_kernels_where_a_target_is_run() {
    for name in ["onnxruntime", "onnxruntime:1.32", "openvino", "qnn"] {
        let model = quantized(name);
        let explanation = explain(&model, &name.parse().expect("a target")).expect("it can be explained");
        let of_layers = explanation.operators.iter().filter(|it| matches!(it.op_type.as_str(), "Conv" | "Gemm"));
        assert_eq!(of_layers.clone().count(), 10);
        let in_integers = of_layers.clone().filter(|it| it.verdict == Verdict::Integer).count();
        // Where it is known how long kernels take, what is no faster stays float, and no pair is left beside it.
        let expected = if name.starts_with("onnxruntime") { 7 } else { 10 };
        assert_eq!(in_integers, expected, "{name}: {:?}", of_layers.collect::<Vec<_>>());
        let has_integer_weight = |unit: &&Unit| unit.dequantized(1).is_some();
        assert_eq!(layers(&model).iter().filter(has_integer_weight).count(), expected, "{name}");
    }
}

fn all_that_can_computes_in_integers_where_size_is_preferred() {
    let model = quantized_by(&Config::default().with_prefer(Preference::Size));
    assert_eq!(layers(&model).iter().filter(|unit| unit.dequantized(1).is_some()).count(), 10);
}

fn tensorrt_gets_symmetric_pairs_on_inputs_and_float_biases() {
    let layers = layers(&quantized("tensorrt"));
    assert_eq!(layers.len(), 10);
    for unit in layers {
        assert!(!unit.is_quantized() || unit.outputs.iter().all(|it| *it != UnitOutput::Float), "{unit:?}");
        for quantized in [unit.dequantized(0), unit.dequantized(1)].map(|it| it.expect("it is quantized")) {
            assert_eq!(quantized.dtype, Some(DataType::Int8));
            let zero_points = quantized.zero_points.as_ref().expect("they are constant");
            assert!(zero_points.iter().all(|&zero_point| zero_point == 0), "{quantized:?}");
        }
        assert!(unit.dequantized(2).is_none(), "{unit:?}");
    }
}

fn a_target_refuses_what_it_has_no_kernels_for() {
    let tensorrt: Target = "tensorrt".parse().expect("a target");
    let config = Config::default().with_target(tensorrt);
    let said = config.check_for_activations().expect_err("activations are not symmetric").to_string();
    assert!(said.contains("tensorrt takes symmetric activations only"), "{said}");
}

fn core_ml_gets_symmetric_pairs_on_inputs_and_float_biases() {
    let layers = layers(&quantized("coreml"));
    assert_eq!(layers.len(), 10);
    for unit in layers {
        let input = unit.dequantized(0).expect("it is quantized");
        assert_eq!(input.dtype, Some(DataType::Int8));
        assert!(input.zero_points.as_ref().expect("they are constant").iter().all(|&zero_point| zero_point == 0));
        assert!(unit.dequantized(1).is_some() && unit.dequantized(2).is_none(), "{unit:?}");
    }
}

/// A runtime that multiplies bytes by symmetric integers in its Gemm, and has no other kernel.
const OWN: &str = r#"
name = "mine"
title = "a runtime of one's own"
checked = "rules"

[writes]
activations = ["uint8"]
weights = ["int8"]
weight-zero-points = false
symmetric-activations = false
bias = "float"
pairs = "inputs"

[[rule]]
id = "product"
operators = ["Gemm"]
form = "static"
role = "layer"
dequantized = [0, 1]
types = ["uint8"]
weights = ["int8"]
output = "any"
require = [
    { scales = { input = 0, along = ["tensor"] } },
    { scales = { input = 1, along = ["tensor", "channels"] } },
]
source = "documented"
"#;

fn a_target_of_ones_own_is_obeyed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, OWN).expect("it can be written");
    let name = path.to_str().expect("a path in Unicode");
    let model = quantized(name);
    let is_quantized = |unit: &Unit| unit.dequantized(0).is_some();
    let (gemms, convs): (Vec<_>, Vec<_>) = model
        .ops()
        .filter(|&op| matches!(model.op(op).op_type(), "Conv" | "Gemm"))
        .partition(|&op| model.op(op).op_type() == "Gemm");
    assert!(gemms.iter().all(|&op| is_quantized(&Unit::of(&model, op))) && !gemms.is_empty());
    assert!(convs.iter().all(|&op| !is_quantized(&Unit::of(&model, op))) && !convs.is_empty());

    let explanation = explain(&model, &name.parse().expect("a target")).expect("it can be explained");
    for operator in explanation.operators.iter().filter(|it| matches!(it.op_type.as_str(), "Conv" | "Gemm")) {
        assert_eq!(operator.verdict == Verdict::Integer, operator.op_type == "Gemm", "{operator:?}");
    }
}

fn errors_in_a_targets_file_have_a_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine.toml");
    let said = |text: &str| {
        std::fs::write(&path, text).expect("it can be written");
        path.to_str().expect("a path in Unicode").parse::<Target>().expect_err("it is wrong").to_string()
    };
    for (right, wrong, expected) in [
        ("title =", "titel =", ["line 3", "titel", "`title`"]),
        (r#"pairs = "inputs""#, "pairs = 3", ["line 12", "pairs = 3", "string"]),
        (r#"bias = "float""#, r#"bias = "floaty""#, ["line 11", "floaty", "int32"]),
        (r#"["uint8"]"#, r#"["int7"]"#, ["line 7", "int7", "activations"]),
        ("input = 0", "input = -1", ["line 24", "-1", "invalid value"]),
    ] {
        let said = said(&OWN.replacen(right, wrong, 1));
        assert!(said.contains("mine.toml") && expected.iter().all(|part| said.contains(part)), "{said}");
    }
}

crate::tests![
    the_files_of_all_targets_can_be_read,
    errors_of_targets_say_what_there_is,
    layers_have_kernels_where_a_target_is_run,
    all_that_can_computes_in_integers_where_size_is_preferred,
    tensorrt_gets_symmetric_pairs_on_inputs_and_float_biases,
    a_target_refuses_what_it_has_no_kernels_for,
    core_ml_gets_symmetric_pairs_on_inputs_and_float_biases,
    a_target_of_ones_own_is_obeyed,
    errors_in_a_targets_file_have_a_place
];
