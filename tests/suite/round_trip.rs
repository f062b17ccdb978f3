//! Nothing is lost, nothing is moved: a model that is only read and written is the same bytes, and in
//! a quantized one everything is as it was but the weights.

use crate::{quantized, testdata};
use std::{fs, path::Path};

use onnx_quant::{
    Config, Model, SaveOptions,
    proto::{ModelProto, StringStringEntryProto},
    quantize,
};
use prost::Message;
use quantized::{Quantized, decoded, load, strip::strip, way, ways};
use tempfile::TempDir;
use testdata::{Fixture, fixtures};

/// A copy of all fixtures, with the files beside them, to write into.
fn copied() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    copy(Path::new(&testdata::path("")), folder.path());
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder can be made");
    for entry in fs::read_dir(from).expect("it is a folder").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("it can be copied");
        }
    }
}

/// Written by odd writers: the same fields come out, but in the order and form that everyone uses.
const ODD_WRITERS: [&str; 3] =
    ["made/unknown_fields.onnx", "made/fields_reversed.onnx", "made/tensor_fields_split.onnx"];

fn assert_unchanged(fixture: &Fixture, written: &[u8]) {
    let read = fs::read(fixture.path()).expect("the fixture is there");
    let name = &fixture.name;
    if ODD_WRITERS.contains(&name.as_str()) {
        let decode = |bytes: &[u8]| ModelProto::decode(bytes).expect("it is a model");
        assert_eq!(decode(&read), decode(written), "{name}");
        assert_ne!(read, written, "{name} is written as by everyone: it tests nothing");
    } else {
        assert!(read == written, "{name}: {} bytes became {}", read.len(), written.len());
    }
}

fn read_and_written_is_the_same_bytes() {
    let folder = copied();
    for fixture in fixtures() {
        let path = folder.path().join(&fixture.name);
        let model = Model::load(&path).expect("it can be read");
        for path in [path.with_file_name("beside.onnx"), path] {
            model.save(&path, &SaveOptions::default()).expect("it can be written");
            assert_unchanged(&fixture, &fs::read(&path).expect("it was written"));
        }
    }
    for external in ["made/external_everywhere.bin", "made/external_two_files.bin", "mnist_external/mnist.onnx.data"] {
        let read = fs::read(testdata::path(external)).expect("the fixture is there");
        assert!(read == fs::read(folder.path().join(external)).expect("it is still there"), "{external}");
    }
}

fn in_another_folder_a_model_is_the_same_but_for_where_its_data_lies() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut outside = 0;
    for (number, fixture) in fixtures().iter().enumerate() {
        let path = folder.path().join(format!("{number}.onnx"));
        let model = load(fixture);
        model.save(&path, &SaveOptions::default()).expect("it can be written");
        if model.external_files().is_empty() {
            assert_unchanged(fixture, &fs::read(&path).expect("it was written"));
        } else {
            let moved = Model::load(&path).expect("its data is beside it");
            assert_eq!(moved.external_files(), [path.with_extension("onnx.data")], "{}", fixture.name);
            assert!(moved.to_bytes() == model.to_bytes(), "{}", fixture.name);
            outside += 1;
        }
    }
    assert!(outside >= 3, "{outside} models with external data only");
}

fn without_weights_to_quantize_nothing_changes() {
    let config = Config::default().with_exclude(vec!["*".parse().expect("a pattern")]);
    let folder = copied();
    for fixture in fixtures() {
        let path = folder.path().join(&fixture.name);
        let mut model = Model::load(&path).expect("it can be read");
        let report = quantize(&mut model, &config).unwrap_or_else(|error| panic!("{error}"));
        assert!(report.quantized.is_empty(), "{}: {:?}", fixture.name, report.quantized);
        model.save(&path, &SaveOptions::default()).expect("it can be written");
        assert_unchanged(&fixture, &fs::read(&path).expect("it was written"));
    }
}

fn all_but_the_weights_is_as_it_was() {
    let fixtures = fixtures();
    let mut weights = 0;
    for way in ways() {
        for quantized in quantized::quantized(&fixtures, &way) {
            let name = quantized.name();
            let (mut before, mut after) = (quantized.upgraded, quantized.quantized);
            let stripped = strip(&mut before, &mut after).unwrap_or_else(|faults| panic!("{name}: {faults}"));
            assert_eq!(before, after, "{name}");

            let mut found = stripped.weights;
            found.sort();
            let reported = &quantized.report.quantized;
            let mut names: Vec<&str> = reported.iter().map(|tensor| tensor.name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(found, names, "{name}");
            let copies: usize = reported.iter().map(|tensor| tensor.copies.len()).sum();
            let (stored, constants) = (stripped.stored.len(), stripped.constants.len());
            match way.name {
                "qdq" => {
                    assert_eq!((stripped.dequantizers.len(), stored, constants), (copies, 0, 2 * copies), "{name}")
                }
                _ => assert_eq!((stored, constants), (copies, 3 * copies), "{name}: {:?}", stripped.constants.keys()),
            }
            weights += found.len();
        }
    }
    assert!(weights > 500, "{weights} weights only: nothing was tested");
}

fn annotations_of_constant_nodes_go_to_their_successors() {
    let fixtures = [("made/constant_nodes.onnx", vec!["w", "flat", "last"]), ("made/tables.onnx", vec!["held"])];
    for (fixture, constants) in fixtures {
        let bytes = fs::read(testdata::path(fixture)).expect("the fixture is there");
        let mut float = ModelProto::decode(bytes.as_slice()).expect("it is a model");
        let graph = float.graph.as_mut().expect("there is a graph");
        for node in graph.node.iter_mut().filter(|node| node.op_type() == "Constant") {
            let name = node.output[0].clone();
            node.doc_string = Some(format!("where {name} comes from"));
            node.metadata_props.push(StringStringEntryProto { key: Some("layer".to_owned()), value: Some(name) });
        }
        let mut model = Model::from_bytes(float.encode_to_vec()).expect("it is a model");
        quantize(&mut model, &way("int8").config).expect("it can be quantized");
        let mut quantized = decoded(&model);
        let stripped = strip(&mut float, &mut quantized).unwrap_or_else(|faults| panic!("{faults}"));
        assert!(constants.iter().all(|name| stripped.weights.iter().any(|weight| weight == name)), "{fixture}");
        assert_eq!(float, quantized, "{fixture}");
    }
}

fn every_run_writes_the_same_bytes() {
    let fixtures = fixtures();
    for way in ways() {
        for first in quantized::quantized(&fixtures, &way) {
            let second = Quantized::new(first.fixture, &way).expect("it was quantized before");
            assert!(first.model.to_bytes() == second.model.to_bytes(), "{}", first.name());
            assert_eq!(first.report, second.report, "{}", first.name());
        }
    }
}

fn a_file_may_replace_its_source() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.onnx");
    fs::copy(testdata::path("kws_dscnn.onnx"), &path).expect("it can be copied");
    let mut model = Model::load(&path).expect("it is a model");
    quantize(&mut model, &Config::default()).expect("it can be quantized");
    let expected = model.to_bytes();
    model.save(&path, &SaveOptions::default()).expect("it can be written");
    assert!(fs::read(&path).expect("it was written") == expected);
}

crate::tests![
    read_and_written_is_the_same_bytes,
    in_another_folder_a_model_is_the_same_but_for_where_its_data_lies,
    without_weights_to_quantize_nothing_changes,
    all_but_the_weights_is_as_it_was,
    annotations_of_constant_nodes_go_to_their_successors,
    every_run_writes_the_same_bytes,
    a_file_may_replace_its_source
];
