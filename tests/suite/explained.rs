//! What is explained is so: the verdict on every operator is that of the graph which onnxruntime really runs, for
//! models that are quantized in all ways, and for float ones.

use crate::{quantized, runtime, testdata};
use std::path::PathBuf;

use onnx_quant::{
    ActivationType, Activations, Config, Granularity, Model, SaveOptions, WeightForm, WeightType,
    calibration::{Collect, Ranges, Statistics, value_keys},
    explain::explain,
    passes, quantize, quantize_activations,
    targets::Target,
};
use quantized::{quantized as quantize_all, ways};
use testdata::fixtures;

/// The release that is provisioned for the tests.
const TARGET: &str = "onnxruntime:1.32";

/// Real models, which also get activations.
const REAL: [&str; 3] = ["kws_dscnn.onnx", "ppocr_cls.onnx", "rten_mnist.onnx"];

/// Ranges of all values of a model, as it is and as it is simplified, all the same.
fn ranges(model: &Model) -> Ranges {
    let mut simplified = model.clone();
    passes::run(&mut simplified, &passes::before_activations()).expect("it can be simplified");
    let mut ranges = Ranges::default();
    for model in [model, &simplified] {
        let keys = value_keys(model);
        for value in model.values() {
            let mut statistics = Statistics::new(Collect { histogram: true });
            statistics.observe(&(0..=64).map(|step| step as f32 / 32.0 - 1.0).collect::<Vec<f32>>());
            ranges.values.insert(keys[&value].clone(), statistics);
        }
    }
    ranges
}

/// Ways to quantize activations, too.
fn with_activations() -> Vec<(&'static str, Config)> {
    let activations = |ty, symmetric| Activations::default().with_ty(ty).with_symmetric(symmetric);
    let config = |ty, symmetric| Config::default().with_activations(activations(ty, symmetric));
    vec![
        ("uint8", config(ActivationType::Uint8, false)),
        ("uint8 symmetric", config(ActivationType::Uint8, true)),
        ("int8", config(ActivationType::Int8, false)),
        ("int8 symmetric", config(ActivationType::Int8, true)),
        ("uint8, weights too", config(ActivationType::Uint8, false).with_weights(WeightType::Uint8)),
        ("per tensor", config(ActivationType::Uint8, false).with_granularity(Granularity::PerTensor)),
        ("pairs", config(ActivationType::Uint8, false).with_weight_form(WeightForm::Qdq)),
    ]
}

/// Activations whose scales each run finds.
fn dynamic() -> Config {
    let activations = Activations::default().with_ty(ActivationType::Dynamic);
    Config::default().with_activations(activations).with_allow_growth(true)
}

/// Models of which something else is said of some operator than what becomes of it, and what it is.
const KNOWN: &[(&str, &str)] = &[
    ("behind_moves", "a Transpose of the product's weight that becomes part of it"),
    ("behind_shared", "Transposes that cancel each other"),
    ("contrib_operators", "types behind operators of onnxruntime's own"),
    ("default_domain_spelled_out", "an operator whose domain is spelled out is none that a rule is for"),
    ("embedding", "constants of equal elements become one, which two operators read then"),
    ("embedding_tied_by_transpose", "Transposes that cancel each other"),
    ("external_everywhere", "constants of equal elements become one, which two operators read then"),
    ("function_constants", "parts of a kernel in a function, which the optimized graph does not tell"),
    ("function_nested", "a function is judged where it stands, not where it is called"),
    ("matmul_activations", "an Add of nothing that becomes part of a product first"),
    ("metadata_everywhere", "a function is judged where it stands, not where it is called"),
    ("opset10_axis_conversions", "moves around an operator that cancel each other"),
    ("qdq_beside_float", "constants of equal elements become one, which two operators read then"),
    ("qdq_partly", "constants of equal elements become one, which two operators read then"),
    ("qdq_without_zero_points", "constants of equal elements become one, which two operators read then"),
    ("quantized_operators", "constants of equal elements become one, which two operators read then"),
    ("sequence_map", "an operator that becomes a Loop"),
    ("tables", "a reduction of a constant, which is computed when the model is loaded"),
    ("transposed_before_products", "a Transpose of the product's weight that becomes part of it"),
    ("weight_with_other_readers", "a reduction that gives out what it reads"),
];

/// Compares files, by name, and tells what disagrees.
fn disagreements(files: &[(String, PathBuf)]) -> (usize, Vec<String>) {
    let target: Target = TARGET.parse().expect("a target");
    let paths: Vec<PathBuf> = files.iter().map(|(_, path)| path.clone()).collect();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for ((name, path), became) in files.iter().zip(runtime::became(&paths)) {
        // What onnxruntime does not load has no optimized graph.
        let Ok(became) = became else { continue };
        let explanation = explain(&Model::load(path).expect("it loads"), &target).expect("it can be explained");
        // The order of bodies differs; within each it is that of the file.
        let place = |path: &[String]| path.join("/");
        let mut said: Vec<_> = explanation.operators.iter().collect();
        let mut is_so: Vec<_> = became.iter().collect();
        said.sort_by_key(|operator| place(&operator.path));
        is_so.sort_by_key(|operator| place(&operator.path));
        assert_eq!(said.len(), is_so.len(), "{name}");
        for (said, is_so) in said.into_iter().zip(is_so) {
            assert_eq!((&said.name, &said.op_type), (&is_so.name, &is_so.op_type), "{name}");
            if is_so.verdict == "unknown" {
                continue;
            }
            compared += 1;
            let verdict = serde_json::to_value(said.verdict).expect("a word");
            if verdict != is_so.verdict.as_str() {
                let (op_type, so) = (&said.op_type, (&is_so.verdict, &is_so.runs_as));
                wrong.push(format!("{name}: {op_type} '{}' is {so:?}, said to be {verdict}: {}", said.name, said.why));
            }
        }
    }
    (compared, wrong)
}

fn real_models_become_what_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    for model in REAL {
        let float = Model::load(testdata::path(model)).expect("it loads");
        let ranges = ranges(&float);
        for (way, config) in with_activations() {
            let mut quantized = float.clone();
            quantize_activations(&mut quantized, &config, &ranges).expect("it can be quantized");
            files.push((format!("{model} {way}"), quantized));
        }
        for way in ways() {
            let mut quantized = float.clone();
            quantize(&mut quantized, &way.config).expect("it can be quantized");
            files.push((format!("{model} {}", way.name), quantized));
        }
        let mut quantized = float.clone();
        quantize(&mut quantized, &dynamic()).expect("it can be quantized");
        files.push((format!("{model} dynamic"), quantized));
        files.push((model.to_owned(), float));
    }
    let saved = files.into_iter().enumerate().map(|(index, (name, model))| {
        let path = folder.path().join(format!("{index}.onnx"));
        model.save(&path, &SaveOptions::default()).expect("it can be written");
        (name, path)
    });
    let (compared, wrong) = disagreements(&saved.collect::<Vec<_>>());
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 3000, "{compared}");
}

fn odd_models_become_what_is_explained() {
    let (fixtures, folder) = (fixtures(), tempfile::tempdir().expect("a folder"));
    let mut files = Vec::new();
    for way in ways() {
        for model in quantize_all(&fixtures, &way) {
            if model.fixture.name.starts_with("made/") && model.fixture.onnxruntime.is_none() {
                files.push((model.name(), model.save(folder.path())));
            }
        }
    }
    for fixture in fixtures.iter().filter(|it| it.name.starts_with("made/") && it.onnxruntime.is_none()) {
        let mut model = Model::load(fixture.path()).expect("it loads");
        // Some cannot be raised to the opset that is needed.
        if quantize(&mut model, &dynamic()).is_ok() {
            let path = folder.path().join(format!("dynamic {}", fixture.name.replace('/', " ")));
            model.save(&path, &SaveOptions::default()).expect("it can be written");
            files.push((format!("{} dynamic", fixture.name), path));
        }
    }
    let (compared, wrong) = disagreements(&files);
    let is_of = |line: &String, name: &str| line.starts_with(&format!("made/{name}.onnx "));
    let (known, new): (Vec<_>, Vec<_>) =
        wrong.into_iter().partition(|line| KNOWN.iter().any(|(name, _)| is_of(line, name)));
    assert!(new.is_empty(), "{} of {compared}:\n{}", new.len(), new.join("\n"));
    for (name, why) in KNOWN {
        assert!(known.iter().any(|line| is_of(line, name)), "{name} is explained right now: {why}");
    }
    // Where something is known to be wrong, it is little.
    assert!(known.len() * 30 < compared, "{} of {compared}", known.len());
}

crate::tests![real_models_become_what_is_explained, odd_models_become_what_is_explained];
