//! Activations whose scales each run finds: small graphs, quantized without samples, run in onnxruntime and in the
//! reference implementation, and the test models.

use crate::{runtime, testdata};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use onnx_quant::{
    ActivationType, Activations, Config, Granularity, Model, Report, SaveOptions, WeightForm, WeightType, explain,
    quantize,
};
use runtime::{Comparison, Engine, Inputs, Side, Tensor, Text, texts::model_text};

/// A graph, and what is expected of it.
struct Case {
    name: &'static str,
    text: &'static str,
    config: Config,
    /// The operators of the graph that onnxruntime makes of the quantized model, sorted.
    kernels: &'static str,
    /// The layers that stay float, each with a part of the reason.
    float: &'static [(&'static str, &'static str)],
    /// Whether the reference implementation has all that is written.
    reference: bool,
    feeds: &'static [(&'static str, &'static str, &'static [usize], &'static [f64])],
}

/// A case of which no layer stays float.
fn case(name: &'static str, kernels: &'static str, text: &'static str) -> Case {
    Case { name, text, config: dynamic(), kernels, float: &[], reference: true, feeds: &[] }
}

fn lstm(name: &'static str, kernels: &'static str, text: &'static str) -> Case {
    Case { reference: false, ..case(name, kernels, text) }
}

fn dynamic() -> Config {
    let activations = Activations::default().with_ty(ActivationType::Dynamic);
    Config::default().with_activations(activations)
}

fn quantized(model: &Model, config: &Config) -> (Model, Report) {
    let mut model = model.clone();
    let report = quantize(&mut model, config).unwrap_or_else(|error| panic!("{error}"));
    model.verify().expect("it is sound");
    (model, report)
}

/// Quantizes all cases and checks each: the reasons of layers that stay float, the kernels that onnxruntime finds, and
/// that these are the ones which are explained, how close the outputs are to the float model's and to what the
/// reference implementation makes of the file, and that doing it again makes the same.
/// The files that were written.
fn check(group: &str, cases: &[Case]) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dynamic").join(group);
    fs::create_dir_all(&folder).expect("a folder");
    let at = |case: &Case, suffix: &str| folder.join(format!("{}{suffix}.onnx", case.name));
    let texts: Vec<Text> =
        cases.iter().map(|case| Text { model: at(case, ""), text: model_text(17, case.text) }).collect();
    let answers = runtime::parse(&texts);
    answers.into_iter().for_each(|answer| answer.unwrap_or_else(|error| panic!("{error}")));
    let mut wrong = Vec::new();
    let mut files: Vec<PathBuf> = Vec::new();
    for case in cases {
        let (model, report) = quantized(&Model::load(at(case, "")).expect("it loads"), &case.config);
        let again = quantized(&Model::from_bytes(model.to_bytes()).expect("it loads"), &case.config).0;
        assert_eq!(again.to_text(), model.to_text(), "{}: it goes on when it is run on its result", case.name);
        let activations = report.activations.expect("there is a plan");
        let stay: Vec<(&str, &str)> = activations.float_layers().map(|layer| (&*layer.operator, &*layer.why)).collect();
        let as_expected =
            |(is, want): (&(&str, &str), &(&str, &str))| is.0.starts_with(want.0) && is.1.contains(want.1);
        if stay.len() != case.float.len() || !stay.iter().zip(case.float).all(as_expected) {
            wrong.push(format!("{}: float: {stay:?}", case.name));
        }
        let file = at(case, "_dynamic");
        model.save(&file, &SaveOptions::default()).expect("it can be written");
        files.push(file);
    }
    for ((case, file), kernels) in cases.iter().zip(&files).zip(runtime::kernels(&files)) {
        let kernels = kernels.map(|kernels| listed(&kernels)).unwrap_or_else(|error| error);
        if kernels != case.kernels {
            wrong.push(format!("{}: kernels: {kernels}", case.name));
        }
        let explained = explain::explain(&Model::load(file).expect("it loads"), &Config::default().target);
        for operator in explained.expect("it is explained").operators {
            let integer = operator.runs_as.starts_with("DynamicQuantize") || operator.runs_as == "MatMulIntegerToFloat";
            if integer && operator.op_type != operator.runs_as && !kernels.contains(&operator.runs_as) {
                wrong.push(format!("{}: {operator:?}", case.name));
            }
        }
    }
    let inputs = |case: &Case| {
        let feed = |&(name, dtype, shape, values): &(&str, &str, &[usize], &[f64])| {
            (name.to_owned(), Tensor { dtype: dtype.to_owned(), shape: shape.to_vec(), values: values.to_vec() })
        };
        Inputs { feeds: case.feeds.iter().map(feed).collect(), ..Inputs::default() }
    };
    let side = |model: &Path, engine| Side { model: model.to_path_buf(), engine };
    let compare = |left: &dyn Fn(&Case) -> PathBuf, engines: [Engine; 2], cases: &[&Case]| {
        let one = |case: &&Case| Comparison {
            left: side(&left(case), engines[0]),
            right: side(&at(case, "_dynamic"), engines[1]),
            inputs: inputs(case),
        };
        runtime::compare(&cases.iter().map(one).collect::<Vec<_>>())
    };
    let all: Vec<&Case> = cases.iter().collect();
    let float = compare(&|case| at(case, ""), [Engine::OnnxruntimePlain, Engine::Onnxruntime], &all);
    let referred: Vec<&Case> = cases.iter().filter(|case| case.reference).collect();
    let reference = compare(&|case| at(case, "_dynamic"), [Engine::Reference, Engine::Onnxruntime], &referred);
    let comparisons =
        all.iter().zip(float).map(|it| (it, 0.03)).chain(referred.iter().zip(reference).map(|it| (it, 1e-4)));
    for ((case, answer), bound) in comparisons {
        for (output, difference) in answer.unwrap_or_else(|error| panic!("{}: {error}", case.name)) {
            let rounded = bound < 0.01 || !difference.identical || case.kernels == NOTHING;
            if difference.relative > bound || !rounded {
                wrong.push(format!("{}: {output} is off by {} (bound {bound})", case.name, difference.relative));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    files
}

/// `Conv*2 Relu`.
fn listed(kernels: &BTreeMap<String, usize>) -> String {
    let each = kernels.iter().map(|(name, count)| match count {
        1 => name.clone(),
        count => format!("{name}*{count}"),
    });
    each.collect::<Vec<_>>().join(" ")
}

/// What is left of a model without a layer that computes in integers.
const NOTHING: &str = "Conv";

fn products() {
    let cases = [
        case(
            "matrix",
            "DynamicQuantizeMatMul",
            "g (float[2,6] x) => (float[2,4] y) <float[6,4] w = {?}> { y = MatMul (x, w) }",
        ),
        case(
            "several_axes_and_bias",
            "DynamicQuantizeMatMul",
            "g (float[\"n\",3,6] x) => (float[\"n\",3,4] y) <float[6,4] w = {?}, float[4] b = {?}> { a = MatMul (x, w) y = Add (b, a) }",
        ),
        case(
            "vector",
            "DynamicQuantizeMatMul",
            "g (float[6] x) => (float[4] y) <float[6,4] w = {?}> { y = MatMul (x, w) }",
        ),
        case(
            "gemm",
            "DynamicQuantizeMatMul",
            "g (float[2,6] x) => (float[2,4] y) <float[6,4] w = {?}, float[4] b = {?}> { y = Gemm (x, w, b) }",
        ),
        case(
            "gemm_with_factors",
            "DynamicQuantizeMatMul Transpose",
            "g (float[6,2] x) => (float[2,4] y) <float[4,6] w = {?}, float[1,4] b = {?}>
             { y = Gemm <alpha = 0.5, beta = 2.0, transA = 1, transB = 1> (x, w, b) }",
        ),
        case(
            "gemm_that_adds_what_is_computed",
            "Add DynamicQuantizeMatMul Mul",
            "g (float[2,6] x, float[2,4] c) => (float[2,4] y) <float[6,4] w = {?}> { y = Gemm <beta = 3.0> (x, w, c) }",
        ),
        case(
            "three_readers",
            "DynamicQuantizeLinear MatMulIntegerToFloat*3",
            "g (float[2,3,6] x) => (float[2,3,4] q, float[2,3,4] k, float[2,3,5] v)
             <float[6,4] w = {?}, float[6,4] u = {?}, float[6,5] t = {?}, float[5] b = {?}>
             { q = MatMul (x, w) k = MatMul (x, u) m = MatMul (x, t) v = Add (m, b) }",
        ),
        Case {
            config: dynamic().with_allow_growth(true),
            ..case(
                "weight_behind_transpose_and_table",
                "DequantizeLinear DynamicQuantizeMatMul Gather",
                "g (int64[2,3] i) => (float[2,3,9] y) <float[9,6] w = {?}>
                 { x = Gather (w, i) t = Transpose <perm = [1, 0]> (w) y = MatMul (x, t) }",
            )
        },
        case(
            "shared_weight",
            "DynamicQuantizeMatMul*2 Tanh",
            "g (float[2,4] x) => (float[2,4] y) <float[4,4] w = {?}> { a = MatMul (x, w) b = Tanh (a) y = MatMul (b, w) }",
        ),
    ];
    check("products", &cases);
}

fn types_of_weights() {
    let text = "g (float[2,6] x) => (float[2,4] y) <float[6,4] w = {?}, float[4] b = {?}> { a = MatMul (x, w) y = Add (a, b) }";
    let with = |name, config: Config| Case { config, ..case(name, "DynamicQuantizeMatMul", text) };
    let cases = [
        with("uint8", dynamic().with_weights(WeightType::Uint8)),
        with("asymmetric", dynamic().with_asymmetric(true)),
        with("per_tensor", dynamic().with_granularity(Granularity::PerTensor)),
        with("seven_bits", {
            let mut config = dynamic();
            config.activations.reduce_range = true;
            config
        }),
    ];
    check("types_of_weights", &cases);
}

fn bodies_and_functions() {
    let cases = [
        case(
            "weight_outside_of_a_branch",
            "DynamicQuantizeMatMul*2 If",
            "g (float[2,6] x, bool c) => (float[2,4] y) <float[6,4] w = {?}, float[6,4] v = {?}>
             { y = If (c) <then_branch = t () => (float[2,4] p) { p = MatMul (x, w) }, else_branch = e () => (float[2,4] q) { q = MatMul (x, v) }> }",
        ),
        Case {
            feeds: &[("n", "int64", &[], &[2.0]), ("c", "bool", &[], &[1.0])],
            ..case(
                "loop",
                "DynamicQuantizeMatMul Identity Loop",
                "g (int64 n, bool c, float[2,4] x) => (float[2,4] y) <float[4,4] w = {?}>
                 { y = Loop (n, c, x) <body = b (int64 i, bool k, float[2,4] s) => (bool l, float[2,4] r) { l = Identity (k) r = MatMul (s, w) }> }",
            )
        },
        Case {
            reference: false,
            ..case(
                "function",
                "DynamicQuantizeLSTM DynamicQuantizeMatMul Squeeze Tanh",
                "<ir_version: 8, opset_import: [\"\": 17, \"own\": 1]>
                 g (float[40,1,3] x, float[1,16,3] w, float[1,16,4] r) => (float[40,1,5] y) <float[1] unused = {0}> { y = own.f (x) }
                 <domain: \"own\", opset_import: [\"\": 17]>
                 f (x) => (y) {
                   t = Tanh (x)
                   w = Constant <value = float[1,16,3] {?}> ()
                   r = Constant <value = float[1,16,4] {?}> ()
                   h = LSTM <hidden_size = 4> (t, w, r)
                   o = Constant <value_ints = [1]> ()
                   s = Squeeze (h, o)
                   m = Constant <value = float[4,5] {?}> ()
                   y = MatMul (s, m)
                 }",
            )
        },
    ];
    check("bodies_and_functions", &cases);
}

fn lstm_of_all_kinds() {
    const BOUNDED: &str = "DynamicQuantizeLSTM Tanh";
    let cases = [
        lstm(
            "forward",
            BOUNDED,
            "g (float[9,2,3] x) => (float[9,1,2,4] y, float[1,2,4] h, float[1,2,4] c) <float[1,16,3] w = {?}, float[1,16,4] r = {?}>
             { t = Tanh (x) y, h, c = LSTM <hidden_size = 4> (t, w, r) }",
        ),
        lstm(
            "reverse_with_bias",
            BOUNDED,
            "g (float[9,2,3] x) => (float[9,1,2,4] y) <float[1,16,3] w = {?}, float[1,16,4] r = {?}, float[1,32] b = {?}>
             { t = Tanh (x) y = LSTM <hidden_size = 4, direction = \"reverse\"> (t, w, r, b) }",
        ),
        Case {
            feeds: &[("n", "int32", &[2], &[9.0, 4.0])],
            ..lstm(
                "both_directions_lengths_states_and_peepholes",
                BOUNDED,
                "g (float[9,2,3] x, int32[2] n, float[2,2,4] i, float[2,2,4] j) => (float[9,2,2,4] y, float[2,2,4] h, float[2,2,4] c)
                 <float[2,16,3] w = {?}, float[2,16,4] r = {?}, float[2,32] b = {?}, float[2,12] p = {?}>
                 { t = Tanh (x) y, h, c = LSTM <hidden_size = 4, direction = \"bidirectional\"> (t, w, r, b, n, i, j, p) }",
            )
        },
        Case {
            config: dynamic().with_granularity(Granularity::PerTensor).with_weights(WeightType::Uint8),
            ..lstm(
                "one_scale_uint8",
                BOUNDED,
                "g (float[9,2,3] x) => (float[2,2,4] h) <float[2,16,3] w = {?}, float[2,16,4] r = {?}>
                 { t = Tanh (x) , h = LSTM <hidden_size = 4, direction = \"bidirectional\"> (t, w, r) }",
            )
        },
        lstm(
            "weights_of_two_branches",
            "DynamicQuantizeLSTM*2 If Tanh",
            "g (float[9,2,3] x, bool c) => (float[9,1,2,4] y) <float[1,16,3] w = {?}, float[1,16,4] r = {?}>
             { t = Tanh (x)
               y = If (c) <then_branch = a () => (float[9,1,2,4] p) { p = LSTM <hidden_size = 4> (t, w, r) },
                           else_branch = b () => (float[9,1,2,4] q) { q = LSTM <hidden_size = 4, direction = \"reverse\"> (t, w, r) }> }",
        ),
        lstm(
            "one_behind_another",
            "DequantizeLinear*2 DynamicQuantizeLSTM LSTM Squeeze",
            "g (float[40,2,3] x) => (float[40,1,2,4] y) <float[1,16,3] w = {?}, float[1,16,4] r = {?}, float[1,16,4] v = {?}, float[1,16,4] s = {?}, int64[1] a = {1}>
             { z = LSTM <hidden_size = 4> (x, w, r) t = Squeeze (z, a) y = LSTM <hidden_size = 4> (t, v, s) }",
        ),
    ];
    let mut cases = cases;
    cases[5].float = &[("LSTM", "nothing tells that 'x' is of one size")];
    cases[5].config.allow_growth = true;
    let files = check("lstm_of_all_kinds", &cases);
    let constants = Model::load(&files[4]).expect("it loads").tensors().count();
    assert_eq!(constants, 6, "branches share a weight, its scales and zero points");
    insta::assert_snapshot!(Model::load(&files[1]).expect("it loads").to_text());
}

/// What would be slow, or lose too much, stays as it is.
fn what_stays_float() {
    let cases = [
        Case {
            float: &[("Conv", "no fast integer kernel")],
            ..case("convolution", NOTHING, "g (float[1,3,8] x) => (float[1,4,6] y) <float[4,3,3] w = {?}> { y = Conv (x, w) }")
        },
        Case {
            float: &[("LSTM", "of one size")],
            reference: false,
            ..case(
                "few_steps",
                "DynamicQuantizeMatMul LSTM",
                "g (float[1,2,3] x) => (float[1,1,2,2] y) <float[1,16,3] w = {?}, float[1,16,4] r = {?}, float[4,2] m = {?}>
                 { z = LSTM <hidden_size = 4> (x, w, r) y = MatMul (z, m) }",
            )
        },
        Case {
            float: &[("LSTM", "without bounds")],
            reference: false,
            ..case(
                "functions_without_bounds",
                "DynamicQuantizeMatMul LSTM Tanh",
                "g (float[4,2,3] x) => (float[4,1,2,2] y) <float[1,16,3] w = {?}, float[1,16,4] r = {?}, float[4,2] m = {?}>
                 { t = Tanh (x) z = LSTM <hidden_size = 4, activations = [\"Sigmoid\", \"Relu\", \"Tanh\"]> (t, w, r) y = MatMul (z, m) }",
            )
        },
        Case {
            float: &[("MatMul", "weight is not a constant"), ("MatMul", "weight of 3 axes"), ("MatMul", "left factor")],
            ..case(
                "other_products",
                "DynamicQuantizeMatMul MatMul*3",
                "g (float[2,4,4] x) => (float[2,4,4] y) <float[2,4,4] w = {?}, float[4,4] v = {?}, float[4,4] u = {?}>
                 { a = MatMul (x, x) b = MatMul (a, w) c = MatMul (v, b) y = MatMul (c, u) }",
            )
        },
        Case {
            float: &[("MatMul 'kept'", "excluded by")],
            config: dynamic().with_exclude(vec!["kept".parse().expect("a pattern")]),
            ..case(
                "excluded",
                "DynamicQuantizeMatMul MatMul",
                "g (float[2,4] x) => (float[2,4] y) <float[4,4] w = {?}, float[4,4] v = {?}> { [kept] a = MatMul (x, w) y = MatMul (a, v) }",
            )
        },
    ];
    check("what_stays_float", &cases);
}

/// On request what stays float is small none the less.
fn float_layers_stored_as_integers() {
    let config = dynamic().with_store_float_layers(Some(WeightType::Int8));
    let float = Model::load("testdata/kws_dscnn.onnx").expect("it loads");
    let (plain, stored) = (quantized(&float, &dynamic()).0, quantized(&float, &config));
    assert!(2 * stored.0.to_bytes().len() < plain.to_bytes().len(), "the weights of convolutions are small");
    assert_eq!(stored.1.activations.expect("there is a plan").integer().count(), 1);
    assert_eq!(quantized(&stored.0, &config).0.to_text(), stored.0.to_text());
}

fn settings_that_do_not_go_together() {
    let mut model = Model::load("testdata/made/mlp.onnx").expect("it loads");
    let before = model.to_bytes();
    let refused = [
        (dynamic().with_weights(WeightType::Int4), "int8 or uint8"),
        (dynamic().with_granularity(Granularity::Block { size: 32, axis: None }), "int8 or uint8"),
        (dynamic().with_weight_form(WeightForm::Qdq), "weight-form"),
        (dynamic().with_target("openvino".parse().expect("a target")), "openvino has no integer kernels"),
    ];
    for (config, message) in refused {
        let error = quantize(&mut model, &config).expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    }
    assert!(dynamic().check_for_activations().is_err(), "samples say nothing of what each run finds");
    assert_eq!(model.to_bytes(), before);
}

/// The structure of one layer, read as it is written.
fn what_is_written() {
    let float = Model::load("testdata/made/gemm_transposed.onnx").expect("it loads");
    insta::assert_snapshot!(quantized(&float, &dynamic()).0.to_text());
}

/// Every test model that can be quantized runs, near to what it computed, and is not changed a second time.
fn test_models() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dynamic").join("models");
    fs::create_dir_all(&folder).expect("a folder");
    let mut comparisons = Vec::new();
    for fixture in testdata::fixtures().iter().filter(|fixture| fixture.onnxruntime.is_none()) {
        let path = fixture.path();
        let Ok(float) = Model::load(&path) else { continue };
        let mut model = float.clone();
        // Some cannot be raised to the opset that is needed.
        let Ok(report) = quantize(&mut model, &dynamic()) else { continue };
        model.verify().expect("it is sound");
        let again = quantized(&Model::from_bytes(model.to_bytes()).expect("it loads"), &dynamic()).0;
        assert!(again.to_bytes() == model.to_bytes(), "{}: it goes on", path.display());
        if report.activations.is_none_or(|found| found.integer().count() == 0) {
            continue;
        }
        let file = folder.join(path.file_name().expect("a file"));
        model.save(&file, &SaveOptions::default()).expect("it can be written");
        // onnxruntime's float model reads the outer weight of the same name.
        if path.ends_with("shadowing.onnx") {
            continue;
        }
        let left = Side { model: path, engine: Engine::OnnxruntimePlain };
        let right = Side { model: file, engine: Engine::Onnxruntime };
        comparisons.push(Comparison {
            left,
            right,
            inputs: Inputs { dims: fixture.dims.clone(), ..Inputs::default() },
        });
    }
    assert!(comparisons.len() > 50);
    let answers = runtime::compare(&comparisons);
    let mut wrong = Vec::new();
    for (comparison, answer) in comparisons.iter().zip(answers) {
        match answer {
            Ok(differences) => {
                wrong.extend(differences.iter().filter(|(_, it)| it.relative > 0.08).map(|(output, it)| {
                    format!("{}: {output} is off by {}", comparison.left.model.display(), it.relative)
                }))
            }
            Err(error) => wrong.push(format!("{}: {error}", comparison.left.model.display())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

crate::tests![
    products,
    types_of_weights,
    bodies_and_functions,
    lstm_of_all_kinds,
    what_stays_float,
    float_layers_stored_as_integers,
    settings_that_do_not_go_together,
    what_is_written,
    test_models
];
