//! `onnx-quant upgrade`: a model at a newer opset.

use std::path::Path;

use onnx_quant::{
    Model, SaveOptions,
    passes::{UpgradeOpset, Upgraded},
    upgrade,
};

use super::{Failure, load, models::Models, outputs::write_model, print_to_stderr, summary::findings, use_threads};

/// Raise a model's opset; operators that changed on the way are rewritten
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    models: Models,

    /// The opset to be reached; a model that has it, or a newer one, stays as it is
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=UpgradeOpset::NEWEST_OPSET))]
    opset: i64,

    /// Replace OUT.data, where the output has external data, even if it is there already and not OUT's
    #[arg(long)]
    overwrite: bool,

    /// Say nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    use_threads(None)?;
    args.models.for_each(|input, output| raise(args, input, output))
}

fn raise(args: &Args, input: &Path, output: &Path) -> Result<(), Failure> {
    let mut model = load(input)?;
    let ir_version = model.ir_version();
    let (upgraded, found) = upgrade(&mut model, args.opset).map_err(|error| error.in_file(input))?;
    let options = SaveOptions::default().with_overwrite(args.overwrite);
    write_model(&model, output, &options)?;
    if !args.quiet {
        let mut text = summary(&upgraded, &model, ir_version);
        findings(&mut text, &found);
        print_to_stderr(&text);
    }
    Ok(())
}

pub fn summary(upgraded: &Upgraded, model: &Model, ir_version: i64) -> String {
    let Upgraded { from, to, rewritten, changed, .. } = upgraded;
    if !changed {
        return format!("opset {from} already; nothing changed\n");
    }
    let mut text = match from == to {
        true => format!("opset {from} already, but functions or imports were not in line with it"),
        false => format!("opset {from} -> {to}"),
    };
    if model.ir_version() != ir_version {
        text += &format!(", IR version {ir_version} -> {}", model.ir_version());
    }
    text += "\n";
    let total: usize = rewritten.values().sum();
    let types: Vec<String> = rewritten.iter().map(|(op_type, count)| format!("{count} {op_type}")).collect();
    match total {
        0 => text += "no operator had to be rewritten\n",
        1 => text += &format!("1 operator rewritten: {}\n", types.join(", ")),
        _ => text += &format!("{total} operators rewritten: {}\n", types.join(", ")),
    }
    text
}
