//! `onnx-quant in.onnx out.onnx`: what most people run.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use onnx_quant::{Config, Model, Report, SaveOptions, Saved};

use super::{Failure, STREAM, failed, load, settings::Settings, summary};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model to quantize; - reads standard input
    #[arg(value_name = "IN.onnx", required = true)]
    input: Option<PathBuf>,

    /// The quantized model, may be the same file; - writes standard output
    #[arg(value_name = "OUT.onnx", required = true)]
    output: Option<PathBuf>,

    #[command(flatten)]
    settings: Settings,

    /// Read options from a TOML file, keys named like the flags; flags win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Write a JSON report, with the quantization error of every tensor
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Use this many threads [default: all cores]; the output is the same with any number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// List every quantized tensor with its quantization error
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,

    /// Say nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let (Some(input), Some(output)) = (&args.input, &args.output) else {
        return Err(Failure::Usage("an input and an output are needed".to_owned()));
    };
    if output.as_os_str() == STREAM && io::stdout().is_terminal() {
        return Err(Failure::Usage("a model is binary: it is not written to a terminal".to_owned()));
    }
    if let Some(threads) = args.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global();
        pool.map_err(|error| Failure::Usage(format!("--threads {threads}: {error}")))?;
    }
    let settings = match &args.config {
        Some(file) => args.settings.over(Settings::read(file)?),
        None => args.settings,
    };
    let (config, options) = settings.into_parts(args.verbose || args.report.is_some());

    config.check().map_err(|error| Failure::Usage(error.to_string()))?;

    // Before writing, as the output may be the same file; unknown where there are others beside it.
    let before = fs::metadata(input).ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len());
    let model = load(input)?;
    let before = before.filter(|_| !model.tensors().any(|tensor| tensor.is_external()));
    let report_file = args.report.as_deref().map(|path| ReportFile::create(path, input, output)).transpose()?;
    let (report, saved) = quantize(model, input, output, &config, &options)?;
    if let Some(file) = report_file {
        file.finish(&report)?;
    }
    if !args.quiet {
        let text = summary::text(&report, &config, output, before, saved, args.verbose);
        // Who closes stderr does not want to hear it.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
    Ok(())
}

fn quantize(
    mut model: Model,
    input: &Path,
    output: &Path,
    config: &Config,
    options: &SaveOptions,
) -> Result<(Report, Saved), Failure> {
    let report = onnx_quant::quantize(&mut model, config).map_err(|error| error.in_file(input))?;
    let saved = if output.as_os_str() == STREAM {
        model.write_to(&mut io::stdout().lock())?
    } else {
        model.save(output, options)?
    };
    Ok((report, saved))
}

/// A report's file: opened before the model is written, so that a wrong path fails in time, and
/// put in its place after.
struct ReportFile {
    path: PathBuf,
    /// `None` for a device or pipe, which is written to and not replaced.
    file: Option<tempfile::NamedTempFile>,
}

impl ReportFile {
    fn create(path: &Path, input: &Path, output: &Path) -> Result<Self, Failure> {
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if [input, output].into_iter().any(|model| real(path) == real(model)) {
            return Err(Failure::Usage("the report and a model are to be the same file".to_owned()));
        }
        // A link is followed: what it points to is replaced.
        let path = real(path);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                Err(failed(path.display(), io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")))
            }
            Ok(metadata) if !metadata.is_file() => Ok(Self { path, file: None }),
            _ => Ok(Self { file: Some(Self::beside(&path)?), path }),
        }
    }

    fn beside(path: &Path) -> Result<tempfile::NamedTempFile, Failure> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".onnx-quant-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        builder.tempfile_in(folder).map_err(|error| {
            let message = format!("no file can be made in {}: {}", folder.display(), error.kind());
            failed(path.display(), io::Error::new(error.kind(), message))
        })
    }

    fn finish(self, report: &Report) -> Result<(), Failure> {
        let json = report.to_json();
        let written = match self.file {
            None => {
                fs::OpenOptions::new().write(true).open(&self.path).and_then(|mut file| file.write_all(json.as_bytes()))
            }
            Some(mut file) => file.write_all(json.as_bytes()).and_then(|()| {
                file.persist(&self.path).map_err(|error| error.error)?;
                Ok(())
            }),
        };
        written.map_err(|error| failed(self.path.display(), error))
    }
}
