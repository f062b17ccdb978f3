//! The command: exit status and messages, and what is left behind when it fails.

use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use prost::Message;
use tempfile::TempDir;

use crate::{
    malformed::build::{graph, model, node, weight},
    testdata,
};

/// A folder with a good model, bad ones, and a bad configuration.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a folder"));
        let model = fs::read(testdata::path("made/mlp.onnx")).expect("a model");
        place.write("in.onnx", &model);
        place.write("cut.onnx", &model[..model.len() / 2]);
        place.write("text.onnx", b"no model\n");
        place.write("empty.onnx", b"");
        place.write("config.toml", b"weights = \"int5\"\n");
        place.write("target.onnx", b"what was there before");
        fs::create_dir(place.path("folder")).expect("a folder");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("the folder is ours");
    }

    fn files(&self) -> Vec<String> {
        let mut names = Vec::new();
        for folder in [self.0.path(), &self.path("folder")] {
            let entries = fs::read_dir(folder).expect("a folder");
            names.extend(entries.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned()));
        }
        names.sort();
        names
    }

    fn command(&self, args: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onnx-quant"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the command starts")
    }

    /// Runs the command, which must fail, say why on stderr alone, and change nothing.
    fn fails(&self, args: &[&str], status: i32, message: &str) {
        let before = self.files();
        let output = self.run(args);
        let stderr = String::from_utf8(output.stderr).expect("messages are text");
        assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(message), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?} writes to stdout");
        assert_eq!(self.files(), before, "{args:?} leaves something behind");
        let target = fs::read(self.path("target.onnx")).expect("it is still there");
        assert_eq!(target, b"what was there before", "{args:?} changes the target");
    }
}

fn wrong_usage_exits_with_2() {
    let place = Place::new();
    place.fails(&[], 2, "required arguments");
    place.fails(&["in.onnx"], 2, "OUT.onnx");
    place.fails(&["--no-such-flag", "in.onnx", "target.onnx"], 2, "--no-such-flag");
    place.fails(&["in.onnx", "target.onnx", "--weights", "int5"], 2, "int5");
    place.fails(&["in.onnx", "target.onnx", "--include", "re:("], 2, "'re:(' is no regular expression");
    place.fails(&["in.onnx", "target.onnx", "--exclude", "[a"], 2, "'[a' is no glob");
    place.fails(&["in.onnx", "target.onnx", "--min-elements", "-1"], 2, "-1");
    place.fails(&["in.onnx", "target.onnx", "--report", "target.onnx"], 2, "same file");
    place.fails(&["in.onnx", "target.onnx", "--report", "./target.onnx"], 2, "same file");
    // Each of them would be a thread of the machine.
    place.fails(&["in.onnx", "target.onnx", "--threads", "100000"], 2, "100000");
    place.fails(&["in.onnx", "target.onnx", "--threads", "0"], 2, "0 is not in");
    place.fails(&["print"], 2, "IN.onnx");
}

fn inputs_that_are_no_models_exit_with_1() {
    let place = Place::new();
    let wrong = [
        ("missing.onnx", "error: missing.onnx: cannot be read\ncaused by: "),
        ("folder", "error: folder: cannot be read\ncaused by: it is a folder"),
        ("text.onnx", "error: text.onnx: not an ONNX model"),
        ("cut.onnx", "is the file complete?"),
        ("empty.onnx", "error: empty.onnx: is empty"),
        ("-", "error: standard input: is empty"),
    ];
    for (input, message) in wrong {
        place.fails(&[input, "target.onnx"], 1, message);
        place.fails(&[input, "folder/new.onnx"], 1, message);
        place.fails(&[input, "target.onnx", "--report", "report.json"], 1, message);
        place.fails(&["print", input], 1, message);
    }
}

fn outputs_that_cannot_be_written_exit_with_1() {
    let place = Place::new();
    place.fails(&["in.onnx", "no/such/folder.onnx"], 1, "error: no/such/folder.onnx: cannot be written");
    place.fails(&["in.onnx", "folder"], 1, "it is a folder");
    place.fails(&["in.onnx", "target.onnx/new.onnx"], 1, "cannot be written");
    place.fails(&["in.onnx", "folder/new.onnx", "--report", "no/report.json"], 1, "no/report.json: ");
    place.fails(&["in.onnx", "folder/new.onnx", "--report", "folder"], 1, "it is a folder");
}

fn a_folder_that_may_not_be_written_to_exits_with_1() {
    let place = Place::new();
    let folder = place.path("folder");
    let mut permissions = fs::metadata(&folder).expect("a folder").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&folder, permissions).expect("it is ours");
    // Root may write anywhere.
    if fs::write(folder.join("probe"), "").is_err() {
        place.fails(&["in.onnx", "folder/new.onnx"], 1, "cannot be written");
        place.fails(&["in.onnx", "target.onnx", "--report", "folder/report.json"], 1, "folder/report.json: ");
    }
}

fn bad_configuration_files_exit_with_1() {
    let place = Place::new();
    place.fails(&["in.onnx", "target.onnx", "--config", "missing.toml"], 1, "error: missing.toml: ");
    place.fails(&["in.onnx", "target.onnx", "--config", "folder"], 1, "error: folder: ");
    place.fails(&["in.onnx", "target.onnx", "--config", "config.toml"], 1, "int5");
    place.fails(&["in.onnx", "target.onnx", "--config", "text.onnx"], 1, "error: text.onnx: ");
    place.fails(&["in.onnx", "target.onnx", "--config", "in.onnx"], 1, "error: in.onnx: ");
    place.fails(&["in.onnx", "target.onnx", "--strict", "--include", "typo"], 1, "'typo' matches no weight");
}

/// A full disk of our own: a fault must not cost the machine its `/dev/full`, should root run this.
#[cfg(target_os = "linux")]
fn make_full(path: &Path) -> bool {
    let made = Command::new("mknod").arg(path).args(["c", "1", "7"]).stderr(Stdio::null()).status();
    made.is_ok_and(|status| status.success())
        && fs::OpenOptions::new().write(true).open(path).is_ok_and(|mut full| full.write_all(b"x").is_err())
}

#[cfg(target_os = "linux")]
fn a_full_disk_exits_with_1() {
    let place = Place::new();
    // Who has no right to make one, is in no danger of replacing one either.
    if !make_full(&place.path("full")) {
        return;
    }
    place.fails(&["in.onnx", "full"], 1, "error: full: cannot be written");
    for args in [&["in.onnx", "-"][..], &["print", "in.onnx"]] {
        let full = fs::OpenOptions::new().write(true).open(place.path("full")).expect("it is there");
        let output = place.command(args).stdout(full).output().expect("the command starts");
        assert_eq!(output.status.code(), Some(1), "{args:?}");
    }
    let output = place.run(&["in.onnx", "folder/new.onnx", "--report", "full"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!fs::metadata(place.path("full")).expect("it is there").is_file());
}

#[cfg(unix)]
fn a_report_to_a_device_does_not_replace_it() {
    use std::os::unix::fs::FileTypeExt;

    let place = Place::new();
    // A pipe of our own: were it replaced, no device of the machine would be lost.
    let made = Command::new("mkfifo").arg(place.path("pipe")).status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    // Open at both ends, so that nobody waits for the other; a report fits into it.
    let mut pipe = fs::OpenOptions::new().read(true).write(true).open(place.path("pipe")).expect("a pipe");
    let output = place.run(&["in.onnx", "folder/new.onnx", "--report", "pipe", "-q"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::metadata(place.path("pipe")).expect("it is there").file_type().is_fifo());
    let mut report = vec![0; 1 << 16];
    let length = pipe.read(&mut report).expect("it was written to");
    assert!(String::from_utf8_lossy(&report[..length]).contains("\"quantized\""));
}

#[cfg(unix)]
fn without_a_reader_the_command_ends_as_others_do() {
    use std::os::unix::process::ExitStatusExt;

    const SIGPIPE: i32 = 13;
    let place = Place::new();
    // More than fits into a pipe.
    fs::copy(testdata::path("ppocr_cls.onnx"), place.path("large.onnx")).expect("a model");
    for args in [&["large.onnx", "-"][..], &["print", "large.onnx"]] {
        let mut command = place.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.signal(), &*stderr), (Some(SIGPIPE), ""), "{args:?}");
    }
}

fn standard_input_may_end_anywhere() {
    let place = Place::new();
    let bytes = fs::read(place.path("in.onnx")).expect("a model");
    for length in [1, 2, 10, bytes.len() - 1] {
        let mut command = place.command(&["-", "folder/new.onnx"]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
        child.stdin.take().expect("a pipe").write_all(&bytes[..length]).expect("it is read");
        let output = child.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("error: standard input: "), "{stderr}");
        assert!(!place.path("folder/new.onnx").exists());
    }
}

#[cfg(unix)]
fn reports_are_as_readable_as_models_and_follow_links() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let place = Place::new();
    symlink("folder/report.json", place.path("link.json")).expect("a link");
    place.write("folder/report.json", b"");
    let output = place.run(&["in.onnx", "new.onnx", "--report", "link.json", "-q"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(place.path("link.json").is_symlink());
    let modes = ["folder/report.json", "new.onnx"].map(|name| {
        let metadata = fs::metadata(place.path(name)).expect("it is written");
        assert!(metadata.len() > 100);
        metadata.permissions().mode()
    });
    assert_eq!(modes[0], modes[1]);
}

fn what_a_model_calls_itself_does_not_steer_the_terminal() {
    let place = Place::new();
    let mut product = node("MatMul", &["x", "\u{1b}[31mw"], &["y"]);
    product.name = Some("\u{1b}]0;title\u{7}".to_owned());
    let hostile = model(graph(vec![product], vec![weight("\u{1b}[31mw", &[2, 2])]));
    place.write("hostile.onnx", &hostile.encode_to_vec());
    for args in [&["hostile.onnx", "new.onnx", "-v"][..], &["hostile.onnx", "new.onnx", "--allow-growth", "-v"]] {
        let output = place.run(args);
        let stderr = String::from_utf8(output.stderr).expect("messages are text");
        assert!(output.status.success(), "{stderr}");
        assert!(!stderr.contains(|character: char| character.is_control() && character != '\n'), "{stderr:?}");
        assert!(stderr.contains(r"\u{1b}[31mw"), "{stderr}");
    }
}

crate::tests![
    wrong_usage_exits_with_2,
    inputs_that_are_no_models_exit_with_1,
    outputs_that_cannot_be_written_exit_with_1,
    a_folder_that_may_not_be_written_to_exits_with_1,
    bad_configuration_files_exit_with_1,
    #[cfg(target_os = "linux")]
    a_full_disk_exits_with_1,
    #[cfg(unix)]
    a_report_to_a_device_does_not_replace_it,
    #[cfg(unix)]
    without_a_reader_the_command_ends_as_others_do,
    standard_input_may_end_anywhere,
    #[cfg(unix)]
    reports_are_as_readable_as_models_and_follow_links,
    what_a_model_calls_itself_does_not_steer_the_terminal
];
