//! Models written by hand, in few words.

use onnx_quant::proto::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto,
    attribute_proto::AttributeType, tensor_proto::DataType,
};

pub fn model(graph: GraphProto) -> ModelProto {
    ModelProto { ir_version: Some(8), opset_import: vec![opset(21)], graph: Some(graph), ..ModelProto::default() }
}

pub fn opset(version: i64) -> OperatorSetIdProto {
    OperatorSetIdProto { domain: Some(String::new()), version: Some(version) }
}

/// A graph from `x` to `y`.
pub fn graph(node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> GraphProto {
    let name = Some("graph".to_owned());
    GraphProto { node, initializer, name, input: vec![info("x")], output: vec![info("y")], ..GraphProto::default() }
}

/// A body: no inputs.
pub fn body(node: Vec<NodeProto>, outputs: &[&str]) -> GraphProto {
    GraphProto { node, output: outputs.iter().map(|name| info(name)).collect(), ..GraphProto::default() }
}

pub fn info(name: &str) -> ValueInfoProto {
    ValueInfoProto { name: Some(name.to_owned()), ..ValueInfoProto::default() }
}

pub fn function(name: &str, inputs: &[&str], outputs: &[&str], node: Vec<NodeProto>) -> FunctionProto {
    FunctionProto {
        name: Some(name.to_owned()),
        domain: Some("own".to_owned()),
        input: owned(inputs),
        output: owned(outputs),
        node,
        opset_import: vec![opset(21)],
        ..FunctionProto::default()
    }
}

/// A node without a name and attributes.
pub fn node(op_type: &str, input: &[&str], output: &[&str]) -> NodeProto {
    NodeProto { op_type: Some(op_type.to_owned()), input: owned(input), output: owned(output), ..NodeProto::default() }
}

/// A call of a function.
pub fn call(name: &str, input: &[&str], output: &[&str]) -> NodeProto {
    NodeProto { domain: Some("own".to_owned()), ..node(name, input, output) }
}

pub fn with(mut node: NodeProto, attributes: Vec<AttributeProto>) -> NodeProto {
    node.attribute.extend(attributes);
    node
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), r#type: Some(kind as i32), ..AttributeProto::default() }
}

pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, AttributeType::Int) }
}

pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { ints: values.to_vec(), ..attribute(name, AttributeType::Ints) }
}

pub fn floats(name: &str, values: &[f32]) -> AttributeProto {
    AttributeProto { floats: values.to_vec(), ..attribute(name, AttributeType::Floats) }
}

pub fn value(name: &str, tensor: TensorProto) -> AttributeProto {
    AttributeProto { t: Some(tensor), ..attribute(name, AttributeType::Tensor) }
}

pub fn nested(name: &str, graph: GraphProto) -> AttributeProto {
    AttributeProto { g: Some(graph), ..attribute(name, AttributeType::Graph) }
}

/// A float tensor with the data that its shape needs.
pub fn weight(name: &str, dims: &[i64]) -> TensorProto {
    let count = dims.iter().product::<i64>();
    let values = (0..count).flat_map(|index| ((index % 17) as f32 - 8.0).to_le_bytes());
    TensorProto { raw_data: Some(values.collect::<Vec<u8>>().into()), ..claimed(name, DataType::Float as i32, dims) }
}

pub fn integers(name: &str, values: &[i64]) -> TensorProto {
    let dims = [values.len() as i64];
    TensorProto { int64_data: values.to_vec(), ..claimed(name, DataType::Int64 as i32, &dims) }
}

/// A tensor that claims a type and a shape and has no data.
pub fn claimed(name: &str, data_type: i32, dims: &[i64]) -> TensorProto {
    let name = Some(name.to_owned());
    TensorProto { name, data_type: Some(data_type), dims: dims.to_vec(), ..TensorProto::default() }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}
