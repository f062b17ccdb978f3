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

use crate::malformed::build::{claimed, graph, model, node, weight};

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
fn pipes_are_refused_and_not_waited_for() {
    let (folder, path) = folder(&[("location", "pipe")]);
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("model/pipe")).status();
    if made.is_ok_and(|status| status.success()) {
        let error = Model::load(&path).expect_err("a pipe is no file").to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}

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

fn bytes_without_a_folder_have_no_external_data() {
    let (_folder, path) = folder(&[("location", "data")]);
    let error = Model::from_bytes(fs::read(path).expect("it is there")).expect_err("where would it be");
    assert!(error.to_string().contains("load the model by its path"), "{error}");
}

fn quantized(path: &Path) -> Model {
    let mut model = Model::load(path).expect("it is valid");
    quantize(&mut model, &Config::default()).expect("it is valid");
    model
}

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
    let options = SaveOptions::default().with_external_data(true);
    assert_untouched(&path, Model::load(&path).expect("it is valid").save(path.with_file_name("out.onnx"), &options));
}

/// What lies in a folder, but for the files of the model that is written there.
fn others(folder: &Path, model: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file"));
    let named = entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
    let others = named.filter(|(name, path)| !name.starts_with(model) && path.is_file());
    let mut others: Vec<_> = others.map(|(name, path)| (name, fs::read(path).expect("a file"))).collect();
    others.sort();
    others
}

fn names_that_a_model_gives_to_files_are_never_written_to() {
    for location in ["data", ".bashrc", "sub/data", "out.onnx", "./other.onnx"] {
        let (folder, path) = folder(&[("location", location)]);
        if !path.with_file_name(location).is_file() {
            fs::rename(path.with_file_name("data"), path.with_file_name(location)).expect("a file");
        }
        let there = folder.path().join("there");
        fs::create_dir(&there).expect("a folder");
        for name in ["data", ".bashrc", "other.onnx"] {
            fs::write(there.join(name), "somebody's").expect("a file");
        }
        let before = others(&there, "out.onnx");
        let model = Model::load(&path).expect("it is valid");
        model.save(there.join("out.onnx"), &SaveOptions::default()).expect(location);
        assert_eq!(others(&there, "out.onnx"), before, "{location}");
        assert!(!there.join("sub").exists(), "{location}: a folder was made");
        assert_eq!(Model::load(there.join("out.onnx")).expect(location).to_bytes(), model.to_bytes());
    }
}

fn data_that_is_not_of_the_model_that_is_replaced_stays() {
    let (_folder, path) = folder(&[("location", "data")]);
    let (out, data) = (path.with_file_name("out.onnx"), path.with_file_name("out.onnx.data"));
    let refused = |what: &str| {
        let before = (fs::read(&out).ok(), fs::read(&data).expect("it is there"));
        for model in [quantized(&path), Model::load(&path).expect("it is valid")] {
            let options = SaveOptions::default().with_external_data(true);
            for written in [model.save(&out, &options).map(drop), model.check_save(&out, &options)] {
                let error = written.expect_err(what).to_string();
                assert!(error.contains("out.onnx.data") && error.contains("--overwrite"), "{what}: {error}");
                assert_eq!((fs::read(&out).ok(), fs::read(&data).expect("it is there")), before, "{what}");
            }
        }
    };
    fs::write(&data, "somebody's").expect("a file");
    refused("there is no such model");
    fs::copy(&path, &out).expect("a file");
    refused("the model's data is another file");
    fs::write(&out, "no model").expect("a file");
    refused("what is there is no model");
    fs::remove_file(&out).expect("it is there");

    let overwrite = SaveOptions::default().with_overwrite(true);
    quantized(&path).save(&out, &overwrite).expect("it was asked for");
    let first = fs::read(&data).expect("it is there");
    // Now it is the model's own.
    quantized(&path).save(&out, &SaveOptions::default()).expect("both are replaced");
    assert_eq!(fs::read(&data).expect("it is there"), first);
    assert_eq!(Model::load(&out).expect("it can be read").to_bytes(), quantized(&path).to_bytes());
}

#[cfg(unix)]
fn a_link_in_the_place_of_the_data_is_not_followed() {
    let (folder, path) = folder(&[("location", "data")]);
    let outside = folder.path().join("outside");
    let before = fs::read(&outside).expect("it is there");
    let out = path.with_file_name("out.onnx");
    for target in ["../outside", "../nowhere", "model.onnx"] {
        let link = path.with_file_name("out.onnx.data");
        let _ = (fs::remove_file(&link), fs::remove_file(&out));
        std::os::unix::fs::symlink(target, &link).expect("a link");
        quantized(&path).save(&out, &SaveOptions::default()).expect_err("it is somebody's");
        assert!(link.is_symlink() && !out.exists());
        let overwrite = SaveOptions::default().with_overwrite(true);
        match target {
            "model.onnx" => drop(quantized(&path).save(&out, &overwrite).expect_err("it is the input")),
            _ => {
                quantized(&path).save(&out, &overwrite).expect("the link is replaced");
                Model::load(&out).expect("it can be read");
            }
        }
        assert_eq!(fs::read(&outside).expect("it is there"), before);
        assert!(!folder.path().join("nowhere").exists());
        Model::load(&path).expect("the input is as it was");
    }
}

#[cfg(unix)]
fn what_is_replaced_keeps_its_mode_and_data_has_that_of_its_model() {
    use std::os::unix::fs::PermissionsExt;

    let (_folder, path) = folder(&[("location", "data")]);
    let out = path.with_file_name("out.onnx");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    for bits in [0o600, 0o640, 0o400, 0o666] {
        quantized(&path).save(&out, &SaveOptions::default()).expect("it is written");
        fs::set_permissions(&out, fs::Permissions::from_mode(bits)).expect("it is ours");
        fs::remove_file(path.with_file_name("out.onnx.data")).expect("it is there");
        quantized(&path).save(&out, &SaveOptions::default()).expect("it is written");
        assert_eq!((mode(&out), mode(&path.with_file_name("out.onnx.data"))), (bits, bits), "{bits:o}");
    }
}

fn tensors_that_share_their_bytes_go_on_sharing_them() {
    let (folder, path) = folder(&[]);
    let weights = ["a", "b"].map(|name| external(name, &[("location", "data")]));
    let nodes = vec![node("MatMul", &["x", "a"], &["h"]), node("MatMul", &["h", "b"], &["y"])];
    fs::write(&path, model(graph(nodes, weights.to_vec())).encode_to_vec()).expect("a file");
    let saved = Model::load(&path).expect("it is valid").save(folder.path().join("out.onnx"), &SaveOptions::default());
    assert_eq!(saved.expect("it is written").external_bytes, BYTES as u64);
}

fn a_git_lfs_pointer_is_called_by_its_name() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4096\n";
    let (_folder, path) = folder(&[("location", "data")]);
    fs::write(path.with_file_name("data"), pointer).expect("a file");
    let error = Model::load(&path).expect_err("the data is not there").to_string();
    assert!(error.contains("'data' is a Git LFS pointer") && error.contains("git lfs pull"), "{error}");
    fs::write(&path, pointer).expect("a file");
    let error = Model::load(&path).expect_err("the model is not there").to_string();
    assert!(error.contains("model.onnx: is a Git LFS pointer"), "{error}");
}

crate::tests![
    only_relative_paths_that_stay_inside_are_read,
    #[cfg(unix)]
    links_are_followed_inside_the_folder_and_refused_out_of_it,
    #[cfg(unix)]
    pipes_are_refused_and_not_waited_for,
    offsets_and_lengths_that_do_not_fit_are_refused,
    tensors_may_overlap,
    bytes_without_a_folder_have_no_external_data,
    a_model_with_external_data_is_written_over_itself,
    a_model_goes_to_another_folder_with_its_data,
    the_data_of_the_input_is_not_overwritten_by_the_output,
    names_that_a_model_gives_to_files_are_never_written_to,
    data_that_is_not_of_the_model_that_is_replaced_stays,
    #[cfg(unix)]
    a_link_in_the_place_of_the_data_is_not_followed,
    #[cfg(unix)]
    what_is_replaced_keeps_its_mode_and_data_has_that_of_its_model,
    tensors_that_share_their_bytes_go_on_sharing_them,
    a_git_lfs_pointer_is_called_by_its_name
];
