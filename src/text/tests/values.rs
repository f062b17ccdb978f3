//! Attributes and tensors.

use std::{ops::Range, sync::Arc};

use insta::assert_snapshot;

use super::*;
use crate::{
    TextOptions,
    ir::{Compute, Tensor},
};

#[test]
fn every_kind_of_attribute() {
    use AttributeType::*;
    let tensor = raw("ignored", DataType::Int8, &[2], vec![1, 0xff]);
    let large = raw("", DataType::Float, &[3, 3], vec![0; 36]);
    let sparse = SparseTensorProto {
        values: Some(raw("", DataType::Float, &[1], 0.5f32.to_le_bytes().to_vec())),
        indices: Some(raw("", DataType::Int64, &[1], 7i64.to_le_bytes().to_vec())),
        dims: vec![4, 4],
    };
    let text = attributes(vec![
        AttributeProto { f: Some(1.0), ..attribute("f", Float) },
        AttributeProto { i: Some(i64::MIN), ..attribute("i", Int) },
        attribute("zero", Int),
        AttributeProto { s: Some("a \"b\" \\".into()), ..attribute("s", String) },
        AttributeProto { s: Some(vec![0xff, 0xfe].into()), ..attribute("blob", String) },
        AttributeProto { t: Some(tensor.clone()), ..attribute("t", Tensor) },
        AttributeProto { t: Some(large.clone()), ..attribute("large", Tensor) },
        AttributeProto { tp: Some(sequence(tensor_type(DataType::Float, None))), ..attribute("tp", TypeProto) },
        AttributeProto { floats: vec![0.1, -1e-10, 1e30, f32::NEG_INFINITY, f32::NAN], ..attribute("floats", Floats) },
        AttributeProto { ints: vec![1, -2], ..attribute("ints", Ints) },
        AttributeProto { strings: vec!["a".into(), "".into()], ..attribute("strings", Strings) },
        AttributeProto { tensors: vec![tensor, large], ..attribute("tensors", Tensors) },
        AttributeProto { type_protos: vec![tensor_type(DataType::Bool, Some(&[]))], ..attribute("types", TypeProtos) },
        AttributeProto { sparse_tensor: Some(sparse), ..attribute("sparse", SparseTensor) },
        AttributeProto { i: Some(7), ..attribute("old", Undefined) },
    ]);
    assert_snapshot!(text, @r#"
main (x) => (y) {
  y = Op <f = 1.0, i = -9223372036854775808, zero = 0, s = "a \"b\" \\", blob = "2 bytes, sha256 b3d510ef04275ca8", t = int8[2] {1, -1}, large = float[3,3] = ["sha256": "6db65fd59fd356f6"], tp = seq(float[]), floats = [0.1, -1e-10, 1e30, -inf, nan], ints = [1, -2], strings = ["a", ""], tensors: tensors = [int8[2] {1, -1}, float[3,3] = ["sha256": "6db65fd59fd356f6"]], types: type_protos = [bool], old = 7> (x)  # sparse = sparse_tensor(float[4,4]), values float[1] {0.5}, indices int64[1] {7}
}
"#);
}

#[test]
fn empty_lists_state_their_kind() {
    use AttributeType::*;
    let kinds = [Floats, Ints, Strings, Tensors, Graphs, SparseTensors, TypeProtos];
    let empty = kinds.into_iter().map(|kind| attribute(&format!("a{}", kind as i32), kind)).collect();
    assert_snapshot!(attributes(empty), @r#"
main (x) => (y) {
  y = Op <a6: floats = [], a7: ints = [], a8: strings = [], a9: tensors = [], a10: graphs = [], a12: sparse_tensors = [], a14: type_protos = []> (x)
}
"#);
}

#[test]
fn small_tensors_of_every_type() {
    use DataType::*;
    let f32s: Vec<u8> = [1.0, -0.0, 0.1, f32::NAN, f32::INFINITY].iter().flat_map(|x: &f32| x.to_le_bytes()).collect();
    let text = initializers(vec![
        raw("float_", Float, &[5], f32s),
        raw("double_", Double, &[], 1e300f64.to_le_bytes().to_vec()),
        raw("int8_", Int8, &[2], vec![0x80, 0x7f]),
        raw("uint8_", Uint8, &[1, 2], vec![0x80, 0x7f]),
        raw("int16_", Int16, &[1], (-2i16).to_le_bytes().to_vec()),
        raw("int64_", Int64, &[1], i64::MIN.to_le_bytes().to_vec()),
        raw("uint64_", Uint64, &[1], vec![0xff; 8]),
        raw("bool_", Bool, &[2], vec![1, 0]),
        raw("float16_", Float16, &[2], vec![0x00, 0x3c, 0x00, 0xfc]),
        raw("bfloat16_", Bfloat16, &[1], vec![0x80, 0x3f]),
        raw("float8_", Float8e4m3fn, &[2], vec![0x38, 0xff]),
        raw("float6_", Float6e2m3, &[2], vec![0xc8, 0x0f]),
        raw("float4_", Float4e2m1, &[3], vec![0x97, 0x02]),
        raw("int4_", Int4, &[3], vec![0x8f, 0x07]),
        raw("uint2_", Uint2, &[3], vec![0b0010_0111]),
        raw("complex_", Complex64, &[1], [1f32.to_le_bytes(), 2f32.to_le_bytes()].concat()),
        raw("none", Int4, &[0, 2], vec![]),
        TensorProto {
            name: some("string_"),
            data_type: Some(String as i32),
            dims: vec![2],
            string_data: vec!["a".into(), "\"#\"".into()],
            ..TensorProto::default()
        },
        raw("unknown", Undefined, &[1], vec![1]),
    ]);
    assert_snapshot!(text, @r##"
main () => () <
  float[5] float_ = {1.0, -0.0, 0.1, nan, inf},
  double double_ = {1e300},
  int8[2] int8_ = {-128, 127},
  uint8[1,2] uint8_ = {128, 127},
  int16[1] int16_ = {-2},
  int64[1] int64_ = {-9223372036854775808},
  uint64[1] uint64_ = {18446744073709551615},
  bool[2] bool_ = {1, 0},
  float16[2] float16_ = {15360, 64512},  # {1.0, -inf}
  bfloat16[1] bfloat16_ = {16256},  # {1.0}
  float8e4m3fn[2] float8_ = {56, 255},  # {1.0, nan}
  float6e2m3[2] float6_ = {8, 63},  # {1.0, -7.5}
  float4e2m1[3] float4_ = ["bytes": "9702"],  # {6.0, -0.5, 1.0}
  int4[3] int4_ = ["bytes": "8f07"],  # {-1, -8, 7}
  uint2[3] uint2_ = ["bytes": "27"],  # {3, 1, 2}
  complex64[1] complex_ = {1.0, 2.0},
  int4[0,2] none = {},
  string[2] string_ = {"a", "\"#\""},
  unknown  # an initializer of type 0
> {
}
"##);
}

#[test]
fn a_digest_is_the_same_wherever_the_elements_are_kept() {
    struct Ramp;
    impl Compute for Ramp {
        fn byte_len(&self) -> usize {
            1 << 20
        }
        fn compute(&self, span: Range<usize>, out: &mut [u8]) {
            span.zip(out).for_each(|(index, byte)| *byte = ((index / 3) >> 2) as u8);
        }
    }
    let mut bytes = vec![0; Ramp.byte_len()];
    Ramp.compute(0..bytes.len(), &mut bytes);
    let in_raw_data = raw("w", DataType::Uint8, &[1 << 10, 1 << 10], bytes.clone());
    let in_a_field = TensorProto {
        raw_data: None,
        int32_data: bytes.iter().map(|byte| i32::from(*byte)).collect(),
        ..in_raw_data.clone()
    };
    let mut model = load(&ModelProto { graph: Some(graph("main", vec![], &[], &[])), ..ModelProto::default() });
    let computed = Tensor::computed("w", DataType::Uint8, &[1 << 10, 1 << 10], Arc::new(Ramp));
    model.new_constant(Model::MAIN, computed, None, None);

    let expected = initializers(vec![in_raw_data]);
    assert_snapshot!(expected, @r#"
main () => () <
  uint8[1024,1024] w = ["sha256": "2a7c4aab76845d00"]
> {
}
"#);
    assert_eq!(initializers(vec![in_a_field]), expected);
    assert_eq!(model.to_text(), expected);
}

#[test]
fn options_say_what_is_small() {
    let initializer = vec![raw("w", DataType::Int8, &[2], vec![1, 2])];
    let graph = GraphProto { initializer, ..graph("main", vec![], &[], &[]) };
    let model = load(&ModelProto { graph: Some(graph), ..ModelProto::default() });
    assert!(model.to_text().contains("w = {1, 2}"));
    let digests = model.to_text_with(&TextOptions { literal_elements: 1 });
    assert!(digests.contains("w = [\"sha256\": \"a12871fee210fb86\"]"), "{digests}");
}
