//! Biases as int32: in units of exactly the product of the scales of what is multiplied.

use onnx_quant::{
    Model,
    ir::{DataType, OpId, ValueId},
};

use super::case::{Case, Outcome, case, check, float_model};

/// A DequantizeLinear's integers and scales.
struct Dequantized {
    integers: Vec<i32>,
    scales: Vec<f32>,
}

fn dequantized(model: &Model, value: ValueId) -> Dequantized {
    let op = model.producer(value).filter(|&op| model.op(op).is("DequantizeLinear")).expect("it is dequantized");
    let scale = model.constant(model.input(op, 1).expect("a scale")).expect("a constant scale");
    let integers = model.constant(model.input(op, 0).expect("integers")).filter(|it| it.dtype() == DataType::Int32);
    let integers = integers.map_or(vec![], |integers| {
        let bytes = integers.to_bytes().expect("bytes");
        bytes.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect()
    });
    Dequantized { integers, scales: scale.to_array::<f32>().expect("float scales").iter().copied().collect() }
}

fn named(model: &Model, name: &str) -> OpId {
    model.ops().find(|&op| model.op(op).name() == name).unwrap_or_else(|| panic!("there is no '{name}'"))
}

/// The bias of an operator, after its scales are found to be exactly what products count in, and its integers
/// the float bias rounded.
fn bias(float: &Model, outcome: &Outcome, op: &str, bias: &str) -> Dequantized {
    let model = &outcome.model;
    let op = named(model, op);
    let [input, weight, stored] =
        [0, 1, 2].map(|slot| dequantized(model, model.input(op, slot).expect("three inputs")));
    let products: Vec<f32> = weight.scales.iter().map(|scale| input.scales[0] * scale).collect();
    assert_eq!(stored.scales, products);
    let value = float.values().find(|&value| float.value(value).name() == bias).expect("the bias");
    let wanted = float.constant(value).expect("a constant").to_array::<f32>().expect("floats");
    for (index, (integer, wanted)) in stored.integers.iter().zip(&wanted).enumerate() {
        let scale = f64::from(stored.scales[index.min(stored.scales.len() - 1)]);
        assert_eq!(f64::from(*integer), (f64::from(*wanted) / scale).round_ties_even());
    }
    assert_eq!(stored.integers.len(), wanted.len());
    stored
}

fn biases_are_integers_of_the_products_scale() {
    let cases = [
        case(
            "conv_and_gemms",
            "Flatten QGemm*3 QLinearConv QuantizeLinear Transpose*2",
            "g (float[2,3,4,4] x) => (float[2,6] y, float[2,6] z, float[2,6] u)
             <float[4,3,3,3] w = {?}, float[4] b = {?}, float[16,6] m = {?}, float[6] c = {?}, float[6,16] n = {?}, float[1,6] d = {?}, float[16,6] k = {?}, float[6] e = {?}>
             { [conv] a = Conv (x, w, b) r = Relu (a) f = Flatten (r) [gemm] y = Gemm (f, m, c) [transposed] z = Gemm <transB = 1> (f, n, d) [product] p = MatMul (f, k) u = Add (p, e) }",
        ),
        case(
            "shared_bias",
            "QGemm*2 QuantizeLinear*2 Relu",
            "g (float[2,6] x, float[2,8] z) => (float[2,4] y, float[2,4] u, float[2,4] t) <float[6,4] w = {?}, float[8,4] v = {?}, float[4] b = {?}>
             { [one] y = Gemm (x, w, b) [other] u = Gemm (z, v, b) t = Relu (y) }",
        ),
        // The first channel's weights are next to nothing beside its bias.
        case(
            "overflow",
            "QGemm QuantizeLinear",
            "g (float[2,2] x) => (float[2,3] y) <float[2,3] w = {1e-9, 0.5, -0.5, -1e-9, 0.25, 0.5}, float[3] b = {100, 1, 2}>
             { [large] y = Gemm (x, w, b) }",
        ),
        // What fits the small input is too fine for the large one: the scales are the larger of both.
        case(
            "shared_weight",
            "Mul QGemm*2 QuantizeLinear*2",
            "g (float[2,2] x) => (float[2,3] y, float[2,3] u) <float[2,3] w = {1e-9, 0.5, -0.5, -1e-9, 0.25, 0.5}, float[3] b = {2, 1, 2}, float s = {0.01}>
             { z = Mul (x, s) [loud] y = Gemm (x, w, b) [quiet] u = Gemm (z, w, b) }",
        ),
        // No weight at all in the second column: any scale will do that fits the bias.
        case(
            "no_weights",
            "QGemm QuantizeLinear",
            "g (float[2,2] x) => (float[2,3] y) <float[2,3] w = {0.5, 0, -0.5, 0.3, 0, 0.5}, float[3] b = {1, 0.013, 2}>
             { [nothing] y = Gemm (x, w, b) }",
        ),
        Case {
            float: &[("Gemm 'one_number'", "each channel")],
            ..case(
                "unfit",
                "Gemm QGemm QuantizeLinear",
                "g (float[2,2] x) => (float[2,3] y, float[2,3] u) <float[2,3] w = {?}, float[1] b = {0.5}, float[2,3] k = {?}, float[3] d = {?}>
                 { [one_number] y = Gemm (x, w, b) [fit] u = Gemm (x, k, d) }",
            )
        },
    ];
    let outcomes = check("biases", &cases);
    let float = |index: usize| float_model("biases", &cases[index]);
    for (op, name) in [("conv", "b"), ("gemm", "c"), ("transposed", "d"), ("product", "e")] {
        bias(&float(0), &outcomes[0], op, name);
    }
    let [one, other] = ["one", "other"].map(|op| bias(&float(1), &outcomes[1], op, "b"));
    assert_ne!(one.scales, other.scales);
    assert!(
        !outcomes[1].model.values().any(|value| outcomes[1].model.value(value).name() == "b"),
        "the float bias stays"
    );
    let large = bias(&float(2), &outcomes[2], "large", "b");
    assert!(large.integers[0] <= 1 << 30 && large.integers[0] > 1 << 29, "{:?}", large.integers);
    assert!(large.scales[0] > 1e-8 && large.scales[1] < 1e-3, "{:?}", large.scales);
    let [loud, quiet] = ["loud", "quiet"].map(|op| bias(&float(3), &outcomes[3], op, "b"));
    assert!(quiet.integers[0] <= 1 << 30 && quiet.integers[0] > loud.integers[0]);
    let nothing = bias(&float(4), &outcomes[4], "nothing", "b");
    assert!((f64::from(nothing.integers[1]) * f64::from(nothing.scales[1]) - 0.013).abs() < 1e-8);
}

crate::tests![biases_are_integers_of_the_products_scale];
