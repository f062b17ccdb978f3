//! What is done with every malformed model: the body of a fuzz target, as a plain function.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use bytes::Bytes;
use onnx_quant::{
    Config, Error, ErrorKind, Granularity, Model, WeightForm, WeightType,
    passes::{self, Pass, UpgradeOpset},
    proto::ModelProto,
    quantize,
};
use prost::Message;

/// How many ways there are for [`with_any`].
pub const WAYS: usize = 10;

/// Loads a model, quantizes it in one of several ways, prints it and writes it.
///
/// # Panics
/// Something panics that must not, or a model comes out that is broken.
pub fn with_any(bytes: &[u8], which: usize) {
    let _ = match which % WAYS {
        0 => upgraded(bytes),
        1 => simplified(bytes),
        which => quantized(bytes, &configs()[which - 2]),
    };
}

/// Says what it was if something panics.
pub fn named(what: &str, attempt: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(attempt)) {
        eprintln!("{what}:");
        resume_unwind(panic);
    }
}

/// The quantized model, or the error that its user sees.
pub fn quantized(bytes: &[u8], config: &Config) -> Result<Bytes, Error> {
    let mut model = Model::from_bytes(Bytes::copy_from_slice(bytes)).inspect_err(assert_readable)?;
    model.verify().expect("what was loaded keeps the invariants");
    quantize(&mut model, config).inspect_err(|error| {
        assert_readable(error);
        let broken = matches!(error.kind(), ErrorKind::Invalid(_));
        assert!(!broken, "what is wrong with a model is found when it is loaded: {error}");
    })?;
    model.verify().expect("what was quantized keeps the invariants");
    let _ = model.to_text();
    let written = model.to_bytes();
    let again = Model::from_bytes(written.clone()).expect("what was written can be read");
    again.verify().expect("what was written keeps the invariants");
    Ok(written)
}

fn upgraded(bytes: &[u8]) -> Result<Bytes, Error> {
    let mut model = Model::from_bytes(Bytes::copy_from_slice(bytes))?;
    UpgradeOpset { to: 21 }.run(&mut model).inspect_err(assert_readable)?;
    model.verify().expect("what was upgraded keeps the invariants");
    quantized(&model.to_bytes(), &Config::default())
}

fn simplified(bytes: &[u8]) -> Result<Bytes, Error> {
    let mut model = Model::from_bytes(Bytes::copy_from_slice(bytes))?;
    passes::run(&mut model, &passes::before_activations()).inspect_err(assert_readable)?;
    model.verify().expect("what was simplified keeps the invariants");
    quantized(&model.to_bytes(), &Config::default())
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

fn configs() -> [Config; WAYS - 2] {
    let all = Config { allow_growth: true, ..Config::default() };
    let asymmetric = Config { weights: WeightType::Uint8, asymmetric: true, ..all.clone() };
    [
        Config { measure_error: true, ..all.clone() },
        Config { granularity: Granularity::PerTensor, keep_overridable: true, ..asymmetric.clone() },
        Config { granularity: Granularity::Block { size: 16, axis: None }, ..asymmetric.clone() },
        Config { granularity: Granularity::Block { size: 3, axis: Some(1) }, ..all.clone() },
        Config { weight_form: WeightForm::Qdq, ..asymmetric.clone() },
        Config { weights: WeightType::Int4, granularity: Granularity::Block { size: 16, axis: None }, ..all.clone() },
        Config { weights: WeightType::Uint2, ..asymmetric },
        Config { weights: WeightType::Float8e4m3fn, ..all },
    ]
}

/// An error is one line that a person reads, however large the model is.
pub fn assert_readable(error: &Error) {
    let text = error.to_string();
    assert!(text.len() < 2000, "an error of {} bytes: {:.200}", text.len(), text);
}
