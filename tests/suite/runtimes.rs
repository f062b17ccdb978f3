//! The module `runtime` does what it says: its answers are right where the right ones are known.

use crate::{runtime, testdata};
use runtime::{Comparison, Engine, Inputs, Run, Side, Tensor, WeightCheck, rten_engine};

/// What float32 sums in another order may differ by on these networks.
const TOLERANCE: f64 = 1e-4;

fn side(model: &str) -> Side {
    Side { model: testdata::path(model), engine: Engine::Onnxruntime }
}

fn seeded(seed: u64) -> Inputs {
    Inputs { seed, ..Inputs::default() }
}

fn rten_agrees_with_onnxruntime() {
    let models = ["rten_mnist.onnx", "kws_dscnn.onnx", "mnist_external/mnist.onnx", "made/if_outer_weights.onnx"];
    let requests = models.map(|model| Run { side: side(model), inputs: seeded(7) });
    let answers = runtime::run(&requests);
    for (model, answer) in models.iter().zip(answers) {
        let expected = answer.expect("onnxruntime runs it");
        let outputs = rten_engine::run(&testdata::path(model), &expected.inputs).expect("rten runs it");
        assert!(outputs.keys().eq(expected.outputs.keys()), "{model}");
        for (name, tensor) in &outputs {
            let wanted = &expected.outputs[name];
            assert_eq!(tensor.shape, wanted.shape, "{model}: {name}");
            let pairs = tensor.values.iter().zip(&wanted.values);
            let largest = pairs.map(|(got, want)| (got - want).abs()).fold(0.0, f64::max);
            assert!(largest <= TOLERANCE, "{model}: {name} differs by {largest}");
        }
    }
}

fn a_model_is_identical_to_itself_and_not_to_another() {
    let same = Comparison { left: side("made/lstm.onnx"), right: side("made/lstm.onnx"), inputs: seeded(1) };
    let other = Comparison {
        left: side("made/values_zero.onnx"),
        right: side("made/values_uneven_channels.onnx"),
        inputs: seeded(1),
    };
    let mut answers = runtime::compare(&[same, other]);
    let refused = answers.pop().expect("two answers").expect_err("the shapes differ");
    assert!(refused.contains("x"), "{refused}");
    let differences = answers.pop().expect("two answers").expect("it runs");
    assert_eq!(differences.len(), 3);
    assert!(differences.values().all(|one| one.identical && one.max_abs == 0.0 && one.sqnr_db == f64::INFINITY));
}

fn nan_and_infinity_survive_the_way_there_and_back() {
    let x = Tensor { dtype: "float32".to_owned(), shape: vec![2, 8], values: vec![1.0; 16] };
    let mut inputs = seeded(0);
    inputs.feeds.insert("x".to_owned(), Tensor { values: [vec![f64::INFINITY; 8], vec![1.0; 8]].concat(), ..x });
    let models = ["made/values_infinite.onnx", "made/values_nan.onnx", "made/values_zero.onnx"];
    let requests = models.map(|model| Run { side: side(model), inputs: inputs.clone() });
    let answers = runtime::run(&requests);
    let y: Vec<Vec<f64>> = answers.into_iter().map(|a| a.expect("it runs").outputs["y"].values.clone()).collect();
    assert_eq!(y[0][5], f64::INFINITY);
    assert_eq!(y[0][7], f64::NEG_INFINITY);
    assert!(y[1][5].is_nan());
    assert_eq!(y[2][4..], [0.0; 4]);
}

fn stored_integers_are_compared_with_the_reference() {
    let model = testdata::path("made/qdq_beside_float.onnx");
    let check = |weight: &str, stored: &str| WeightCheck {
        float_model: model.clone(),
        weight: weight.to_owned(),
        quantized_model: model.clone(),
        stored: stored.to_owned(),
        transposed: false,
    };
    let checks = [check("w", "w_quantized"), check("v", "v_quantized"), check("w", "v_quantized"), check("w", "none")];
    let answers = runtime::weights(&checks);
    let int8 = answers[0].as_ref().expect("it is compared");
    assert_eq!((int8.dtype.as_str(), int8.elements, int8.mismatches), ("int8", 48, 0));
    assert_eq!(int8.scale_shape, [6]);
    let int4 = answers[1].as_ref().expect("it is compared");
    assert_eq!((int4.dtype.as_str(), int4.elements, int4.mismatches), ("int4", 24, 0));
    assert!(int8.max_abs_error > 0.0 && int8.max_abs_error < int4.max_abs_error);
    assert!(answers[2].is_err() && answers[3].is_err());
}

fn kernels_show_what_was_fused() {
    let answers = runtime::kernels(&[testdata::path("made/qdq_partly.onnx")]);
    let kernels = answers[0].as_ref().expect("it loads");
    assert_eq!(kernels.get("QLinearConv"), Some(&1), "{kernels:?}");
    assert_eq!(kernels.get("Conv"), None, "{kernels:?}");
}

crate::tests![
    rten_agrees_with_onnxruntime,
    a_model_is_identical_to_itself_and_not_to_another,
    nan_and_infinity_survive_the_way_there_and_back,
    stored_integers_are_compared_with_the_reference,
    kernels_show_what_was_fused
];
