//! Ranges as files: this tool's own, and those of others.
//!
//! | format | holds | precision of what comes back |
//! |---|---|---|
//! | `json` | all statistics | exact |
//! | `onnxruntime` | a range | exact |
//! | `tensorrt` | the scale of symmetric 8-bit integers | the larger end, to a rounding |
//! | `aimet` | scale and offset | half a step |
//!
//! A file tells its format by its content, whatever its name. Of foreign files only ranges are taken,
//! which then are those of every method. Reading never panics, whatever the bytes.

mod aimet;
mod onnxruntime;
mod own;
mod tensorrt;

use std::{fmt, fs, path::Path, str::FromStr};

use super::Ranges;
use crate::{
    config::CalibrationMethod,
    error::{Error, ErrorKind, Result},
    file::{LFS_POINTER, OutputFile, is_lfs_pointer},
    numeric::{Range, Scheme},
};

/// The format of a file of ranges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RangeFormat {
    /// All that was observed: what can be merged, and what every method can use.
    #[default]
    Json,
    /// onnxruntime's calibration cache, as `quantize_static` takes it.
    Onnxruntime,
    /// TensorRT's calibration cache.
    Tensorrt,
    /// AIMET's encodings, version 1.0.0.
    Aimet,
}

impl RangeFormat {
    /// Every format by its name on the command line.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("json", Self::Json),
        ("onnxruntime", Self::Onnxruntime),
        ("tensorrt", Self::Tensorrt),
        ("aimet", Self::Aimet),
    ];
}

impl FromStr for RangeFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, format)| *format);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::NAMES.iter().map(|(name, _)| *name).collect();
            Error::config(format!("'{text}' is none of {}", names.join(", ")))
        })
    }
}

impl fmt::Display for RangeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMES.iter().find(|(_, format)| format == self).map_or("?", |(name, _)| *name))
    }
}

/// Reads a file of ranges in any of the formats.
///
/// # Errors
/// The file cannot be read, is in none of the formats, or breaks the rules of its own.
pub fn read(path: impl AsRef<Path>) -> Result<Ranges> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|error| Error::from(ErrorKind::Read(error)).in_file(path))?;
    parse(&bytes).map_err(|error| error.in_file(path))
}

/// Writes ranges to a file: completely, or not at all. In the formats that hold a range only, it is that
/// of `method` for values that are quantized like `scheme`, and values that have none are left out.
///
/// # Errors
/// The file cannot be written; the method needs what was not observed; the format cannot hold a name.
///
/// ```
/// use onnx_quant::{
///     CalibrationMethod,
///     calibration::{Collect, Ranges, Statistics, range_files::{self, RangeFormat}},
///     numeric::{QuantizedType, ScaleType, Scheme},
/// };
///
/// let mut observed = Statistics::new(Collect { histogram: true });
/// observed.observe(&[-0.5, 0.0, 2.0]);
/// let ranges = Ranges::from_iter([("conv/out".to_owned(), observed)]);
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("ranges.json");
/// let scheme = Scheme { ty: QuantizedType::UInt8, symmetric: false, scale: ScaleType::default() };
/// range_files::write(&path, &ranges, RangeFormat::Json, CalibrationMethod::MinMax, scheme)?;
/// assert_eq!(range_files::read(&path)?, ranges);
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn write(
    path: impl AsRef<Path>,
    ranges: &Ranges,
    format: RangeFormat,
    method: CalibrationMethod,
    scheme: Scheme,
) -> Result<()> {
    let path = path.as_ref();
    let text = to_text(ranges, format, method, scheme).map_err(|error| error.in_file(path))?;
    OutputFile::at(path)?.write(text.as_bytes())
}

/// What [`write`](fn@write) writes: the text of a file of ranges.
///
/// # Errors
/// As [`write`](fn@write), but for the file.
pub fn to_text(ranges: &Ranges, format: RangeFormat, method: CalibrationMethod, scheme: Scheme) -> Result<String> {
    if format == RangeFormat::Json {
        return own::to_text(ranges);
    }
    ranges.check(method)?;
    let found = ranges.values.iter().filter_map(|(name, statistics)| {
        let range = statistics.range(method, scheme)?;
        Some((name.as_str(), range))
    });
    let found: Vec<(&str, Range)> = found.collect();
    match format {
        RangeFormat::Json => own::to_text(ranges),
        RangeFormat::Onnxruntime => onnxruntime::to_text(&found, method),
        RangeFormat::Tensorrt => tensorrt::to_text(&found),
        RangeFormat::Aimet => aimet::to_text(&found, scheme),
    }
}

/// What [`read`] reads: ranges of the bytes of a file in any of the formats.
///
/// # Errors
/// The bytes are in none of the formats, or break the rules of their own.
pub fn parse(bytes: &[u8]) -> Result<Ranges> {
    if is_lfs_pointer(bytes) {
        return Err(Error::invalid(LFS_POINTER));
    }
    if bytes.starts_with(b"TRT-") {
        return tensorrt::parse(bytes);
    }
    let json: serde_json::Value = serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid(format!("neither a TensorRT calibration cache nor JSON: {error}")))?;
    if own::is_own(&json) {
        // Once more: on the way through a value of JSON, an f32 would be rounded twice.
        own::parse(bytes)
    } else if aimet::is_encodings(&json) {
        aimet::parse(&json)
    } else if onnxruntime::is_calibration(&json) {
        onnxruntime::parse(&json)
    } else {
        Err(Error::invalid(
            "JSON, but none of this tool's ranges, onnxruntime's calibration cache or AIMET's encodings; \
             is it the right file?",
        ))
    }
}

/// The numbers of a JSON value: itself, or those in arrays of any depth. `None` if there is anything
/// else.
fn numbers(json: &serde_json::Value) -> Option<Vec<f64>> {
    match json {
        serde_json::Value::Array(items) => items.iter().map(numbers).collect::<Option<Vec<_>>>().map(|n| n.concat()),
        json => json.as_f64().map(|number| vec![number]),
    }
}

/// JSON with a line break at its end.
fn pretty(json: &serde_json::Value) -> Result<String> {
    let mut text = serde_json::to_string_pretty(json).map_err(|error| Error::invalid(error.to_string()))?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests;
