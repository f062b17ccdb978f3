//! This tool's own format: JSON, with all that was observed.
//!
//! ```json
//! {
//!   "format": "onnx-quant ranges",
//!   "version": 1,
//!   "tool": "onnx-quant 0.1.0",
//!   "samples": 2,
//!   "values": {
//!     "conv/out": {"min":-0.5,"max":2.0,"runs":2,"elements":6,"nan":0,"infinite":0,
//!       "average":{"factor":0.9801,"min":{"first":-0.5,"offset":-0.00995},"max":{"first":2.0,"offset":0.0398}},
//!       "power":{"runs":2,"log2":-524288},
//!       "histogram":[[-8064,1],[0,3],[8192,2]]}
//!   }
//! }
//! ```
//!
//! A value takes one line, and values are in the order of their names. `min` and `max` are those of the
//! finite elements, and absent if there are none. `average` is the moving average as a function of where
//! it was before the first sample: `factor * before + offset`, with `first` for `before` if nothing was.
//! `power` is the sum over samples of the binary logarithm of their mean square, in units of 2^-20, and
//! how many samples there were that are not zero throughout.
//! `histogram` has pairs of bin and count, in order; bin `n > 0` holds the values whose bits as `f32`,
//! shifted right by 17, are `n`, bin `-n` their negatives, bin 0 what is smaller. `given` is there, and
//! true, if the range is somebody else's. `samples` is for the reader: the most often that any value was
//! observed. Numbers come back as they were, bit by bit.

use std::{collections::BTreeMap, fmt::Write};

use serde::Deserialize;
use serde_json::Value;

use super::super::{Ranges, Statistics, statistics::Stored};
use crate::error::{Error, Result};

const FORMAT: &str = "onnx-quant ranges";
const VERSION: u64 = 1;

#[derive(Deserialize)]
struct File {
    samples: Option<u64>,
    values: BTreeMap<String, Stored>,
}

pub(super) fn is_own(json: &Value) -> bool {
    json.get("format").is_some_and(|format| format == FORMAT)
}

pub(super) fn parse(bytes: &[u8]) -> Result<Ranges> {
    #[derive(Deserialize)]
    struct Header {
        version: u64,
    }
    let wrong = |error: serde_json::Error| Error::invalid(format!("not as the ranges of this tool are: {error}"));
    let Header { version } = serde_json::from_slice(bytes).map_err(wrong)?;
    if version != VERSION {
        return Err(Error::invalid(format!(
            "ranges in version {version} of their format; this tool knows version {VERSION}: use the one that wrote it"
        )));
    }
    let file: File = serde_json::from_slice(bytes).map_err(wrong)?;
    let values = file.values.into_iter().map(|(name, stored)| match Statistics::try_from(stored) {
        Ok(statistics) => Ok((name, statistics)),
        Err(reason) => Err(Error::invalid(format!("value '{name}': {reason}"))),
    });
    let ranges = Ranges { values: values.collect::<Result<_>>()? };
    match file.samples {
        Some(samples) if samples != samples_of(&ranges) => Err(Error::invalid(format!(
            "samples is {samples}, but the values were observed in {}; was the file changed?",
            samples_of(&ranges)
        ))),
        _ => Ok(ranges),
    }
}

/// The most often that any value was observed.
fn samples_of(ranges: &Ranges) -> u64 {
    ranges.values.values().map(Statistics::runs).max().unwrap_or(0)
}

pub(super) fn to_text(ranges: &Ranges) -> Result<String> {
    let samples = samples_of(ranges);
    let tool = concat!("onnx-quant ", env!("CARGO_PKG_VERSION"));
    let mut text = format!(
        "{{\n  \"format\": \"{FORMAT}\",\n  \"version\": {VERSION},\n  \"tool\": \"{tool}\",\n  \"samples\": {samples},\n  \
         \"values\": {{"
    );
    let mut separator = "\n";
    for (name, statistics) in &ranges.values {
        let name = Value::from(name.as_str());
        let value =
            serde_json::to_string(&Stored::from(statistics)).map_err(|error| Error::invalid(error.to_string()))?;
        let _ = write!(text, "{separator}    {name}: {value}");
        separator = ",\n";
    }
    text.push_str("\n  }\n}\n");
    Ok(text)
}
