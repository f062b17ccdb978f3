//! Models as Python gives and takes them: files, or bytes.

use std::path::{Path, PathBuf};

use onnx_quant::{Error, Model, SaveOptions};
use pyo3::{FromPyObject, pybacked::PyBackedBytes};

use super::{cli::outputs::Paths, errors::Fault};

/// Where a model comes from.
#[derive(FromPyObject)]
pub enum Source {
    Bytes(PyBackedBytes),
    Path(PathBuf),
}

/// What a model that was made becomes.
pub enum Output {
    Written,
    Bytes(Vec<u8>),
}

impl Source {
    pub fn load(&self) -> Result<Model, Error> {
        match self {
            Self::Path(path) => Model::load(path),
            Self::Bytes(bytes) => Model::from_bytes(bytes.to_vec()),
        }
    }

    /// Says of which model it was said, where that has a name.
    pub fn name(&self, error: Error) -> Error {
        match self.path() {
            Some(path) => error.in_file(path),
            None => error,
        }
    }

    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Bytes(_) => None,
        }
    }
}

/// Checks, before the work, that nothing is written over what is read.
pub fn check_output(
    model: &Model,
    source: &Source,
    samples: Option<&Path>,
    out: Option<&Path>,
    options: &SaveOptions,
) -> Result<(), Fault> {
    let Some(out) = out else { return Ok(()) };
    let mut paths = Paths::default();
    if let Some(path) = source.path() {
        paths.read_model(model, path);
    }
    if let Some(samples) = samples {
        paths.read("the samples", samples);
    }
    paths.write_model(out);
    paths.check()?;
    Ok(model.check_save(out, options)?)
}

/// Writes a model to a file, or to bytes where none is named.
pub fn output(model: &Model, out: Option<&Path>, options: &SaveOptions) -> Result<Output, Error> {
    Ok(match out {
        Some(out) => {
            model.save(out, options)?;
            Output::Written
        }
        None => Output::Bytes(model.to_bytes()),
    })
}
