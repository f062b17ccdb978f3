//! Models with inputs of any type, and nothing else.

use onnx_quant::{
    Model,
    ir::DataType,
    proto::{
        GraphProto, ModelProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
        tensor_shape_proto::{Dimension, dimension},
        type_proto,
    },
};
use prost::Message;

/// A type in words: `float[1,N,?]`, `int64` for a scalar, `float[...]` where no shape is stated.
pub fn ty(text: &str) -> TypeProto {
    let (element, dims) = match text.trim_end_matches(']').split_once('[') {
        Some((element, dims)) => (element, Some(dims)),
        None => (text, None),
    };
    let dtype = DataType::from_str_name(&element.to_uppercase()).expect("an element type");
    let dim = |text: &str| Dimension {
        denotation: None,
        value: match text.parse() {
            Ok(size) => Some(dimension::Value::DimValue(size)),
            Err(_) if text == "?" => None,
            Err(_) => Some(dimension::Value::DimParam(text.to_owned())),
        },
    };
    let shape = match dims {
        Some("...") => None,
        Some(dims) => Some(TensorShapeProto { dim: dims.split(',').map(dim).collect() }),
        None => Some(TensorShapeProto::default()),
    };
    let tensor = type_proto::Tensor { elem_type: Some(dtype as i32), shape };
    TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() }
}

/// A model that does nothing, with inputs of these names and types; those behind `=` have a default.
pub fn model(inputs: &[(&str, &str)]) -> Model {
    let typed: Vec<_> = inputs.iter().map(|(name, text)| (*name, ty(text))).collect();
    model_of(&typed)
}

pub fn model_of(inputs: &[(&str, TypeProto)]) -> Model {
    let mut graph = GraphProto { name: Some("g".to_owned()), ..GraphProto::default() };
    for (name, ty) in inputs {
        let plain = name.trim_start_matches('=');
        graph.input.push(ValueInfoProto {
            name: Some(plain.to_owned()),
            r#type: Some(ty.clone()),
            ..ValueInfoProto::default()
        });
        if plain != *name {
            graph.initializer.push(TensorProto {
                name: Some(plain.to_owned()),
                data_type: Some(1),
                float_data: vec![0.5],
                ..TensorProto::default()
            });
        }
    }
    let opset = OperatorSetIdProto { domain: None, version: Some(17) };
    let model =
        ModelProto { ir_version: Some(8), graph: Some(graph), opset_import: vec![opset], ..ModelProto::default() };
    Model::from_bytes(model.encode_to_vec()).expect("a model")
}
