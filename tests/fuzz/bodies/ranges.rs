//! A file of ranges, in any of the formats, is read, written in all of them, and a model quantized with it.

use std::fs;

use onnx_quant::{
    CalibrationMethod, Config, Model,
    calibration::{
        Ranges,
        range_files::{self, RangeFormat},
    },
    plan::activation_scheme,
};

use super::{assert_located, assert_readable, files, quantize};
use crate::mutate::Random;

/// The model that the ranges of the seeds are of.
const MODEL: &[u8] = include_bytes!("../../../testdata/made/mlp.onnx");

const METHODS: [CalibrationMethod; 6] = [
    CalibrationMethod::MinMax,
    CalibrationMethod::MovingAverage,
    CalibrationMethod::Percentile(99.0),
    CalibrationMethod::Entropy,
    CalibrationMethod::Mse,
    CalibrationMethod::Auto,
];

pub fn run(bytes: &[u8], random: &mut Random) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ranges");
    fs::write(&path, bytes).expect("the folder is ours");
    let Ok(ranges) = range_files::read(&path).inspect_err(assert_located) else { return };
    let mut config = quantize::activations(Config::default().with_allow_growth(true), random);
    config.activations.method = *random.pick(&METHODS);
    let (method, scheme) = (config.activations.method, activation_scheme(&config));

    for statistics in ranges.values.values().filter(|statistics| statistics.serves(method)) {
        if let Some(range) = statistics.range(method, scheme) {
            let holds_zero = range.min <= 0.0 && range.max >= 0.0;
            assert!(holds_zero && range.min.is_finite() && range.max.is_finite(), "{range:?}");
        }
    }
    let mut twice = ranges.clone();
    twice.merge(&ranges);
    assert!(twice.values.keys().eq(ranges.values.keys()));

    for (_, format) in RangeFormat::NAMES {
        let text = range_files::to_text(&ranges, *format, method, scheme);
        let Ok(text) = text.inspect_err(assert_readable) else { continue };
        range_files::write(&path, &ranges, *format, method, scheme).expect("it could be made");
        assert!(fs::read(&path).expect("it was written") == text.as_bytes());
        let again = read_again(&path, &ranges);
        if *format == RangeFormat::Json {
            assert_eq!(again, ranges, "what was written is read otherwise");
        }
    }
    assert_eq!(files(folder.path()), ["ranges"], "writing leaves something behind");

    let model = Model::from_bytes(MODEL.to_vec()).expect("a model");
    let _ = quantize::both(&model, &config, &ranges);
}

fn read_again(path: &std::path::Path, ranges: &Ranges) -> Ranges {
    let again = range_files::read(path).unwrap_or_else(|error| panic!("what was written can be read: {error}"));
    assert!(again.values.keys().all(|name| ranges.values.contains_key(name)), "what was read has other names");
    again
}
