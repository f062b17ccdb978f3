//! Operators that onnxruntime fails with next to integer convolutions.

use onnx_quant::{ActivationType, Activations, Config};

use super::case::{Case, case, check};

fn around(middle: &str) -> String {
    format!(
        "g (float[1,4,6,6] x) => (float[1,4,?,?] y)
         <float[8,4,1,1] w = {{?}}, float[8,8,1,1] v = {{?}}, float[8,4] u = {{?}}, int64[4] pads = {{1, 2, 1, 0}}, int64[2] axes = {{3, -2}},
          float[1] double = {{2}}, float half = {{0.5}}, int64[2] sizes = {{9, 11}}, int64[2] crop = {{4, 8}}>
         {{ [first] a = Conv (x, w) r = Relu (a) {middle} [second] d = Conv (m, v) t = Transpose <perm = [0, 2, 3, 1]> (d) p = MatMul (t, u)
            y = Transpose <perm = [0, 3, 1, 2]> (p) }}"
    )
}

/// Axes are written out: the layers are integers all the same.
fn named_axes() {
    const KERNELS: &str = "DequantizeLinear MatMulIntegerToFloat Pad QLinearConv*2 QuantizeLinear*2 Transpose*2";
    let named = |name, kernels, middle: &str| Case { opset: 19, ..case(name, kernels, &around(middle)) };
    let cases = [
        named("pad", KERNELS, "m = Pad <mode = \"reflect\"> (r, pads, , axes)"),
        named("pad_constant", KERNELS, "m = Pad (r, pads, half, axes)"),
        named(
            "resize_scales",
            "MatMulIntegerToFloat QLinearConv*2 QuantizeLinear Resize Transpose*2",
            "m = Resize <axes = [2], mode = \"nearest\"> (r, , double)",
        ),
        named(
            "resize_linear",
            "DequantizeLinear MatMulIntegerToFloat QLinearConv*2 QuantizeLinear*2 Resize Transpose*2",
            "m = Resize <axes = [2], mode = \"linear\"> (r, , double)",
        ),
    ];
    check("named_axes", &cases);
}

/// What cannot be written otherwise leaves the convolutions around it float.
fn what_cannot_be_written_otherwise() {
    const FLOAT: &[(&str, &str)] = &[("Conv 'first'", "fails with"), ("Conv 'second'", "fails with")];
    let cases = [
        Case {
            opset: 19,
            given: &[("x", -4.0, 4.0), ("t", -6.0, 6.0)],
            float: FLOAT,
            ..case(
                "center_crop_pad",
                "Add Concat Conv*2 Div*2 Gather*2 MatMulIntegerToFloat Max Pad QuantizeLinear ReorderOutput*2 Shape*2 Slice Sub*3 Transpose*2",
                &around("m = CenterCropPad <axes = [2, 3]> (r, crop)"),
            )
        },
        Case {
            opset: 19,
            given: &[("x", -4.0, 4.0), ("t", -6.0, 6.0)],
            float: FLOAT,
            ..case(
                "resize_policy",
                "Conv*2 MatMulIntegerToFloat QuantizeLinear ReorderOutput*2 Resize Transpose*2",
                &around(
                    "m = Resize <axes = [2, 3], mode = \"nearest\", keep_aspect_ratio_policy = \"not_larger\"> (r, , , sizes)",
                ),
            )
        },
        Case {
            opset: 19,
            given: &[("x", -4.0, 4.0), ("r", 0.0, 6.0), ("t", -6.0, 6.0)],
            float: &[("Conv 'second'", "fails with AveragePool")],
            bound: 0.05,
            ..case(
                "dilated_pool",
                "AveragePool Conv DequantizeLinear MatMulIntegerToFloat QLinearConv QuantizeLinear*2 ReorderOutput Transpose*4",
                &around("m = AveragePool <kernel_shape = [2, 2], dilations = [2, 2]> (r)"),
            )
        },
        Case {
            opset: 19,
            given: &[("x", -4.0, 4.0), ("r", 0.0, 6.0), ("t", -6.0, 6.0)],
            float: &[("Conv 'second'", "fails with AveragePool")],
            bound: 0.05,
            ..case(
                "dilated_pool_and_moves",
                "AveragePool Conv DequantizeLinear MatMulIntegerToFloat QLinearConv QuantizeLinear*2 Relu ReorderOutput Transpose*5",
                &around(
                    "b = AveragePool <kernel_shape = [2, 2], dilations = [2, 2]> (r) c = Transpose <perm = [0, 1, 3, 2]> (b) m = Relu (c)",
                ),
            )
        },
    ];
    check("near_obstacles", &cases);
}

/// What varies by less than a step would be a constant, which onnxruntime's MeanVarianceNormalization divides by
/// zero.
fn normalized_constants() {
    let normalized = |name, kernels, middle: &str| {
        Case {
        float: &[("Conv", "fails with MeanVarianceNormalization"), ("Conv 'last'", "goes to the outputs")],
        ..case(
            name,
            kernels,
            &format!(
                "g (float[1,2,6,6] x) => (float[1,3,6,6] y) <float[2] big = {{100, 50}}, float[2,2,1,1] w = {{0.0001, 0.0002, 0.0003, -0.0001}}, float[3,2,1,1] v = {{?}}>
                 {{ a = Conv (x, w, big) {middle} n = MeanVarianceNormalization <axes = [0, 2, 3]> (b) [last] y = Conv (n, v) }}"
            ),
        )
    }
    };
    let cases = [
        normalized("directly", "Conv*2 MeanVarianceNormalization ReorderOutput*2", "b = Identity (a)"),
        normalized(
            "moved",
            "Conv*2 MeanVarianceNormalization ReorderOutput*2 Transpose",
            "r = Relu (a) b = Transpose <perm = [0, 1, 3, 2]> (r)",
        ),
    ];
    check("normalized_constants", &cases);
}

/// Of opset 21 onnxruntime makes a Gemm of an int8 product and a vector, between Reshapes that it trips over: of
/// vectors that are no constants, too.
fn int8_products_before_vectors() {
    let activations = Activations::default().with_ty(ActivationType::Int8);
    let cases = [Case {
        config: Config::default().with_activations(activations),
        float: &[("MatMul 'first'", "fails with Add")],
        ..case(
            "given",
            "Gemm MatMulIntegerToFloat QuantizeLinear Reshape*2",
            "<ir_version: 10, opset_import: [\"\": 22]>
             g (float[2,3,16] x, float[8] b) => (float[2,3,4] y) <float[16,8] w = {?}, float[8,4] v = {?}>
             { [first] p = MatMul (x, w) a = Add (p, b) [second] y = MatMul (a, v) }",
        )
    }];
    check("int8_products_before_vectors", &cases);
}

/// Of opset 21 onnxruntime adds pairs behind what moves int8 activations which it cannot read itself.
fn int8_that_is_moved() {
    let activations = Activations::default().with_ty(ActivationType::Int8);
    let moved = |name, kernels, opset, middle: &str| {
        Case {
        opset,
        config: Config::default().with_activations(activations.clone()),
        ..case(
            name,
            kernels,
            &format!(
                "<ir_version: 10, opset_import: [\"\": {opset}]>
                 g (float[1,4,6,6] x) => (float[8,16] y, float[?,?,?,?] z) <float[8,4,1,1] w = {{?}}, float[36,16] v = {{?}}, int64[2] shape = {{8, 36}}, int64[1] axes = {{0}}>
                 {{ a = Conv (x, w) {middle} t = Tanh (b) y = MatMul (t, v) z = Transpose (a) }}"
            ),
        )
    }
    };
    let cases = [
        moved(
            "reshape_21",
            "Conv DequantizeLinear*6 MatMulIntegerToFloat QuantizeLinear*5 Reshape Tanh Transpose",
            21,
            "b = Reshape (a, shape)",
        ),
        moved(
            "reshape_22",
            "Conv DequantizeLinear*6 MatMulIntegerToFloat QuantizeLinear*5 Reshape Tanh Transpose",
            22,
            "b = Reshape (a, shape)",
        ),
        moved(
            "several",
            "Conv DequantizeLinear*6 MatMulIntegerToFloat QuantizeLinear*5 Reshape Squeeze Tanh Transpose Unsqueeze",
            21,
            "s = Squeeze (a, axes) u = Unsqueeze (s, axes) b = Reshape (u, shape)",
        ),
        moved(
            "pool",
            "Conv DequantizeLinear*6 MatMulIntegerToFloat MaxPool QuantizeLinear*5 Reshape Tanh Transpose",
            21,
            "m = MaxPool <kernel_shape = [1, 1], strides = [1, 1]> (a) b = Reshape (m, shape)",
        ),
    ];
    check("int8_that_is_moved", &cases);
}

crate::tests![
    named_axes,
    what_cannot_be_written_otherwise,
    normalized_constants,
    int8_products_before_vectors,
    int8_that_is_moved
];
