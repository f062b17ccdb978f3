//! The models under `testdata/`, as `models.json` lists them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// One model.
#[derive(Debug, Deserialize)]
pub struct Fixture {
    /// Relative to `testdata/`.
    #[serde(rename = "path")]
    pub name: String,
    /// Sizes of dimensions of the inputs, where 2 does not do.
    pub dims: BTreeMap<String, usize>,
    /// What onnx's checker finds wrong with the model.
    pub checker: Option<String>,
    /// Why onnxruntime does not run it.
    pub onnxruntime: Option<String>,
    /// Why the reference implementation does not run it, or gives other results.
    pub reference: Option<String>,
}

impl Fixture {
    pub fn path(&self) -> PathBuf {
        path(&self.name)
    }
}

/// All models.
pub fn fixtures() -> Vec<Fixture> {
    let list = fs::read(path("models.json")).expect("models.json is there");
    serde_json::from_slice(&list).expect("models.json is as make_models.py writes it")
}

/// The path of a file under `testdata/`.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}
