//! onnxruntime's calibration cache: JSON with a range for each tensor.
//!
//! Written as `save_tensors_data` of onnxruntime 1.32 does, which is what `quantize_static` takes as
//! `calibration_cache_path`: a `TensorsData` with a `TensorData` by name, whose `lowest` and `highest`
//! are arrays without dimensions. Read also as `write_calibration_table` does it, with a plain dictionary
//! of `TensorData`, or of pairs, as before 1.17. Ranges of several channels become one that holds all.

use serde_json::{Map, Value, json};

use super::super::{Ranges, Statistics};
use crate::{
    config::CalibrationMethod,
    error::{Error, Result},
    numeric::Range,
};

pub(super) fn is_calibration(json: &Value) -> bool {
    let is_range = |value: &Value| value.get("CLS").is_some_and(|class| class == "TensorData") || pair(value).is_some();
    json.get("CLS").is_some_and(|class| class == "TensorsData")
        || json.as_object().is_some_and(|values| !values.is_empty() && values.values().all(is_range))
}

pub(super) fn parse(json: &Value) -> Result<Ranges> {
    let values = match json.get("CLS") {
        Some(class) if class == "TensorsData" => json.get("data"),
        _ => Some(json),
    };
    let values = values.and_then(Value::as_object);
    let values = values.ok_or_else(|| Error::invalid("a TensorsData of onnxruntime without data"))?;
    let mut ranges = Ranges::default();
    for (name, value) in values {
        let range = pair(value).or_else(|| {
            let end = |end| super::numbers(array(value.get(end)?));
            hull(&end("lowest")?, &end("highest")?)
        });
        let range = range.ok_or_else(|| {
            Error::invalid(format!(
                "value '{name}': onnxruntime's data has no finite lowest and highest, in this order"
            ))
        })?;
        ranges.values.insert(name.clone(), Statistics::of_range(range));
    }
    Ok(ranges)
}

pub(super) fn to_text(ranges: &[(&str, Range)], method: CalibrationMethod) -> Result<String> {
    let array = |end: f32| json!({"data": end, "dtype": "float32", "CLS": "numpy.array"});
    let of = |range: &Range| json!({"lowest": array(range.min), "highest": array(range.max), "CLS": "TensorData"});
    let data: Map<String, Value> = ranges.iter().map(|(name, range)| ((*name).to_owned(), of(range))).collect();
    // It refuses a cache of another method than it is asked for, and does not know all of ours.
    let method = match method {
        CalibrationMethod::Percentile(_) => "CalibrationMethod.Percentile",
        CalibrationMethod::Entropy => "CalibrationMethod.Entropy",
        CalibrationMethod::Auto
        | CalibrationMethod::MinMax
        | CalibrationMethod::MovingAverage
        | CalibrationMethod::Mse => "CalibrationMethod.MinMax",
    };
    super::pretty(&json!({
        "CLS": "TensorsData",
        "data": data,
        "calibration_method": {"CLS": "CalibrationMethod", "value": method},
        "smooth_quant": false,
    }))
}

/// What a numpy array holds; scalars come plain.
fn array(value: &Value) -> &Value {
    value.get("data").unwrap_or(value)
}

fn pair(value: &Value) -> Option<Range> {
    match value.as_array()?.as_slice() {
        [low, high] => hull(&super::numbers(array(low))?, &super::numbers(array(high))?),
        _ => None,
    }
}

/// From the smallest of the lower to the largest of the upper ends.
fn hull(low: &[f64], high: &[f64]) -> Option<Range> {
    let min = low.iter().copied().reduce(f64::min)? as f32;
    let max = high.iter().copied().reduce(f64::max)? as f32;
    (min <= max && min.is_finite() && max.is_finite()).then_some(Range { min, max })
}
