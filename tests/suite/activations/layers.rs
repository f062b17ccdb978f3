//! A layer behind another: what stands between is absorbed, or passed by integers as they are.

use super::case::{case, check, min_max};

/// Activation functions between two convolutions, of which a product with weights keeps the second one
/// integer.
fn activation_functions() {
    let cases = [
        min_max(case("relu",
            "Flatten MatMulIntegerToFloat QLinearConv*2 QuantizeLinear Transpose*2",
            "g (float[1,3,8,8] x) => (float[1,10] y) <float[4,3,3,3] w = {?}, float[4] b = {?}, float[5,4,3,3] v = {?}, float[5] c = {?}, float[80,10] m = {?}>
             { a = Conv (x, w, b) r = Relu (a) d = Conv (r, v, c) f = Flatten (d) y = MatMul (f, m) }",)),
        case(
            "clip",
            "Flatten MatMulIntegerToFloat QLinearConv*2 QuantizeLinear Transpose*2",
            "g (float[1,3,8,8] x) => (float[1,10] y) <float[4,3,3,3] w = {?}, float[4] b = {?}, float lo = {0}, float hi = {6}, float[5,4,3,3] v = {?}, float[5] c = {?}, float[80,10] m = {?}>
             { a = Conv (x, w, b) r = Clip (a, lo, hi) d = Conv (r, v, c) f = Flatten (d) y = MatMul (f, m) }",
        ),
        min_max(case("hard_swish",
            "DequantizeLinear*2 Flatten HardSigmoid MatMulIntegerToFloat Mul QLinearConv*2 QuantizeLinear*2 Transpose*2",
            "g (float[1,3,8,8] x) => (float[1,10] y) <float[4,3,3,3] w = {?}, float[4] b = {?}, float[5,4,3,3] v = {?}, float[5] c = {?}, float[80,10] m = {?}>
             { a = Conv (x, w, b) h = HardSigmoid <alpha = 0.1666667, beta = 0.5> (a) r = Mul (a, h) d = Conv (r, v, c) f = Flatten (d) y = MatMul (f, m) }",)),
        case(
            "leaky_relu",
            "Flatten MatMulIntegerToFloat QLinearConv*2 QLinearLeakyRelu QuantizeLinear Transpose*2",
            "g (float[1,3,8,8] x) => (float[1,10] y) <float[4,3,3,3] w = {?}, float[4] b = {?}, float[5,4,3,3] v = {?}, float[80,10] m = {?}>
             { a = Conv (x, w, b) r = LeakyRelu <alpha = 0.1> (a) d = Conv (r, v) f = Flatten (d) y = MatMul (f, m) }",
        ),
        case(
            "sigmoid",
            "Flatten MatMulIntegerToFloat QLinearConv*2 QLinearSigmoid QuantizeLinear Transpose*2",
            "g (float[1,3,8,8] x) => (float[1,10] y) <float[4,3,3,3] w = {?}, float[4] b = {?}, float[5,4,3,3] v = {?}, float[80,10] m = {?}>
             { a = Conv (x, w, b) r = Sigmoid (a) d = Conv (r, v) f = Flatten (d) y = MatMul (f, m) }",
        ),
    ];
    let outcomes = check("activation_functions", &cases);
    let [relu, clip, ..] = &outcomes[..] else { panic!("two at least") };
    // What is absorbed starts at zero, and ends where the Clip does.
    assert_eq!(relu.parameters("r").1, 0);
    let (scale, zero_point) = clip.parameters("r");
    assert!(zero_point == 0 && scale <= 6.0 / 255.0 * 1.000_001, "{scale} {zero_point}");
    insta::assert_snapshot!("relu", relu.model.to_text());
    insta::assert_snapshot!("hard_swish", outcomes[2].model.to_text());
}

/// What only moves elements about runs on the integers as they are: both sides have the same parameters.
fn movers() {
    let cases = [
        min_max(case("max_pool",
            "Flatten MatMulIntegerToFloat NhwcMaxPool QLinearConv*2 QuantizeLinear Transpose*2",
            "g (float[1,3,9,9] x) => (float[1,10] y) <float[4,3,2,2] w = {?}, float[5,4,3,3] v = {?}, float[20,10] m = {?}>
             { a = Conv (x, w) r = Relu (a) p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r) d = Conv (p, v) f = Flatten (d) y = MatMul (f, m) }",)),
        case(
            "reshape_transpose",
            "MatMulIntegerToFloat QLinearConv QuantizeLinear Reshape Transpose",
            "g (float[1,3,8,8] x) => (float[36,10] y) <float[4,3,3,3] w = {?}, float[4,10] m = {?}, int64[2] s = {36, 4}>
             { a = Conv (x, w) r = Relu (a) t = Transpose <perm = [0, 2, 3, 1]> (r) p = Reshape (t, s) y = MatMul (p, m) }",
        ),
        case(
            "flatten",
            "Flatten QGemm QLinearConv QuantizeLinear Transpose*2",
            "g (float[2,3,4,4] x) => (float[2,6] y) <float[4,3,3,3] w = {?}, float[16,6] m = {?}, float[6] b = {?}>
             { a = Conv (x, w) r = Relu (a) p = Flatten (r) y = Gemm (p, m, b) }",
        ),
        case(
            "split",
            "DequantizeLinear Flatten*2 MatMulIntegerToFloat*2 QLinearConv*3 QuantizeLinear Split Transpose*4",
            "g (float[1,4,8,8] x) => (float[1,2,6,6] p, float[1,10] y, float[1,10] z) <float[4,4,3,3] w = {?}, float[2,2,1,1] v = {?}, float[2,2,1,1] u = {?}, float[72,10] m = {?}, float[72,10] n = {?}>
             { a = Conv (x, w) r = Relu (a) p, q = Split <axis = 1> (r) d = Conv (p, v) e = Conv (q, u) f = Flatten (d) h = Flatten (e) y = MatMul (f, m) z = MatMul (h, n) }",
        ),
    ];
    let outcomes = check("movers", &cases);
    for (outcome, (from, to)) in outcomes.iter().zip([("r", "p"), ("r", "p"), ("r", "p"), ("r", "q")]) {
        assert_eq!(outcome.parameters(from), outcome.parameters(to));
    }
    insta::assert_snapshot!("max_pool", outcomes[0].model.to_text());
}

crate::tests![activation_functions, movers];
