//! What is written where, and what is left when the command is interrupted or starved.

#![cfg(unix)]

use std::{
    fs,
    os::unix::{
        fs::symlink,
        process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use prost::Message;
use tempfile::TempDir;

use crate::{
    command_line::signals,
    malformed::build::{graph, model, node, weight},
    testdata,
};

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(testdata::path("made/mlp.onnx"), folder.path().join("in.onnx")).expect("a model");
    folder
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onnx-quant"));
    command.args(args).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().expect("the command starts")
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Sends a signal to a process, which may have ended.
fn send(signal: &str, child: &Child) {
    let arguments = [format!("-{signal}"), child.id().to_string()];
    let _ = Command::new("kill").args(arguments).stderr(Stdio::null()).status();
}

/// A model that takes a while to be written.
fn large(folder: &Path) {
    let layers = 12;
    let weights = (0..layers).map(|layer| weight(&format!("w{layer}"), &[1024, 1024])).collect();
    let name = |layer: usize| if layer == 0 { "x".to_owned() } else { format!("h{layer}") };
    let product = |layer: usize| {
        let output = if layer + 1 == layers { "y".to_owned() } else { name(layer + 1) };
        node("MatMul", &[&name(layer), &format!("w{layer}")], &[&output])
    };
    let large = model(graph((0..layers).map(product).collect(), weights));
    fs::write(folder.join("large.onnx"), large.encode_to_vec()).expect("the folder is ours");
}

fn an_interrupted_command_leaves_nothing_and_ends_by_the_signal() {
    let folder = folder();
    large(folder.path());
    let out = folder.path().join("out");
    fs::create_dir(&out).expect("a folder");
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1), ("QUIT", 3)] {
        if signals::is_ignored(number) {
            continue;
        }
        // It may be done before the signal comes: then once more.
        let interrupted = (0..20).any(|_| {
            let mut child =
                command(folder.path(), &["large.onnx", "out/o.onnx", "--external-data"]).spawn().expect("it starts");
            while files(&out).iter().all(|file| !file.ends_with(".part")) {
                if child.try_wait().expect("it is ours").is_some() {
                    break;
                }
            }
            send(name, &child);
            let output = child.wait_with_output().expect("it ends");
            let left = files(&out);
            assert!(left.iter().all(|file| !file.ends_with(".part")), "{name}: {left:?}");
            left.iter().for_each(|file| fs::remove_file(out.join(file)).expect("it is ours"));
            if output.status.success() {
                return false;
            }
            assert_eq!(output.status.signal(), Some(number), "{name}: {output:?}");
            assert!(left.is_empty(), "{name}: {left:?}");
            true
        });
        assert!(interrupted, "SIG{name} was never in time");
    }
}

fn a_limit_on_the_size_of_files_is_told_like_a_full_disk() {
    let folder = folder();
    fs::write(folder.path().join("out.onnx"), "what was there before").expect("the folder is ours");
    let before = files(folder.path());
    for args in ["in.onnx out.onnx", "in.onnx new.onnx --external-data", "upgrade --opset 24 in.onnx new.onnx"] {
        let script = format!("ulimit -f 1; exec {} {args}", env!("CARGO_BIN_EXE_onnx-quant"));
        let output = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().expect("it starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args}: {stderr}");
        assert!(stderr.contains("cannot be written") && stderr.contains("large"), "{args}: {stderr}");
        assert_eq!(files(folder.path()), before, "{args}");
        assert_eq!(fs::read(folder.path().join("out.onnx")).expect("it is there"), b"what was there before");
    }
}

fn what_nohup_ignores_stays_ignored() {
    let folder = folder();
    large(folder.path());
    let script = format!("trap '' HUP; exec {} large.onnx out.onnx -q", env!("CARGO_BIN_EXE_onnx-quant"));
    let mut child = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).spawn().expect("it starts");
    while files(folder.path()).iter().all(|file| !file.ends_with(".part")) {
        if child.try_wait().expect("it is ours").is_some() {
            break;
        }
    }
    send("HUP", &child);
    assert!(child.wait().expect("it ends").success());
    assert!(folder.path().join("out.onnx").exists());
}

fn an_unwritable_stderr_changes_nothing() {
    let folder = folder();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").ok().map(Stdio::from);
    let read_only = || Some(Stdio::from(fs::File::open(folder.path().join("in.onnx")).expect("it is there")));
    for (args, status) in
        [(&["in.onnx", "out.onnx"][..], 0), (&["no.onnx", "out.onnx"], 1), (&["in.onnx"], 2), (&["in.onnx", ""], 2)]
    {
        for stderr in [full(), read_only()].into_iter().flatten() {
            let output = command(folder.path(), args).stderr(stderr).output().expect("it starts");
            assert_eq!(output.status.code(), Some(status), "{args:?}");
        }
    }
}

fn help_that_cannot_be_written_is_a_failure() {
    let folder = folder();
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let status = command(folder.path(), &["--help"]).stdout(full).status().expect("it starts");
    assert_eq!(status.code(), Some(1));
}

fn reports_are_streams_too() {
    let folder = folder();
    let output = run(folder.path(), &["in.onnx", "out.onnx", "--report", "-"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).starts_with('{'), "{output:?}");
    assert!(!folder.path().join("-").exists());
    let output = run(folder.path(), &["in.onnx", "-", "--report", "-"]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(2), &b""[..]), "{output:?}");
}

fn nothing_lands_on_anything_else() {
    let folder = folder();
    let folder = folder.path();
    let made = run(folder, &["in.onnx", "ext.onnx", "--external-data", "--weight-form", "qdq", "--allow-growth"]);
    assert!(made.status.success() && folder.join("ext.onnx.data").exists(), "{made:?}");
    fs::write(folder.join("c.toml"), "").expect("the folder is ours");
    symlink(".", folder.join("here")).expect("a link");
    symlink("in.onnx", folder.join("link.onnx")).expect("a link");
    symlink("new.onnx", folder.join("to_new.json")).expect("a link");
    fs::hard_link(folder.join("ext.onnx.data"), folder.join("hard")).expect("a link");
    let before = files(folder);
    let contents = || before.iter().map(|file| fs::read(folder.join(file)).ok()).collect::<Vec<_>>();
    let was = contents();
    for (input, report) in [
        ("in.onnx", "new.onnx"),
        ("in.onnx", "./new.onnx"),
        ("in.onnx", "here/new.onnx"),
        ("in.onnx", "to_new.json"),
        ("in.onnx", "new.onnx.data"),
        ("in.onnx", "here/new.onnx.data"),
        ("in.onnx", "in.onnx"),
        ("in.onnx", "link.onnx"),
        ("in.onnx", "c.toml"),
        ("ext.onnx", "ext.onnx.data"),
        ("ext.onnx", "here/ext.onnx.data"),
        ("ext.onnx", "hard"),
    ] {
        for more in [&[][..], &["--external-data"]] {
            let args = [&[input, "new.onnx", "--config", "c.toml", "--report", report], more].concat();
            let output = run(folder, &args);
            assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}: {output:?}");
            assert_eq!(files(folder), before, "{args:?}");
            assert!(contents() == was, "{args:?}");
        }
    }
}

fn a_process_group_that_is_interrupted_is_gone() {
    if signals::is_ignored(2) {
        return;
    }
    // As a terminal does it: the signal comes to all of a pipeline.
    let folder = folder();
    let mut child =
        command(folder.path(), &["-", "out.onnx"]).stdin(Stdio::piped()).process_group(0).spawn().expect("it");
    // Waiting would close the pipe, and on a busy machine the end of its input could come before the signal.
    let _input = child.stdin.take();
    std::thread::sleep(std::time::Duration::from_millis(200));
    send("INT", &child);
    assert_eq!(child.wait().expect("it ends").signal(), Some(2));
}

crate::tests![
    an_interrupted_command_leaves_nothing_and_ends_by_the_signal,
    a_limit_on_the_size_of_files_is_told_like_a_full_disk,
    what_nohup_ignores_stays_ignored,
    an_unwritable_stderr_changes_nothing,
    help_that_cannot_be_written_is_a_failure,
    reports_are_streams_too,
    nothing_lands_on_anything_else,
    a_process_group_that_is_interrupted_is_gone
];
