//! `onnx-quant quantize`, or without the word: what most people run.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Duration,
};

use onnx_quant::{
    Config, Model, Report,
    calibration::{
        OnnxruntimeEngine, Ranges,
        range_files::{self, RangeFormat},
    },
    findings::Finding,
};

use super::{
    Failure, STREAM, calibrate, load,
    models::Models,
    observe::{Observing, Seen, all_samples, observe, replaced, stages, trials},
    outputs::{Paths, PreparedText, TextOutput, write_model},
    print_to_stderr,
    samples::Source,
    settings::{ACTIVATIONS, Settings},
    summary, use_threads,
};

/// What the timing of one way to quantize takes, unless a run takes longer.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// Quantize a model, or many: what is done where no command is named
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    models: Models,

    #[command(flatten)]
    samples: Source,

    /// Quantize activations by these ranges: a file of --save-ranges or `onnx-quant calibrate`, or of
    /// onnxruntime, TensorRT or AIMET (may be repeated; all are merged, with what is calibrated too)
    #[arg(long, value_name = "FILE", help_heading = ACTIVATIONS)]
    ranges: Vec<PathBuf>,

    /// Write all that was observed, for --ranges; - writes standard output
    #[arg(long, value_name = "FILE", help_heading = ACTIVATIONS)]
    save_ranges: Option<PathBuf>,

    /// onnxruntime's library, if not $ORT_DYLIB_PATH; implies --engine onnxruntime
    #[arg(long, value_name = "FILE", help_heading = ACTIVATIONS)]
    onnxruntime: Option<PathBuf>,

    #[command(flatten)]
    settings: Settings,

    /// Read options from a TOML file, keys named like the flags; flags win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Write a JSON report, with the quantization error of every weight; - writes standard output
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Replace OUT.data, where the output has external data, even if it is there already and not OUT's
    #[arg(long)]
    overwrite: bool,

    /// Use this many threads [default: all cores]; the output is the same with any number. Engines have
    /// their own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// List every quantized weight with its quantization error, and every layer that stays float
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,

    /// Say nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let settings = args.settings.clone().with_engine_of(args.onnxruntime.as_deref())?;
    let settings = settings.with_file(args.config.as_deref())?;
    args.check(settings.is_dynamic())?;
    use_threads(args.threads)?;
    args.models.for_each(|input, output| quantize(args, &settings, input, output))
}

fn quantize(args: &Args, settings: &Settings, input: &Path, output: &Path) -> Result<(), Failure> {
    let settings = settings.clone();
    let observing = args.samples.is_given().then(|| Observing {
        samples: &args.samples,
        limit: settings.max_samples(),
        engine: settings.engine(),
        library: args.onnxruntime.as_deref(),
        hold_back: !settings.is_off() || settings.is_tuned(),
        tuned_on: settings.tuned_on(),
        quiet: args.quiet,
    });
    let (provenance, of_integers) = (settings.provenance(), settings.of_integers());
    let (config, mut options) = settings.into_parts(args.verbose || args.report.is_some())?;
    options.overwrite = args.overwrite;
    let checked = match args.has_activations() {
        true if config.activations.is_float() && args.ranges.is_empty() && args.save_ranges.is_none() => config.check(),
        true => config.check_for_activations(),
        false if config.activations.is_dynamic() => config.check_for_dynamic(),
        false => config.check(),
    };
    checked.map_err(|error| Failure::Usage(error.to_string()))?;
    if let Some(option) = of_integers.filter(|_| observing.is_some() && config.activations.is_float()) {
        let message = "makes no sense where activations stay float, as with weights that no integer kernel takes";
        return Err(Failure::Usage(format!("{option} {message}")));
    }

    // Before writing, as the output may be the same file; unknown where there are others beside it.
    let before = fs::metadata(input).ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len());
    let mut model = load(input)?;
    let before = before.filter(|_| !model.tensors().any(|tensor| tensor.is_external()));
    // Paths that are wrong are found out before the work.
    args.paths(&model, input, output).check()?;
    let text_output = |path: &Option<PathBuf>| path.as_deref().map(TextOutput::at).transpose();
    let (report_output, ranges_output) = (text_output(&args.report)?, text_output(&args.save_ranges)?);
    if output.as_os_str() != STREAM {
        model.check_save(output, &options)?;
    }
    let for_weights = observing.as_ref().filter(|_| config.activations.is_float());
    let report = match for_weights {
        Some(observing) => with_samples(&mut model, input, &config, observing),
        None => planned(args, &mut model, input, &config, observing.as_ref(), ranges_output),
    };
    let report = report?;
    if provenance {
        onnx_quant::record_provenance(&mut model, &report);
    }
    let json = if report_output.is_some() { report.to_json() } else { String::new() };
    let report_file = report_output.as_ref().map(|output| output.prepare(&json)).transpose()?;
    let saved = write_model(&model, output, &options)?;
    report_file.map_or(Ok(()), PreparedText::put)?;
    if !args.quiet {
        let text = summary::text(&report, &config, args.verbose);
        print_to_stderr(&(text + &summary::written(output, before, saved)));
    }
    Ok(())
}

/// Quantizes by what is known of activations, if anything.
fn planned(
    args: &Args,
    model: &mut Model,
    input: &Path,
    config: &Config,
    observing: Option<&Observing>,
    ranges_output: Option<TextOutput>,
) -> Result<Report, Failure> {
    let (ranges, seen) = args.ranges(model, input, config, observing)?;
    if let (Some(output), Some(ranges)) = (ranges_output, &ranges) {
        // First of all: calibration may have taken long.
        output.write(&calibrate::text(ranges, config, RangeFormat::Json)?)?;
    }
    let report = match (&ranges, &seen) {
        (Some(ranges), Some(seen)) => {
            let bar = trials(args.quiet);
            let mut progress = |done| {
                bar.set_position(done as u64);
                ControlFlow::Continue(())
            };
            let (held_back, engine) = (&seen.held_back, &*seen.engine);
            let report = match observing.and_then(|observing| Some((observing.tuned_on?, observing.library))) {
                None => onnx_quant::quantize_measured(model, config, ranges, held_back, engine, &mut progress),
                Some((threads, library)) => {
                    let timing = OnnxruntimeEngine::new(library)?;
                    let mut timer = |models: &[&Model]| timing.times(models, held_back, threads, PATIENCE);
                    onnx_quant::quantize_tuned(model, config, ranges, held_back, engine, &mut timer, &mut progress)
                }
            };
            bar.finish_and_clear();
            report
        }
        (Some(ranges), None) => onnx_quant::quantize_activations(model, config, ranges),
        (None, _) => onnx_quant::quantize(model, config),
    };
    let mut report = report.map_err(|error| error.in_file(input))?;
    report.findings.extend(seen.into_iter().flat_map(|seen| seen.findings));
    Ok(report)
}

/// Quantizes the weights alone, rounded as suits samples.
fn with_samples(model: &mut Model, input: &Path, config: &Config, observing: &Observing) -> Result<Report, Failure> {
    let (samples, findings) = all_samples(model, input, config, observing)?;
    let engine = observing.engine.engine(observing.library)?;
    let bar = stages(observing.quiet);
    let mut progress = |done| {
        bar.set_position(done as u64);
        ControlFlow::Continue(())
    };
    let report = onnx_quant::quantize_with_samples(model, config, &samples, &*engine, &mut progress);
    bar.finish_and_clear();
    let mut report = report.map_err(|error| error.in_file(input))?;
    report.findings.extend(findings);
    report.findings.extend(replaced(&*engine).map(Finding::from));
    Ok(report)
}

impl Args {
    /// Whether activations are to be quantized.
    fn has_activations(&self) -> bool {
        self.samples.is_given() || !self.ranges.is_empty()
    }

    /// Whether the options that were given make sense together.
    fn check(&self, dynamic: bool) -> Result<(), Failure> {
        let without =
            |option: &str, needed: &str| Err(Failure::Usage(format!("{option} makes no sense without {needed}")));
        let one_file = self.report.as_ref().map(|_| "--report").or(self.save_ranges.as_ref().map(|_| "--save-ranges"));
        if let (Some(option), true) = (one_file, self.models.may_be_many()) {
            return Err(Failure::Usage(format!("{option} is one file, but --out-dir is for many models")));
        }
        let of_samples = self.settings.of_samples().or(self.onnxruntime.as_ref().map(|_| "--onnxruntime"));
        let of_activations = if dynamic { self.settings.of_ranges() } else { self.settings.of_activations() };
        let of_activations = of_activations.or(self.save_ranges.as_ref().map(|_| "--save-ranges"));
        match (of_samples, of_activations) {
            (Some(option), _) if !self.samples.is_given() => {
                without(option, "--samples, --images, --text, --audio or --random")
            }
            (_, Some(option)) if !self.has_activations() => {
                without(option, "--samples or --ranges: only then activations are quantized")
            }
            _ => Ok(()),
        }
    }

    /// All that is read and written.
    fn paths(&self, model: &Model, input: &Path, output: &Path) -> Paths {
        let mut paths = Paths::default();
        paths.read_model(model, input);
        self.config.iter().for_each(|config| paths.read("the configuration", config));
        self.samples.paths(&mut paths);
        // Ranges may be added to the file that they came from.
        let ranges = self.ranges.iter().filter(|ranges| self.save_ranges.as_ref() != Some(ranges));
        ranges.for_each(|ranges| paths.read("a file of ranges", ranges));
        paths.write_model(output);
        self.report.iter().for_each(|report| paths.write("the report", report));
        self.save_ranges.iter().for_each(|ranges| paths.write("the file of ranges", ranges));
        paths
    }

    /// What is known of activations: from files, and then from samples.
    fn ranges(
        &self,
        model: &Model,
        input: &Path,
        config: &Config,
        observing: Option<&Observing>,
    ) -> Result<(Option<Ranges>, Option<Seen>), Failure> {
        if !self.has_activations() {
            return Ok((None, None));
        }
        let mut merged = Ranges::default();
        for path in &self.ranges {
            let ranges = range_files::read(path)?;
            let several = self.ranges.len() + usize::from(self.samples.is_given()) > 1;
            let checked = ranges.check(config.activations.method).and_then(|()| match several {
                true => onnx_quant::check_ranges(model, config, &ranges),
                // It is done with the model.
                false => Ok(()),
            });
            checked.map_err(|error| error.in_file(path))?;
            merged.merge(&ranges);
        }
        let seen = observing.map(|observing| observe(model, input, config, observing)).transpose()?;
        seen.iter().for_each(|seen| merged.merge(&seen.ranges));
        Ok((Some(merged), seen))
    }
}
