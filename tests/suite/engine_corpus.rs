//! The models that the onnx package tests backends with, in the built-in engine: it computes the outputs
//! that come with them, or refuses, by name.

use crate::runtime;
use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use onnx_quant::{
    Error, Model,
    calibration::{Engine, Observation, RtenEngine, Sample},
    ir::{DataType, Tensor, ValueId},
};
use runtime::EngineCase;

/// Models whose outputs are random, whatever runs them.
const RANDOM: &[&str] = &["test_bernoulli", "test_training_dropout"];

/// As the onnx package's own runner has it; what is added for numbers near zero is relative to the
/// largest of the output, as float sums are exact to that.
const RELATIVE: f32 = 1e-3;
const OF_THE_LARGEST: f32 = 1e-6;
/// Of models in float16, which the engine computes in float32: two units in the last place.
const RELATIVE_OF_HALVES: f32 = 2e-3;

enum Outcome {
    Right,
    Refused(String),
    Wrong(String),
}

fn the_built_in_engine_computes_what_is_expected_or_refuses_by_name() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("engine_corpus");
    fs::create_dir_all(&folder).expect("the target directory can be written");
    let cases = runtime::write_engine_corpus(&folder);
    let (mut right, mut refused, mut wrong) = (0, BTreeMap::new(), Vec::new());
    let determined = |name: &str| !RANDOM.iter().any(|random| name.starts_with(random));
    for (name, case) in cases.iter().filter(|(name, _)| determined(name)) {
        match outcome(&folder, name, case) {
            Outcome::Right => right += 1,
            Outcome::Refused(reason) => drop(refused.insert(name, reason)),
            Outcome::Wrong(what) => wrong.push(format!("{name}: {what}")),
        }
    }
    // Not print!, which the test harness would keep to itself.
    let table = format!(
        "of {} models {right} right, {} refused, {} wrong\n",
        right + refused.len() + wrong.len(),
        refused.len(),
        wrong.len()
    );
    let _ = std::io::stderr().write_all(table.as_bytes());
    assert!(right > 1000, "{table}");
    assert!(wrong.is_empty(), "{table}{}", wrong.join("\n"));
}

fn outcome(folder: &Path, name: &str, case: &EngineCase) -> Outcome {
    let model = Model::load(folder.join(format!("{name}.onnx"))).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut watched = Vec::new();
    for place in &case.outputs {
        watched.push(find(&model, &format!("value {place}")));
        if case.shapes {
            watched.push(find(&model, &format!("shape {place}")));
        }
    }
    let halves = model.tensors().any(|tensor| tensor.dtype() == DataType::Float16)
        || model
            .scope(Model::MAIN)
            .inputs()
            .iter()
            .any(|input| input.tensor_type().is_some_and(|stated| stated.dtype == Some(DataType::Float16)));
    let relative = if halves { RELATIVE_OF_HALVES } else { RELATIVE };
    let observation = Observation::new(&model, &watched).unwrap_or_else(|error| panic!("{name}: {error}"));
    let refusal = |error: Error| {
        let text = error.to_string();
        let names_operator = model.ops().any(|op| text.contains(model.op(op).op_type()));
        if names_operator { Outcome::Refused(text) } else { Outcome::Wrong(format!("refused without a name: {text}")) }
    };
    let mut session = match RtenEngine.load(&observation) {
        Ok(session) => session,
        Err(error) => return refusal(error),
    };
    for set in 0..case.sets {
        let data =
            Model::load(folder.join(format!("{name}.{set}.data"))).unwrap_or_else(|error| panic!("{name}: {error}"));
        let tensor = |wanted: &str| {
            data.scope(Model::MAIN)
                .initializers()
                .iter()
                .map(|&value| data.value(value).initializer().expect("an initializer"))
                .find(|tensor| tensor.name() == wanted)
                .cloned()
        };
        let given: Vec<Tensor> = model
            .scope(Model::MAIN)
            .inputs()
            .iter()
            .filter_map(|input| tensor(model.value(input.value).name()))
            .collect();
        let sample = Sample::new("", given);
        let mut observed: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
        let ran = observation.inputs(&sample).and_then(|inputs| {
            session.run(&inputs, &mut |values| {
                observed = values.iter().map(|value| (value.index, value.elements.to_vec())).collect()
            })
        });
        if let Err(error) = ran {
            return refusal(error);
        }
        for (index, &value) in watched.iter().enumerate() {
            let name = model.value(value).name();
            let expected = match name.strip_prefix("shape ") {
                None => {
                    tensor(name)
                        .expect("an expected output")
                        .to_array::<f32>()
                        .expect("floats")
                        .into_raw_vec_and_offset()
                        .0
                }
                Some(place) => tensor(&format!("value {place}"))
                    .expect("an expected output")
                    .shape()
                    .iter()
                    .map(|&size| size as f32)
                    .collect(),
            };
            let got = observed.remove(&index).unwrap_or_default();
            if let Some(difference) = difference(&got, &expected, relative) {
                return Outcome::Wrong(format!("{name}: {difference}"));
            }
        }
    }
    Outcome::Right
}

fn find(model: &Model, name: &str) -> ValueId {
    model.values().find(|&value| model.value(value).name() == name).expect("the output is there")
}

fn difference(got: &[f32], expected: &[f32], relative: f32) -> Option<String> {
    if got.len() != expected.len() {
        return Some(format!("{} elements, not {}", got.len(), expected.len()));
    }
    let largest =
        expected.iter().filter(|number| number.is_finite()).fold(0f32, |largest, number| largest.max(number.abs()));
    let same = |got: f32, expected: f32| {
        got == expected
            || got.is_nan() && expected.is_nan()
            || (got - expected).abs() <= relative * expected.abs() + OF_THE_LARGEST * largest
    };
    let place = got.iter().zip(expected).position(|(&got, &expected)| !same(got, expected))?;
    Some(format!("{} at {place}, not {}", got[place], expected[place]))
}

crate::tests![the_built_in_engine_computes_what_is_expected_or_refuses_by_name];
