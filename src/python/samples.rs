//! Samples as Python gives them: a path, or something that is asked for one after the other.

use std::path::PathBuf;

use onnx_quant::{
    Error, ErrorKind, Model, Result,
    calibration::{Sample, Samples, samples::InMemory},
    ir::{DataType, Tensor},
};
use pyo3::{FromPyObject, Py, PyAny, pybacked::PyBackedBytes};

use super::work::Interpreter;

/// Where samples come from.
#[derive(FromPyObject)]
pub enum Source {
    Path(PathBuf),
    /// The object that `onnx_quant._samples` makes of anything else.
    Reader {
        /// Gives the next sample as a list of arrays, or None.
        pull: Py<PyAny>,
        /// What it is, for messages.
        origin: String,
        /// How many there are, where that is known.
        total: Option<usize>,
    },
}

/// An array as `onnx_quant._samples` gives it: name, numpy's name of the type, shape, and elements in row-major and
/// little-endian order.
pub type Array = (String, String, Vec<usize>, PyBackedBytes);

/// Samples one at a time, and how many there are, where that is known.
pub struct Opened<'a> {
    pub samples: Box<dyn Iterator<Item = Result<Sample>> + 'a>,
    pub total: Option<usize>,
}

impl Source {
    /// What is to be called for samples.
    pub fn pull(&self, py: pyo3::Python<'_>) -> Option<Py<PyAny>> {
        match self {
            Self::Path(_) => None,
            Self::Reader { pull, .. } => Some(pull.clone_ref(py)),
        }
    }

    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Reader { .. } => None,
        }
    }

    /// The samples, at most `limit` of them; a reader is asked for no more than these.
    pub fn open<'a>(&'a self, model: &Model, limit: Option<usize>, interpreter: &'a Interpreter) -> Result<Opened<'a>> {
        Ok(match self {
            Self::Path(path) => {
                let samples = Samples::open(path, model, limit)?;
                let total = Some(samples.len());
                Opened { samples: Box::new(samples.map(|sample| interpreter.go_on().and(sample))), total }
            }
            Self::Reader { origin, total, .. } => {
                let pulled = std::iter::from_fn(|| interpreter.sample().map(|arrays| sample(origin, arrays?)));
                let most = limit.unwrap_or(usize::MAX);
                let total = total.map(|total| total.min(most)).or(limit);
                Opened { samples: Box::new(InMemory::new(model, pulled.take(most))?), total }
            }
        })
    }
}

fn sample(origin: &str, arrays: Vec<Array>) -> Result<Sample> {
    let tensor = |(name, dtype, shape, elements): Array| {
        let known = data_type(&dtype).ok_or_else(|| {
            let reason = format!("input '{name}' is of numpy's type {dtype}, which no model takes");
            Error::from(ErrorKind::Sample(reason))
        })?;
        Tensor::from_bytes(&name, known, &shape, elements.to_vec())
    };
    Ok(Sample::new(origin, arrays.into_iter().map(tensor).collect::<Result<_>>()?))
}

/// The type that numpy, or ml_dtypes, has by this name.
fn data_type(name: &str) -> Option<DataType> {
    Some(match name {
        "float32" => DataType::Float,
        "float64" => DataType::Double,
        "float16" => DataType::Float16,
        "bfloat16" => DataType::Bfloat16,
        "int8" => DataType::Int8,
        "int16" => DataType::Int16,
        "int32" => DataType::Int32,
        "int64" => DataType::Int64,
        "uint8" => DataType::Uint8,
        "uint16" => DataType::Uint16,
        "uint32" => DataType::Uint32,
        "uint64" => DataType::Uint64,
        "bool" => DataType::Bool,
        _ => return None,
    })
}
