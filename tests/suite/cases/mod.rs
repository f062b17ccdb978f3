//! Tests that are files: a model in text, with the command to run on it, and what comes of it beside it.
//! `tests/cases/README.md` says how to write one.

mod case;
mod numbers;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use libtest_mimic::Trial;

use self::case::Case;
use crate::outcome;

/// Every case is three tests: what the command says and writes, and the numbers of what it wrote by each runtime.
pub fn tests() -> Vec<Trial> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let cases: Vec<Case> = files.iter().filter_map(|file| Case::read(&root, file)).collect();
    let cases = Arc::new(cases);
    (0..cases.len()).flat_map(|index| trials(&cases, index)).collect()
}

/// What is checked of the case at an index.
type Check = fn(&[Case], usize);

fn trials(cases: &Arc<Vec<Case>>, index: usize) -> Vec<Trial> {
    let checks: [(&str, Check); 3] = [
        ("written", |cases, index| cases[index].assert_written()),
        ("rten", |cases, index| numbers::assert_in_rten(&cases[index])),
        ("onnxruntime", numbers::assert_in_onnxruntime),
    ];
    let name = format!("cases::{}", cases[index].name);
    let wanted = checks.into_iter().filter(|(kind, _)| *kind == "written" || cases[index].has_numbers());
    wanted
        .map(|(kind, check)| {
            let cases = Arc::clone(cases);
            Trial::ignorable_test(name.clone(), move || outcome::run(|| check(&cases, index))).with_kind(kind)
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder of cases") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => collect(&path, files),
            false if path.extension().is_some_and(|extension| extension == "txt") => files.push(path),
            false => {}
        }
    }
}
