//! `onnx-quant print`: a model as text.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use super::{Failure, failed, load};

/// Print a model in the ONNX textual syntax, large tensors as type, shape and digest
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model; - reads standard input
    #[arg(value_name = "IN.onnx")]
    input: PathBuf,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let text = load(&args.input)?.to_text();
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| failed("standard output", error))
}
