//! Weights are dequantized where onnxruntime makes the most of it: behind Gathers, once for each
//! product, and so that MatMulNBits comes about.

use crate::{quantized, runtime, testdata};
use std::collections::BTreeSet;

use quantized::{Quantized, nodes, quantized as quantize_all, way, ways};
use testdata::{Fixture, fixtures};

fn made(names: &[&str]) -> Vec<Fixture> {
    let mut fixtures = fixtures();
    fixtures.retain(|fixture| names.iter().any(|name| fixture.name == format!("made/{name}.onnx")));
    assert_eq!(fixtures.len(), names.len());
    fixtures
}

/// The weights from whose integers a Gather picks.
fn picked(model: &Quantized) -> BTreeSet<String> {
    let gathers = nodes(&model.quantized, "Gather");
    let stored = model.stripped().stored;
    stored
        .into_iter()
        .filter(|(name, _)| gathers.iter().any(|node| node.input[0] == *name))
        .map(|(_, s)| s.weight)
        .collect()
}

fn gathers_pick_from_the_integers_of_tables_that_they_alone_read() {
    let fixtures = made(&["tables", "tables_in_bodies", "float16_table", "embedding", "embedding_tied_by_transpose"]);
    let expected = |name: &str, way: &str| match (name, way) {
        (_, "qdq") => vec![],
        // No Gather picks along an axis before that of the scales.
        (_, "block32@0") => vec![],
        ("made/tables.onnx", _) => vec!["doubles", "held", "middle", "table"],
        ("made/tables_in_bodies.onnx", _) => vec!["own", "table"],
        ("made/float16_table.onnx", _) => vec!["table"],
        // Its rows go straight into a product, which onnxruntime takes for one of uint8.
        ("made/embedding.onnx", "uint8") => vec!["columns"],
        ("made/embedding.onnx", "default") => vec!["table"],
        ("made/embedding.onnx", _) => vec!["columns", "table"],
        _ => vec![],
    };
    for way in ways() {
        for model in quantize_all(&fixtures, &way) {
            let expected = expected(&model.fixture.name, way.name).into_iter().map(str::to_owned).collect();
            assert_eq!(picked(&model), expected, "{}", model.name());
        }
    }
}

fn products_share_integers_but_no_dequantizer() {
    let fixtures = made(&["weight_used_twice", "gemm_transposed"]);
    for way in ["int8", "block16", "int4"] {
        for model in quantize_all(&fixtures, &quantized::way(way)) {
            let stored = model.stripped().stored;
            let shared: Vec<&String> =
                stored.iter().filter(|(_, s)| s.weight == "shared").map(|(name, _)| name).collect();
            let [shared] = shared[..] else { panic!("{}: {shared:?}", model.name()) };
            let readers = nodes(&model.quantized, "DequantizeLinear").into_iter().filter(|n| n.input[0] == *shared);
            let products = if model.fixture.name.contains("gemm") { 2 } else { 3 };
            assert_eq!(readers.count(), products, "{}", model.name());
        }
    }
}

fn matrices_are_stored_the_way_the_fused_kernel_wants_them() {
    let fixtures = made(&["gemm_transposed", "transposed_before_products", "float16_table", "mlp"]);
    let expected = |name: &str, way: &str| match (name, way) {
        (_, "qdq") => vec![],
        // The reader's axis 0 is not the one that Gemm sums over.
        (_, "block32@0") => vec![],
        ("made/gemm_transposed.onnx", _) => vec!["plain", "shared"],
        ("made/transposed_before_products.onnx", _) => vec!["one", "twice", "two"],
        ("made/float16_table.onnx", _) => vec!["head"],
        _ => vec!["w1"],
    };
    for way in ways() {
        for model in quantize_all(&fixtures, &way) {
            let stored = model.stripped().stored.into_values().filter(|stored| stored.transposed);
            let transposed: BTreeSet<String> = stored.map(|stored| stored.weight).collect();
            let expected = expected(&model.fixture.name, way.name).into_iter().map(str::to_owned).collect();
            assert_eq!(transposed, expected, "{}", model.name());
        }
    }
}

fn fused_kernels_come_about() {
    // Of the other products onnxruntime 1.32 fuses none: a Relu behind them, integers or scales that
    // another one reads too, `alpha`, a left factor that comes out of a DequantizeLinear.
    let expected = [
        ("mixed_float16", "int8", 1, 0),
        ("tables_in_bodies", "int8", 1, 0),
        ("float16_table", "int8", 2, 0),
        ("gemm_transposed", "int8", 2, 4),
        ("transposed_before_products", "int8", 1, 2),
        ("embedding", "uint8", 1, 0),
        ("gemm_transposed", "block16", 2, 4),
        ("gemm_transposed", "int4", 2, 4),
        ("transposed_before_products", "block16", 1, 2),
        ("float16_table", "block16", 2, 0),
        ("float16_table", "int4", 2, 0),
        ("mixed_float16", "block16", 2, 0),
        ("mixed_float16", "int4", 2, 0),
        ("tables_in_bodies", "block16", 1, 0),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let paths =
        expected.map(|(name, way_name, ..)| quantize_all(&made(&[name]), &way(way_name)).remove(0).save(folder.path()));
    let answers = runtime::kernels(&paths);
    for ((name, way, fused, gemms), answer) in expected.into_iter().zip(answers) {
        let kernels = answer.unwrap_or_else(|error| panic!("{name} ({way}): {error}"));
        let count = |kernel: &str| kernels.get(kernel).copied().unwrap_or(0);
        assert_eq!((count("MatMulNBits"), count("Gemm")), (fused, gemms), "{name} ({way}): {kernels:?}");
    }
}

crate::tests![
    gathers_pick_from_the_integers_of_tables_that_they_alone_read,
    products_share_integers_but_no_dequantizer,
    matrices_are_stored_the_way_the_fused_kernel_wants_them,
    fused_kernels_come_about
];
