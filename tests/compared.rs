//! `compare`: what is told of two models is how far apart they are.

mod command_line;
#[allow(dead_code, reason = "few kinds of files are needed here")]
#[path = "samples/files.rs"]
mod files;
mod testdata;

use std::{fs, path::Path};

use command_line::{fail, read, run, succeed};
use files::{floats, npz};
use tempfile::TempDir;

/// `y` is `factor` times `x`, by way of `middle`; `z` is an integer.
fn model(factor: f32, output: &str) -> String {
    format!(
        "<ir_version: 8, opset_import: [\"\": 17]>
         g (float[2,3] x) => (float[2,3] {output}, int64[2,3] z) <float factor = {{{factor}}}> {{
           middle = Mul (x, factor) positive = Relu (middle) {output} = Neg (middle) z = Cast <to = 7> (positive)
         }}"
    )
}

/// A folder with models, and two samples.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).expect("it can be written");
    write("float.txt", model(2.0, "y").as_bytes());
    // A tenth more.
    write("near.txt", model(2.2, "y").as_bytes());
    write("other.txt", model(2.2, "w").as_bytes());
    write(
        "wider.txt",
        model(2.2, "y")
            .replace("float factor = {2.2}", "float[4,1,1] factor = {2.2, 2.2, 2.2, 2.2}")
            .replace("float[2,3] y", "float[4,2,3] y")
            .replace("int64[2,3] z", "int64[4,2,3] z")
            .as_bytes(),
    );
    fs::create_dir(folder.path().join("samples")).expect("a folder can be made");
    write("samples/0.npz", &npz(&[("x", floats(&[2, 3], &[1.0, -2.0, 3.0, -4.0, 5.0, -6.0]))], false));
    write("samples/1.npz", &npz(&[("x", floats(&[2, 3], &[-1.0, 2.0, -3.0, 4.0, -5.0, 6.0]))], false));
    folder
}

fn compared(folder: &Path, names: [&str; 2], more: &[&str]) -> serde_json::Value {
    succeed(
        folder,
        &[&["compare", names[0], names[1], "--samples", "samples", "--json", "c.json", "--quiet"], more].concat(),
    );
    serde_json::from_slice(&read(folder, "c.json")).expect("it is JSON")
}

#[test]
fn a_tenth_of_a_value_is_twenty_decibels() {
    let folder = folder();
    let found = compared(folder.path(), ["float.txt", "near.txt"], &[]);
    assert_eq!((&found["version"], &found["samples"], &found["engine"]), (&1.into(), &2.into(), &"rten".into()));
    let [output] = &found["outputs"].as_array().expect("a list")[..] else { panic!("{found}") };
    assert_eq!((&output["name"], &output["same_largest"], &output["elements"]), (&"y".into(), &1.0.into(), &12.into()));
    for (key, expected) in [("sqnr", 20.0), ("cosine", 1.0), ("largest", 1.2)] {
        let told = output[key].as_f64().expect("a number");
        assert!((told - expected).abs() < 1e-5 * expected, "{key}: {told}");
    }
    // What is multiplied is compared behind the Relu only where nothing else reads it.
    let values: Vec<&str> =
        found["values"].as_array().expect("a list").iter().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(values, ["middle", "positive"]);
    assert_eq!(found["not_compared"][0]["name"], "z");
}

#[test]
fn the_same_model_is_exact() {
    let folder = folder();
    let ended = run(folder.path(), &["compare", "near.txt", "near.txt", "--samples", "samples"]);
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(said.contains("exact") && said.contains("none of 2 values between is below 20 dB"), "{said}");
}

#[test]
fn a_bound_that_is_not_met_fails() {
    let folder = folder();
    let arguments =
        |bound| ["compare", "float.txt", "near.txt", "--samples", "samples", "--quiet", "--min-sqnr", bound];
    succeed(folder.path(), &arguments("19.9"));
    let said = fail(folder.path(), 1, &arguments("20.1"));
    assert!(said.contains("less than 20.1 dB: 'y' has 20.0 dB"), "{said}");
}

#[test]
fn what_cannot_be_compared_is_told() {
    let folder = folder();
    let said = |names: [&str; 2]| fail(folder.path(), 1, &["compare", names[0], names[1], "--samples", "samples"]);
    let no_output = said(["float.txt", "other.txt"]);
    assert!(no_output.contains("'y' is no output of the quantized model"), "{no_output}");
    let sizes = said(["float.txt", "wider.txt"]);
    assert!(sizes.contains("0.npz") && sizes.contains("[2, 3]") && sizes.contains("[4, 2, 3]"), "{sizes}");
    fs::create_dir(folder.path().join("empty")).expect("a folder can be made");
    let empty = fail(folder.path(), 1, &["compare", "float.txt", "near.txt", "--samples", "empty"]);
    assert!(empty.contains("empty"), "{empty}");
}

/// A convolution of integers, and the same with floats.
#[test]
fn integers_are_convolved_as_floats_are_or_refused() {
    let folder = folder();
    let weight: Vec<String> = (0..24).map(|number| (number * 7 % 11 - 5).to_string()).collect();
    let put = |name: &str, pads: &str, size: usize, integer: bool| {
        let (ty, zero) = if integer { ("int8", "") } else { ("float", " d = DequantizeLinear (q, one, zero)") };
        let conv = match integer {
            true => format!("a = ConvInteger {pads} (q, w, zero) y = Cast <to = 1> (a)"),
            false => format!("{zero} y = Conv {pads} (d, w)"),
        };
        let text = format!(
            "<ir_version: 8, opset_import: [\"\": 17]>
             g (float[1,3,4,4] x) => (float[1,2,{size},{size}] y)
             <{ty}[2,3,2,2] w = {{{}}}, float one = {{1}}, uint8 zero = {{128}}> {{ q = QuantizeLinear (x, one, zero) {conv} }}",
            weight.join(", ")
        );
        fs::write(folder.path().join(name), text).expect("it can be written");
    };
    let elements: Vec<f32> = (0..48).map(|number| (number * 13 % 41) as f32 - 20.0).collect();
    fs::create_dir(folder.path().join("image")).expect("a folder can be made");
    fs::write(folder.path().join("image/0.npz"), npz(&[("x", floats(&[1, 3, 4, 4], &elements))], false))
        .expect("a file");
    let arguments = ["compare", "f.txt", "i.txt", "--samples", "image", "--quiet", "--json", "c.json"];

    put("f.txt", "", 3, false);
    put("i.txt", "", 3, true);
    succeed(folder.path(), &arguments);
    let found: serde_json::Value = serde_json::from_slice(&read(folder.path(), "c.json")).expect("it is JSON");
    assert_eq!(found["outputs"][0]["largest"], 0.0);

    let pads = "<pads = [1, 1, 0, 0]>";
    put("f.txt", pads, 4, false);
    put("i.txt", pads, 4, true);
    let said = fail(folder.path(), 1, &arguments);
    assert!(said.contains("ConvInteger 'a'") && said.contains("rten pads integers"), "{said}");
}
