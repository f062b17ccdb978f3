//! What a run tells its user on stderr.

use std::{fmt::Write, path::Path};

use onnx_quant::{
    Config, Report, Saved, WeightForm,
    report::{Copy, QuantizedTensor},
};

/// The summary: what was quantized, what was not and why, sizes before and after.
pub fn text(
    report: &Report,
    config: &Config,
    output: &Path,
    before: Option<u64>,
    saved: Saved,
    verbose: bool,
) -> String {
    let mut text = String::new();
    let out = &mut text;
    if verbose {
        for tensor in &report.quantized {
            for copy in &tensor.copies {
                line(out, format_args!("  {}", row(tensor, copy)));
            }
        }
    }
    let sizes = match config.weight_form {
        WeightForm::Dq => format!(": {} -> {} with scales", bytes(report.bytes.float), bytes(report.bytes.quantized)),
        WeightForm::Qdq => String::new(),
    };
    let shared = report.quantized.iter().flat_map(|tensor| &tensor.copies).filter(|copy| copy.note.is_some()).count();
    line(out, format_args!("{} to {}{sizes}", count(report.quantized.len(), "weight"), kind(config)));
    if shared > 0 && !verbose {
        line(out, format_args!("  {shared} of them with one scale for the tensor (-v says why)"));
    }
    if !report.left_float.is_empty() {
        line(out, format_args!("{} left float:", count(report.left_float.len(), "weight")));
        for left in &report.left_float {
            let operators =
                if left.operators.is_empty() { String::new() } else { format!(" of {}", left.operators.join(", ")) };
            line(out, format_args!("  {}{operators}, {}: {}", left.name, bytes(left.bytes), left.reason));
        }
    }
    let others = report.other_float;
    if others.count > 0 {
        let what = count(others.count, "other float constant");
        line(out, format_args!("{what} (biases, norms and the like) untouched: {}", bytes(others.bytes)));
    }
    for note in &report.notes {
        line(out, format_args!("note: {note}"));
    }
    for warning in &report.warnings {
        line(out, format_args!("warning: {warning}"));
    }
    let total = saved.model_bytes + saved.external_bytes;
    let external = if saved.external_bytes > 0 {
        format!(", {} of it external data", bytes(saved.external_bytes as usize))
    } else {
        String::new()
    };
    let change = match before {
        Some(before) if before > 0 && external.is_empty() => {
            format!(
                "{} -> {} ({:.0} %)",
                bytes(before as usize),
                bytes(total as usize),
                100.0 * total as f64 / before as f64
            )
        }
        _ => bytes(total as usize),
    };
    line(out, format_args!("wrote {}: {change}{external}", output.display()));
    text
}

fn row(tensor: &QuantizedTensor, copy: &Copy) -> String {
    let scales = match copy.axis {
        Some(axis) => format!("{} scales along axis {axis}", copy.scales),
        None => "one scale".to_owned(),
    };
    let error = copy.sqnr_db.map(|db| format!(", {db:.1} dB")).unwrap_or_default();
    let note = copy.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
    let path: String = tensor.path.iter().map(|step| format!("{step} / ")).collect();
    format!(
        "{path}{} {}{:?} -> {}, {scales}{error}: {}{note}",
        tensor.name,
        tensor.float_type,
        tensor.shape,
        copy.dtype,
        copy.operators.join(", ")
    )
}

fn kind(config: &Config) -> String {
    let symmetry = if config.asymmetric { "asymmetric" } else { "symmetric" };
    let form = if config.weight_form == WeightForm::Qdq { ", float behind QuantizeLinear" } else { "" };
    format!("{} ({symmetry}, {}{form})", config.weights, config.granularity)
}

fn line(out: &mut String, text: std::fmt::Arguments) {
    // Writing to a String does not fail.
    let _ = writeln!(out, "{text}");
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Bytes as people read them, in powers of 1,000.
fn bytes(number: usize) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if number < 1000 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 10.0 { format!("{value:.2} {}", UNITS[unit]) } else { format!("{value:.1} {}", UNITS[unit]) }
}
