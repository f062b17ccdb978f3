//! What is done with a malformed model that is built here: the bodies of the fuzz targets, and what its
//! user sees.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use onnx_quant::{Config, Error, Model, proto::ModelProto};
use prost::Message;

use crate::{
    bodies::{self, assert_readable},
    mutate::Random,
};

/// How many ways there are for [`with_any`].
pub const WAYS: usize = 12;

/// Does one of the things with a model that fuzz targets do.
///
/// # Panics
/// Something panics that must not, or a model comes out that is broken.
pub fn with_any(bytes: &[u8], which: usize) {
    let random = &mut Random(which as u64);
    match which % WAYS {
        0 => bodies::load::run(bytes, random),
        1 => bodies::print::run(bytes, random),
        2 | 3 => bodies::upgrade::run(bytes, random),
        _ => bodies::quantize::run(bytes, random),
    }
}

/// Says what it was if something panics.
pub fn named(what: &str, attempt: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(attempt)) {
        eprintln!("{what}:");
        resume_unwind(panic);
    }
}

/// The quantized model, or the error that its user sees.
pub fn quantized(bytes: &[u8], config: &Config) -> Result<Vec<u8>, Error> {
    let model = Model::from_bytes(bytes.to_vec()).inspect_err(assert_readable)?;
    bodies::quantize::weights(&model, config)
}

/// With the default configuration.
pub fn quantized_proto(model: &ModelProto) -> Result<ModelProto, Error> {
    let written = quantized(&model.encode_to_vec(), &Config::default())?;
    Ok(ModelProto::decode(&*written).expect("what was written can be decoded"))
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
