//! Which weights of each model are quantized, along which axis, and why others are not.
//!
//! The snapshots are to be read against what the ONNX operator specifications say of the shapes of
//! weights: Conv and DeformConv [out, in / group, ..], ConvTranspose [in, out / group, ..], Gemm's B
//! [in, out] or, with transB, [out, in], MatMul's right factor [.., in, out] and its left one
//! [.., out, in], LSTM, GRU and RNN [directions, gates * hidden, ..], Gather's table by the axis it
//! picks from.

use crate::{quantized, testdata};
use std::{collections::BTreeMap, fmt::Write};

use onnx_quant::{
    Config, Model, Report, TrainedPairs, WeightForm,
    findings::Finding,
    proto::{TensorProto, tensor_proto::DataType},
    quantize,
};
use quantized::{constants, quantized, way, ways};
use testdata::{Fixture, fixtures};

/// A report without numbers that depend on the values: one line for each weight.
fn lines(report: &Report) -> String {
    let mut text = String::new();
    let place = |path: &[String], name: &str| {
        let name = if name.len() > 40 { format!("{}...", &name[..40]) } else { name.to_owned() };
        path.iter().map(|step| format!("{step} / ")).chain([name]).collect::<String>()
    };
    let operators = |operators: &[String]| {
        let types: Vec<_> = operators.iter().map(|operator| operator.replace('\'', "")).collect();
        let text = types.join(", ");
        text.chars().take(70).collect::<String>()
    };
    for tensor in &report.quantized {
        let shape: Vec<String> = tensor.shape.iter().map(ToString::to_string).collect();
        for copy in &tensor.copies {
            let scales = copy.axis.map_or("one scale".to_owned(), |axis| format!("axis {axis}"));
            let float = if tensor.float_type == "float" { "" } else { &tensor.float_type };
            let name = place(&tensor.path, &tensor.name);
            let readers = operators(&copy.operators);
            writeln!(text, "  {name} {float}[{}]: {scales}: {readers}", shape.join(", ")).expect("a String takes it");
            if let Some(note) = &copy.note {
                writeln!(text, "    {note}").expect("a String takes it");
            }
        }
        if !tensor.other_readers.is_empty() {
            writeln!(text, "    also read by {}", operators(&tensor.other_readers)).expect("a String takes it");
        }
    }
    for left in &report.left_float {
        let name = place(&left.path, &left.name);
        writeln!(text, "  {name} float: {}: {}", operators(&left.operators), left.reason).expect("a String takes it");
    }
    for Finding { severity, code, message, .. } in &report.findings {
        writeln!(text, "  - {severity}[{code}] {message}").expect("a String takes it");
    }
    if text.is_empty() { "  nothing to quantize\n".to_owned() } else { text }
}

fn table(fixtures: &[Fixture], config: &Config) -> String {
    let mut text = String::new();
    for fixture in fixtures {
        let report = quantize(&mut quantized::load(fixture), config);
        let lines = report.map_or_else(|error| format!("  error: {error}\n"), |report| lines(&report));
        write!(text, "{}\n{lines}", fixture.name.trim_start_matches("made/")).expect("a String takes it");
    }
    text
}

fn everything_that_can_be_quantized() {
    let mut fixtures = fixtures();
    fixtures.retain(|fixture| fixture.name.starts_with("made/"));
    let config = Config::default().with_allow_growth(true);
    insta::assert_snapshot!(table(&fixtures, &config));
}

fn small_weights_stay_float() {
    let mut fixtures = fixtures();
    let names = ["convolutions", "embedding", "gru", "lstm", "contrib_operators", "values_uneven_channels"];
    fixtures.retain(|fixture| {
        let made = fixture.name.trim_start_matches("made/").trim_end_matches(".onnx");
        names.contains(&made) || !fixture.name.starts_with("made/") && made != "ppocr_cls"
    });
    insta::assert_snapshot!(table(&fixtures, &Config::default()));
}

/// How often each float tensor is there, by its elements.
fn float_copies(tensors: Vec<(&str, &TensorProto)>) -> BTreeMap<Vec<u8>, usize> {
    let mut copies = BTreeMap::new();
    let float = [DataType::Float, DataType::Double, DataType::Float16, DataType::Bfloat16].map(|dtype| dtype as i32);
    for (_, tensor) in tensors.into_iter().filter(|(_, tensor)| float.contains(&tensor.data_type())) {
        *copies.entry(elements(tensor)).or_default() += 1;
    }
    copies
}

fn elements(tensor: &TensorProto) -> Vec<u8> {
    match &tensor.raw_data {
        Some(raw) if !raw.is_empty() => raw.to_vec(),
        _ => tensor.float_data.iter().flat_map(|element| element.to_le_bytes()).collect(),
    }
}

fn no_float_copy_of_a_quantized_weight_is_left() {
    let fixtures = fixtures();
    for way in ways().iter().filter(|way| way.config.weight_form == WeightForm::Dq) {
        for model in quantized(&fixtures, way) {
            let stored = constants(&model.quantized);
            for tensor in &model.report.quantized {
                let of_that_name = stored.iter().filter(|(name, _)| *name == tensor.name).count();
                let others = model.report.left_float.iter().filter(|left| left.name == tensor.name).count();
                assert_eq!(of_that_name, others, "{}: '{}' is still there", model.name(), tensor.name);
            }
            let gone: BTreeMap<&str, usize> =
                model.report.quantized.iter().map(|tensor| (tensor.name.as_str(), tensor.bytes.float)).collect();
            let before = float_copies(constants(&model.float));
            let after = float_copies(stored);
            for (name, tensor) in constants(&model.float).into_iter().filter(|(name, _)| gone.contains_key(name)) {
                let elements = elements(tensor);
                let kept = after.get(&elements).copied().unwrap_or(0);
                assert!(
                    elements.len() < 16 || kept < before.get(&elements).copied().unwrap_or(0),
                    "{}: '{name}' under another name",
                    model.name()
                );
            }
        }
    }
}

fn symmetric_weights_have_zero_in_the_middle() {
    let fixtures = fixtures();
    for (name, zero) in [("int8", 0u8), ("uint8", 128)] {
        // What training has quantized has the zero points that it found.
        let mut way = way(name);
        way.config.trained_pairs = TrainedPairs::Keep;
        for model in quantized(&fixtures, &way) {
            let constants: BTreeMap<_, _> = constants(&model.quantized).into_iter().collect();
            for (stored, weight) in model.stripped().stored {
                let zero_point = constants[weight.parameters[1].as_str()].raw_data();
                assert!(zero_point.iter().all(|&byte| byte == zero), "{}: '{stored}'", model.name());
                let integers = constants[stored.as_str()].raw_data();
                let lowest = zero.wrapping_sub(128);
                assert!(!integers.contains(&lowest), "{}: '{stored}' is not -127..=127", model.name());
            }
        }
    }
}

fn quantized_models_keep_the_invariants() {
    let fixtures = fixtures();
    for way in ways() {
        for model in quantized(&fixtures, &way) {
            model.model.verify().unwrap_or_else(|error| panic!("{}: {error}", model.name()));
            let read_again = Model::from_bytes(model.model.to_bytes());
            read_again.and_then(|read| read.verify()).unwrap_or_else(|error| panic!("{}: {error}", model.name()));
        }
    }
}

fn a_second_run_does_nothing() {
    let fixtures = fixtures();
    for way in ways() {
        for model in quantized(&fixtures, &way) {
            let bytes = model.model.to_bytes();
            let mut again = Model::from_bytes(bytes.clone()).expect("what was written can be read");
            let report = quantize(&mut again, &way.config).expect("it was quantized before");
            assert!(report.quantized.is_empty(), "{}: {:?}", model.name(), report.quantized);
            assert!(again.to_bytes() == bytes, "{}", model.name());
        }
    }
}

fn the_smaller_form_is_smaller() {
    let fixtures = fixtures();
    for model in quantized(&fixtures, &way("default")) {
        let (before, after) = (prost::Message::encoded_len(&model.float), model.model.to_bytes().len());
        let quantized = model.report.quantized.len();
        assert!(after < before || quantized == 0, "{}: {before} bytes became {after}", model.name());
    }
}

crate::tests![
    everything_that_can_be_quantized,
    small_weights_stay_float,
    no_float_copy_of_a_quantized_weight_is_left,
    symmetric_weights_have_zero_in_the_middle,
    quantized_models_keep_the_invariants,
    a_second_run_does_nothing,
    the_smaller_form_is_smaller
];
