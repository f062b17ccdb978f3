//! What a written model says of where it came from.

use crate::{command_line, testdata};
use std::{fs, path::Path};

use command_line::{folder_with, read, succeed};
use onnx_quant::Model;

const VERSION: (&str, &str) = ("onnx-quant.version", env!("CARGO_PKG_VERSION"));

/// The metadata of a model, in the order of the file.
fn metadata(folder: &Path, name: &str) -> Vec<(String, String)> {
    let model = Model::load(folder.join(name)).expect("it is a model");
    model.all_metadata().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn expected(options: &str) -> Vec<(String, String)> {
    [VERSION, ("onnx-quant.options", options)].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn the_output_says_where_it_came_from() {
    let folder = folder_with(&["kws_dscnn.onnx"]);
    let folder = folder.path();
    succeed(folder, &["kws_dscnn.onnx", "out.onnx"]);
    assert_eq!(metadata(folder, "out.onnx"), expected("--weights int8 --granularity per-channel"));
    let options = ["--weights", "uint8", "--exclude", "gemm,re:it's", "--asymmetric", "--exclude", "*o*"];
    // No name of the model has that, but one of them may be left out by another pattern.
    let options = options.map(|option| if option == "gemm,re:it's" { "gemm,re:[o']" } else { option });
    succeed(folder, &[&["kws_dscnn.onnx", "out.onnx"], &options[..]].concat());
    let said =
        r"--weights uint8 --granularity per-channel --asymmetric --exclude gemm --exclude 're:[o'\'']' --exclude '*o*'";
    // Nothing was quantized, so nothing is said.
    assert_eq!(metadata(folder, "out.onnx"), []);
    succeed(
        folder,
        &["kws_dscnn.onnx", "out.onnx", "--weights", "uint8", "--asymmetric", "--exclude", "gemm,re:'|/o/"],
    );
    let said = said.replace("'re:[o'\\'']' --exclude '*o*'", r"'re:'\''|/o/'");
    assert_eq!(metadata(folder, "out.onnx"), expected(&said));

    succeed(folder, &["kws_dscnn.onnx", "plain.onnx", "--no-provenance"]);
    assert_eq!(metadata(folder, "plain.onnx"), []);
    fs::write(folder.join("q.toml"), "no-provenance = true").expect("it can be written");
    succeed(folder, &["kws_dscnn.onnx", "by_file.onnx", "--config", "q.toml"]);
    assert!(read(folder, "by_file.onnx") == read(folder, "plain.onnx"));
    succeed(folder, &["kws_dscnn.onnx", "back.onnx", "--config", "q.toml", "--no-provenance=false"]);
    assert_eq!(metadata(folder, "back.onnx").len(), 2);
}

fn it_is_replaced_and_the_models_own_metadata_stays() {
    let folder = folder_with(&["made/metadata_everywhere.onnx", "kws_dscnn.onnx"]);
    let folder = folder.path();
    let own = metadata(folder, "metadata_everywhere.onnx");
    assert!(!own.is_empty());
    succeed(folder, &["metadata_everywhere.onnx", "out.onnx", "--allow-growth"]);
    let said = metadata(folder, "out.onnx");
    assert_eq!(said[..own.len()], own);
    assert_eq!(said[own.len()..], expected("--weights int8 --granularity per-channel --allow-growth"));

    // Once more with the same options: the same file. With others that quantize more: theirs.
    succeed(folder, &["kws_dscnn.onnx", "some.onnx", "--exclude", "Gemm"]);
    succeed(folder, &["some.onnx", "again.onnx", "--exclude", "Gemm"]);
    assert!(read(folder, "some.onnx") == read(folder, "again.onnx"));
    succeed(folder, &["some.onnx", "all.onnx", "--weights", "uint8"]);
    assert_eq!(metadata(folder, "all.onnx"), expected("--weights uint8 --granularity per-channel"));
}

fn what_was_observed_is_no_option() {
    let folder = folder_with(&["kws_dscnn.onnx"]);
    let folder = folder.path();
    fs::create_dir(folder.join("samples")).expect("a folder can be made");
    fs::copy(testdata::path("calibration/kws_dscnn/0.npz"), folder.join("samples/0.npz")).expect("it is copied");
    let samples = ["--samples", "samples", "--calibration", "minmax"];
    succeed(folder, &[&["kws_dscnn.onnx", "out.onnx", "--save-ranges", "r.json"], &samples[..]].concat());
    let said = expected("--weights int8 --granularity per-channel --activations uint8 --calibration minmax");
    assert_eq!(metadata(folder, "out.onnx"), said);
    succeed(folder, &["kws_dscnn.onnx", "by_ranges.onnx", "--ranges", "r.json", "--calibration", "minmax"]);
    assert!(read(folder, "by_ranges.onnx") == read(folder, "out.onnx"));
    // A second run changes nothing.
    succeed(folder, &[&["out.onnx", "again.onnx"], &samples[..]].concat());
    assert!(read(folder, "again.onnx") == read(folder, "out.onnx"));
}

crate::tests![
    the_output_says_where_it_came_from,
    it_is_replaced_and_the_models_own_metadata_stays,
    what_was_observed_is_no_option
];
