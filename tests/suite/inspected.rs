//! What `inspect` tells of models, against what was put into them.

use crate::{command_line, testdata};
use command_line::{fail, folder_with, read, run, succeed};
use onnx_quant::{
    Model,
    inspect::{Inspection, inspect},
    proto::{GraphProto, ModelProto},
    targets::Target,
};
use prost::Message;

fn inspected(name: &str) -> Inspection {
    inspect(&Model::load(testdata::path(name)).expect("it is a model"), &Target::default())
}

/// The nodes of a graph and of the bodies in it.
fn nodes(graph: &GraphProto) -> usize {
    let bodies = graph.node.iter().flat_map(|node| &node.attribute).flat_map(|it| it.g.iter().chain(&it.graphs));
    graph.node.len() + bodies.map(nodes).sum::<usize>()
}

fn every_operator_of_every_model_is_counted() {
    let mut looked_at = 0;
    for fixture in testdata::fixtures() {
        let (Ok(model), Ok(bytes)) = (Model::load(fixture.path()), std::fs::read(fixture.path())) else { continue };
        let inspection = inspect(&model, &Target::default());
        let file = ModelProto::decode(bytes.as_slice()).expect("it is a model");
        let body = |function: &onnx_quant::proto::FunctionProto| {
            nodes(&GraphProto { node: function.node.clone(), ..GraphProto::default() })
        };
        let expected = file.graph.as_ref().map_or(0, nodes) + file.functions.iter().map(body).sum::<usize>();
        assert_eq!(inspection.operators.values().sum::<usize>(), expected, "{}", fixture.name);
        assert_eq!(inspection.functions, file.functions.len(), "{}", fixture.name);
        let json: serde_json::Value = serde_json::from_str(&inspection.to_json()).expect("it is JSON");
        assert_eq!(json["ir_version"], file.ir_version(), "{}", fixture.name);
        looked_at += 1;
    }
    assert!(looked_at > 50, "only {looked_at}");
}

fn interfaces_weights_and_needs_are_told() {
    let kws = inspected("kws_dscnn.onnx");
    assert_eq!((kws.ir_version, kws.opsets["ai.onnx"], kws.needs.opset), (7, 14, 14));
    assert_eq!(kws.inputs[0].ty.as_deref(), Some("float[N,62,40]"));
    assert_eq!((kws.operators["Conv"], kws.operators["HardSwish"]), (9, 5));
    assert_eq!(kws.largest[0].bytes, 64 * 64 * 4);
    assert!(kws.quantized == Default::default() && kws.needs.other_domains.is_empty());

    let external = inspected("mnist_external/mnist.onnx");
    assert!(external.needs.external_files.iter().all(|file| file.ends_with("mnist.onnx.data")));
    assert_eq!(external.needs.external_files.len(), 1);

    let contrib = inspected("made/contrib_operators.onnx");
    assert!(contrib.needs.other_domains["com.microsoft"].contains("FusedMatMul"), "{:?}", contrib.needs);
    // Functions of the model's own are nothing that somebody else must have.
    assert!(inspected("made/function_nested.onnx").needs.other_domains.is_empty());
    assert!(inspected("made/overridable_defaults.onnx").inputs[1].has_default);
    assert!(!inspected("made/metadata_everywhere.onnx").metadata.is_empty());
}

fn what_is_quantized_is_told() {
    let blocked = inspected("made/qdq_blocked_int4.onnx");
    assert_eq!(blocked.quantized.constants.keys().collect::<Vec<_>>(), ["int4"]);
    let operators = inspected("made/quantized_operators.onnx").quantized.operators;
    assert!(operators.keys().any(|op_type| op_type.starts_with("QLinear")), "{operators:?}");
    let folder = folder_with(&["kws_dscnn.onnx"]);
    succeed(folder.path(), &["kws_dscnn.onnx", "out.onnx", "-q"]);
    let output = run(folder.path(), &["inspect", "out.onnx"]);
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(said.contains("\nquantized      10 int8 constants\n"), "{said}");
}

fn json_goes_to_a_file_or_a_stream_and_never_over_the_model() {
    let folder = folder_with(&["kws_dscnn.onnx"]);
    let folder = folder.path();
    let streamed = run(folder, &["inspect", "kws_dscnn.onnx", "--json"]);
    assert_eq!(run(folder, &["inspect", "kws_dscnn.onnx", "--json", "-"]).stdout, streamed.stdout);
    assert!(!run(folder, &["inspect", "kws_dscnn.onnx", "--json", "i.json"]).stdout.is_empty());
    assert_eq!(read(folder, "i.json"), streamed.stdout);
    let said = fail(folder, 2, &["inspect", "kws_dscnn.onnx", "--json", "kws_dscnn.onnx"]);
    assert!(said.contains("the same file"), "{said}");
    assert!(fail(folder, 1, &["inspect", "missing.onnx"]).contains("missing.onnx: cannot be read"));
    assert!(fail(folder, 1, &["inspect", "."]).contains("it is a folder"));
}

crate::tests![
    every_operator_of_every_model_is_counted,
    interfaces_weights_and_needs_are_told,
    what_is_quantized_is_told,
    json_goes_to_a_file_or_a_stream_and_never_over_the_model
];
