//! Several branches that meet: sums, concatenations, averages.

use super::case::{case, check, min_max};

fn joins() {
    let cases = [
        min_max(case("residual",
            "Flatten QGemm QLinearAdd QLinearConv*3 QLinearGlobalAveragePool QuantizeLinear Transpose*2",
            "g (float[1,4,8,8] x) => (float[1,10] y)
             <float[4,4,3,3] w = {?}, float[4] b = {?}, float[4,4,3,3] v = {?}, float[4] c = {?}, float[4,4,3,3] u = {?}, float[4] d = {?}, float[4,10] m = {?}, float[10] n = {?}>
             { s0 = Conv <pads = [1, 1, 1, 1]> (x, u, d) s = Relu (s0) a = Conv <pads = [1, 1, 1, 1]> (s, w, b) r = Relu (a) e = Conv <pads = [1, 1, 1, 1]> (r, v, c)
               z = Add (e, s) t = Relu (z) p = GlobalAveragePool (t) f = Flatten (p) y = Gemm (f, m, n) }",)),
        case(
            "concat",
            "Flatten MatMulIntegerToFloat QLinearConcat QLinearConv*3 QuantizeLinear Transpose*2",
            "g (float[1,3,6,6] x) => (float[1,10] y)
             <float[4,3,3,3] w = {?}, float[4] b = {?}, float[2,3,3,3] v = {?}, float[3,6,1,1] u = {?}, float[3] d = {?}, float[48,10] m = {?}>
             { a = Conv (x, w, b) r = Relu (a) e = Conv (x, v) t = Concat <axis = 1> (r, e) h = Conv (t, u, d) f = Flatten (h) y = MatMul (f, m) }",
        ),
        case(
            "average",
            "Flatten QGemm QLinearConv QLinearGlobalAveragePool QuantizeLinear Transpose*2",
            "g (float[2,3,6,6] x) => (float[2,7] y) <float[8,3,3,3] w = {?}, float[8] b = {?}, float[7,8] m = {?}, float[7] n = {?}>
             { a = Conv (x, w, b) r = Relu (a) p = GlobalAveragePool (r) f = Flatten (p) y = Gemm <transB = 1> (f, m, n) }",
        ),
        case(
            "gate",
            "Flatten MatMulIntegerToFloat QLinearConv*2 QLinearGlobalAveragePool QLinearMul QLinearSigmoid QuantizeLinear Transpose*3",
            "g (float[1,4,6,6] x) => (float[1,10] y)
             <float[4,4,3,3] w = {?}, float[4] b = {?}, float[4,4,1,1] v = {?}, float[4] c = {?}, float[64,10] m = {?}>
             { a = Conv (x, w, b) r = Relu (a) p = GlobalAveragePool (r) g = Conv (p, v, c) k = Sigmoid (g) h = Mul (r, k) f = Flatten (h) y = MatMul (f, m) }",
        ),
    ];
    let outcomes = check("joins", &cases);
    // The sum is what the Relu behind it leaves.
    assert_eq!(outcomes[0].parameters("t").1, 0);
    insta::assert_snapshot!("residual", outcomes[0].model.to_text());
}

crate::tests![joins];
