//! What cannot or should not be quantized stays float, with a reason, and nothing fails.

use onnx_quant::{Config, Model, calibration::{Collect, Ranges, Statistics}, numeric::Range, quantize_activations};

use super::case::{Case, case, check};

#[test]
fn values_without_a_range() {
    let masked = "g (float[2,6] x, bool[2,5] k) => (float[2,3] y, float[2,4] z) <float[6,5] w = {?}, float[5,3] v = {?}, float[5,4] u = {?}, float none = {0}, float low = {LOW}>
         { a = MatMul (x, w) m = Where (k, none, low) s = Add (a, m) p = Softmax (s) y = MatMul (p, v) z = MatMul (s, u) }";
    let cases = [
        Case {
            float: &[("MatMul 'zero'", "was zero in all samples")],
            ..case(
                "zeros",
                "",
                "g (float[2,6] x) => (float[2,3] y, float[2,4] z) <float[6,3] w = {?}, float[6,4] v = {?}, float nothing = {0}>
                 { [zero] y0 = MatMul (n, w) n = Mul (x, nothing) y = Tanh (y0) z = MatMul (x, v) }",
            )
        },
        Case {
            bound: 1.0,
            float: &[("MatMul 'nan'", "was never finite")],
            ..case(
                "nan",
                "",
                "g (float[2,6] x) => (float[2,3] y, float[2,4] z) <float[6,3] w = {?}, float[6,4] v = {?}, float minus = {-1}>
                 { a = Abs (x) b = Sub (minus, a) n = Sqrt (b) [nan] y = MatMul (n, w) z = MatMul (x, v) }",
            )
        },
    ];
    let _ = masked;
    check("values_without_a_range", &cases);
}
