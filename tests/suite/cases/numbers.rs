//! What a case's result computes, compared with what it must: in rten, which is always there, and in onnxruntime, where
//! it is.

use std::{fs, path::Path, sync::OnceLock};

use onnx_quant::{
    Model,
    calibration::{Engine as _, Observation, RtenEngine, Sample, Samples, can_be_watched},
    ir::{DataType, Tensor, ValueId},
};

use super::case::{Case, Made};
use crate::{
    mutate::Random,
    outcome::ignore,
    runtime::{self, Comparison, Difference, Engine, Inputs, Side},
};

/// Writes samples of a model, which a command finds in `samples`.
pub fn write_samples(folder: &Path, count: usize) {
    let model = Model::load(folder.join("in.txt")).unwrap_or_else(|error| panic!("{error}"));
    fs::create_dir(folder.join("samples")).expect("a folder can be made");
    for (index, sample) in samples(&model, count).into_iter().enumerate() {
        let bytes = sample.to_npz().expect("a sample can be written");
        fs::write(folder.join(format!("samples/{index}.npz")), bytes).expect("it can be written");
    }
}

/// Samples with floats between -1 and 1.
fn samples(model: &Model, count: usize) -> Vec<Sample> {
    let mut random = Random(7);
    let mut signed = |tensor: Tensor| match tensor.dtype() {
        DataType::Float => {
            let len = tensor.shape().iter().product::<usize>();
            let mut number = || (random.below(2_000_001) as f32 - 1e6) / 1e6;
            let numbers: Vec<f32> = (0..len).map(|_| number()).collect();
            let array = ndarray::ArrayD::from_shape_vec(tensor.shape(), numbers).expect("as many as there were");
            Tensor::from_array(tensor.name(), &array)
        }
        _ => tensor,
    };
    let made = Samples::random(model, count).unwrap_or_else(|error| ignore(error.to_string()));
    made.map(|sample| {
        let sample = sample.expect("random samples need no file");
        Sample::new(sample.origin, sample.inputs.into_iter().map(&mut signed).collect())
    })
    .collect()
}

/// The numbers in the engine that is built in.
pub fn assert_in_rten(case: &Case) {
    let made = written(case);
    let expected = Model::load(&made.expected).unwrap_or_else(|error| panic!("{error}"));
    let sample = samples(&expected, 1).remove(0);
    let wanted = outputs(&expected, &sample).unwrap_or_else(|error| ignore(error));
    for path in &made.written {
        let model = Model::load(path).unwrap_or_else(|error| panic!("{error}"));
        let got = outputs(&model, &sample).unwrap_or_else(|error| ignore(error));
        for (index, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
            let far = relative(got, wanted);
            assert!(far <= case.tolerance, "{}: output {index} is off by {far:e} of its largest", path.display());
        }
    }
}

/// What was written, or nothing to compare.
fn written(case: &Case) -> &Made {
    let made = case.made();
    if made.written.is_empty() {
        ignore("the command writes no model");
    }
    made
}

/// The float outputs of a run.
fn outputs(model: &Model, sample: &Sample) -> Result<Vec<Vec<f32>>, String> {
    let outputs = model.scope(Model::MAIN).outputs().iter().map(|output| output.value);
    let watched: Vec<ValueId> = outputs.filter(|&value| can_be_watched(model, value).is_ok()).collect();
    if watched.is_empty() {
        return Err("no output is a float tensor that can be observed".to_owned());
    }
    let observation = Observation::new(model, &watched).map_err(|error| error.to_string())?;
    let mut session = RtenEngine.load(&observation).map_err(|error| error.to_string())?;
    let mut seen = vec![Vec::new(); watched.len()];
    let mut keep = |values: onnx_quant::calibration::Observed| {
        for value in values {
            seen[value.index] = value.elements.to_vec();
        }
    };
    session.run(&sample.inputs, &mut keep).map_err(|error| error.to_string())?;
    Ok(seen)
}

fn relative(got: &[f32], wanted: &[f32]) -> f64 {
    if got.len() != wanted.len() {
        return f64::INFINITY;
    }
    let largest = wanted.iter().filter(|x| x.is_finite()).fold(0f64, |largest, &x| largest.max(f64::from(x).abs()));
    let differences =
        got.iter().zip(wanted).map(|(&got, &wanted)| match got == wanted || got.is_nan() && wanted.is_nan() {
            true => 0.0,
            false => (f64::from(got) - f64::from(wanted)).abs() / largest.max(f64::MIN_POSITIVE),
        });
    differences.fold(0.0, |far, difference| if difference.is_nan() { f64::INFINITY } else { far.max(difference) })
}

/// The numbers in onnxruntime, or in the reference implementation where onnxruntime has no kernel.
pub fn assert_in_onnxruntime(cases: &[Case], index: usize) {
    // Starting Python takes a second: all cases are run at once, by the test that comes first.
    static ANSWERS: OnceLock<Vec<Vec<Answer>>> = OnceLock::new();
    written(&cases[index]);
    let answers = ANSWERS.get_or_init(|| compare_all(cases));
    for (path, answer) in cases[index].made().written.iter().zip(&answers[index]) {
        let differences = match answer {
            Ok(differences) => differences,
            Err(error) => panic!("{}: {error}", path.display()),
        };
        for (output, difference) in differences {
            assert!(difference.relative <= cases[index].tolerance, "{}: {output}: {difference:?}", path.display());
        }
    }
}

type Answer = Result<std::collections::BTreeMap<String, Difference>, String>;

fn compare_all(cases: &[Case]) -> Vec<Vec<Answer>> {
    let side = |model: &Path| Side { model: model.to_owned(), engine: Engine::OnnxruntimePlain };
    let mut requests = Vec::new();
    for case in cases.iter().filter(|case| case.has_numbers()) {
        let made = case.made();
        requests.extend(made.written.iter().map(|written| Comparison {
            left: side(&made.expected),
            right: side(written),
            inputs: Inputs { seed: 3, ..Inputs::default() },
        }));
    }
    let mut answers = runtime::compare(&requests);
    let missing = |answer: &Answer| answer.as_ref().is_err_and(|error| error.contains("NOT_IMPLEMENTED"));
    let indices: Vec<usize> = (0..answers.len()).filter(|&index| missing(&answers[index])).collect();
    for &index in &indices {
        requests[index].right.engine = Engine::Reference;
    }
    let again: Vec<Comparison> = indices.iter().map(|&index| requests[index].clone()).collect();
    for (index, answer) in indices.into_iter().zip(runtime::compare(&again)) {
        answers[index] = answer;
    }
    let mut answers = answers.into_iter();
    let of = |case: &Case| if case.has_numbers() { case.made().written.len() } else { 0 };
    cases.iter().map(|case| answers.by_ref().take(of(case)).collect()).collect()
}
