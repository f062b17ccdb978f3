//! What engines observe: the numbers that onnxruntime computes for the same values, in the main graph
//! and in If bodies; and what is said when something is wrong.

use crate::{runtime, testdata};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::ControlFlow,
};

use onnx_quant::{
    Error, ErrorKind, Model, Result,
    calibration::{
        Collect, Engine, Observation, RtenEngine, Sample, Session, can_be_watched, observe as calibrate, proceed,
        value_keys,
    },
    ir::{DataType, Tensor, ValueId},
};
use runtime::{Inputs, Run, Side, samples::sample};
use testdata::{Fixture, fixtures};

/// What float32 sums in another order may differ by, of the largest magnitude of the value.
const TOLERANCE: f64 = 2e-5;
const MIN_MAX: Collect = Collect { histogram: false };

/// Fixtures that rten does not load or run, and a part of what it says.
const RTEN_CANNOT: &[(&str, &str)] = &[
    ("made/constant_sparse.onnx", "sparse_value"),
    ("made/conv_ranks.onnx", "input must have 4 dims (NCHW)"),
    ("made/contrib_operators.onnx", "com.microsoft/Attention operator not supported"),
    ("made/function_arguments.onnx", "operator not supported"),
    ("made/function_called_from_body.onnx", "operator not supported"),
    ("made/function_constants.onnx", "operator not supported"),
    ("made/function_nested.onnx", "operator not supported"),
    ("made/function_overloads.onnx", "operator not supported"),
    ("made/gru.onnx", "`linear_before_reset=0` is not supported"),
    ("made/metadata_everywhere.onnx", "operator not supported"),
    ("made/not_to_be_raised.onnx", "coordinate_transformation_mode"),
    ("made/opset10.onnx", "Resize operator uses opset version 10"),
    ("made/opset10_axis_conversions.onnx", "Hardmax operator not supported"),
    ("made/qdq_beside_float.onnx", "INT4"),
    ("made/qdq_blocked_int4.onnx", ""),
    ("made/qdq_without_zero_points.onnx", "unsupported input type"),
    ("made/quantized_operators.onnx", "QLinearMatMul operator not supported"),
    ("made/rnn.onnx", "RNN operator not supported"),
    ("made/scan.onnx", "Scan operator not supported"),
    ("made/sequence_map.onnx", "SequenceMap operator not supported"),
    ("made/sparse_initializer.onnx", ""),
];

fn load(name: &str) -> Model {
    Model::load(testdata::path(name)).expect("a fixture loads")
}

fn find(model: &Model, name: &str) -> ValueId {
    let mut named = model.values().filter(|&value| model.value(value).name() == name);
    named.next().unwrap_or_else(|| panic!("there is no '{name}'"))
}

/// What one run makes of the watched values; `None` for one that it did not compute.
fn one_run(session: &mut dyn Session, inputs: &[Tensor], count: usize) -> Result<Vec<Option<Vec<f32>>>> {
    let mut values = vec![None; count];
    session.run(inputs, &mut |observed| {
        for value in observed {
            values[value.index] = Some(value.elements.to_vec());
        }
    })?;
    Ok(values)
}

/// Every value that can be watched is an output in onnxruntime, and what engines observe of those that
/// are floats is what onnxruntime computes; a value that it has no elements of is not observed.
fn engines_observe_what_onnxruntime_computes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut watched_everything = Vec::new();
    let mut requests = Vec::new();
    for (index, fixture) in fixtures().into_iter().enumerate() {
        if fixture.onnxruntime.is_some() {
            continue;
        }
        let model = Model::load(fixture.path()).expect("a fixture loads");
        let watched: Vec<ValueId> = model.values().filter(|&value| is_watched(&model, value)).collect();
        let observation = Observation::new(&model, &watched).expect("all of it can be watched");
        let path = folder.path().join(format!("{index}.onnx"));
        fs::write(&path, observation.to_bytes()).expect("a file is written");
        let inputs = Inputs { seed: 5, dims: fixture.dims.clone(), ..Inputs::default() };
        requests.push(Run { side: Side { model: path, engine: runtime::Engine::OnnxruntimePlain }, inputs });
        watched_everything.push((fixture, model, watched, observation.outputs().to_vec()));
    }
    let answers = runtime::run(&requests);
    let mut bodies = BTreeSet::new();
    let mut refused = Vec::new();
    for ((fixture, model, watched, outputs), answer) in watched_everything.into_iter().zip(answers) {
        let expected = match answer {
            Ok(expected) => expected,
            Err(error) => {
                refused.push((fixture.name, error));
                continue;
            }
        };
        let floats: Vec<(ValueId, &runtime::Tensor)> = watched
            .into_iter()
            .zip(&outputs)
            .map(|(value, output)| (value, &expected.outputs[output]))
            .filter(|(_, tensor)| tensor.dtype.starts_with("float"))
            .collect();
        if floats.is_empty() {
            continue;
        }
        #[cfg(feature = "onnxruntime")]
        compare(&fixture, &model, &expected.inputs, &floats, &onnxruntime()).expect("onnxruntime runs it here too");
        match compare(&fixture, &model, &expected.inputs, &floats, &RtenEngine) {
            Ok(()) => bodies.extend(
                floats
                    .iter()
                    .filter(|(value, _)| model.value(*value).scope() != Model::MAIN)
                    .map(|_| fixture.name.clone()),
            ),
            Err(error) => refused.push((fixture.name, error.to_string())),
        }
    }
    let known = |(name, error): &&(String, String)| {
        RTEN_CANNOT.iter().any(|(other, part)| name == other && error.contains(part))
    };
    let unknown: Vec<_> = refused.iter().filter(|one| !known(one)).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert_eq!(refused.len(), RTEN_CANNOT.len(), "rten runs more than is said here: {refused:#?}");
    assert!(bodies.contains("made/if_nested.onnx") && bodies.len() >= 4, "{bodies:?}");
}

#[cfg(feature = "onnxruntime")]
fn onnxruntime() -> onnx_quant::calibration::OnnxruntimeEngine {
    let library = runtime::onnxruntime_library();
    onnx_quant::calibration::OnnxruntimeEngine::new(Some(&library)).expect("the library can be loaded")
}

#[cfg(feature = "onnxruntime")]
fn a_library_that_is_not_there_is_named() {
    let error = onnx_quant::calibration::OnnxruntimeEngine::new(Some("nowhere/libonnxruntime.so".as_ref()));
    let error = error.expect_err("there is none").to_string();
    assert!(error.contains("nowhere") || error.contains("is loaded already"), "{error}");
    assert!(error.contains("ORT_DYLIB_PATH") || error.contains("is loaded already"), "{error}");
}

/// In the main graph all that is computed; in If bodies what must be floats, as nothing else can be
/// watched there.
fn is_watched(model: &Model, value: ValueId) -> bool {
    let computed = model.producer(value).map(|op| model.op(op).op_type());
    let floats = ["MatMul", "Gemm", "Conv", "Add", "Relu", "If"];
    let main = model.value(value).scope() == Model::MAIN;
    let is_watched = match computed {
        Some(computed) if main => computed != "Constant" && !computed.contains("Sequence"),
        Some(computed) => floats.contains(&computed),
        None => main && model.is_input(value),
    };
    is_watched && model.value(value).initializer().is_none() && can_be_watched(model, value).is_ok()
}

fn compare(
    fixture: &Fixture,
    model: &Model,
    inputs: &BTreeMap<String, runtime::Tensor>,
    expected: &[(ValueId, &runtime::Tensor)],
    engine: &dyn Engine,
) -> Result<()> {
    let watched: Vec<ValueId> = expected.iter().map(|(value, _)| *value).collect();
    let observation = Observation::new(model, &watched)?;
    let inputs = observation.inputs(&sample(inputs))?;
    let observed = one_run(engine.load(&observation)?.as_mut(), &inputs, watched.len())?;
    for ((value, wanted), got) in expected.iter().zip(observed) {
        let place = format!("{}: {} in {}", fixture.name, model.value(*value).name(), engine.name());
        let got = got.unwrap_or_default();
        assert_eq!(got.len(), wanted.values.len(), "{place}");
        let largest =
            wanted.values.iter().filter(|value| value.is_finite()).fold(1e-6, |max, value| value.abs().max(max));
        for (got, want) in got.iter().map(|&value| f64::from(value)).zip(&wanted.values) {
            let same = got == *want || got.is_nan() && want.is_nan();
            assert!(same || (got - want).abs() <= TOLERANCE * largest, "{place}: {got} instead of {want}");
        }
    }
    Ok(())
}

/// Samples for `if_nested.onnx` that take its branches in turn.
fn branches() -> Vec<Sample> {
    let conditions = [(1, 1, 1.0f32), (1, 0, 2.0), (1, 1, 3.0)];
    let flag = |name, flag: u8| Tensor::from_bytes(name, DataType::Bool, &[], vec![flag]).expect("a scalar");
    let samples = conditions.into_iter().enumerate().map(|(index, (outer, inner, x))| {
        let x = [x; 16].iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let x = Tensor::from_bytes("x", DataType::Float, &[2, 8], x).expect("the bytes fit");
        Sample::new(format!("{index}.npz"), vec![flag("outer", outer), flag("inner", inner), x])
    });
    samples.collect()
}

fn ok(samples: Vec<Sample>) -> impl Iterator<Item = Result<Sample>> {
    samples.into_iter().map(Ok)
}

fn a_branch_is_observed_when_it_is_taken() {
    let model = load("made/if_nested.onnx");
    let watched = ["x", "deep_y", "deep_else_y", "else_y", "y"].map(|name| find(&model, name));
    let (mut session_runs, samples) = (Vec::new(), branches());
    let observation = Observation::new(&model, &watched).expect("they can be watched");
    let mut session = RtenEngine.load(&observation).expect("rten loads it");
    for sample in &samples {
        let inputs = observation.inputs(sample).expect("the sample fits");
        let observed = one_run(session.as_mut(), &inputs, watched.len()).expect("it runs");
        session_runs.push(observed.iter().map(Option::is_some).collect::<Vec<_>>());
        assert_eq!(observed[0].as_deref().map(<[f32]>::len), Some(16));
        let taken = observed[1].as_ref().or(observed[2].as_ref());
        assert_eq!(taken, observed[4].as_ref(), "the outer value is the inner one's");
    }
    let deep = vec![true, true, false, false, true];
    assert_eq!(session_runs, [deep.clone(), vec![true, false, true, false, true], deep]);
}

fn ranges_are_the_same_at_every_number_of_threads() {
    let model = load("kws_dscnn.onnx");
    let watched: Vec<ValueId> =
        model.values().filter(|&value| model.producer(value).is_some_and(|op| model.op(op).is("Conv"))).collect();
    let logmel = |seed: usize| {
        let number = |index: usize| ((index * 31 + seed * 17) % 101) as f32 / 50.0 - 1.0;
        let bytes: Vec<u8> = (0..62 * 40).flat_map(|index| number(index).to_le_bytes()).collect();
        let tensor = Tensor::from_bytes("logmel", DataType::Float, &[1, 62, 40], bytes).expect("the bytes fit");
        Sample::new(seed.to_string(), vec![tensor])
    };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let samples = (0..5).map(|seed| Ok(logmel(seed)));
        let mut heard = Vec::new();
        let ranges = pool.install(|| {
            let mut heard_of = Vec::new();
            let ranges = calibrate(&model, &watched, samples, &RtenEngine, MIN_MAX, &mut |count| {
                heard_of.push(count);
                ControlFlow::Continue(())
            });
            heard = heard_of;
            ranges.expect("it runs")
        });
        assert_eq!(heard, [1, 2, 3, 4, 5]);
        ranges
    };
    let ranges = run(1);
    assert_eq!(ranges.values.len(), watched.len());
    assert_eq!(ranges, run(2));
}

fn keys_tell_values_of_one_name_apart() {
    let model = load("made/same_names_in_bodies.onnx");
    let named: Vec<_> = model.values().filter(|&value| model.value(value).name() == "body_y").collect();
    let keys = value_keys(&model);
    assert_eq!(keys[&find(&model, "x")], "x");
    let keys: BTreeSet<&String> = named.iter().map(|value| &keys[value]).collect();
    assert_eq!(keys.len(), 2);
    assert!(keys.iter().all(|key| key.ends_with("_branch/body_y") || key.ends_with("_branch/body_y (2)")), "{keys:?}");
}

fn error_of(model: &Model, samples: impl Iterator<Item = Result<Sample>>) -> Error {
    let watched = [find(model, "y")];
    calibrate(model, &watched, samples, &RtenEngine, MIN_MAX, &mut proceed).expect_err("something is wrong")
}

fn a_failure_names_its_sample_and_leaves_nothing() {
    let model = load("made/if_nested.onnx");
    let mut samples = branches();
    samples[1].inputs.pop();
    let error = error_of(&model, ok(samples));
    assert!(matches!(error.kind(), ErrorKind::SampleRun { number: 2, origin, .. } if origin == "1.npz"));
    assert!(error.to_string().contains("lacks input 'x'; it has 'outer', 'inner'"), "{error}");

    let mut samples = branches();
    samples[2].inputs[0] = Tensor::from_bytes("outre", DataType::Bool, &[], vec![1]).expect("a scalar");
    samples[2].inputs.push(Tensor::from_bytes("outer", DataType::Bool, &[], vec![1]).expect("a scalar"));
    let error = error_of(&model, ok(samples));
    assert!(error.to_string().contains("sample 3 (2.npz): has 'outre', which is no input"), "{error}");

    let mut samples = branches();
    samples[0].inputs[2] = Tensor::from_bytes("x", DataType::Float, &[1, 3], vec![0; 12]).expect("it fits");
    let error = error_of(&model, ok(samples));
    assert!(error.to_string().contains("sample 1 (0.npz): rten"), "{error}");

    let nothing = calibrate(&model, &[], ok(Vec::new()), &RtenEngine, MIN_MAX, &mut proceed);
    assert!(nothing.expect("nothing needs no samples").values.is_empty());
    let error = error_of(&model, ok(Vec::new()));
    assert!(error.to_string().contains("no calibration samples"), "{error}");
}

fn an_operator_that_rten_lacks_is_named() {
    let model = load("made/unknown_operator.onnx");
    let watched: Vec<ValueId> = model.scope(Model::MAIN).outputs().iter().map(|output| output.value).collect();
    let observation = Observation::new(&model, &watched).expect("an output can be watched");
    let error = RtenEngine.load(&observation).err().expect("nobody has it");
    assert!(matches!(error.kind(), ErrorKind::Engine { engine: "rten", .. }));
    assert!(error.location().operator.is_some(), "{error}");
    assert!(error.to_string().contains("--onnxruntime FILE"), "{error}");
}

fn integers_that_rten_cannot_hold_are_refused() {
    let model = load("made/embedding.onnx");
    let observation = Observation::new(&model, &[model.scope(Model::MAIN).outputs()[0].value]).expect("an output");
    let mut session = RtenEngine.load(&observation).expect("rten loads it");
    let input = model.value(model.scope(Model::MAIN).inputs()[0].value).name();
    let ids =
        Tensor::from_bytes(input, DataType::Int64, &[1, 1], (1i64 << 40).to_le_bytes().to_vec()).expect("it fits");
    let error = session.run(&[ids], &mut |_| {}).expect_err("it is no i32");
    assert!(error.to_string().contains("1099511627776"), "{error}");
}

fn values_in_loops_and_functions_cannot_be_watched() {
    let refused = |name: &str| {
        let model = load(name);
        let inside = model.values().find(|&value| model.value(value).scope() != Model::MAIN).expect("there are some");
        Observation::new(&model, &[inside]).expect_err("it cannot be watched").to_string()
    };
    assert!(refused("made/loop.onnx").contains("in the body of Loop"));
    assert!(refused("made/scan.onnx").contains("in the body of Scan"));
    assert!(refused("made/function_constants.onnx").contains("in function '"));
    let model = load("made/loop.onnx");
    let output = model.scope(Model::MAIN).outputs()[0].value;
    let error = Observation::new(&model, &[output, output]).expect_err("once is enough");
    assert!(error.to_string().contains("listed twice"), "{error}");
}

/// The engine plans a run by recursion: on the stack of a thread that is large enough for the model.
fn a_model_of_very_many_operators_in_a_row_is_run() {
    const OPERATORS: usize = 40_000;
    let chain: String = (1..OPERATORS).map(|index| format!("v{index} = Neg (v{}) ", index - 1)).collect();
    let text = format!("g (float[2] x) => (float[2] y) {{ v0 = Neg (x) {chain} y = Neg (v{}) }}", OPERATORS - 1);
    let model = Model::from_text(&crate::runtime::texts::model_text(17, &text)).expect("a model");
    let output = model.scope(Model::MAIN).outputs()[0].value;
    let observation = Observation::new(&model, &[output]).expect("it can be watched");
    let input = Tensor::from_array("x", &ndarray::arr1(&[1.0_f32, 2.0]));
    let mut session = RtenEngine.load(&observation).expect("it is loaded");
    let mut seen = Vec::new();
    session.run(&[input], &mut |observed| seen = observed[0].elements.to_vec()).expect("it runs");
    assert_eq!(seen, [-1.0, -2.0]);
}

crate::tests![
    engines_observe_what_onnxruntime_computes,
    #[cfg(feature = "onnxruntime")]
    a_library_that_is_not_there_is_named,
    a_branch_is_observed_when_it_is_taken,
    ranges_are_the_same_at_every_number_of_threads,
    keys_tell_values_of_one_name_apart,
    a_failure_names_its_sample_and_leaves_nothing,
    an_operator_that_rten_lacks_is_named,
    integers_that_rten_cannot_hold_are_refused,
    values_in_loops_and_functions_cannot_be_watched,
    a_model_of_very_many_operators_in_a_row_is_run,
];
