//! The command where activations are quantized: samples, ranges, engines, and what is said of them.

use crate::{command_line, runtime, samples::files, testdata};
use std::{fs, path::Path, thread, time::Duration};

use command_line::{command, fail, folder_with, read, run, signals, stderr, succeed};
use files::{bytes_of, floats, npy, npz};
use onnx_quant::{
    CalibrationMethod, Config,
    calibration::{
        Ranges,
        range_files::{self, RangeFormat},
    },
    ir::DataType,
    plan::activation_scheme,
    proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, attribute_proto::AttributeType},
};
use prost::Message;
use tempfile::TempDir;

const MODEL: &str = "kws_dscnn.onnx";
const SAMPLES: usize = 4;
/// Of one sample.
const SHAPE: [usize; 3] = [1, 62, 40];

/// A folder with the model and its samples, in `samples`.
fn folder() -> TempDir {
    let folder = folder_with(&[MODEL]);
    let samples = folder.path().join("samples");
    fs::create_dir(&samples).expect("a folder can be made");
    for index in 0..SAMPLES {
        let name = format!("{index}.npz");
        fs::copy(testdata::path(&format!("calibration/kws_dscnn/{name}")), samples.join(name)).expect("it is copied");
    }
    folder
}

/// Quantizes into `out.onnx`, which must succeed; what it says, and the file.
fn quantized(folder: &Path, arguments: &[&str]) -> (String, Vec<u8>) {
    let said = succeed(folder, &[&[MODEL, "out.onnx"], arguments].concat());
    let written = read(folder, "out.onnx");
    fs::remove_file(folder.join("out.onnx")).expect("it was written");
    (said, written)
}

/// Fails to quantize, and writes nothing.
fn refused(folder: &Path, status: i32, arguments: &[&str]) -> String {
    fail(folder, status, &[&[MODEL, "out.onnx"], arguments].concat())
}

fn the_summary_says_which_layers_compute_in_integers() {
    let folder = folder();
    let ways: [&[&str]; 4] = [
        &[],
        &["--exclude", "/f/f.[03]/*", "--exclude", "Gemm"],
        &["--exclude", "/f/f.[03]/*", "-v"],
        &["--exclude", "*", "--activations", "int8"],
    ];
    let said = ways
        .map(|way| quantized(folder.path(), &[&["--calibrate", "samples", "--calibration", "minmax"], way].concat()).0);
    insta::assert_snapshot!(said.join("\n"));
    assert_eq!(quantized(folder.path(), &["--calibrate", "samples", "-q"]).0, "");
}

fn of_many_reasons_a_few_are_said_and_the_report_has_all() {
    let folder = folder();
    let folder = folder.path();
    succeed(folder, &["calibrate", MODEL, "--samples-from", "samples", "-o", "all.json"]);
    let mut ranges = range_files::read(folder.join("all.json")).expect("it was written");
    ranges.values = ranges.values.into_iter().take(1).collect();
    write_ranges(folder, "one.json", &ranges);
    let (said, _) = quantized(folder, &["--ranges", "one.json", "--report", "report.json"]);
    assert!(said.contains(" more; -v or --report has all\n"), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&read(folder, "report.json")).expect("JSON");
    let operators = report["activations"]["operators"].as_array().expect("a list");
    let float = operators.iter().filter(|operator| operator["layer"] == true && operator["integer"] == false);
    assert!(float.filter(|layer| layer["why"].as_str().expect("text").contains("has no range")).count() > 6);
    let (verbose, _) = quantized(folder, &["--ranges", "one.json", "-v"]);
    assert!(verbose.lines().count() > said.lines().count() && !verbose.contains("has all"), "{verbose}");
}

fn write_ranges(folder: &Path, name: &str, ranges: &Ranges) {
    let scheme = activation_scheme(&Config::default());
    range_files::write(folder.join(name), ranges, RangeFormat::Json, CalibrationMethod::MinMax, scheme)
        .expect("it can be written");
}

fn ranges_stand_for_the_samples_they_are_of() {
    let folder = folder();
    let folder = folder.path();
    let mse = ["--calibration", "mse"];
    let with = |arguments: &[&str]| quantized(folder, &[arguments, &mse].concat()).1;
    let expected = with(&["--calibrate", "samples", "--save-ranges", "saved.json"]);
    assert!(with(&["--ranges", "saved.json"]) == expected);

    // Calibrated on two machines.
    fs::write(folder.join("a.txt"), "samples/0.npz\n# the others elsewhere\nsamples/1.npz\n").expect("it is written");
    fs::write(folder.join("b.txt"), "samples/2.npz\nsamples/3.npz\n").expect("it is written");
    for half in ["a", "b"] {
        let (from, to) = (format!("{half}.txt"), format!("{half}.json"));
        let calibrate = ["calibrate", MODEL, "--samples-from", &from, "-o", &to];
        let said = succeed(folder, &[&calibrate[..], &mse].concat());
        assert!(said.ends_with(&format!(" in 2 samples\nwrote {to}\n")), "{said}");
    }
    assert!(with(&["--ranges", "a.json", "--ranges", "b.json", "--save-ranges", "merged.json"]) == expected);
    assert!(with(&["--ranges", "merged.json"]) == expected);
    assert!(with(&["--ranges", "a.json", "--calibrate", "b.txt"]) == expected);
    assert!(with(&["--ranges", "a.json"]) != expected);
    assert!(with(&["--calibrate", "samples", "--max-samples", "2"]) == with(&["--ranges", "a.json"]));
}

fn ranges_go_to_standard_output_and_into_every_format() {
    let folder = folder();
    let folder = folder.path();
    let expected = quantized(folder, &["--calibrate", "samples", "--calibration", "minmax"]).1;
    for (format, _) in RangeFormat::NAMES {
        let calibrate = ["calibrate", MODEL, "--samples-from", "samples", "--format", format];
        let to = |output, method| [&calibrate[..], &["-o", output, "--calibration", method]].concat();
        let streamed = run(folder, &to("-", "minmax"));
        succeed(folder, &to("r", "minmax"));
        assert!(streamed.status.success() && streamed.stdout == read(folder, "r"), "{format}: {}", stderr(&streamed));
        let same = quantized(folder, &["--ranges", "r", "--calibration", "minmax"]).1 == expected;
        assert_eq!(
            same,
            *format == "json",
            "{format}: only this holds the range exactly, and how many elements there are"
        );
        // The method decides on what is written: a range, or whether there are histograms.
        succeed(folder, &to("r", "percentile:90"));
        assert!(streamed.stdout != read(folder, "r"), "{format}");
    }
}

fn the_same_comes_out_on_every_run_and_at_every_number_of_threads() {
    let folder = folder();
    let runs = ["1", "2", "2"].map(|threads| {
        let arguments = ["--calibrate", "samples", "--threads", threads, "--save-ranges", "r", "--calibration", "mse"];
        (quantized(folder.path(), &arguments).1, read(folder.path(), "r"))
    });
    assert!(runs[0] == runs[1] && runs[1] == runs[2]);
}

fn a_file_says_the_same_as_flags() {
    let folder = folder();
    let folder = folder.path();
    let toml = "target = \"openvino\"\nactivations = \"int8\"\nsymmetric-activations = true\ncalibration = \"mse\"\nmax-samples = 3\nengine = \"rten\"\n";
    fs::write(folder.join("a.toml"), toml).expect("it can be written");
    let flags = ["--target", "openvino", "--activations", "int8", "--symmetric-activations", "--calibration", "mse"];
    let flags = [&flags[..], &["--max-samples", "3"]].concat();
    let by_flags = quantized(folder, &[&["--calibrate", "samples", "--engine", "rten"], &flags[..]].concat());
    assert!(by_flags.0.contains(" to int8 (symmetric, mse)\n"), "{}", by_flags.0);
    assert!(quantized(folder, &["--calibrate", "samples", "--config", "a.toml"]) == by_flags);
    // Flags win.
    let back = ["--target", "onnxruntime", "--activations", "uint8", "--symmetric-activations=false"];
    let back = [&back[..], &["--calibration", "minmax", "--max-samples", "9"]].concat();
    let taken_back = quantized(folder, &[&["--calibrate", "samples", "--config", "a.toml"], &back[..]].concat());
    assert!(taken_back == quantized(folder, &["--calibrate", "samples", "--calibration", "minmax"]));
    // It can be there for nothing.
    assert!(quantized(folder, &["--config", "a.toml"]) == quantized(folder, &["--target", "openvino"]));
}

fn options_that_make_no_sense_are_refused() {
    let folder = folder();
    fs::write(folder.path().join("r.json"), "{}").expect("it can be written");
    let options: [&[&str]; 15] = [
        &["--max-samples", "3"],
        &["--engine", "rten"],
        &["--onnxruntime", "lib.so"],
        &["--calibration", "mse"],
        &["--activations", "int8"],
        &["--symmetric-activations"],
        &["--save-ranges", "s.json"],
        &["--ranges", "r.json", "--max-samples", "3"],
        &["--calibrate", "samples", "--max-samples", "0"],
        &["--calibrate", "samples", "--calibration", "median"],
        &["--calibrate", "samples", "--engine", "tvm"],
        &["--calibrate", "samples", "--engine", "rten", "--onnxruntime", "lib.so"],
        &["--calibrate", "samples", "--save-ranges", "out.onnx"],
        &["--calibrate", "samples", "--activations", "uint8", "--weights", "int4"],
        &["--calibrate", "samples", "--activations", "uint8", "--granularity", "block:32"],
    ];
    let mut said = String::new();
    for options in options {
        let refused = refused(folder.path(), 2, options);
        said.push_str(&format!("$ onnx-quant in.onnx out.onnx {}\n{refused}\n", options.join(" ")));
    }
    insta::assert_snapshot!(said);
    fail(folder.path(), 2, &["calibrate", MODEL, "--samples-from", "samples"]);
    fail(folder.path(), 2, &["calibrate", MODEL, "-o", "r.json"]);
    let same = fail(folder.path(), 2, &["calibrate", MODEL, "--samples-from", "samples", "-o", MODEL]);
    assert!(same.contains("the file of ranges and the input are to be the same file: kws_dscnn.onnx"), "{same}");
}

#[cfg(unix)] // Other systems word their errors differently.
fn what_is_wrong_with_samples_and_ranges_is_said_and_nothing_written() {
    let folder = folder();
    let folder = folder.path();
    let zeros = vec![0.0; SHAPE.iter().product()];
    let with_nan = [&zeros[1..], &[f32::NAN]].concat();
    let samples = [
        ("name/0.npz", npz(&[("mel", floats(&SHAPE, &zeros))], false)),
        ("type/0.npy", npy("|u1", &SHAPE, &vec![0; zeros.len()])),
        ("shape/0.npy", floats(&[1, 40, 62], &zeros)),
        ("nan/0.npy", floats(&SHAPE, &zeros)),
        ("nan/1.npy", npy("<f4", &SHAPE, &bytes_of(&with_nan))),
        ("damaged/0.npz", b"PK\x03\x04 and so on".to_vec()),
    ];
    for (name, bytes) in samples {
        files::put(folder, name, bytes);
    }
    fs::create_dir(folder.join("empty")).expect("a folder can be made");
    let ranges = [
        ("text.json", "no ranges"),
        ("other.json", r#"{"nowhere": [0, 1], "elsewhere": [0, 2]}"#),
        ("newer.json", r#"{"format": "onnx-quant ranges", "version": 9, "values": {}}"#),
    ];
    for (name, text) in ranges {
        fs::write(folder.join(name), text).expect("it can be written");
    }
    succeed(folder, &["calibrate", MODEL, "--samples-from", "samples", "-o", "minmax.json", "--calibration", "minmax"]);
    let mut options: Vec<Vec<&str>> = ["nowhere", "empty", "name", "type", "shape", "nan", "damaged"]
        .map(|samples| vec!["--calibrate", samples, "--save-ranges", "r.json"])
        .into();
    options.extend([
        vec!["--ranges", "missing.json"],
        vec!["--ranges", "text.json"],
        vec!["--ranges", "other.json"],
        vec!["--ranges", "newer.json"],
        vec!["--ranges", "minmax.json", "--calibration", "mse"],
        vec!["--calibrate", "samples", "--onnxruntime", "missing.so"],
        vec!["--calibrate", "samples", "--save-ranges", "no/such/r.json"],
        vec!["--calibrate", "samples", "--report", "no/such/report.json"],
    ]);
    let mut said = String::new();
    for options in options {
        // The loader of libraries says the rest in its own words.
        let refused = refused(folder, 1, &options);
        let refused = refused.split("failed to load from `missing.so`").next().unwrap_or_default();
        said.push_str(&format!("$ onnx-quant in.onnx out.onnx {}\n{refused}\n", options.join(" ")));
    }
    insta::assert_snapshot!(said);
    let said = fail(folder, 1, &[MODEL, "no/such/out.onnx", "--calibrate", "samples", "--save-ranges", "r.json"]);
    assert!(said.contains("no/such/out.onnx"), "{said}");
    let said = fail(folder, 1, &["calibrate", MODEL, "--samples-from", "nan", "-o", "r.json"]);
    assert!(said.contains("nan/1.npy: input 'logmel' has NaN"), "{said}");
}

fn ranges_of_values_that_are_not_there_are_warned_of() {
    let folder = folder();
    let folder = folder.path();
    succeed(folder, &["calibrate", MODEL, "--samples-from", "samples", "-o", "r.json", "--format", "onnxruntime"]);
    let text = String::from_utf8(read(folder, "r.json")).expect("JSON");
    let one = text.split('"').find(|part| part.starts_with("/f/")).expect("a value").to_owned();
    let unknown: String = ["a", "b", "c", "d"].map(|name| format!("\"{name}\": [0, 1], ")).concat();
    fs::write(folder.join("r.json"), format!("{{{unknown}\"{one}\": [0, 1]}}")).expect("it can be written");
    let (said, _) = quantized(folder, &["--ranges", "r.json"]);
    let warning = "there are ranges of 5 values, and 4 of these are not in the model: 'a', 'b', 'c', and 1 more";
    assert!(said.contains(&format!("warning[unknown-ranges]: {warning}\n")), "{said}");
    let said = refused(folder, 1, &["--ranges", "r.json", "--strict"]);
    assert_eq!(said, format!("error: {MODEL}: {warning} (unknown-ranges is denied)\n"));
}

/// Writes the model, changed, to `changed.onnx`, and says what comes of calibrating that.
fn said_of_changed(folder: &Path, change: impl FnOnce(&mut GraphProto)) -> String {
    let mut model = ModelProto::decode(read(folder, MODEL).as_slice()).expect("it is a model");
    change(model.graph.as_mut().expect("there is a graph"));
    fs::write(folder.join("changed.onnx"), model.encode_to_vec()).expect("it can be written");
    fail(folder, 1, &["changed.onnx", "out.onnx", "--calibrate", "samples", "--save-ranges", "r.json"])
}

fn an_engine_that_fails_names_the_sample() {
    let folder = folder();
    let said = said_of_changed(folder.path(), |graph| {
        let conv = graph.node.iter_mut().find(|node| node.op_type() == "Conv").expect("there is one");
        let strides = conv.attribute.iter_mut().find(|attribute| attribute.name() == "strides").expect("it has some");
        strides.ints = vec![0, 0];
    });
    assert!(said.starts_with("error: changed.onnx: Conv "), "{said}");
    assert!(said.contains(": sample 1 (samples/0.npz): rten cannot run the model: "), "{said}");
    assert!(said.contains("; --onnxruntime FILE may run it"), "{said}");
}

/// rten's multiplication of sizes overflows, which is a panic in this profile.
#[cfg(debug_assertions)]
fn an_engine_that_panics_does_not_talk_itself() {
    let folder = folder();
    let said = said_of_changed(folder.path(), |graph| {
        for input in graph.node.iter_mut().flat_map(|node| &mut node.input).filter(|input| *input == "logmel") {
            *input = "tiled".to_owned();
        }
        let (op_type, inputs) = ("Tile".to_owned(), ["logmel", "repeats"].map(str::to_owned).into());
        let output = vec!["tiled".to_owned()];
        graph.node.insert(0, NodeProto { op_type: Some(op_type), input: inputs, output, ..NodeProto::default() });
        graph.initializer.push(TensorProto {
            name: Some("repeats_as_floats".to_owned()),
            data_type: Some(DataType::Float as i32),
            dims: vec![3],
            float_data: vec![(1 << 30) as f32; 3],
            ..TensorProto::default()
        });
        // What depends on the samples nobody sees beforehand.
        let node = |op_type: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>| NodeProto {
            op_type: Some(op_type.to_owned()),
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute,
            ..NodeProto::default()
        };
        let int = |name: &str, value: i64| AttributeProto {
            name: Some(name.to_owned()),
            i: Some(value),
            r#type: Some(AttributeType::Int as i32),
            ..AttributeProto::default()
        };
        let to = vec![int("to", DataType::Int64 as i64)];
        graph.node.insert(0, node("Cast", &["repeats_of_sample"], "repeats", to));
        graph.node.insert(0, node("Max", &["largest", "repeats_as_floats"], "repeats_of_sample", vec![]));
        graph.node.insert(0, node("ReduceMax", &["logmel"], "largest", vec![int("keepdims", 0)]));
    });
    assert!(
        said.starts_with("error: changed.onnx: sample 1 (samples/0.npz): rten failed to run the model: "),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[cfg(unix)]
fn who_interrupts_it_finds_nothing_left_behind() {
    let folder = folder();
    let folder = folder.path();
    if signals::is_ignored(2) {
        return;
    }
    // Long enough to be interrupted.
    fs::write(folder.join("many.txt"), "samples/0.npz\n".repeat(100_000)).expect("it can be written");
    let listing = || {
        let mut names: Vec<_> = fs::read_dir(folder).expect("a folder").flatten().map(|e| e.file_name()).collect();
        names.sort();
        names
    };
    let before = listing();
    let arguments = ["--calibrate", "many.txt", "--save-ranges", "r.json", "--report", "report.json"];
    let mut child = command(folder, &[&[MODEL, "out.onnx"], &arguments[..]].concat()).spawn().expect("it starts");
    thread::sleep(Duration::from_secs(1));
    assert!(child.try_wait().expect("it can be asked").is_none(), "it ended already");
    let interrupt = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.expect("there is a kill").success());
    assert!(!child.wait().expect("it ends").success());
    assert_eq!(listing(), before);
}

fn onnxruntime_is_an_engine_too() {
    let library = runtime::onnxruntime_library();
    let folder = folder();
    let library = library.to_str().expect("a path in UTF-8");
    let by_rten = quantized(folder.path(), &["--calibrate", "samples"]).0;
    assert_eq!(quantized(folder.path(), &["--calibrate", "samples", "--onnxruntime", library]).0, by_rten);
    let by_variable = command(folder.path(), &[MODEL, "o.onnx", "--calibrate", "samples", "--engine", "onnxruntime"])
        .env("ORT_DYLIB_PATH", library)
        .output()
        .expect("it starts");
    assert_eq!(stderr(&by_variable), by_rten.replace("out.onnx", "o.onnx"));
}

fn help_and_the_readme_know_the_default_method() {
    let default = CalibrationMethod::default();
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("there is one");
    let line = readme.lines().find(|line| line.starts_with("| `--calibration METHOD` |")).expect("it is in the table");
    assert!(line.contains(&format!("(default `{default}`)")), "{line}");
    let output = run(folder().path(), &["calibrate", "--help"]);
    insta::assert_snapshot!(String::from_utf8(output.stdout).expect("it is UTF-8"));
}

fn dynamic_activations_need_no_samples() {
    let folder = folder();
    let folder = folder.path();
    let (said, flags) = quantized(folder, &["--activations", "dynamic"]);
    assert!(said.contains("1 of 10 layers in integers (1 MatMul, 0 of 9 Conv)"), "{said}");
    assert!(said.contains("has no fast integer kernel for it"), "{said}");
    fs::write(folder.join("options.toml"), "activations = 'dynamic'\n").expect("it can be written");
    let (_, file) = quantized(folder, &["--config", "options.toml"]);
    assert!(flags == file, "a file says the same as flags");
    let said = refused(folder, 2, &["--activations", "dynamic", "--samples", "samples"]);
    assert!(said.contains("take no samples"), "{said}");
    let said = refused(folder, 2, &["--activations", "dynamic", "--calibration", "mse"]);
    assert!(said.contains("--calibration makes no sense without"), "{said}");
    let said = refused(folder, 2, &["--activations", "dynamic", "--target", "qnn"]);
    assert!(said.contains("qnn has no integer kernels for dynamic activations"), "{said}");
    let (said, small) = quantized(folder, &["--activations", "dynamic", "--store-float-layers", "int8"]);
    assert!(2 * small.len() < flags.len() && said.contains("note[dequantized-every-run]: 9 Conv"), "{said}");
}

crate::tests![
    the_summary_says_which_layers_compute_in_integers,
    of_many_reasons_a_few_are_said_and_the_report_has_all,
    ranges_stand_for_the_samples_they_are_of,
    ranges_go_to_standard_output_and_into_every_format,
    the_same_comes_out_on_every_run_and_at_every_number_of_threads,
    a_file_says_the_same_as_flags,
    options_that_make_no_sense_are_refused,
    what_is_wrong_with_samples_and_ranges_is_said_and_nothing_written,
    ranges_of_values_that_are_not_there_are_warned_of,
    an_engine_that_fails_names_the_sample,
    #[cfg(debug_assertions)]
    an_engine_that_panics_does_not_talk_itself,
    #[cfg(unix)]
    who_interrupts_it_finds_nothing_left_behind,
    onnxruntime_is_an_engine_too,
    help_and_the_readme_know_the_default_method,
    dynamic_activations_need_no_samples
];
