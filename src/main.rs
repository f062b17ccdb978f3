//! The command `onnx-quant`, as a program of its own.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::leave_nothing_when_interrupted();
    cli::silence_engines();
    cli::run_command(std::env::args_os()).into()
}
