//! Quantization raises the opset as far as the quantized form needs, and no further.
//!
//! What is needed is told from the nodes that were added, by the versions of QuantizeLinear and
//! DequantizeLinear in the format's changelog: 10 one scale per tensor, 13 `axis`, 19 half precision,
//! 21 `block_size` and integers of four bits.

use crate::{quantized, testdata};
use std::collections::BTreeMap;

use onnx_quant::{
    Config, Granularity, Model, WeightType,
    findings::{Code, Severity},
    proto::{
        GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto, tensor_proto::DataType,
    },
    quantize,
};
use prost::Message;
use quantized::{NOT_TO_BE_RAISED, Quantized, constants, decoded, load, roots, way, ways};
use testdata::{Fixture, fixtures};

fn fixture(name: &str) -> Fixture {
    fixtures().into_iter().find(|fixture| fixture.name == name).expect("there is such a fixture")
}

/// The lowest opset that has all that quantization added.
fn needed(model: &Quantized) -> i64 {
    let stripped = model.stripped();
    let constants: BTreeMap<&str, &TensorProto> = constants(&model.quantized).into_iter().collect();
    let mut needed = 0;
    for node in &stripped.dequantizers {
        let has = |name: &str| node.attribute.iter().any(|attribute| attribute.name() == name);
        let of_form = match (has("block_size"), has("axis")) {
            (true, _) => 21,
            (_, true) => 13,
            _ => 10,
        };
        needed = needed.max(of_form);
    }
    for tensor in stripped.constants.keys().map(|name| constants[name.as_str()]) {
        needed = needed.max(match tensor.data_type() {
            dtype if dtype == DataType::Float16 as i32 || dtype == DataType::Bfloat16 as i32 => 19,
            dtype if dtype == DataType::Int4 as i32 => 21,
            _ => 10,
        });
    }
    needed
}

fn the_opset_rises_as_far_as_needed_and_no_further() {
    let fixtures = fixtures();
    let mut raised = BTreeMap::<i64, usize>::new();
    for way in ways() {
        for model in quantized::quantized(&fixtures, &way) {
            let (before, needed) = (load(model.fixture), needed(&model));
            for root in roots(&before) {
                let (from, to) = (before.opset(root), model.model.opset(root));
                let expected = from.max(needed);
                let kept_back = model.fixture.name == NOT_TO_BE_RAISED;
                assert_eq!(to, if kept_back { from } else { expected }, "{}: from {from}", model.name());
                *raised.entry(to).or_default() += usize::from(from < to);
            }
            let note = model.report.findings.iter().any(|finding| finding.code == Code::OpsetRaised);
            let (from, to) = (before.opset(Model::MAIN), model.model.opset(Model::MAIN));
            assert_eq!(note, from < to, "{}: {:?}", model.name(), model.report.findings);
        }
    }
    assert!([13, 19, 21].iter().all(|opset| raised.get(opset).is_some_and(|count| *count > 3)), "{raised:?}");
}

fn each_form_has_its_opset() {
    let expected = [
        ("made/opset9.onnx", "int8", 13),
        ("made/opset9.onnx", "per-tensor", 10),
        ("made/opset9.onnx", "block16", 21),
        ("made/opset12.onnx", "per-tensor", 12),
        ("made/opset12.onnx", "qdq", 13),
        ("made/opset12.onnx", "int4", 21),
        ("made/double.onnx", "int8", 17),
        ("made/float16_opset13.onnx", "int8", 19),
        ("made/float16_table.onnx", "per-tensor", 19),
        ("made/float16_table.onnx", "qdq", 19),
        ("made/mixed_float16.onnx", "int8", 13),
        ("made/mixed_float16.onnx", "qdq", 13),
        ("made/mixed_float16.onnx", "block16", 21),
        ("made/qdq_blocked_int4.onnx", "int8", 21),
    ];
    for (name, way_name, opset) in expected {
        let fixture = fixture(name);
        let model = Quantized::new(&fixture, &way(way_name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(model.model.opset(Model::MAIN), opset, "{}", model.name());
    }
}

/// A fixture that says it is written for another opset.
fn at_opset(name: &str, opset: i64) -> ModelProto {
    let mut model = decoded(&load(&fixture(name)));
    model.opset_import[0].version = Some(opset);
    model
}

fn read(model: &ModelProto) -> Model {
    Model::from_bytes(model.encode_to_vec()).expect("it is a model")
}

fn nothing_is_raised_for_weights_that_stay_float() {
    for way in ["default", "int8", "block16", "int4"] {
        for name in ["made/values_nan.onnx", "made/values_infinite.onnx"] {
            let float = at_opset(name, 11);
            let mut model = read(&float);
            let report = quantize(&mut model, &quantized::way(way).config).expect("it is no failure");
            assert_eq!((report.quantized.len(), report.left_float.len()), (0, 1), "{name} ({way})");
            assert_eq!(report.findings, [], "{name} ({way})");
            assert_eq!(decoded(&model), float, "{name} ({way})");
        }
    }
    // The weights that spoke for opset 19 cannot be quantized; the one that is needs 13.
    let mut float = at_opset("made/mixed_float16.onnx", 11);
    let graph = float.graph.as_mut().expect("there is a graph");
    let half = graph.initializer.iter_mut().find(|tensor| tensor.name() == "half").expect("it is there");
    let (rows, columns) = (half.dims[0], 1024);
    half.dims = vec![rows, columns];
    half.raw_data = Some(vec![0xff; (rows * columns * 2) as usize].into());
    let mut model = read(&float);
    let report = quantize(&mut model, &way("int8").config).expect("one of two can be quantized");
    assert_eq!((report.quantized.len(), report.left_float.len()), (1, 1));
    assert_eq!(model.opset(Model::MAIN), 13);
    let messages: Vec<&str> = report.findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(messages, ["the opset was raised from 11 to 13"]);
}

fn where_the_opset_cannot_rise_its_own_form_is_used() {
    let fixture = fixture(NOT_TO_BE_RAISED);
    let model = Quantized::new(&fixture, &way("int8")).expect("opset 11 has a form");
    assert_eq!(model.model.opset(Model::MAIN), 11);
    assert_eq!(model.report.quantized[0].copies[0].granularity, "per-tensor");
    let warned = |model: &Quantized| -> Vec<String> {
        let warnings = model.report.findings.iter().filter(|finding| finding.severity == Severity::Warning);
        warnings.map(|finding| finding.message.clone()).collect()
    };
    let [warning] = &warned(&model)[..] else { panic!("{:?}", model.report.findings) };
    let start = "the opset is too old for the best form and could not be raised: Resize 'Resize_0': ";
    assert!(warning.starts_with(start) && warning.contains("tf_half_pixel_for_nn"), "{warning}");
    // One scale is all that it needs anyway.
    let model = Quantized::new(&fixture, &way("per-tensor")).expect("opset 11 has that form");
    assert_eq!((model.model.opset(Model::MAIN), warned(&model).len()), (11, 0));
}

/// A product with a weight of few rows, for which a scale for each column costs more than it saves, behind an
/// operator.
fn small_weight(opset: i64, stuck: &str) -> Model {
    let node = |op_type: &str, inputs: &[&str], output: &str| NodeProto {
        op_type: Some(op_type.to_owned()),
        name: Some(op_type.to_owned()),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    };
    let values = (0..4 * 18).map(|index| (index % 7) as f32 - 3.0);
    let weight = TensorProto {
        name: Some("w".to_owned()),
        data_type: Some(DataType::Float as i32),
        dims: vec![4, 18],
        raw_data: Some(values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>().into()),
        ..TensorProto::default()
    };
    let info = |name: &str| ValueInfoProto { name: Some(name.to_owned()), ..ValueInfoProto::default() };
    let graph = GraphProto {
        node: vec![node(stuck, &["x"], "s"), node("MatMul", &["s", "w"], "y")],
        initializer: vec![weight],
        input: vec![info("x")],
        output: vec![info("y")],
        ..GraphProto::default()
    };
    let import = OperatorSetIdProto { domain: Some(String::new()), version: Some(opset) };
    let model =
        ModelProto { ir_version: Some(4), opset_import: vec![import], graph: Some(graph), ..ModelProto::default() };
    read(&model)
}

fn a_weight_that_only_one_scale_makes_smaller_needs_no_scale_for_each_channel() {
    let mut model = small_weight(9, "Relu");
    let report = quantize(&mut model, &Config::default()).expect("opset 10 has a form");
    assert_eq!(model.opset(Model::MAIN), 10);
    let copy = &report.quantized[0].copies[0];
    assert_eq!(copy.granularity, "per-tensor");
    assert!(copy.note.as_ref().is_some_and(|note| note.contains("opset 13")), "{:?}", copy.note);
}

fn an_error_names_the_options_that_would_do() {
    let cases = [
        (
            "--weights int4",
            Config::default().with_weights(WeightType::Int4).with_allow_growth(true),
            "; --weights int8",
        ),
        (
            "--granularity block:2",
            Config::default().with_granularity(Granularity::Block { size: 2, axis: None }).with_allow_growth(true),
            "; --granularity per-tensor would do with opset 11",
        ),
    ];
    for (name, config, way_out) in cases {
        let mut model = load(&fixture(NOT_TO_BE_RAISED));
        let error = quantize(&mut model, &config).expect_err(name).to_string();
        assert!(error.contains(way_out), "{name}: {error}");
    }
    // Nothing does where not even opset 10 can be reached.
    let error = quantize(&mut small_weight(9, "Unknown"), &Config::default()).expect_err("it is stuck").to_string();
    assert!(error.contains("Unknown") && !error.contains("would do"), "{error}");
}

fn a_failure_leaves_the_model_as_it_was() {
    let strict = |config: Config| config.with_strict(true);
    let unmatched = way("int8").config.with_exclude(vec!["nothing".parse().expect("a pattern")]);
    let failures = [
        (NOT_TO_BE_RAISED, way("block16").config, "Resize 'Resize_0': cannot be carried over to opset 13"),
        (NOT_TO_BE_RAISED, strict(way("int8").config), "the opset is too old for the best form"),
        ("made/opset9.onnx", unmatched, "pattern 'nothing' matches no weight"),
        ("made/unknown_fields.onnx", strict(way("int8").config), "ModelProto field 999"),
        ("made/opset9.onnx", way("int8").config.with_deny(vec![Code::OpsetRaised]), "(opset-raised is denied)"),
    ];
    for (name, config, reason) in failures {
        let mut model = load(&fixture(name));
        let before = model.to_bytes();
        let error = quantize(&mut model, &config).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error}");
        assert!(model.to_bytes() == before, "{name}");
        model.verify().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

crate::tests![
    the_opset_rises_as_far_as_needed_and_no_further,
    each_form_has_its_opset,
    nothing_is_raised_for_weights_that_stay_float,
    where_the_opset_cannot_rise_its_own_form_is_used,
    a_weight_that_only_one_scale_makes_smaller_needs_no_scale_for_each_channel,
    an_error_names_the_options_that_would_do,
    a_failure_leaves_the_model_as_it_was
];
