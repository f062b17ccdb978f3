//! The command line: one file a command. Nothing outside this folder and `main.rs` knows of the
//! terminal.

mod print;
mod quantize;
mod settings;
mod summary;
mod upgrade;

use std::{
    error::Error,
    io::{self, Read},
    path::Path,
};

use clap::{Parser, Subcommand};
use onnx_quant::Model;

/// Quantizes ONNX models: float weights become integers or small floats behind DequantizeLinear.
#[derive(Debug, Parser)]
#[command(name = "onnx-quant", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Exit status: 0 written, 1 failed and nothing written, 2 usage.")]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    quantize: quantize::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    Print(print::Args),
    Upgrade(upgrade::Args),
}

/// Why the command did not do what it was asked to.
pub enum Failure {
    /// It was asked for something that makes no sense.
    Usage(String),
    /// It could not.
    Failed(Box<dyn Error>),
    /// Nobody reads its output any more.
    BrokenPipe,
}

impl Cli {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Some(Command::Print(args)) => print::run(&args),
            Some(Command::Upgrade(args)) => upgrade::run(&args),
            None => quantize::run(self.quantize),
        }
    }
}

impl From<onnx_quant::Error> for Failure {
    fn from(error: onnx_quant::Error) -> Self {
        let broken_pipe = |cause: &(dyn Error + 'static)| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        };
        if error.source().is_some_and(broken_pipe) { Self::BrokenPipe } else { Self::Failed(Box::new(error)) }
    }
}

/// A file or stream failed; says which.
fn failed(what: impl std::fmt::Display, error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
        _ => Failure::Failed(format!("{what}: {error}").into()),
    }
}

/// Stands for standard input and output.
const STREAM: &str = "-";

fn load(input: &Path) -> Result<Model, Failure> {
    if input.as_os_str() != STREAM {
        return Ok(Model::load(input)?);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).map_err(|error| failed("standard input", error))?;
    Model::from_bytes(bytes.into()).map_err(|error| error.in_file("standard input").into())
}
