//! `onnx-quant calibrate`: only observes, and writes what it saw to a file.

use std::path::{Path, PathBuf};

use onnx_quant::{
    Config,
    calibration::{
        Ranges,
        range_files::{self, RangeFormat},
    },
    plan::activation_scheme,
};

use super::{
    Failure, count, load,
    observe::{Observing, Seen, observe},
    outputs::{Paths, TextOutput},
    print_to_stderr,
    samples::{MISSING, Source},
    settings::{Settings, one_of},
    summary::findings,
    use_threads,
};

/// Options that are taken so that a command line can be the one for quantizing, and make no difference.
const WITHOUT_EFFECT: [&str; 8] = [
    "weights",
    "granularity",
    "asymmetric",
    "weight_scales",
    "weight_form",
    "allow_growth",
    "external_data",
    "no_provenance",
];

/// Observe what a model's activations are with samples, and write their ranges to a file for --ranges
#[derive(Debug, clap::Args)]
#[command(mut_args(|arg| {
    let hide = WITHOUT_EFFECT.contains(&arg.get_id().as_str());
    if hide { arg.hide(true) } else { arg }
}))]
pub struct Args {
    /// The model; - reads standard input
    #[arg(value_name = "IN.onnx")]
    input: PathBuf,

    #[command(flatten)]
    samples: Source,

    /// The ranges; - writes standard output
    #[arg(value_name = "RANGES", required_unless_present = "output")]
    ranges: Option<PathBuf>,

    /// The ranges, instead of a second path
    #[arg(short, long, value_name = "RANGES", conflicts_with = "ranges")]
    output: Option<PathBuf>,

    /// Format of the ranges; json holds all that was observed, the others only the range that
    /// --calibration makes of it
    #[arg(long, value_name = "FORMAT", default_value_t, value_parser = one_of(RangeFormat::NAMES))]
    format: RangeFormat,

    #[command(flatten)]
    settings: Settings,

    /// onnxruntime's library, if not $ORT_DYLIB_PATH; implies --engine onnxruntime
    #[arg(long, value_name = "FILE")]
    onnxruntime: Option<PathBuf>,

    /// Read options from a TOML file, keys named like the flags; flags win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Use this many threads [default: all cores]; engines have their own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Say nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: Args) -> Result<(), Failure> {
    use_threads(args.threads)?;
    let Some(to) = args.output.or(args.ranges) else {
        return Err(Failure::Usage("where are the ranges to go? Give a second path or -o FILE".to_owned()));
    };
    if !args.samples.is_given() {
        return Err(Failure::Usage(MISSING.to_owned()));
    }
    let settings = args.settings.with_engine_of(args.onnxruntime.as_deref())?.with_file(args.config.as_deref())?;
    let (limit, engine) = (settings.max_samples(), settings.engine());
    let (config, _) = settings.into_parts(false)?;
    config.check_for_activations().map_err(|error| Failure::Usage(error.to_string()))?;

    let output = TextOutput::at(&to)?;
    let model = load(&args.input)?;
    let mut paths = Paths::default();
    paths.read_model(&model, &args.input);
    args.samples.paths(&mut paths);
    args.config.iter().for_each(|config| paths.read("the configuration", config));
    paths.write("the file of ranges", &to);
    paths.check()?;
    let library = args.onnxruntime.as_deref();
    let observing = Observing {
        samples: &args.samples,
        limit,
        engine,
        library,
        hold_back: false,
        tuned_on: None,
        quiet: args.quiet,
    };
    let Seen { ranges, samples, findings: found, .. } = observe(&model, &args.input, &config, &observing)?;
    output.write(&text(&ranges, &config, args.format)?)?;
    if !args.quiet {
        let mut text = String::new();
        findings(&mut text, &found);
        print_to_stderr(&(text + &summary(ranges.values.len(), samples, &to)));
    }
    Ok(())
}

/// Ranges as a file has them.
pub fn text(ranges: &Ranges, config: &Config, format: RangeFormat) -> Result<String, Failure> {
    Ok(range_files::to_text(ranges, format, config.activations.method, activation_scheme(config))?)
}

fn summary(values: usize, samples: usize, output: &Path) -> String {
    let observed = match values {
        0 => "warning: nothing was observed: no layer of the model can compute in integers".to_owned(),
        _ => format!("{} observed in {}", count(values, "activation"), count(samples, "sample")),
    };
    format!("{observed}\nwrote {}\n", output.display())
}
