//! The models under `testdata/` are what `models.json` says of them: those that pass onnx's checker
//! and run do, those that do not do not. A test that uses one of them can rely on that.

use crate::{runtime, testdata};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use runtime::{Comparison, Engine, Inputs, Run, Side};
use testdata::{Fixture, fixtures};

/// How far the reference implementation may be from onnxruntime, relative to the largest output.
const TOLERANCE: f64 = 1e-4;

fn side(fixture: &Fixture, engine: Engine) -> Side {
    Side { model: fixture.path(), engine }
}

fn inputs(fixture: &Fixture) -> Inputs {
    Inputs { seed: 1, dims: fixture.dims.clone(), ..Inputs::default() }
}

/// Collects what is not as it was expected, so that one run shows all of it.
fn assert_as_listed<T>(fixtures: &[Fixture], answers: Vec<Result<T, String>>, listed: fn(&Fixture) -> &Option<String>) {
    let wrong: Vec<String> = fixtures
        .iter()
        .zip(answers)
        .filter_map(|(fixture, answer)| match (answer.err(), listed(fixture)) {
            (None, None) | (Some(_), Some(_)) => None,
            (Some(error), None) => Some(format!("{}: {error}", fixture.name)),
            (None, Some(error)) => Some(format!("{}: did not fail with: {error}", fixture.name)),
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn checker_says_what_is_listed() {
    let fixtures = fixtures();
    let paths: Vec<PathBuf> = fixtures.iter().map(Fixture::path).collect();
    let answers = runtime::check(&paths);
    assert_as_listed(&fixtures, answers, |fixture| &fixture.checker);
}

fn onnxruntime_runs_what_is_listed() {
    let fixtures = fixtures();
    for engine in [Engine::Onnxruntime, Engine::OnnxruntimePlain] {
        let requests: Vec<Run> =
            fixtures.iter().map(|fixture| Run { side: side(fixture, engine), inputs: inputs(fixture) }).collect();
        let answers = runtime::run(&requests);
        assert_as_listed(&fixtures, answers, |fixture| &fixture.onnxruntime);
    }
}

fn reference_agrees_with_onnxruntime() {
    let mut fixtures = fixtures();
    fixtures.retain(|fixture| fixture.onnxruntime.is_none() && fixture.reference.is_none());
    let requests: Vec<Comparison> = fixtures
        .iter()
        .map(|fixture| Comparison {
            left: side(fixture, Engine::OnnxruntimePlain),
            right: side(fixture, Engine::Reference),
            inputs: inputs(fixture),
        })
        .collect();
    let answers = runtime::compare(&requests);
    for (fixture, answer) in fixtures.iter().zip(answers) {
        let differences = answer.unwrap_or_else(|error| panic!("{}: {error}", fixture.name));
        for (output, difference) in differences {
            let name = &fixture.name;
            assert!(difference.relative <= TOLERANCE, "{name}: {output}: {difference:?}");
        }
    }
}

fn every_model_is_listed_and_small() {
    let listed: BTreeSet<PathBuf> = fixtures().iter().map(Fixture::path).collect();
    let mut found = BTreeSet::new();
    let mut size = 0;
    collect(&testdata::path(""), &mut found, &mut size);
    assert_eq!(found, listed);
    // The repository is cloned by everyone who builds from it.
    assert!(size < 1_200_000, "testdata has grown to {size} bytes of models");
}

fn collect(folder: &Path, models: &mut BTreeSet<PathBuf>, size: &mut u64) {
    for entry in fs::read_dir(folder).expect("testdata is readable") {
        let path = entry.expect("testdata is readable").path();
        if path.is_dir() {
            collect(&path, models, size);
        } else if path.extension().is_some_and(|extension| extension == "onnx") {
            *size += fs::metadata(&path).expect("the file is there").len();
            models.insert(path);
        }
    }
}

crate::tests![
    checker_says_what_is_listed,
    onnxruntime_runs_what_is_listed,
    reference_agrees_with_onnxruntime,
    every_model_is_listed_and_small
];
