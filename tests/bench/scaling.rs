//! Shows that the time grows with a model and no faster: models of all kinds are doubled in size, and the
//! time of each is compared with that of the one half as large.
//!
//! ```text
//! cargo bench --bench scaling [-- PART-OF-A-NAME...] [DIVISOR-OF-ALL-SIZES]
//! ```

#![allow(clippy::print_stdout)] // a benchmark's result is what it prints

mod shapes;

use std::{
    fs::{self, DirEntry},
    sync::LazyLock,
    time::Instant,
};

use onnx_quant::{
    Config, Model,
    calibration::{Ranges, Statistics, value_keys},
    numeric::Range,
    passes::{Pass, UpgradeOpset},
    quantize, quantize_activations,
};
use shapes::{SHAPES, Task};

/// How often a size is doubled.
const DOUBLINGS: u32 = 3;
/// Runs of each size, of which the fastest counts.
const RUNS: usize = 3;
/// What doubling may cost, with some room for caches that get too small.
const LIMIT: f64 = 2.3;

fn main() {
    // `cargo test --all-targets` runs benchmarks too, but without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let (divisors, wanted): (Vec<String>, Vec<String>) =
        wanted.into_iter().partition(|argument| argument.parse::<usize>().is_ok());
    let divisor = divisors.first().and_then(|divisor| divisor.parse().ok()).unwrap_or(1);
    println!(
        "{:<40} {:<12} {:>9}  seconds of all cores (times what half the size takes)",
        "what grows", "task", "from size"
    );
    let mut slow = 0;
    for shape in SHAPES {
        let task = format!("{:?}", shape.task);
        if !wanted.is_empty() && !wanted.iter().any(|part| shape.name.contains(part) || task == *part) {
            continue;
        }
        let size = shape.size / divisor;
        let sizes = (0..=DOUBLINGS).map(|doubling| size << doubling);
        let times: Vec<f64> = sizes.map(|size| time(shape.task, shape.bytes(size))).collect();
        let ratios: Vec<f64> = times.windows(2).map(|pair| pair[1] / pair[0]).collect();
        // On the whole: a single ratio is as uncertain as the time that it divides by.
        let mean = (times[times.len() - 1] / times[0]).powf(1.0 / f64::from(DOUBLINGS));
        let shown = times[1..].iter().zip(&ratios).map(|(time, ratio)| format!("{time:.3} ({ratio:.2})"));
        let shown = std::iter::once(format!("{:.3}", times[0])).chain(shown).collect::<Vec<_>>().join("  ");
        let verdict = if mean > LIMIT { "  TOO SLOW" } else { "" };
        slow += usize::from(mean > LIMIT);
        println!("{:<40} {task:<12} {size:>9}  {shown}  mean {mean:.2}{verdict}", shape.name);
    }
    println!("{slow} grow faster than {LIMIT} times for twice the size");
}

fn time(task: Task, bytes: Vec<u8>) -> f64 {
    let ranges = if task == Task::Activations { ranges(&bytes) } else { Ranges::default() };
    let run = |_| {
        let start = seconds();
        let mut model = Model::from_bytes(bytes.clone()).expect("it is a model");
        match task {
            Task::Quantize => drop(quantize(&mut model, &Config::default()).expect("it can be quantized")),
            Task::Activations => {
                drop(quantize_activations(&mut model, &Config::default(), &ranges).expect("it can be quantized"));
            }
            Task::Upgrade => drop(UpgradeOpset { to: 21 }.run(&mut model).expect("it can be raised")),
            Task::Print => drop(model.to_text()),
        }
        drop(model.to_bytes());
        seconds() - start
    };
    (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
}

/// What all threads have computed so far: a clock that other programs on the machine do not move. Where the
/// system does not say, the time that passed.
fn seconds() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let passed = START.elapsed().as_secs_f64();
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return passed };
    let nanoseconds = |thread: DirEntry| -> Option<f64> {
        let statistics = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        statistics.split(' ').next()?.parse().ok()
    };
    threads.flatten().filter_map(nanoseconds).sum::<f64>() / 1e9
}

/// The same range for every value.
fn ranges(bytes: &[u8]) -> Ranges {
    let model = Model::from_bytes(bytes.to_vec()).expect("it is a model");
    let range = || Statistics::of_range(Range { min: -1.0, max: 1.0 });
    value_keys(&model).into_values().map(|key| (key, range())).collect()
}
