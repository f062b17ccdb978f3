//! What is estimated of the time that layers take as floats and as integers, and when a user is told.

use crate::testdata;
use onnx_quant::{
    CalibrationMethod, Config, Model,
    calibration::{Collect, Ranges, Statistics, value_keys},
    findings::Code,
    numeric::Range,
    plan::{Speed, plan_activations, watched},
    proto::{
        AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto,
        attribute_proto::AttributeType, tensor_proto::DataType,
    },
    quantize_activations,
    targets::costs::{Costs, Kind, Layer},
};
use prost::Message;

fn config() -> Config {
    let mut config = Config::default();
    config.activations.method = CalibrationMethod::MinMax;
    config
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn node(op_type: &str, inputs: &[&str], output: &str) -> NodeProto {
    let (op_type, name) = (Some(op_type.to_owned()), Some(output.to_owned()));
    NodeProto { op_type, name, input: owned(inputs), output: owned(&[output]), ..NodeProto::default() }
}

fn conv(input: &str, weight: &str, output: &str, groups: usize) -> NodeProto {
    let group = AttributeProto {
        name: Some("group".to_owned()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(groups as i64),
        ..AttributeProto::default()
    };
    NodeProto { attribute: vec![group], ..node("Conv", &[input, weight], output) }
}

fn weight(name: &str, shape: &[usize]) -> TensorProto {
    let values = (0..shape.iter().product::<usize>()).flat_map(|index| ((index % 17) as f32 - 8.0).to_le_bytes());
    TensorProto {
        name: Some(name.to_owned()),
        dims: shape.iter().map(|&size| size as i64).collect(),
        data_type: Some(DataType::Float as i32),
        raw_data: Some(values.collect::<Vec<u8>>().into()),
        ..TensorProto::default()
    }
}

/// A model from `x` to `y`.
fn model(node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> Model {
    let info = |name: &str| ValueInfoProto { name: Some(name.to_owned()), ..ValueInfoProto::default() };
    let graph =
        GraphProto { node, initializer, input: vec![info("x")], output: vec![info("y")], ..GraphProto::default() };
    let opset = OperatorSetIdProto { domain: Some(String::new()), version: Some(21) };
    let proto =
        ModelProto { ir_version: Some(10), opset_import: vec![opset], graph: Some(graph), ..Default::default() };
    Model::from_bytes(proto.encode_to_vec()).expect("it is a model")
}

/// Ranges as two runs would have given them in which each value had so many elements.
fn observed(model: &Model, elements: impl Fn(&str) -> usize) -> Ranges {
    let values = watched(model, &config()).expect("a plan");
    let statistics = |name: &str| {
        let mut statistics = Statistics::new(Collect { histogram: false });
        let run: Vec<f32> = (0..elements(name)).map(|index| (index % 5) as f32 - 1.0).collect();
        statistics.observe(&run);
        statistics.observe(&run);
        statistics
    };
    let keys = value_keys(model);
    let named = values.into_iter().map(|value| keys[&value].clone());
    named.map(|name| (name.clone(), statistics(&name))).collect()
}

fn speed(model: &Model, ranges: &Ranges) -> Option<Speed> {
    plan_activations(model, &config(), ranges).expect("a plan").activations.expect("activations are planned").speed
}

/// What the summary says of speed.
fn note(model: &Model, ranges: &Ranges) -> Option<String> {
    let report = quantize_activations(&mut model.clone(), &config(), ranges).expect("it can be quantized");
    report.findings.into_iter().find(|finding| finding.code == Code::NoFaster).map(|finding| finding.message)
}

/// Dense, Relu, depthwise, an activation that stays float, and a product.
fn mixed() -> Model {
    let nodes = vec![
        conv("x", "dense", "a", 1),
        node("Relu", &["a"], "b"),
        conv("b", "depthwise", "c", 32),
        node("HardSwish", &["c"], "d"),
        node("GlobalAveragePool", &["d"], "e"),
        node("Flatten", &["e"], "f"),
        node("Gemm", &["f", "product"], "y"),
    ];
    let weights =
        vec![weight("dense", &[32, 64, 3, 3]), weight("depthwise", &[32, 1, 5, 5]), weight("product", &[32, 10])];
    model(nodes, weights)
}

fn elements_of_mixed(name: &str) -> usize {
    match name {
        "x" => 64 * 100,
        "e" | "f" => 32,
        _ => 32 * 100,
    }
}

/// The layers that compute in integers.
fn integer(model: &Model, ranges: &Ranges) -> Vec<String> {
    let plan =
        plan_activations(model, &config(), ranges).expect("a plan").activations.expect("activations are planned");
    plan.layers().map(|layer| layer.operator.clone()).collect()
}

fn a_depthwise_layer_stays_float_beside_dense_ones() {
    let (dense, depthwise) = ([32, 64, 3, 3], [32, 1, 5, 5]);
    let nodes = vec![
        conv("x", "one", "a", 1),
        conv("a", "two", "b", 1),
        node("HardSwish", &["b"], "c"),
        conv("c", "each", "d", 32),
        node("HardSwish", &["d"], "e"),
        conv("e", "three", "f", 1),
        node("GlobalAveragePool", &["f"], "g"),
        node("Flatten", &["g"], "h"),
        node("Gemm", &["h", "product"], "y"),
    ];
    let weights = vec![
        weight("one", &[64, 32, 3, 3]),
        weight("two", &dense),
        weight("each", &depthwise),
        weight("three", &[32, 32, 3, 3]),
        weight("product", &[32, 10]),
    ];
    let model = model(nodes, weights);
    let ranges = observed(&model, |name| match name {
        "g" | "h" => 32,
        "a" => 64 * 56 * 56,
        _ => 32 * 56 * 56,
    });
    let integer = integer(&model, &ranges);
    assert!(integer.contains(&"Conv 'b'".to_owned()) && integer.contains(&"Conv 'f'".to_owned()), "{integer:?}");
    assert!(!integer.contains(&"Conv 'd'".to_owned()), "{integer:?}");
    let text = note(&model, &ranges).expect("a layer is left float");
    assert!(text.contains("Conv 'd'") && text.contains("onnxruntime"), "{text}");
    let speed = speed(&model, &ranges).expect("all is known");
    assert!(speed.with_vnni.ratio() < 0.6, "{speed:?}");
}

fn where_no_time_is_known_all_that_can_computes_in_integers() {
    let model = mixed();
    let mut ranges = observed(&model, elements_of_mixed);
    ranges.values.insert("c".to_owned(), Statistics::of_range(Range { min: -1.0, max: 3.0 }));
    assert_eq!(integer(&model, &ranges).len(), 3);
}

fn the_tables_name_every_kind_of_layer() {
    for costs in [Costs::with_vnni(), Costs::without_vnni()] {
        for (kind, rate) in costs.float.iter().chain(&costs.integer) {
            assert!(rate.call > 0.0 && rate.product > 0.0 || *kind == Kind::Product, "{kind:?}: {rate:?}");
        }
        let layer =
            |inputs, outputs, groups| Layer { convolves: true, positions: 784.0, taps: 9, inputs, outputs, groups };
        for layer in [layer(64, 64, 1), layer(3, 16, 1), layer(58, 58, 1), layer(1, 1, 58), layer(1, 1, 64)] {
            assert!(costs.float_layer(&layer) > 0.0 && costs.integer_layer(&layer) > 0.0);
        }
    }
    assert!(Costs::with_vnni().measured && !Costs::without_vnni().measured);
}

fn a_table_that_lacks_something_is_refused() {
    let whole = toml::to_string(Costs::with_vnni()).expect("a table is TOML");
    assert_eq!(&Costs::from_toml(&whole).expect("it is whole"), Costs::with_vnni());
    let lacking = whole.replace("[float.depthwise]", "[float.narrow]");
    assert!(Costs::from_toml(&lacking).is_err());
    let negative = whole.replacen("call = ", "call = -", 1);
    assert!(
        Costs::from_toml(&negative).expect_err("a time below nothing").to_string().contains("negative"),
        "{negative}"
    );
}

fn ranges_of_others_do_not_tell_sizes() {
    let model = mixed();
    let mut ranges = observed(&model, elements_of_mixed);
    ranges.values.insert("c".to_owned(), Statistics::of_range(Range { min: -1.0, max: 3.0 }));
    assert_eq!(speed(&model, &ranges), None);
    assert_eq!(note(&model, &ranges), None);
}

fn large_dense_networks_compute_in_integers() {
    let nodes = vec![
        conv("x", "one", "a", 1),
        node("Relu", &["a"], "b"),
        conv("b", "two", "c", 1),
        node("Relu", &["c"], "d"),
        conv("d", "three", "e", 1),
        node("GlobalAveragePool", &["e"], "f"),
        node("Flatten", &["f"], "g"),
        node("Gemm", &["g", "product"], "y"),
    ];
    let mut weights: Vec<_> = ["one", "two", "three"].map(|name| weight(name, &[64, 64, 3, 3])).into();
    weights.push(weight("product", &[64, 10]));
    let model = model(nodes, weights);
    let ranges = observed(&model, |name| if matches!(name, "f" | "g") { 64 } else { 64 * 56 * 56 });
    let speed = speed(&model, &ranges).expect("all is known");
    assert!(speed.with_vnni.ratio() < 0.5 && speed.without_vnni.ratio() < 0.8, "{speed:?}");
    assert_eq!(integer(&model, &ranges), ["Conv 'a'", "Conv 'c'", "Conv 'e'"]);
}

fn depthwise_networks_stay_float() {
    let nodes = vec![
        conv("x", "one", "a", 32),
        node("Relu", &["a"], "b"),
        conv("b", "two", "c", 32),
        node("GlobalAveragePool", &["c"], "d"),
        node("Flatten", &["d"], "e"),
        node("Gemm", &["e", "product"], "y"),
    ];
    let weights = vec![weight("one", &[32, 1, 5, 5]), weight("two", &[32, 1, 5, 5]), weight("product", &[32, 10])];
    let model = model(nodes, weights);
    let ranges = observed(&model, |name| if matches!(name, "d" | "e") { 32 } else { 32 * 3136 });
    assert_eq!(integer(&model, &ranges), Vec::<String>::new());
    let text = note(&model, &ranges).expect("it is slower");
    assert!(text.contains("3 layers are left float") && text.contains("in onnxruntime"), "{text}");
}

#[cfg(feature = "rten")]
fn a_small_network_of_blocks_with_float_between_is_no_slower() {
    use onnx_quant::{
        calibrate,
        calibration::{RtenEngine, Sample, proceed},
        ir::{DataType, Tensor},
    };
    let model = Model::load(testdata::path("ppocr_cls.onnx")).expect("a fixture loads");
    let shape = [1, 3, 48, 192];
    let noise = (0..shape.iter().product::<usize>() as u32)
        .flat_map(|index| ((index.wrapping_mul(2_654_435_761) >> 16) as f32 / 32768.0 - 1.0).to_le_bytes());
    let input = Tensor::from_bytes("x", DataType::Float, &shape, noise.collect::<Vec<u8>>()).expect("the bytes fit");
    let sample = Sample::new("noise", vec![input]);
    let ranges = calibrate(&model, &config(), [Ok(sample)], &RtenEngine, &mut proceed).expect("it runs");
    assert!(note(&model, &ranges).is_some_and(|text| text.contains("no time")));
    let report = quantize_activations(&mut model.clone(), &config(), &ranges).expect("it can be quantized");
    let times = report.activations.expect("activations").estimated_time.expect("all is known");
    assert!(times.with_vnni.ratio <= 1.0, "{times:?}");
}

crate::tests![
    a_depthwise_layer_stays_float_beside_dense_ones,
    where_no_time_is_known_all_that_can_computes_in_integers,
    the_tables_name_every_kind_of_layer,
    a_table_that_lacks_something_is_refused,
    ranges_of_others_do_not_tell_sizes,
    large_dense_networks_compute_in_integers,
    depthwise_networks_stay_float,
    #[cfg(feature = "rten")]
    a_small_network_of_blocks_with_float_between_is_no_slower
];
