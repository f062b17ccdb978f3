//! The command: what its users see, file or stream, and what it exits with.

use crate::{command_line, runtime, testdata};
use std::{fs, io::Write, path::Path, process::Stdio};

use command_line::{command, fail, folder, folder_with, read, run, stderr, succeed};
use onnx_quant::proto::{ModelProto, NodeProto, tensor_proto::DataLocation};
use prost::Message;
use runtime::{Comparison, Engine, Inputs, Side};

fn decoded(folder: &Path, name: &str) -> ModelProto {
    ModelProto::decode(read(folder, name).as_slice()).expect("it is a model")
}

fn the_summary_says_what_was_done_and_what_not() {
    let folder = folder_with(&["kws_dscnn.onnx", "ppocr_cls.onnx", "made/convolutions.onnx", "made/embedding.onnx"]);
    let said = ["kws_dscnn", "ppocr_cls", "convolutions", "embedding"]
        .map(|name| succeed(folder.path(), &[&format!("{name}.onnx"), &format!("{name}.int8.onnx")]));
    insta::assert_snapshot!(said.join("\n"));
}

fn verbose_lists_every_weight() {
    let models = ["made/if_nested.onnx", "made/lstm.onnx", "kws_dscnn.onnx", "made/opset12.onnx"];
    let folder = folder_with(&models);
    let said = models.map(|model| {
        let input = model.trim_start_matches("made/");
        succeed(folder.path(), &[input, "out.onnx", "-v", "--weight-form", "qdq"])
    });
    insta::assert_snapshot!(said.join("\n"));
}

fn warnings_and_refusals_are_said() {
    let models = [
        "values_nan",
        "float16_opset13",
        "not_to_be_raised",
        "unknown_fields",
        "overridable_defaults",
        "integer_matmul",
    ];
    let folder = folder_with(&models.map(|model| format!("made/{model}.onnx")).each_ref().map(String::as_str));
    let said = models.map(|model| {
        let input = format!("{model}.onnx");
        let arguments = ["--weight-form", "qdq", "--include", "w*", "--min-elements", "9"];
        succeed(folder.path(), &[&[&*input, "out.onnx"], &arguments[..]].concat())
    });
    insta::assert_snapshot!(said.join("\n"));
}

fn quiet_says_nothing() {
    let folder = folder_with(&["made/unknown_fields.onnx"]);
    assert_eq!(succeed(folder.path(), &["unknown_fields.onnx", "out.onnx", "-q"]), "");
    assert!(fail(folder.path(), 1, &["missing.onnx", "out2.onnx", "-q"]).contains("missing.onnx: cannot be read"));
}

fn the_report_is_json() {
    let folder = folder_with(&["made/convolutions.onnx"]);
    succeed(folder.path(), &["convolutions.onnx", "out.onnx", "-q", "--report", "report.json"]);
    let report = String::from_utf8(read(folder.path(), "report.json")).expect("it is UTF-8");
    let parsed: serde_json::Value = serde_json::from_str(&report).expect("it is JSON");
    assert_eq!(parsed["quantized"].as_array().map(Vec::len), Some(4));
    // The last digits of a sum depend on how many numbers the processor adds at once.
    let digits = regex::Regex::new(r"(\d+\.\d\d)\d+").expect("an expression");
    insta::assert_snapshot!(digits.replace_all(&report, "$1"));
}

fn a_configuration_file_says_the_same_as_flags() {
    let folder = folder_with(&["kws_dscnn.onnx"]);
    let toml = r#"
        weights = "uint8"
        granularity = "per-tensor"
        asymmetric = true
        exclude = ["Gemm", "re:f\\.3/"]
        min-elements = 600
    "#;
    fs::write(folder.path().join("q.toml"), toml).expect("it can be written");
    let flags = ["--weights", "uint8", "--granularity", "per-tensor", "--asymmetric", "--exclude", "Gemm"];
    let more = ["--exclude", "re:f\\.3/", "--min-elements", "600"];
    let by_flags = succeed(folder.path(), &[&["kws_dscnn.onnx", "out.onnx"], &flags[..], &more].concat());
    let expected = read(folder.path(), "out.onnx");
    let by_file = succeed(folder.path(), &["kws_dscnn.onnx", "out.onnx", "--config", "q.toml"]);
    assert_eq!(by_flags, by_file);
    assert!(read(folder.path(), "out.onnx") == expected);

    // Flags win, and can take back what the file says.
    let back = ["--weights", "int8", "--granularity", "per-channel", "--asymmetric=false", "--min-elements", "0"];
    succeed(folder.path(), &[&["kws_dscnn.onnx", "out.onnx", "--config", "q.toml"], &back[..]].concat());
    let taken_back = read(folder.path(), "out.onnx");
    succeed(folder.path(), &["kws_dscnn.onnx", "out.onnx", "--exclude", "Gemm", "--exclude", "re:f\\.3/"]);
    assert!(read(folder.path(), "out.onnx") == taken_back);

    fs::write(folder.path().join("wrong.toml"), "wieghts = \"int8\"").expect("it can be written");
    let said = fail(folder.path(), 1, &["kws_dscnn.onnx", "new.onnx", "--config", "wrong.toml"]);
    assert!(said.contains("wrong.toml") && said.contains("wieghts"), "{said}");
}

/// The tensors that are integers now.
fn quantized(folder: &Path, arguments: &[&str]) -> Vec<String> {
    succeed(folder, &[&["in.onnx", "out.onnx"], arguments].concat());
    let graph = decoded(folder, "out.onnx").graph.expect("there is a graph");
    let dequantizers = graph.node.into_iter().filter(|node| node.op_type() == "DequantizeLinear");
    // What is stored transposed is dequantized under another name.
    let weight = |node: NodeProto| node.input[0].strip_suffix("_quantized").expect("the weight's integers").to_owned();
    dequantizers.map(weight).collect()
}

fn patterns_choose_by_tensor_node_and_type() {
    let folder = folder_with(&["rten_mnist.onnx"]);
    fs::rename(folder.path().join("rten_mnist.onnx"), folder.path().join("in.onnx")).expect("it can be renamed");
    let folder = folder.path();
    assert_eq!(quantized(folder, &["--include", "conv*"]), ["conv1.weight", "conv2.weight"]);
    assert_eq!(quantized(folder, &["--include", "Gemm"]), ["fc.weight"]);
    assert_eq!(quantized(folder, &["--include", "node_Conv_6"]), ["pw.weight"]);
    assert_eq!(quantized(folder, &["--exclude", "Conv"]), ["fc.weight"]);
    assert_eq!(quantized(folder, &["--include", "re:^(pw|fc)\\."]), ["pw.weight", "fc.weight"]);
    assert_eq!(quantized(folder, &["--include", "Conv", "--exclude", "re:2"]), ["conv1.weight", "pw.weight"]);
    assert_eq!(quantized(folder, &["--min-elements", "1000"]), ["conv2.weight", "pw.weight"]);
    assert!(fs::read(folder.join("out.onnx")).is_ok());
    assert!(quantized(folder, &["--exclude", "*"]).is_empty());
    assert!(read(folder, "out.onnx") == read(folder, "in.onnx"));
}

fn what_is_denied_fails() {
    let folder = folder_with(&["kws_dscnn.onnx", "made/unknown_fields.onnx"]);
    let said = fail(folder.path(), 1, &["kws_dscnn.onnx", "out.onnx", "--deny", "dequantized-every-run"]);
    assert!(said.contains("on every run") && said.ends_with("(dequantized-every-run is denied)\n"), "{said}");
    let said = fail(folder.path(), 2, &["kws_dscnn.onnx", "out.onnx", "--deny", "slow"]);
    assert!(said.contains("invalid value 'slow' for '--deny <CODE>'"), "{said}");
    let said = fail(folder.path(), 1, &["unknown_fields.onnx", "out.onnx", "--strict"]);
    assert!(said.contains("ModelProto field 999, NodeProto field 999"), "{said}");
    succeed(folder.path(), &["kws_dscnn.onnx", "out.onnx", "--strict"]);
}

fn overridable_defaults_can_be_kept() {
    let folder = folder_with(&["made/overridable_defaults.onnx"]);
    let kept = ["overridable_defaults.onnx", "out.onnx", "--keep-overridable", "--weight-form", "qdq"];
    let said = succeed(folder.path(), &kept);
    assert!(said.contains("w of MatMul 'MatMul_0', 192 B: is a graph input's default value"), "{said}");
    let graph = decoded(folder.path(), "out.onnx").graph.expect("there is a graph");
    let names: Vec<&str> = graph.input.iter().map(|input| input.name()).collect();
    assert!(names.contains(&"w"), "{names:?}");
}

fn streams_carry_models() {
    let folder = folder_with(&["kws_dscnn.onnx"]);
    let to_file = succeed(folder.path(), &["kws_dscnn.onnx", "out.onnx"]);
    let mut child = command(folder.path(), &["-", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let model = read(folder.path(), "kws_dscnn.onnx");
    child.stdin.take().expect("stdin is piped").write_all(&model).expect("it reads all");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(output.stdout == read(folder.path(), "out.onnx"));
    let without_sizes = |text: &str| text.lines().filter(|line| !line.starts_with("wrote")).count();
    assert_eq!(without_sizes(&stderr(&output)), without_sizes(&to_file));

    let output = run(folder.path(), &["kws_dscnn.onnx", "-"]);
    assert!(output.stdout == read(folder.path(), "out.onnx"));
}

fn input_and_output_may_be_the_same_file() {
    let folder = folder_with(&["kws_dscnn.onnx"]);
    let said = succeed(folder.path(), &["kws_dscnn.onnx", "out.onnx"]);
    let expected = read(folder.path(), "out.onnx");
    let in_place = succeed(folder.path(), &["kws_dscnn.onnx", "kws_dscnn.onnx"]);
    assert!(read(folder.path(), "kws_dscnn.onnx") == expected);
    assert_eq!(in_place, said.replace("out.onnx", "kws_dscnn.onnx"));
}

fn the_number_of_threads_makes_no_difference() {
    for model in ["ppocr_cls.onnx", "kws_dscnn.onnx", "made/if_nested.onnx", "made/lstm_bidirectional.onnx"] {
        let folder = folder_with(&[model]);
        let input = model.trim_start_matches("made/");
        for form in ["dq", "qdq"] {
            let written = ["1", "2", "3"].map(|threads| {
                let arguments = [input, "out.onnx", "--weight-form", form, "--threads", threads, "--report", "r.json"];
                succeed(folder.path(), &arguments);
                (read(folder.path(), "out.onnx"), read(folder.path(), "r.json"))
            });
            assert!(written[0] == written[1] && written[0] == written[2], "{model} ({form})");
        }
    }
}

/// Compares models in onnxruntime on the same inputs; they must agree completely.
fn assert_same_outputs(pairs: &[(&Path, &Path)]) {
    let side = |model: &Path| Side { model: model.to_owned(), engine: Engine::OnnxruntimePlain };
    let requests: Vec<Comparison> = pairs
        .iter()
        .map(|(left, right)| Comparison { left: side(left), right: side(right), inputs: Inputs::default() })
        .collect();
    let answers = runtime::compare(&requests);
    for ((_, right), answer) in pairs.iter().zip(answers) {
        let differences = answer.unwrap_or_else(|error| panic!("{}: {error}", right.display()));
        assert!(differences.values().all(|difference| difference.identical), "{}: {differences:?}", right.display());
    }
}

/// The files that a model's tensors are in, and how many tensors.
fn external(model: &ModelProto) -> Vec<String> {
    let graph = model.graph.as_ref().expect("there is a graph");
    let outside = graph.initializer.iter().filter(|tensor| tensor.data_location() == DataLocation::External);
    outside.map(|tensor| tensor.external_data[0].value().to_owned()).collect()
}

fn external_data_goes_to_one_file() {
    let folder = folder_with(&["rten_mnist.onnx", "mnist_external/mnist.onnx", "mnist_external/mnist.onnx.data"]);
    let folder = folder.path();
    succeed(folder, &["rten_mnist.onnx", "inline.onnx"]);
    let said = succeed(folder, &["rten_mnist.onnx", "out.onnx", "--external-data"]);
    assert!(said.contains("of it external data"), "{said}");
    let outside = external(&decoded(folder, "out.onnx"));
    assert!(!outside.is_empty() && outside.iter().all(|file| file == "out.onnx.data"), "{outside:?}");

    // What was external stays so, in a file of the new name, wherever that is.
    fs::create_dir(folder.join("elsewhere")).expect("the folder can be made");
    succeed(folder, &["mnist.onnx", "elsewhere/quantized.onnx"]);
    let outside = external(&decoded(folder, "elsewhere/quantized.onnx"));
    assert!(!outside.is_empty() && outside.iter().all(|file| file == "quantized.onnx.data"), "{outside:?}");
    let mut files: Vec<_> = fs::read_dir(folder.join("elsewhere"))
        .expect("it is a folder")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    files.sort();
    assert_eq!(files, ["quantized.onnx", "quantized.onnx.data"]);

    // A stream carries everything.
    let piped = run(folder, &["mnist.onnx", "-"]);
    assert!(!stderr(&piped).contains(" %)"), "what is beside the model counts: {}", stderr(&piped));
    fs::write(folder.join("piped.onnx"), &piped.stdout).expect("it can be written");
    assert!(external(&decoded(folder, "piped.onnx")).is_empty());

    let paths = ["inline", "out", "elsewhere/quantized", "piped"].map(|name| folder.join(format!("{name}.onnx")));
    let [inline, out, elsewhere, piped] = paths.each_ref().map(|path| path.as_path());
    assert_same_outputs(&[(inline, out), (elsewhere, piped)]);

    // In place: the model and its data are both replaced.
    succeed(folder, &["mnist.onnx", "mnist.onnx"]);
    assert_same_outputs(&[(elsewhere, &folder.join("mnist.onnx"))]);
}

fn untouched_external_data_moves_along() {
    let folder = folder_with(&["made/external_two_files.onnx", "made/external_two_files.bin"]);
    let folder = folder.path();
    fs::create_dir_all(folder.join("external folder")).expect("the folder can be made");
    for entry in fs::read_dir(testdata::path("made/external folder")).expect("it is a folder").flatten() {
        fs::copy(entry.path(), folder.join("external folder").join(entry.file_name())).expect("it can be copied");
    }
    fs::create_dir(folder.join("elsewhere")).expect("the folder can be made");
    succeed(folder, &["external_two_files.onnx", "elsewhere/out.onnx", "--exclude", "*"]);
    assert_eq!(external(&decoded(folder, "elsewhere/out.onnx")), ["out.onnx.data"; 3]);
    assert_eq!(fs::read_dir(folder.join("elsewhere")).expect("it is a folder").count(), 2);
    assert_same_outputs(&[(&folder.join("external_two_files.onnx"), &folder.join("elsewhere/out.onnx"))]);
}

#[cfg(unix)] // Other systems word their errors differently.
fn exit_status_and_message_say_what_went_wrong() {
    let folder = folder_with(&["kws_dscnn.onnx", "made/not_to_be_raised.onnx"]);
    fs::write(folder.path().join("text.onnx"), "no model").expect("it can be written");
    fs::create_dir(folder.path().join("folder")).expect("the folder can be made");
    let folder = folder.path();
    let failures = [
        (1, vec!["missing.onnx", "out.onnx"]),
        (1, vec!["text.onnx", "out.onnx"]),
        (1, vec!["not_to_be_raised.onnx", "out.onnx", "--granularity", "block:2", "--weight-form", "qdq"]),
        (2, vec!["kws_dscnn.onnx", "out.onnx", "--granularity", "block:0"]),
        (1, vec!["kws_dscnn.onnx", "folder"]),
        (1, vec!["kws_dscnn.onnx", "no/such/out.onnx"]),
        (1, vec!["kws_dscnn.onnx", "out.onnx", "--report", "no/such/report.json"]),
        (1, vec!["kws_dscnn.onnx", "out.onnx", "--config", "missing.toml"]),
        (2, vec!["kws_dscnn.onnx"]),
        (2, vec![]),
        (2, vec!["kws_dscnn.onnx", "out.onnx", "--weights", "int7"]),
        (2, vec!["kws_dscnn.onnx", "out.onnx", "--exclude", "re:("]),
        (2, vec!["kws_dscnn.onnx", "out.onnx", "-v", "-q"]),
        (2, vec!["kws_dscnn.onnx", "out.onnx", "--threads", "-1"]),
    ];
    let mut said = String::new();
    for (status, arguments) in failures {
        said.push_str(&format!("$ onnx-quant {}\n{}\n", arguments.join(" "), fail(folder, status, &arguments)));
    }
    insta::assert_snapshot!(said);
}

fn help_names_every_option() {
    let output = run(folder().path(), &["--help"]);
    assert!(output.status.success());
    insta::assert_snapshot!(String::from_utf8(output.stdout).expect("it is UTF-8"));
}

fn an_upgrade_says_what_it_did_or_why_not_and_writes_nothing_then() {
    let folder = folder_with(&["ppocr_cls.onnx", "made/opset10_axis_conversions.onnx", "made/function_nested.onnx"]);
    let said = [
        ["ppocr_cls.onnx", "12"],
        ["ppocr_cls.onnx", "13"],
        ["opset10_axis_conversions.onnx", "21"],
        ["function_nested.onnx", "18"],
        ["function_nested.onnx", "9"],
    ]
    .map(|[model, opset]| succeed(folder.path(), &["upgrade", model, "out.onnx", "--opset", opset]));
    insta::assert_snapshot!(said.join("\n"));
    assert_eq!(succeed(folder.path(), &["upgrade", "-q", "ppocr_cls.onnx", "ppocr_cls.onnx", "--opset", "13"]), "");
    let mut model = decoded(folder.path(), "ppocr_cls.onnx");
    assert_eq!(model.opset_import[0].version(), 13);

    fs::remove_file(folder.path().join("out.onnx")).expect("it was written");
    let node = &mut model.graph.as_mut().expect("it has a graph").node[0];
    (node.op_type, node.name) = (Some("Affine".to_owned()), Some("odd".to_owned()));
    fs::write(folder.path().join("odd.onnx"), model.encode_to_vec()).expect("it can be written");
    let refused = fail(folder.path(), 1, &["upgrade", "odd.onnx", "out.onnx", "--opset", "21"]);
    assert!(refused.contains("odd.onnx: Affine 'odd': cannot be carried over to opset 14"), "{refused}");
    let unknown = fail(folder.path(), 2, &["upgrade", "ppocr_cls.onnx", "out.onnx", "--opset", "99"]);
    assert!(unknown.contains("99 is not in 1..=28"), "{unknown}");
    fail(folder.path(), 2, &["upgrade", "ppocr_cls.onnx", "out.onnx"]);
}

fn a_text_is_taken_where_a_model_is() {
    let folder = folder();
    let folder = folder.path();
    let (header, graph) =
        ("<ir_version: 10, opset_import: [\"\": 21]>\n", "m (float[N] x) => (float[N] y) { y = Relu (x) }\n");
    fs::write(folder.join("with_header"), format!("# any name\n{header}{graph}")).expect("it can be written");
    fs::write(folder.join("without_header.txt"), graph).expect("it can be written");
    fs::write(folder.join("elided.txt"), format!("{header}m () => () <float[9] w = ...> {{}}")).expect("written");
    succeed(folder, &["parse", "with_header", "parsed.onnx"]);
    succeed(folder, &["upgrade", "--opset", "21", "with_header", "upgraded.onnx"]);
    assert_eq!(read(folder, "parsed.onnx"), read(folder, "upgraded.onnx"));
    succeed(folder, &["parse", "without_header.txt", "no_opset.onnx"]);
    assert!(fail(folder, 1, &["elided.txt", "out.onnx"]).contains("has no elements of 'w'"));
    succeed(folder, &["parse", "elided.txt", "filled.onnx", "--fill", "random"]);
    succeed(folder, &["parse", "elided.txt", "again.onnx", "--fill", "random"]);
    assert_eq!(read(folder, "filled.onnx"), read(folder, "again.onnx"));
}

fn a_text_with_all_elements_is_the_model() {
    let folder = folder_with(&["kws_dscnn.onnx"]);
    let ended = run(folder.path(), &["print", "kws_dscnn.onnx", "--elements", "all"]);
    fs::write(folder.path().join("all.txt"), &ended.stdout).expect("it can be written");
    succeed(folder.path(), &["parse", "all.txt", "parsed.onnx"]);
    succeed(folder.path(), &["kws_dscnn.onnx", "expected.onnx"]);
    succeed(folder.path(), &["parsed.onnx", "out.onnx"]);
    let text = |name| run(folder.path(), &["print", name, "--elements", "0"]).stdout;
    assert!(text("out.onnx") == text("expected.onnx"));
}

crate::tests![
    the_summary_says_what_was_done_and_what_not,
    verbose_lists_every_weight,
    warnings_and_refusals_are_said,
    quiet_says_nothing,
    the_report_is_json,
    a_configuration_file_says_the_same_as_flags,
    patterns_choose_by_tensor_node_and_type,
    what_is_denied_fails,
    overridable_defaults_can_be_kept,
    streams_carry_models,
    input_and_output_may_be_the_same_file,
    the_number_of_threads_makes_no_difference,
    external_data_goes_to_one_file,
    untouched_external_data_moves_along,
    exit_status_and_message_say_what_went_wrong,
    help_names_every_option,
    an_upgrade_says_what_it_did_or_why_not_and_writes_nothing_then,
    a_text_is_taken_where_a_model_is,
    a_text_with_all_elements_is_the_model
];
