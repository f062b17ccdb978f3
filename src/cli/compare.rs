//! `onnx-quant compare`: what a quantized model computes beside its float original.

use std::{fmt::Write as _, num::NonZeroUsize, path::PathBuf};

use onnx_quant::{
    calibration::Samples,
    compare::{ComparedValue, Comparison, ErrorOf, compare},
};

use super::{
    Failure, STREAM, load,
    observe::{EngineName, progress},
    outputs::{Paths, TextOutput},
    print_to_stdout, use_threads,
};

/// Run a quantized model beside its float original, and tell how far apart they are and where that begins
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The float model
    #[arg(value_name = "FLOAT.onnx")]
    float: PathBuf,

    /// The same model, quantized by anything
    #[arg(value_name = "QUANTIZED.onnx")]
    quantized: PathBuf,

    /// Inputs to run both with: as for quantizing
    #[arg(long, visible_alias = "calibrate", value_name = "PATH")]
    samples: PathBuf,

    /// Take at most the first N samples
    #[arg(long, value_name = "N")]
    max_samples: Option<NonZeroUsize>,

    /// onnxruntime's library, if it is to run the models instead of the built-in engine
    #[arg(long, value_name = "FILE")]
    onnxruntime: Option<PathBuf>,

    /// Fail, with exit status 1, where an output's signal is less than DB decibels above the noise, in all or by its
    /// channels
    #[arg(long, value_name = "DB", allow_negative_numbers = true)]
    min_sqnr: Option<f64>,

    /// Write all of it to a file as JSON; - writes standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// List every value
    #[arg(short, long)]
    verbose: bool,

    /// Say nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

/// Below this a value is called far off, where the user names no bound: 20 dB are a tenth of its size.
const FAR_OFF: f64 = 20.0;
/// How many values are listed where not all are asked for.
const SHOWN: usize = 10;

pub fn run(args: &Args) -> Result<(), Failure> {
    if args.min_sqnr.is_some_and(f64::is_nan) {
        return Err(Failure::Usage("--min-sqnr takes a number of decibels".to_owned()));
    }
    use_threads(None)?;
    let (float, quantized) = (load(&args.float)?, load(&args.quantized)?);
    let mut paths = Paths::default();
    paths.read_model(&float, &args.float);
    paths.read_model(&quantized, &args.quantized);
    if let Some(path) = &args.json {
        paths.write("the comparison", path);
    }
    paths.check()?;
    let library = args.onnxruntime.as_deref();
    let engine = EngineName::of_library(library).engine(library)?;
    let limit = args.max_samples.map(NonZeroUsize::get);
    let samples = Samples::open(&args.samples, &float, limit).map_err(|error| error.in_file(&args.float))?;
    let bar = progress("comparing", samples.len(), args.quiet);
    let comparison = compare(&float, &quantized, samples, &*engine, &mut |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    let comparison = comparison.map_err(|error| error.in_file(&args.quantized))?;
    if let Some(path) = &args.json {
        TextOutput::at(path)?.write(&comparison.to_json())?;
    }
    let to_stream = args.json.as_ref().is_some_and(|path| path.as_os_str() == STREAM);
    if !to_stream && !args.quiet {
        print_to_stdout(&text(&comparison, args))?;
    }
    let Some(bound) = args.min_sqnr else { return Ok(()) };
    let below: Vec<String> = comparison
        .outputs
        .iter()
        .filter(|output| output.error.is_below(bound))
        .map(|output| format!("'{}' has {}", output.name, decibels(output.error.least())))
        .collect();
    match below.is_empty() {
        true => Ok(()),
        false => Err(Failure::Failed(format!("less than {bound} dB: {}", below.join(", ")).into())),
    }
}

/// What people read.
fn text(comparison: &Comparison, args: &Args) -> String {
    let mut text = format!("{} samples in {}\n", comparison.samples, comparison.engine);
    let names = comparison.outputs.iter().map(|output| output.name.chars().count());
    let wide = names.chain(["output".len()]).max().unwrap_or(0);
    let _ = writeln!(
        text,
        "{:wide$}  {:>8}  {:>11}  {:>8}  {:>9}  same largest",
        "output", "SQNR", "by channels", "cosine", "largest"
    );
    for output in &comparison.outputs {
        let error = &output.error;
        let channels = error.channels.map(|channels| decibels(channels.sqnr));
        let _ = writeln!(
            text,
            "{:wide$}  {:>8}  {:>11}  {:>8}  {:>9.2e}  {}",
            output.name,
            decibels(error.sqnr),
            channels.as_deref().unwrap_or("-"),
            error.cosine.map_or("-".to_owned(), |cosine| format!("{cosine:.5}")),
            error.largest,
            error.same_largest.map_or("-".to_owned(), |share| format!("{:.1} %", 100.0 * share)),
        );
        if let Some(not_finite) = not_finite(error) {
            let _ = writeln!(text, "  {not_finite}");
        }
    }
    for output in &comparison.not_compared {
        let _ = writeln!(text, "not compared: '{}' {}", output.name, output.reason);
    }
    let bound = args.min_sqnr.unwrap_or(FAR_OFF);
    match comparison.first_below(bound) {
        Some(first) => {
            let _ = writeln!(text, "first below {bound} dB: {}", described(first));
        }
        None if comparison.values.is_empty() => text += "no other values have the same name in both models\n",
        None => {
            let _ = writeln!(text, "none of {} values between is below {bound} dB", comparison.values.len());
        }
    }
    if args.verbose {
        for value in &comparison.values {
            let _ = writeln!(text, "  {}", described(value));
        }
    } else {
        let mut most: Vec<(&ComparedValue, f64)> = comparison
            .values
            .iter()
            .filter_map(|value| Some((value, value.lost?)))
            .filter(|(_, lost)| *lost > 0.5)
            .collect();
        most.sort_by(|one, other| other.1.total_cmp(&one.1));
        if !most.is_empty() {
            text += "most is lost by\n";
        }
        for (value, _) in most.into_iter().take(SHOWN) {
            let _ = writeln!(text, "  {}", described(value));
        }
    }
    text
}

/// A value in one line.
fn described(value: &ComparedValue) -> String {
    let mut text = format!("'{}' {}", value.name, decibels(value.error.sqnr));
    if let Some(after) = &value.after_pair {
        let _ = write!(text, ", behind its pair {}", decibels(after.sqnr));
    }
    if let Some(operator) = &value.operator {
        let _ = write!(text, ", of {operator}");
    }
    if let Some(lost) = value.lost {
        let _ = write!(
            text,
            ", {:.1} dB {} what it reads",
            lost.abs(),
            if lost < 0.0 { "better than" } else { "worse than" }
        );
    }
    if let Some(not_finite) = not_finite(&value.error) {
        let _ = write!(text, ", {not_finite}");
    }
    text
}

fn not_finite(error: &ErrorOf) -> Option<String> {
    let ErrorOf { not_finite, elements, .. } = error;
    (*not_finite > 0).then(|| format!("{not_finite} of {elements} elements are no numbers in one of the models"))
}

/// None where nothing differs.
fn decibels(sqnr: Option<f64>) -> String {
    sqnr.map_or("exact".to_owned(), |sqnr| format!("{sqnr:.1} dB"))
}
