//! Products and what is added to them, which onnxruntime makes a Gemm of before it looks for integers.

use super::case::{case, check};

/// A bias is part of the product from the start, and an int32 in it; where the product is one of more axes of
/// open sizes, it is added in float.
fn products_with_a_bias() {
    let cases = [
        case(
            "matrices",
            "QGemm*3 QuantizeLinear",
            "g (float[\"n\",6] x) => (float[\"n\",4] y, float[\"n\",4] z, float[\"n\",4] u)
             <float[6,4] w = {?}, float[4] b = {?}, float[4,6] v = {?}, float[1,4] c = {?}, float[6,4] m = {?}, float s = {0.5}>
             { a = MatMul (x, w) y = Add (a, b) t = Transpose (v) d = MatMul (x, t) z = Add (c, d) e = MatMul (x, m) u = Add (e, s) }",
        ),
        case(
            "open_sizes",
            "Add MatMulIntegerToFloat QuantizeLinear",
            "g (float[\"n\",\"t\",6] x) => (float[\"n\",\"t\",4] y) <float[6,4] w = {?}, float[4] b = {?}>
             { a = MatMul (x, w) y = Add (a, b) }",
        ),
    ];
    check("products_with_a_bias", &cases);
}

fn products_of_fixed_sizes_with_a_bias() {
    let case = case(
        "fixed_sizes",
        "Add MatMulIntegerToFloat QuantizeLinear",
        "g (float[2,3,6] x) => (float[2,3,4] y) <float[6,4] w = {?}, float[4] b = {?}> { a = MatMul (x, w) y = Add (a, b) }",
    );
    check("products_of_fixed_sizes_with_a_bias", &[case]);
}

crate::tests![products_with_a_bias, products_of_fixed_sizes_with_a_bias];
