//! What a run tells its user on stderr.

use std::{collections::HashSet, path::Path};

use onnx_quant::{
    Config, Report, Rule, Saved, WeightForm,
    findings::Finding,
    report::{FloatTensor, PlannedOperator, QuantizedActivations, QuantizedForm, QuantizedTensor, Tuned, TunedPlan},
};

use super::count;

/// The summary: what was quantized, what was not and why.
pub fn text(report: &Report, config: &Config, verbose: bool) -> String {
    let mut text = String::new();
    let out = &mut text;
    if verbose {
        table(out, report);
    }
    if let Some(tuned) = &report.tuned {
        ways(out, tuned);
    }
    if let Some(found) = &report.activations {
        activations(out, found, config, verbose);
    }
    quantized(out, report, config, verbose);
    if let Some(trained) = &report.trained {
        let what = count(trained.count, "constant");
        let (before, after) = (bytes(trained.bytes.float), bytes(trained.bytes.quantized));
        line(out, format_args!("{what} that training had quantized stored as integers: {before} -> {after}"));
    }
    left_float(out, report);
    let others = report.other_float;
    if others.count > 0 {
        let what = count(others.count, "other float constant");
        line(out, format_args!("{what} (biases, norms and the like) untouched: {}", bytes(others.bytes)));
    }
    findings(out, &report.findings);
    text
}

/// Where the model was written, and its size before and after.
pub fn written(output: &Path, before: Option<u64>, saved: Saved) -> String {
    let mut text = String::new();
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
    line(&mut text, format_args!("wrote {}: {change}{external}", output.display()));
    text
}

/// The ways that were timed, a line for each.
fn ways(out: &mut String, tuned: &Tuned) {
    line(out, format_args!("a run of the float model takes {:.0} us in onnxruntime; beside it:", tuned.float_us));
    line(out, format_args!("   time    tensors  worst output"));
    let float = TunedRow { time: Some(1.0), bytes: Some(tuned.float_bytes), db: None, what: "float".to_owned() };
    let of_plan = |plan: &TunedPlan| {
        let said = match (&plan.why_not, plan.taken) {
            (_, true) => " (taken)".to_owned(),
            (Some(why), false) => format!(" ({why})"),
            (None, false) => String::new(),
        };
        TunedRow { time: plan.time, bytes: plan.bytes, db: plan.worst_db, what: format!("{}{said}", plan.way) }
    };
    for TunedRow { time, bytes: size, db, what } in [float].into_iter().chain(tuned.plans.iter().map(of_plan)) {
        let time = time.map_or("-".to_owned(), |time| format!("{time:.2}"));
        let size = size.map_or("-".to_owned(), bytes);
        let db = db.map_or("-".to_owned(), |db| format!("{db:.1} dB"));
        line(out, format_args!("  {time:>5}  {size:>9}  {db:>12}  {what}"));
    }
}

/// What is told of one way.
struct TunedRow {
    time: Option<f64>,
    bytes: Option<usize>,
    db: Option<f64>,
    what: String,
}

/// How many layers compute in integers, and which do not.
fn activations(out: &mut String, found: &QuantizedActivations, config: &Config, verbose: bool) {
    let layers = found.operators.iter().filter(|operator| operator.layer);
    let (integer, float): (Vec<_>, Vec<_>) = layers.partition(|layer| layer.integer);
    let [integer, float] = [integer, float]
        .map(|layers| -> Vec<&str> { layers.into_iter().map(|layer| op_type(&layer.operator)).collect() });
    let all = by_key(integer.iter().chain(&float).map(|ty| (*ty, ())));
    let of_type = |(ty, all): &(&str, Vec<()>)| {
        let all = all.len();
        match integer.iter().filter(|integer| *integer == ty).count() {
            count if count == all => format!("{all} {ty}"),
            count => format!("{count} of {all} {ty}"),
        }
    };
    let types: Vec<String> = all.iter().map(of_type).collect();
    let types = if types.is_empty() { String::new() } else { format!(" ({})", types.join(", ")) };
    let layers = count(integer.len() + float.len(), "layer");
    line(out, format_args!("{} of {layers} in integers{types}", integer.len()));
    if !found.values.is_empty() {
        let symmetry = if config.activations.symmetric { "symmetric" } else { "asymmetric" };
        let (ty, method) = (config.activations.ty, config.activations.method);
        line(out, format_args!("{} to {ty} ({symmetry}, {method})", count(found.values.len(), "activation")));
    }
    left_in_float(out, "layer", found.float_layers(), verbose);
    let others: Vec<_> = found.operators.iter().filter(|operator| !operator.layer && !operator.integer).collect();
    if verbose {
        left_in_float(out, "other operator", others.into_iter(), verbose);
    } else if !others.is_empty() {
        let types = by_key(others.iter().map(|operator| (op_type(&operator.operator), ())));
        let types: Vec<String> = types.iter().map(|(ty, all)| format!("{} {ty}", all.len())).collect();
        line(out, format_args!("{} beside integers in float: {}", count(others.len(), "operator"), types.join(", ")));
    }
}

/// Operators that stay float, those of one reason together: a few of them, unless all are asked for.
fn left_in_float<'a>(
    out: &mut String,
    what: &str,
    operators: impl Iterator<Item = &'a PlannedOperator>,
    verbose: bool,
) {
    const SHOWN: usize = 6;
    let operators: Vec<&PlannedOperator> = operators.collect();
    if operators.is_empty() {
        return;
    }
    line(out, format_args!("{} left float:", count(operators.len(), what)));
    let groups =
        by_key(operators.iter().map(|operator| (operator.why.as_str(), placed(&operator.path, &operator.operator))));
    let shown = if verbose { groups.len() } else { SHOWN };
    for (reason, names) in groups.iter().take(shown) {
        let names = if verbose { names.join(", ") } else { list(names) };
        line(out, format_args!("  {names}: {reason}"));
    }
    let more: usize = groups.iter().skip(shown).map(|(_, names)| names.len()).sum();
    if more > 0 {
        line(out, format_args!("  and {more} more; -v or --report has all"));
    }
}

/// The type of an operator that is described by type and name.
fn op_type(operator: &str) -> &str {
    operator.split(' ').next().unwrap_or_default()
}

/// How many weights, to what, and what became smaller.
fn quantized(out: &mut String, report: &Report, config: &Config, verbose: bool) {
    if report.quantized.is_empty() {
        line(out, format_args!("no weight quantized"));
        return;
    }
    let sizes = match config.weight_form {
        WeightForm::Qdq => String::new(),
        _ => format!(": {} -> {} with scales", bytes(report.bytes.float), bytes(report.bytes.quantized)),
    };
    let weights = count(report.quantized.len(), "weight");
    let by_rule = |rule: &Rule| rule.weights.is_some() || rule.granularity.is_some();
    if config.rules.iter().any(by_rule) {
        line(out, format_args!("{weights} quantized{sizes}"));
        let forms = report.quantized.iter().flat_map(|tensor| &tensor.copies);
        let kinds: Vec<String> = forms.map(|form| format!("{}, {}", form.dtype, form.granularity)).collect();
        for (kind, copies) in by_key(kinds.iter().map(|kind| (kind.as_str(), ()))) {
            line(out, format_args!("  {} to {kind}", copies.len()));
        }
    } else {
        line(out, format_args!("{weights} to {}{sizes}", kind(config)));
    }
    if !verbose {
        let notes = report.quantized.iter().flat_map(|tensor| &tensor.copies).filter_map(|copy| copy.note.as_deref());
        for (note, copies) in by_key(notes.map(|note| (note, ()))) {
            line(out, format_args!("  {} of them with {note}", copies.len()));
        }
    }
}

/// Weights that stay float, those of one reason together; but for those all of whose layers were told of.
fn left_float(out: &mut String, report: &Report) {
    let layers: HashSet<&str> = report
        .activations
        .iter()
        .flat_map(QuantizedActivations::float_layers)
        .map(|layer| layer.operator.as_str())
        .collect();
    let told = |left: &&FloatTensor| {
        !left.operators.is_empty() && left.operators.iter().all(|operator| layers.contains(operator.as_str()))
    };
    let weights: Vec<&FloatTensor> = report.left_float.iter().filter(|left| !told(left)).collect();
    if weights.is_empty() {
        return;
    }
    line(out, format_args!("{} left float:", count(weights.len(), "weight")));
    for (reason, group) in by_key(weights.into_iter().map(|left| (left.reason.as_str(), left))) {
        if group.len() > 1 {
            line(out, format_args!("  {reason}:"));
        }
        for left in &group {
            let name = placed(&left.path, &left.name);
            let of = if left.operators.is_empty() { String::new() } else { format!(" of {}", list(&left.operators)) };
            match group.len() {
                1 => line(out, format_args!("  {name}{of}, {}: {reason}", bytes(left.bytes))),
                _ => line(out, format_args!("    {name}{of}, {}", bytes(left.bytes))),
            }
        }
    }
}

/// A line for every quantized form of a weight, in columns; what may be long comes last.
fn table(out: &mut String, report: &Report) {
    let rows: Vec<[String; 4]> =
        report.quantized.iter().flat_map(|tensor| tensor.copies.iter().map(|copy| row(tensor, copy))).collect();
    let [a, b, c] = [0, 1, 2].map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    for [error, to, from, weight] in &rows {
        line(out, format_args!("  {error:>a$}  {to:b$}  {from:c$}  {weight}"));
    }
}

fn row(tensor: &QuantizedTensor, copy: &QuantizedForm) -> [String; 4] {
    let scales = match copy.axis {
        Some(axis) => format!("{}, axis {axis}", count(copy.scales, "scale")),
        None => "1 scale".to_owned(),
    };
    let error = match copy.sqnr_db {
        Some(db) if db.is_finite() => format!("{db:.1} dB"),
        Some(_) => "exact".to_owned(),
        None => String::new(),
    };
    let note = copy.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
    [
        error,
        format!("{}, {scales}", copy.dtype),
        format!("{}{:?}", tensor.float_type, tensor.shape),
        format!("{} of {}{note}", placed(&tensor.path, &tensor.name), list(&copy.operators)),
    ]
}

/// A tensor's name behind the bodies that it is in.
fn placed(path: &[String], name: &str) -> String {
    path.iter().map(|step| format!("{step} / ")).chain([name.to_owned()]).collect()
}

/// The first few of a list.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 3;
    match names.len() {
        0..=SHOWN => names.join(", "),
        all => format!("{} and {} more", names[..SHOWN - 1].join(", "), all - (SHOWN - 1)),
    }
}

/// Groups by key, in the order in which keys first come.
fn by_key<'a, T>(items: impl Iterator<Item = (&'a str, T)>) -> Vec<(&'a str, Vec<T>)> {
    let mut groups: Vec<(&str, Vec<T>)> = Vec::new();
    for (key, item) in items {
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(item),
            None => groups.push((key, vec![item])),
        }
    }
    groups
}

fn kind(config: &Config) -> String {
    let symmetry = if config.asymmetric { "asymmetric" } else { "symmetric" };
    let form = match config.weight_form {
        WeightForm::Qdq => ", float weights kept",
        WeightForm::Matmulnbits => ", MatMulNBits",
        _ => "",
    };
    format!("{} ({symmetry}, {}{form})", config.weights, config.sharing())
}

fn line(out: &mut String, text: std::fmt::Arguments) {
    // A name may hold anything, but it does not begin a line of its own.
    out.push_str(&text.to_string().replace('\n', "\\n"));
    out.push('\n');
}

/// Bytes as people read them, in powers of 1,000.
pub fn bytes(number: usize) -> String {
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

/// A line for each finding, and one for what would mend it.
pub(super) fn findings(out: &mut String, found: &[Finding]) {
    for finding in found {
        line(out, format_args!("{}[{}]: {}", finding.severity, finding.code, finding.message));
        if !finding.help.is_empty() {
            line(out, format_args!("  help: {}", finding.help));
        }
    }
}
