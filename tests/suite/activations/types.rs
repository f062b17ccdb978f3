//! The type of activations decides what a QuantizeLinear makes redundant.

use onnx_quant::{ActivationType, Activations, Config, ir::DataType};

use super::case::{Case, case, check};

const TEXT: &str = "g (float[1,3,8,8] x) => (float[1,10] y) <float[4,3,3,3] w = {?}, float[4] b = {?}, float[5,4,3,3] v = {?}, float[5] c = {?}, float[80,10] m = {?}>
     { a = Conv (x, w, b) r = Relu (a) d = Conv (r, v, c) f = Flatten (d) y = MatMul (f, m) }";

fn config(ty: ActivationType, symmetric: bool) -> Config {
    let activations = Activations::default().with_ty(ty).with_symmetric(symmetric);
    Config::default().with_activations(activations)
}

fn types_of_activations() {
    use ActivationType::{Int8, Uint8};
    let cases = [
        Case {
            config: config(Int8, false),
            ..case("int8", "Flatten MatMulIntegerToFloat QLinearConv*2 QuantizeLinear Transpose*2", TEXT)
        },
        Case {
            config: config(Int8, true),
            ..case(
                "int8_symmetric",
                "DequantizeLinear Flatten MatMulIntegerToFloat QLinearConv*2 QuantizeLinear*2 Relu Transpose*2",
                TEXT,
            )
        },
        Case {
            config: config(Uint8, true),
            ..case(
                "uint8_symmetric",
                "DequantizeLinear Flatten MatMulIntegerToFloat QLinearConv*2 QuantizeLinear*2 Relu Transpose*2",
                TEXT,
            )
        },
    ];
    let outcomes = check("types_of_activations", &cases);
    let zero_points = |index: usize| ["x", "r", "a"].map(|name| outcomes[index].zero_point(name));
    // On both sides of the Relu the smallest integer is zero: nothing is left for it to do.
    assert_eq!(zero_points(0)[1..], [Some(-128); 2]);
    // Zero is in the middle, and the Relu has to stay.
    assert_eq!(zero_points(1), [Some(0); 3]);
    assert_eq!(zero_points(2), [Some(128); 3]);
}

/// No kernel computes with 16 bits: the pairs are for other runtimes, and the numbers are hardly rounded.
fn sixteen_bits() {
    // The weights have 8 bits, and what is lost is theirs.
    const KERNELS: &str = "Conv*2 DequantizeLinear*7 Flatten MatMulNBits QuantizeLinear*3";
    let case = Case { config: config(ActivationType::Uint16, false), bound: 0.02, ..case("uint16", KERNELS, TEXT) };
    check("sixteen_bits", &[case]);
}

/// Half floats between, float32 inside: all layers become integer kernels, inputs and outputs stay.
fn half_floats() {
    let text = "g (float16[1,3,8,8] x) => (float16[1,10] y) <float[4,3,3,3] w = {?}, float[5,4,3,3] v = {?}, float[80,10] m = {?}>
         { wh = Cast <to = 10> (w) vh = Cast <to = 10> (v) mh = Cast <to = 10> (m) a = Conv (x, wh) r = Relu (a) d = Conv (r, vh) f = Flatten (d) y = MatMul (f, mh) }";
    let kernels = "Cast*2 Flatten MatMulIntegerToFloat QLinearConv*2 QuantizeLinear Transpose*2";
    let outcomes = check("half_floats", &[case("float16", kernels, text)]);
    assert!(!outcomes[0].model.tensors().any(|tensor| tensor.dtype() == DataType::Float16));
}

/// Two products of an activation of 8 bits and a weight of 7 fit into 16 bits.
fn reduced_range() {
    let activations = Activations::default().with_reduce_range(true);
    let kernels = "Flatten MatMulIntegerToFloat QLinearConv*2 QuantizeLinear Transpose*2";
    let case =
        Case { config: Config::default().with_activations(activations), bound: 0.05, ..case("reduced", kernels, TEXT) };
    let outcomes = check("reduced_range", &[case]);
    let weights = outcomes[0].model.tensors().filter(|tensor| tensor.dtype() == DataType::Int8);
    let largest = |tensor: &onnx_quant::ir::Tensor| {
        let bytes = tensor.to_bytes().expect("they are there");
        bytes.iter().map(|&byte| (byte as i8).unsigned_abs()).max().expect("there are some")
    };
    // Zero points are among them.
    let largest: Vec<u8> = weights.filter(|tensor| tensor.shape().len() > 1).map(largest).collect();
    assert_eq!(largest, [63; 3]);
}

crate::tests![types_of_activations, sixteen_bits, half_floats, reduced_range];
