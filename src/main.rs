//! The command `onnx-quant`: parses, runs, tells what went wrong, and exits with 0 (done), 1
//! (failed, nothing written) or 2 (usage).

#![expect(clippy::print_stderr, reason = "the command talks to its user")]

mod cli;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Failure};

fn main() -> ExitCode {
    cli::silence_engines();
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has had enough: no failure of ours.
        Err(Failure::BrokenPipe) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            eprintln!("error: {message}\n\nFor more information, try '--help'.");
            ExitCode::from(2)
        }
        Err(Failure::Failed(error)) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("caused by: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}
