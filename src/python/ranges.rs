//! What was observed of activations, as an object of Python's.

use std::path::PathBuf;

use onnx_quant::{
    CalibrationMethod, Config, OutputFile,
    calibration::{Statistics, range_files},
    numeric::Range,
    plan::activation_scheme,
};
use pyo3::{Bound, Py, PyResult, Python, pyclass, pymethods, types::PyBytes};

use super::errors::{Fault, option_error};

/// What was observed of a model's activations: statistics by the name of the value.
///
/// Ranges of several runs are merged, in any order of the machines that made them, and written to files. What merging
/// makes of ranges with histograms is, bit by bit, what one run over all samples would have given, but that moving
/// averages may be rounded otherwise.
#[pyclass(frozen, module = "onnx_quant", eq)]
#[derive(Clone, PartialEq)]
pub struct Ranges(pub onnx_quant::calibration::Ranges);

#[pymethods]
impl Ranges {
    /// Ranges that somebody else determined, as {name: (min, max)}.
    #[new]
    #[pyo3(signature = (ranges = None, /))]
    fn new(ranges: Option<std::collections::HashMap<String, (f32, f32)>>) -> PyResult<Self> {
        let given = ranges.unwrap_or_default().into_iter().map(|(name, (min, max))| {
            if !(min.is_finite() && max.is_finite() && min <= max) {
                return Err(option_error("config", &format!("the range of '{name}' is none: {min} to {max}")));
            }
            Ok((name, Statistics::of_range(Range { min, max })))
        });
        Ok(Self(given.collect::<PyResult<_>>()?))
    }

    /// Reads a file of ranges: this tool's own, or one of onnxruntime, TensorRT or AIMET.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let ranges = py.detach(|| range_files::read(path)).map_err(Fault::from)?;
        Ok(Self(ranges))
    }

    /// The ranges that `to_bytes` or a file holds.
    #[staticmethod]
    fn from_bytes(data: &[u8]) -> PyResult<Self> {
        Ok(Self(range_files::parse(data).map_err(Fault::from)?))
    }

    /// All that was observed, as the bytes of a file.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.text("json", "auto")?.as_bytes()))
    }

    /// Writes a file. `format` is "json" (all that was observed), "onnxruntime", "tensorrt" or "aimet"; these hold only the
    /// range that the method `calibration` makes of it.
    #[pyo3(signature = (path, format = "json", calibration = "auto"))]
    fn save(&self, path: PathBuf, format: &str, calibration: &str) -> PyResult<()> {
        let text = self.text(format, calibration)?;
        let written = OutputFile::at(path).and_then(|output| output.write(text.as_bytes()));
        Ok(written.map_err(Fault::from)?)
    }

    /// These ranges with others added, which were observed later; neither is changed. `a | b` is the same.
    fn merge(&self, later: &Self) -> Self {
        let mut merged = self.0.clone();
        merged.merge(&later.0);
        Self(merged)
    }

    fn __or__(&self, later: &Self) -> Self {
        self.merge(later)
    }

    /// The smallest and the largest value of each that has any: {name: (min, max)}.
    fn to_dict(&self) -> std::collections::BTreeMap<String, (f32, f32)> {
        let values = self.0.values.iter();
        let ranges = values.filter_map(|(name, statistics)| {
            let range = statistics.extremes()?;
            Some((name.clone(), (range.min, range.max)))
        });
        ranges.collect()
    }

    /// How many samples were observed: the most of any value.
    #[getter]
    fn samples(&self) -> u64 {
        self.0.values.values().map(Statistics::runs).max().unwrap_or(0)
    }

    fn __len__(&self) -> usize {
        self.0.values.len()
    }

    fn __contains__(&self, name: &str) -> bool {
        self.0.values.contains_key(name)
    }

    fn __repr__(&self) -> String {
        format!("<Ranges of {} values, {} samples>", self.0.values.len(), self.samples())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, pyo3::PyAny>, (Bound<'py, PyBytes>,))> {
        use pyo3::types::PyAnyMethods;
        Ok((slf.getattr("from_bytes")?, (slf.get().to_bytes(slf.py())?,)))
    }
}

impl Ranges {
    fn text(&self, format: &str, calibration: &str) -> PyResult<String> {
        let text = (|| {
            let method: CalibrationMethod = calibration.parse()?;
            let config = Config::default();
            range_files::to_text(&self.0, format.parse()?, method, activation_scheme(&config))
        })();
        Ok(text.map_err(Fault::from)?)
    }
}

/// All of several, in their order; `None` of none.
pub fn merged(py: Python<'_>, ranges: &[Py<Ranges>]) -> Option<onnx_quant::calibration::Ranges> {
    let mut ranges = ranges.iter().map(|ranges| &ranges.bind(py).get().0);
    let mut merged = ranges.next()?.clone();
    ranges.for_each(|later| merged.merge(later));
    Some(merged)
}
