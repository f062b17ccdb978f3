//! `onnx-quant completions` and `onnx-quant man`: the command's own description, as shells and `man` read it.

use clap::CommandFactory;
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use super::{Cli, Failure, failed, print_to_stdout};

/// Print what a shell completes this command with
#[derive(Debug, clap::Args)]
pub struct CompletionArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page, in the form that `man -l -` shows
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The command that it is about [default: quantize, with a list of the others]
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

pub fn complete(args: &CompletionArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "onnx-quant", &mut script);
    print_to_stdout(&String::from_utf8_lossy(&script))
}

pub fn man(args: &ManArgs) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    if let Some(name) = &args.command {
        let found = command.find_subcommand(name);
        command = found.ok_or_else(|| Failure::Usage(format!("there is no command '{name}'")))?.clone();
    }
    let mut page = Vec::new();
    Man::new(command).render(&mut page).map_err(|error| failed("the manual page", error))?;
    print_to_stdout(&String::from_utf8_lossy(&page))
}
