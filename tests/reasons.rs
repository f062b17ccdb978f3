//! Every large float constant that stays float is named, with what is so.

mod runtime;

use std::path::{Path, PathBuf};

use onnx_quant::{Config, Model, quantize};
use runtime::{Text, texts::model_text};

/// A name, a model, the constants that stay float with a part of the reason, and how many are only counted.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)], usize);

const CASES: &[Case] = &[
    (
        "einsum",
        "g (float[4,32] x) => (float[4,32] y) <float[32,32] w = {?}> { y = Einsum <equation = \"ij,jk->ik\"> (x, w) }",
        &[("w", "Einsum (unnamed) reads it, which is not known to take weights there")],
        0,
    ),
    (
        "factor",
        "g (float[4,32] x) => (float[4,32] y) <float[32,32] w = {?}, float[32] c = {?}> { m = Mul (w, c) y = MatMul (x, m) }",
        &[("w", "Mul (unnamed) multiplies it with another constant")],
        1,
    ),
    (
        "factor_behind_views",
        "g (float[4,32] x) => (float[4,32] y) <float[32,32] w = {?}, float[32] c = {?}> { t = Transpose (w) i = Identity (t) m = Mul (c, i) y = MatMul (x, m) }",
        &[("w", "Mul (unnamed) multiplies it with another constant")],
        1,
    ),
    (
        "summand",
        "g (float[4,32] x) => (float[4,32] y) <float[32,32] w = {?}, float[32,32] d = {?}> { m = Add (w, d) y = MatMul (x, m) }",
        &[
            ("w", "Add (unnamed) computes another constant of it"),
            ("d", "Add (unnamed) computes another constant of it"),
        ],
        0,
    ),
    (
        "given_out_by_branches",
        "g (float[4,32] x, bool c) => (float[4,32] y) {
           w = If <then_branch = t () => (float[32,32] a) <float[32,32] a = {?}> { },
                   else_branch = e () => (float[32,32] b) <float[32,32] v = {?}> { b = Transpose (v) }> (c)
           y = MatMul (x, w) }",
        &[("a", "a body of If (unnamed) gives it out"), ("v", "a body of If (unnamed) gives it out")],
        0,
    ),
    (
        "state_of_a_loop",
        "g (float[4,32] x, int64 n) => (float[4,32] y) <float[32,32] w = {?}> {
           v = Loop <body = b (int64 i, bool c, float[32,32] s) => (bool d, float[32,32] t) { d = Identity (c) t = Relu (s) }> (n, , w)
           y = MatMul (x, v) }",
        &[("w", "Loop (unnamed) reads it")],
        0,
    ),
    (
        "output",
        "g (float[4,32] x) => (float[4,32] y, float[32,32] w) <float[32,32] w = {?}> { y = Relu (x) }",
        &[("w", "it is given out as it is")],
        0,
    ),
    (
        "unread",
        "g (float[4,32] x) => (float[4,32] y) <float[32,32] w = {?}> { y = Relu (x) }",
        &[("w", "nothing reads it")],
        0,
    ),
    // Biases, norms and what is small are counted.
    (
        "small",
        "g (float[4,32] x) => (float[4,32] y) <float[32] s = {?}, float[32] b = {?}, float[8,4] m = {?}, float[1,32] a = {?}> {
           n = LayerNormalization (x, s, b) p = Add (n, a) q = Reshape <allowzero = 0> (m, k) y = Identity (p) r = Relu (q) k = Constant <value_ints = [32]> () }",
        &[],
        4,
    ),
    // Which axis is which is known to the caller alone: one scale.
    (
        "transposed_as_the_caller_says",
        "<ir_version: 8, opset_import: [\"\": 17, \"f\": 1]> g (float[4,32] x) => (float[4,32] y) <float[32,32] w = {?}> { y = f.h <p = [0, 1]> (x, w) }
         <domain: \"f\", opset_import: [\"\": 17]> h <p> (a, v) => (b) { t = Transpose <perm: ints = @p> (v) b = MatMul (a, t) }",
        &[],
        0,
    ),
];

fn path(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reasons");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder.join(format!("{name}.onnx"))
}

#[test]
fn large_constants_are_named() {
    let texts: Vec<Text> =
        CASES.iter().map(|(name, text, ..)| Text { model: path(name), text: model_text(17, text) }).collect();
    let Some(answers) = runtime::parse(&texts) else { return };
    let mut wrong = Vec::new();
    for ((name, _, expected, others), answer) in CASES.iter().zip(answers) {
        answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut model = Model::load(path(name)).expect("it loads");
        let report = quantize(&mut model, &Config::default()).expect("it can be quantized");
        let left: Vec<_> = report.left_float.iter().map(|left| (&*left.name, &*left.reason)).collect();
        let fits = left.len() == expected.len()
            && left.iter().zip(*expected).all(|(got, want)| got.0 == want.0 && got.1.contains(want.1));
        if !fits || report.other_float.count != *others {
            wrong.push(format!("{name}: {left:?}, {} others", report.other_float.count));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// With the axes that a function's caller decides on unknown, there is one scale.
#[test]
fn an_axis_that_the_caller_decides_on_is_not_guessed() {
    let name = "transposed_as_the_caller_says";
    let (_, text, ..) = CASES.iter().find(|case| case.0 == name).expect("a case");
    let model = path("caller");
    let Some(answers) = runtime::parse(&[Text { model: model.clone(), text: model_text(17, text) }]) else { return };
    answers.into_iter().for_each(|answer| answer.expect("it can be written"));
    let mut model = Model::load(model).expect("it loads");
    let report = quantize(&mut model, &Config::default()).expect("it can be quantized");
    assert_eq!(report.quantized[0].copies[0].granularity, "per-tensor");
}
