//! A value with several readers is quantized once; outputs of the graph keep their names.

use super::case::{Case, case, check, min_max};

fn values_with_several_readers() {
    let cases = [
        min_max(case("layer_and_float_reader",
            "DequantizeLinear Flatten MatMulIntegerToFloat QLinearConv QuantizeLinear ReduceMean Tanh Transpose*2",
            "g (float[1,3,6,6] x) => (float[1,4] y, float[1,10] z) <float[4,3,3,3] w = {?}, float[4] b = {?}, float[64,10] m = {?}>
             { a = Conv (x, w, b) r = Relu (a) f = Flatten (r) z = MatMul (f, m) t = Tanh (r) y = ReduceMean <axes = [2, 3], keepdims = 0> (t) }",)),
        min_max(case("input_of_two_layers_and_a_float_operator",
            "MatMulIntegerToFloat*2 QuantizeLinear Tanh",
            "g (float[2,6] x) => (float[2,4] y, float[2,5] z, float[2,6] t) <float[6,4] w = {?}, float[6,5] v = {?}>
             { y = MatMul (x, w) z = MatMul (x, v) t = Tanh (x) }",)),
        case(
            "output_and_layer",
            "DequantizeLinear Flatten MatMulIntegerToFloat QLinearConv QuantizeLinear Transpose*2",
            "g (float[1,3,6,6] x) => (float[1,4,4,4] r, float[1,10] z) <float[4,3,3,3] w = {?}, float[4] b = {?}, float[64,10] m = {?}>
             { a = Conv (x, w, b) r = Relu (a) f = Flatten (r) z = MatMul (f, m) }",
        ),
        Case {
            float: &[("Conv 'last'", "its result goes to the outputs")],
            ..case(
                "final_conv",
                "Conv DequantizeLinear QLinearConv QuantizeLinear ReorderOutput Transpose*2",
                "g (float[1,3,6,6] x) => (float[1,2,4,4] y) <float[4,3,3,3] w = {?}, float[4] b = {?}, float[2,4,1,1] v = {?}, float[2] c = {?}>
                 { a = Conv (x, w, b) r = Relu (a) [last] d = Conv (r, v, c) y = Sigmoid (d) }",
            )
        },
        case(
            "final_products",
            "MatMulIntegerToFloat QGemm QuantizeLinear",
            "g (float[2,6] x) => (float[2,4] y, float[2,5] z) <float[6,4] w = {?}, float[4] b = {?}, float[6,5] v = {?}>
             { y = Gemm (x, w, b) z = MatMul (x, v) }",
        ),
    ];
    let outcomes = check("values_with_several_readers", &cases);
    let pairs = |index: usize| (outcomes[index].count("QuantizeLinear"), outcomes[index].values());
    assert_eq!(pairs(0), (3, vec!["x", "r", "f"]));
    assert_eq!(pairs(1), (1, vec!["x"]));
    assert_eq!(pairs(2), (3, vec!["x", "r", "f"]));
    assert_eq!(pairs(3), (2, vec!["x", "r"]));
    assert_eq!(pairs(4), (1, vec!["x"]));
    insta::assert_snapshot!("layer_and_float_reader", outcomes[0].model.to_text());
    insta::assert_snapshot!("input_of_two_layers", outcomes[1].model.to_text());
}

crate::tests![values_with_several_readers];
