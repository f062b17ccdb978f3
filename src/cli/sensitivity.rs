//! `onnx-quant sensitivity`: which operators cost most in accuracy, and what leaving them float would cost.

use std::{fmt::Write, ops::ControlFlow, path::PathBuf};

use onnx_quant::{
    compare::LIMIT_DB,
    report::{SensitiveOperator, Sensitivity, Step},
};

use super::{
    Failure, STREAM, count, load,
    observe::{Observing, Seen, observe, trials},
    outputs::{Paths, TextOutput},
    print_to_stderr, print_to_stdout,
    samples::{MISSING, Source},
    settings::{ACTIVATIONS, Settings},
    summary::{bytes, findings},
    use_threads,
};

/// Measure with samples which operators cost most in accuracy, and foresee what leaving them float would gain, and cost in
/// time and size
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The float model; - reads standard input
    #[arg(value_name = "IN.onnx")]
    input: PathBuf,

    #[command(flatten)]
    samples: Source,

    #[command(flatten)]
    settings: Settings,

    /// Write the ranking as rules for --config: those that it takes to reach --min-sqnr hold, the others are comments;
    /// - writes standard output
    #[arg(long, value_name = "FILE")]
    save_rules: Option<PathBuf>,

    /// Write the ranking to a file as JSON; - writes standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// onnxruntime's library, if not $ORT_DYLIB_PATH; implies --engine onnxruntime
    #[arg(long, value_name = "FILE", help_heading = ACTIVATIONS)]
    onnxruntime: Option<PathBuf>,

    /// Read options from a TOML file, keys named like the flags; flags win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Use this many threads [default: all cores]; engines have their own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// List all operators that make noise worth mentioning
    #[arg(short, long)]
    verbose: bool,

    /// Print no table
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    use_threads(args.threads)?;
    if !args.samples.is_given() {
        return Err(Failure::Usage(MISSING.to_owned()));
    }
    let settings = args.settings.clone().with_engine_of(args.onnxruntime.as_deref())?;
    let settings = settings.with_file(args.config.as_deref())?;
    let (limit, engine) = (settings.max_samples(), settings.engine());
    let (config, _) = settings.into_parts(false)?;
    config.check_for_activations().map_err(|error| Failure::Usage(error.to_string()))?;
    let model = load(&args.input)?;
    let mut paths = Paths::default();
    paths.read_model(&model, &args.input);
    args.samples.paths(&mut paths);
    args.config.iter().for_each(|config| paths.read("the configuration", config));
    args.save_rules.iter().for_each(|path| paths.write("the rules", path));
    args.json.iter().for_each(|path| paths.write("the ranking", path));
    paths.check()?;
    let output = |path: &Option<PathBuf>| path.as_deref().map(TextOutput::at).transpose();
    let (rules, json) = (output(&args.save_rules)?, output(&args.json)?);

    let library = args.onnxruntime.as_deref();
    let observing = Observing {
        samples: &args.samples,
        limit,
        engine,
        library,
        hold_back: true,
        tuned_on: None,
        quiet: args.quiet,
    };
    let Seen { ranges, held_back, engine, findings: found, .. } = observe(&model, &args.input, &config, &observing)?;
    let bar = trials(args.quiet);
    let mut progress = |done| {
        bar.set_position(done as u64);
        ControlFlow::Continue(())
    };
    let ranking = onnx_quant::sensitivity(&model, &config, &ranges, &held_back, &*engine, &mut progress);
    bar.finish_and_clear();
    let ranking = ranking.map_err(|error| error.in_file(&args.input))?;
    let bound_db = config.bound_db();
    if let Some(output) = rules {
        output.write(&ranking.to_rules(ranking.steps_for(bound_db).unwrap_or(ranking.steps.len()))?)?;
    }
    if let Some(output) = json {
        output.write(&ranking.to_json())?;
    }
    if args.quiet {
        return Ok(());
    }
    let mut told = String::new();
    findings(&mut told, &found);
    print_to_stderr(&told);
    let to_stream = [&args.save_rules, &args.json].into_iter().flatten().any(|path| path.as_os_str() == STREAM);
    if to_stream { Ok(()) } else { print_to_stdout(&text(&ranking, bound_db, args.verbose)) }
}

/// How many steps are listed where not all are asked for.
const SHOWN: usize = 15;

/// What people read.
pub fn text(ranking: &Sensitivity, bound_db: f64, verbose: bool) -> String {
    let mut text = format!(
        "{} in integers, measured on {} held back: the worst output has {:.1} dB of signal to noise\n",
        count(ranking.layers, "layer"),
        count(ranking.samples, "sample"),
        ranking.planned_db,
    );
    let row = |noise: String, db: f64, time: Option<f64>, size: usize, operators: &str| {
        let time = time.map_or("-".to_owned(), |time| format!("{time:.2}"));
        let db = if db < LIMIT_DB { format!("{db:.1} dB") } else { "exact".to_owned() };
        format!("{noise:>7}  {db:>8}  {time:>5}  {:>9}  {operators}\n", bytes(size))
    };
    text += "\n  noise  foreseen   time    weights  in float, with all above\n";
    text += &row(String::new(), ranking.planned_db, ranking.time, ranking.bytes, "(as planned)");
    let shown = if verbose { ranking.steps.len() } else { SHOWN.min(ranking.steps.len()) };
    for Step { operators, noise, foreseen_db, time, bytes, .. } in &ranking.steps[..shown] {
        let operators: Vec<String> = operators.iter().map(described).collect();
        text += &row(format!("{:.1} %", 100.0 * noise), *foreseen_db, *time, *bytes, &operators.join(", "));
    }
    if shown < ranking.steps.len() {
        writeln!(text, "and {} more; -v, --json and --save-rules have all", ranking.steps.len() - shown)
            .expect("a string takes all");
    }
    text += &match ranking.steps_for(bound_db) {
        Some(0) => format!("\n{bound_db} dB are reached with all of these in integers\n"),
        Some(steps) => {
            let operators: usize = ranking.steps[..steps].iter().map(|step| step.operators.len()).sum();
            format!("\n{bound_db} dB are foreseen with {} in float\n", count(operators, "operator"))
        }
        None => format!("\n{bound_db} dB are foreseen with none of these\n"),
    };
    text
}

fn described(operator: &SensitiveOperator) -> String {
    match operator.name.as_str() {
        "" => operator.op_type.clone(),
        name => format!("{} '{name}'", operator.op_type),
    }
}
