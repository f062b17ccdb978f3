//! How fast large and many weights are quantized, and how much memory that takes.
//!
//! ```text
//! cargo bench --bench weights                      the command against a bare loop, 1.68 GB
//! cargo bench --bench weights -- --weights 10      the same with fewer weights (16.8 MB each)
//! cargo bench --bench weights -- --rounds 20       more rounds than 7
//! cargo bench --bench weights -- limit             6 GB of external data under a limit of 1 GB
//! cargo bench --bench weights -- many              5,000, 10,000 and 20,000 small weights
//! ```
//!
//! Linux only: memory is read from `/proc`. Models are generated once, in the target folder; `limit`
//! needs 8 GB of disk for as long as it runs, and the right to make a control group (root, or a
//! delegated group); without it, it runs unlimited and only watches.
//!
//! Without an argument, each round runs the command and the bare loop (see `bare.rs`) one after the
//! other, each to a new file that is then removed; the input is in the page cache. Machines with
//! other work on them: look at the ratio of the minima, and repeat. The goals are a ratio of at
//! most 1.5 to the bare loop with as many threads, and anonymous memory of no more than the output
//! and 100 MB.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark talks to its user")]

#[cfg(target_os = "linux")]
mod bare;
#[cfg(target_os = "linux")]
mod command;
#[cfg(target_os = "linux")]
mod synthetic;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("this benchmark runs on Linux only");
}

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    // `cargo test --all-targets` runs benchmarks too, but without this argument.
    if std::env::args().any(|argument| argument == "--bench") { linux::run() } else { Ok(()) }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        fs, io,
        path::{Path, PathBuf},
        time::Instant,
    };

    use crate::{
        bare,
        command::{MemoryLimit, command, forget_cached, seconds, watch},
        synthetic::{Request, Shape, Synthetic},
    };

    const MEMORY_LIMIT: u64 = 1 << 30;

    pub fn run() -> io::Result<()> {
        let mut arguments = std::env::args().skip(1);
        let (mut weights, mut rounds, mut case) = (None, 7, "speed".to_owned());
        while let Some(argument) = arguments.next() {
            let mut count = || {
                let number = arguments.next().and_then(|text| text.parse().ok()).filter(|&number| number > 0);
                number.ok_or_else(|| io::Error::other(format!("{argument} needs a number")))
            };
            match argument.as_str() {
                "--bench" => {}
                "--weights" => weights = Some(count()?),
                "--rounds" => rounds = count()?,
                "limit" | "many" => case = argument,
                _ => return Err(io::Error::other(format!("what is {argument}?"))),
            }
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-weights");
        match case.as_str() {
            "limit" => limit(&folder, weights.unwrap_or(358)),
            "many" => many(&folder, weights.unwrap_or(20_000), rounds),
            _ => speed(&folder, weights.unwrap_or(100), rounds),
        }
    }

    /// A file name that has not been used.
    struct Output {
        folder: PathBuf,
        number: usize,
    }

    impl Output {
        fn next(&mut self) -> PathBuf {
            self.number += 1;
            self.folder.join(format!("out-{}-{}", std::process::id(), self.number))
        }
    }

    fn speed(folder: &Path, weights: usize, rounds: usize) -> io::Result<()> {
        let synthetic = Synthetic::generate(folder, Request { weights, shape: Shape::Large, external: false })?;
        let mut output = Output { folder: folder.to_owned(), number: 0 };
        let threads = rayon::current_num_threads();

        // The round that is not counted: the file comes into the page cache, and memory is watched.
        let path = output.next();
        let (status, _, peak) = watch(command(&synthetic.model, &path))?;
        if !status.success() {
            return Err(io::Error::other(format!("the command failed: {status}")));
        }
        let bytes = fs::metadata(&path)?.len();
        fs::remove_file(path)?;

        let mut times: [Vec<f64>; 3] = Default::default();
        for _ in 0..rounds {
            let path = output.next();
            times[0].push(seconds(command(&synthetic.model, &path))?);
            fs::remove_file(path)?;
            for (threads, times) in [threads, 1].into_iter().zip(&mut times[1..]) {
                let path = output.next();
                let start = Instant::now();
                bare::quantize(&synthetic, &path, threads)?;
                times.push(start.elapsed().as_secs_f64());
                fs::remove_file(path)?;
            }
        }
        let size = fs::metadata(&synthetic.model)?.len();
        println!("{weights} weights, {} in, {} out, {rounds} rounds\n", megabytes(size), megabytes(bytes));
        println!("{:24} {:>9} {:>9} {:>9} {:>9}", "", "median s", "min s", "/ median", "/ min");
        let labels = [
            format!("onnx-quant, {threads} threads"),
            format!("bare loop, {threads} threads"),
            "bare loop, 1 thread".into(),
        ];
        let bare = median_and_min(&times[1]);
        for (label, times) in labels.into_iter().zip(&times) {
            let (median, min) = median_and_min(times);
            println!("{label:24} {median:>9.3} {min:>9.3} {:>9.2} {:>9.2}", median / bare.0, min / bare.1);
        }
        println!("\npeak memory of the command, sampled every 2 ms:");
        println!("anonymous {}, mapped files {}", megabytes(peak.anonymous), megabytes(peak.file));
        Ok(())
    }

    fn limit(folder: &Path, weights: usize) -> io::Result<()> {
        let synthetic = Synthetic::generate(folder, Request { weights, shape: Shape::Large, external: true })?;
        forget_cached(&synthetic.values)?;
        let output = folder.join(format!("limit-{}.onnx", std::process::id()));
        let data = output.with_extension("onnx.data");
        let run = command(&synthetic.model, &output);
        let group = MemoryLimit::new(MEMORY_LIMIT);
        let run = match &group {
            Ok(group) => group.around(&run),
            Err(error) => {
                println!("no control group can be made ({error}): not limited, only watched");
                run
            }
        };
        let (status, seconds, peak) = watch(run)?;
        let size = fs::metadata(&synthetic.values)?.len();
        let limit = if group.is_ok() { "limited to 1 GiB" } else { "not limited" };
        println!("{weights} weights, {} of external data, {limit}: {status}", megabytes(size));
        let written = [&output, &data].iter().filter_map(|path| fs::metadata(path).ok()).map(|found| found.len()).sum();
        println!("{seconds:.1} s from disk, {} out", megabytes(written));
        println!("peak anonymous {}, mapped files {}", megabytes(peak.anonymous), megabytes(peak.file));
        if let Some(charged) = group.ok().and_then(|group| group.peak()) {
            println!("peak charged to the group, page cache included: {}", megabytes(charged));
        }
        for path in [output, data] {
            let _ = fs::remove_file(path);
        }
        synthetic.remove()
    }

    fn many(folder: &Path, weights: usize, rounds: usize) -> io::Result<()> {
        println!("{:>9} {:>9} {:>9} {:>12}", "weights", "median s", "min s", "us a weight");
        for weights in [weights / 4, weights / 2, weights] {
            let synthetic = Synthetic::generate(folder, Request { weights, shape: Shape::Small, external: false })?;
            let mut output = Output { folder: folder.to_owned(), number: 0 };
            let mut times = Vec::new();
            for _ in 0..rounds {
                let path = output.next();
                times.push(seconds(command(&synthetic.model, &path))?);
                fs::remove_file(path)?;
            }
            let (median, min) = median_and_min(&times);
            println!("{weights:>9} {median:>9.3} {min:>9.3} {:>12.1}", min / weights as f64 * 1e6);
        }
        Ok(())
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
