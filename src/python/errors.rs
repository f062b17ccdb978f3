//! Errors as Python's exceptions, with what the library knows of them as attributes.

use std::error::Error as StdError;

use onnx_quant::{Error, ErrorKind};
use pyo3::{PyErr, Python, types::PyAnyMethods};

use super::cli::Failure;

/// Where the exceptions are defined, in Python.
const MODULE: &str = "onnx_quant._errors";

/// Why a call fails: as the library says, or by an exception of Python's own.
pub enum Fault {
    Library(Error),
    Command(Failure),
    Python(PyErr),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Failed(error) => match error.downcast::<Error>() {
                Ok(error) => Self::Library(*error),
                Err(error) => Self::Command(Failure::Failed(error)),
            },
            failure => Self::Command(failure),
        }
    }
}

impl From<PyErr> for Fault {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Python(error) => error,
            Fault::Library(error) => {
                let location = error.location();
                let file = location.file.as_ref().map(|file| file.display().to_string());
                let place: Vec<String> = location.path.iter().chain(&location.operator).cloned().collect();
                let operator = (!place.is_empty()).then(|| place.join(": "));
                let finding = match error.kind() {
                    ErrorKind::Denied { code, .. } => Some(code.name()),
                    _ => None,
                };
                exception(error.kind().code(), &with_causes(&error), file, operator, finding)
            }
            Fault::Command(Failure::Failed(error)) => exception("failed", &with_causes(&*error), None, None, None),
            Fault::Command(Failure::Usage(message)) => exception("config", &message, None, None, None),
            Fault::Command(Failure::BrokenPipe) => exception("write", "the reader went away", None, None, None),
        }
    }
}

/// An option that is none, or whose value is none of it.
pub fn option_error(code: &str, message: &str) -> PyErr {
    exception(code, message, None, None, None)
}

fn exception(
    code: &str,
    message: &str,
    file: Option<String>,
    operator: Option<String>,
    finding: Option<&str>,
) -> PyErr {
    Python::attach(|py| {
        let made = py
            .import(MODULE)
            .and_then(|module| module.getattr("from_native"))
            .and_then(|make| make.call1((code, message, file, operator, finding)));
        made.map_or_else(|error| error, PyErr::from_value)
    })
}

/// An error in one line, with what lies beneath it.
fn with_causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
