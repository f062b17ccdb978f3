//! Rules for some weights, values and operators only, and the ranking of operators that proposes them.

use std::{fs, path::Path};

use onnx_quant::report::Sensitivity;
use serde_json::Value;

use crate::{
    command_line::{copied_samples, fail, folder_with, read, run, stderr, succeed},
    runtime::texts::model_text,
};

const MODEL: &str = "kws_dscnn.onnx";

/// Two products, one behind the other.
const PRODUCTS: &str = "g (float[1,64] x) => (float[1,64] y) <float[64,64] v = {?}, float[64,64] w = {?}>
     { [first] a = MatMul (x, v) r = Relu (a) [second] y = MatMul (r, w) }";

fn report(folder: &Path, arguments: &[&str]) -> Value {
    succeed(folder, &[arguments, &["-q", "--report", "report.json"]].concat());
    serde_json::from_slice(&read(folder, "report.json")).expect("it is JSON")
}

/// What a command prints.
fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Type and granularity of each quantized weight.
fn forms(report: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let quantized = report["quantized"].as_array().expect("a list").iter();
    quantized
        .map(|weight| {
            let form = &weight["copies"][0];
            (text(&weight["name"]), text(&form["dtype"]), text(&form["granularity"]))
        })
        .collect()
}

fn form(name: &str, dtype: &str, granularity: &str) -> (String, String, String) {
    (name.to_owned(), dtype.to_owned(), granularity.to_owned())
}

fn weights_of_one_model_get_several_types() {
    let folder = folder_with(&[]);
    let folder = folder.path();
    fs::write(folder.join("in.txt"), model_text(21, PRODUCTS)).expect("it can be written");
    let rules = "[[rule]]\nmatch = 'MatMul'\nweights = 'int4'\ngranularity = 'block:32'\n\
                 [[rule]]\nmatch = ['second']\nweights = 'uint8'\ngranularity = 'per-tensor'\n";
    fs::write(folder.join("rules.toml"), rules).expect("it can be written");
    let report = report(folder, &["in.txt", "out.onnx", "--config", "rules.toml"]);
    assert_eq!(forms(&report), [form("v", "int4", "per-block"), form("w", "uint8", "per-tensor")]);
    let said = succeed(folder, &["in.txt", "out.onnx", "--config", "rules.toml"]);
    assert!(said.contains("2 weights quantized: "), "{said}");
    assert!(said.contains("  1 to int4, per-block\n  1 to uint8, per-tensor\n"), "{said}");
    // What the model will tell of how it was made.
    let options = report["options"].as_str().expect("a text");
    assert!(options.contains("[[rule]] match = \"second\", weights = \"uint8\""), "{options}");
}

fn a_later_rule_undoes_an_earlier_one() {
    let folder = folder_with(&[]);
    let folder = folder.path();
    fs::write(folder.join("in.txt"), model_text(21, PRODUCTS)).expect("it can be written");
    let rules = "[[rule]]\nmatch = 'matmul'\nfloat = true\n[[rule]]\nmatch = 'w'\nfloat = false\n";
    fs::write(folder.join("rules.toml"), rules).expect("it can be written");
    let report = report(folder, &["in.txt", "out.onnx", "--config", "rules.toml"]);
    assert_eq!(forms(&report), [form("w", "int8", "per-channel")]);
    assert_eq!(report["left_float"][0]["reason"], "'MatMul' is excluded by 'matmul'");
}

fn a_range_is_made_as_a_rule_says() {
    let folder = folder_with(&[MODEL]);
    let folder = folder.path();
    copied_samples(folder, 8);
    let scales = |more: &[&str]| -> Vec<(String, f64)> {
        let base = [MODEL, "out.onnx", "--samples", "samples", "--accuracy", "off", "--prefer", "size"];
        let report = report(folder, &[&base[..], more].concat());
        let values = report["activations"]["values"].as_array().expect("a list").iter();
        let text = |value: &Value| value.as_str().expect("a name").to_owned();
        values.map(|it| (text(&it["name"]), it["scale"].as_f64().expect("a number"))).collect()
    };
    let (auto, percentile) = (scales(&[]), scales(&["--calibration", "percentile:99.5"]));
    let differs = |index: &usize| auto[*index].1 > 1.05 * percentile[*index].1;
    let changed = (1..auto.len()).find(differs).expect("so low a percentile cuts something off");
    let name = &auto[changed].0;
    let rule = format!("[[rule]]\nmatch = '{name}'\ncalibration = 'percentile:99.5'\n");
    fs::write(folder.join("rules.toml"), rule).expect("it can be written");
    let by_rule = scales(&["--config", "rules.toml"]);
    for (index, (value, scale)) in by_rule.iter().enumerate() {
        let expected = if value == name { &percentile } else { &auto };
        assert_eq!(*scale, expected[index].1, "{value}");
    }
}

fn rules_that_make_no_sense_are_refused() {
    let folder = folder_with(&[MODEL]);
    let folder = folder.path();
    copied_samples(folder, 8);
    let refused = [
        (1, "match = 'Convv'\nfloat = true", "pattern 'Convv' matches no weight"),
        (1, "match = 'Conv'\nbits = 4", "unknown field `bits`"),
        (1, "float = true", "missing field `match`"),
        (
            2,
            "match = 'Conv'\nweights = 'int4'",
            "the rule for 'Conv': weights that are int4, per-channel, do not go with",
        ),
    ];
    for (status, rule, expected) in refused {
        fs::write(folder.join("rules.toml"), format!("[[rule]]\n{rule}\n")).expect("it can be written");
        let said = fail(folder, status, &[MODEL, "out.onnx", "--samples", "samples", "--config", "rules.toml"]);
        assert!(said.contains(expected), "{rule}: {said}");
    }
}

fn what_the_ranking_proposes_is_a_configuration() {
    let folder = folder_with(&[MODEL]);
    let folder = folder.path();
    copied_samples(folder, 8);
    let base = ["--samples", "samples", "--prefer", "size", "--calibration", "minmax", "--min-sqnr", "33"];
    let outputs = ["--json", "ranking.json", "--save-rules", "rules.toml"];
    let said = printed(folder, &[&["sensitivity", MODEL], &base[..], &outputs].concat());
    let json = String::from_utf8(read(folder, "ranking.json")).expect("UTF-8");
    let ranking = Sensitivity::from_json(&json).expect("a ranking");
    assert_eq!(ranking.to_json(), json);
    let noise: f64 = ranking.steps.iter().map(|step| step.noise).sum();
    assert!(noise > 0.5 && noise < 1.001, "{noise}");
    assert!(ranking.steps.windows(2).all(|two| two[0].bytes <= two[1].bytes), "{json}");
    let needed = ranking.steps_for(33.0).expect("enough of them do");
    assert!(needed > 0, "the bound is above what there is without: {said}");
    // Those that are proposed stay float.
    let report =
        report(folder, &[&[MODEL, "out.onnx", "--config", "rules.toml", "--min-sqnr", "1"], &base[..6]].concat());
    let operators = report["activations"]["operators"].as_array().expect("a list");
    for operator in ranking.steps[..needed].iter().flat_map(|step| &step.operators) {
        let described = format!("{} '{}'", operator.op_type, operator.name);
        let found = operators.iter().find(|it| it["operator"] == *described).expect("it is listed");
        assert_eq!(found["integer"], false, "{described}");
        assert!(said.contains(&described), "{described}: {said}");
    }
    // What was foreseen is reached: noise that cancels out makes it more.
    let findings = report["findings"].as_array().expect("a list").iter();
    let message = findings.filter_map(|it| it["message"].as_str()).find(|it| it.contains("worst output has"));
    let message = message.expect("it was measured");
    let number = message.split("has ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a number");
    let (is, foreseen): (f64, f64) = (number.parse().expect("a number"), ranking.steps[needed - 1].foreseen_db);
    assert!(is > foreseen - 1.0 && is > ranking.planned_db + 1.0, "{is} dB, {foreseen} dB were foreseen");
}

fn a_ranking_needs_samples_to_hold_back() {
    let folder = folder_with(&[MODEL]);
    let folder = folder.path();
    copied_samples(folder, 8);
    let said = fail(folder, 2, &["sensitivity", MODEL]);
    assert!(said.contains("samples are needed"), "{said}");
    let said = fail(folder, 1, &["sensitivity", MODEL, "--samples", "samples", "--max-samples", "7"]);
    assert!(said.contains("fewer than 8 samples"), "{said}");
}

crate::tests![
    weights_of_one_model_get_several_types,
    a_later_rule_undoes_an_earlier_one,
    a_range_is_made_as_a_rule_says,
    rules_that_make_no_sense_are_refused,
    what_the_ranking_proposes_is_a_configuration,
    a_ranking_needs_samples_to_hold_back,
];
