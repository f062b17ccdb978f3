//! `onnx-quant parse`: a model of its text.

use std::{
    io::{self, Read},
    path::PathBuf,
};

use onnx_quant::{Model, ParseOptions, RandomFill, SaveOptions};

use super::{
    Failure, STREAM, failed,
    outputs::{check_no_terminal, write_model},
};

/// Read a model in the ONNX textual syntax, and write it as a file
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The text; - reads standard input
    #[arg(value_name = "IN.txt")]
    input: PathBuf,

    /// The model; - writes standard output
    #[arg(value_name = "OUT.onnx")]
    output: PathBuf,

    /// What becomes of tensors that the text has only a digest of: random elements, the same on every run
    /// (without this they are refused)
    #[arg(long, value_name = "HOW")]
    fill: Option<Fill>,

    /// Replace OUT.data, where the output has external data, even if it is there already and not OUT's
    #[arg(long)]
    overwrite: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Fill {
    Random,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    check_no_terminal(&args.output)?;
    let options = ParseOptions { fill: args.fill.map(|Fill::Random| RandomFill::default()) };
    let model = if args.input.as_os_str() == STREAM {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map_err(|error| failed("standard input", error))?;
        Model::from_text_with(&text, &options).map_err(|error| error.in_file("standard input"))?
    } else {
        Model::load_text(&args.input, &options)?
    };
    let saved = SaveOptions { overwrite: args.overwrite, ..SaveOptions::default() };
    write_model(&model, &args.output, &saved)?;
    Ok(())
}
