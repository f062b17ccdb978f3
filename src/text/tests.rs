//! Small models and their texts. The reference parser read each of them when it was written, but for
//! the one of names that it cannot read.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use insta::assert_snapshot;

use super::TextOptions;
use crate::{
    ir::{Compute, DataType, Model, Tensor},
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
    Model::from_bytes(prost::Message::encode_to_vec(proto).into()).expect("the test makes a model that can be read")
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

#[test]
fn header_and_types() {
    let symbol = |name: &str| Some(dimension::Value::DimParam(name.to_owned()));
    let size = |size| Some(dimension::Value::DimValue(size));
    let batch = tensor_type(DataType::Float, Some(&[symbol("batch"), symbol("h/2"), None, size(3)]));
    let graph = GraphProto {
        input: vec![
            typed("image", batch),
            typed("rank", tensor_type(DataType::Int8, None)),
            typed("scalar", tensor_type(DataType::Int64, Some(&[]))),
        ],
        output: vec![typed("list", sequence(tensor_type(DataType::Float16, Some(&[size(1)])))), untyped("later")],
        value_info: vec![floats("inner", &[2, 3]), typed("half", tensor_type(DataType::Undefined, None))],
        ..graph("torch-jit", vec![node("Op", &["image", "rank", "scalar"], &["list", "later"])], &[], &[])
    };
    let model = load(&ModelProto {
        ir_version: Some(10),
        opset_import: vec![opset("", 21), opset("com.microsoft", 1)],
        producer_name: some("py\"torch\\"),
        producer_version: some("2.8"),
        model_version: Some(3),
        metadata_props: vec![entry("task", "detect"), entry("names", "{0: 'a'}")],
        graph: Some(graph),
        ..ModelProto::default()
    });
    assert_snapshot!(model.to_text(), @r#"
<
  ir_version: 10,
  opset_import: ["": 21, "com.microsoft": 1],
  producer_name: "py\"torch\\",
  producer_version: "2.8",
  model_version: 3,
  metadata_props: [
    "task": "detect",
    "names": "{0: 'a'}"
  ]
>
"torch-jit" (float[batch,"h/2",?,3] image, int8[] rank, int64 scalar) => (
  seq(float16[1]) list,
  later
) <
  float[2,3] inner,
  half  # the type of half has no element type
> {
  list, later = Op (image, rank, scalar)
}
"#);
}

#[test]
fn names_that_are_no_identifiers_stand_in_quotes() {
    let named = |name: &str, node| NodeProto { name: some(name), ..node };
    let fused = NodeProto { domain: some("com.microsoft"), overload: some("v2"), ..node("FusedConv", &[], &["0"]) };
    let nodes = vec![
        named("/layer.1/conv", node("Conv", &["x y", "", "a::b"], &["é"])),
        named("int8", node("Split", &["é"], &["float", "", "_ok1"])),
        named("no output", node("Print", &["float"], &[])),
        named("say \"hi\"", fused),
        node("Last", &["_ok1", ""], &["seq"]),
    ];
    assert_snapshot!(text(graph("", nodes, &["x y", "a::b"], &["seq", "0"])), @r#"
"" ("x y", "a::b") => ("seq", "0") {
  ["/layer.1/conv"] "é" = Conv ("x y", "", "a::b")
  ["int8"] "float", "", _ok1 = Split ("é")
  ["no output"] = Print ("float")
  ["say \"hi\""] "0" = com.microsoft.FusedConv:v2 ()
  "seq" = Last (_ok1, "")
}
"#);
}

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
fn names_that_the_parser_cannot_read_stand_in_quotes_too() {
    let odd = NodeProto {
        domain: some("my-ops.v1"),
        attribute: vec![AttributeProto { i: Some(8), ..attribute("odd name", AttributeType::Int) }],
        ..node("aten::add", &["x"], &["y"])
    };
    assert_snapshot!(text(graph("main", vec![odd], &["x"], &["y"])), @r#"
main (x) => (y) {
  y = "my-ops".v1."aten::add" <"odd name" = 8> (x)
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
fn nested_graphs_are_indented() {
    let body = |name: &str, node, output: &str, attribute| AttributeProto {
        g: Some(GraphProto {
            initializer: vec![raw("", DataType::Float, &[], 2f32.to_le_bytes().to_vec())]
                .into_iter()
                .map(|tensor| TensorProto { name: Some(format!("{output}/two")), ..tensor })
                .collect(),
            ..graph(name, vec![node], &[], &[output])
        }),
        ..attribute
    };
    let branch = |name| attribute(name, AttributeType::Graph);
    let inner = NodeProto {
        attribute: vec![
            body("then", node("Mul", &["x", "a/two"], &["a"]), "a", branch("then_branch")),
            body("else", node("Add", &["x", "b/two"], &["b"]), "b", branch("else_branch")),
        ],
        ..node("If", &["c"], &["d"])
    };
    let outer = NodeProto {
        name: some("gate"),
        attribute: vec![
            AttributeProto { i: Some(1), ..attribute("before", AttributeType::Int) },
            AttributeProto { graphs: vec![graph("g", vec![], &[], &[])], ..attribute("list", AttributeType::Graphs) },
            body("inf (outer)", inner, "d", branch("body")),
        ],
        ..node("Custom", &["c", ""], &["y"])
    };
    assert_snapshot!(text(graph("main", vec![outer], &["x", "c"], &["y"])), @r#"
main (x, c) => (y) {
  [gate] y = Custom (c, "") <
    before = 1,
    list: graphs = [
      g () => () {
      }
    ],
    body = _inf__outer_ () => (d) <  # named "inf (outer)"
      float "d/two" = {2.0}
    > {
      d = If (c) <
        then_branch = then () => (a) <
          float "a/two" = {2.0}
        > {
          a = Mul (x, "a/two")
        },
        else_branch = else () => (b) <
          float "b/two" = {2.0}
        > {
          b = Add (x, "b/two")
        }
      >
    }
  >
}
"#);
}

#[test]
fn functions_follow_the_graph() {
    let reference = |name: &str, to: &str, kind| AttributeProto { ref_attr_name: some(to), ..attribute(name, kind) };
    let body = NodeProto {
        attribute: vec![
            reference("alpha", "slope", AttributeType::Float),
            reference("axes", "axes", AttributeType::Ints),
            reference("to", "odd name", AttributeType::Undefined),
        ],
        ..node("LeakyRelu", &["in"], &["out"])
    };
    let function = FunctionProto {
        name: some("Activate"),
        domain: some("my.ops"),
        overload: some("fast"),
        doc_string: some("Leaky."),
        input: names(&["in"]),
        output: names(&["out"]),
        attribute: names(&["axes"]),
        attribute_proto: vec![AttributeProto { f: Some(0.01), ..attribute("slope", AttributeType::Float) }],
        value_info: vec![floats("in", &[4])],
        opset_import: vec![opset("", 18)],
        node: vec![body],
        ..FunctionProto::default()
    };
    let plain = FunctionProto { name: some("plain fn"), ..FunctionProto::default() };
    let call = NodeProto { domain: some("my.ops"), overload: some("fast"), ..node("Activate", &["x"], &["y"]) };
    let model = load(&ModelProto {
        graph: Some(graph("main", vec![call], &["x"], &["y"])),
        functions: vec![function, plain],
        ..ModelProto::default()
    });
    assert_snapshot!(model.to_text(), @r#"
main (x) => (y) {
  y = my.ops.Activate:fast (x)
}

<
  domain: "my.ops",
  overload: "fast",
  doc_string: "Leaky.",
  opset_import: ["": 18]
>
Activate <axes, slope = 0.01> (in) => (out) <
  float[4] in
> {
  out = LeakyRelu <alpha: float = @slope, axes: ints = @axes, to = @"odd name"> (in)
}

"plain fn" () => () {
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
  float4e2m1[3] float4_ = ["sha256": "7d35fc61396a9366"],  # {6.0, -0.5, 1.0}
  int4[3] int4_ = ["sha256": "004f213852f5f874"],  # {-1, -8, 7}
  uint2[3] uint2_ = ["sha256": "265fda17a34611b1"],  # {3, 1, 2}
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

#[test]
fn what_the_syntax_cannot_say_is_a_comment() {
    let sparse = SparseTensorProto {
        values: Some(raw("sparse\nw", DataType::Float16, &[1], vec![0x00, 0x38])),
        indices: Some(raw("", DataType::Int64, &[1], 7i64.to_le_bytes().to_vec())),
        dims: vec![4, 4],
    };
    let annotation = TensorAnnotation {
        tensor_name: some("x"),
        quant_parameter_tensor_names: vec![entry("SCALE_TENSOR", "x/scale")],
    };
    let graph_with_both = GraphProto {
        sparse_initializer: vec![sparse],
        quantization_annotation: vec![annotation],
        ..graph("main", vec![], &["x"], &[])
    };
    let training = TrainingInfoProto {
        algorithm: Some(graph("step", vec![node("Sub", &["w", "g"], &["w2"])], &[], &["w2"])),
        update_binding: vec![entry("w", "w2")],
        ..TrainingInfoProto::default()
    };
    let model =
        load(&ModelProto { graph: Some(graph_with_both), training_info: vec![training], ..ModelProto::default() });
    assert_snapshot!(model.to_text(), @r#"
# training_info: initialization of 0 nodes, algorithm of 1 nodes, updates w
main (x) => () {
  # sparse_initializer "sparse\nw": sparse_tensor(float16[4,4]), values float16[1] {0.5}, indices int64[1] {7}
  # quantization_annotation x: "SCALE_TENSOR": "x/scale"
}
"#);
}

#[test]
fn a_long_signature_has_a_line_for_each_value() {
    let inputs: Vec<ValueInfoProto> =
        (0..4).map(|index| floats(&format!("past_key_values.{index}.key"), &[1, 8, 64])).collect();
    let graph = GraphProto { input: inputs, ..graph("main", vec![], &[], &[]) };
    assert_snapshot!(text(graph), @r#"
main (
  float[1,8,64] "past_key_values.0.key",
  float[1,8,64] "past_key_values.1.key",
  float[1,8,64] "past_key_values.2.key",
  float[1,8,64] "past_key_values.3.key"
) => () {
}
"#);
}
