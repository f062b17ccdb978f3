//! The models that the onnx package tests backends with, upgraded: what ran before still gives the
//! outputs that come with it. Some 2,000 models, from opset 1 on, in two engines.

use crate::runtime;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use onnx_quant::{Model, SaveOptions, passes::UpgradeOpset};
use runtime::{CorpusRun, Engine, Side};

const TARGETS: [i64; 3] = [13, 21, UpgradeOpset::NEWEST_OPSET];

/// What onnxruntime has no kernels for at the newest opset: models that it runs as they are, and the
/// operator.
const NO_KERNEL: &[(&str, &str)] = &[
    ("test_dynamicquantizelinear_expanded", "QuantizeLinear(28)"),
    ("test_dynamicquantizelinear_max_adjusted_expanded", "QuantizeLinear(28)"),
    ("test_dynamicquantizelinear_min_adjusted_expanded", "QuantizeLinear(28)"),
    ("test_if_opt", "Optional(28)"),
    ("test_loop16_seq_none", "OptionalHasElement(28)"),
    ("test_swish", "Swish(24)"),
];

fn the_models_of_the_onnx_package_give_what_they_gave() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("upgrade_corpus");
    fs::create_dir_all(&folder).expect("the target directory can be written");
    let names = runtime::write_corpus(&folder);
    let mut wrong = Vec::new();
    let mut upgraded = BTreeMap::new();
    for name in &names {
        for to in TARGETS {
            match upgrade(&folder, name, to) {
                Ok(path) => upgraded.insert((name.as_str(), to), path),
                Err(error) => {
                    wrong.push(format!("{name} to {to}: {error}"));
                    None
                }
            };
        }
    }
    let mut table = String::from("passing of models\n");
    for engine in [Engine::OnnxruntimePlain, Engine::Reference] {
        // What needed no upgrade is the file that it was, and is run once.
        let made: Vec<_> = upgraded.iter().filter(|((name, _), path)| **path != source(&folder, name)).collect();
        let mut requests: Vec<CorpusRun> = names.iter().map(|name| run(name, source(&folder, name), engine)).collect();
        requests.extend(made.iter().map(|((name, _), path)| run(name, (*path).clone(), engine)));
        let mut answers = runtime::run_corpus(&requests).into_iter();
        let before: BTreeMap<&str, bool> =
            names.iter().map(String::as_str).zip(answers.by_ref().map(|answer| answer.is_ok())).collect();
        let mut passing: BTreeMap<i64, usize> = BTreeMap::new();
        for (name, to) in upgraded.keys().filter(|key| !made.iter().any(|(changed, _)| *changed == *key)) {
            *passing.entry(*to).or_default() += usize::from(before[name]);
        }
        for (((name, to), _), answer) in made.into_iter().zip(answers) {
            match answer {
                Ok(()) => *passing.entry(*to).or_default() += 1,
                Err(error) if before[name] && !has_no_kernel(name, *to, &error) => {
                    wrong.push(format!("{engine:?}: {name} at {to}: {error}"));
                }
                Err(_) => {}
            }
        }
        let unchanged = before.values().filter(|passes| **passes).count();
        let _ = writeln!(table, "{engine:?}: {unchanged} of {} as they are, upgraded {passing:?}", names.len());
        for (to, count) in passing {
            let excused = if to == UpgradeOpset::NEWEST_OPSET { NO_KERNEL.len() } else { 0 };
            assert!(count + excused >= unchanged, "{table}");
        }
    }
    assert!(names.len() > 1900, "the corpus has only {} models", names.len());
    assert!(wrong.is_empty(), "{table}{}", wrong.join("\n"));
    // Not print!, which the test harness would keep to itself.
    let _ = std::io::stderr().write_all(table.as_bytes());
}

fn source(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.onnx"))
}

/// A model that needs no upgrade is not run again.
fn upgrade(folder: &Path, name: &str, to: i64) -> onnx_quant::Result<PathBuf> {
    let mut model = Model::load(source(folder, name))?;
    if !(UpgradeOpset { to }).upgrade(&mut model)?.changed {
        return Ok(source(folder, name));
    }
    model.verify()?;
    let target = folder.join(format!("{name}.{to}.onnx"));
    model.save(&target, &SaveOptions::default())?;
    Ok(target)
}

fn run(case: &str, model: PathBuf, engine: Engine) -> CorpusRun {
    CorpusRun { case: case.to_owned(), side: Side { model, engine } }
}

fn has_no_kernel(name: &str, to: i64, error: &str) -> bool {
    let missing = NO_KERNEL.iter().find(|(model, _)| *model == name);
    to == UpgradeOpset::NEWEST_OPSET && missing.is_some_and(|(_, operator)| error.contains(operator))
}

crate::tests![the_models_of_the_onnx_package_give_what_they_gave];
