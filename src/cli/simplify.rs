//! `onnx-quant simplify`: a model with what is constant computed, and without what does nothing.

use std::{fmt::Write as _, path::Path};

use onnx_quant::{SaveOptions, Simplified, simplify};

use super::{Failure, load, models::Models, outputs::write_model, print_to_stderr, summary::findings, use_threads};

/// Compute what is constant, and remove what does nothing; the model computes the same
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    models: Models,

    /// Leave initializers alone that are graph inputs too, which callers may override
    #[arg(long)]
    keep_overridable: bool,

    /// Replace OUT.data, where the output has external data, even if it is there already and not OUT's
    #[arg(long)]
    overwrite: bool,

    /// Say nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    use_threads(None)?;
    args.models.for_each(|input, output| simplify_one(args, input, output))
}

fn simplify_one(args: &Args, input: &Path, output: &Path) -> Result<(), Failure> {
    let mut model = load(input)?;
    let simplified = simplify(&mut model, args.keep_overridable).map_err(|error| error.in_file(input))?;
    let options = SaveOptions::default().with_overwrite(args.overwrite);
    write_model(&model, output, &options)?;
    if !args.quiet {
        let mut text = table(&simplified);
        findings(&mut text, &simplified.findings);
        print_to_stderr(&text);
    }
    Ok(())
}

/// A row for each type of operator whose number changed, and one for all.
pub fn table(simplified: &Simplified) -> String {
    let mut rows: Vec<(&str, usize, usize)> = simplified
        .operators
        .iter()
        .map(|(op_type, &(before, after))| (op_type.as_str(), before, after))
        .filter(|(_, before, after)| before != after)
        .collect();
    let all = simplified.operators.values().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    rows.push(("all operators", all.0, all.1));
    rows.push(("bytes of constants", simplified.bytes.0, simplified.bytes.1));
    let width = rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    let mut text = format!("{:width$}  {:>10}  {:>10}\n", "", "before", "after");
    for (name, before, after) in rows {
        let _ = writeln!(text, "{name:width$}  {before:>10}  {after:>10}");
    }
    text
}
