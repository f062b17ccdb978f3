//! What a target makes of a model is told: of the model as it is, or quantized.

use std::sync::LazyLock;

use onnx_quant::{Config, Model, explain::explain, quantize, targets::Target};

use super::{assert_readable, loaded};
use crate::mutate::Random;

static TARGETS: LazyLock<[Target; 2]> =
    LazyLock::new(|| ["onnxruntime", "onnxruntime:1.20"].map(|name| name.parse().expect("a target that is known")));

pub fn run(bytes: &[u8], random: &mut Random) {
    let Some(mut model) = loaded(bytes) else { return };
    let config = Config::default().with_allow_growth(true);
    if random.once_in(2) && quantize(&mut model, &config).is_err() {
        return;
    }
    tell(&model, random.pick(&*TARGETS));
}

fn tell(model: &Model, target: &Target) {
    let Ok(explanation) = explain(model, target).inspect_err(assert_readable) else { return };
    assert_eq!(explanation.operators.len(), model.ops().count(), "every operator is told of");
    let json = explanation.to_json();
    serde_json::from_str::<serde_json::Value>(&json).expect("it is JSON");
    let again = explain(model, target).expect("it was explained before");
    assert!(again.to_json() == json, "the same model is explained otherwise");
}
