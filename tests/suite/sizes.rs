//! The multiply-accumulates that are told are those of the sizes that the ONNX operators define.

use onnx_quant::{
    Model,
    explain::explain,
    proto::{
        AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
        TypeProto, ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType, tensor_shape_proto,
        type_proto,
    },
};
use prost::Message;

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Ints as i32),
        ints: values.to_vec(),
        ..AttributeProto::default()
    }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::String as i32),
        s: Some(value.as_bytes().to_vec().into()),
        ..AttributeProto::default()
    }
}

/// How many multiply-accumulates a convolution and a product of what it makes take, and how many layers are not counted.
fn counted(input: &[i64], weight: &[i64], attributes: Vec<AttributeProto>) -> (u64, usize) {
    let dim = |size: &i64| tensor_shape_proto::Dimension {
        value: Some(match size {
            0 => tensor_shape_proto::dimension::Value::DimParam("n".to_owned()),
            size => tensor_shape_proto::dimension::Value::DimValue(*size),
        }),
        ..tensor_shape_proto::Dimension::default()
    };
    let shape = TensorShapeProto { dim: input.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: Some(DataType::Float as i32), shape: Some(shape) };
    let ty = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    let info = |name: &str, ty| ValueInfoProto { name: Some(name.to_owned()), r#type: ty, ..ValueInfoProto::default() };
    let elements = weight.iter().product::<i64>() as usize;
    let tensor = TensorProto {
        name: Some("w".to_owned()),
        data_type: Some(DataType::Float as i32),
        dims: weight.to_vec(),
        raw_data: Some(vec![0; 4 * elements].into()),
        ..TensorProto::default()
    };
    let conv = NodeProto {
        op_type: Some("Conv".to_owned()),
        input: vec!["x".to_owned(), "w".to_owned()],
        output: vec!["y".to_owned()],
        attribute: attributes,
        ..NodeProto::default()
    };
    let graph = GraphProto {
        node: vec![conv],
        initializer: vec![tensor],
        input: vec![info("x", Some(ty))],
        output: vec![info("y", None)],
        ..GraphProto::default()
    };
    let opset_import = vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(17) }];
    let proto = ModelProto { ir_version: Some(8), opset_import, graph: Some(graph), ..ModelProto::default() };
    let model = Model::from_bytes(proto.encode_to_vec()).expect("it is a model");
    let summary = explain(&model, &"onnxruntime".parse().expect("a target")).expect("it can be explained").summary;
    (summary.multiply_accumulates, summary.uncounted)
}

fn windows_make_the_sizes_that_are_defined() {
    let pads = ints("pads", &[1, 1, 1, 1]);
    // 8 channels of 3x3x3 weights, for each of 10x12 places.
    assert_eq!(counted(&[2, 3, 10, 12], &[8, 3, 3, 3], vec![pads.clone()]), (2 * 8 * 10 * 12 * 27, 0));
    // Without padding the window fits 8 and 10 times, every second time 4 and 5 times.
    assert_eq!(counted(&[1, 3, 10, 12], &[8, 3, 3, 3], vec![]), (8 * 8 * 10 * 27, 0));
    assert_eq!(counted(&[1, 3, 10, 12], &[8, 3, 3, 3], vec![ints("strides", &[2, 2])]), (8 * 4 * 5 * 27, 0));
    // A window of 3 that leaves out every second element reaches over 5.
    assert_eq!(counted(&[1, 3, 10, 12], &[8, 3, 3, 3], vec![ints("dilations", &[2, 2])]), (8 * 6 * 8 * 27, 0));
    let same = vec![text("auto_pad", "SAME_UPPER"), ints("strides", &[3, 3])];
    assert_eq!(counted(&[1, 3, 10, 12], &[8, 3, 3, 3], same), (8 * 4 * 4 * 27, 0));
    // Of an open batch one is counted; of other open sizes nothing is.
    assert_eq!(counted(&[0, 3, 10, 12], &[8, 3, 1, 1], vec![]), (8 * 10 * 12 * 3, 0));
    assert_eq!(counted(&[1, 3, 0, 12], &[8, 3, 1, 1], vec![]), (0, 1));
    // What fits nowhere, or is no number at all, is not counted either.
    assert_eq!(counted(&[1, 3, 2, 2], &[8, 3, 3, 3], vec![]), (0, 1));
    for odd in [vec![ints("strides", &[0, 0])], vec![ints("strides", &[1])], vec![ints("pads", &[i64::MIN; 4])]] {
        assert_eq!(counted(&[1, 3, 10, 12], &[8, 3, 3, 3], odd), (0, 1));
    }
}

/// A product of 4x16 by 16x8 numbers with a pair on each side.
fn bytes_are_counted_at_the_width_in_which_kernels_read_and_write() {
    let weight: Vec<String> = (0..128).map(|number| (number % 16 - 8).to_string()).collect();
    let text = format!(
        "<ir_version: 8, opset_import: [\"\": 17]>
         g (float[4,16] x) => (float[4,8] y)
         <float a = {{0.1}}, uint8 b = {{128}}, float c = {{0.5}}, int8 z = {{0}}, int8[16,8] w = {{{}}}> {{
           q = QuantizeLinear (x, a, b) d = DequantizeLinear (q, a, b) v = DequantizeLinear (w, c, z)
           p = MatMul (d, v) r = QuantizeLinear (p, c, b) y = DequantizeLinear (r, c, b)
         }}",
        weight.join(", ")
    );
    let model = Model::from_text(&text).expect("it is a model");
    let summary = explain(&model, &"onnxruntime".parse().expect("a target")).expect("it can be explained").summary;
    let scale_and_zero_point = 4 + 1;
    let quantizes = 4 * 16 * 4 + scale_and_zero_point + 4 * 16;
    let multiplies = 4 * 16 + 16 * 8 + 4 * 8;
    let dequantizes = 4 * 8 + scale_and_zero_point + 4 * 8 * 4;
    assert_eq!(summary.bytes_moved, quantizes + multiplies + dequantizes);
    assert_eq!(summary.bytes_moved_in_float, 4 * (4 * 16 + 16 * 8 + 4 * 8));
}

crate::tests![windows_make_the_sizes_that_are_defined, bytes_are_counted_at_the_width_in_which_kernels_read_and_write];
