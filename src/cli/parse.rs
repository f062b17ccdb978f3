//! `onnx-quant parse`: a model of its text.

use std::{
    io::{self, IsTerminal, Read},
    path::PathBuf,
};

use onnx_quant::{Model, ParseOptions, RandomFill, SaveOptions};

use super::{Failure, STREAM, failed};

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
    let to_stream = args.output.as_os_str() == STREAM;
    if to_stream && io::stdout().is_terminal() {
        return Err(Failure::Usage("a model is binary: it is not written to a terminal".to_owned()));
    }
    let options = ParseOptions { fill: args.fill.map(|Fill::Random| RandomFill::default()) };
    let model = if args.input.as_os_str() == STREAM {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map_err(|error| failed("standard input", error))?;
        Model::from_text_with(&text, &options).map_err(|error| error.in_file("standard input"))?
    } else {
        Model::load_text(&args.input, &options)?
    };
    if to_stream {
        model.write_to(&mut io::stdout().lock()).map_err(|error| error.in_file("standard output"))?;
    } else {
        model.save(&args.output, &SaveOptions { overwrite: args.overwrite, ..SaveOptions::default() })?;
    }
    Ok(())
}
