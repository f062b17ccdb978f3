//! A model's weights are quantized, and with made-up ranges its activations.

use onnx_quant::{
    ActivationType, Activations, CalibrationMethod, Config, Error, ErrorKind, Granularity, Model, WeightForm,
    WeightScales, WeightType,
    calibration::{Collect, Ranges, Statistics, value_keys},
    passes, quantize, quantize_activations,
};

use super::{assert_readable, loaded, written};
use crate::mutate::Random;

pub fn run(bytes: &[u8], random: &mut Random) {
    let Some(model) = loaded(bytes) else { return };
    let config = config(random);
    let quantized = match random.below(4) {
        0 => {
            let Some(model) = simplified(&model) else { return };
            weights(&model, &config)
        }
        1 => weights(&model, &config),
        2 => weights(&model, &dynamic(config)),
        _ => {
            let Some(simplified) = simplified(&model) else { return };
            let ranges = ranges(&[&model, &simplified], random);
            both(&model, &activations(config, random), &ranges)
        }
    };
    if let Err(error) = quantized {
        let broken = matches!(error.kind(), ErrorKind::Invalid(_));
        assert!(!broken, "what is wrong with a model is found when it is loaded: {error}");
    }
}

/// A configuration with the same patterns and limits whose activations get their scales in each run.
fn dynamic(config: Config) -> Config {
    let activations = Activations::default().with_ty(ActivationType::Dynamic);
    let weights = if config.asymmetric { WeightType::Uint8 } else { WeightType::Int8 };
    let granularity = Granularity::PerChannel;
    config
        .with_activations(activations)
        .with_weights(weights)
        .with_granularity(granularity)
        .with_weight_form(WeightForm::Dq)
}

/// A model as a configuration makes it, or the error that its user sees.
pub fn weights(model: &Model, config: &Config) -> Result<Vec<u8>, Error> {
    same_twice(model, |model| quantize(model, config).map(drop))
}

/// The same with activations.
pub fn both(model: &Model, config: &Config, ranges: &Ranges) -> Result<Vec<u8>, Error> {
    same_twice(model, |model| quantize_activations(model, config, ranges).map(drop))
}

fn same_twice(model: &Model, quantize: impl Fn(&mut Model) -> Result<(), Error>) -> Result<Vec<u8>, Error> {
    let mut quantized = model.clone();
    quantize(&mut quantized).inspect_err(assert_readable)?;
    let bytes = written(&quantized);
    let mut again = model.clone();
    quantize(&mut again).expect("it was quantized before");
    assert!(again.to_bytes() == bytes, "the same model quantized the same way is another");
    Ok(bytes)
}

fn simplified(model: &Model) -> Option<Model> {
    let mut model = model.clone();
    passes::run(&mut model, &passes::before_activations()).inspect_err(assert_readable).ok()?;
    written(&model);
    Some(model)
}

/// Any configuration, mostly one that quantizes even the weights that grow: those of fuzzed models are small.
fn config(random: &mut Random) -> Config {
    let weights = if random.once_in(3) { WeightType::default() } else { random.pick(WeightType::NAMES).1 };
    let size = *random.pick(&[1, 2, 3, 16, 32]);
    Config::default()
        .with_weights(weights)
        .with_granularity(match random.below(5) {
            0 => Granularity::PerTensor,
            1 => Granularity::Block { size, axis: None },
            2 => Granularity::Block { size, axis: Some(random.below(4)) },
            _ => Granularity::PerChannel,
        })
        .with_asymmetric(weights.is_integer() && !weights.is_microscaling() && random.once_in(3))
        .with_weight_scales(*random.pick(&[
            None,
            Some(WeightScales::Minmax),
            Some(WeightScales::Mse),
            Some(WeightScales::Unbiased),
        ]))
        .with_weight_form(if random.once_in(5) { WeightForm::Qdq } else { WeightForm::Dq })
        .with_allow_growth(!random.once_in(4))
        .with_keep_overridable(random.once_in(4))
        .with_measure_error(random.once_in(3))
}

/// The same with activations of any kind.
pub fn activations(config: Config, random: &mut Random) -> Config {
    let weights = *random.pick(&[WeightType::Int8, WeightType::Uint8]);
    let granularity = *random.pick(&[Granularity::PerChannel, Granularity::PerTensor]);
    let activations = Activations::default()
        .with_ty(random.pick(ActivationType::NAMES).1)
        .with_symmetric(random.once_in(4))
        .with_method(*random.pick(&[CalibrationMethod::MinMax, CalibrationMethod::MovingAverage]));
    config
        .with_weights(weights)
        .with_granularity(granularity)
        .with_weight_form(WeightForm::Dq)
        .with_activations(activations)
}

/// Ranges of all values, of all orders of magnitude.
fn ranges(models: &[&Model], random: &mut Random) -> Ranges {
    let mut ranges = Ranges::default();
    for model in models {
        let keys = value_keys(model);
        for value in model.values() {
            let mut statistics = Statistics::new(Collect { histogram: random.once_in(2) });
            statistics.observe(&observed(random));
            ranges.values.insert(keys[&value].clone(), statistics);
        }
    }
    ranges
}

fn observed(random: &mut Random) -> Vec<f32> {
    let reach = 10f32.powi(random.below(6) as i32 - 2);
    match random.below(16) {
        0 => vec![0.0; 4],
        1 => vec![f32::NAN, 1.0],
        2 => vec![f32::MAX, f32::MIN],
        3 => vec![1e-42, 0.0],
        4 => vec![],
        which => {
            let lowest = if which % 2 == 0 { reach } else { 0.0 };
            (0..20).map(|_| random.below(2000) as f32 / 1000.0 * reach - lowest).collect()
        }
    }
}
