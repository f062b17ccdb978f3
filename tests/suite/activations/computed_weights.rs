//! Weights that operators make of constants: layers with them compute in integers, and where they do not,
//! the file does not grow.

use onnx_quant::Config;

use super::case::{Case, case, check, float_model};

/// Another operator reads the constants too, so that they stay beside what is made of them.
fn what_is_made_of_constants_is_a_weight() {
    let cases = [
        case(
            "tied_table",
            "DequantizeLinear Gather MatMulIntegerToFloat QLinearMatMul QuantizeLinear",
            "g (int64[1,5] i) => (float[1,5,30] y) <float[30,8] e = {?}, float[8,8] w = {?}>
             { g = Gather (e, i) h = MatMul (g, w) r = Relu (h) t = Transpose <perm = [1, 0]> (e) y = MatMul (r, t) }",
        ),
        case(
            "transposed_and_not",
            "MatMulIntegerToFloat QLinearMatMul QuantizeLinear",
            "g (float[4,16] x) => (float[4,16] y) <float[16,16] w = {?}> { t = Transpose (w) h = MatMul (x, t) r = Relu (h) y = MatMul (r, w) }",
        ),
        case(
            "moved",
            "MatMulIntegerToFloat QLinearMatMul QuantizeLinear",
            "g (float[4,16] x) => (float[4,16] y, float[1,16,16] z) <float[256] v = {?}, int64[3] s = {1, 16, 16}, int64[1] o = {0}>
             { a = Reshape (v, s) b = Squeeze (a, o) i = Identity (b) h = MatMul (x, i) r = Relu (h) y = MatMul (r, b) z = Neg (a) }",
        ),
        case(
            "computed",
            "MatMulIntegerToFloat QLinearMatMul QuantizeLinear",
            "g (float[4,16] x) => (float[4,16] y, float[16,16] z) <float[16,16] w = {?}, float[16] c = {?}, float[16,16] d = {?}>
             { a = Mul (w, c) h = MatMul (x, a) r = Relu (h) b = Add (w, d) y = MatMul (r, b) z = Neg (w) }",
        ),
    ];
    check("what_is_made_of_constants_is_a_weight", &cases);
}

/// The table is no second time in the file where the layer stays float; the reason is its own.
fn a_layer_that_stays_float_gets_no_weight_of_its_own() {
    let cases = [Case {
        config: Config::default().with_exclude(vec!["last".parse().expect("a pattern")]),
        float: &[("MatMul 'last'", "excluded")],
        ..case(
            "tied_table_and_float_layer",
            "Gather MatMul MatMulIntegerToFloat QuantizeLinear Tanh",
            "g (int64[1,5] i) => (float[1,5,300] y) <float[300,8] e = {?}, float[8,8] w = {?}>
             { g = Gather (e, i) h = MatMul (g, w) r = Tanh (h) t = Transpose <perm = [1, 0]> (e) [last] y = MatMul (r, t) }",
        )
    }];
    let outcomes = check("a_layer_that_stays_float_gets_no_weight_of_its_own", &cases);
    let bytes = |model: &onnx_quant::Model| model.tensors().map(|tensor| tensor.byte_len()).sum::<usize>();
    let float = float_model("a_layer_that_stays_float_gets_no_weight_of_its_own", &cases[0]);
    assert!(bytes(&outcomes[0].model) < bytes(&float));
}

crate::tests![what_is_made_of_constants_is_a_weight, a_layer_that_stays_float_gets_no_weight_of_its_own];
