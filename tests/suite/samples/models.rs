//! Models of which only the inputs matter.

use onnx_quant::{
    Model,
    ir::DataType,
    proto::{
        GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto,
        tensor_shape_proto::{Dimension, dimension},
        type_proto,
    },
};
use prost::Message;

/// A model with inputs of these names, types and sizes; 0 is an open one.
pub fn with_inputs(inputs: &[(&str, DataType, &[i64])]) -> Model {
    let dim = |&size: &i64| {
        let value = (size > 0).then_some(dimension::Value::DimValue(size));
        Dimension { value, ..Dimension::default() }
    };
    let value = |(name, dtype, dims): &(&str, DataType, &[i64])| {
        let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
        let tensor = type_proto::Tensor { elem_type: Some(*dtype as i32), shape: Some(shape) };
        let ty = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
        ValueInfoProto { name: Some((*name).to_owned()), r#type: Some(ty), ..ValueInfoProto::default() }
    };
    let node = NodeProto {
        op_type: Some("Identity".to_owned()),
        input: vec![inputs[0].0.to_owned()],
        output: vec!["made".to_owned()],
        ..NodeProto::default()
    };
    let graph = GraphProto {
        name: Some("g".to_owned()),
        node: vec![node],
        input: inputs.iter().map(value).collect(),
        output: vec![value(&("made", inputs[0].1, inputs[0].2))],
        ..GraphProto::default()
    };
    let model = ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto { version: Some(17), ..OperatorSetIdProto::default() }],
        graph: Some(graph),
        ..ModelProto::default()
    };
    Model::from_bytes(model.encode_to_vec()).expect("it is a model")
}
