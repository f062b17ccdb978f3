//! Layers in bodies and functions.

use onnx_quant::{ActivationType, Activations, Config};

use super::case::{Case, case, check, min_max};

const IF: &str = "g (float[1,3,6,6] x, bool c) => (float[1,5] y) <float[4,3,3,3] w = {?}, float[4] b = {?}, float[64,5] m = {?}, float[64,5] n = {?}>
     { a = Conv (x, w, b) r = Relu (a) f = Flatten (r)
       y = If <then_branch = t () => (float[1,5] p) { p = MatMul (f, m) },
               else_branch = e () => (float[1,5] q) { s = Sqrt (f) q = MatMul (s, n) }> (c) }";

/// Weights are in the graph around, and so is what one of the branches reads.
fn branches() {
    let cases = [
        // The seeds take both branches.
        min_max(case(
            "both_branches",
            "DequantizeLinear Flatten If MatMulIntegerToFloat*2 QLinearConv QuantizeLinear*2 Sqrt Transpose*2",
            IF,
        )),
        Case {
            feeds: &[("c", 1.0)],
            float: &[("MatMul", "'s' was not computed with any sample")],
            ..case(
                "one_branch",
                "DequantizeLinear Flatten If MatMul MatMulIntegerToFloat QLinearConv QuantizeLinear Sqrt Transpose*2",
                IF,
            )
        },
        case(
            "layers_in_a_row",
            "If MatMulIntegerToFloat QGemm*2 QuantizeLinear",
            "g (float[2,8] x, bool c) => (float[2,5] y) <float[8,6] w = {?}, float[6] b = {?}, float[6,5] m = {?}, float[5] n = {?}, float[8,5] v = {?}>
             { y = If <then_branch = t () => (float[2,5] p) { a = MatMul (x, w) d = Add (a, b) r = Relu (d) p = Gemm (r, m, n) },
                       else_branch = e () => (float[2,5] q) { q = MatMul (x, v) }> (c) }",
        ),
    ];
    let outcomes = check("branches", &cases);
    assert_eq!(outcomes[0].values(), ["x", "r", "f", "s"]);
    assert_eq!(outcomes[1].values(), ["x", "r", "f"]);
    assert_eq!(outcomes[2].values(), ["x", "r"]);
    insta::assert_snapshot!("both_branches", outcomes[0].model.to_text());
}

/// A product that stays float in a body, with its integers in the graph around, must not have its
/// DequantizeLinear there: onnxruntime would not load the model.
fn weights_around_that_float_layers_read_too() {
    const BRANCHES: &str = "g (float[2,16] x, bool c) => (float[2,16] y) <float[16,16] w = {?}>
         { y = If <then_branch = t () => (float[2,16] p) { p = MatMul (x, w) },
                   else_branch = e () => (float[2,16] q) { s = Sqrt (x) q = MatMul (s, w) }> (c) }";
    let sixteen = Activations::default().with_ty(ActivationType::Int16);
    let cases = [
        Case {
            feeds: &[("c", 1.0)],
            float: &[("MatMul", "'s' was not computed with any sample")],
            ..case("one_branch_shared", "DequantizeLinear If MatMul MatMulIntegerToFloat QuantizeLinear Sqrt", BRANCHES)
        },
        Case {
            float: &[("MatMul 'inner'", "'s' has no range")],
            // What is rounded in front of the loop passes through a layer more in each of its runs.
            bound: 0.08,
            ..case(
                "loop_shared",
                "DequantizeLinear Identity Loop MatMul MatMulIntegerToFloat QuantizeLinear Tanh",
                "g (float[2,16] x, int64 n) => (float[2,16] y) <float[16,16] w = {?}>
                 { a = MatMul (x, w)
                   y = Loop <body = b (int64 i, bool c, float[2,16] s) => (bool d, float[2,16] t)
                       { d = Identity (c) [inner] p = MatMul (s, w) t = Tanh (p) }> (n, , a) }",
            )
        },
        Case {
            config: Config::default().with_activations(sixteen),
            feeds: &[("c", 1.0)],
            float: &[("MatMul", "'s' was not computed with any sample")],
            ..case("sixteen_bits_shared", "DequantizeLinear*2 If MatMul*2 QuantizeLinear Sqrt", BRANCHES)
        },
    ];
    check("weights_around", &cases);
}

/// What is dequantized in the graph around a body reaches a product there as floats.
fn activations_dequantized_around() {
    let cases = [case(
        "around",
        "DequantizeLinear If MatMul MatMulIntegerToFloat QuantizeLinear*2 Sqrt",
        "g (float[2,16] x, bool c) => (float[2,16] y, float[2,16] m) <float[16,16] w = {?}, float[16,16] v = {?}, float s = {0.02}, uint8 z = {128}>
         { q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z) m = MatMul (x, v)
           y = If <then_branch = t () => (float[2,16] p) { p = MatMul (d, w) },
                   else_branch = e () => (float[2,16] r) { r = Sqrt (d) }> (c) }",
    )];
    let cases = cases.map(|it| Case { float: &[("MatMul", "in the graph around")], ..it });
    check("activations_dequantized_around", &cases);
}

/// What may run any number of times cannot be observed.
fn layers_that_cannot_be_observed() {
    let cases = [
        Case {
            float: &[("MatMul 'inner'", "'s' has no range")],
            ..case(
                "loop",
                "Identity Loop MatMul MatMulIntegerToFloat QuantizeLinear Tanh",
                "g (float[2,4] x, int64 n) => (float[2,5] y) <float[4,4] w = {?}, float[4,5] m = {?}>
                 { z = Loop <body = b (int64 i, bool c, float[2,4] s) => (bool d, float[2,4] t)
                       { d = Identity (c) [inner] p = MatMul (s, w) t = Tanh (p) }> (n, , x)
                   y = MatMul (z, m) }",
            )
        },
        Case {
            // Engines that are here do not run functions.
            given: &[("h", -1.0, 1.0)],
            float: &[("MatMul", "has no range")],
            ..case(
                "function",
                "MatMul MatMulIntegerToFloat QuantizeLinear Tanh",
                "<ir_version: 8, opset_import: [\"\": 17, \"f\": 1]> g (float[2,2] x) => (float[2,3] y) <float[2,3] m = {?}> { h = f.h (x) y = MatMul (h, m) }
                 <domain: \"f\", opset_import: [\"\": 17]> h (x) => (y)
                 { w = Constant <value = float[2,2] {0.5, -2.0, 1.0, 3.0}> () a = MatMul (x, w) y = Tanh (a) }",
            )
        },
    ];
    check("layers_that_cannot_be_observed", &cases);
}

crate::tests![
    branches,
    weights_around_that_float_layers_read_too,
    activations_dequantized_around,
    layers_that_cannot_be_observed
];
