//! `onnx-quant explain`: what a runtime makes of a model.

use std::{num::NonZeroUsize, path::PathBuf};

use onnx_quant::{
    Config, Error, Model,
    explain::{Explanation, PlannedRanges, Summary, Verdict, explain, is_quantized},
    explain_planned,
    findings::Code,
    targets::Target,
};

use super::{
    Failure, STREAM, load,
    observe::{EngineName, Observing, observe},
    outputs::{Paths, TextOutput},
    print_to_stdout,
    samples::Source,
    settings::one_of,
};

/// Tell what a runtime makes of a model: which operators compute with integers, which do not, and why
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model, quantized by anything or not; - reads standard input
    #[arg(value_name = "MODEL.onnx")]
    input: PathBuf,

    /// The runtime: a name, a name and a release (onnxruntime:1.22), or a file of rules (.toml)
    #[arg(long, value_name = "TARGET", default_value = "onnxruntime")]
    target: Target,

    #[command(flatten)]
    samples: Source,

    /// Take at most the first N samples
    #[arg(long, value_name = "N", requires = "source")]
    max_samples: Option<NonZeroUsize>,

    /// onnxruntime's library, if it is to run the model with the samples
    #[arg(long, value_name = "FILE", requires = "source")]
    onnxruntime: Option<PathBuf>,

    /// Write all of it to a file as JSON; - writes standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Fail, with exit status 1, where there is a finding of this code (may be repeated)
    #[arg(long, value_name = "CODE", value_parser = one_of(Code::NAMES))]
    deny: Vec<Code>,

    /// List every operator
    #[arg(short, long)]
    verbose: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let model = load(&args.input)?;
    let explanation = explained(args, &model)?;
    let to_stream = args.json.as_ref().is_some_and(|path| path.as_os_str() == STREAM);
    if let Some(path) = &args.json {
        let mut paths = Paths::default();
        paths.read_model(&model, &args.input);
        paths.write("the explanation", path);
        paths.check()?;
        TextOutput::at(path)?.write(&explanation.to_json())?;
    }
    if !to_stream {
        print_to_stdout(&text(&explanation, args.verbose))?;
    }
    let denied = explanation.denied(&args.deny).count();
    match denied {
        0 => Ok(()),
        1 => Err(Failure::Failed("1 finding is denied".into())),
        many => Err(Failure::Failed(format!("{many} findings are denied").into())),
    }
}

/// A quantized model as it is, a float one as it would be.
fn explained(args: &Args, model: &Model) -> Result<Explanation, Failure> {
    let in_file = |error: Error| error.in_file(&args.input);
    if is_quantized(model, &args.target) {
        if args.samples.is_given() {
            let message = "the model is quantized already: --samples are for float models".to_owned();
            return Err(Failure::Usage(message));
        }
        return Ok(explain(model, &args.target).map_err(in_file)?);
    }
    let config = Config::for_target(args.target.clone());
    let seen = match args.samples.is_given() {
        false => None,
        true => {
            let library = args.onnxruntime.as_deref();
            let engine = EngineName::of_library(library);
            let (samples, limit) = (&args.samples, args.max_samples);
            let observing =
                Observing { samples, limit, engine, library, hold_back: false, tuned_on: None, quiet: true };
            Some(observe(model, &args.input, &config, &observing)?)
        }
    };
    let mut explanation = explain_planned(model, &config, seen.as_ref().map(|seen| &seen.ranges)).map_err(in_file)?;
    explanation.findings.splice(0..0, seen.into_iter().flat_map(|seen| seen.findings));
    Ok(explanation)
}

/// How many operators of a finding are named where not all are asked for.
const SHOWN: usize = 3;

/// What people read.
pub fn text(explanation: &Explanation, verbose: bool) -> String {
    let release = explanation.release.as_ref().map(|release| format!(" {release}")).unwrap_or_default();
    let summary = &explanation.summary;
    let planned = match explanation.planned_with {
        Some(PlannedRanges::Observed) => "as it would be quantized, for ",
        Some(PlannedRanges::Assumed) => "as it would be quantized if the samples spoke against no value, for ",
        _ => "",
    };
    let mut text = format!(
        "{planned}{}{release}: {} operators compute with integers, {} in float; {} conversions are left, {} of them of constants\n",
        explanation.target, summary.integer, summary.float, summary.conversions_left, summary.constants_dequantized
    );
    text += &shares(summary);
    if verbose {
        for operator in &explanation.operators {
            let verdict = match operator.verdict {
                Verdict::Integer => "integer",
                Verdict::Float => "float",
                Verdict::Conversion => "conversion",
                _ => continue,
            };
            let runs_as = if operator.runs_as.is_empty() { "-" } else { &operator.runs_as };
            text +=
                &format!("{verdict:<10} {runs_as:<22} {} '{}': {}\n", operator.op_type, operator.name, operator.why);
        }
    }
    for finding in &explanation.findings {
        let shown = if verbose { finding.subjects.len() } else { SHOWN.min(finding.subjects.len()) };
        let more = match finding.subjects.len() - shown {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let subjects = finding.subjects[..shown].join(", ");
        let about = if subjects.is_empty() { String::new() } else { format!("{subjects}{more}: ") };
        let elements = match finding.elements {
            0 => String::new(),
            elements => format!(" ({elements} elements)"),
        };
        text += &format!("{}[{}]: {about}{}{elements}\n", finding.severity, finding.code, finding.message);
        if !finding.help.is_empty() {
            text += &format!("  help: {}\n", finding.help);
        }
    }
    text
}

/// How much of weights and of arithmetic is in integers.
fn shares(summary: &Summary) -> String {
    let percent = |part: f64, all: f64| if all > 0.0 { 100.0 * part / all } else { 0.0 };
    let (integer, all) = (summary.integer_multiply_accumulates as f64, summary.multiply_accumulates as f64);
    let uncounted = match summary.uncounted {
        0 => String::new(),
        1 => "; 1 layer, whose sizes are open, is not counted".to_owned(),
        many => format!("; {many} layers, whose sizes are open, are not counted"),
    };
    let bytes = percent(summary.integer_weight_bytes as f64, summary.constant_bytes as f64);
    format!(
        "{:.0} % of {:.3} million multiply-accumulates in integers{uncounted}; {bytes:.0} % of the bytes of constants are read as \
         integers\n\
         a run reads and writes {:.3} MB, {:.3} MB if all were float\n",
        percent(integer, all),
        all / 1e6,
        summary.bytes_moved as f64 / 1e6,
        summary.bytes_moved_in_float as f64 / 1e6
    )
}
