//! Measures what kernels take on this machine, in chains of equal layers, and prints it as a table of costs.
//!
//! ```text
//! cargo bench --bench costs > costs.toml
//! ```
//!
//! It takes about a minute on a quiet machine; another's work shows in the numbers. The measuring is `costs.py`'s, run by
//! the tests' Python, so that what is measured is onnxruntime as its users have it. Layers and products are measured;
//! conversions and operators without weights are taken from the crate's table.

#![expect(clippy::print_stderr, reason = "a benchmark talks to its user")]

#[expect(dead_code, reason = "other benchmarks load the library themselves")]
#[path = "../suite/runtime/provision.rs"]
mod provision;

use std::{
    path::Path,
    process::{Command, ExitCode},
};

fn main() -> ExitCode {
    // `cargo test --all-targets` runs benchmarks too, but without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = match provision::python() {
        Ok(python) => python,
        Err(reason) => {
            eprintln!("{reason}");
            return ExitCode::FAILURE;
        }
    };
    let script = root.join("tests/bench/costs.py");
    let table = root.join("src/targets/data/costs/avx512-vnni.toml");
    match Command::new(python).arg(script).arg(table).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("{} failed: {status}", python.display());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{}: {error}", python.display());
            ExitCode::FAILURE
        }
    }
}
