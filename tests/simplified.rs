//! Models simplified before their activations are quantized compute what they did: small models that
//! say which operators must be left, and every model of `testdata`, run before and after.

mod runtime;
mod testdata;

use std::path::{Path, PathBuf};

use onnx_quant::{
    Model, SaveOptions,
    passes::{
        self, FoldBatchNormalization, FoldConstants, FoldScales, FreezeParameters, FuseMatMulAdd, Pass,
        RemoveIdentities,
    },
};
use runtime::{Comparison, Difference, Engine, Inputs, Side, Text, texts::model_text};
use testdata::{Fixture, fixtures};

/// What weights that are rounded once more may differ by, and sums in another order.
const TOLERANCE: f64 = 2e-6;
/// The same in binary16.
const HALF_TOLERANCE: f64 = 4e-3;

/// A model: its name, its text behind the header, and the operators that must be left, constants aside.
/// Its numbers are those of [`model_text`].
struct Case {
    name: &'static str,
    opset: i64,
    text: &'static str,
    left: &'static str,
}

const fn case(name: &'static str, opset: i64, text: &'static str, left: &'static str) -> Case {
    Case { name, opset, text, left }
}

const CASES: &[Case] = &[
    // Identities.
    case(
        "identity_between",
        13,
        "g (float[2] x) => (float[2] y) { a = Identity (x) b = Identity (a) y = Relu (b) }",
        "Relu",
    ),
    case(
        "identity_of_output",
        13,
        "g (float[2] x) => (float[2] y, float[2] z) { a = Relu (x) y = Identity (a) z = Neg (a) }",
        "Relu Neg",
    ),
    case("identity_of_input", 13, "g (float[2] x) => (float[2] y) { y = Identity (x) }", "Identity"),
    case(
        "identities_of_one_output",
        13,
        "g (float[2] x) => (float[2] a, float[2] y, float[2] z) { a = Relu (x) y = Identity (a) z = Identity (a) }",
        "Relu Identity Identity",
    ),
    case(
        "identity_chain_to_output",
        13,
        "g (float[2] x) => (float[2] y) { a = Relu (x) b = Identity (a) c = Identity (b) y = Identity (c) }",
        "Relu",
    ),
    case(
        "identities_in_bodies",
        13,
        "g (float[2] x, bool c) => (float[2] y) { o = Identity (x)
         y = If <then_branch = t () => (float[2] a) { p = Relu (o) q = Identity (p) a = Identity (q) },
                 else_branch = e () => (float[2] b) { b = Identity (o) }> (c) }",
        "If Relu Identity",
    ),
    case(
        "identities_in_a_loop",
        13,
        "g (float[2] x, int64 n) => (float[2] y) { o = Identity (x)
         y = Loop <body = b (int64 i, bool c, float[2] s) => (bool d, float[2] t)
           { d = Identity (c) p = Add (s, o) t = Identity (p) }> (n, , o) }",
        "Loop Identity Add",
    ),
    case(
        "identities_in_a_function",
        13,
        "<ir_version: 8, opset_import: [\"\": 13, \"f\": 1]> g (float[2] x) => (float[2] y) { y = f.h (x) }
         <domain: \"f\", opset_import: [\"\": 13]> h (a) => (d) { b = Identity (a) c = Relu (b) d = Identity (c) }",
        "h Relu",
    ),
    case(
        "dropout",
        13,
        "g (float[2] x) => (float[2] y) <float r = {0.5}, bool t = {0}> { a, m = Dropout (x, r, t) b = Dropout (a) y = Relu (b) }",
        "Relu",
    ),
    case(
        "dropout_whose_mask_is_read",
        13,
        "g (float[2] x) => (float[2] y, bool[2] m) { a, m = Dropout (x) y = Relu (a) }",
        "Dropout Relu",
    ),
    case("dropout_of_old", 10, "g (float[2] x) => (float[2] y) { a = Dropout <ratio = 0.3> (x) y = Relu (a) }", "Relu"),
    case(
        "casts",
        13,
        "g (float[2] x) => (float[2] y, int64[2] z) { a = Cast <to = 1> (x) b = Cast <to = 7> (a) c = Cast <to = 7> (b)
         d = Cast <to = 7> (x) z = Add (c, d) y = Relu (a) }",
        "Cast Add Relu",
    ),
    case(
        "cast_twice_to_outputs",
        13,
        "g (float[2] x) => (int64[2] y, int64[2] z) { a = Cast <to = 7> (x) y = Cast <to = 7> (x) z = Neg (a) }",
        "Cast Neg",
    ),
    case(
        "transposes",
        13,
        "g (float[2,3] x) => (float[3,2] y) { a = Transpose <perm = [0, 1]> (x) y = Transpose <perm = [1, 0]> (a) }",
        "Transpose",
    ),
    // Constants.
    case(
        "shape_of_known_sizes",
        13,
        "g (float[2,3,4] x) => (float[6,4] y) <int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}>
         { r = Relu (x) s = Shape (r) a = Gather <axis = 0> (s, zero) b = Slice (s, one, two) c = Mul (a, b)
           m = Constant <value_ints = [-1]> () t = Concat <axis = 0> (c, m) y = Reshape (r, t) }",
        "Relu Reshape",
    ),
    case(
        "shape_in_part",
        15,
        "g (float[2,\"n\",4] x) => (int64[1] y, int64[3] z, int64 n) { y = Shape <start = -1> (x) z = Shape (x) n = Size (x) }",
        "Shape Size",
    ),
    case(
        "stated_sizes_are_not_believed",
        13,
        "g (float[\"n\"] x, float[1] k) => (int64[1] y) <float[3] r> { r = Mul (x, k) y = Shape (r) }",
        "Mul Shape",
    ),
    case(
        "constants_in_bodies",
        13,
        "g (float[2] x, bool c) => (float[2] y) <float[2] k = {1, 2}> { l = Add (k, k)
         y = If <then_branch = t () => (float[2] a) { m = Mul (l, k) a = Add (x, m) },
                 else_branch = e () => (float[2] b) { b = Sub (l, k) }> (c) }",
        "If Add",
    ),
    case(
        "constants_in_functions",
        13,
        "<ir_version: 8, opset_import: [\"\": 13, \"f\": 1]> g (float[2] x) => (float[2] y) { y = f.h (x) }
         <domain: \"f\", opset_import: [\"\": 13]> h (a) => (d)
         { k = Constant <value_floats = [1.0, 2.0]> () l = Exp (k) m = Neg (l) d = Mul (a, m) }",
        "h Mul",
    ),
    case(
        "initializers_that_can_be_overridden",
        13,
        "<ir_version: 7, opset_import: [\"\": 13]> g (float[2] x, float[2] k) => (float[2] y) <float[2] k = {1, 2}>
         { l = Add (k, k) y = Mul (x, l) }",
        "Add Mul",
    ),
    case(
        "what_would_grow",
        13,
        "g (float[40,50] x) => (float[40,50] y) <int64[2] s = {40, 50}, float[1,50] r = {?}, int64[2] t = {40, 1}>
         { a = ConstantOfShape (s) b = Expand (r, s) c = Tile (r, t) d = Add (b, c) e = Add (a, d) y = Mul (x, e) }",
        "ConstantOfShape Expand Tile Add Add Mul",
    ),
    case(
        "weights_that_are_rearranged",
        13,
        "g (float[2,40] x) => (float[2,30] y, float[2,30] z) <float[30,40] w = {?}, float[30,40] v = {?}>
         { t = Transpose (w) y = MatMul (x, t) u = Transpose (v) z = Gemm (x, u) }",
        "MatMul Gemm",
    ),
    case(
        "weights_that_are_normalized",
        13,
        "g (float[1,20,4,4] x) => (float[1,30,4,4] y) <float[1,20,30] v = {?}, float[30,1,1] l = {+}, int64[1] a = {2}>
         { t = Transpose <perm = [2, 1, 0]> (v) n = Div (t, l) w = Unsqueeze (n, a) y = Conv (x, w) }",
        "Conv",
    ),
    // BatchNormalization.
    case(
        "batch_norm",
        13,
        "g (float[2,3,6,6] x) => (float[2,4,6,6] y) <float[4,3,3,3] w = {?}, float[4] b = {?}, float[4] s = {?}, float[4] o = {?}, float[4] m = {?}, float[4] v = {+}>
         { c = Conv <pads = [1, 1, 1, 1]> (x, w, b) n = BatchNormalization <epsilon = 0.001> (c, s, o, m, v) y = Relu (n) }",
        "Conv Relu",
    ),
    case(
        "batch_norm_of_groups_without_bias",
        15,
        "g (float[1,4,9] x) => (float[1,8,7] y) <float[8,2,3] w = {?}, float[8] s = {?}, float[8] o = {?}, float[8] m = {?}, float[8] v = {+}>
         { c = Conv <group = 2> (x, w) y = BatchNormalization (c, s, o, m, v) }",
        "Conv",
    ),
    case(
        "batch_norm_of_old",
        7,
        "g (float[2,3,6,6] x) => (float[2,4,4,4] y) <float[4,3,3,3] w = {?}, float[4] s = {?}, float[4] o = {?}, float[4] m = {?}, float[4] v = {+}>
         { c = Conv (x, w) y = BatchNormalization (c, s, o, m, v) }",
        "Conv",
    ),
    case(
        "batch_norm_of_transposed_groups",
        13,
        "g (float[1,6,5,5] x) => (float[1,4,7,7] y) <float[6,2,3,3] w = {?}, float[4] b = {?}, float[4] s = {?}, float[4] o = {?}, float[4] m = {?}, float[4] v = {+}>
         { c = ConvTranspose <group = 2> (x, w, b) y = BatchNormalization (c, s, o, m, v) }",
        "ConvTranspose",
    ),
    case(
        "batch_norm_of_transposed_with_bias_behind",
        13,
        "g (float[1,3,5,5] x) => (float[1,4,9,9] y) <float[3,4,2,2] w = {?}, float[1,4,1,1] b = {?}, float[4] s = {?}, float[4] o = {?}, float[4] m = {?}, float[4] v = {+}>
         { c = ConvTranspose <strides = [2, 2], pads = [0, 0, 1, 1]> (x, w) a = Add (c, b) y = BatchNormalization (a, s, o, m, v) }",
        "ConvTranspose",
    ),
    case(
        "batch_norm_of_gemm",
        13,
        "g (float[2,5] x) => (float[2,4] y, float[2,4] z) <float[4,5] w = {?}, float[1,4] b = {?}, float[5,4] u = {?}, float c = {0.7}, float[4] s = {?}, float[4] o = {?}, float[4] m = {?}, float[4] v = {+}>
         { a = Gemm <transB = 1, alpha = 0.5, beta = 2.0> (x, w, b) y = BatchNormalization (a, s, o, m, v)
           d = Gemm <beta = 0.5> (x, u, c) z = BatchNormalization (d, s, o, m, v) }",
        "Gemm Gemm",
    ),
    case(
        "batch_norm_of_gemm_without_or_with_another_bias",
        13,
        "g (float[2,5] x) => (float[2,4] y, float[2,4] z) <float[5,4] w = {?}, float[5,4] u = {?}, float[2,4] c = {?}, float[4] s = {?}, float[4] o = {?}, float[4] m = {?}, float[4] v = {+}>
         { a = Gemm <beta = 0.0> (x, w) y = BatchNormalization (a, s, o, m, v) d = Gemm (x, u, c) z = BatchNormalization (d, s, o, m, v) }",
        "Gemm Gemm BatchNormalization",
    ),
    case(
        "batch_norms_of_a_shared_weight",
        13,
        "g (float[1,2,4,4] x, float[1,2,4,4] z) => (float[1,3,4,4] y, float[1,3,4,4] u, float[3,2,1,1] w)
         <float[3,2,1,1] w = {?}, float[3] s = {?}, float[3] o = {?}, float[3] m = {?}, float[3] v = {+}>
         { a = Conv (x, w) b = Conv (z, w) y = BatchNormalization (a, s, o, m, v) u = BatchNormalization (b, o, s, m, v) }",
        "Conv Conv",
    ),
    case(
        "batch_norm_of_constant_nodes",
        13,
        "g (float[1,1,4,4] x) => (float[1,2,4,4] y) { w = Constant <value = float[2,1,1,1] {0.5, -2.0}> () o = Constant <value_floats = [1.5, 2.5]> ()
         a = Conv (x, w) y = BatchNormalization (a, o, o, o, o) }",
        "Conv",
    ),
    case(
        "batch_norm_with_other_readers",
        13,
        "g (float[1,2,4,4] x) => (float[1,3,4,4] y, float[1,3,4,4] z, float[1,3,4,4] c)
         <float[3,2,1,1] w = {?}, float[3,2,1,1] u = {?}, float[3] s = {?}, float[3] o = {?}, float[3] m = {?}, float[3] v = {+}>
         { a = Conv (x, w) b = BatchNormalization (a, s, o, m, v) y = Add (a, b) c = Conv (x, u) z = BatchNormalization (c, s, o, m, v) }",
        "Conv BatchNormalization Add Conv BatchNormalization",
    ),
    case(
        "batch_norm_that_is_output_and_read",
        13,
        "g (float[1,2,4,4] x) => (float[1,3,4,4] y, float[1,3,4,4] z) <float[3,2,1,1] w = {?}, float[3] s = {?}, float[3] o = {?}, float[3] m = {?}, float[3] v = {+}>
         { a = Conv (x, w) y = BatchNormalization (a, s, o, m, v) z = Relu (y) }",
        "Conv Relu",
    ),
    case(
        "batch_norm_in_bodies",
        13,
        "g (float[1,2,4,4] x, bool k) => (float[1,3,4,4] y) <float[3,2,1,1] w = {?}, float[3] s = {?}, float[3] o = {?}, float[3] m = {?}, float[3] v = {+}>
         { d = Conv (x, w)
           y = If <then_branch = t () => (float[1,3,4,4] b) { a = Conv (x, w) b = BatchNormalization (a, s, o, m, v) },
                   else_branch = e () => (float[1,3,4,4] c) { c = BatchNormalization (d, s, o, m, v) }> (k) }",
        "Conv If Conv BatchNormalization",
    ),
    case(
        "batch_norm_in_a_function",
        13,
        "<ir_version: 8, opset_import: [\"\": 13, \"f\": 1]> g (float[1,1,4,4] x) => (float[1,2,4,4] y) { y = f.h (x) }
         <domain: \"f\", opset_import: [\"\": 13]> h (x) => (y)
         { w = Constant <value = float[2,1,1,1] {0.5, -2.0}> () o = Constant <value_floats = [1.5, 2.5]> ()
           a = Conv (x, w) y = BatchNormalization (a, o, o, o, o) }",
        "h Conv",
    ),
    case(
        "batch_norm_of_inputs_by_necessity",
        7,
        "<ir_version: 3, opset_import: [\"\": 7]>
         g (float[1,2,4,4] x, float[3,2,1,1] w, float[3] s, float[3] o, float[3] m, float[3] v) => (float[1,3,4,4] y)
         <float[3,2,1,1] w = {?}, float[3] s = {?}, float[3] o = {?}, float[3] m = {?}, float[3] v = {+}>
         { a = Conv (x, w) y = BatchNormalization (a, s, o, m, v) }",
        "Conv",
    ),
    case(
        "batch_norm_that_would_overflow",
        13,
        "g (float[1,1,2,2] x) => (float[1,2,2,2] y) <float[2,1,1,1] w = {1e20, 1}, float[2] s = {1e20, 1}, float[2] o = {0, 0}, float[2] m = {0, 0}, float[2] v = {1, 1}>
         { a = Conv (x, w) y = BatchNormalization (a, s, o, m, v) }",
        "Conv BatchNormalization",
    ),
    case(
        "half_batch_norm",
        15,
        "g (float16[1,2,4,4] x) => (float16[1,3,4,4] y) <float[3,2,1,1] fw = {?}, float[3] fs = {?}, float[3] fo = {?}, float[3] fm = {?}, float[3] fv = {+}>
         { w = Cast <to = 10> (fw) s = Cast <to = 10> (fs) o = Cast <to = 10> (fo) m = Cast <to = 10> (fm) v = Cast <to = 10> (fv)
           a = Conv (x, w) y = BatchNormalization (a, s, o, m, v) }",
        "Conv",
    ),
    // Scales.
    case(
        "scales_of_conv",
        13,
        "g (float[1,2,4,4] x) => (float[1,3,4,4] y) <float[3,2,1,1] w = {?}, float[3,1,1] k = {?}, float[1,3,1,1] l = {?}, float p = {3}, float[1] q = {0.25}>
         { a = Conv (x, w) b = Mul (a, k) c = Add (l, b) d = Div (c, p) y = Sub (q, d) }",
        "Conv",
    ),
    case(
        "scales_of_transposed_groups",
        13,
        "g (float[1,6,5] x) => (float[1,4,7] y) <float[6,2,3] w = {?}, float[4,1] k = {?}, float[4,1] l = {?}>
         { a = ConvTranspose <group = 2> (x, w) b = Mul (k, a) y = Sub (b, l) }",
        "ConvTranspose",
    ),
    case(
        "scales_of_products",
        13,
        "g (float[2,5] x, float[3,2,5] z) => (float[2,4] y, float[3,2,4] u) <float[5,4] w = {?}, float[5,4] v = {?}, float[4] b = {?}, float[4] k = {?}, float[1,4] l = {?}>
         { a = Gemm <alpha = 2.0> (x, w, b) c = Mul (a, l) y = Add (c, k) d = MatMul (z, v) e = Div (d, k) u = Add (e, b) }",
        "Gemm MatMul Add",
    ),
    case(
        "constants_that_are_none_of_channels",
        13,
        "g (float[3,2,1,4] x, float[5] z) => (float[3,3,1,4] y, float[3,5,1,4] u, float[3,3,1,4] t, float[1,4] r, float[4] q)
         <float[3,2,1,1] w = {?}, float[3,1,1,1] k = {?}, float[1,2,1,1] o = {?}, float[5,1,1] l = {?}, float[4] m = {?}, float[5,4] p = {?}, float[1,4] n = {?}, float[3,2,1,1] e = {?}, float[5,4] i = {?}>
         { a = Conv (x, w) y = Mul (a, k) b = Conv (x, o) u = Mul (b, l) c = Conv (x, e) t = Add (c, m) d = MatMul (z, p) r = Mul (d, n)
           h = MatMul (z, i) q = Div (m, h) }",
        "Conv Mul Conv Mul Conv Add MatMul Mul MatMul Div",
    ),
    case(
        "scales_of_a_shared_weight",
        13,
        "g (float[2,5] x) => (float[2,4] y, float[2,4] z) <float[5,4] w = {?}, float[4] k = {?}>
         { a = MatMul (x, w) y = Mul (a, k) z = MatMul (x, w) }",
        "MatMul Mul MatMul",
    ),
    case(
        "scale_before_and_behind_the_batch_norm",
        13,
        "g (float[1,2,4,4] x) => (float[1,3,4,4] y) <float[3,2,1,1] w = {?}, float k = {2}, float[3] s = {?}, float[3] o = {?}, float[3] m = {?}, float[3] v = {+}>
         { a = Conv (x, w) b = Mul (a, k) c = BatchNormalization (b, s, o, m, v) d = Dropout (c) y = Mul (d, k) }",
        "Conv",
    ),
    case(
        "division_by_zero_stays",
        13,
        "g (float[1,2,4,4] x) => (float[1,3,4,4] y) <float[3,2,1,1] w = {?}, float[3,1,1] k = {1, 0, 2}> { a = Conv (x, w) y = Div (a, k) }",
        "Conv Div",
    ),
    // Products with a bias.
    case(
        "biases_of_products",
        13,
        "g (float[2,5] x) => (float[2,4] y, float[2,4] z, float[2,4] u, float[2,1] t)
         <float[5,4] w = {?}, float[4] b = {?}, float[5,4] v = {?}, float[1,4] c = {?}, float[5,4] q = {?}, float d = {0.7}, float[5,1] r = {?}, float[1,1] e = {0.3}>
         { a = MatMul (x, w) y = Add (a, b) f = MatMul (x, v) z = Add (c, f) h = MatMul (x, q) u = Add (d, h) i = MatMul (x, r) t = Add (i, e) }",
        "Gemm Gemm Gemm Gemm",
    ),
    case(
        "biases_that_are_none",
        13,
        "g (float[1,5] x, float[4] n) => (float[3,4] y, float[1,1,4] z, float[1,4] u, float[1,4] t, float[1,4] s, float[1,3] q)
         <float[5,4] w = {?}, float[3,4] b = {?}, float[1,1,4] c = {?}, float[4] d = {?}, float[5,1] v = {?}, float[3] e = {?}>
         { a = MatMul (x, w) y = Add (a, b) f = MatMul (x, w) z = Add (f, c) h = MatMul (x, w) u = Add (h, n) s = MatMul (x, w) t = Add (s, d)
           j = MatMul (x, v) q = Add (j, e) }",
        "MatMul Add MatMul Add MatMul Add MatMul Add MatMul Add",
    ),
    case(
        "biases_of_products_of_other_ranks",
        13,
        "g (float[2,3,5] x, float[5] v, float[\"r\", 5] z) => (float[2,3,4] y, float[4] u, float[2,4] s, float[2,4] t)
         <float[5,4] w = {?}, float[4] b = {?}, int64[2] f = {2, -1}, int64[1] o = {0}, float[10,4] k = {?}>
         { a = MatMul (x, w) y = Add (a, b) c = MatMul (v, w) u = Add (c, b) d = Gather (x, o) e = Reshape (x, f) p = MatMul (z, w) s = Add (p, b)
           h = Slice (e, f0, f1, f2) q = MatMul (h, k) t = Add (q, b) f0 = Constant <value_ints = [0]> () f1 = Constant <value_ints = [10]> () f2 = Constant <value_ints = [1]> () }",
        "MatMul Add MatMul Add Gather Reshape Gemm Slice Gemm",
    ),
    case(
        "ranks_that_follow",
        13,
        "g (float[1,2,5] x, float[8,5] e, int64[3,5] i, int64[3,1] j, bool[8] c, float[\"n\",1,5] o) => (float[2,4] y, float[3,4] z, float[3,4] u, float[\"m\",4] t, float[2,4] r, float[\"n\",4] q)
         <float[5,4] w = {?}, float[4] b = {?}>
         { a = Squeeze (x) a1 = MatMul (a, w) y = Add (a1, b) d = GatherElements (e, i) d1 = MatMul (d, w) z = Add (d1, b)
           f = GatherND (e, j) f1 = MatMul (f, w) u = Add (f1, b) h = Compress <axis = 0> (e, c) h1 = MatMul (h, w) t = Add (h1, b)
           k = Einsum <equation = \"aij -> ij\"> (x) k1 = MatMul (k, w) r = Add (k1, b) l = Squeeze (o) l1 = MatMul (l, w) q = Add (l1, b) }",
        "Squeeze Gemm GatherElements Gemm GatherND Gemm Compress Gemm Einsum Gemm Squeeze MatMul Add",
    ),
    case(
        "stated_ranks_are_not_believed",
        13,
        "g (float[2,5] x, int64[\"n\"] r) => (float[\"a\",4] y) <float[5,4] w = {?}, float[4] b = {?}, int64[1] n = {-1}, int64[1] five = {5}, float[2,5] a>
         { s = Concat <axis = 0> (r, n, five) a = Reshape (x, s) c = MatMul (a, w) y = Add (c, b) }",
        "Concat Reshape MatMul Add",
    ),
    case(
        "products_that_others_read",
        13,
        "g (float[2,5] x) => (float[2,4] y, float[2,4] a, float[2,4] z, float[2,4] u) <float[5,4] w = {?}, float[5,4] v = {?}, float[4] b = {?}>
         { a = MatMul (x, w) y = Add (a, b) c = MatMul (x, v) z = Add (c, b) u = Neg (c) }",
        "MatMul Add MatMul Add Neg",
    ),
    case(
        "biases_of_constant_nodes_behind",
        13,
        "g (float[2,5] x) => (float[2,4] y) <float[5,4] w = {?}> { a = MatMul (x, w) b = Constant <value_floats = [1.0, 2.0, 3.0, 4.0]> () y = Add (a, b) }",
        "Gemm",
    ),
    case(
        "transposed_weights_of_products",
        13,
        "g (float[2,40] x, bool c) => (float[2,30] y, float[2,30] z) <float[30,40] w = {?}, float[30] b = {?}, float[30,40] v = {?}>
         { t = Transpose <perm = [1, 0]> (w) a = MatMul (x, t) y = Add (a, b) u = Transpose (v)
           z = If <then_branch = e () => (float[2,30] p) { n = Neg (x) h = MatMul (n, u) p = Add (h, b) },
                   else_branch = f () => (float[2,30] q) { k = MatMul (x, u) q = Add (k, b) }> (c) }",
        "Gemm If Neg Gemm Gemm",
    ),
    case(
        "biases_of_products_in_a_function",
        13,
        "<ir_version: 8, opset_import: [\"\": 13, \"f\": 1]> g (float[2,2] x) => (float[2,2] y) { y = f.h (x) }
         <domain: \"f\", opset_import: [\"\": 13]> h (x) => (y)
         { w = Constant <value = float[2,2] {0.5, -2.0, 1.0, 3.0}> () f = Flatten (x) a = MatMul (f, w) o = Constant <value_float = 1.5> () y = Add (a, o) }",
        "h Flatten Gemm",
    ),
    case(
        "scales_and_norms_of_products_with_a_bias",
        13,
        "g (float[2,5] x) => (float[2,4] y) <float[5,4] w = {?}, float[4] k = {?}, float[4] b = {?}, float[4] s = {?}, float[4] o = {?}, float[4] m = {?}, float[4] v = {+}>
         { a = MatMul (x, w) c = Mul (a, k) d = Add (c, b) e = BatchNormalization (d, s, o, m, v) y = Mul (e, k) }",
        "Gemm",
    ),
    case(
        "half_biases_of_products_stay",
        13,
        "g (float16[2,1] x) => (float16[2,2] y) { w = Constant <value = float16[1,2] {1, 2}> () b = Constant <value = float16[2] {3, 4}> () a = MatMul (x, w) y = Add (a, b) }",
        "MatMul Add",
    ),
    // Pads, and sizes that are known in part.
    case(
        "pads_of_sizes_with_an_open_batch",
        13,
        "g (float[\"n\",3,8,10] x) => (float[\"n\",4,4,5] y) <float[4,3,3,3] w = {?}, int64[1] zero = {0}, int64[1] two = {2}, int64[1] four = {4}, int64[2] o = {1, 1}, int64[2] st = {2, 2}, int64[2] k = {3, 3}, int64[2] z2 = {0, 0}>
         { s = Shape (x) h = Slice (s, two, four, zero) m1 = Sub (h, o) d = Div (m1, st) u = Mul (d, st) v = Add (u, k) t = Sub (v, h)
           a = Div (t, st) b = Sub (t, a) p = Concat <axis = 0> (z2, a, z2, b) q = Pad (x, p) y = Conv <strides = [2, 2]> (q, w) }",
        "Conv",
    ),
    case(
        "pads_of_open_sizes_stay",
        13,
        "g (float[\"n\",3,\"h\",\"w\"] x) => (float[\"n\",4,\"i\",\"j\"] y) <float[4,3,3,3] w = {?}, int64[1] zero = {0}, int64[1] two = {2}, int64[1] four = {4}, int64[2] o = {1, 1}, int64[2] st = {2, 2}, int64[2] k = {3, 3}, int64[2] z2 = {0, 0}>
         { s = Shape (x) h = Slice (s, two, four, zero) m1 = Sub (h, o) d = Div (m1, st) u = Mul (d, st) v = Add (u, k) t = Sub (v, h)
           a = Div (t, st) b = Sub (t, a) p = Concat <axis = 0> (z2, a, z2, b) q = Pad (x, p) y = Conv <strides = [2, 2]> (q, w) }",
        "Shape Slice Sub Div Mul Add Sub Div Sub Concat Pad Conv",
    ),
    case(
        "pads_by_way_of_floats",
        13,
        "g (float[\"n\",3,9,9] x) => (float[\"n\",100] y) <float[4,3,3,3] w = {?}, int64 i2 = {2}, float st = {2}, float one = {1}, float k = {3}, int64 twoi = {2}, int64[1] zero = {0}, int64[1] onei = {1}, int64[1] four = {4}, int64[2] z2 = {0, 0}>
         { s = Shape (x) hi = Gather (s, i2) hf = Cast <to = 1> (hi) r = Div (hf, st) c = Ceil (r) m = Sub (c, one) n = Mul (m, st) e = Add (n, k) t = Sub (e, hf)
           ti = Cast <to = 7> (t) a = Div (ti, twoi) b = Sub (ti, a) a1 = Unsqueeze (a, zero) b1 = Unsqueeze (b, zero) p = Concat <axis = 0> (z2, a1, a1, z2, b1, b1)
           q = Pad (x, p) l = Conv <strides = [2, 2]> (q, w) s2 = Shape (l) bb = Slice (s2, zero, onei) m2 = Slice (s2, onei, four) pr = ReduceProd (m2) f = Concat <axis = 0> (bb, pr) y = Reshape (l, f) }",
        "Conv Shape Slice Concat Reshape",
    ),
    case(
        "pads_of_old",
        9,
        "g (float[1,2,4,4] x) => (float[1,3,6,7] y) <float[3,2,1,1] w = {?}> { a = Pad <pads = [0, 0, 1, 1, 0, 0, 1, 2]> (x) y = Conv <auto_pad = \"VALID\"> (a, w) }",
        "Conv",
    ),
    case(
        "pads_one_before_another",
        18,
        "g (float[1,2,4] x) => (float[1,3,9] y) <float[3,2,2] w = {?}, int64[6] p = {0, 0, 1, 0, 0, 1}, int64[2] q = {0, 2}, int64[1] a = {-1}, float z = {0}> { b = Pad (x, p, z) c = Pad (b, q, , a) y = Conv <pads = [0, 2]> (c, w) }",
        "Conv",
    ),
    case(
        "pads_in_bodies",
        13,
        "g (float[1,2,4] x, bool c) => (float[1,3,6] y) <float[3,2,1] w = {?}, int64[6] p = {0, 0, 1, 0, 0, 1}> { o = Pad (x, p) y = If <then_branch = t () => (float[1,3,6] d) { a = Pad (x, p) d = Conv (a, w) }, else_branch = e () => (float[1,3,6] f) { f = Conv (o, w) }> (c) }",
        "Pad If Conv Conv",
    ),
    case(
        "pads_that_stay",
        13,
        "g (float[1,2,6] x) => (float[1,3,8] a, float[1,3,8] b, float[1,3,4] c, float[1,3,8] d, float[1,3,6] e, float[1,3,8] f, float[1,2,8] k) <float[3,2,1] w = {?}, float[3,3,1] w3 = {?}, int64[6] p = {0, 0, 1, 0, 0, 1}, int64[6] n = {0, 0, -1, 0, 0, -1}, int64[6] q = {0, 1, 0, 0, 0, 0}, float v = {0.5}> { a1 = Pad (x, p, v) a = Conv (a1, w) b1 = Pad <mode = \"edge\"> (x, p) b = Conv (b1, w) c1 = Pad (x, n) c = Conv (c1, w) k = Pad (x, p) d = Conv (k, w) e1 = Pad (x, q) e = Conv (e1, w3) f1 = Pad (x, p) f = Conv <auto_pad = \"SAME_UPPER\"> (f1, w) }",
        "Pad Conv Pad Conv Pad Conv Pad Conv Pad Conv Pad Conv",
    ),
    case(
        "pads_of_pools",
        13,
        "g (float[1,2,6] x) => (float[1,2,6] a, float[1,2,6] b, float[1,2,8] c, float[1,2,4] d, float[1,2,8] e) <int64[6] p = {0, 0, 1, 0, 0, 1}> { a1 = Pad (x, p) a = AveragePool <kernel_shape = [3]> (a1) b1 = Pad (x, p) b = MaxPool <kernel_shape = [3]> (b1) c1 = Pad (x, p) c = AveragePool <kernel_shape = [3], pads = [1, 1]> (c1) d1 = Pad (x, p) d = AveragePool <kernel_shape = [3], strides = [2], ceil_mode = 1> (d1) e1 = Pad (x, p) e = AveragePool <kernel_shape = [3], pads = [1, 1], count_include_pad = 1> (e1) }",
        "AveragePool Pad MaxPool Pad AveragePool Pad AveragePool AveragePool",
    ),
];

/// Operators of constants alone: nothing of them is left. Each gives out what it computes.
const COMPUTED: &[(&str, i64, &str)] = &[
    (
        "arithmetic",
        14,
        "g () => (float[2,3] a, float[2,3] b, float[2,3] c, float[2,3] d, float[2,3] e, float[3] h, float[3] i, float[2,3] j, float[2,3] k, float[3] l, float[3] m, float[3] n, float[3] o, float[3] p, float[2,3] q, float[2,3] r)
         <float[2,1] u = {?}, float[3] v = {+}, float[2,3] w = {?}, float lo = {-0.25}, float hi = {0.5}, float two = {2}>
         { a = Add (u, v) b = Sub (u, v) c = Mul (u, v) d = Div (u, v) e = Max (u, v, w) h = Sqrt (v) i = Reciprocal (v)
           j = Clip (w, lo, hi) k = Min (w, u) l = Exp (v) m = Floor (v) n = Ceil (v) o = Neg (v) p = Pow (v, two) q = Abs (w) r = Sum (w, u, v) }",
    ),
    (
        "integers",
        14,
        "g () => (int64[4] a, int64[4] b, int64[4] c, int64[4] d, int64[4] e, int32[4] h, int64 i, int64[1] j, int64[4] k, int32[4] l)
         <int64[4] u = {7, -7, 7, -7}, int64[4] v = {3, 3, -3, -3}, int32[4] s = {5, -6, 7, -8}, int32 t = {3}, int64[1] x = {0}>
         { a = Add (u, v) b = Mul (u, v) c = Div (u, v) d = Mod (u, v) e = Mod <fmod = 1> (u, v) h = Sub (s, t)
           i = ReduceProd <keepdims = 0> (v) j = ReduceSum (u, x) k = Neg (u) l = Max (s, t) }",
    ),
    (
        "comparisons",
        16,
        "g () => (bool[2,3] a, bool[2,3] b, bool[2,3] c, bool[2,3] d, bool[2,3] e, bool[2,3] h, bool[2,3] i, bool[2,3] j, bool[2,3] k, float[2,3] l)
         <float[2,1] u = {1, 2}, float[3] v = {1, 2, 3}>
         { a = Equal (u, v) b = Less (u, v) c = Greater (u, v) d = LessOrEqual (u, v) e = GreaterOrEqual (u, v)
           h = And (a, b) i = Or (a, c) j = Xor (d, e) k = Not (a) l = Where (b, u, v) }",
    ),
    (
        "casts_of_constants",
        13,
        "g () => (int64[4] a, int32[4] b, bool[4] c, float[4] d, float[4] e, double[4] h, float[4] i)
         <float[4] u = {-1.7, 0, 2.5, 1e6}, int64[4] v = {0, 3, -16777217, 9007199254740993}>
         { a = Cast <to = 7> (u) b = Cast <to = 6> (v) c = Cast <to = 9> (u) d = Cast <to = 1> (v) e = Cast <to = 1> (c)
           h = Cast <to = 11> (v) j = Cast <to = 10> (u) i = Cast <to = 1> (j) }",
    ),
    (
        "rearrangements",
        13,
        "g () => (float[3,2] a, float[4,3] b, float[6] c, float[1,2,3,1] d, float[2,3] e, float[2,2,2] h, float[1,2] i, float[2,2] j, float[2,3] k, int64[3] l, int32[3] m, float[2,2,3] n, float[4,6] o, int64[2,2] p, float[3] q)
         <float[2,3] u = {?}, int64[1] minus = {-1}, int64[2] ends = {0, -1}, int64[2,2] picks = {0, -1, 2, 1}, int64[1] one = {1}, int64[1] big = {100}, int64[1] low = {-100}, int64[1] two = {2},
          int64 s = {7}, int64 t = {0}, int64 r = {-3}, int32 p0 = {1}, int32 p1 = {6}, int32 p2 = {2}, int64[3] wide = {2, 1, 1}, int64[2] twice = {2, 2}, float[1,3] f = {?}, int64[2] square = {2, 2}, int64 zero = {0}>
         { a = Transpose (u) b = Concat <axis = -2> (u, u) c = Reshape (u, minus) d = Unsqueeze (u, ends) e = Squeeze (d, ends) h = Gather <axis = 1> (u, picks)
           i = Slice (u, one, big, one2, two) one2 = Constant <value_ints = [1]> () lo = Constant <value_ints = [0]> ()
           j0 = Slice (u, big, low, one, minus) j = Slice (j0, lo, big, one, two) k = Slice (u, lo, big) l = Range (s, t, r) m = Range (p0, p1, p2)
           n = Expand (u, wide) o = Tile (u, twice) p = ConstantOfShape <value = int64[1] {9}> (square) q = Gather (u, zero) }",
    ),
    (
        "attributes_of_old",
        9,
        "g () => (float[1,2,3] a, float[2,3] b, float[1,2] c, int64[1,3] d) <float[2,3] u = {?}, int64[2,3] v = {1, 2, 3, 4, 5, 6}>
         { a = Unsqueeze <axes = [0]> (u) b = Squeeze <axes = [0]> (a) c = Slice <axes = [0, 1], starts = [1, -2], ends = [9, 9]> (u) d = ReduceMax <axes = [0]> (v) }",
    ),
];

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("simplified");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn parse(texts: &[(&str, String)]) -> Option<()> {
    let requests: Vec<Text> = texts
        .iter()
        .map(|(name, text)| Text { model: folder().join(format!("{name}.onnx")), text: text.clone() })
        .collect();
    for (request, answer) in requests.iter().zip(runtime::parse(&requests)?) {
        answer.unwrap_or_else(|error| panic!("{}: {error}", request.model.display()));
    }
    Some(())
}

/// Simplifies a model, and checks that doing so once more changes nothing, in any of the passes.
fn simplify(path: &Path) -> Model {
    let mut model = Model::load(path).expect("it loads");
    passes::run(&mut model, &passes::before_activations())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    model.verify().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let once = model.to_bytes();
    let mut again = Model::from_bytes(once.clone()).expect("what was written can be read");
    for pass in passes::before_activations() {
        let changed = pass.run(&mut again).expect("it ran before");
        assert!(!changed, "{}: {} goes on", path.display(), pass.name());
    }
    assert_eq!(again.to_bytes(), once, "{}", path.display());
    model
}

fn operators(model: &Model) -> String {
    let all = model.ops().map(|op| model.op(op).op_type()).filter(|op_type| *op_type != "Constant");
    all.collect::<Vec<_>>().join(" ")
}

fn comparison(left: PathBuf, right: PathBuf, inputs: Inputs) -> Comparison {
    let side = |model| Side { model, engine: Engine::OnnxruntimePlain };
    Comparison { left: side(left), right: side(right), inputs }
}

fn assert_same(comparisons: &[Comparison], far: impl Fn(&Path, &Difference) -> bool) {
    let Some(answers) = runtime::compare(comparisons) else { return };
    let wrong = comparisons.iter().zip(answers).filter_map(|(pair, answer)| {
        let name = pair.right.model.display();
        match answer {
            Err(error) => Some(format!("{name}: {error}")),
            Ok(differences) => {
                let found = differences.iter().find(|(_, difference)| far(&pair.right.model, difference))?;
                Some(format!("{name}: {found:?}"))
            }
        }
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_left_computes_the_same() {
    let texts: Vec<_> = CASES.iter().map(|case| (case.name, model_text(case.opset, case.text))).collect();
    if parse(&texts).is_none() {
        return;
    }
    let (mut comparisons, mut wrong) = (Vec::new(), Vec::new());
    for case in CASES {
        let path = folder().join(format!("{}.onnx", case.name));
        let model = simplify(&path);
        if operators(&model) != case.left {
            wrong.push(format!("{}: {}", case.name, operators(&model)));
        }
        // Nothing but what is read is left of the constants.
        let unread = model.values().filter(|&value| model.constant(value).is_some() && !model.is_read(value));
        wrong.extend(unread.map(|value| format!("{}: '{}' is still there", case.name, model.value(value).name())));
        let simplified = folder().join(format!("{}_simplified.onnx", case.name));
        model.save(&simplified, &SaveOptions::default()).expect("it can be written");
        comparisons.push(comparison(path, simplified, Inputs { seed: 3, ..Inputs::default() }));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_same(&comparisons, |model, difference| {
        let half = model.file_name().is_some_and(|name| name.to_string_lossy().starts_with("half"));
        difference.relative > if half { HALF_TOLERANCE } else { TOLERANCE }
    });
}

#[test]
fn constants_are_those_that_the_runtime_computes() {
    let texts: Vec<_> = COMPUTED.iter().map(|(name, opset, text)| (*name, model_text(*opset, text))).collect();
    if parse(&texts).is_none() {
        return;
    }
    let mut comparisons = Vec::new();
    for (name, ..) in COMPUTED {
        let path = folder().join(format!("{name}.onnx"));
        let model = simplify(&path);
        assert_eq!(operators(&model), "", "{name}");
        let simplified = folder().join(format!("{name}_simplified.onnx"));
        model.save(&simplified, &SaveOptions::default()).expect("it can be written");
        comparisons.push(comparison(path, simplified, Inputs::default()));
    }
    // Exponentials and powers may differ in the last place.
    assert_same(&comparisons, |_, difference| !difference.identical && difference.relative > 1.2e-7);
}

/// Every model of `testdata` that runs: bodies, functions, external data, odd names.
#[test]
fn fixtures_compute_the_same_and_do_not_grow() {
    let mut comparisons = Vec::new();
    for fixture in fixtures().into_iter().filter(|fixture| fixture.onnxruntime.is_none()) {
        let Fixture { name, dims, .. } = &fixture;
        let model = simplify(&fixture.path());
        let float = Model::load(fixture.path()).expect("it loads");
        let bytes = |model: &Model| model.tensors().map(|tensor| tensor.byte_len()).sum::<usize>();
        assert!(bytes(&model) <= bytes(&float) + 1024, "{name}: {} -> {} bytes", bytes(&float), bytes(&model));
        let target = folder().join(format!("{}.onnx", name.replace('/', "_")));
        model.save(&target, &SaveOptions::default()).expect("it can be written");
        comparisons.push(comparison(
            fixture.path(),
            target,
            Inputs { seed: 5, dims: dims.clone(), ..Inputs::default() },
        ));
    }
    assert_same(&comparisons, |_, difference| difference.relative > TOLERANCE);
}

/// Parameters that a file lists as inputs are constants from then on; other initializers stay inputs.
#[test]
fn listed_parameters_are_fixed() {
    let text = "<ir_version: 7, opset_import: [\"\": 13]>
        g (float[1,1,4,4] x, float[2,1,1,1] w, float[2] s, float[2] o, float[2] m, float[2] v, float[1] k) => (float[1,2,4,4] y)
        <float[2,1,1,1] w = {?}, float[2] s = {?}, float[2] o = {?}, float[2] m = {?}, float[2] v = {+}, float[1] k = {2}>
        { a = Conv (x, w) b = BatchNormalization (a, s, o, m, v) y = Mul (b, k) }";
    if parse(&[("listed_parameters", model_text(13, text))]).is_none() {
        return;
    }
    let path = folder().join("listed_parameters.onnx");
    let model = simplify(&path);
    assert_eq!(operators(&model), "Conv Mul");
    let inputs = model.scope(Model::MAIN).inputs().iter().map(|input| model.value(input.value).name());
    assert_eq!(inputs.collect::<Vec<_>>(), ["x", "k"]);
    let mut overridable = Model::load(&path).expect("it loads");
    passes::run(&mut overridable, &passes::before_activations()[1..]).expect("they run");
    assert_eq!(operators(&overridable), "Conv BatchNormalization Mul");
}

#[test]
fn rewritten_models_as_text() {
    let text = |name: &str, all: &[&dyn Pass]| {
        let mut model = Model::load(testdata::path(&format!("made/{name}.onnx"))).expect("it loads");
        passes::run(&mut model, all).expect("it can be rewritten");
        model.to_text()
    };
    let texts = [
        text("conv_batchnorm", &[&FoldBatchNormalization]),
        text("behind_shared", &[&RemoveIdentities]),
        text("weight_with_other_readers", &[&FoldConstants]),
        text("conv_batchnorm", &[&FoldScales]),
        text("overridable_defaults", &[&FreezeParameters, &FoldScales]),
        text("external_two_files", &[&FuseMatMulAdd]),
    ];
    insta::assert_snapshot!(texts.join("\n"));
}
