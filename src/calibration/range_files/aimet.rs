//! AIMET's encodings: JSON with scale and offset of each tensor.
//!
//! Its "Encoding Format Specification" has these versions, all of which are read: 0.6.1, with lists of
//! encodings by name, and `min` and `max`; 1.0.0, with a list that holds the names; 2.0.0 and 2.1.0, one
//! list of weights and activations with the fields of ONNX's QuantizeLinear. Written is 1.0.0, which what
//! reads the newer ones reads too. Real numbers are `(q + offset) * scale` with `q` from 0, so `offset` is
//! the negative of an unsigned zero point.
//!
//! Read are the activations: of the old versions not `param_encodings`, of the new ones what has a scale
//! of numbers. Encodings of channels become one range that holds all. Floats, which have no scale, are
//! left out.

use serde_json::{Value, json};

use super::super::{Ranges, Statistics};
use crate::{
    error::{Error, ErrorKind, Result},
    numeric::{Range, Scheme},
};

pub(super) fn is_encodings(json: &Value) -> bool {
    json.get("activation_encodings").is_some() || json.get("encodings").is_some_and(Value::is_array)
}

pub(super) fn parse(json: &Value) -> Result<Ranges> {
    let mut ranges = Ranges::default();
    let encodings = json.get("activation_encodings").or_else(|| json.get("encodings"));
    match encodings {
        Some(Value::Object(by_name)) => {
            for (name, encodings) in by_name {
                let encodings = encodings.as_array().ok_or_else(|| wrong(name, "no list of encodings"))?;
                for encoding in encodings {
                    add(&mut ranges, name, encoding)?;
                }
            }
        }
        Some(Value::Array(encodings)) => {
            for encoding in encodings {
                let name = encoding.get("name").and_then(Value::as_str);
                let name = name.ok_or_else(|| Error::invalid("an encoding of AIMET without a name"))?;
                add(&mut ranges, name, encoding)?;
            }
        }
        _ => return Err(Error::invalid("encodings of AIMET that are neither a list nor by name")),
    }
    Ok(ranges)
}

fn add(ranges: &mut Ranges, name: &str, encoding: &Value) -> Result<()> {
    for range in encoded(encoding).map_err(|reason| wrong(name, reason))? {
        if !(range.min.is_finite() && range.max.is_finite() && range.min <= range.max) {
            return Err(wrong(name, "its range is not finite, or its ends are exchanged"));
        }
        let statistics = Statistics::of_range(range);
        match ranges.values.get_mut(name) {
            Some(other) => other.merge(&statistics),
            None => {
                ranges.values.insert(name.to_owned(), statistics);
            }
        }
    }
    Ok(())
}

fn wrong(name: &str, reason: &str) -> Error {
    Error::invalid(format!("AIMET's encoding of '{name}': {reason}"))
}

/// The ranges that an encoding gives: none if it is of floats, several if it is of channels.
fn encoded(encoding: &Value) -> Result<Vec<Range>, &'static str> {
    if let Some(scale) = encoding.get("y_scale") {
        return like_quantize_linear(encoding, scale);
    }
    if encoding.get("dtype").and_then(Value::as_str).is_some_and(|dtype| dtype.eq_ignore_ascii_case("float"))
        || encoding.get("per_block_int_scale").is_some()
    {
        return Ok(Vec::new());
    }
    let symmetric = match encoding.get("is_sym").or_else(|| encoding.get("is_symmetric")) {
        Some(Value::Bool(symmetric)) => *symmetric,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    };
    let number = |field: &str| encoding.get(field).and_then(Value::as_f64);
    if let (Some(min), Some(max)) = (number("min"), number("max")) {
        return Ok(vec![range(min, max, symmetric)]);
    }
    let list = |field| encoding.get(field).and_then(super::numbers);
    let scales = list("scale").ok_or("no numbers as scale")?;
    let offsets = list("offset").ok_or("no numbers as offset")?;
    let bits = encoding.get("bw").or_else(|| encoding.get("bitwidth")).and_then(Value::as_u64);
    let bits = bits.filter(|bits| (2..=32).contains(bits)).ok_or("no width from 2 to 32 bits")?;
    let largest = ((1u64 << bits) - 1) as f64;
    if scales.len() != offsets.len() {
        return Err("not as many offsets as scales");
    }
    let ranges = scales.iter().zip(offsets);
    Ok(ranges.map(|(scale, offset)| range(offset * scale, (largest + offset) * scale, symmetric)).collect())
}

/// Version 2.0.0: the fields are inputs and attributes of QuantizeLinear.
fn like_quantize_linear(encoding: &Value, scale: &Value) -> Result<Vec<Range>, &'static str> {
    let ty = encoding.get("output_dtype").and_then(Value::as_str).ok_or("no output_dtype")?;
    if ty.starts_with("float") || scale.is_object() {
        return Ok(Vec::new());
    }
    let (signed, bits) = match ty.strip_prefix("uint") {
        Some(bits) => (false, bits),
        None => (true, ty.strip_prefix("int").ok_or("an unknown output_dtype")?),
    };
    let bits: u32 = bits.parse().ok().filter(|bits| (2..=32).contains(bits)).ok_or("an unknown output_dtype")?;
    let span = ((1u64 << bits) - 1) as f64;
    let lowest = if signed { -((1u64 << (bits - 1)) as f64) } else { 0.0 };
    let middle = if signed { 0.0 } else { (1u64 << (bits - 1)) as f64 };
    let scales = super::numbers(scale).ok_or("no numbers as y_scale")?;
    let zero_points = match encoding.get("y_zero_point") {
        None | Some(Value::Null) => vec![0.0; scales.len()],
        Some(zero_points) => super::numbers(zero_points).ok_or("no numbers as y_zero_point")?,
    };
    if scales.len() != zero_points.len() {
        return Err("not as many zero points as scales");
    }
    let ranges = scales.iter().zip(zero_points).map(|(scale, zero_point)| {
        let min = lowest - zero_point;
        range(min * scale, (min + span) * scale, zero_point == middle)
    });
    Ok(ranges.collect())
}

/// Symmetric integers reach one step further below zero than above, which [`Scheme`] leaves out.
fn range(min: f64, max: f64, symmetric: bool) -> Range {
    let min = if symmetric { min.max(-max) } else { min };
    Range { min: min as f32, max: max as f32 }
}

pub(super) fn to_text(ranges: &[(&str, Range)], scheme: Scheme) -> Result<String> {
    if scheme.ty.is_float() {
        let message = "AIMET's encodings hold integers only here; choose an integer type for activations";
        return Err(ErrorKind::Output(message.to_owned()).into());
    }
    let encodings = ranges.iter().map(|(name, range)| {
        let params = scheme.parameters(*range);
        json!({
            "name": name,
            "enc_type": "PER_TENSOR",
            "dtype": "INT",
            "bw": scheme.ty.bits(),
            "is_sym": scheme.is_symmetric(),
            "scale": [params.scale],
            "offset": [scheme.ty.limits().0 - params.zero_point],
        })
    });
    super::pretty(&json!({
        "version": "1.0.0",
        "activation_encodings": encodings.collect::<Vec<_>>(),
        "param_encodings": [],
        "excluded_layers": [],
    }))
}
