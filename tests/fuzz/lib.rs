//! The fuzz targets: bodies that tests of the package run too, and what changes their inputs.

pub mod bodies;
pub mod mutate;

use std::{
    fs,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{LazyLock, Mutex, PoisonError},
};

use onnx_quant::proto::ModelProto;
use prost::Message;

use crate::mutate::{Random, structure};

/// A fuzz target of models: half of the time they change in their structure, otherwise in their bytes.
#[macro_export]
macro_rules! of_models {
    ($body:ident) => {
        $crate::of_files!($body);
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            $crate::mutated(data, size, max_size, seed)
        });
    };
}

/// A fuzz target.
#[macro_export]
macro_rules! of_files {
    ($body:ident) => {
        libfuzzer_sys::fuzz_target!(init: $crate::keep_panics(), |data: &[u8]| {
            $crate::telling(|| $crate::bodies::$body::run(data, &mut $crate::mutate::Random::of(data)));
        });
    };
}

/// What the last panics said.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Lets panics be caught: libFuzzer's own hook ends the process at each, and the engine's are made errors of.
pub fn keep_panics() {
    panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{panic}\n{backtrace}"));
    }));
}

/// Says what the panics were if a body ends in one; then the process ends.
pub fn telling(body: impl FnOnce()) {
    let outcome = panic::catch_unwind(AssertUnwindSafe(body));
    let panics = std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner));
    if let Err(panic) = outcome {
        panics.iter().for_each(|panic| eprintln!("{panic}"));
        panic::resume_unwind(panic);
    }
}

/// Models that pieces are taken of: the seeds.
static DONORS: LazyLock<Vec<ModelProto>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/models");
    let mut paths: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let models = paths.iter().filter_map(|path| fs::read(path).ok());
    models.filter_map(|bytes| ModelProto::decode(bytes.as_slice()).ok()).collect()
});

/// Changes the first `size` bytes of a buffer; how many they are then.
pub fn mutated(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = Random(seed.into());
    if random.once_in(2)
        && let Some(mutant) = structure::change(&data[..size], &DONORS, &mut random)
        && mutant.len() <= max_size
    {
        data[..mutant.len()].copy_from_slice(&mutant);
        return mutant.len();
    }
    libfuzzer_sys::fuzzer_mutate(data, size, max_size)
}
