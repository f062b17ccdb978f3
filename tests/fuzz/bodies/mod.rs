//! What is done with every input, and what must be true of it then: the bodies of the fuzz targets, which
//! seeded tests run too.
//!
//! A body takes any bytes. What it chooses besides, a configuration or numbers for a sample, it draws from
//! the [`Random`] it is given, which a fuzz target makes [of the bytes](Random::of). It panics where
//! something is not as it must be.

#![allow(dead_code, reason = "each test binary uses a part of this module")]

pub mod calibrate;
pub mod explain;
pub mod load;
pub mod parse;
pub mod print;
pub mod quantize;
pub mod ranges;
pub mod samples;
pub mod typed;
pub mod upgrade;

use std::{fs, path::Path};

use onnx_quant::{Error, ErrorKind, Model};

use crate::mutate::Random;

/// What is fuzzed with inputs of its kind.
pub struct Target {
    pub name: &'static str,
    /// The folder of its seeds.
    pub seeds: &'static str,
    pub body: fn(&[u8], &mut Random),
}

pub const MODELS: &str = "models";

pub const TARGETS: [Target; 9] = [
    Target { name: "load", seeds: MODELS, body: load::run },
    Target { name: "print", seeds: MODELS, body: print::run },
    Target { name: "parse", seeds: "texts", body: parse::run },
    Target { name: "quantize", seeds: MODELS, body: quantize::run },
    Target { name: "upgrade", seeds: MODELS, body: upgrade::run },
    Target { name: "calibrate", seeds: MODELS, body: calibrate::run },
    Target { name: "explain", seeds: MODELS, body: explain::run },
    Target { name: "ranges", seeds: "ranges", body: ranges::run },
    Target { name: "npz", seeds: "samples", body: samples::run },
];

/// The model, if the bytes are one.
pub fn loaded(bytes: &[u8]) -> Option<Model> {
    let model = Model::from_bytes(bytes.to_vec()).inspect_err(assert_readable).ok()?;
    model.verify().expect("what was loaded keeps the invariants");
    Some(model)
}

/// What is written of a model, which must be the same model when it is read, and the same bytes when it is
/// written again.
pub fn written(model: &Model) -> Vec<u8> {
    model.verify().expect("the model keeps the invariants");
    let bytes = model.to_bytes();
    let again = Model::from_bytes(bytes.clone()).expect("what was written can be read");
    again.verify().expect("what was written keeps the invariants");
    assert!(again.to_bytes() == bytes, "what was read is written otherwise");
    assert_prints_the_same(&again, model);
    bytes
}

/// Fields that nobody knows are told of in the text, and are not written.
pub fn assert_prints_the_same(written: &Model, model: &Model) {
    let same = written.to_text() == model.to_text();
    assert!(same || !model.unknown_fields().is_empty(), "what was written prints otherwise");
}

/// An error is one line that a person reads, however large the model is.
pub fn assert_readable(error: &Error) {
    let text = error.to_string();
    assert!(text.len() < 4000, "an error of {} bytes: {text:.200}", text.len());
    // The line of a text has a mark below it.
    let text = text.split_once('\n').filter(|_| matches!(error.kind(), ErrorKind::Text { .. })).map_or(
        &*text,
        |(first, line)| {
            assert!(line.lines().count() == 2 && line.lines().all(|line| !line.contains(char::is_control)), "{line:?}");
            first
        },
    );
    assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
}

/// An error about a file says which.
pub fn assert_located(error: &Error) {
    assert_readable(error);
    assert!(error.location().file.is_some(), "{error} names no file");
}

/// The names of what is in a folder, in order.
pub fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is ours");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
