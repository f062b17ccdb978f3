//! Layers in bodies and functions.

use super::case::{Case, case, check};

const IF: &str = "g (float[1,3,6,6] x, bool c) => (float[1,5] y) <float[4,3,3,3] w = {?}, float[4] b = {?}, float[64,5] m = {?}, float[64,5] n = {?}>
     { a = Conv (x, w, b) r = Relu (a) f = Flatten (r)
       y = If <then_branch = t () => (float[1,5] p) { p = MatMul (f, m) },
               else_branch = e () => (float[1,5] q) { s = Sqrt (f) q = MatMul (s, n) }> (c) }";

#[test]
fn layers_in_bodies() {
    let cases = [
        // The seeds take both branches.
        case("both_branches", "", IF),
        Case {
            feeds: &[("c", 1.0)],
            float: &[("MatMul", "was not computed with any sample")],
            ..case("one_branch", "", IF)
        },
        Case {
            float: &[("MatMul", "")],
            ..case(
                "loop",
                "",
                "g (float[2,4] x, int64 n) => (float[2,5] y) <float[4,4] w = {?}, float[4,5] m = {?}>
                 { z = Loop <body = b (int64 i, bool c, float[2,4] s) => (bool d, float[2,4] t)
                       { d = Identity (c) p = MatMul (s, w) t = Tanh (p) }> (n, , x)
                   y = MatMul (z, m) }",
            )
        },
        Case {
            float: &[("MatMul", "")],
            ..case(
                "function",
                "",
                "<ir_version: 8, opset_import: [\"\": 17, \"f\": 1]> g (float[2,2] x) => (float[2,3] y) <float[2,3] m = {?}> { h = f.h (x) y = MatMul (h, m) }
                 <domain: \"f\", opset_import: [\"\": 17]> h (x) => (y)
                 { w = Constant <value = float[2,2] {0.5, -2.0, 1.0, 3.0}> () a = MatMul (x, w) y = Tanh (a) }",
            )
        },
    ];
    let Some(outcomes) = check("layers_in_bodies", &cases) else { return };
    insta::assert_snapshot!(outcomes[0].model.to_text());
}
