//! The models that the onnx package tests backends with, simplified: what ran before still gives the
//! outputs that come with it. Once as they are, once with their inputs as constants, of which the
//! simplification computes what it can itself.

use crate::runtime;
use std::{
    fs,
    path::{Path, PathBuf},
};

use onnx_quant::{Model, SaveOptions, passes};
use runtime::{CorpusRun, Engine, Side};

/// Simplifies all models of a folder and runs those that it changed. Returns how many that were of those
/// that gave the expected outputs before.
fn simplify_all(folder: &Path, names: &[String]) -> usize {
    let mut changed = Vec::new();
    for name in names {
        let mut model = Model::load(source(folder, name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let before = model.to_bytes();
        passes::run(&mut model, &passes::before_activations()).unwrap_or_else(|error| panic!("{name}: {error}"));
        model.verify().unwrap_or_else(|error| panic!("{name}: {error}"));
        let once = model.to_bytes();
        for pass in passes::before_activations() {
            assert!(!pass.run(&mut model).expect("it ran before"), "{name}: {} goes on", pass.name());
        }
        assert_eq!(model.to_bytes(), once, "{name}");
        if once != before {
            model.save(simplified(folder, name), &SaveOptions::default()).expect("it can be written");
            changed.push(name);
        }
    }
    let run =
        |name: &str, model| CorpusRun { case: name.to_owned(), side: Side { model, engine: Engine::OnnxruntimePlain } };
    let mut requests: Vec<CorpusRun> = changed.iter().map(|name| run(name, source(folder, name))).collect();
    requests.extend(changed.iter().map(|name| run(name, simplified(folder, name))));
    let answers = runtime::run_corpus(&requests);
    let (before, after) = answers.split_at(changed.len());
    let passed = || changed.iter().zip(before).zip(after).filter(|((_, before), _)| before.is_ok());
    let wrong: Vec<String> =
        passed().filter_map(|((name, _), after)| Some(format!("{name}: {}", after.as_ref().err()?))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    passed().count()
}

fn source(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.onnx"))
}

fn simplified(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.simplified.onnx"))
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).expect("the target directory can be written");
    folder
}

fn the_models_of_the_onnx_package_give_what_they_gave() {
    let folder = folder("simplified_corpus");
    let names = runtime::write_corpus(&folder);
    let passed = simplify_all(&folder, &names);
    assert!(passed > 200, "only {passed} were changed and run: nothing was tested");
}

fn what_is_computed_of_constants_is_what_is_expected() {
    let folder = folder("simplified_constant_corpus");
    let names = runtime::write_constant_corpus(&folder);
    let passed = simplify_all(&folder, &names);
    assert!(passed > 400, "only {passed} were changed and run: nothing was tested");
}

crate::tests![the_models_of_the_onnx_package_give_what_they_gave, what_is_computed_of_constants_is_what_is_expected];
