//! What cannot or should not be quantized stays float, with a reason, and nothing fails.

use onnx_quant::Config;

use super::case::{Case, case, check};

fn values_without_a_range() {
    let cases = [
        Case {
            float: &[("MatMul 'zero'", "'n' was zero in all samples")],
            ..case(
                "zeros",
                "FusedMatMul MatMulIntegerToFloat QuantizeLinear Tanh",
                "g (float[2,6] x) => (float[2,3] y, float[2,4] z) <float[6,3] w = {?}, float[6,4] v = {?}, float nothing = {0}>
                 { n = Mul (x, nothing) [zero] a = MatMul (n, w) y = Tanh (a) z = MatMul (x, v) }",
            )
        },
        Case {
            float: &[("MatMul 'nan'", "'n' was infinite, or not a number, in some samples")],
            ..case(
                "nan",
                "Abs MatMul MatMulIntegerToFloat QuantizeLinear Sqrt Sub",
                "g (float[2,6] x) => (float[2,3] y, float[2,4] z) <float[6,3] w = {?}, float[6,4] v = {?}, float minus = {-1}>
                 { a = Abs (x) b = Sub (minus, a) n = Sqrt (b) [nan] y = MatMul (n, w) z = MatMul (x, v) }",
            )
        },
        Case {
            given: &[("x", -4.0, 4.0)],
            float: &[("MatMul 'unknown'", "'t' has no range")],
            ..case(
                "not_observed",
                "MatMul MatMulIntegerToFloat QuantizeLinear Tanh",
                "g (float[2,6] x) => (float[2,3] y, float[2,4] z) <float[6,3] w = {?}, float[6,4] v = {?}>
                 { t = Tanh (x) [unknown] y = MatMul (t, w) z = MatMul (x, v) }",
            )
        },
    ];
    check("values_without_a_range", &cases);
}

/// Attention with a mask: large numbers, or none at all, beside small ones. No layer reads what is masked,
/// so it stays as it is.
fn masks() {
    const ATTENTION: &str = "g (float[1,5,6] x, bool[1,5,5] k) => (float[1,5,3] y)
         <float[6,4] wq = {?}, float[6,4] wk = {?}, float[6,4] wv = {?}, float[4,3] wo = {?}, float none = {0}, float low = {LOW}>
         { q = MatMul (x, wq) h = MatMul (x, wk) v = MatMul (x, wv) t = Transpose <perm = [0, 2, 1]> (h) [scores] a = MatMul (q, t)
           m = Where (k, none, low) s = Add (a, m) p0 = Softmax (s) n = IsNaN (p0) p = Where (n, none, p0) [mixed] o = MatMul (p, v) y = MatMul (o, wo) }";
    const KERNELS: &str = "Add FusedMatMul IsNaN MatMul MatMulIntegerToFloat*4 QuantizeLinear*2 Softmax Where*2";
    let attention = |name, low: &str| Case {
        float: &[("MatMul 'scores'", "weight is not a constant"), ("MatMul 'mixed'", "weight is not a constant")],
        ..case(name, KERNELS, &ATTENTION.replace("LOW", low))
    };
    let cases = [attention("large_mask", "-10000"), attention("infinite_mask", "-inf")];
    let outcomes = check("masks", &cases);
    for outcome in outcomes {
        assert_eq!(outcome.values(), ["x", "o"]);
    }
}

fn layers_that_are_not_to_be_quantized() {
    let text = "g (float[1,3,6,6] x) => (float[1,10] y) <float[4,3,3,3] w = {?}, float[4] b = {?}, float[5,4,1,1] v = {?}, float[5] c = {?}, float[80,10] m = {?}>
         { [first] a = Conv (x, w, b) r = Relu (a) [second] d = Conv (r, v, c) f = Flatten (d) y = MatMul (f, m) }";
    let without = |pattern: &str| Config::default().with_exclude(vec![pattern.parse().expect("a pattern")]);
    let cases = [
        Case {
            config: without("first"),
            float: &[("Conv 'first'", "")],
            ..case(
                "without_the_first",
                "Conv Flatten MatMulIntegerToFloat QLinearConv QuantizeLinear ReorderOutput Transpose*2",
                text,
            )
        },
        Case {
            config: without("Conv"),
            float: &[("Conv 'first'", ""), ("Conv 'second'", "")],
            ..case("without_convolutions", "Conv*2 Flatten MatMulIntegerToFloat QuantizeLinear ReorderOutput*2", text)
        },
    ];
    let outcomes = check("layers_that_are_not_to_be_quantized", &cases);
    assert_eq!(outcomes[0].values(), ["r", "d", "f"]);
    assert_eq!(outcomes[1].values(), ["f"]);
}

/// A layer that reads what is masked: a range that holds the mask has no steps left for the rest.
fn a_layer_behind_a_mask() {
    let case = Case {
        float: &[("MatMul 'masked'", "'s' holds the huge numbers of a mask")],
        ..case(
            "behind_a_mask",
            "Add MatMul MatMulIntegerToFloat QuantizeLinear",
            "g (float[2,6] x) => (float[2,4] y, float[2,4] z) <float[6,4] w = {?}, float[6,4] v = {?}, float[6] mask = {0, 0, 0, 0, 0, -10000}>
             { s = Add (x, mask) [masked] y = MatMul (s, w) z = MatMul (x, v) }",
        )
    };
    check("a_layer_behind_a_mask", &[case]);
}

/// Layers that no integer kernel exists for.
fn layers_without_a_kernel() {
    let cases = [
        Case {
            float: &[("Gemm 'scaled'", "takes no alpha but 1"), ("Gemm 'matrix'", "bias"), ("ConvTranspose", "no integer kernel")],
            ..case(
                "variants",
                "ConvTranspose Gemm*2 MatMulIntegerToFloat QuantizeLinear",
                "g (float[2,6] x, float[1,2,3,3] i) => (float[2,4] y, float[2,4] z, float[1,2,4,4] u, float[2,4] t)
                 <float[6,4] w = {?}, float[4] b = {?}, float[6,4] v = {?}, float[2,4] c = {?}, float[2,2,2,2] k = {?}, float[6,4] m = {?}>
                 { [scaled] y = Gemm <alpha = 0.5> (x, w, b) [matrix] z = Gemm (x, v, c) u = ConvTranspose (i, k) t = MatMul (x, m) }",
            )
        },
        Case {
            float: &[("Conv 'spectrum'", "a logarithm is taken")],
            ..case(
                "guarded_logarithm",
                "Clip Conv Log MatMulIntegerToFloat Mul QuantizeLinear ReduceSum",
                "g (float[1,1,64] x) => (float[1,4] y) <float[8,1,16] w = {?}, float[8,4] m = {?}, float e = {1e-3}>
                 { [spectrum] a = Conv <strides = [48]> (x, w) p = Mul (a, a) axes = Constant <value_ints = [2]> () q = ReduceSum <keepdims = 0> (p, axes) s = Clip (q, e) l = Log (s) y = MatMul (l, m) }",
            )
        },
        Case {
            float: &[("Conv 'spectrum'", "a logarithm is taken")],
            ..case(
                "logarithm",
                "Add Conv Log MatMulIntegerToFloat Mul QuantizeLinear ReduceSum",
                "g (float[1,1,64] x) => (float[1,4] y) <float[8,1,16] w = {?}, float[8,4] m = {?}, float e = {1e-3}>
                 { [spectrum] a = Conv <strides = [48]> (x, w) p = Mul (a, a) axes = Constant <value_ints = [2]> () q = ReduceSum <keepdims = 0> (p, axes) s = Add (q, e) l = Log (s) y = MatMul (l, m) }",
            )
        },
        // A logarithm of a shape is none of the numbers.
        case(
            "logarithm_of_a_size",
            "Add Cast DequantizeLinear Flatten Gather Log MatMulIntegerToFloat QLinearConv QuantizeLinear Shape Transpose*2",
            "g (float[N,1,64] x) => (float[N,M] y) <float[8,1,16] w = {?}, float[24,4] m = {?}, int64 k = {0}>
             { a = Conv <strides = [24]> (x, w) h = Shape (a) n = Gather (h, k) c = Cast <to = 1> (n) l = Log (c) f = Flatten (a) p = MatMul (f, m) y = Add (p, l) }",
        ),
    ];
    check("layers_without_a_kernel", &cases);
}

crate::tests![
    values_without_a_range,
    masks,
    layers_that_are_not_to_be_quantized,
    a_layer_behind_a_mask,
    layers_without_a_kernel
];
