//! `onnx-quant compare`: what quantization cost, value by value.

use std::{num::NonZeroUsize, ops::ControlFlow, path::PathBuf};

use onnx_quant::{
    Model,
    calibration::{Engine, OnnxruntimeEngine, Samples},
    compare::{Accuracy, Comparing, Comparison, LIMIT_DB, OutputError, ValueComparison, compare},
    findings::Code,
    targets::Target,
};

use super::{
    Failure, STREAM, count, load,
    observe::{EngineName, progress},
    outputs::{Paths, TextOutput},
    print_to_stdout,
    summary::findings,
    use_threads,
};

/// Run a float model and a quantized one with the same samples, and tell how far the quantized one is off, where, and
/// since when
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The float model; - reads standard input
    #[arg(value_name = "FLOAT.onnx")]
    float: PathBuf,

    /// The model that was made of it
    #[arg(value_name = "QUANTIZED.onnx")]
    quantized: PathBuf,

    /// The samples, best not those of the calibration: a folder of .npz or .npy files, one such file of many samples, a
    /// folder with test_data_set_* folders, or a text file that lists paths
    #[arg(long, visible_alias = "calibrate", value_name = "PATH")]
    samples: PathBuf,

    /// Take at most the first N samples
    #[arg(long, value_name = "N")]
    max_samples: Option<NonZeroUsize>,

    /// onnxruntime's library: it runs both models as they are written, and the quantized one also with all of its
    /// optimizations, as its users do [default: both run as written in rten, which is built in]
    #[arg(long, value_name = "FILE")]
    onnxruntime: Option<PathBuf>,

    /// Fail, with exit status 1, where an output's signal to noise is less than this many dB, of all elements or of its
    /// channels
    #[arg(long, value_name = "DB", allow_negative_numbers = true, value_parser = decibels)]
    min_sqnr: Option<f64>,

    /// The runtime by whose rules it is told what stayed float: as for explain
    #[arg(long, value_name = "TARGET", default_value = "onnxruntime")]
    target: Target,

    /// Write all of it to a file as JSON; - writes standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write all of it to a file as a page for a browser, with plots; - writes standard output
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// List every value, in the order of the graph
    #[arg(short, long)]
    verbose: bool,

    /// Use this many threads [default: all cores]; engines have their own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Print no table
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    use_threads(args.threads)?;
    let (float, quantized) = (load(&args.float)?, load(&args.quantized)?);
    let mut paths = Paths::default();
    paths.read_model(&float, &args.float);
    paths.read_model(&quantized, &args.quantized);
    paths.read("the samples", &args.samples);
    args.json.iter().for_each(|path| paths.write("the comparison", path));
    args.html.iter().for_each(|path| paths.write("the page", path));
    paths.check()?;
    let json = args.json.as_deref().map(TextOutput::at).transpose()?;
    let html = args.html.as_deref().map(TextOutput::at).transpose()?;

    let comparison = compared(args, &float, &quantized)?;
    if let Some(output) = json {
        output.write(&comparison.to_json())?;
    }
    if let Some(output) = html {
        let title = format!("{} against {}", args.quantized.display(), args.float.display());
        output.write(&comparison.to_html(&title))?;
    }
    let to_stream = [&args.json, &args.html].into_iter().flatten().any(|path| path.as_os_str() == STREAM);
    if !args.quiet && !to_stream {
        print_to_stdout(&text(&comparison, args.verbose))?;
    }
    match comparison.findings.iter().find(|finding| finding.code == Code::Inaccurate) {
        Some(finding) => Err(Failure::Failed(format!("{} ({})", finding.message, finding.code).into())),
        None => Ok(()),
    }
}

fn compared(args: &Args, float: &Model, quantized: &Model) -> Result<Comparison, Failure> {
    let library = args.onnxruntime.as_deref();
    // One engine for both models: what two of them compute differs by itself.
    let engine = if library.is_some() { EngineName::Onnxruntime } else { EngineName::Rten }.engine(library)?;
    let optimizing = library.map(|library| OnnxruntimeEngine::new(Some(library))).transpose()?;
    let optimizing = optimizing.map(OnnxruntimeEngine::optimized);
    let limit = args.max_samples.map(NonZeroUsize::get);
    let samples = Samples::open(&args.samples, float, limit).map_err(|error| error.in_file(&args.float))?;
    let bar = progress("comparing", samples.len(), args.quiet);
    let comparing = Comparing::new(&*engine)
        .with_optimizing(optimizing.as_ref().map(|engine| engine as &dyn Engine))
        .with_target(args.target.clone())
        .with_min_sqnr_db(args.min_sqnr);
    let comparison = compare(float, quantized, samples, &comparing, &mut |done| {
        bar.set_position(done as u64);
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    Ok(comparison.map_err(|error| error.in_file(&args.quantized))?)
}

fn decibels(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| "it is to be a number of decibels".to_owned())
}

/// How many values and channels are listed where not all are asked for.
const SHOWN: usize = 15;

/// What people read.
pub fn text(comparison: &Comparison, verbose: bool) -> String {
    let optimizing = match &comparison.optimizing_engine {
        Some(engine) => format!(", and the quantized model as {engine} runs it"),
        None => String::new(),
    };
    let mut text = format!(
        "{} in {}, as written{optimizing}\n{:.1} kB -> {:.1} kB of constants; in {}: {} operators compute with integers, {} in \
         float\n\n",
        count(comparison.samples, "sample"),
        comparison.engine,
        comparison.float_bytes as f64 / 1e3,
        comparison.quantized_bytes as f64 / 1e3,
        comparison.target,
        comparison.summary.integer,
        comparison.summary.float
    );
    text += "outputs       SQNR   channels  worst channel     cosine   max error  same choice\n";
    let mut outputs: Vec<_> = comparison.outputs.iter().collect();
    outputs.sort_by(|one, other| one.sqnr_db().total_cmp(&other.sqnr_db()));
    for output in outputs {
        text += &format!("{}\n  as written  {}\n", output.name, figures(&output.written));
        if let Some(optimized) = &output.optimized {
            text += &format!("  as run      {}\n", figures(optimized));
        }
    }
    text += &first_wrong(comparison);
    text += &values(comparison, verbose);
    findings(&mut text, &comparison.findings);
    text
}

fn figures(error: &OutputError) -> String {
    let channels = error.channels.as_ref().map(|channels| {
        let worst = format!("{} ({})", dbs(channels.each_db[channels.worst]), channels.worst);
        (dbs(channels.sqnr_db), worst)
    });
    let (channels, worst) = channels.unwrap_or_else(|| ("-".to_owned(), "-".to_owned()));
    let agreement = error.agreement.map_or_else(|| "-".to_owned(), |share| format!("{:.2} %", 100.0 * share));
    let Accuracy { sqnr_db, max_error, .. } = error.accuracy;
    format!(
        "{:>6}   {channels:>8}  {worst:>13} {:>10}  {max_error:>10.4}  {agreement:>11}{}",
        dbs(sqnr_db),
        cosine(&error.accuracy),
        broken(&error.accuracy)
    )
}

fn first_wrong(comparison: &Comparison) -> String {
    let first = &comparison.first_wrong;
    let mut text = match &first.below {
        Some(name) => format!("\nfirst below {} dB: {name}\n", first.bound_db),
        None => format!("\nno value that matters to others is below {} dB\n", first.bound_db),
    };
    if let Some(drop) = &first.largest_drop {
        let operator = if drop.operator.is_empty() { "the input's rounding" } else { &drop.operator };
        text +=
            &format!("most is lost at {} ({operator}): {} -> {} dB\n", drop.name, dbs(drop.from_db), dbs(drop.to_db));
    }
    text
}

fn values(comparison: &Comparison, verbose: bool) -> String {
    let mut values: Vec<&ValueComparison> = comparison.values.iter().collect();
    let all = values.len();
    let order = if verbose {
        "in the order of the graph"
    } else {
        values.sort_by(|one, other| one.written.sqnr_db.total_cmp(&other.written.sqnr_db));
        values.truncate(SHOWN);
        "the worst first"
    };
    let optimized = comparison.optimizing_engine.is_some();
    let run = if optimized { "  as run" } else { "" };
    let mut text = format!(
        "\n{} of one name, {order}\n   SQNR   before      own{run}     cosine  stored  value (operator)\n",
        count(all, "value")
    );
    for value in values {
        let db = |accuracy: &Option<Accuracy>| accuracy.as_ref().map_or_else(|| "-".to_owned(), |it| dbs(it.sqnr_db));
        let run = if optimized { format!("{:>8}", db(&value.optimized)) } else { String::new() };
        let operator = if value.operator.is_empty() { "an input" } else { &value.operator };
        text += &format!(
            "{:>7} {:>8} {:>8}{run} {:>10}  {:<6}  {} ({operator}){}\n",
            dbs(value.written.sqnr_db),
            db(&value.before_rounding),
            db(&value.own),
            cosine(&value.written),
            value.stored_as.as_deref().unwrap_or("-"),
            value.name,
            broken(&value.written)
        );
    }
    if !verbose && all > SHOWN {
        text += &format!("and {} more; -v, --json or --html has all\n", all - SHOWN);
    }
    if comparison.differing_shapes > 0 {
        text += &format!("{} more with other shapes in both\n", count(comparison.differing_shapes, "value"));
    }
    text
}

fn dbs(number: f64) -> String {
    match number {
        exact if exact >= LIMIT_DB => "exact".to_owned(),
        lost if lost <= -LIMIT_DB => "lost".to_owned(),
        number => format!("{number:.1}"),
    }
}

fn cosine(accuracy: &Accuracy) -> String {
    accuracy.cosine.map_or_else(|| "-".to_owned(), |cosine| format!("{cosine:.6}"))
}

fn broken(accuracy: &Accuracy) -> String {
    if accuracy.broken == 0 {
        String::new()
    } else {
        format!("; {} not finite", count(accuracy.broken as usize, "element"))
    }
}
