//! Several ways to quantize, of which the fastest is taken: by times that the tests tell.

use std::{fs, sync::Arc, time::Duration};

use onnx_quant::{
    Config, Effort, ErrorKind, Model, Preference, Report, calibrate,
    calibration::{Ranges, RtenEngine, Sample, Samples, proceed},
    findings::Code,
    quantize_activations, quantize_tuned,
    report::Way,
    targets::costs::Costs,
};

use crate::{
    command_line::{copied_samples, fail, folder_with},
    testdata,
};

const MODEL: &str = "kws_dscnn.onnx";

fn model() -> Model {
    Model::load(testdata::path(MODEL)).expect("it loads")
}

fn observed(model: &Model, config: &Config) -> (Ranges, Vec<Sample>) {
    let samples = Samples::open(testdata::path("calibration/kws_dscnn"), model, None).expect("samples");
    let samples: Vec<Sample> = samples.collect::<Result<_, _>>().expect("they can be read");
    let passing = samples.iter().cloned().map(Ok);
    let ranges = calibrate(model, config, passing, &RtenEngine, &mut proceed).expect("it runs");
    (ranges, samples[..2].to_vec())
}

/// By rules alone, so that the ways are what they are, whatever samples say.
fn config() -> Config {
    Config::default().with_accuracy(Effort::Off).with_min_sqnr_db(Some(5.0))
}

/// Tunes by times in microseconds: of the float model first, then of each way in the order of their trial. `None`: it
/// does not run.
fn tuned(config: &Config, times: &[Option<u64>]) -> (Model, Report) {
    let mut model = model();
    let (ranges, held_back) = observed(&model, config);
    let mut timer = |models: &[&Model]| {
        assert_eq!(models.len(), times.len(), "so many models are timed");
        let time = |time: &Option<u64>| {
            time.map(Duration::from_micros).ok_or_else(|| ErrorKind::Sample("no kernel".to_owned()).into())
        };
        Ok(times.iter().map(time).collect())
    };
    let report = quantize_tuned(&mut model, config, &ranges, &held_back, &RtenEngine, &mut timer, &mut proceed);
    (model, report.expect("it can be"))
}

fn taken(report: &Report) -> Option<Way> {
    let tuned = report.tuned.as_ref().expect("it was tuned");
    tuned.plans.iter().find(|plan| plan.taken).map(|plan| plan.way)
}

fn the_fastest_is_taken() {
    let (_, report) = tuned(&config(), &[Some(100), Some(90), Some(70), Some(95), Some(200)]);
    assert_eq!(taken(&report), Some(Way::AllInteger));
    let finding = report.findings.iter().find(|finding| finding.code == Code::Tuned).expect("it is said");
    assert!(finding.message.contains("of 4 ways") && finding.message.contains("0.70"), "{finding:?}");
    let (_, report) = tuned(&config(), &[Some(100), Some(60), Some(70), Some(95), Some(200)]);
    assert_eq!(taken(&report), Some(Way::Placed));
    let plans = &report.tuned.as_ref().expect("it was tuned").plans;
    assert!(plans.iter().all(|plan| plan.taken != plan.why_not.is_some()), "{plans:?}");
    assert_eq!(Report::from_json(&report.to_json()).expect("a report"), report);
}

fn of_the_same_times_the_preferred_is_taken() {
    let times = [Some(1000), Some(700), Some(702), Some(950), Some(709)];
    let by = |prefer| taken(&tuned(&config().with_prefer(prefer), &times).1);
    assert_eq!(by(Preference::Speed), Some(Way::Placed));
    assert_eq!(by(Preference::Size), Some(Way::WeightsOnly));
    assert_eq!(by(Preference::Accuracy), Some(Way::WeightsOnly));
}

fn where_nothing_is_faster_the_model_stays_as_it_is() {
    let slower = [Some(100), Some(101), Some(120), Some(100), Some(200)];
    let (model, report) = tuned(&config(), &slower);
    assert_eq!(taken(&report), None);
    assert!(model.to_bytes() == self::model().to_bytes());
    assert!(report.quantized.is_empty() && report.activations.is_none());
    let finding = report.findings.iter().find(|finding| finding.code == Code::Tuned).expect("it is said");
    assert!(finding.message.contains("stays float"), "{finding:?}");
    // What is not accurate enough is no choice, however fast it is.
    let (_, report) =
        tuned(&config().with_min_sqnr_db(Some(150.0)), &[Some(100), Some(50), Some(50), Some(50), Some(50)]);
    assert_eq!(taken(&report), None);
    let plans = &report.tuned.as_ref().expect("it was tuned").plans;
    assert!(plans.iter().all(|plan| plan.why_not.as_ref().is_some_and(|why| why.contains("150 dB"))), "{plans:?}");
}

fn what_does_not_run_is_passed_over_and_said() {
    let (_, report) = tuned(&config(), &[Some(100), None, Some(70), Some(95), Some(200)]);
    assert_eq!(taken(&report), Some(Way::AllInteger));
    let first = &report.tuned.as_ref().expect("it was tuned").plans[0];
    assert!(first.why_not.as_ref().is_some_and(|why| why.contains("no kernel")), "{first:?}");
}

fn other_runtimes_are_not_timed() {
    let mut model = model();
    let config = Config::for_target("openvino".parse().expect("a target"));
    let (ranges, held_back) = observed(&model, &config);
    let mut timer = |_: &[&Model]| panic!("nothing is timed");
    let refused = quantize_tuned(&mut model, &config, &ranges, &held_back, &RtenEngine, &mut timer, &mut proceed);
    let refused = refused.expect_err("onnxruntime's times say nothing of it").to_string();
    assert!(refused.contains("openvino"), "{refused}");
}

/// What kernels take decides what computes in integers.
fn a_table_of_costs_of_ones_own_counts() {
    let model = model();
    let integers = |call: f64| {
        let mut costs = Costs::with_vnni().clone();
        costs.integer.values_mut().for_each(|rate| rate.call = call);
        let config = config().with_costs(Some(Arc::new(costs)));
        let (ranges, _) = observed(&model, &config);
        let report = quantize_activations(&mut model.clone(), &config, &ranges).expect("it is quantized");
        report.activations.expect("they were planned").operators.iter().filter(|it| it.layer && it.integer).count()
    };
    assert_eq!(integers(1e9), 0, "no layer is worth a second");
    assert!(integers(0.0) > 3);
}

fn the_command_names_what_is_missing() {
    let folder = folder_with(&[MODEL]);
    let folder = folder.path();
    copied_samples(folder, 8);
    let said = fail(folder, 2, &[MODEL, "out.onnx", "--tune"]);
    assert!(said.contains("--tune makes no sense without --samples"), "{said}");
    let missing = [MODEL, "out.onnx", "--samples", "samples", "--tune", "--onnxruntime", "nowhere.so"];
    let said = fail(folder, 1, &missing);
    assert!(said.contains("cannot be loaded"), "{said}");
    fs::write(folder.join("costs.toml"), "title = \"none\"").expect("it can be written");
    let said = fail(folder, 1, &[MODEL, "out.onnx", "--samples", "samples", "--costs", "costs.toml"]);
    assert!(said.contains("costs.toml"), "{said}");
}

crate::tests![
    the_fastest_is_taken,
    of_the_same_times_the_preferred_is_taken,
    where_nothing_is_faster_the_model_stays_as_it_is,
    what_does_not_run_is_passed_over_and_said,
    other_runtimes_are_not_timed,
    a_table_of_costs_of_ones_own_counts,
    the_command_names_what_is_missing,
];
