//! The command `onnx-quant`: parses, runs, tells what went wrong, and exits with 0 (done), 1
//! (failed, nothing written), 2 (usage), or by the signal that ended it.

mod cli;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Failure, print_to_stderr};

fn main() -> ExitCode {
    cli::leave_nothing_when_interrupted();
    cli::silence_engines();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => return tell(&answer),
    };
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::BrokenPipe) => cli::end_by_broken_pipe(),
        Err(Failure::Usage(message)) => {
            print_to_stderr(&format!("error: {message}\n\nFor more information, try '--help'.\n"));
            ExitCode::from(2)
        }
        Err(Failure::Failed(error)) => {
            print_to_stderr(&cli::told(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong with the arguments, or what was asked for: help, the version.
fn tell(answer: &clap::Error) -> ExitCode {
    match answer.print() {
        Err(error) if !answer.use_stderr() && error.kind() == std::io::ErrorKind::BrokenPipe => {
            cli::end_by_broken_pipe()
        }
        Err(_) if !answer.use_stderr() => ExitCode::FAILURE,
        _ => ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2)),
    }
}
