//! Small models and their texts. The reference parser read each of them when it was written, but for
//! the one of names that it cannot read.

mod graphs;
mod values;

use bytes::Bytes;

use crate::{
    ir::{DataType, Model},
    proto::{
        AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, SparseTensorProto,
        StringStringEntryProto, TensorAnnotation, TensorProto, TensorShapeProto, TrainingInfoProto, TypeProto,
        ValueInfoProto,
        attribute_proto::AttributeType,
        tensor_shape_proto::{Dimension, dimension},
        type_proto,
    },
};

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn entry(key: &str, value: &str) -> StringStringEntryProto {
    StringStringEntryProto { key: some(key), value: some(value) }
}

fn opset(domain: &str, version: i64) -> OperatorSetIdProto {
    OperatorSetIdProto { domain: some(domain), version: Some(version) }
}

fn tensor_type(dtype: DataType, dims: Option<&[Option<dimension::Value>]>) -> TypeProto {
    let dim = |value: &Option<dimension::Value>| Dimension { value: value.clone(), ..Dimension::default() };
    let shape = dims.map(|dims| TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let tensor = type_proto::Tensor { elem_type: Some(dtype as i32), shape };
    TypeProto { value: Some(type_proto::Value::TensorType(tensor)), denotation: None }
}

fn sequence(element: TypeProto) -> TypeProto {
    let sequence = type_proto::Sequence { elem_type: Some(Box::new(element)) };
    TypeProto { value: Some(type_proto::Value::SequenceType(Box::new(sequence))), denotation: None }
}

fn untyped(name: &str) -> ValueInfoProto {
    ValueInfoProto { name: some(name), ..ValueInfoProto::default() }
}

fn typed(name: &str, ty: TypeProto) -> ValueInfoProto {
    ValueInfoProto { r#type: Some(ty), ..untyped(name) }
}

fn floats(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dims: Vec<_> = dims.iter().map(|&dim| Some(dimension::Value::DimValue(dim))).collect();
    typed(name, tensor_type(DataType::Float, Some(&dims)))
}

fn node(op_type: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto { op_type: some(op_type), input: names(inputs), output: names(outputs), ..NodeProto::default() }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: some(name), r#type: Some(kind as i32), ..AttributeProto::default() }
}

fn raw(name: &str, dtype: DataType, dims: &[i64], bytes: impl Into<Bytes>) -> TensorProto {
    TensorProto {
        name: some(name),
        data_type: Some(dtype as i32),
        dims: dims.to_vec(),
        raw_data: Some(bytes.into()),
        ..TensorProto::default()
    }
}

fn graph(name: &str, node: Vec<NodeProto>, inputs: &[&str], outputs: &[&str]) -> GraphProto {
    GraphProto {
        name: some(name),
        node,
        input: inputs.iter().map(|name| untyped(name)).collect(),
        output: outputs.iter().map(|name| untyped(name)).collect(),
        ..GraphProto::default()
    }
}

fn load(proto: &ModelProto) -> Model {
    Model::from_bytes(prost::Message::encode_to_vec(proto)).expect("the test makes a model that can be read")
}

/// The text of a model that is nothing but a graph, without the header.
fn text(graph: GraphProto) -> String {
    load(&ModelProto { graph: Some(graph), ..ModelProto::default() }).to_text()
}

/// The text of initializers alone.
fn initializers(initializer: Vec<TensorProto>) -> String {
    text(GraphProto { initializer, ..graph("main", vec![], &[], &[]) })
}

/// The text of a node with these attributes.
fn attributes(attribute: Vec<AttributeProto>) -> String {
    text(graph("main", vec![NodeProto { attribute, ..node("Op", &["x"], &["y"]) }], &["x"], &["y"]))
}
