//! `onnx-quant print`: a model as text.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use onnx_quant::TextOptions;

use super::{Failure, failed, load};

/// Print a model in the ONNX textual syntax, large tensors as type, shape and digest
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model; - reads standard input
    #[arg(value_name = "IN.onnx")]
    input: PathBuf,

    /// Spell out tensors of at most N elements, or all of them; larger ones are a digest
    #[arg(long, value_name = "N|all", default_value_t = TextOptions::default().literal_elements, value_parser = elements)]
    elements: usize,
}

fn elements(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(usize::MAX),
        number => number.parse().map_err(|_| "a number of elements, or 'all'".to_owned()),
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let text = load(&args.input)?.to_text_with(&TextOptions::default().with_literal_elements(args.elements));
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| failed("standard output", error))
}
