//! Scale and zero point of every value that is to be quantized.

use std::collections::HashMap;

use super::{
    Readers, ValuePlan,
    draft::{Draft, QuantizedValue, Refused},
};
use crate::{
    calibration::Ranges,
    config::Config,
    ir::{Model, ValueId},
    numeric::{QuantParams, Range, Scheme},
    operators::{Interval, interval_that_matters, output_interval},
};

/// Parameters for all values, or those values that have none.
pub(super) fn assign(
    model: &Model,
    config: &Config,
    draft: &Draft,
    ranges: &Ranges,
    scheme: Scheme,
) -> Result<Vec<ValuePlan>, Vec<Refused>> {
    let values = draft.quantized();
    let moved_from: HashMap<ValueId, ValueId> =
        values.iter().filter_map(|value| Some((value.value, value.moved_from?))).collect();
    let mut refused = Vec::new();
    let mut own: HashMap<ValueId, QuantParams> = HashMap::new();
    for value in values.iter().filter(|value| value.moved_from.is_none()) {
        match params(model, config, value, ranges, scheme) {
            Ok(params) => drop(own.insert(value.value, params)),
            Err(why) => refused.push(Refused { value: value.value, why }),
        }
    }
    if !refused.is_empty() {
        return Err(refused);
    }
    let origin = |mut value: ValueId| {
        while let Some(&from) = moved_from.get(&value) {
            value = from;
        }
        value
    };
    let plan = |value: &QuantizedValue| {
        let parameters_of = origin(value.value);
        Some(ValuePlan {
            value: value.value,
            name: model.value(value.value).name().to_owned(),
            scheme,
            params: *own.get(&parameters_of)?,
            parameters_of,
            readers: value.readers.clone(),
        })
    };
    Ok(values.iter().filter_map(plan).collect())
}

fn params(
    model: &Model,
    config: &Config,
    value: &QuantizedValue,
    ranges: &Ranges,
    scheme: Scheme,
) -> Result<QuantParams, &'static str> {
    let statistics = ranges.of(model, value.value).ok_or("was not observed")?;
    let range = statistics.range(config.activations.method, scheme).ok_or("has no finite values")?;
    let defined = model.producer(value.value).and_then(|op| output_interval(model, op)).unwrap_or(Interval::ALL);
    // What only some read quantized is not clipped for the others' sake.
    let matters = match value.readers {
        Readers::All => interval_that_matters(model, value.value),
        Readers::Some(_) => Interval::ALL,
    };
    let within = [value.bounds, defined, matters]
        .into_iter()
        .fold(range, |range, limit| Range { min: range.min.max(limit.min), max: range.max.min(limit.max) });
    Ok(scheme.parameters(within))
}
