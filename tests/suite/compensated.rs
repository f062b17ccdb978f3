//! Weights of few bits that samples decide how to round.

use std::{fs, path::Path};

use onnx_quant::{
    ActivationType, Activations, Config, Effort, Granularity, Model, Report, WeightForm, WeightType,
    calibration::{RtenEngine, Sample, Samples, proceed},
    findings::Code,
    quantize, quantize_with_samples,
};

use crate::{
    command_line::{copied_samples, fail, folder_with, read, succeed},
    runtime::texts::model_text,
    testdata,
};

const MODEL: &str = "kws_dscnn.onnx";

fn config() -> Config {
    Config::default()
        .with_weights(WeightType::Int4)
        .with_activations(Activations::default().with_ty(ActivationType::Float))
        .with_measure_error(true)
}

fn samples(model: &Model) -> Vec<Sample> {
    let samples = Samples::open(testdata::path("calibration/kws_dscnn"), model, None).expect("samples");
    samples.collect::<Result<_, _>>().expect("they can be read")
}

fn rounded(config: &Config) -> (Vec<u8>, Report) {
    let mut model = Model::load(testdata::path(MODEL)).expect("it loads");
    let samples = samples(&model);
    let report = quantize_with_samples(&mut model, config, &samples, &RtenEngine, &mut proceed).expect("it can be");
    (model.to_bytes(), report)
}

fn plain(config: &Config) -> Vec<u8> {
    let mut model = Model::load(testdata::path(MODEL)).expect("it loads");
    quantize(&mut model, config).expect("it can be");
    model.to_bytes()
}

/// What the finding says: how many weights, and signal to noise with and without.
fn said(report: &Report) -> (usize, f64, f64) {
    let found = report.findings.iter().find(|finding| finding.code == Code::Compensated);
    let finding = found.unwrap_or_else(|| panic!("{:?}", report.findings));
    let numbers = finding.message.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'));
    let numbers: Vec<f64> = numbers.filter_map(|number| number.parse().ok()).collect();
    let &[weights, _, _, after, before] = numbers.as_slice() else { panic!("{}", finding.message) };
    (weights as usize, after, before)
}

fn outputs_are_closer_to_the_float_model() {
    for granularity in [Granularity::PerChannel, "block:32".parse().expect("blocks")] {
        let config = config().with_granularity(granularity);
        let (bytes, report) = rounded(&config);
        let (weights, after, before) = said(&report);
        assert!(weights > 3, "{:?}", report.findings);
        assert!(after > before + 6.0, "{granularity}: {after} dB, {before} dB with each weight rounded by itself");
        assert!(bytes.len() == plain(&config).len(), "other integers take as much room");
        // The weights themselves are further off, and it is them that the report tells of.
        let forms = report.quantized.iter().flat_map(|weight| &weight.copies);
        assert!(forms.filter_map(|form| form.sqnr_db).all(|db| db > 3.0 && db < 30.0), "{:?}", report.quantized);
    }
}

fn the_same_at_every_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| rounded(&config()).0)
    };
    assert!(run(1) == run(2), "other bytes with another number of threads");
}

fn off_rounds_each_weight_by_itself() {
    let config = config().with_accuracy(Effort::Off);
    assert!(rounded(&config).0 == plain(&config));
}

fn where_nothing_can_be_measured_that_is_said() {
    let text =
        "g (float[1,64] x) => (int64[1,1] y) <float[64,64] w = {?}> { a = MatMul (x, w) y = ArgMax <axis = 1> (a) }";
    let mut model = Model::from_text(&model_text(21, text)).expect("a model");
    let array = ndarray::Array2::<f32>::ones((1, 64));
    let sample = Sample::new("ones", vec![onnx_quant::ir::Tensor::from_array("x", &array)]);
    let config = config().with_granularity("block:32".parse().expect("blocks"));
    let report = quantize_with_samples(&mut model, &config, &[sample], &RtenEngine, &mut proceed).expect("it can be");
    let finding = report.findings.iter().find(|finding| finding.code == Code::NotMeasured).expect("it is said");
    assert!(finding.message.contains("no output is of floats"), "{finding:?}");
    assert_eq!(report.quantized.len(), 1);
}

fn shared_and_transposed_weights_are_rounded_so_too() {
    let products = "g (float[4,64] x) => (float[4,64] y) <float[64,64] w = {?}> { a = MatMul (x, w) r = Relu (a) y = MatMul (r, w) }";
    let transposed = "g (float[4,64] x) => (float[4,32] y) <float[32,64] w = {?}> { y = Gemm <transB = 1> (x, w) }";
    let folder = folder_with(&[]);
    let folder = folder.path();
    let sample = |number: u32| {
        let element = |(row, column): (usize, usize)| {
            // Columns go together, as they do where something is to be gained.
            let mixed = ((row * 8 + column / 8) as u32 + 1000 * number).wrapping_mul(2_654_435_761) >> 8;
            mixed as f32 / 8_388_608.0 - 1.0
        };
        ndarray::Array2::from_shape_fn((4, 64), element)
    };
    let cases = [(products, WeightForm::Dq), (products, WeightForm::Matmulnbits), (transposed, WeightForm::Dq)];
    for (text, form) in cases {
        let mut model = Model::from_text(&model_text(21, text)).expect("a model");
        let samples: Vec<Sample> = (0..16)
            .map(|number| {
                Sample::new(number.to_string(), vec![onnx_quant::ir::Tensor::from_array("x", &sample(number))])
            })
            .collect();
        let config = config().with_granularity("block:32".parse().expect("blocks")).with_weight_form(form);
        let report =
            quantize_with_samples(&mut model, &config, &samples, &RtenEngine, &mut proceed).expect("it can be");
        let (_, after, before) = said(&report);
        assert!(after > before + 3.0, "{text} {form}: {after} {before}");
        model.verify().unwrap_or_else(|error| panic!("{text}: {error}"));
        let path = folder.join("out.onnx");
        model.save(&path, &Default::default()).expect("it can be written");
        Model::load(&path).expect("it is read back");
    }
}

/// IR version 3 has no initializers that are no inputs, which is what rounded weights are before they are written.
fn old_files_are_rounded_so_too() {
    let mut model = Model::load(testdata::path("made/initializers_as_inputs_ir3.onnx")).expect("it loads");
    let samples =
        Samples::random(&model, 16).expect("inputs of floats").collect::<Result<Vec<_>, _>>().expect("numbers");
    let config = config().with_allow_growth(true);
    let report = quantize_with_samples(&mut model, &config, &samples, &RtenEngine, &mut proceed).expect("it can be");
    assert!(said(&report).1 > 0.0, "{:?}", report.findings);
    model.verify().unwrap_or_else(|error| panic!("{error}"));
}

fn half_floats_are_rounded_so_too() {
    let mut model = Model::load(testdata::path("made/float16_opset19.onnx")).expect("it loads");
    let samples =
        Samples::random(&model, 16).expect("inputs of floats").collect::<Result<Vec<_>, _>>().expect("numbers");
    let config = config().with_granularity("block:32".parse().expect("blocks")).with_allow_growth(true);
    let report = quantize_with_samples(&mut model, &config, &samples, &RtenEngine, &mut proceed).expect("it can be");
    assert!(said(&report).0 > 0, "{:?}", report.findings);
    model.verify().unwrap_or_else(|error| panic!("{error}"));
    Model::from_bytes(model.to_bytes()).expect("it is read back");
}

/// What the command says of weights that no integer kernel takes.
fn the_command_takes_samples_for_weights_of_few_bits() {
    let folder = folder_with(&[MODEL]);
    let folder = folder.path();
    copied_samples(folder, 8);
    let arguments = [MODEL, "out.onnx", "--weights", "int4", "--samples", "samples"];
    let said = succeed(folder, &arguments);
    assert!(said.contains("note[float-activations]: activations stay float"), "{said}");
    assert!(said.contains("are rounded so that their errors cancel out: measured on 2 samples held back"), "{said}");
    let written = read(folder, "out.onnx");
    succeed(folder, &arguments);
    assert!(read(folder, "out.onnx") == written, "another file on the second run");
    // int8 weights have integer kernels: activations stay float only where that is asked for.
    let said = succeed(folder, &[MODEL, "out.onnx", "--activations", "float", "--samples", "samples"]);
    assert!(!said.contains("float-activations") && said.contains("note[compensated]"), "{said}");
    let said = fail(folder, 1, &[&arguments[..], &["--min-sqnr", "150", "--strict"]].concat());
    assert!(said.contains("150 dB"), "{said}");
}

fn options_of_integers_make_no_sense_with_float_activations() {
    let folder = folder_with(&[MODEL]);
    let folder = folder.path();
    copied_samples(folder, 2);
    fs::write(folder.join("r.json"), "{\"x\": [0, 1]}").expect("it can be written");
    refused(
        folder,
        &["--samples", "samples", "--calibration", "mse"],
        "--calibration makes no sense where activations stay",
    );
    refused(
        folder,
        &["--samples", "samples", "--prefer", "size"],
        "--prefer makes no sense where activations stay float",
    );
    refused(folder, &["--samples", "samples", "--activations", "uint8"], "do not go with quantized activations");
    refused(folder, &["--ranges", "r.json"], "ranges are of no use");
}

fn refused(folder: &Path, more: &[&str], expected: &str) {
    let said = fail(folder, 2, &[&[MODEL, "out.onnx", "--weights", "int4"], more].concat());
    assert!(said.contains(expected), "{more:?}: {said}");
}

crate::tests![
    outputs_are_closer_to_the_float_model,
    the_same_at_every_number_of_threads,
    off_rounds_each_weight_by_itself,
    where_nothing_can_be_measured_that_is_said,
    shared_and_transposed_weights_are_rounded_so_too,
    half_floats_are_rounded_so_too,
    old_files_are_rounded_so_too,
    the_command_takes_samples_for_weights_of_few_bits,
    options_of_integers_make_no_sense_with_float_activations,
];
