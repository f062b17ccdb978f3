//! The closed loop: what is found where rules err, that it is written, and that it is the same on every run.

use onnx_quant::{
    Config, Effort, Model, Report, calibrate,
    calibration::{Ranges, RtenEngine, Sample, proceed},
    findings::Code,
    ir::Tensor,
    quantize_activations, quantize_measured,
};

use crate::runtime::texts::model_text;

/// A layer whose input has one element in thousands that is a hundred times larger than the others, and that the layer
/// multiplies with nothing: a range that holds it has few steps left for the rest.
const OUTLIERS: &str = "g (float[1,64] x) => (float[1,16] y, float[1,64] z)
     <float[64,64] w = {?}, float[64,16] v = {?}, float[64] mask = {MASK}, float[64] b = {?}>
     { h = MatMul (x, w) r = Relu (h) m = Mul (r, mask) a = MatMul (m, v) y = Tanh (a) c = MatMul (x, w) z = Tanh (c) }";

fn model() -> Model {
    let mask: Vec<&str> = (0..64).map(|index| if index == 5 { "300" } else { "1" }).collect();
    let text = OUTLIERS.replace("MASK", &mask.join(", "));
    Model::from_text(&model_text(17, &text)).expect("a model")
}

/// Samples between -1 and 1 that are the same on every run.
fn samples(count: usize, seed: u32) -> Vec<Sample> {
    let sample = |number: usize| {
        let element = |index: usize| {
            let mixed = (index as u32 + 64 * number as u32 + seed).wrapping_mul(2_654_435_761);
            (mixed >> 8) as f32 / 8_388_608.0 - 1.0
        };
        let array = ndarray::Array2::from_shape_fn((1, 64), |(_, index)| element(index));
        Sample::new(format!("sample {number}"), vec![Tensor::from_array("x", &array)])
    };
    (0..count).map(sample).collect()
}

fn ranges(model: &Model, config: &Config) -> Ranges {
    calibrate(model, config, samples(24, 0).into_iter().map(Ok), &RtenEngine, &mut proceed).expect("it runs")
}

fn measured(config: &Config, held_back: &[Sample]) -> (Vec<u8>, Report) {
    let mut model = model();
    let ranges = ranges(&model, config);
    let report =
        quantize_measured(&mut model, config, &ranges, held_back, &RtenEngine, &mut proceed).expect("it is quantized");
    (model.to_bytes(), report)
}

fn float_layers(report: &Report) -> Vec<&str> {
    let activations = report.activations.as_ref().expect("they were planned");
    activations.float_layers().map(|layer| layer.why.as_str()).collect()
}

fn a_layer_that_costs_too_much_stays_float() {
    let held_back = samples(6, 9999);
    let (_, kept) = measured(&Config::default().with_min_sqnr_db(Some(1.0)), &held_back);
    let (_, strict) = measured(&Config::default().with_min_sqnr_db(Some(60.0)).with_accuracy(Effort::High), &held_back);
    let reason = "as measured";
    let inaccurate = |report: &Report| float_layers(report).iter().filter(|why| why.contains(reason)).count();
    assert_eq!(inaccurate(&kept), 0, "{:?}", float_layers(&kept));
    assert!(inaccurate(&strict) > 0, "{:?}", float_layers(&strict));
    let told = strict.findings.iter().find(|finding| finding.code == Code::Measured).expect("it was measured");
    assert_eq!(told.subjects.len(), inaccurate(&strict), "{told:?}");
}

fn what_is_not_reached_is_said() {
    let (_, report) = measured(&Config::default().with_min_sqnr_db(Some(300.0)), &samples(6, 9999));
    let finding = report.findings.iter().find(|finding| finding.code == Code::Inaccurate).expect("it is below");
    assert!(finding.message.contains("300 dB"), "{finding:?}");
}

fn the_same_at_every_number_of_threads() {
    let config = Config::default().with_accuracy(Effort::High).with_min_sqnr_db(Some(60.0));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| measured(&config, &samples(6, 9999)).0)
    };
    assert!(run(1) == run(2), "other bytes with another number of threads");
}

fn off_is_what_ranges_alone_give() {
    let config = Config::default().with_accuracy(Effort::Off);
    let mut by_rules = model();
    let ranges = ranges(&by_rules, &config);
    quantize_activations(&mut by_rules, &config, &ranges).expect("it is quantized");
    let (off, report) = measured(&config, &samples(6, 9999));
    assert!(off == by_rules.to_bytes());
    assert!(report.findings.iter().all(|finding| finding.code != Code::Measured && finding.code != Code::NotMeasured));
}

fn without_samples_held_back_nothing_is_measured_and_that_is_said() {
    let (bytes, report) = measured(&Config::default(), &[]);
    assert!(report.findings.iter().any(|finding| finding.code == Code::NotMeasured), "{:?}", report.findings);
    assert!(bytes == measured(&Config::default().with_accuracy(Effort::Off), &[]).0);
}

crate::tests![
    a_layer_that_costs_too_much_stays_float,
    what_is_not_reached_is_said,
    the_same_at_every_number_of_threads,
    off_is_what_ranges_alone_give,
    without_samples_held_back_nothing_is_measured_and_that_is_said,
];
