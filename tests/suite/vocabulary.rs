//! What people type: paths, patterns, and what is said where they do not fit.

use crate::{command_line, samples::files, testdata};
use std::{fs, path::Path};

use command_line::{copied_samples, fail, folder_with, read, run, stderr, succeed};
use onnx_quant::{
    ir::DataType,
    proto::{
        GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TypeProto, ValueInfoProto, type_proto,
    },
};
use prost::Message;

const MODEL: &str = "kws_dscnn.onnx";

fn a_second_path_an_option_and_the_command_spelt_out_are_one() {
    let folder = folder_with(&[MODEL]);
    let folder = folder.path();
    succeed(folder, &[MODEL, "expected.onnx"]);
    let expected = read(folder, "expected.onnx");
    let ways: [&[&str]; 5] = [
        &[MODEL, "-o", "out.onnx"],
        &["-o", "out.onnx", MODEL],
        &["quantize", MODEL, "out.onnx"],
        &["quantize", "--output=out.onnx", MODEL, "-q"],
        &["quantize", "-q", "--", MODEL, "out.onnx"],
    ];
    for way in ways {
        succeed(folder, way);
        assert!(read(folder, "out.onnx") == expected, "{way:?}");
        fs::remove_file(folder.join("out.onnx")).expect("it was written");
    }
    succeed(folder, &["upgrade", "--opset", "21", MODEL, "a.onnx"]);
    succeed(folder, &["upgrade", "--opset", "21", MODEL, "-o", "b.onnx"]);
    assert!(read(folder, "a.onnx") == read(folder, "b.onnx"));
    copied_samples(folder, 2);
    succeed(folder, &["calibrate", MODEL, "a.json", "--samples", "samples"]);
    succeed(folder, &["calibrate", MODEL, "-o", "b.json", "--samples", "samples"]);
    assert!(read(folder, "a.json") == read(folder, "b.json"));
}

fn many_models_go_into_a_folder() {
    let folder = folder_with(&[MODEL, "rten_mnist.onnx"]);
    let folder = folder.path();
    succeed(folder, &[MODEL, "expected.onnx"]);
    let said = succeed(folder, &[MODEL, "rten_mnist.onnx", "--out-dir", "new/int8"]);
    assert!(
        said.contains("wrote new/int8/kws_dscnn.onnx") && said.contains("wrote new/int8/rten_mnist.onnx"),
        "{said}"
    );
    assert!(read(folder, "new/int8/kws_dscnn.onnx") == read(folder, "expected.onnx"));
    // One that fails keeps none of the others from being written.
    fs::write(folder.join("broken.onnx"), "no model").expect("it can be written");
    let output = run(folder, &["broken.onnx", MODEL, "--out-dir", "rest", "-q"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.starts_with("error: broken.onnx: ") && said.ends_with("error: 1 of 2 models failed\n"), "{said}");
    assert!(read(folder, "rest/kws_dscnn.onnx") == read(folder, "expected.onnx"));
    succeed(folder, &["upgrade", "--opset", "21", MODEL, "rten_mnist.onnx", "--out-dir", "new/upgraded"]);
    assert_eq!(fs::read_dir(folder.join("new/upgraded")).expect("it is a folder").count(), 2);
}

fn paths_that_do_not_fit_are_refused_with_advice() {
    let folder = folder_with(&[MODEL]);
    let folder = folder.path();
    for name in ["folder", "empty"] {
        fs::create_dir(folder.join(name)).expect("a folder can be made");
    }
    fs::copy(folder.join(MODEL), folder.join("folder/b.onnx")).expect("it is copied");
    fs::copy(folder.join(MODEL), folder.join("folder/a.onnx")).expect("it is copied");
    let refused: [(i32, &[&str], &str); 17] = [
        (2, &[MODEL], "where is the result of 'kws_dscnn.onnx' to go?"),
        (2, &["a.onnx", "b.onnx", "c.onnx"], "3 paths were given"),
        (2, &["a.onnx", "b.onnx", "c.onnx"], "--out-dir DIR"),
        (2, &[MODEL, "b.onnx", "-o", "c.onnx"], "two places for one result: 'b.onnx' and -o 'c.onnx'"),
        (2, &[MODEL, "-o", "c.onnx", "--out-dir", "new"], "cannot be used with"),
        (2, &[MODEL, "folder/../kws_dscnn.onnx", "--out-dir", "new"], "two models are called 'kws_dscnn.onnx'"),
        (2, &[MODEL, "--out-dir", "."], "would be replaced"),
        (2, &["-", "--out-dir", "new"], "'-' has no name"),
        (2, &[MODEL, "--out-dir", "new", "--report", "r.json"], "--report is one file"),
        (1, &["folder", "out.onnx"], "caused by: it is a folder\nhelp: name one of the models in it ('folder/a.onnx')"),
        (1, &["empty", "out.onnx"], "help: it has no .onnx files"),
        (1, &["print", "folder"], "error: folder: cannot be read\ncaused by: it is a folder\nhelp: "),
        (1, &["explain", "*.onx"], "help: '*.onx' looks like a pattern"),
        (1, &["*.onx", "out.onnx"], "help: '*.onx' looks like a pattern"),
        (
            1,
            &[MODEL, "folder"],
            "caused by: it is a folder\nhelp: give a file in it, as 'folder/kws_dscnn.onnx', or --out-dir folder",
        ),
        (1, &["explian", MODEL], "is the command 'explain' meant?"),
        (1, &["Calibrat", MODEL], "is the command 'calibrate' meant?"),
    ];
    for (status, arguments, expected) in refused {
        let said = fail(folder, status, arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

/// What stays float of a model because of patterns.
fn excluded(folder: &Path, patterns: &[&str]) -> Vec<String> {
    succeed(folder, &[&["in.onnx", "out.onnx", "-q", "--report", "report.json"], patterns].concat());
    let report: serde_json::Value = serde_json::from_slice(&read(folder, "report.json")).expect("it is JSON");
    let left = report["left_float"].as_array().expect("a list").iter();
    left.map(|left| left["name"].as_str().expect("a name").to_owned()).collect()
}

fn patterns_are_taken_as_people_type_them() {
    let folder = folder_with(&["rten_mnist.onnx"]);
    let folder = folder.path();
    fs::rename(folder.join("rten_mnist.onnx"), folder.join("in.onnx")).expect("it can be renamed");
    let all = ["conv1.weight", "conv2.weight", "pw.weight", "fc.weight"];
    assert_eq!(excluded(folder, &["--exclude", "conv,GEMM"]), all);
    assert_eq!(excluded(folder, &["--exclude", " Conv , Gemm "]), all);
    assert_eq!(excluded(folder, &["--exclude", "PW.*,re:^fc"]), ["pw.weight", "fc.weight"]);
    assert_eq!(excluded(folder, &["--exclude", "{pw,fc}.weight"]), ["pw.weight", "fc.weight"]);
    // Where a pattern matches in its own case, other cases are other names.
    assert_eq!(excluded(folder, &["--exclude", "conv*"]), ["conv1.weight", "conv2.weight"]);
    fs::write(folder.join("q.toml"), "exclude = [\"conv,gemm\"]").expect("it can be written");
    assert_eq!(excluded(folder, &["--config", "q.toml"]), all);
    // It matches, but there is no weight that it could choose.
    let said = succeed(folder, &["in.onnx", "out.onnx", "--exclude", "relu"]);
    assert!(said.contains("note[unmatched-pattern]: pattern 'relu' matches no weight"), "{said}");
    for wrong in ["", "Conv,", ",Conv", "Conv,,Gemm"] {
        let said = fail(folder, 2, &["in.onnx", "new.onnx", "--exclude", wrong]);
        assert!(said.contains("empty, or has a comma too many"), "{wrong}: {said}");
    }
}

fn a_pattern_that_matches_nothing_is_an_error_with_suggestions() {
    let folder = folder_with(&[MODEL]);
    let folder = folder.path();
    copied_samples(folder, 2);
    for more in [&[][..], &["--samples", "samples"]] {
        let refused = [
            ("Convv", "'Convv' matches no weight, and no operator by name or type; spelled like it: 'Conv'"),
            ("gem", "'gem' matches no weight, and no operator by name or type; spelled like it: 'Gemm'"),
            ("conv,Sofmax,Gemm", "pattern 'Sofmax' matches no weight"),
            ("re:conv_101", "spelled like it: 'onnx::Conv_101'"),
            ("nowhere/at/all", "by name or type\n"),
        ];
        for (pattern, expected) in refused {
            for option in ["--include", "--exclude"] {
                let said = fail(folder, 1, &[&[MODEL, "out.onnx", option, pattern], more].concat());
                assert!(said.starts_with("error: kws_dscnn.onnx: pattern '"), "{said}");
                assert!(said.contains(expected), "{said}");
            }
        }
    }
    fail(folder, 1, &["calibrate", MODEL, "r.json", "--samples", "samples", "--exclude", "Convv"]);
}

fn an_operator_without_weights_stays_float_where_it_is_excluded() {
    let folder = folder_with(&["rten_mnist.onnx"]);
    let folder = folder.path();
    let ramp: Vec<f32> = (0..784_u16).map(|element| f32::from(element) / 784.0).collect();
    files::put(folder, "samples/0.npy", files::floats(&[1, 1, 28, 28], &ramp));
    let decided = |arguments: &[&str]| -> (bool, String) {
        let base = ["rten_mnist.onnx", "out.onnx", "--samples", "samples", "-q", "--report", "report.json"];
        succeed(folder, &[&base[..], arguments].concat());
        let report: serde_json::Value = serde_json::from_slice(&read(folder, "report.json")).expect("it is JSON");
        let operators = report["activations"]["operators"].as_array().expect("a list");
        let found = operators.iter().find(|it| it["operator"].as_str().is_some_and(|it| it.starts_with("MaxPool")));
        let found = found.expect("it is listed");
        (found["integer"] == true, found["why"].as_str().unwrap_or_default().to_owned())
    };
    assert!(decided(&[]).0);
    assert_eq!(decided(&["--exclude", "maxpool"]), (false, "'MaxPool' is excluded by 'maxpool'".to_owned()));
}

fn ranges_must_fit_and_few_are_told_of() {
    let folder = folder_with(&[MODEL]);
    let folder = folder.path();
    copied_samples(folder, 2);
    let minmax = ["--calibration", "minmax"];
    let calibrate = ["calibrate", MODEL, "r.json", "--samples", "samples", "--format", "onnxruntime"];
    succeed(folder, &[&calibrate[..], &minmax].concat());
    fs::write(folder.join("other.json"), r#"{"nowhere": [0, 1], "elsewhere": [0, 2]}"#).expect("it can be written");
    // Beside others that fit, too.
    for more in [&["--ranges", "r.json"][..], &["--samples", "samples"], &[]] {
        let base = [MODEL, "out.onnx", "--ranges", "other.json", "--calibration", "minmax"];
        let said = fail(folder, 1, &[&base[..], more].concat());
        assert!(
            said.contains("has none of the 2 values that there are ranges of ('nowhere'")
                || said.contains("'elsewhere'"),
            "{said}"
        );
    }
    let said = succeed(folder, &[&[MODEL, "out.onnx", "--ranges", "r.json"], &minmax[..]].concat());
    assert!(!said.contains("few-ranges"), "{said}");
    let text = String::from_utf8(read(folder, "r.json")).expect("JSON");
    let one = text.split('"').find(|part| part.starts_with("/f/")).expect("a value");
    fs::write(folder.join("one.json"), format!("{{\"{one}\": [0, 1]}}")).expect("it can be written");
    let few = [&[MODEL, "few.onnx", "--ranges", "one.json"], &minmax[..]].concat();
    let said = succeed(folder, &few);
    let counts =
        regex::Regex::new(r"warning\[few-ranges\]: (\d+) of the (\d+) values that would be quantized have no range");
    let found = counts.expect("an expression").captures(&said).map(|found| [1, 2].map(|it| found[it].parse::<u32>()));
    let Some([Ok(without), Ok(wanted)]) = found else { panic!("{said}") };
    assert_eq!(without + 1, wanted);
    fs::remove_file(folder.join("few.onnx")).expect("it was written");
    assert!(fail(folder, 1, &[&few[..], &["--strict"]].concat()).contains("is denied"));
}

fn pictures_and_random_numbers_are_samples() {
    let folder = folder_with(&["rten_mnist.onnx"]);
    let folder = folder.path();
    for name in ["gray.png", "full.jpg"] {
        files::put(
            folder,
            &format!("pictures/{name}"),
            fs::read(testdata::path(&format!("pictures/{name}"))).expect("it is there"),
        );
    }
    let base = ["rten_mnist.onnx", "out.onnx"];
    let images = ["--images", "pictures", "--mean", "0.1307", "--std", "0.3081"];
    let said = succeed(folder, &[&base[..], &images, &["--save-samples", "seen"]].concat());
    assert!(said.contains("3 of 4 layers in integers") && !said.contains("skipped"), "{said}");
    // What the model was given does for samples.
    let expected = read(folder, "out.onnx");
    succeed(folder, &[&base[..], &["--samples", "seen"]].concat());
    assert!(read(folder, "out.onnx") == expected);
    succeed(
        folder,
        &["calibrate", "rten_mnist.onnx", "a.json", "--images", "pictures", "--mean=0.1307", "--std=0.3081"],
    );
    succeed(folder, &["calibrate", "rten_mnist.onnx", "b.json", "--samples", "seen"]);
    assert!(read(folder, "a.json") == read(folder, "b.json"));
    let explained = run(folder, &["explain", "rten_mnist.onnx", "--images", "pictures"]);
    assert!(explained.status.success(), "{}", stderr(&explained));

    files::put(folder, "pictures/broken.png", "no picture");
    let said = succeed(folder, &[&base[..], &images].concat());
    assert!(
        said.contains("warning[skipped-samples]: 1 file was passed over that cannot be read: pictures/broken.png: "),
        "{said}"
    );
    let said = succeed(folder, &[&base[..], &["--random", "2"]].concat());
    assert!(said.contains("warning[random-samples]: the ranges are of RANDOM NUMBERS"), "{said}");
    let said = succeed(folder, &["calibrate", "rten_mnist.onnx", "c.json", "--random", "2"]);
    assert!(said.contains("warning[random-samples]"), "{said}");

    let refused: [(i32, &[&str], &str); 10] = [
        (1, &["--images", "pictures", "--strict"], "pictures/broken.png: cannot be read as a picture"),
        (1, &["--random", "2", "--strict"], "(random-samples is denied)"),
        (1, &["--random", "2", "--deny", "random-samples"], "(random-samples is denied)"),
        (1, &["--images", "pictures", "--resize", "32x28"], "its width is 28, and --resize says 32"),
        (1, &["--images", "pictures", "--save-samples", "seen"], "seen: is not empty"),
        (2, &["--images", "pictures", "--samples", "seen"], "cannot be used with"),
        (2, &["--samples", "seen", "--resize", "28"], "--resize makes no sense without --images"),
        (2, &["--images", "pictures", "--preset", "imagnet"], "'imagnet' is no preset"),
        (2, &["--images", "pictures", "--resize", "0x3"], "it is to be WIDTHxHEIGHT"),
        (2, &["--random", "0"], "invalid value '0'"),
    ];
    for (status, options, expected) in refused {
        let said = fail(folder, status, &[&["rten_mnist.onnx", "new.onnx"], options].concat());
        assert!(said.contains(expected), "{options:?}: {said}");
    }
}

fn lines_of_text_are_samples() {
    let folder = folder_with(&["kws_dscnn.onnx"]);
    let folder = folder.path();
    for name in ["lines.txt", "pieces.json"] {
        fs::copy(testdata::path(&format!("texts/{name}")), folder.join(name)).expect("it is copied");
    }
    let text = ["--text", "lines.txt", "--tokenizer", "pieces.json"];
    let refused: [(i32, &[&str], &str); 6] = [
        (1, &text, "kws_dscnn.onnx: input 'logmel' is nothing that a tokenizer gives"),
        (2, &text[..2], "--tokenizer <FILE>"),
        (2, &["--random", "1", "--tokenizer", "pieces.json"], "--tokenizer makes no sense without --text"),
        (2, &["--random", "1", "--rate", "8000"], "--rate makes no sense without --audio"),
        (1, &["--audio", "."], "input 'logmel' is float[N,62,40], but a waveform is one row"),
        (2, &["--random", "1", "--max-tokens", "3"], "--text <FILE>"),
    ];
    for (status, options, expected) in refused {
        let said = fail(folder, status, &[&["kws_dscnn.onnx", "out.onnx"], options].concat());
        assert!(said.contains(expected), "{options:?}: {said}");
    }
    // A table of 120 tokens, and a product.
    fs::write(folder.join("words.onnx"), words_model()).expect("it can be written");
    let said = succeed(folder, &[&["words.onnx", "out.onnx"], &text[..], &["--save-samples", "seen"]].concat());
    assert!(said.contains("1 of 1 layer in integers"), "{said}");
    let expected = read(folder, "out.onnx");
    succeed(folder, &["words.onnx", "out.onnx", "--samples", "seen"]);
    assert!(read(folder, "out.onnx") == expected);
}

/// Embeds tokens and multiplies them with a matrix.
fn words_model() -> Vec<u8> {
    let tensor = |name: &str, dims: &[i64]| TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(DataType::Float as i32),
        dims: dims.to_vec(),
        float_data: (0..dims.iter().product())
            .map(|element: i64| ((element * 37 % 101) as f32 - 50.0) / 50.0)
            .collect(),
        ..TensorProto::default()
    };
    let value = |name: &str, dtype: DataType| {
        let tensor = type_proto::Tensor { elem_type: Some(dtype as i32), shape: None };
        let ty = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
        ValueInfoProto { name: Some(name.to_owned()), r#type: Some(ty), ..ValueInfoProto::default() }
    };
    let node = |op_type: &str, inputs: [&str; 2], output: &str| NodeProto {
        op_type: Some(op_type.to_owned()),
        name: Some(op_type.to_owned()),
        input: inputs.map(str::to_owned).into(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    };
    let graph = GraphProto {
        name: Some("words".to_owned()),
        node: vec![node("Gather", ["table", "input_ids"], "embedded"), node("MatMul", ["embedded", "w"], "y")],
        initializer: vec![tensor("table", &[120, 16]), tensor("w", &[16, 32])],
        input: vec![value("input_ids", DataType::Int64)],
        output: vec![value("y", DataType::Float)],
        ..GraphProto::default()
    };
    let model = ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto { version: Some(17), ..OperatorSetIdProto::default() }],
        graph: Some(graph),
        ..ModelProto::default()
    };
    model.encode_to_vec()
}

crate::tests![
    a_second_path_an_option_and_the_command_spelt_out_are_one,
    many_models_go_into_a_folder,
    paths_that_do_not_fit_are_refused_with_advice,
    patterns_are_taken_as_people_type_them,
    a_pattern_that_matches_nothing_is_an_error_with_suggestions,
    an_operator_without_weights_stays_float_where_it_is_excluded,
    ranges_must_fit_and_few_are_told_of,
    pictures_and_random_numbers_are_samples,
    lines_of_text_are_samples
];
