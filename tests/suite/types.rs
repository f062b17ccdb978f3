//! Every type that weights can be stored as: the bits are those of the reference implementation, and
//! what is said of onnxruntime is so.

use crate::{runtime, testdata};
use std::path::PathBuf;

use onnx_quant::{
    Config, Granularity, Model, SaveOptions, WeightScales, WeightType,
    numeric::Scheme,
    plan::{plan, scale_dtype, storage_dtype},
    quantize,
};
use runtime::{Engine, Inputs, Run, Side, WeightCheck};

const MODEL: &str = "rten_mnist.onnx";

struct Typed {
    name: String,
    path: PathBuf,
    /// Whether onnxruntime is said to run it.
    runs: bool,
    /// Names, and whether they are stored transposed.
    weights: Vec<(String, bool)>,
}

/// A real model with its weights in each of the types, per channel or in blocks, where they are many
/// enough.
fn typed(folder: &std::path::Path) -> Vec<Typed> {
    let mut typed = Vec::new();
    for (name, weights) in WeightType::NAMES {
        for granularity in [Granularity::PerChannel, Granularity::Block { size: 16, axis: None }] {
            let config = Config::default()
                .with_weights(*weights)
                .with_granularity(granularity)
                .with_weight_scales(Some(WeightScales::Minmax));
            let mut model = Model::load(testdata::path(MODEL)).expect("the fixture can be read");
            quantize(&mut model, &config).expect("it can be quantized");
            let mut newest = Model::load(testdata::path(MODEL)).expect("the fixture can be read");
            onnx_quant::passes::run(&mut newest, &[&onnx_quant::passes::UpgradeOpset { to: 28 }])
                .expect("it can be raised");
            let plan = plan(&newest, &config).expect("it can be planned");
            let name = format!("{name} {granularity}");
            let path = folder.join(format!("{}.onnx", name.replace([' ', ':'], "_")));
            model.save(&path, &SaveOptions::default()).expect("it can be written");
            let mut copies = plan.weights.iter().flat_map(|weight| &weight.copies);
            let takes = |scheme: Scheme| config.target.dequantizes(storage_dtype(scheme.ty), scale_dtype(scheme.scale));
            let runs = copies.all(|copy| takes(copy.scheme));
            let weights =
                plan.weights.iter().map(|weight| (weight.name.clone(), weight.copies[0].transposed)).collect();
            typed.push(Typed { name, path, runs, weights });
        }
    }
    typed
}

fn onnxruntime_runs_what_is_said_to_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let typed = typed(folder.path());
    let side = |typed: &Typed| Side { model: typed.path.clone(), engine: Engine::Onnxruntime };
    let requests: Vec<Run> = typed.iter().map(|typed| Run { side: side(typed), inputs: Inputs::default() }).collect();
    let answers = runtime::run(&requests);
    for (typed, answer) in typed.iter().zip(answers) {
        assert_eq!(answer.is_ok(), typed.runs, "{}: {:?}", typed.name, answer.err());
    }
}

fn stored_bits_are_those_of_the_reference() {
    let folder = tempfile::tempdir().expect("a folder");
    let typed = typed(folder.path());
    let mut names = Vec::new();
    let mut checks = Vec::new();
    for typed in &typed {
        assert!(!typed.weights.is_empty(), "{} tests nothing", typed.name);
        for (weight, transposed) in &typed.weights {
            names.push(format!("{} {weight}", typed.name));
            checks.push(WeightCheck {
                float_model: testdata::path(MODEL),
                weight: weight.clone(),
                quantized_model: typed.path.clone(),
                stored: format!("{weight}_quantized"),
                transposed: *transposed,
            });
        }
    }
    let answers = runtime::weights(&checks);
    for (name, answer) in names.iter().zip(answers) {
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(answer.mismatches, 0, "{name}: {answer:?}");
    }
}

crate::tests![onnxruntime_runs_what_is_said_to_run, stored_bits_are_those_of_the_reference];
