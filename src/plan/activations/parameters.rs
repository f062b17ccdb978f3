//! Scale and zero point of every value that is to be quantized.

use std::collections::HashMap;

use rayon::prelude::*;

use super::{
    FloatCause, Readers, ValuePlan, existing_qdq,
    region::{IntegerRegion, QuantizedValue, Refused},
    scheme_of,
};
use crate::{
    calibration::Statistics,
    config::{CalibrationMethod, Config},
    ir::{Model, ValueId},
    numeric::{QuantParams, Range, ScaleType, Scheme},
    operators::{Interval, interval_that_matters, output_interval},
    targets::{Role, Target},
};

/// What a typical sample must be above the noise of its quantization, in decibels: four bits. Measured
/// on models of speech, text and images: what stands below it is loud in some samples and quiet in
/// others, like a recording, and costs accuracy; all else is above by several decibels.
pub(in crate::plan) const LEAST_SIGNAL_TO_NOISE: f64 = 24.0;

/// What is at least so large is no number but a mask: models that mask write -10^4 and less.
const MASK: f32 = 1e4;

/// What was observed of values.
pub(super) type Observed<'a> = HashMap<ValueId, &'a Statistics>;

/// Values whose range is made by a method of their own.
pub(super) type Chosen = HashMap<ValueId, CalibrationMethod>;

/// What was found for values so far, by whether all that read them read integers, and by the method: it does not change
/// when layers are taken back, and searching for ranges takes most of the time.
pub(super) type Known = HashMap<(ValueId, bool, String), Result<QuantParams, FloatCause>>;

/// Parameters for all values, or those values that have none.
pub(super) fn assign(
    model: &Model,
    config: &Config,
    region: &IntegerRegion,
    observed: (&Observed, &Chosen),
    known: &mut Known,
) -> Result<Vec<ValuePlan>, Vec<Refused>> {
    let mut values = region.quantized();
    let scheme = |value: ValueId| scheme_of(config, model.value(value).name());
    // What has another type than the value it is moved from has parameters of its own.
    for value in values.iter_mut().filter(|_| !config.tensor_types.is_empty()) {
        value.moved_from = value.moved_from.filter(|&from| scheme(from) == scheme(value.value));
    }
    let values = values;
    let moved_from: HashMap<ValueId, ValueId> =
        values.iter().filter_map(|value| Some((value.value, value.moved_from?))).collect();
    // Moved from what is quantized already, a value has its parameters.
    let origins = moved_from.values().filter_map(|&from| given(model, from).map(|given| (from, given)));
    let mut refused = Vec::new();
    let mut own: HashMap<ValueId, (QuantParams, Scheme)> = origins.collect();
    // Each range is searched for by itself.
    let origins: Vec<&QuantizedValue> = values.iter().filter(|value| value.moved_from.is_none()).collect();
    let method = |value: &QuantizedValue| observed.1.get(&value.value).copied().unwrap_or(config.activations.method);
    let key = |value: &QuantizedValue| (value.value, value.readers == Readers::Everyone, method(value).to_string());
    let new = origins.par_iter().filter(|value| !known.contains_key(&key(value)));
    let found: Vec<_> = new
        .map(|value| (key(value), params(model, config, value, observed.0, (scheme(value.value), method(value)))))
        .collect();
    known.extend(found);
    for value in origins {
        match known[&key(value)] {
            Ok(params) => drop(own.insert(value.value, (params, scheme(value.value)))),
            Err(cause) => refused.push(Refused { value: value.value, cause }),
        }
    }
    if !refused.is_empty() {
        return Err(refused);
    }
    let origins = origins_of(&moved_from);
    let plan = |value: &QuantizedValue| {
        let parameters_of = origins.get(&value.value).copied().unwrap_or(value.value);
        let (params, scheme) = *own.get(&parameters_of)?;
        Some(ValuePlan {
            value: value.value,
            name: model.value(value.value).name().to_owned(),
            scheme,
            params,
            parameters_of,
            readers: value.readers.clone(),
        })
    };
    Ok(values.iter().filter_map(plan).collect())
}

/// Where moved values come from in the end. Each step of a chain is taken once, however long it is.
fn origins_of(moved_from: &HashMap<ValueId, ValueId>) -> HashMap<ValueId, ValueId> {
    let mut origins: HashMap<ValueId, ValueId> = HashMap::new();
    for &value in moved_from.keys() {
        let mut way = Vec::new();
        let mut origin = value;
        while let Some(&from) = origins.get(&origin).or_else(|| moved_from.get(&origin)) {
            way.push(origin);
            origin = from;
        }
        origins.extend(way.into_iter().map(|value| (value, origin)));
    }
    origins
}

fn params(
    model: &Model,
    config: &Config,
    value: &QuantizedValue,
    observed: &Observed,
    (scheme, method): (Scheme, CalibrationMethod),
) -> Result<QuantParams, FloatCause> {
    let statistics = observed.get(&value.value).ok_or(FloatCause::NotObserved)?;
    let defined = model.producer(value.value).and_then(|op| output_interval(model, op)).unwrap_or(Interval::ALL);
    // What only some read quantized is not clipped for the others' sake.
    let matters = match value.readers {
        Readers::Everyone => interval_that_matters(model, value.value),
        Readers::Only(_) => Interval::ALL,
    };
    let limits = [value.bounds, defined, matters].into_iter().fold(Interval::ALL, Interval::intersection);
    let statistics = statistics.clipped(Range { min: limits.min.min(0.0), max: limits.max.max(0.0) });
    if statistics.nan() > 0 || statistics.infinite() > 0 {
        return Err(FloatCause::NotFinite);
    }
    if is_masked(model, &config.target, value.value) {
        return Err(FloatCause::Masked);
    }
    let range = statistics.range(method, scheme).ok_or(FloatCause::NeverComputed)?;
    if range.min == 0.0 && range.max == 0.0 {
        return Err(FloatCause::AlwaysZero);
    }
    match statistics.signal_to_noise(range, scheme) {
        Some(decibels) if decibels < LEAST_SIGNAL_TO_NOISE => Err(FloatCause::Coarse { decibels }),
        _ => Ok(scheme.parameters(range)),
    }
}

/// Parameters and scheme of what is quantized already.
fn given(model: &Model, value: ValueId) -> Option<(QuantParams, Scheme)> {
    let (params, ty) = existing_qdq::activation(model, value)?;
    Some((params, Scheme { ty, symmetric: false, scale: ScaleType::default() }))
}

/// Whether a value is masked: where a constant is added, or put in, that is so large in places that all
/// else is nothing beside it.
fn is_masked(model: &Model, target: &Target, value: ValueId) -> bool {
    let mut maker = model.producer(value);
    let moves = |op| target.kernel(model, op).is_some_and(|kernel| kernel.role == Role::KeepsScale);
    while let Some(op) = maker.filter(|&op| moves(op)) {
        maker = model.input(op, 0).and_then(|input| model.producer(input));
    }
    let Some(op) = maker.filter(|&op| model.op(op).is("Add") || model.op(op).is("Where")) else { return false };
    let constants = model.inputs(op).into_iter().flatten().filter_map(|input| model.constant(input));
    let mut floats = constants.filter_map(|tensor| tensor.to_array::<f32>().ok());
    floats.any(|elements| elements.iter().any(|element| element.abs() >= MASK))
}
