//! The tool run once more on its own output, with the same options, changes nothing.

mod testdata;

use bytes::Bytes;
use onnx_quant::{Config, Granularity, Model, WeightForm, WeightType, quantize};
use testdata::fixtures;

fn quantized(model: &Bytes, config: &Config) -> Option<Bytes> {
    let mut model = Model::from_bytes(model.clone()).ok()?;
    quantize(&mut model, config).ok()?;
    Some(model.to_bytes())
}

/// Every model of `testdata` in every type, with every way of sharing scales.
#[test]
fn changes_nothing() {
    let sharing = [
        Granularity::PerChannel,
        Granularity::PerTensor,
        Granularity::Block { size: 16, axis: None },
        Granularity::Block { size: 4, axis: Some(0) },
    ];
    let mut changed = Vec::new();
    let mut tried = 0;
    for fixture in fixtures() {
        let Ok(model) = Model::load(fixture.path()) else { continue };
        // External data would be looked for beside the bytes.
        if model.tensors().any(|tensor| tensor.is_external()) {
            continue;
        }
        let model = model.to_bytes();
        for (name, weights) in WeightType::NAMES {
            for granularity in sharing {
                for (allow_growth, weight_form, asymmetric) in [
                    (false, WeightForm::Dq, false),
                    (true, WeightForm::Dq, weights.is_integer()),
                    (true, WeightForm::Qdq, false),
                ] {
                    let config = Config {
                        weights: *weights,
                        granularity,
                        allow_growth,
                        weight_form,
                        asymmetric,
                        ..Config::default()
                    };
                    let Some(once) = quantized(&model, &config) else { continue };
                    tried += 1;
                    if quantized(&once, &config).as_ref() != Some(&once) {
                        changed.push(format!(
                            "{} {name} {granularity:?} {weight_form:?} growth {allow_growth}",
                            fixture.name
                        ));
                    }
                }
            }
        }
    }
    assert!(tried > 5000, "only {tried} were quantized");
    assert!(changed.is_empty(), "{} of {tried}:\n{}", changed.len(), changed.join("\n"));
}
