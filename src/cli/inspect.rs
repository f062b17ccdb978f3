//! `onnx-quant inspect`: what is in a model's file.

use std::{collections::BTreeMap, fmt::Write, path::PathBuf};

use onnx_quant::{
    inspect::{Inspection, Needs, Quantized, inspect},
    targets::Target,
};

use super::{
    Failure, STREAM, count, load,
    outputs::{Paths, TextOutput},
    print_to_stdout,
    summary::bytes,
};

/// Tell what is in a model: versions, inputs and outputs, operators, weights, what is quantized, what it needs to run
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model; - reads standard input
    #[arg(value_name = "MODEL.onnx")]
    input: PathBuf,

    /// The runtime whose releases are told: a name, or a file of rules (.toml)
    #[arg(long, value_name = "TARGET", default_value = "onnxruntime")]
    target: Target,

    /// Write all of it as JSON to a file; without one, or with -, to standard output
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = STREAM)]
    json: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let model = load(&args.input)?;
    let inspection = inspect(&model, &args.target);
    let to_stream = args.json.as_ref().is_some_and(|path| path.as_os_str() == STREAM);
    if let Some(path) = &args.json {
        let mut paths = Paths::default();
        paths.read_model(&model, &args.input);
        paths.write("the inspection", path);
        paths.check()?;
        TextOutput::at(path)?.write(&inspection.to_json())?;
    }
    if to_stream { Ok(()) } else { print_to_stdout(&text(&inspection, args.target.name())) }
}

/// What people read.
pub fn text(inspection: &Inspection, target: &str) -> String {
    let mut text = String::new();
    let opsets: Vec<String> = inspection.opsets.iter().map(|(domain, version)| format!("{domain} {version}")).collect();
    line(&mut text, "format", &format!("IR version {}", inspection.ir_version));
    line(&mut text, "operator sets", &opsets.join(", "));
    for (what, ports) in [("input", &inspection.inputs), ("output", &inspection.outputs)] {
        for port in ports {
            let default = if port.has_default { " (has a default)" } else { "" };
            let ty = port.ty.as_deref().unwrap_or("no tensor");
            line(&mut text, what, &format!("{} {ty}{default}", port.name));
        }
    }
    let mut operators: Vec<(&String, &usize)> = inspection.operators.iter().collect();
    operators.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let all: usize = inspection.operators.values().sum();
    let types: Vec<String> = operators.iter().map(|(name, count)| format!("{count} {name}")).collect();
    line(&mut text, "operators", &format!("{}: {}", all, if all == 0 { "none".to_owned() } else { types.join(", ") }));
    if inspection.functions > 0 {
        line(&mut text, "functions", &inspection.functions.to_string());
    }
    for tensors in &inspection.tensors {
        let large = match tensors.large {
            0 => String::new(),
            large => format!(", {large} of them of 1024 elements and more"),
        };
        let what = format!("{} {}, {}{large}", count(tensors.count, "tensor"), tensors.ty, bytes(tensors.bytes));
        line(&mut text, "constants", &what);
    }
    for weight in &inspection.largest {
        let shape: Vec<String> = weight.shape.iter().map(usize::to_string).collect();
        line(
            &mut text,
            "largest",
            &format!("{} {}[{}], {}", weight.name, weight.ty, shape.join(","), bytes(weight.bytes)),
        );
    }
    line(&mut text, "quantized", &quantized(&inspection.quantized));
    line(&mut text, "needs", &needs(&inspection.needs, target));
    for (key, value) in &inspection.metadata {
        line(&mut text, "metadata", &format!("{key}: {}", shortened(value)));
    }
    text
}

/// One fact; names come from the model, so what would steer a terminal is spelled out.
fn line(text: &mut String, what: &str, fact: &str) {
    let mut readable = String::new();
    for character in fact.chars() {
        match character {
            control if control.is_control() => readable.extend(control.escape_default()),
            character => readable.push(character),
        }
    }
    let _ = writeln!(text, "{what:<13}  {readable}");
}

/// Metadata may hold whole files.
fn shortened(value: &str) -> String {
    const LONGEST: usize = 100;
    match value.chars().count() {
        count if count <= LONGEST => value.to_owned(),
        count => format!("{}... ({count} characters)", value.chars().take(LONGEST).collect::<String>()),
    }
}

fn quantized(found: &Quantized) -> String {
    let mut parts = Vec::new();
    for (ty, number) in &found.constants {
        parts.push(count(*number, &format!("{ty} constant")));
    }
    if found.activations > 0 {
        parts.push(format!("{} DequantizeLinear of activations", found.activations));
    }
    if found.quantizers > 0 {
        parts.push(format!("{} QuantizeLinear and the like", found.quantizers));
    }
    parts.extend(types(&found.operators));
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

fn needs(needs: &Needs, target: &str) -> String {
    let mut parts = vec![format!("opset {}", needs.opset)];
    parts.extend(needs.release.as_ref().map(|release| format!("{target} {release} or newer")));
    for (domain, operators) in &needs.other_domains {
        let operators: Vec<&str> = operators.iter().map(String::as_str).collect();
        parts.push(format!("{} of {domain}", operators.join(", ")));
    }
    parts.extend(needs.external_files.iter().map(|file| format!("the file {file}")));
    parts.join("; ")
}

fn types(counts: &BTreeMap<String, usize>) -> impl Iterator<Item = String> {
    counts.iter().map(|(op_type, count)| format!("{count} {op_type}"))
}
