//! Large graphs of the kinds that searches from every layer, or over and over again, would take minutes
//! for. No sample was seen, so that every layer is taken back for want of a range.

use onnx_quant::{
    Config, Model,
    calibration::Ranges,
    proto::{
        AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto,
        attribute_proto::AttributeType, tensor_proto::DataType,
    },
    quantize_activations,
};
use prost::Message;

const LARGE: usize = 10_000;

fn node(op_type: &str, input: &[&str], output: &str) -> NodeProto {
    let input = input.iter().map(|&name| name.to_owned()).collect();
    NodeProto { op_type: Some(op_type.to_owned()), input, output: vec![output.to_owned()], ..NodeProto::default() }
}

fn chain(op_type: &str, first: &str, length: usize) -> Vec<NodeProto> {
    let source = |index: usize| index.checked_sub(1).map_or(first.to_owned(), |before| format!("c{before}"));
    (0..length).map(|index| node(op_type, &[&source(index)], &format!("c{index}"))).collect()
}

fn weight(name: &str, dims: &[i64]) -> TensorProto {
    let count: i64 = dims.iter().product();
    TensorProto {
        name: Some(name.to_owned()),
        dims: dims.to_vec(),
        data_type: Some(DataType::Float as i32),
        float_data: (0..count).map(|index| 0.1 + index as f32).collect(),
        ..TensorProto::default()
    }
}

/// What a graph from `x` to `y` has of layers that stay float: how many, and the reason of the first.
fn left_float(node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> (usize, String) {
    let info = |name: &str| vec![ValueInfoProto { name: Some(name.to_owned()), ..ValueInfoProto::default() }];
    let graph = GraphProto { node, initializer, input: info("x"), output: info("y"), ..GraphProto::default() };
    let opset_import = vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(21) }];
    let model = ModelProto { ir_version: Some(8), opset_import, graph: Some(graph), ..ModelProto::default() };
    let mut model = Model::from_bytes(model.encode_to_vec()).expect("it is valid");
    let report = quantize_activations(&mut model, &Config::default(), &Ranges::default()).expect("it can be planned");
    let activations = report.activations.expect("activations were planned");
    assert!(activations.integer().next().is_none() && activations.values.is_empty());
    let float: Vec<_> = activations.float_layers().collect();
    (float.len(), float[0].why.clone())
}

fn many_layers_before_a_long_chain() {
    const LAYERS: usize = LARGE / 3;
    let names: Vec<String> = (0..LAYERS).map(|index| format!("a{index}")).collect();
    let mut nodes: Vec<NodeProto> = names.iter().map(|name| node("Conv", &["x", "w"], name)).collect();
    let axis = AttributeProto {
        name: Some("axis".to_owned()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(1),
        ..AttributeProto::default()
    };
    let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
    nodes.push(NodeProto { attribute: vec![axis], ..node("Concat", &inputs, "all") });
    nodes.extend(chain("Tanh", "all", LAYERS));
    nodes.push(node("Identity", &[&format!("c{}", LAYERS - 1)], "y"));
    let (layers, reason) = left_float(nodes, vec![weight("w", &[2, 2, 1, 1])]);
    assert_eq!(layers, LAYERS);
    assert!(reason.contains("goes to the outputs"), "{reason}");
}

fn a_long_chain_that_integers_could_spread_through() {
    let mut nodes = vec![node("MatMul", &["x", "w"], "m")];
    nodes.extend(chain("Sigmoid", "m", LARGE));
    nodes.push(node("Tanh", &[&format!("c{}", LARGE - 1)], "y"));
    let (layers, reason) = left_float(nodes, vec![weight("w", &[16, 16])]);
    assert_eq!(layers, 1);
    assert!(reason.contains("'x' has no range"), "{reason}");
}

crate::tests![many_layers_before_a_long_chain, a_long_chain_that_integers_could_spread_through];
