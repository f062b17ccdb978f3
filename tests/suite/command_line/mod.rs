//! The command, run in a folder of its own.

pub mod signals;

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::testdata;

pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Copies fixtures, with the files beside them, into a folder.
pub fn folder_with(fixtures: &[&str]) -> TempDir {
    let folder = folder();
    for fixture in fixtures {
        let path = testdata::path(fixture);
        let name = path.file_name().expect("a file");
        fs::copy(&path, folder.path().join(name)).expect("it can be copied");
    }
    folder
}

/// So many samples of kws_dscnn, in the folder `samples` of a folder.
pub fn copied_samples(folder: &Path, count: usize) {
    const DIFFERENT: usize = 4;
    fs::create_dir(folder.join("samples")).expect("a folder can be made");
    for index in 0..count {
        let from = testdata::path(&format!("calibration/kws_dscnn/{}.npz", index % DIFFERENT));
        fs::copy(from, folder.join(format!("samples/{index}.npz"))).expect("it is copied");
    }
}

/// Runs the command in a folder.
pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("the command starts")
}

pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onnx-quant"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}

/// Runs the command, which must succeed; gives what it says.
pub fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    assert!(output.stdout.is_empty(), "{arguments:?}: stdout is for models");
    stderr(&output)
}

/// Runs the command, which must fail with a status and leave nothing behind; gives what it says.
pub fn fail(folder: &Path, status: i32, arguments: &[&str]) -> String {
    let files = || fs::read_dir(folder).expect("it is a folder").count();
    let before = files();
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", stderr(&output));
    assert_eq!(files(), before, "{arguments:?}: something was left behind");
    stderr(&output)
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("messages are UTF-8")
}

pub fn read(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
