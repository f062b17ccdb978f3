//! Models that were trained for quantization: the integers that are stored are those that onnxruntime's
//! QuantizeLinear makes, so the model computes the same, bit by bit.

mod runtime;

use std::path::{Path, PathBuf};

use onnx_quant::{Config, Model, SaveOptions, TrainedPairs, WeightForm, quantize};
use runtime::{Comparison, Engine, Inputs, Side, Text, texts::model_text};

/// A pair, and the QuantizeLinear that are left.
struct Case {
    name: &'static str,
    text: &'static str,
    config: Config,
    left: usize,
}

fn case(name: &'static str, text: &'static str) -> Case {
    Case { name, text, config: Config::default(), left: 0 }
}

fn cases() -> Vec<Case> {
    let keep = Config { trained_pairs: TrainedPairs::Keep, ..Config::default() };
    let pairs = Config { weight_form: WeightForm::Qdq, ..Config::default() };
    let shared = Config { trained_pairs: TrainedPairs::FoldShared, ..Config::default() };
    const PLAIN: &str = "g (float[2,6] x) => (float[2,8] y) <float[6,8] w = {?}, float s = {0.0123}, int8 z = {-3}>
         { q = QuantizeLinear (w, s, z) d = DequantizeLinear (q, s, z) y = MatMul (x, d) }";
    const SHARED: &str =
        "g (float[2,6] x) => (float[2,8] y, float[6,8] v) <float[6,8] w = {?}, float s = {0.0123}, int8 z = {-3}>
         { q = QuantizeLinear (w, s, z) d = DequantizeLinear (q, s, z) y = MatMul (x, d) v = Neg (w) }";
    vec![
        case("one_scale", PLAIN),
        Case { config: keep, left: 1, ..case("kept", PLAIN) },
        Case { config: pairs, left: 1, ..case("kept_as_pairs", PLAIN) },
        // Halves of steps go to even, and what is beyond saturates: -128 too.
        case(
            "ties_and_limits",
            "g (float[2,4] x) => (float[2,3] y) <float[4,3] w = {0.25, 0.75, 1.25, -0.25, -0.75, -1.25, 900, -900, 63.75, -64, -64.25, 0}, float s = {0.5}, int8 z = {0}>
             { q = QuantizeLinear (w, s, z) d = DequantizeLinear (q, s, z) y = MatMul (x, d) }",
        ),
        case(
            "no_zero_point_is_of_uint8",
            "g (float[2,6] x) => (float[2,8] y) <float[6,8] w = {?}, float s = {0.0123}>
             { q = QuantizeLinear (w, s) d = DequantizeLinear (q, s) y = MatMul (x, d) }",
        ),
        case(
            "channels_and_a_bias",
            "g (float[1,3,5,5] x) => (float[1,4,3,3] y)
             <float[4,3,3,3] w = {?}, float[4] s = {0.01, 0.02, 0.003, 0.5}, int8[4] z = {0, 0, 0, 0}, float[4] b = {?}, float t = {0.001}, uint8 o = {128}>
             { q = QuantizeLinear <axis = 0> (w, s, z) d = DequantizeLinear <axis = 0> (q, s, z)
               p = QuantizeLinear (b, t, o) c = DequantizeLinear (p, t, o) y = Conv (x, d, c) }",
        ),
        case(
            "negative_axis",
            "g (float[2,6] x) => (float[2,3] y) <float[6,3] w = {?}, float[3] s = {0.01, 0.02, 0.003}, uint8[3] z = {7, 0, 255}>
             { q = QuantizeLinear <axis = -1> (w, s, z) d = DequantizeLinear <axis = -1> (q, s, z) y = MatMul (x, d) }",
        ),
        case(
            "blocks",
            "<ir_version: 10, opset_import: [\"\": 21]> g (float[2,6] x) => (float[2,3] y)
             <float[6,3] w = {?}, float[3,3] s = {+}, int16[3,3] z = {1, -2, 3, 4, 5, 6, 7, 8, 9}>
             { q = QuantizeLinear <axis = 0, block_size = 2> (w, s, z) d = DequantizeLinear <axis = 0, block_size = 2> (q, s, z) y = MatMul (x, d) }",
        ),
        case(
            "stated_type",
            "<ir_version: 10, opset_import: [\"\": 21]> g (float[2,6] x) => (float[2,3] y) <float[6,3] w = {?}, float s = {0.2}>
             { q = QuantizeLinear <output_dtype = 3> (w, s) d = DequantizeLinear (q, s) y = MatMul (x, d) }",
        ),
        case(
            "moved_before",
            "g (float[2,6] x) => (float[2,8] y) <float[8,6] w = {?}, float[8] s = {+}, int8[8] z = {0, 0, 0, 0, 0, 0, 0, 0}>
             { i = Identity (w) t = Transpose (i) q = QuantizeLinear <axis = 1> (t, s, z) d = DequantizeLinear <axis = 1> (q, s, z) y = MatMul (x, d) }",
        ),
        case(
            "moved_between",
            "g (float[2,6] x) => (float[2,8] y) <float[8,6] w = {?}, float[8] s = {+}, int8[8] z = {0, 0, 0, 0, 0, 0, 0, 0}>
             { q = QuantizeLinear <axis = 0> (w, s, z) t = Transpose (q) i = Identity (t) d = DequantizeLinear <axis = 1> (i, s, z) y = MatMul (x, d) }",
        ),
        case(
            "in_a_body",
            "g (float[2,6] x, bool c) => (float[2,8] y) <float[6,8] w = {?}, float s = {0.0123}, int8 z = {-3}>
             { y = If <then_branch = t () => (float[2,8] a) { q = QuantizeLinear (w, s, z) d = DequantizeLinear (q, s, z) a = MatMul (x, d) },
                       else_branch = e () => (float[2,8] b) { q = QuantizeLinear (w, s, z) d = DequantizeLinear (q, s, z) f = MatMul (x, d) b = Neg (f) }> (c) }",
        ),
        case(
            "in_a_function",
            "<ir_version: 8, opset_import: [\"\": 17, \"f\": 1]> g (float[2,6] x) => (float[2,2] y) { y = f.h (x) }
             <domain: \"f\", opset_import: [\"\": 17]> h (a) => (b)
             { w = Constant <value = float[6,2] {0.1, 0.2, -0.3, 0.4, 0.5, 0.6, -0.7, 0.8, 0.9, 1.0, 1.1, -1.2}> () s = Constant <value = float {0.0123}> () z = Constant <value = int8 {-3}> ()
               q = QuantizeLinear (w, s, z) d = DequantizeLinear (q, s, z) b = MatMul (a, d) }",
        ),
        Case { left: 1, ..case("read_beside", SHARED) },
        Case { config: shared, ..case("read_beside_and_folded", SHARED) },
        // What is not finite, or has no positive scale, is the runtime's business.
        Case {
            left: 1,
            ..case(
                "infinite",
                "g (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1, 2, inf, 3}, float s = {0.5}, int8 z = {0}>
                 { q = QuantizeLinear (w, s, z) d = DequantizeLinear (q, s, z) y = MatMul (x, d) }",
            )
        },
        Case {
            left: 1,
            ..case(
                "computed_scale",
                "g (float[2,2] x, float s) => (float[2,2] y) <float[2,2] w = {1, 2, 4, 3}, int8 z = {0}>
                 { q = QuantizeLinear (w, s, z) d = DequantizeLinear (q, s, z) y = MatMul (x, d) }",
            )
        },
        Case {
            left: 1,
            ..case(
                "given_out",
                "g (float[2,2] x) => (float[2,2] y, int8[2,2] q) <float[2,2] w = {1, 2, 4, 3}, float s = {0.5}, int8 z = {0}>
                 { q = QuantizeLinear (w, s, z) d = DequantizeLinear (q, s, z) y = MatMul (x, d) }",
            )
        },
    ]
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trained");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[test]
fn integers_are_those_that_the_runtime_makes() {
    let path = |case: &Case, suffix: &str| folder().join(format!("{}{suffix}.onnx", case.name));
    let cases = cases();
    let texts: Vec<Text> =
        cases.iter().map(|case| Text { model: path(case, ""), text: model_text(17, case.text) }).collect();
    let Some(answers) = runtime::parse(&texts) else { return };
    for (case, answer) in cases.iter().zip(answers) {
        answer.unwrap_or_else(|error| panic!("{}: {error}", case.name));
    }
    let mut comparisons = Vec::new();
    for case in &cases {
        let mut model = Model::load(path(case, "")).expect("it loads");
        // What is float stays so: pairs alone are looked at.
        let config = Config { min_elements: usize::MAX, ..case.config.clone() };
        let report = quantize(&mut model, &config).expect("it can be quantized");
        let left = model.ops().filter(|&op| model.op(op).is("QuantizeLinear")).count();
        assert_eq!(left, case.left, "{}", case.name);
        assert_eq!(report.trained.is_some(), case.left == 0, "{}", case.name);
        let quantized = path(case, "_folded");
        model.save(&quantized, &SaveOptions::default()).expect("it can be written");
        let side = |model: PathBuf| Side { model, engine: Engine::OnnxruntimePlain };
        let inputs = Inputs { seed: 7, ..Inputs::default() };
        comparisons.push(Comparison { left: side(path(case, "")), right: side(quantized), inputs });
    }
    for (case, answer) in cases.iter().zip(runtime::compare(&comparisons).expect("the runtime is there")) {
        let differences = answer.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        for (output, difference) in differences {
            assert!(difference.identical, "{}: {output} differs by {}", case.name, difference.max_abs);
        }
    }
}
