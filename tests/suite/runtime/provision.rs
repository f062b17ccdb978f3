//! Makes the Python environment that the runtime tests use: once, under the target directory.
//!
//! Test binaries and processes of one test run may all come here at the same time; a file lock lets
//! one of them do the work. The last thing written is a copy of the requirements: an environment
//! without it, or with another, was interrupted or is out of date and is made anew.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

const REQUIREMENTS: &str = include_str!("requirements.txt");

/// Without network, each process of a test run would wait for pip; they believe the first one.
const FAILURE_HOLDS: Duration = Duration::from_secs(60);

/// The interpreter that has onnxruntime, or why there is no way to get it.
pub fn python() -> Result<&'static Path, &'static str> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PYTHON.get_or_init(provision).as_deref().map_err(String::as_str)
}

/// onnxruntime's library, as its Python package has it, or why it is not there.
pub fn onnxruntime_library() -> Result<PathBuf, &'static str> {
    let home = python()?.parent().and_then(Path::parent).expect("the interpreter is two folders deep");
    // Which Python it is only the folder's name says.
    let folders = fs::read_dir(home.join("lib")).into_iter().flatten().flatten().map(|entry| entry.path());
    let packages = folders.map(|folder| folder.join("site-packages")).chain([home.join("Lib/site-packages")]);
    let files = packages.filter_map(|packages| fs::read_dir(packages.join("onnxruntime/capi")).ok());
    let mut libraries = files.flatten().flatten().map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libonnxruntime.") || name == "onnxruntime.dll"
    });
    libraries.next().ok_or("the package has no library")
}

fn provision() -> Result<PathBuf, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory is above");
    let version =
        REQUIREMENTS.lines().find_map(|line| line.strip_prefix("onnxruntime==")).expect("onnxruntime is pinned");
    let name = format!("onnxruntime-{version}");
    let home = target.join(&name);
    let python = home.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let complete = home.join("complete");

    let lock = File::create(target.join(format!("{name}.lock"))).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    // The interpreter is a link to the system's, which may have gone since.
    if python.is_file() && fs::read_to_string(&complete).is_ok_and(|text| text == REQUIREMENTS) {
        return Ok(python);
    }
    let failed = target.join(format!("{name}.failed"));
    if let Some(reason) = recent(&failed) {
        return Err(reason);
    }
    let made =
        make(&home, &python).and_then(|()| fs::write(&complete, REQUIREMENTS).map_err(|error| error.to_string()));
    match made {
        Ok(()) => Ok(python),
        Err(reason) => {
            // If this cannot be written either, the next process finds out by itself.
            let _ = fs::write(&failed, &reason);
            Err(reason)
        }
    }
}

/// What is in the file, if it was written a moment ago.
fn recent(failed: &Path) -> Option<String> {
    let age = fs::metadata(failed).ok()?.modified().ok()?.elapsed().ok()?;
    (age < FAILURE_HOLDS).then(|| fs::read_to_string(failed).ok()).flatten()
}

fn make(home: &Path, python: &Path) -> Result<(), String> {
    if home.exists() {
        fs::remove_dir_all(home).map_err(|error| format!("{}: {error}", home.display()))?;
    }
    let system = if cfg!(windows) { "python" } else { "python3" };
    finish("python3 -m venv", Command::new(system).args(["-m", "venv"]).arg(home))?;
    let requirements = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/runtime/requirements.txt");
    // Wheels only: building onnxruntime is not what a test run should do.
    let install = ["-m", "pip", "install", "--quiet", "--no-input", "--retries=1", "--only-binary=:all:"];
    finish("pip install", Command::new(python).args(install).args(["-r", requirements]))?;
    finish("import onnxruntime", Command::new(python).args(["-c", "import onnx, onnxruntime"]))
}

/// Runs a command to its end; an error is the last line that it printed.
fn finish(what: &str, command: &mut Command) -> Result<(), String> {
    let output = command.env_remove("PYTHONPATH").output().map_err(|error| format!("{what}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    Err(format!("{what}: {}", last.unwrap_or("it failed without a message")))
}
