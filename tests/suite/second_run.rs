//! The tool run once more on its own output, with the same options, changes nothing.

use crate::testdata;
use onnx_quant::{Config, Granularity, Model, WeightForm, WeightType, quantize, record_provenance};
use testdata::fixtures;

fn quantized(model: &[u8], config: &Config) -> Option<Vec<u8>> {
    let mut model = Model::from_bytes(model.to_vec()).ok()?;
    let report = quantize(&mut model, config).ok()?;
    record_provenance(&mut model, &report);
    Some(model.to_bytes())
}

/// Every model of `testdata` in every type, in three forms.
fn changes_nothing() {
    let block = Granularity::Block { size: 16, axis: None };
    let forms = [
        (Granularity::PerChannel, false, WeightForm::Dq, false),
        (block, true, WeightForm::Dq, true),
        (Granularity::PerTensor, true, WeightForm::Qdq, false),
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
            for (granularity, allow_growth, weight_form, asymmetric) in forms {
                let asymmetric = asymmetric && weights.is_integer();
                let config = Config::default()
                    .with_weights(*weights)
                    .with_granularity(granularity)
                    .with_allow_growth(allow_growth)
                    .with_weight_form(weight_form)
                    .with_asymmetric(asymmetric);
                let Some(once) = quantized(&model, &config) else { continue };
                tried += 1;
                if quantized(&once, &config).as_ref() != Some(&once) {
                    changed.push(format!("{} {name} {granularity:?} {weight_form:?}", fixture.name));
                }
            }
        }
    }
    assert!(tried > 2000, "only {tried} were quantized");
    assert!(changed.is_empty(), "{} of {tried}:\n{}", changed.len(), changed.join("\n"));
}

crate::tests![changes_nothing];
