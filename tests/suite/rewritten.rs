//! Small graphs as they are rewritten: one for each kind of rewriting.

use crate::{quantized, testdata};
use quantized::{Quantized, way};
use testdata::fixtures;

/// The text of a made fixture, quantized in a way.
fn text(name: &str, way_name: &str) -> String {
    let name = format!("made/{name}.onnx");
    let fixture = fixtures().into_iter().find(|fixture| fixture.name == name).expect("there is such a fixture");
    Quantized::new(&fixture, &way(way_name)).unwrap_or_else(|error| panic!("{name}: {error}")).model.to_text()
}

macro_rules! rewritten {
    ($($name:ident: $fixture:literal, $way:literal;)+) => {
        $(
            fn $name() {
                insta::assert_snapshot!(text($fixture, $way));
            }
        )+
        crate::tests![$($name),+];
    };
}

rewritten! {
    initializers_and_constant_nodes: "constant_nodes", "int8";
    bodies: "if_nested", "int8";
    functions: "function_constants", "int8";
    the_opset_rises: "opset12", "int8";
    pairs_keep_the_float_weight: "tied_axes_disagree", "qdq";
    two_axes_are_two_copies: "tied_axes_disagree", "int8";
    each_product_has_its_own: "weight_used_twice", "int8";
    gathers_pick_from_integers: "tables", "int8";
    scales_of_blocks_are_picked_too: "tables_in_bodies", "block16";
    gemms_lose_their_transposition: "gemm_transposed", "block16";
    transposes_go: "transposed_before_products", "block16";
    half_precision_has_scales_of_its_own: "float16_table", "int8";
    few_half_weights_get_a_cast: "mixed_float16", "int8";
}
