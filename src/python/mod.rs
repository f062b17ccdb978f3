//! The module for Python, `onnx_quant._native`: what `onnx_quant` beside it, in Python, is written in terms of.
//!
//! Here arguments become what the library takes, and results plain data again (JSON), so that each side has what it is
//! good at: options, defaults and errors are those of the command, and signatures, documentation and what is shown of
//! results are Python's. The interpreter is free while the library works ([`work`]).

mod errors;
mod functions;
mod models;
mod observed;
mod options;
mod ranges;
mod samples;
mod work;

// The command is in the module too, as `onnx-quant` calls it.
#[path = "../cli/mod.rs"]
mod cli;

/// The native part of onnx_quant; use `onnx_quant` instead.
#[pyo3::pymodule(name = "_native")]
mod native {
    #[pymodule_export]
    use super::{
        functions::{
            Comparison, calibrate, compare, explain, inspect, option_names, parse_text, quantize, run_command,
            simplify, to_text, upgrade, version,
        },
        observed::sensitivity,
        ranges::Ranges,
    };

    #[pymodule_init]
    fn begin(_module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        super::cli::silence_engines();
        Ok(())
    }
}
