//! External data that a stranger's model names: only regular files inside the model's folder are
//! read, and what is written destroys nothing that was read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use onnx_quant::{
    Config, Error, Model, SaveOptions,
    proto::{StringStringEntryProto, TensorProto, tensor_proto::DataLocation, tensor_proto::DataType},
    quantize,
};
use prost::Message;
use tempfile::TempDir;

use crate::build::{claimed, graph, model, node, weight};

const BYTES: usize = 32 * 32 * 4;

fn external(name: &str, entries: &[(&str, &str)]) -> TensorProto {
    let entry = |&(key, value): &(&str, &str)| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value.to_owned()),
    };
    TensorProto {
        data_location: Some(DataLocation::External as i32),
        external_data: entries.iter().map(entry).collect(),
        ..claimed(name, DataType::Float as i32, &[32, 32])
    }
}

/// `model/model.onnx`, whose weight has these entries, and beside it files of the right size.
fn folder(entries: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let inside = folder.path().join("model");
    fs::create_dir_all(inside.join("sub")).expect("a folder");
    let data = weight("", &[32, 32]).raw_data.expect("it has data");
    for file in ["outside", "model/data", "model/sub/data"] {
        fs::write(folder.path().join(file), &data).expect("a file");
    }
    let model = model(graph(vec![node("MatMul", &["x", "w"], &["y"])], vec![external("w", entries)]));
    let path = inside.join("model.onnx");
    fs::write(&path, model.encode_to_vec()).expect("a file");
    (folder, path)
}

fn load(entries: &[(&str, &str)]) -> Result<Model, Error> {
    let (_folder, path) = folder(entries);
    Model::load(path)
}

fn assert_refused(entries: &[(&str, &str)], reason: &str) {
    let error = load(entries).expect_err("it is refused").to_string();
    assert!(error.contains("model.onnx: ") && error.contains("'w'"), "{error}");
    assert!(error.contains(reason), "{error}");
}

#[test]
fn only_relative_paths_that_stay_inside_are_read() {
    for location in ["data", "./data", "sub/data", "sub/./data", "sub//data"] {
        load(&[("location", location)]).expect(location);
    }
    for location in ["../outside", "sub/../../outside", "sub/../data", "..", "/etc/passwd", "/"] {
        assert_refused(&[("location", location)], "only a relative path inside the model's folder is read");
    }
    assert_refused(&[], "is external, but names no file");
    assert_refused(&[("location", "")], "is external, but names no file");
    assert_refused(&[("location", "missing")], "cannot be found in");
    assert_refused(&[("location", "data\0")], "cannot be found in");
    // Cut in the middle, so that the reason is still there.
    assert_refused(&[("location", &"long/".repeat(2000))], "cannot be found in");
    for location in ["sub", ".", "sub/"] {
        assert_refused(&[("location", location)], "it is not a regular file");
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_inside_the_folder_and_refused_out_of_it() {
    use std::os::unix::fs::symlink;

    for (location, link, target, inside) in [
        ("link", "link", "sub/data", true),
        ("link/data", "link", "sub", true),
        ("link", "link", "../outside", false),
        ("link/outside", "link", "..", false),
        ("link/passwd", "link", "/etc", false),
        ("link", "link", "/dev/zero", false),
    ] {
        let (folder, path) = folder(&[("location", location)]);
        symlink(target, folder.path().join("model").join(link)).expect("a link");
        match Model::load(&path).map_err(|error| error.to_string()) {
            Ok(_) => assert!(inside, "{target} was read"),
            Err(error) => assert!(!inside && error.contains("link out of the model's folder"), "{target}: {error}"),
        }
    }
    // A link that leads to itself.
    let (folder, path) = folder(&[("location", "link")]);
    symlink("link", folder.path().join("model/link")).expect("a link");
    assert!(Model::load(&path).is_err());
}

#[cfg(unix)]
#[test]
fn pipes_are_refused_and_not_waited_for() {
    let (folder, path) = folder(&[("location", "pipe")]);
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("model/pipe")).status();
    if made.is_ok_and(|status| status.success()) {
        let error = Model::load(&path).expect_err("a pipe is no file").to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}

#[test]
fn offsets_and_lengths_that_do_not_fit_are_refused() {
    let location = ("location", "data");
    for (offset, length) in [("1", "4096"), ("4097", "0"), ("18446744073709551615", "4096"), ("0", "4097")] {
        assert_refused(&[location, ("offset", offset), ("length", length)], "too few");
    }
    for number in ["-1", "", "1e3", "0x10", "4096 bytes", "99999999999999999999999999"] {
        assert_refused(&[location, ("offset", number)], "which is no byte count");
        assert_refused(&[location, ("length", number)], "which is no byte count");
    }
    for length in ["0", "1", "4092"] {
        assert_refused(&[location, ("length", length)], "takes 4096 bytes, but there are");
    }
    assert_refused(&[location, ("offset", "4")], "takes 4096 bytes, but there are 4092");
    load(&[location, ("offset", "0"), ("length", "4096"), ("checksum", "anything")]).expect("this fits");
}

#[test]
fn tensors_may_overlap() {
    let (_folder, path) = folder(&[]);
    let weights = ["a", "b"].map(|name| external(name, &[("location", "data")]));
    let nodes = vec![node("MatMul", &["x", "a"], &["h"]), node("MatMul", &["h", "b"], &["y"])];
    fs::write(&path, model(graph(nodes, weights.to_vec())).encode_to_vec()).expect("a file");
    let mut model = Model::load(&path).expect("overlapping tensors are two views of one file");
    let report = quantize(&mut model, &Config::default()).expect("they are weights like others");
    assert_eq!(report.quantized.len(), 2);
    model.save(&path, &SaveOptions::default()).expect("it is written over itself");
    Model::load(&path).expect("what was written can be read");
}

#[test]
fn bytes_without_a_folder_have_no_external_data() {
    let (_folder, path) = folder(&[("location", "data")]);
    let error = Model::from_bytes(fs::read(path).expect("it is there").into()).expect_err("where would it be");
    assert!(error.to_string().contains("load the model by its path"), "{error}");
}

fn quantized(path: &Path) -> Model {
    let mut model = Model::load(path).expect("it is valid");
    quantize(&mut model, &Config::default()).expect("it is valid");
    model
}

#[test]
fn a_model_with_external_data_is_written_over_itself() {
    for location in ["data", "model.onnx.data"] {
        let (_folder, path) = folder(&[("location", location)]);
        if location != "data" {
            fs::rename(path.with_file_name("data"), path.with_file_name(location)).expect("a file");
        }
        let expected = quantized(&path).to_bytes();
        quantized(&path).save(&path, &SaveOptions::default()).expect("it is written");
        assert_eq!(Model::load(&path).expect("it can be read").to_bytes(), expected);
    }
}

#[test]
fn a_model_goes_to_another_folder_with_its_data() {
    let (folder, path) = folder(&[("location", "sub/data")]);
    let there = folder.path().join("there");
    fs::create_dir(&there).expect("a folder");
    let model = Model::load(&path).expect("it is valid");
    model.save(there.join("copy.onnx"), &SaveOptions::default()).expect("it is written");
    assert_eq!(Model::load(there.join("copy.onnx")).expect("its data is there").to_bytes(), model.to_bytes());
    quantized(&path).save(there.join("small.onnx"), &SaveOptions::default()).expect("it is written");
    Model::load(there.join("small.onnx")).expect("its data is there");
}

fn assert_untouched(path: &Path, written: Result<onnx_quant::Saved, Error>) {
    let error = written.expect_err("it would destroy its input").to_string();
    assert!(error.contains("choose another name"), "{error}");
    Model::load(path).expect("the input is as it was");
    let left = fs::read_dir(path.parent().expect("it is in a folder")).expect("a folder");
    let left: Vec<_> = left.map(|entry| entry.expect("a file").file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{left:?}");
}

#[test]
fn the_data_of_the_input_is_not_overwritten_by_the_output() {
    // By the model itself.
    let (_folder, path) = folder(&[("location", "data")]);
    let target = path.with_file_name("data");
    assert_untouched(&path, quantized(&path).save(&target, &SaveOptions::default()));
    assert_untouched(&path, Model::load(&path).expect("it is valid").save(&target, &SaveOptions::default()));
    assert_eq!(fs::metadata(target).expect("it is there").len(), BYTES as u64);
    // By the output's data.
    let (_folder, path) = folder(&[("location", "out.onnx.data")]);
    fs::rename(path.with_file_name("data"), path.with_file_name("out.onnx.data")).expect("a file");
    let options = SaveOptions { external_data: true };
    assert_untouched(&path, Model::load(&path).expect("it is valid").save(path.with_file_name("out.onnx"), &options));
}

#[test]
fn external_data_named_like_the_output_is_not_copied_over_it() {
    let (folder, path) = folder(&[("location", "data")]);
    let there = folder.path().join("there");
    fs::create_dir(&there).expect("a folder");
    let model = Model::load(&path).expect("it is valid");
    let error = model.save(there.join("data"), &SaveOptions::default()).expect_err("two files of one name");
    assert!(error.to_string().contains("choose another name"), "{error}");
    assert_eq!(fs::read_dir(there).expect("a folder").count(), 0);
}
