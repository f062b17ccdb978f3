//! The bodies of the fuzz targets (`fuzz/`), run with every seed and with changed ones: the same on every
//! run. The fuzzer itself goes on where these end.

#![expect(clippy::print_stderr, reason = "a test tells which input it was that failed")]

use crate::testdata;
use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use onnx_quant::proto::ModelProto;
use prost::Message;

use crate::{
    bodies::{MODELS, TARGETS, Target},
    mutate::{Random, bytes, structure},
};

/// How many changed inputs of each target: a second or two. For a longer search set `FUZZED_MUTANTS`.
const MUTANTS: usize = 1500;

/// Of larger models most bytes are weights.
const LARGEST_MODEL: usize = 4096;

fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("one of the targets")
}

/// The seeds of a target by name; models of the tests' data are seeds too.
fn seeds(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/seeds/");
    let entries = fs::read_dir(folder.to_owned() + target.seeds).expect("the seeds");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a seed").path()).collect();
    if target.seeds == MODELS {
        paths.extend(testdata::fixtures().iter().map(testdata::Fixture::path));
    }
    paths.sort();
    let seeds = paths.into_iter().map(|path| (path.display().to_string(), fs::read(path).expect("a seed")));
    let seeds: Vec<_> = seeds.filter(|(_, bytes)| bytes.len() <= LARGEST_MODEL).collect();
    assert!(seeds.len() >= 8, "there are seeds");
    seeds
}

/// Runs a body, and says with what if it panics.
fn run(target: &Target, what: &str, bytes: &[u8], mut random: Random) {
    let start = random.clone();
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.body)(bytes, &mut random))) {
        let path = env::temp_dir().join(format!("failed_{}", target.name));
        let kept = fs::write(&path, bytes);
        eprintln!("{}: {what}, {start:?}; the input is {} ({kept:?})", target.name, path.display());
        resume_unwind(panic);
    }
}

fn every_seed_and_its_mutants(name: &str) {
    let target = target(name);
    let seeds = seeds(target);
    for (what, bytes) in &seeds {
        run(target, what, bytes, Random::of(bytes));
        (0..4).for_each(|start| run(target, what, bytes, Random(start)));
    }
    let mutants = env::var("FUZZED_MUTANTS").ok().and_then(|count| count.parse().ok()).unwrap_or(MUTANTS);
    let all: Vec<_> = seeds.iter().map(|(_, bytes)| bytes.clone()).collect();
    let models: Vec<_> = match target.seeds {
        MODELS => all.iter().filter_map(|bytes| ModelProto::decode(bytes.as_slice()).ok()).collect(),
        _ => Vec::new(),
    };
    for number in 0..mutants {
        let mut random = Random(number as u64);
        let (what, bytes) = random.pick(&seeds);
        let structural = target.seeds == MODELS && random.once_in(2);
        let changed = if structural { structure::change(bytes, &models, &mut random) } else { None };
        let mutant = changed.unwrap_or_else(|| bytes::change(bytes, &all, &mut random));
        run(target, &format!("mutant {number} of {what}"), &mutant, Random::of(&mutant));
    }
}

fn load() {
    every_seed_and_its_mutants("load");
}

fn print() {
    every_seed_and_its_mutants("print");
}

fn parse() {
    every_seed_and_its_mutants("parse");
}

fn quantize() {
    every_seed_and_its_mutants("quantize");
}

fn upgrade() {
    every_seed_and_its_mutants("upgrade");
}

fn calibrate() {
    every_seed_and_its_mutants("calibrate");
}

fn explain() {
    every_seed_and_its_mutants("explain");
}

fn ranges() {
    every_seed_and_its_mutants("ranges");
}

fn npz() {
    every_seed_and_its_mutants("npz");
}

crate::tests![load, print, parse, quantize, upgrade, calibrate, explain, ranges, npz];
