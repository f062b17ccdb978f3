//! Upgrading the opset does not change what a model computes: for each change of an operator that
//! needs rewriting a small model, run before and after. Where no runtime runs the old form any more,
//! the upgraded model is compared with one that says the same in a newer form.

mod runtime;
mod testdata;

use std::{collections::BTreeMap, fs, path::PathBuf};

use onnx_quant::{
    ErrorKind, Model, SaveOptions,
    passes::{Pass, UpgradeOpset},
};
use runtime::{Comparison, Engine, Inputs, Side, Text};
use testdata::{Fixture, fixtures};

/// What sums in another order may differ by.
const TOLERANCE: f64 = 1e-6;
/// The opsets that each model is upgraded to, those of them that are newer than its own.
const TARGETS: [i64; 5] = [9, 11, 13, 18, 21];

/// A model: its name, the opset it is written for, its text behind the header, and what it is
/// compared with, at which opset.
struct Case {
    name: &'static str,
    opset: i64,
    text: &'static str,
    against: Against,
}

enum Against {
    /// Itself, un-upgraded.
    Itself,
    /// A model that says the same at a newer opset.
    Model(i64, &'static str),
}

use Against::{Itself, Model as Same};

const fn case(name: &'static str, opset: i64, text: &'static str, against: Against) -> Case {
    Case { name, opset, text, against }
}

/// The text with a header, unless it has one: models with several operator sets have.
fn with_header(opset: i64, text: &str) -> String {
    if text.starts_with('<') {
        return text.to_owned();
    }
    let ir = match opset {
        ..=8 => 3,
        9..=14 => 7,
        15..=20 => 8,
        _ => 10,
    };
    format!("<ir_version: {ir}, opset_import: [\"\": {opset}]>\n{text}")
}

const CASES: &[Case] = &[
    case(
        "pad_of_what_a_loop_makes",
        9,
        "g (float16[1,2] x) => (float16[1,4] y) <bool go = {1}, int64 n = {2}>
         { l = Loop <body = b (int64 i, bool c, float16[1,2] s) => (bool d, float16[1,2] t)
             { d = Identity (c) t = Neg (s) }> (n, go, x)
           m = Mul (l, x) y = Pad <mode = \"constant\", pads = [0, 1, 0, 1], value = 1.5> (m) }",
        Itself,
    ),
    // Attributes that went away or have another default.
    case(
        "consumed_inputs",
        1,
        "g (float[2,3] x) => (float[2,3] y) { a = Relu <consumed_inputs = [0]> (x) b = Tanh <consumed_inputs = [1]> (a)
         c = Add <consumed_inputs = [0, 0]> (a, b) y = Clip <max = 0.9, consumed_inputs = [0]> (c) }",
        Same(10, "g (float[2,3] x) => (float[2,3] y) { a = Relu (x) b = Tanh (a) c = Add (a, b) y = Clip <max = 0.9> (c) }"),
    ),
    case(
        "selu_defaults",
        1,
        "g (float[2,30] x) => (float[2,30] y) { y = Selu (x) }",
        Same(6, "g (float[2,30] x) => (float[2,30] y) { y = Selu <alpha = 1.6732, gamma = 1.0507> (x) }"),
    ),
    case(
        "concat_axis",
        1,
        "g (float[2,3] x, float[2,4] z) => (float[2,7] y) { y = Concat (x, z) }",
        Same(4, "g (float[2,3] x, float[2,4] z) => (float[2,7] y) { y = Concat <axis = 1> (x, z) }"),
    ),
    case(
        "cast_to_name",
        1,
        "g (float[2,3] x) => (int32[2,3] y) { y = Cast <to = \"INT32\"> (x) }",
        Same(6, "g (float[2,3] x) => (int32[2,3] y) { y = Cast <to = 6> (x) }"),
    ),
    case(
        "norms_of_pools",
        1,
        "g (float[1,2,6,6] x) => (float[1,2,3,3] y, float[1,2,1,1] z)
         { y = LpPool <kernel_shape = [2, 2], strides = [2, 2], p = 3.0> (x) z = GlobalLpPool <p = 1.0> (x) }",
        Same(
            2,
            "g (float[1,2,6,6] x) => (float[1,2,3,3] y, float[1,2,1,1] z)
             { y = LpPool <kernel_shape = [2, 2], strides = [2, 2], p = 3> (x) z = GlobalLpPool <p = 1> (x) }",
        ),
    ),
    case(
        "recurrent_output_sequence",
        1,
        "g (float[4,2,3] x, float[1,12,3] wg, float[1,12,4] rg, float[1,16,3] wl, float[1,16,4] rl, float[1,4,3] wr, float[1,4,4] rr)
         => (float[1,2,4] gh, float[4,1,2,4] ly, float[1,2,4] lh, float[1,2,4] rh)
         { , gh = GRU <hidden_size = 4, output_sequence = 0, direction = \"foward\"> (x, wg, rg)
           ly, lh = LSTM <hidden_size = 4, output_sequence = 1> (x, wl, rl)
           , rh = RNN <hidden_size = 4> (x, wr, rr) }",
        Same(
            14,
            "g (float[4,2,3] x, float[1,12,3] wg, float[1,12,4] rg, float[1,16,3] wl, float[1,16,4] rl, float[1,4,3] wr, float[1,4,4] rr)
             => (float[1,2,4] gh, float[4,1,2,4] ly, float[1,2,4] lh, float[1,2,4] rh)
             { a, gh = GRU <hidden_size = 4> (x, wg, rg) ly, lh = LSTM <hidden_size = 4> (x, wl, rl)
               b, rh = RNN <hidden_size = 4> (x, wr, rr) }",
        ),
    ),
    case(
        "pad_paddings",
        1,
        "g (float[2,3] x) => (float[5,3] y) { y = Pad <paddings = [1, 0, 2, 0], value = 0.5> (x) }",
        Same(2, "g (float[2,3] x) => (float[5,3] y) { y = Pad <pads = [1, 0, 2, 0], value = 0.5> (x) }"),
    ),
    case(
        "scatter",
        9,
        "g (float[3,4] x, int64[2,4] i, float[2,4] u) => (float[3,4] y)
         { y = Scatter <axis = 1> (x, i, u) }",
        Itself,
    ),
    case(
        "roi_align",
        10,
        "g (float[1,2,8,8] x) => (float[2,2,3,3] y) <float[2,4] rois = {0, 0, 5, 5, 1, 2, 7, 6}, int64[2] batch = {0, 0}>
         { y = RoiAlign <output_height = 3, output_width = 3, sampling_ratio = 2> (x, rois, batch) }",
        Itself,
    ),
    case(
        "grid_sample",
        16,
        "g (float[1,2,5,5] x, float[1,4,4,2] grid) => (float[1,2,4,4] y, float[1,2,4,4] z, float[1,2,4,4] w)
         { y = GridSample <mode = \"bilinear\"> (x, grid) z = GridSample <mode = \"bicubic\", align_corners = 1> (x, grid) w = GridSample (x, grid) }",
        Itself,
    ),
    case(
        "tile",
        1,
        "g (float[2,3] x) => (float[2,6] y) { n = Constant <value = float {2}> () a = Constant <value = float {1}> () y = Tile (x, n, a) }",
        Same(6, "g (float[2,3] x) => (float[2,6] y) { n = Constant <value = int64[2] {1, 2}> () y = Tile (x, n) }"),
    ),
    case(
        "tile_computed",
        1,
        "g (float[2,3] x, int64 n) => (float[2,\"m\"] y) { k = Cast <to = \"FLOAT\"> (n) a = Constant <value = float {1}> () y = Tile (x, k, a) }",
        Same(
            6,
            "g (float[2,3] x, int64 n) => (float[2,\"m\"] y) { v = Constant <value = int64[1] {1}> ()
             d = Reshape (n, v) r = Concat <axis = 0> (v, d) y = Tile (x, r) }",
        ),
    ),
    // Attributes that became inputs.
    case(
        "reshape",
        1,
        "g (float[2,6] x) => (float[3,4] y) { y = Reshape <shape = [3, -1]> (x) }",
        Same(5, "g (float[2,6] x) => (float[3,4] y) { s = Constant <value = int64[2] {3, -1}> () y = Reshape (x, s) }"),
    ),
    case(
        "slice",
        7,
        "g (float[4,6] x) => (float[2,4] y, float[3,6] z)
         { y = Slice <starts = [1, -5], ends = [3, 5]> (x) z = Slice <axes = [0], starts = [1], ends = [100]> (x) }",
        Itself,
    ),
    case("top_k", 7, "g (float[3,6] x) => (float[3,2] y, int64[3,2] i) { y, i = TopK <k = 2> (x) }", Itself),
    case(
        "pad",
        7,
        "g (float[2,3] x, double[2,3] d) => (float[3,6] y, float[2,5] z, float[2,5] w, double[2,4] v)
         { y = Pad <pads = [1, 2, 0, 1], value = 1.5> (x) z = Pad <pads = [0, 1, 0, 1], mode = \"reflect\"> (x)
           w = Pad <pads = [0, 1, 0, 1], mode = \"edge\"> (x) v = Pad <pads = [0, 0, 0, 1], value = 0.25> (d) }",
        Itself,
    ),
    case(
        "clip",
        7,
        "g (float[3,6] x, float16[3] h) => (float[3,6] y, float[3,6] z, float[3,6] w, float16[3] v)
         { y = Clip <min = -0.5, max = 0.5> (x) z = Clip <min = 0.0> (x) w = Clip (x)
           k = Cast <to = 1> (h) l = Clip <max = 0.25> (k) v = Cast <to = 10> (l) }",
        Itself,
    ),
    case(
        "clip_of_small_type",
        6,
        "g (float16[3] h) => (float16[3] v) { v = Clip <max = 0.25> (h) }",
        Same(12, "g (float16[3] h) => (float16[3] v) <float16 m = {13312}> { v = Clip (h, , m) }"),
    ),
    case(
        "axes",
        7,
        "g (float[1,3,1,2] x) => (float[3,2] a, float[1,3,2] b, float[3,1,1,2] c, float[1,1,1,2] d, float[3,2] e, float[1,1,1,1] f)
         { a = Squeeze (x) b = Squeeze <axes = [2]> (x) c = Unsqueeze <axes = [1, 2]> (a)
           d = ReduceSum <axes = [1]> (x) e = ReduceSum <axes = [0, 2], keepdims = 0> (x) f = ReduceSum (x) }",
        Itself,
    ),
    case(
        "negative_axes",
        11,
        "g (float[1,3,1,2] x) => (float[1,3,2] b, float[1,3,1,2,1] c, float[1,3,1,1] d)
         { b = Squeeze <axes = [-2]> (x) c = Unsqueeze <axes = [-1]> (x) d = ReduceSum <axes = [-1]> (x) }",
        Itself,
    ),
    case(
        "reductions",
        7,
        "g (float[2,3,4] x) => (float[2,1,4] a, float[2,3] b, float[1,1,1] c, float[2,1,1] d, float[2,1,4] e, float d0, float[2,3,1] f, float[2,3,1] h, float[2,3,1] i)
         { p = Abs (x) a = ReduceMean <axes = [1]> (x) b = ReduceMax <axes = [2], keepdims = 0> (x) c = ReduceMin (x)
           d = ReduceL1 <axes = [1, 2]> (x) e = ReduceL2 <axes = [1]> (x) d0 = ReduceProd <keepdims = 0> (x)
           f = ReduceLogSum <axes = [2]> (p) h = ReduceLogSumExp <axes = [2]> (x) i = ReduceSumSquare <axes = [2]> (x) }",
        Itself,
    ),
    case(
        "split",
        7,
        "g (float[6,4] x) => (float[2,4] a, float[4,4] b, float[6,2] c, float[6,2] d)
         { a, b = Split <split = [2, 4]> (x) c, d = Split <axis = 1> (x) }",
        Itself,
    ),
    case(
        "split_sizes_as_input",
        1,
        "g (float[6,4] x) => (float[2,4] a, float[4,4] b) { s = Constant <value = float[2] {2, 4}> () a, b = Split (x, s) }",
        Same(2, "g (float[6,4] x) => (float[2,4] a, float[4,4] b) { a, b = Split <split = [2, 4]> (x) }"),
    ),
    case(
        "dft",
        17,
        "g (float[1,4,5,1] x) => (float[1,4,5,2] y, float[1,4,3,2] z, float[1,6,5,2] w) <int64 n = {6}>
         { y = DFT (x) z = DFT <axis = 2, onesided = 1> (x) w = DFT <axis = 1> (x, n) }",
        Itself,
    ),
    case(
        "dropout",
        6,
        "g (float[3,4] x) => (float[3,4] y, float[3,4] z) { y = Dropout <is_test = 1> (x) z, m = Dropout <ratio = 0.25, is_test = 1> (x) }",
        Same(7, "g (float[3,4] x) => (float[3,4] y, float[3,4] z) { y = Dropout (x) z = Dropout (x) }"),
    ),
    case(
        "dropout_mask",
        7,
        "g (float[3,4] x) => (float[3,4] y, float[3,4] m) { y, k = Dropout <ratio = 0.25> (x) m = Sub (k, k) }",
        Same(13, "g (float[3,4] x) => (float[3,4] y, float[3,4] m) { y = Identity (x) m = Sub (x, x) }"),
    ),
    // Broadcasting before opset 7.
    case(
        "old_broadcasting",
        6,
        "g (float[2,3,4,5] x, float[5] s, float[3,4] m, float[2] f, float[1] o, float t)
         => (float[2,3,4,5] a, float[2,3,4,5] b, float[2,3,4,5] c, float[2,3,4,5] d, float[2,3,4,5] e, float[2,3,4,5] h)
         { a = Add <broadcast = 1> (x, s) b = Mul <broadcast = 1, axis = 1> (x, m) c = Sub <broadcast = 1, axis = 0> (x, f)
           d = Div <broadcast = 1, axis = 1> (x, o) e = Add <broadcast = 1> (x, t) h = Add <broadcast = 1, axis = -3> (x, m) }",
        Same(
            7,
            "g (float[2,3,4,5] x, float[5] s, float[3,4] m, float[2] f, float[1] o, float t)
             => (float[2,3,4,5] a, float[2,3,4,5] b, float[2,3,4,5] c, float[2,3,4,5] d, float[2,3,4,5] e, float[2,3,4,5] h)
             { n = Unsqueeze <axes = [2]> (m) k = Unsqueeze <axes = [1, 2, 3]> (f) a = Add (x, s) b = Mul (x, n) c = Sub (x, k)
               d = Div (x, o) e = Add (x, t) h = Add (x, n) }",
        ),
    ),
    case(
        "old_broadcasting_behind_operators",
        6,
        "g (float[1,2,6,6] x, float[3,2,3,3] w, float[3] b) => (float[1,3,2,2] y)
         { c = Conv (x, w) r = Relu (c) a = Add <broadcast = 1, axis = 1> (r, b) y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a) }",
        Same(
            7,
            "g (float[1,2,6,6] x, float[3,2,3,3] w, float[3] b) => (float[1,3,2,2] y)
             { c = Conv (x, w) r = Relu (c) d = Unsqueeze <axes = [1, 2]> (b) a = Add (r, d) y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a) }",
        ),
    ),
    case(
        "old_broadcasting_of_comparisons",
        1,
        "g (float[2,3,4] x, float[3] f, bool[2,3,4] p, bool[2] q) => (bool[2,3,4] a, bool[2,3,4] b, bool[2,3,4] c, bool[2,3,4] d, bool[2,3,4] e, float[2,3,4] h)
         { a = Greater <broadcast = 1, axis = 1> (x, f) b = Less <broadcast = 1, axis = 1> (x, f) c = And <broadcast = 1, axis = 0> (p, q)
           d = Or <broadcast = 1, axis = 0> (p, q) e = Xor <broadcast = 1, axis = 0> (p, q) z = Abs (x) h = Pow <broadcast = 1, axis = 1> (z, f) }",
        Same(
            7,
            "g (float[2,3,4] x, float[3] f, bool[2,3,4] p, bool[2] q) => (bool[2,3,4] a, bool[2,3,4] b, bool[2,3,4] c, bool[2,3,4] d, bool[2,3,4] e, float[2,3,4] h)
             { k = Unsqueeze <axes = [1]> (f) l = Unsqueeze <axes = [1, 2]> (q) a = Greater (x, k) b = Less (x, k) c = And (p, l)
               d = Or (p, l) e = Xor (p, l) z = Abs (x) h = Pow (z, k) }",
        ),
    ),
    case(
        "old_prelu",
        6,
        "g (float[2,3,4] x, float[3] s, float[1] o, float[2,3] v) => (float[2,3,4] a, float[2,3,4] b, float[2,3] c)
         { a = PRelu (x, s) b = PRelu (x, o) c = PRelu (v, s) }",
        Same(
            7,
            "g (float[2,3,4] x, float[3] s, float[1] o, float[2,3] v) => (float[2,3,4] a, float[2,3,4] b, float[2,3] c)
             { t = Unsqueeze <axes = [1]> (s) a = PRelu (x, t) b = PRelu (x, o) c = PRelu (v, s) }",
        ),
    ),
    case(
        "old_gemm",
        6,
        "g (float[2,3] x, float[3,4] w, float[4] c) => (float[2,4] y) { y = Gemm <broadcast = 1> (x, w, c) }",
        Same(7, "g (float[2,3] x, float[3,4] w, float[4] c) => (float[2,4] y) { y = Gemm (x, w, c) }"),
    ),
    // Softmax and its like on a matrix of all axes.
    case(
        "softmax",
        11,
        "g (float[2,3,4] x, float[2,3] m, float[2,5,1,1] v) => (float[2,3,4] a, float[2,3,4] b, float[2,3,4] c, float[2,3,4] d, float[2,3,4] e, float[2,3] f, float[2,5,1,1] h, float[2,3,4] i)
         { a = Softmax (x) b = LogSoftmax <axis = 1> (x) c = Hardmax <axis = 0> (x) d = Softmax <axis = 2> (x)
           e = Softmax <axis = -2> (x) f = Softmax (m) h = Softmax (v) i = LogSoftmax <axis = -1> (x) }",
        Itself,
    ),
    case(
        "softmax_of_unknown_rank",
        9,
        "g (float[2,12] x, int64[\"r\"] s) => (float[\"a\",\"b\",\"c\"] y, float[\"d\",\"e\"] z)
         { k = Constant <value = int64[3] {2, 3, 4}> () c = Constant <value = bool[3] {1, 1, 1}> () t = Compress <axis = 0> (k, c) r = Reshape (x, t) n = Neg (r)
           y = Softmax <axis = 1> (n) m = Softmax (x) z = Neg (m) u = Shape (s) }",
        Itself,
    ),
    case(
        "inside_functions",
        12,
        "<ir_version: 8, opset_import: [\"\": 12, \"d\": 1]>
         g (float[2,3,4] x, bool c) => (float[2,4] y, float[2,3,4] z) { y = d.f <dims = [1]> (x) z = d.h (x, c) }
         <domain: \"d\", opset_import: [\"\": 12]> f <dims> (x) => (y) { y = ReduceSum <axes: ints = @dims, keepdims = 0> (x) }
         <domain: \"d\", opset_import: [\"\": 12]> h (x, c) => (z)
         { p = Softmax (x) z = If <then_branch = t () => (a) { u = Unsqueeze <axes = [0]> (p) a = Squeeze <axes = [0]> (u) },
                                   else_branch = e () => (b) { b = Relu (p) }> (c) }",
        Itself,
    ),
    // Normalization.
    case(
        "batch_normalization",
        6,
        "g (float[2,3,4] x, float[3] s, float[3] b, float[3] m, float[3] w) => (float[2,3,4] y)
         { v = Abs (w) y = BatchNormalization <is_test = 1, epsilon = 0.01, spatial = 1> (x, s, b, m, v) }",
        Same(
            9,
            "g (float[2,3,4] x, float[3] s, float[3] b, float[3] m, float[3] w) => (float[2,3,4] y)
             { v = Abs (w) y = BatchNormalization <epsilon = 0.01> (x, s, b, m, v) }",
        ),
    ),
    case(
        "batch_normalization_of_elements",
        7,
        "g (float[2,3,4] x, float[3,4] s, float[3,4] b, float[3,4] m, float[3,4] w) => (float[2,3,4] y)
         { v = Abs (w) y = BatchNormalization <spatial = 0> (x, s, b, m, v) }",
        Itself,
    ),
    case(
        "batch_normalization_in_training",
        9,
        "g (float[4,3,5] x, float[3] s, float[3] b, float[3] m, float[3] w) => (float[4,3,5] y, float[3] n, float[3] u)
         { v = Abs (w) y, n, u, d, e = BatchNormalization <momentum = 0.75> (x, s, b, m, v) }",
        Same(
            15,
            "g (float[4,3,5] x, float[3] s, float[3] b, float[3] m, float[3] w) => (float[4,3,5] y, float[3] n, float[3] u)
             { v = Abs (w) y, n, u = BatchNormalization <momentum = 0.75, training_mode = 1> (x, s, b, m, v) }",
        ),
    ),
    case(
        "group_normalization",
        18,
        "g (float[2,6,4] x, float[3] s, float[3] b) => (float[2,6,4] y) { y = GroupNormalization <num_groups = 3> (x, s, b) }",
        Itself,
    ),
    case(
        "group_normalization_of_unknown_channels",
        18,
        "g (float[2,\"c\",4] x, float[1] s, float[1] b) => (float[2,\"c\",4] y) { y = GroupNormalization <num_groups = 1> (x, s, b) }",
        Itself,
    ),
    // Upsample and Resize.
    case(
        "upsample_of_opset_1",
        1,
        "g (float[1,2,3,4] x) => (float[1,2,6,12] y, float[1,2,6,8] z)
         { y = Upsample <height_scale = 2.0, width_scale = 3.0> (x) z = Upsample <height_scale = 2.0, width_scale = 2.0, mode = \"bilinear\"> (x) }",
        Same(
            7,
            "g (float[1,2,3,4] x) => (float[1,2,6,12] y, float[1,2,6,8] z)
             { y = Upsample <scales = [1.0, 1.0, 2.0, 3.0]> (x) z = Upsample <scales = [1.0, 1.0, 2.0, 2.0], mode = \"linear\"> (x) }",
        ),
    ),
    case(
        "upsample",
        7,
        "g (float[1,2,3,4] x) => (float[1,2,6,10] y, float[1,2,6,10] z)
         { y = Upsample <scales = [1.0, 1.0, 2.0, 2.5]> (x) z = Upsample <scales = [1.0, 1.0, 2.0, 2.5], mode = \"linear\"> (x) }",
        Itself,
    ),
    case(
        "upsample_by_a_computed_scale",
        9,
        "g (float[1,2,3,4] x) => (float[1,2,\"h\",\"w\"] y, float[1,2,\"h\",\"w\"] z)
         { a = Constant <value = float[4] {0.5, 0.5, 1.25, 1}> () s = Add (a, a) y = Upsample (x, s) z = Upsample <mode = \"linear\"> (x, s) }",
        Itself,
    ),
    case(
        "resize",
        10,
        "g (float[1,2,6,10] x) => (float[1,2,15,20] a, float[1,2,4,4] b, float[1,2,15,4] c, float[1,2,15,4] d)
         <float[4] up = {1, 1, 2.5, 2}, float[4] down = {1, 1, 0.7, 0.45}, float[4] both = {1, 1, 2.5, 0.45}>
         { a = Resize (x, up) b = Resize (x, down) c = Resize (x, both) d = Resize <mode = \"linear\"> (x, both) }",
        Itself,
    ),
    case(
        "resize_by_a_computed_scale",
        10,
        "g (float[1,2,6,10] x) => (float[1,2,\"h\",\"w\"] c) { a = Constant <value = float[4] {0.5, 0.5, 1.25, 0.225}> () s = Add (a, a) c = Resize (x, s) }",
        Itself,
    ),
    case(
        "resize_to_sizes",
        11,
        "g (float[1,2,6,10] x) => (float[1,2,9,7] a, float[1,2,9,7] b, float[1,2,9,7] c, float[1,2,12,20] d)
         <float[0] none = {}, int64[4] sizes = {1, 2, 9, 7}, float[4] scales = {1, 1, 2, 2}>
         { a = Resize <mode = \"cubic\"> (x, none, none, sizes)
           b = Resize <coordinate_transformation_mode = \"tf_half_pixel_for_nn\", nearest_mode = \"floor\"> (x, none, none, sizes)
           c = Resize <coordinate_transformation_mode = \"tf_half_pixel_for_nn\"> (x, none, none, sizes)
           d = Resize <mode = \"linear\", coordinate_transformation_mode = \"align_corners\"> (x, none, scales) }",
        Itself,
    ),
    // Bodies and functions.
    case(
        "scan_over_a_batch",
        8,
        "g (float[2,3] s, float[2,5,3] x) => (float[2,3] f, float[2,5,3] y)
         { f, y = Scan <num_scan_inputs = 1, body = b (float[3] t, float[3] i) => (float[3] n, float[3] o)
           { a = Add (t, i) m = Softmax <axis = 0> (a) n = Identity (m) u = Unsqueeze <axes = [0]> (a) o = Squeeze <axes = [0]> (u) }> ( , s, x) }",
        Itself,
    ),
    case(
        "scan_backwards_over_a_batch",
        8,
        "g (float[2,3] s, float[2,5,3] x, float[2,5,3] z) => (float[2,3] f, float[2,5,3] y)
         { f, y = Scan <num_scan_inputs = 2, directions = [1, 0], body = b (float[3] t, float[3] i, float[3] j) => (float[3] n, float[3] o)
           { a = Add (t, i) n = Mul (a, j) o = Identity (a) }> ( , s, x, z) }",
        Itself,
    ),
    case(
        "inside_if_and_loop",
        9,
        "g (bool c, int64 n, float[2,3] x) => (float[2,3] y, float[2,3] z)
         { y = If <then_branch = t () => (float[2,3] a) { b = Unsqueeze <axes = [0]> (x) d = Clip <max = 0.5> (b) a = Squeeze <axes = [0]> (d) },
                       else_branch = e () => (float[2,3] f) { f = Softmax <axis = 0> (x) }> (c)
           z = Loop <body = l (int64 i, bool k, float[2,3] p) => (bool m, float[2,3] q)
             { m = Identity (k) r = ReduceSum <axes = [1]> (p) q = Add (p, r) }> (n, c, x) }",
        Itself,
    ),
];

fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("upgrade");
    fs::create_dir_all(&folder).expect("the target directory can be written");
    folder
}

fn parse(folder: &std::path::Path, texts: &[(String, String)]) -> Option<()> {
    let requests: Vec<Text> = texts
        .iter()
        .map(|(name, text)| Text { model: folder.join(format!("{name}.onnx")), text: text.clone() })
        .collect();
    let answers = runtime::parse(&requests)?;
    let wrong: Vec<String> = requests
        .iter()
        .zip(answers)
        .filter_map(|(request, answer)| Some(format!("{}: {}", request.model.display(), answer.err()?)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Some(())
}

#[test]
fn upgraded_models_compute_the_same() {
    let folder = folder();
    let mut texts = Vec::new();
    for case in CASES {
        texts.push((case.name.to_owned(), with_header(case.opset, case.text)));
        if let Same(opset, text) = case.against {
            texts.push((format!("{}_expected", case.name), with_header(opset, text)));
        }
    }
    if parse(&folder, &texts).is_none() {
        return;
    }
    let mut comparisons = Vec::new();
    let mut upgraded = Vec::new();
    for case in CASES {
        let source = folder.join(format!("{}.onnx", case.name));
        for to in TARGETS.into_iter().chain([UpgradeOpset::NEWEST_OPSET]).filter(|&to| to > case.opset) {
            let mut model = Model::load(&source).expect("it loads");
            let done = UpgradeOpset { to }.upgrade(&mut model).unwrap_or_else(|error| panic!("{error}"));
            assert!(done.changed && model.opset(Model::MAIN) == to, "{}", case.name);
            model.verify().unwrap_or_else(|error| panic!("{} at {to}: {error}", case.name));
            let target = folder.join(format!("{}_{to}.onnx", case.name));
            model.save(&target, &SaveOptions::default()).expect("it can be written");
            upgraded.push(target.clone());
            // No runtime has GlobalLpPool of opset 22.
            if (case.name, to) == ("norms_of_pools", UpgradeOpset::NEWEST_OPSET) {
                continue;
            }
            let expected = match case.against {
                Itself => source.clone(),
                Same(..) => folder.join(format!("{}_expected.onnx", case.name)),
            };
            comparisons.push(Comparison {
                left: Side { model: expected, engine: Engine::OnnxruntimePlain },
                right: Side { model: target, engine: Engine::OnnxruntimePlain },
                inputs: Inputs { seed: 3, ..Inputs::default() },
            });
        }
    }
    let mut wrong = Vec::new();
    for (model, answer) in upgraded.iter().zip(runtime::check(&upgraded).expect("the runtime is there")) {
        wrong.extend(answer.err().map(|error| format!("checker: {}: {error}", model.display())));
    }
    let mut answers = runtime::compare(&comparisons).expect("the runtime is there");
    // Some kernels of the newest opsets are not there yet.
    let missing: Vec<usize> = answers
        .iter()
        .enumerate()
        .filter(|(_, answer)| answer.as_ref().is_err_and(|error| error.contains("NOT_IMPLEMENTED")))
        .map(|(index, _)| index)
        .collect();
    for &index in &missing {
        comparisons[index].right.engine = Engine::Reference;
    }
    let again: Vec<Comparison> = missing.iter().map(|&index| comparisons[index].clone()).collect();
    for (index, answer) in missing.into_iter().zip(runtime::compare(&again).expect("the runtime is there")) {
        answers[index] = answer;
    }
    for (pair, answer) in comparisons.iter().zip(answers) {
        let name = pair.right.model.display();
        match answer {
            Err(error) => wrong.push(format!("{name}: {error}")),
            Ok(differences) => wrong.extend(
                differences
                    .iter()
                    .filter(|(_, difference)| difference.relative > TOLERANCE)
                    .map(|(output, difference)| format!("{name}: {output}: {difference:?}")),
            ),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_version_of_every_operator_is_known_and_rewritten_where_it_takes_something_away() {
    let Some(operators) = runtime::versions() else { return };
    let known: BTreeMap<_, _> = UpgradeOpset::known_versions().collect();
    assert!(operators.keys().eq(known.keys()), "{:?}", operators.keys());
    let mut breaking = Vec::new();
    for (name, versions) in operators {
        let known = &known[name.as_str()];
        assert!(versions.iter().map(|one| one.version).eq(known.iter().map(|one| one.0)), "{name}: {versions:?}");
        for (one, (version, rewritten)) in versions.into_iter().zip(known) {
            breaking.extend(one.breaks.filter(|_| !rewritten).map(|why| format!("{name} {version}: {why}")));
        }
    }
    assert!(breaking.is_empty(), "{}", breaking.join("\n"));
}

/// What cannot be carried over: opset, model, target, and what the error says.
const REFUSED: &[(&str, i64, &str, i64, &[&str])] = &[
    (
        "unknown_operator",
        7,
        "g (float[2] x) => (float[2] y) { [n] y = Affine <alpha = 2.0> (x) }",
        9,
        &["Affine 'n'", "opset 8", "has no such operator"],
    ),
    (
        "operator_of_a_later_opset",
        9,
        "g (float[2] x) => (float[2] y) { [n] y = HardSwish (x) }",
        13,
        &["HardSwish 'n'", "opset 9", "since opset 14"],
    ),
    (
        "rank_not_known",
        6,
        "g (float[2,3,4] x, float[3] f, int64[\"r\"] s) => (float[2,3,4] y) { r = Reshape (x, s) [n] y = Add <broadcast = 1, axis = 1> (r, f) }",
        7,
        &["Add 'n'", "opset 7", "rank of 'r'", "shape inference"],
    ),
    (
        "type_not_known",
        9,
        "<ir_version: 7, opset_import: [\"\": 9, \"d\": 1]>
         g (double[3] d) => (double[3] y) { s = d.Sinh (d) [n] c = Clip <max = 0.5> (s) y = d.Sinh (c) }",
        11,
        &["Clip 'n'", "opset 11", "element type of 's'"],
    ),
    (
        "erf_of_integers",
        9,
        "g (int32[3] x) => (int32[3] y) { [n] y = Erf (x) }",
        13,
        &["Erf 'n'", "opset 13", "Int32"],
    ),
    (
        "log_sum_of_integers",
        18,
        "g (int32[3] x) => (int32[1] y) { [n] y = ReduceLogSum (x) }",
        28,
        &["ReduceLogSum 'n'", "opset 28", "cast them to float"],
    ),
    (
        "norm_that_is_no_integer",
        1,
        "g (float[1,2,4,4] x) => (float[1,2,1,1] y) { [n] y = GlobalLpPool <p = 1.5> (x) }",
        2,
        &["GlobalLpPool 'n'", "1.5"],
    ),
    (
        "sequences_of_their_own_lengths",
        8,
        "g (int64[2] l, float[2,3] s, float[2,5,3] x) => (float[2,3] f, float[2,5,3] y)
         { [n] f, y = Scan <num_scan_inputs = 1, body = b (float[3] t, float[3] i) => (float[3] m, float[3] o)
           { m = Add (t, i) o = Identity (m) }> (l, s, x) }",
        9,
        &["Scan 'n'", "opset 9", "lengths"],
    ),
    (
        "statistics_of_training",
        9,
        "g (float[4,3] x, float[3] s) => (float[4,3] y, float[3] d) { [n] y, a, b, c, d = BatchNormalization (x, s, s, s, s) }",
        14,
        &["BatchNormalization 'n'", "opset 14", "output 4"],
    ),
    (
        "half_pixel_that_went_away",
        11,
        "g (float[1,1,4,4] x) => (float[1,1,8,8] y) <float[0] none = {}, float[4] scales = {1, 1, 2, 2}>
         { [n] y = Resize <mode = \"linear\", coordinate_transformation_mode = \"tf_half_pixel_for_nn\"> (x, none, scales) }",
        13,
        &["Resize 'n'", "tf_half_pixel_for_nn"],
    ),
];

#[test]
fn what_cannot_be_carried_over_is_refused_by_name() {
    let folder = folder();
    let texts: Vec<_> =
        REFUSED.iter().map(|(name, opset, text, ..)| ((*name).to_owned(), with_header(*opset, text))).collect();
    if parse(&folder, &texts).is_none() {
        return;
    }
    for (name, _, _, to, parts) in REFUSED.iter() {
        let path = folder.join(format!("{name}.onnx"));
        let mut model = Model::load(&path).expect("it loads");
        let error = UpgradeOpset { to: *to }.upgrade(&mut model).expect_err(name);
        assert!(matches!(error.kind(), ErrorKind::Upgrade { .. }), "{name}: {error}");
        let message = error.to_string();
        assert!(message.starts_with(&path.display().to_string()), "{message}");
        for part in *parts {
            assert!(message.contains(part), "{name}: {message}");
        }
    }
}

/// Every model of `testdata` that runs, upgraded: bodies, functions, external data, odd names.
#[test]
fn fixtures_compute_the_same() {
    let folder = folder();
    let mut comparisons = Vec::new();
    let refused = |fixture: &Fixture| fixture.name == "made/not_to_be_raised.onnx";
    for fixture in fixtures().into_iter().filter(|fixture| fixture.onnxruntime.is_none() && !refused(fixture)) {
        for to in [13, 21, UpgradeOpset::NEWEST_OPSET] {
            let mut model = Model::load(fixture.path()).expect("it loads");
            let done = UpgradeOpset { to }.upgrade(&mut model).unwrap_or_else(|error| panic!("{error}"));
            model.verify().unwrap_or_else(|error| panic!("{} at {to}: {error}", fixture.name));
            if !done.changed {
                continue;
            }
            let target = folder.join(format!("{}_{to}.onnx", fixture.name.replace('/', "_")));
            model.save(&target, &SaveOptions::default()).expect("it can be written");
            comparisons.push(Comparison {
                left: Side { model: fixture.path(), engine: Engine::OnnxruntimePlain },
                right: Side { model: target, engine: Engine::OnnxruntimePlain },
                inputs: Inputs { seed: 5, dims: fixture.dims.clone(), ..Inputs::default() },
            });
        }
    }
    let Some(answers) = runtime::compare(&comparisons) else { return };
    let wrong: Vec<String> = comparisons
        .iter()
        .zip(answers)
        .filter_map(|(pair, answer)| match answer {
            // The newest kernels of quantized operators are not there yet.
            Err(error) if error.contains("NOT_IMPLEMENTED") && error.contains("QuantizeLinear(28)") => None,
            Err(error) if error.contains("NOT_IMPLEMENTED") && error.contains("DequantizeLinear(28)") => None,
            Err(error) => Some(format!("{}: {error}", pair.right.model.display())),
            Ok(differences) => {
                let far = differences.iter().find(|(_, difference)| difference.relative > TOLERANCE)?;
                Some(format!("{}: {far:?}", pair.right.model.display()))
            }
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn made(name: &str) -> Model {
    Model::load(testdata::path(&format!("made/{name}.onnx"))).expect("it loads")
}

#[test]
fn the_opset_never_goes_down_and_a_second_upgrade_does_nothing() {
    let mut model = Model::load(testdata::path("kws_dscnn.onnx")).expect("it loads");
    let before = model.to_bytes();
    let done = UpgradeOpset { to: 13 }.upgrade(&mut model).expect("there is nothing to do");
    assert_eq!((done.from, done.to, done.changed), (14, 14, false));
    assert_eq!(model.to_bytes(), before);

    let mut model = made("opset10_axis_conversions");
    assert!(UpgradeOpset { to: 21 }.run(&mut model).expect("it can be upgraded"));
    let once = model.to_bytes();
    assert!(!UpgradeOpset { to: 21 }.run(&mut model).expect("there is nothing to do"));
    assert_eq!(model.to_bytes(), once);
    assert!(UpgradeOpset { to: UpgradeOpset::NEWEST_OPSET + 1 }.run(&mut model).is_err());
    assert!(UpgradeOpset { to: 0 }.run(&mut model).is_err());
}

#[test]
fn the_same_file_comes_out_in_one_upgrade_or_in_two() {
    let upgraded = |targets: &[i64]| {
        let mut model = made("opset10_axis_conversions");
        for &to in targets {
            UpgradeOpset { to }.upgrade(&mut model).expect("it can be upgraded");
        }
        model.to_bytes()
    };
    assert_eq!(upgraded(&[11, 12, 18, 21]), upgraded(&[21]));
}

#[test]
fn the_ir_version_rises_only_as_far_as_the_opset_needs() {
    for (to, ir_version) in [(11, 6), (13, 7), (15, 8), (19, 9), (21, 10), (23, 11), (24, 12), (25, 13), (28, 14)] {
        let mut model = made("initializers_as_inputs_ir3");
        assert!(model.scope(Model::MAIN).inputs().len() > 1, "before IR version 4 initializers are inputs");
        UpgradeOpset { to }.upgrade(&mut model).expect("it can be upgraded");
        let raised = model.opset(Model::MAIN) == to;
        assert_eq!(model.ir_version(), if raised { ir_version } else { 3 }, "{to}");
        assert_eq!(model.scope(Model::MAIN).inputs().len() == 1, raised, "they leave the inputs where they may");
    }
}

#[test]
fn two_default_domains_become_one() {
    let mut model = made("two_default_domains");
    let opset = model.opset(Model::MAIN);
    let done = UpgradeOpset { to: 1 }.upgrade(&mut model).expect("nothing is to be rewritten");
    assert!(done.changed);
    assert_eq!(model.opset(Model::MAIN), opset, "the newest of the two counts");
    assert!(!UpgradeOpset { to: 1 }.run(&mut model).expect("there is nothing to do"));
    assert!(model.to_text().contains(&format!("opset_import: [\"\": {opset}]")), "{}", model.to_text());
}

#[test]
fn rewritten_operators_as_text() {
    let texts = [("opset9", 13), ("opset10_axis_conversions", 21), ("opset12", 18)].map(|(name, to)| {
        let mut model = made(name);
        UpgradeOpset { to }.upgrade(&mut model).expect("it can be upgraded");
        model.to_text()
    });
    insta::assert_snapshot!(texts.join("\n"));
}

/// Onnxruntime's optimizer writes operators of its own into the default operator set.
#[test]
fn operators_of_onnxruntime_are_carried_over() {
    let models = [
        (
            "layer_norm_13",
            13,
            "g (float[2,8] x, float[8] s, float[8] b) => (float[2,8] y) { y = LayerNormalization <axis = -1, epsilon = 0.01> (x, s, b) }",
        ),
        (
            "layer_norm_9",
            9,
            "g (float[2,8] x, float[8] s) => (float[2,8] y) { y = LayerNormalization <stash_type = 1> (x, s) }",
        ),
        (
            "layer_norm_of_halves",
            12,
            "g (float16[2,8] x, float[8] s) => (float[2,8] y) { y = LayerNormalization <stash_type = 1> (x, s) }",
        ),
        (
            "simplified_norm_9",
            9,
            "g (float[2,8] x, float[8] s) => (float[2,8] y) { y = SimplifiedLayerNormalization <axis = -1> (x, s) }",
        ),
        (
            "simplified_norm_14",
            14,
            "g (float16[2,8] x, float[8] s) => (float[2,8] y) { y = SimplifiedLayerNormalization <axis = -1, stash_type = 1> (x, s) }",
        ),
    ];
    let folder = folder();
    let texts: Vec<_> =
        models.iter().map(|(name, opset, text)| ((*name).to_owned(), with_header(*opset, text))).collect();
    if parse(&folder, &texts).is_none() {
        return;
    }
    let mut comparisons = Vec::new();
    for (name, opset, _) in models {
        let source = folder.join(format!("{name}.onnx"));
        for to in TARGETS.into_iter().filter(|&to| to > opset) {
            let mut model = Model::load(&source).expect("it loads");
            UpgradeOpset { to }.upgrade(&mut model).unwrap_or_else(|error| panic!("{error}"));
            let normalizes =
                |op| model.op(op).is("LayerNormalization") || model.op(op).is("SimplifiedLayerNormalization");
            assert!(model.ops().any(normalizes), "{name} at {to}");
            let target = folder.join(format!("{name}_{to}.onnx"));
            model.save(&target, &SaveOptions::default()).expect("it can be written");
            comparisons.push(Comparison {
                left: Side { model: source.clone(), engine: Engine::OnnxruntimePlain },
                right: Side { model: target, engine: Engine::OnnxruntimePlain },
                inputs: Inputs { seed: 3, ..Inputs::default() },
            });
        }
    }
    for (pair, answer) in comparisons.iter().zip(runtime::compare(&comparisons).expect("the runtime is there")) {
        let name = pair.right.model.display();
        let differences = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(differences.values().all(|difference| difference.relative <= TOLERANCE), "{name}: {differences:?}");
    }
}

#[test]
fn training_information_is_not_changed_in_meaning() {
    let mut model = made("training_info");
    UpgradeOpset { to: 28 }.upgrade(&mut model).expect("its operators are the same");
    let mut model = made("training_info");
    let node = onnx_quant::proto::NodeProto { op_type: Some("ReduceMean".to_owned()), ..Default::default() };
    let bytes = model.to_bytes();
    let mut proto = <onnx_quant::proto::ModelProto as prost::Message>::decode(bytes).expect("it is a model");
    let algorithm = proto.training_info[0].algorithm.as_mut().expect("it has one");
    algorithm.node.push(node);
    model = Model::from_bytes(prost::Message::encode_to_vec(&proto).into()).expect("it is a model");
    let error = UpgradeOpset { to: 28 }.upgrade(&mut model).expect_err("nothing rewrites it");
    assert!(error.to_string().contains("ReduceMean of the training information"), "{error}");
}
