//! Whether two models have the same fields, but for what the text leaves out: documentation, metadata and denotations
//! inside of the model, the names of tensors in attributes, and where the elements of tensors are kept.

use onnx_quant::{
    Model,
    ir::Tensor,
    proto::{
        AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto,
        tensor_shape_proto::dimension, type_proto::Value,
    },
};
use prost::Message;

pub fn differ(left: &Model, right: &Model) -> Result<(), String> {
    let [left, right] = [left, right].map(|model| {
        let mut proto = ModelProto::decode(&*model.to_bytes()).expect("what was written can be read");
        normalize(&mut proto);
        proto
    });
    if left == right {
        return Ok(());
    }
    let [left, right] = [left, right].map(|model| format!("{model:#?}"));
    let line = left.lines().zip(right.lines()).find(|(left, right)| left != right);
    Err(format!("{line:?}"))
}

fn normalize(model: &mut ModelProto) {
    clear_empty(&mut model.domain);
    clear_empty(&mut model.producer_name);
    clear_empty(&mut model.producer_version);
    clear_empty(&mut model.doc_string);
    if let Some(graph) = &mut model.graph {
        of_graph(graph);
    }
    model.functions.iter_mut().for_each(of_function);
    for import in model.opset_import.iter_mut().chain(model.functions.iter_mut().flat_map(|f| &mut f.opset_import)) {
        clear_empty(&mut import.domain);
    }
}

fn clear_empty(text: &mut Option<String>) {
    if text.as_ref().is_some_and(String::is_empty) {
        *text = None;
    }
}

fn of_graph(graph: &mut GraphProto) {
    graph.doc_string = None;
    graph.metadata_props.clear();
    clear_empty(&mut graph.name);
    graph.initializer.iter_mut().for_each(of_tensor);
    for info in graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info) {
        of_value(info);
    }
    graph.node.iter_mut().for_each(of_node);
}

fn of_function(function: &mut FunctionProto) {
    function.metadata_props.clear();
    clear_empty(&mut function.doc_string);
    clear_empty(&mut function.domain);
    clear_empty(&mut function.overload);
    function.node.iter_mut().for_each(of_node);
    function.attribute_proto.iter_mut().for_each(of_attribute);
    function.value_info.iter_mut().for_each(of_value);
}

fn of_node(node: &mut NodeProto) {
    node.doc_string = None;
    node.metadata_props.clear();
    node.device_configurations.clear();
    clear_empty(&mut node.name);
    clear_empty(&mut node.domain);
    clear_empty(&mut node.overload);
    node.attribute.iter_mut().for_each(of_attribute);
}

fn of_attribute(attribute: &mut AttributeProto) {
    attribute.doc_string = None;
    // A number that is not stated is the one that fields have otherwise.
    use onnx_quant::proto::attribute_proto::AttributeType;
    if attribute.ref_attr_name().is_empty() {
        match attribute.r#type() {
            AttributeType::Int => attribute.i = Some(attribute.i()),
            AttributeType::Float => attribute.f = Some(attribute.f()),
            AttributeType::String => attribute.s = Some(attribute.s().to_vec().into()),
            _ => {}
        }
    }
    clear_empty(&mut attribute.ref_attr_name);
    for tensor in attribute.t.iter_mut().chain(&mut attribute.tensors) {
        of_tensor(tensor);
        tensor.name = None;
    }
    attribute.g.iter_mut().chain(&mut attribute.graphs).for_each(of_graph);
    attribute.tp.iter_mut().chain(&mut attribute.type_protos).for_each(of_type);
}

fn of_value(info: &mut ValueInfoProto) {
    info.doc_string = None;
    info.metadata_props.clear();
    info.r#type.iter_mut().for_each(of_type);
    info.r#type = info.r#type.take().filter(|ty| ty.value.is_some());
}

fn of_type(ty: &mut TypeProto) {
    ty.denotation = None;
    let shape = match &mut ty.value {
        Some(Value::TensorType(tensor)) => tensor.shape.as_mut(),
        Some(Value::SparseTensorType(tensor)) => tensor.shape.as_mut(),
        Some(Value::SequenceType(sequence)) => return sequence.elem_type.iter_mut().for_each(|ty| of_type(ty)),
        Some(Value::OptionalType(optional)) => return optional.elem_type.iter_mut().for_each(|ty| of_type(ty)),
        Some(Value::MapType(map)) => return map.value_type.iter_mut().for_each(|ty| of_type(ty)),
        Some(Value::OpaqueType(opaque)) => {
            clear_empty(&mut opaque.domain);
            return clear_empty(&mut opaque.name);
        }
        None => None,
    };
    for dim in shape.into_iter().flat_map(|shape| &mut shape.dim) {
        dim.denotation = None;
        if matches!(&dim.value, Some(dimension::Value::DimParam(symbol)) if symbol.is_empty()) {
            dim.value = None;
        }
    }
}

/// Elements as bytes, wherever they were; strings stay as they are.
fn of_tensor(tensor: &mut TensorProto) {
    let dims: Vec<usize> = tensor.dims.iter().map(|&dim| usize::try_from(dim).expect("it was loaded")).collect();
    let name = tensor.name.take().filter(|name| !name.is_empty());
    let bytes = bytes_of(tensor);
    *tensor = TensorProto {
        name,
        dims: dims.iter().map(|&dim| dim as i64).collect(),
        data_type: tensor.data_type,
        string_data: std::mem::take(&mut tensor.string_data),
        raw_data: bytes.filter(|bytes| !bytes.is_empty()).map(Into::into),
        ..TensorProto::default()
    };
}

/// The elements as a model that holds nothing but them has them.
fn bytes_of(tensor: &TensorProto) -> Option<Vec<u8>> {
    let named = TensorProto { name: Some("t".to_owned()), ..tensor.clone() };
    let graph = GraphProto { name: Some("g".to_owned()), initializer: vec![named], ..GraphProto::default() };
    let model = ModelProto { ir_version: Some(8), graph: Some(graph), ..ModelProto::default() };
    let model = Model::from_bytes(model.encode_to_vec()).expect("it was loaded before");
    let scope = model.scope(Model::MAIN);
    let tensor: &Tensor = model.value(scope.initializers()[0]).initializer().expect("an initializer");
    tensor.to_bytes().ok()
}
