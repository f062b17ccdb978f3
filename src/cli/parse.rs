//! `onnx-quant parse`: a model of its text.

use std::{
    io::{self, Read},
    path::Path,
};

use onnx_quant::{Model, ParseOptions, RandomFill, SaveOptions};

use super::{Failure, STREAM, failed, models::Models, outputs::write_model};

/// Read a model in the ONNX textual syntax, and write it as a file
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    models: Models,

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
    args.models.for_each(|input, output| parse_one(args, input, output))
}

fn parse_one(args: &Args, input: &Path, output: &Path) -> Result<(), Failure> {
    let options = ParseOptions::default().with_fill(args.fill.map(|Fill::Random| RandomFill::default()));
    let model = if input.as_os_str() == STREAM {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map_err(|error| failed("standard input", error))?;
        Model::from_text_with(&text, &options).map_err(|error| error.in_file("standard input"))?
    } else {
        Model::load_text(input, &options)?
    };
    let saved = SaveOptions::default().with_overwrite(args.overwrite);
    write_model(&model, output, &saved)?;
    Ok(())
}
