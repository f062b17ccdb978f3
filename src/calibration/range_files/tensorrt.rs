//! TensorRT's calibration cache: a scale for each tensor.
//!
//! A text with the calibrator in its first line and a line for each tensor, `name: 3c010a14`: the bits of
//! the `f32` scale of symmetric 8-bit integers, in hexadecimal, highest digit first. The range is from
//! -127 to 127 times that; which end was the nearer one cannot be told from the file.

use std::fmt::Write;

use super::super::{Ranges, Statistics};
use crate::{
    error::{Error, ErrorKind, Result},
    numeric::{QuantizedType, Range, ScaleType, Scheme},
};

/// What is written; read is whatever begins with `TRT-`. TensorRT takes a cache of another version with
/// a warning, of another calibrator not at all; this calibrator is the one it recommends.
const HEADER: &str = "TRT-8601-EntropyCalibration2";

/// The largest integer.
const LARGEST: f64 = 127.0;

pub(super) fn parse(bytes: &[u8]) -> Result<Ranges> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::invalid(format!("a TensorRT calibration cache that is no UTF-8: {error}")))?;
    let mut ranges = Ranges::default();
    for (number, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |reason: &str| {
            Error::invalid(format!("line {} of the TensorRT calibration cache, '{line}': {reason}", number + 1))
        };
        let (name, hex) = line.rsplit_once(": ").ok_or_else(|| wrong("not a name, a colon, a space and a number"))?;
        let hex = hex.trim_end();
        let bits = u32::from_str_radix(hex, 16).ok().filter(|_| hex.len() <= 8 && !hex.starts_with('+'));
        let scale = f32::from_bits(bits.ok_or_else(|| wrong("the number is not one of 32 bits in hexadecimal"))?);
        let reach = (f64::from(scale) * LARGEST) as f32;
        if !(reach.is_finite() && reach >= 0.0) {
            return Err(wrong(&format!("{scale} is no scale")));
        }
        let statistics = Statistics::of_range(Range { min: -reach, max: reach });
        if ranges.values.insert(name.to_owned(), statistics).is_some() {
            return Err(wrong("the name comes a second time"));
        }
    }
    Ok(ranges)
}

pub(super) fn to_text(ranges: &[(&str, Range)]) -> Result<String> {
    let scheme = Scheme { ty: QuantizedType::Int8, symmetric: true, scale: ScaleType::default() };
    let mut text = format!("{HEADER}\n");
    for (name, range) in ranges {
        if name.contains(['\n', '\r']) {
            let message = format!("a TensorRT calibration cache cannot hold the name '{name}': it has a line break");
            return Err(ErrorKind::Output(message).into());
        }
        let _ = writeln!(text, "{name}: {:08x}", scheme.parameters(*range).scale.to_bits());
    }
    Ok(text)
}
