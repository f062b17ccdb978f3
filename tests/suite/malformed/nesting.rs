//! Depth without end: nested bodies and types, cycles, functions that call themselves.

use onnx_quant::proto::{GraphProto, ModelProto};
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint},
};

use crate::{
    malformed::attempt::{quantized, quantized_proto, refusal},
    malformed::build::{body, call, function, graph, info, model, nested, node, weight, with},
};

/// A message within a message, `depth` times over the given fields, outermost first.
fn nested_fields(fields: &[u32], depth: usize) -> Vec<u8> {
    let mut layers = Vec::new();
    let mut length = 0;
    for number in fields.iter().rev().cycle().take(fields.len() * depth) {
        let mut head = Vec::new();
        encode_key(*number, WireType::LengthDelimited, &mut head);
        encode_varint(length as u64, &mut head);
        length += head.len();
        layers.push(head);
    }
    layers.into_iter().rev().flatten().collect()
}

fn under(ahead: &[u32], fields: &[u32], depth: usize) -> Vec<u8> {
    let mut bytes = nested_fields(fields, depth);
    for number in ahead.iter().rev() {
        let mut outer = Vec::new();
        prost::encoding::bytes::encode(*number, &bytes, &mut outer);
        bytes = outer;
    }
    bytes
}

fn assert_too_deep(bytes: &[u8]) {
    let error = quantized(bytes, &Default::default()).expect_err("it is too deep");
    let cause = std::error::Error::source(&error).expect("a decoder's error lies beneath").to_string();
    assert!(cause.contains("recursion limit"), "{error}: {cause}");
}

fn bodies_nested_ten_thousand_deep_are_an_error() {
    // ModelProto.graph, then GraphProto.node, NodeProto.attribute, AttributeProto.g.
    assert_too_deep(&under(&[7], &[1, 5, 6], 10_000));
    // AttributeProto.graphs.
    assert_too_deep(&under(&[7], &[1, 5, 11], 10_000));
    // ModelProto.functions, FunctionProto.node, NodeProto.attribute, then bodies.
    assert_too_deep(&under(&[25, 7, 5, 6], &[1, 5, 6], 10_000));
}

fn types_nested_ten_thousand_deep_are_an_error() {
    // GraphProto.input, ValueInfoProto.type, then TypeProto.sequence_type, Sequence.elem_type.
    assert_too_deep(&under(&[7, 11, 2], &[4, 1], 10_000));
    // TypeProto.optional_type; AttributeProto.tp.
    assert_too_deep(&under(&[7, 1, 5, 14], &[9, 1], 10_000));
}

fn unknown_groups_nested_ten_thousand_deep_are_an_error() {
    let mut bytes = Vec::new();
    (0..10_000).for_each(|_| encode_key(99, WireType::StartGroup, &mut bytes));
    assert_too_deep(&bytes);
}

fn bodies_as_deep_as_protobuf_goes_are_quantized() {
    // The decoder goes 100 messages deep: 32 bodies of three messages each, and what is in the last.
    let mut inner = body(vec![node("MatMul", &["x", "w"], &["y"])], &["y"]);
    inner.initializer.push(weight("w", &[32, 32]));
    for _ in 0..30 {
        inner = body(vec![with(node("If", &["x"], &["y"]), vec![nested("then_branch", inner)])], &["y"]);
    }
    let mut outer = graph(inner.node, vec![]);
    outer.name = Some("outermost".to_owned());
    let quantized = quantized_proto(&model(outer)).expect("it is valid");
    let text = onnx_quant::Model::from_bytes(quantized.encode_to_vec()).expect("it is valid").to_text();
    assert!(text.contains("DequantizeLinear"), "{text}");
}

fn a_cycle_of_nodes_is_an_error_that_names_one_of_them() {
    let nodes = vec![
        node("Add", &["x", "c"], &["a"]),
        node("Relu", &["a"], &["b"]),
        node("Neg", &["b"], &["c"]),
        node("Abs", &["c"], &["y"]),
    ];
    let error = refusal(&model(graph(nodes, vec![])));
    assert!(error.starts_with("Add (unnamed): ") && error.contains("cycle"), "{error}");
}

fn a_node_that_reads_its_own_output_is_an_error() {
    let error = refusal(&model(graph(vec![node("Add", &["x", "y"], &["y"])], vec![])));
    assert!(error.contains("needs its own output"), "{error}");
}

fn a_cycle_through_what_a_body_reads_is_an_error() {
    let inner = body(vec![node("Relu", &["y"], &["inner"])], &["inner"]);
    let branch = with(node("If", &["x"], &["y"]), vec![nested("then_branch", inner)]);
    let error = refusal(&model(graph(vec![branch], vec![])));
    assert!(error.contains("needs its own output"), "{error}");
}

fn a_cycle_through_what_a_body_gives_out_is_an_error() {
    let branch = with(node("If", &["x"], &["y"]), vec![nested("then_branch", body(vec![], &["y"]))]);
    let error = refusal(&model(graph(vec![branch], vec![])));
    assert!(error.contains("needs its own output"), "{error}");
}

fn a_weight_that_a_body_only_gives_out_is_made_before_it() {
    let branch = with(node("If", &["x"], &["a"]), vec![nested("then_branch", body(vec![], &["w"]))]);
    let nodes = vec![branch, node("MatMul", &["a", "w"], &["y"])];
    let quantized = quantized_proto(&model(graph(nodes, vec![weight("w", &[32, 32])]))).expect("it is valid");
    let types: Vec<_> = quantized.graph.unwrap_or_default().node.iter().map(|node| node.op_type().to_owned()).collect();
    assert_eq!(types, ["DequantizeLinear", "If", "MatMul"]);
}

fn calling(name: &str, functions: Vec<onnx_quant::proto::FunctionProto>) -> ModelProto {
    let called = graph(vec![call(name, &["x", "w"], &["y"])], vec![weight("w", &[32, 32])]);
    ModelProto { functions, ..model(called) }
}

fn functions_that_call_themselves_or_each_other_end() {
    let multiplied = node("MatMul", &["x", "w"], &["a"]);
    let itself = function("f", &["x", "w"], &["y"], vec![multiplied.clone(), call("f", &["a", "w"], &["y"])]);
    quantized_proto(&calling("f", vec![itself])).expect("the graph around it is as it should be");
    let f = function("f", &["x", "w"], &["y"], vec![multiplied, call("g", &["a", "w"], &["y"])]);
    let g = function("g", &["x", "w"], &["y"], vec![call("f", &["x", "w"], &["y"])]);
    quantized_proto(&calling("g", vec![f, g])).expect("the graph around them is as it should be");
    let through = function("f", &["x", "w"], &["y"], vec![call("f", &["w", "x"], &["y"])]);
    quantized_proto(&calling("f", vec![through])).expect("the graph around it is as it should be");
}

fn a_call_with_more_or_fewer_arguments_than_parameters_is_no_panic() {
    let f = || function("f", &["x", "w"], &["y"], vec![node("MatMul", &["x", "w"], &["y"])]);
    for inputs in [&[][..], &["w"], &["x", "w", "w", "w"], &["", "w"]] {
        for outputs in [&["y"][..], &["y", "more", "and_more"], &["", "y"]] {
            let called = graph(vec![call("f", inputs, outputs)], vec![weight("w", &[32, 32])]);
            let model = ModelProto { functions: vec![f(), f()], ..model(called) };
            quantized_proto(&model).expect("what a call means is for the runtime to say");
        }
    }
}

fn a_body_may_not_read_what_another_body_makes() {
    let makes = body(vec![node("Relu", &["x"], &["hidden"])], &["hidden"]);
    let reads = body(vec![node("Relu", &["hidden"], &["out"])], &["out"]);
    let branches = vec![nested("then_branch", makes), nested("else_branch", reads)];
    let error = refusal(&model(graph(vec![with(node("If", &["x"], &["y"]), branches)], vec![])));
    assert_eq!(
        error,
        "If (unnamed).else_branch: Relu (unnamed): input 0 'hidden' is defined nowhere: no input, initializer or output of another node has that name"
    );
}

fn an_if_without_branches_is_left_alone() {
    let nodes = vec![node("If", &["x"], &["a"]), node("MatMul", &["a", "w"], &["y"])];
    quantized_proto(&model(graph(nodes, vec![weight("w", &[32, 32])]))).expect("the weight has nothing to do with it");
}

fn a_body_whose_output_nothing_makes_is_an_error_that_says_where() {
    let branch = vec![nested("then_branch", body(vec![], &["nowhere"]))];
    let error = refusal(&model(graph(vec![with(node("If", &["x"], &["y"]), branch)], vec![])));
    assert_eq!(error, "If (unnamed).then_branch: graph output 'nowhere' is made by no node");
}

fn an_empty_graph_stays_one() {
    let empty = model(GraphProto { input: vec![info("x")], output: vec![info("x")], ..GraphProto::default() });
    assert_eq!(quantized_proto(&empty).expect("it is valid"), empty);
}

crate::tests![
    bodies_nested_ten_thousand_deep_are_an_error,
    types_nested_ten_thousand_deep_are_an_error,
    unknown_groups_nested_ten_thousand_deep_are_an_error,
    bodies_as_deep_as_protobuf_goes_are_quantized,
    a_cycle_of_nodes_is_an_error_that_names_one_of_them,
    a_node_that_reads_its_own_output_is_an_error,
    a_cycle_through_what_a_body_reads_is_an_error,
    a_cycle_through_what_a_body_gives_out_is_an_error,
    a_weight_that_a_body_only_gives_out_is_made_before_it,
    functions_that_call_themselves_or_each_other_end,
    a_call_with_more_or_fewer_arguments_than_parameters_is_no_panic,
    a_body_may_not_read_what_another_body_makes,
    an_if_without_branches_is_left_alone,
    a_body_whose_output_nothing_makes_is_an_error_that_says_where,
    an_empty_graph_stays_one
];
