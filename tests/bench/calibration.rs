//! What calibration costs beyond running the model, and how much memory it takes.
//!
//! ```text
//! cargo bench --bench calibration                     a generated CNN, 16 samples; memory at 16 and 64
//! cargo bench --bench calibration -- MODEL SAMPLES    a model of your own, a folder of its samples
//! cargo bench --bench calibration -- --rounds 5       more rounds than 3
//! cargo bench --bench calibration -- --onnxruntime    with onnxruntime as the engine, not rten
//! cargo bench --bench calibration -- --alone          without onnxruntime's own tools
//! ```
//!
//! Linux only: memory is read from `/proc`. Every run is a process of its own, which tells how long it
//! took from the model in memory to the ranges. Each round has one run of each kind, one after the
//! other, so that all meet the same state of the machine; look at ratios of one column only.
//!
//! *Plain* runs the same samples in the same engine, with the same values as outputs, and looks at none
//! of them. The goals are a ratio to that of at most 1.2 for minmax and at most 2 for the methods with
//! histograms, and as much memory for 64 samples as for 16.
//!
//! *Ranges* is the part of the time that does not grow with the samples: what a method makes of what it
//! has gathered, value after value.
//!
//! onnxruntime's own tools (`calibration.py`) are measured in the same rounds, if the tests' Python can
//! be had. Their plain run has no outputs but the model's.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark talks to its user")]

#[cfg(target_os = "linux")]
mod cnn;
#[cfg(target_os = "linux")]
#[expect(dead_code, reason = "the other benchmark uses the rest")]
mod command;
#[cfg(target_os = "linux")]
#[path = "../suite/runtime/provision.rs"]
mod provision;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("this benchmark runs on Linux only");
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use std::process::ExitCode;
    // `cargo test --all-targets` runs benchmarks too, but without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    match linux::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        error::Error,
        fs,
        path::{Path, PathBuf},
        process::Command,
        time::Instant,
    };

    use onnx_quant::{
        CalibrationMethod, Config, Model, calibrate,
        calibration::{Engine, Observation, Observed, OnnxruntimeEngine, RtenEngine, Samples, Session, proceed},
        ir::Tensor,
        plan::activation_scheme,
    };

    use crate::{
        cnn,
        command::{Peak, watch},
        provision,
    };

    type Result<T> = std::result::Result<T, Box<dyn Error>>;

    const PLAIN: &str = "plain";
    const METHODS: [&str; 4] = ["minmax", "mse", "percentile", "entropy"];
    const TOOLS: [&str; 4] = [PLAIN, "MinMax", "Percentile", "Entropy"];
    const FEW: usize = 16;
    const MANY: usize = 64;
    /// The argument that a process has which only does one run.
    const ONCE: &str = "--once";

    pub fn run() -> Result<()> {
        let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
        if let [first, method, model, samples, count, result, rest @ ..] = arguments.as_slice()
            && first == ONCE
        {
            return once(method, model.as_ref(), samples.as_ref(), count.parse()?, result.as_ref(), rest.first());
        }
        let (mut rounds, mut alone, mut library, mut given) = (3, false, None, Vec::new());
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--rounds" => rounds = arguments.next().ok_or("--rounds needs a number")?.parse()?,
                "--onnxruntime" => library = Some(provision::onnxruntime_library()?),
                "--alone" => alone = true,
                _ if argument.starts_with('-') => return Err(format!("what is {argument}?").into()),
                _ => given.push(PathBuf::from(argument)),
            }
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-calibration");
        fs::create_dir_all(&folder)?;
        let (model, samples) = match given.as_slice() {
            [] => (cnn::model(&folder)?, cnn::samples(&folder, MANY)?),
            [model, samples] => (fs::canonicalize(model)?, fs::canonicalize(samples)?),
            _ => return Err("it takes a model and a folder of samples, or neither".into()),
        };
        let python = if alone { None } else { provision::python().ok().map(Path::to_owned) };
        Case { model, samples, python, library, result: folder.join(format!("result-{}", std::process::id())) }
            .measure(rounds.max(1))
    }

    /// What is measured on what.
    struct Case {
        model: PathBuf,
        samples: PathBuf,
        /// Has onnxruntime's own tools.
        python: Option<PathBuf>,
        /// Is the engine, instead of rten.
        library: Option<PathBuf>,
        /// The file where a process leaves its seconds.
        result: PathBuf,
    }

    impl Case {
        fn measure(&self, rounds: usize) -> Result<()> {
            let config = Config::default();
            let all = Samples::open(&self.samples, &Model::load(&self.model)?, None)?.len();
            let (few, many) = (FEW.min(all), MANY.min(all));
            let engine = if self.library.is_some() { "onnxruntime" } else { "rten" };
            println!("{}, {few} samples, {rounds} rounds, engine {engine}", self.model.display());
            println!("the default method is {}\n", config.activations.method);

            let ours: Vec<&str> = [PLAIN].into_iter().chain(METHODS).collect();
            let tools = if self.python.is_some() { &TOOLS[..] } else { &[] };
            let mut kinds: Vec<Kind> = ours.into_iter().map(|method| Kind::new(method, false)).collect();
            kinds.extend(tools.iter().map(|method| Kind::new(method, true)));
            for _ in 0..rounds {
                for kind in &mut kinds {
                    if kind.failed.is_some() {
                        continue;
                    }
                    match self.time(kind, few) {
                        Ok((seconds, choosing, peak)) => {
                            kind.seconds.push(seconds);
                            kind.choosing = choosing;
                            kind.few = kind.few.max(peak.anonymous);
                        }
                        Err(error) => kind.failed = Some(error.to_string()),
                    }
                }
            }
            for kind in kinds.iter_mut().filter(|kind| kind.failed.is_none()) {
                kind.many = if many > few { self.time(kind, many)?.2.anonymous } else { kind.few };
            }

            let columns = ["median s", "min s", "/ median", "/ min"];
            print!("{:24}", "");
            columns.iter().for_each(|column| print!(" {column:>9}"));
            println!(" {:>9} {:>12} {:>12}", "ranges s", format!("peak at {few}"), format!("at {many}"));
            for kind in &kinds {
                let label = if kind.tools { format!("tools: {}", kind.method) } else { kind.method.clone() };
                if let Some(error) = &kind.failed {
                    println!("{label:24} {error}");
                    continue;
                }
                let (median, min) = median_and_min(&kind.seconds);
                let plain = kinds.iter().find(|plain| plain.tools == kind.tools && plain.method == PLAIN);
                let plain = median_and_min(&plain.filter(|plain| plain.failed.is_none()).unwrap_or(kind).seconds);
                print!("{label:24} {median:>9.3} {min:>9.3} {:>9.2} {:>9.2}", median / plain.0, min / plain.1);
                print!(" {:>9}", kind.choosing.map_or(String::new(), |seconds| format!("{seconds:.3}")));
                println!(" {:>12} {:>12}", megabytes(kind.few), megabytes(kind.many));
            }
            println!("\npeak: anonymous memory of the process, sampled every 2 ms");
            Ok(())
        }

        /// Seconds of one run, how many of them went into choosing ranges, if that is told, and memory.
        fn time(&self, kind: &Kind, count: usize) -> Result<(f64, Option<f64>, Peak)> {
            let mut command = match &self.python {
                Some(python) if kind.tools => {
                    let mut command = Command::new(python);
                    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/calibration.py"));
                    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
                    command
                }
                _ => {
                    let mut command = Command::new(std::env::current_exe()?);
                    command.args(["--bench", ONCE]);
                    command
                }
            };
            command.arg(&kind.method).args([&self.model, &self.samples]).arg(count.to_string()).arg(&self.result);
            if !kind.tools {
                command.args(&self.library);
            }
            let (status, _, peak) = watch(command)?;
            if !status.success() {
                return Err(format!("failed: {status}").into());
            }
            let told = fs::read_to_string(&self.result)?;
            fs::remove_file(&self.result)?;
            let (seconds, choosing) =
                told.split_once(' ').map_or((told.as_str(), None), |(all, part)| (all, Some(part)));
            Ok((seconds.parse()?, choosing.map(str::parse).transpose()?, peak))
        }
    }

    /// A way to calibrate, and what was measured of it.
    struct Kind {
        method: String,
        /// Whether it is one of onnxruntime's own tools.
        tools: bool,
        seconds: Vec<f64>,
        /// Of the last run, the seconds after the last sample.
        choosing: Option<f64>,
        few: u64,
        many: u64,
        failed: Option<String>,
    }

    impl Kind {
        fn new(method: &str, tools: bool) -> Self {
            Self {
                method: method.to_owned(),
                tools,
                seconds: Vec::new(),
                choosing: None,
                few: 0,
                many: 0,
                failed: None,
            }
        }
    }

    /// What the child process does: one calibration, up to the ranges.
    fn once(
        method: &str,
        model: &Path,
        samples: &Path,
        count: usize,
        result: &Path,
        library: Option<&String>,
    ) -> Result<()> {
        let mut config = Config::default();
        let plain = method == PLAIN;
        config.activations.method = if plain { CalibrationMethod::MinMax } else { method.parse()? };
        let model = Model::load(model)?;
        let engine: &dyn Engine = match library {
            Some(library) => &OnnxruntimeEngine::new(Some(library.as_ref()))?,
            None => &RtenEngine,
        };
        let start = Instant::now();
        let samples = Samples::open(samples, &model, Some(count))?;
        let engine: &dyn Engine = if plain { &Blind(engine) } else { engine };
        let ranges = calibrate(&model, &config, samples, engine, &mut proceed)?;
        let observed = start.elapsed().as_secs_f64();
        let scheme = activation_scheme(&config);
        let found = ranges.values.values().filter(|value| value.range(config.activations.method, scheme).is_some());
        let found = found.count();
        let seconds = start.elapsed().as_secs_f64();
        fs::write(result, format!("{seconds} {}", seconds - observed))?;
        // A calibration that found nothing was not one.
        if plain || found > 0 { Ok(()) } else { Err("nothing was observed".into()) }
    }

    /// An engine that computes all that another does, and shows nothing of it.
    struct Blind<'a>(&'a dyn Engine);

    impl Engine for Blind<'_> {
        fn name(&self) -> &'static str {
            self.0.name()
        }

        fn load<'a>(&self, observation: &'a Observation) -> onnx_quant::Result<Box<dyn Session + 'a>> {
            Ok(Box::new(BlindSession(self.0.load(observation)?)))
        }
    }

    struct BlindSession<'a>(Box<dyn Session + 'a>);

    impl Session for BlindSession<'_> {
        fn run(&mut self, inputs: &[Tensor], _: &mut dyn FnMut(Observed)) -> onnx_quant::Result<()> {
            self.0.run(inputs, &mut |_| {})
        }
    }

    fn median_and_min(times: &[f64]) -> (f64, f64) {
        let mut times = times.to_vec();
        times.sort_by(f64::total_cmp);
        (times[times.len() / 2], times[0])
    }

    fn megabytes(bytes: u64) -> String {
        format!("{:.1} MB", bytes as f64 / 1e6)
    }
}
