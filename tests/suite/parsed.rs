//! What is printed and parsed is the same model, field for field, for all models of the onnx package and of the tests;
//! the package's parser reads what we print, and we read what its printer prints as its own parser does.

use crate::{runtime, testdata};
mod fields;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use onnx_quant::{Model, TextOptions};
use runtime::{Printed, Text};

/// A model that is printed and parsed, against what it was.
fn compare(path: &Path) -> Result<(), String> {
    let model = Model::load(path).map_err(|error| error.to_string())?;
    let text = model.to_text_with(&TextOptions::ALL);
    let parsed = Model::from_text(&text).map_err(|error| error.to_string())?;
    parsed.verify().map_err(|error| error.to_string())?;
    if parsed.to_text_with(&TextOptions::ALL) != text {
        return Err("prints otherwise".to_owned());
    }
    fields::differ(&model, &parsed)
}

/// What has parts that the text says in comments at most: sparse tensors, training graphs, annotations, unknown fields.
const UNSAID: [&str; 5] = [
    "made/constant_sparse.onnx",
    "made/metadata_everywhere.onnx",
    "made/sparse_initializer.onnx",
    "made/training_info.onnx",
    "made/unknown_fields.onnx",
];

fn every_fixture_printed_and_parsed_is_the_same_model() {
    let wrong: Vec<String> = testdata::fixtures()
        .iter()
        .filter_map(|fixture| match (compare(&fixture.path()), UNSAID.contains(&fixture.name.as_str())) {
            (Ok(()), false) | (Err(_), true) => None,
            (Err(error), false) => Some(format!("{}: {error}", fixture.name)),
            (Ok(()), true) => Some(format!("{}: the text says everything", fixture.name)),
        })
        .collect();
    assert_eq!(wrong.join("\n"), "");
}

/// The models of the onnx package; with `MODELS` in the environment, all in that folder.
fn corpus(folder: &Path) -> Vec<PathBuf> {
    if let Some(models) = std::env::var_os("MODELS") {
        let entries = fs::read_dir(models).expect("a folder").flatten().map(|entry| entry.path());
        return entries.filter(|path| path.extension().is_some_and(|extension| extension == "onnx")).collect();
    }
    fs::create_dir_all(folder).expect("the target directory can be written");
    let names = runtime::write_corpus(folder);
    names.iter().map(|name| folder.join(format!("{name}.onnx"))).collect()
}

fn the_models_of_the_onnx_package() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("parsed_corpus");
    let paths = corpus(&folder);
    let mut report = Report::default();
    for path in &paths {
        report.count("printed and parsed, ours", path, compare(path));
    }
    let texts: Vec<(&PathBuf, Text)> = paths
        .iter()
        .filter_map(|path| {
            let text = Model::load(path).ok()?.to_text();
            Some((path, Text { model: folder.join("parsed"), text }))
        })
        .collect();
    let requests: Vec<Text> = texts.iter().map(|(_, text)| text.clone()).collect();
    let answers = runtime::parse(&requests);
    for ((path, _), answer) in texts.iter().zip(answers) {
        report.count("theirs reads ours", path, answer);
    }
    let requests: Vec<Printed> = paths
        .iter()
        .enumerate()
        .map(|(number, path)| Printed { model: path.clone(), parsed: folder.join(format!("{number}.parsed")) })
        .collect();
    let answers = runtime::to_text(&requests);
    for ((path, request), answer) in paths.iter().zip(&requests).zip(answers) {
        let Ok(text) = answer else {
            report.count("theirs prints", path, answer.map(drop));
            continue;
        };
        let ours = Model::from_text(&text).map_err(|error| error.to_string());
        match Model::load(&request.parsed) {
            Ok(theirs) => report.count(
                "ours reads theirs as theirs does",
                path,
                ours.and_then(|ours| fields::differ(&theirs, &ours)),
            ),
            Err(_) => report.count("ours reads theirs, which theirs does not", path, ours.map(drop)),
        }
        let _ = fs::remove_file(&request.parsed);
    }
    // Not print!, which the test harness would keep to itself.
    let _ = std::io::stderr().write_all(report.text().as_bytes());
    assert!(report.counts.values().all(|(_, failed)| failed.is_empty()), "{}", report.text());
}

#[derive(Default)]
struct Report {
    counts: std::collections::BTreeMap<&'static str, (usize, Vec<String>)>,
}

impl Report {
    fn count(&mut self, what: &'static str, path: &Path, outcome: Result<(), String>) {
        let (passed, failed) = self.counts.entry(what).or_default();
        match outcome {
            Ok(()) => *passed += 1,
            Err(error) => failed.push(format!("{}: {error}", path.file_stem().unwrap_or_default().display())),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (what, (passed, failed)) in &self.counts {
            text += &format!("{what}: {passed} of {}\n", passed + failed.len());
            failed.iter().for_each(|error| text += &format!("    {error}\n"));
        }
        text
    }
}

crate::tests![every_fixture_printed_and_parsed_is_the_same_model, the_models_of_the_onnx_package];
