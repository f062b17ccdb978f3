//! What is done with every malformed model: the body of a fuzz target, as a plain function.

use bytes::Bytes;
use onnx_quant::{Config, Error, Granularity, Model, WeightForm, WeightType, proto::ModelProto, quantize};
use prost::Message;

/// Loads a model, quantizes it in every way, and writes it.
///
/// # Panics
/// Something panics that must not, or a model comes out that is broken.
pub fn attempt(bytes: &[u8]) {
    for config in configs() {
        let _ = quantized(bytes, &config);
    }
}

/// The quantized model, or the error that its user sees.
pub fn quantized(bytes: &[u8], config: &Config) -> Result<Bytes, Error> {
    let mut model = Model::from_bytes(Bytes::copy_from_slice(bytes)).inspect_err(assert_readable)?;
    model.verify().expect("what was loaded keeps the invariants");
    quantize(&mut model, config).inspect_err(assert_readable)?;
    model.verify().expect("what was quantized keeps the invariants");
    let written = model.to_bytes();
    let again = Model::from_bytes(written.clone()).expect("what was written can be read");
    again.verify().expect("what was written keeps the invariants");
    Ok(written)
}

/// With the default configuration.
pub fn quantized_proto(model: &ModelProto) -> Result<ModelProto, Error> {
    let written = quantized(&model.encode_to_vec(), &Config::default())?;
    Ok(ModelProto::decode(written).expect("what was written can be decoded"))
}

/// The message of the error that a model ends in.
///
/// # Panics
/// It ends in none.
pub fn refusal(model: &ModelProto) -> String {
    match quantized_proto(model) {
        Ok(_) => panic!("was not refused"),
        Err(error) => error.to_string(),
    }
}

pub fn configs() -> Vec<Config> {
    let asymmetric = Config { weights: WeightType::Uint8, asymmetric: true, ..Config::default() };
    vec![
        Config { measure_error: true, ..Config::default() },
        Config { granularity: Granularity::PerTensor, keep_overridable: true, ..asymmetric.clone() },
        Config { weight_form: WeightForm::Qdq, ..asymmetric },
    ]
}

/// An error is one line that a person reads, however large the model is.
pub fn assert_readable(error: &Error) {
    let text = error.to_string();
    assert!(text.len() < 2000, "an error of {} bytes: {:.200}", text.len(), text);
}
