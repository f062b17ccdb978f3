//! Headers, graphs, nodes and functions.

use insta::assert_snapshot;

use super::*;

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

#[test]
fn what_would_steer_a_terminal_is_spelled_out() {
    let odd = "a\u{1b}]0;title\u{7}\u{9b}b\r\n\tc\\u{1b}\u{7f}";
    let node = NodeProto {
        name: some(odd),
        domain: some(odd),
        attribute: vec![
            AttributeProto { s: Some("line\nline\t\u{1b}[2J".into()), ..attribute(odd, AttributeType::String) },
            AttributeProto { strings: vec!["\u{8}".into()], ..attribute("strings", AttributeType::Strings) },
        ],
        ..node(odd, &[odd], &["y"])
    };
    let info = typed(odd, tensor_type(DataType::Float, Some(&[Some(dimension::Value::DimParam(odd.to_owned()))])));
    let proto = ModelProto {
        producer_name: some("\u{1b}[31m"),
        doc_string: some("\u{1b}[31m"),
        opset_import: vec![opset(odd, 1)],
        metadata_props: vec![entry(odd, odd)],
        graph: Some(GraphProto {
            input: vec![info],
            initializer: vec![raw("\u{1b}w", DataType::Int8, &[1], vec![1])],
            ..graph(odd, vec![node], &[], &["y"])
        }),
        ..ModelProto::default()
    };
    let text = load(&proto).to_text();
    let steers = |character: char| character.is_control() && character != '\n' && character != '\t';
    assert!(!text.contains(steers), "{text:?}");
    // Line breaks and tabs stay, as the parser reads them so; what is spelled out is told from what is called so.
    assert!(text.contains("[\"a\\u{1b}]0;title\\u{7}\\u{9b}b\\u{d}\n\tc\\\\u{1b}\\u{7f}\"]"), "{text}");
    assert!(text.contains("\"line\nline\t\\u{1b}[2J\""), "{text}");
}
