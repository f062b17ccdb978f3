//! The command line: one file a command. Nothing outside this folder knows of the terminal.
//!
//! It is a module of the program and, with the feature `python`, of the module for Python, which has the command too.

mod calibrate;
pub mod compare;
mod completions;
pub mod explain;
pub mod inspect;
mod interrupt;
mod models;
pub mod observe;
pub mod outputs;
mod parse;
mod print;
pub mod quantize;
mod samples;
pub mod sensitivity;
pub mod settings;
pub mod simplify;
pub mod summary;
pub mod upgrade;

use std::{
    error::Error,
    ffi::OsString,
    io::{self, Read, Write},
    path::Path,
};

use clap::{CommandFactory, Parser, Subcommand};
use onnx_quant::Model;

pub use interrupt::leave_nothing_when_interrupted;
pub use observe::silence_engines;

/// How the command is called.
const USAGE: &str = "onnx-quant [quantize] [OPTIONS] <IN.onnx> <OUT.onnx>
       onnx-quant [quantize] [OPTIONS] <IN.onnx>... --out-dir <DIR>
       onnx-quant <COMMAND>";

/// Quantizes ONNX models: float weights become integers or small floats behind DequantizeLinear; with
/// --samples, layers compute in integers.
#[derive(Debug, Parser)]
#[command(name = "onnx-quant", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(override_usage = USAGE)]
#[command(
    after_help = "Exit status: 0 written, 1 failed and nothing written, 2 usage, 128 and more ended by a signal."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    quantize: quantize::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    Calibrate(Box<calibrate::Args>),
    Compare(Box<compare::Args>),
    Completions(completions::CompletionArgs),
    Explain(Box<explain::Args>),
    Inspect(inspect::Args),
    Man(completions::ManArgs),
    Parse(parse::Args),
    Print(print::Args),
    Quantize(Box<quantize::Args>),
    Sensitivity(Box<sensitivity::Args>),
    Simplify(simplify::Args),
    Upgrade(upgrade::Args),
}

/// Runs the command with these arguments, the first of which is its name; what went wrong is told on stderr. Its exit
/// status: 0 (done), 1 (failed, nothing written) or 2 (usage). Where nobody reads what it writes, the process ends by
/// the signal that says so.
pub fn run_command(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(answer) => return tell(&answer),
    };
    match cli.run() {
        Ok(()) => 0,
        Err(Failure::BrokenPipe) => interrupt::end_by_broken_pipe(),
        Err(Failure::Usage(message)) => {
            print_to_stderr(&format!("error: {message}\n\nFor more information, try '--help'.\n"));
            2
        }
        Err(Failure::Failed(error)) => {
            print_to_stderr(&told(&*error));
            1
        }
    }
}

/// Says what is wrong with the arguments, or what was asked for: help, the version.
fn tell(answer: &clap::Error) -> u8 {
    match answer.print() {
        Err(error) if !answer.use_stderr() && error.kind() == io::ErrorKind::BrokenPipe => {
            interrupt::end_by_broken_pipe()
        }
        Err(_) if !answer.use_stderr() => 1,
        _ => u8::try_from(answer.exit_code()).unwrap_or(2),
    }
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
    fn run(self) -> Result<(), Failure> {
        match self.command {
            Some(Command::Calibrate(args)) => calibrate::run(*args),
            Some(Command::Compare(args)) => compare::run(&args),
            Some(Command::Completions(args)) => completions::complete(&args),
            Some(Command::Explain(args)) => explain::run(&args),
            Some(Command::Inspect(args)) => inspect::run(&args),
            Some(Command::Man(args)) => completions::man(&args),
            Some(Command::Parse(args)) => parse::run(&args),
            Some(Command::Print(args)) => print::run(&args),
            Some(Command::Sensitivity(args)) => sensitivity::run(&args),
            Some(Command::Simplify(args)) => simplify::run(&args),
            Some(Command::Upgrade(args)) => upgrade::run(&args),
            Some(Command::Quantize(args)) => quantize::run(&args),
            None => quantize::run(&self.quantize),
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

/// Says something on stderr; who closes that does not want to hear it. Names come from models, lists of
/// samples and the like: what would steer the terminal is spelled out.
fn print_to_stderr(text: &str) {
    let mut readable = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            character if character.is_control() && character != '\n' => readable.extend(character.escape_default()),
            character => readable.push(character),
        }
    }
    let _ = io::stderr().lock().write_all(readable.as_bytes());
}

/// Writes what was asked for to standard output.
fn print_to_stdout(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| failed("standard output", error))
}

/// An error with its causes, each on a line.
fn told(error: &dyn Error) -> String {
    let mut text = format!("error: {error}\n");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!("caused by: {error}\n");
        cause = error.source();
    }
    text
}

/// An error, and behind it what to do instead.
fn with_help(error: &dyn Error, help: &str) -> Failure {
    Failure::Failed(format!("{}help: {help}", told(error).trim_start_matches("error: ")).into())
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Starts the threads of this process, but for those of engines: as many as are asked for, or one for
/// each core. Where there is no memory for them, that is said here.
fn use_threads(threads: Option<u16>) -> Result<(), Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0).into()).build_global();
    pool.map_err(|error| {
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        Failure::Failed(format!("the threads cannot be started: {cause}; fewer may do, as with --threads 1").into())
    })
}

fn load(input: &Path) -> Result<Model, Failure> {
    if input.as_os_str() != STREAM {
        return Model::load(input).map_err(|error| {
            let commands = Cli::command();
            let commands = commands.get_subcommands().map(clap::Command::get_name);
            match models::advice(input, commands) {
                Some(advice) => with_help(&error, &advice),
                None => error.into(),
            }
        });
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).map_err(|error| failed("standard input", error))?;
    Model::from_bytes(bytes).map_err(|error| error.in_file("standard input").into())
}
