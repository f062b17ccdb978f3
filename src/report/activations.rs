//! What became of activations, as data.

use serde::{Deserialize, Serialize};

use crate::{
    ir::{Model, type_name},
    plan::{ActivationPlan, Speed, Times, storage_dtype},
};

/// What became of activations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct QuantizedActivations {
    /// What becomes of every layer, of every operator that integers pass, and of the others that stand where integers
    /// end.
    pub operators: Vec<PlannedOperator>,
    /// Values that are quantized.
    pub values: Vec<QuantizedValue>,
    /// How long a run takes in onnxruntime; absent where the ranges do not tell how large values are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_time: Option<EstimatedTime>,
}

/// What a run of the whole model takes, on two kinds of processors: an estimate from tables of what kernels take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct EstimatedTime {
    /// Where instructions sum products of 8 bits: the table is measured, and what is placed by.
    pub with_vnni: LayerTimes,
    /// With AVX2 only; the table is not measured.
    pub without_vnni: LayerTimes,
}

/// Microseconds on one core in one run of the model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct LayerTimes {
    /// All in float.
    pub float_us: f64,
    /// The kernels as planned.
    pub integer_us: f64,
    /// Conversions between floats and integers, and between layouts.
    pub conversions_us: f64,
    /// Integers and conversions, of what floats take.
    pub ratio: f64,
}

/// What becomes of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct PlannedOperator {
    /// Its type and name.
    pub operator: String,
    /// The body or function it is in, outermost first; empty in the main graph.
    pub path: Vec<String>,
    /// Whether it has weights.
    pub layer: bool,
    /// Whether it becomes an integer kernel.
    pub integer: bool,
    /// Why: the target's rule that its kernel is known by, or the reason that it stays float.
    pub why: String,
}

/// A value that is quantized.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct QuantizedValue {
    /// Its name.
    pub name: String,
    /// The body or function it is in, outermost first; empty in the main graph.
    pub path: Vec<String>,
    /// Its type, e.g. `uint8`.
    pub dtype: String,
    /// The real value of one.
    pub scale: f32,
    /// The integer that stands for real zero.
    pub zero_point: i32,
}

impl QuantizedActivations {
    /// The operators that become integer kernels.
    pub fn integer(&self) -> impl Iterator<Item = &PlannedOperator> {
        self.operators.iter().filter(|operator| operator.integer)
    }

    /// The layers that stay float.
    pub fn float_layers(&self) -> impl Iterator<Item = &PlannedOperator> {
        self.operators.iter().filter(|operator| operator.layer && !operator.integer)
    }

    pub(super) fn of(model: &Model, plan: &ActivationPlan) -> Self {
        let operators = plan.operators.iter().map(|operator| PlannedOperator {
            operator: operator.operator.clone(),
            path: operator.path.clone(),
            layer: operator.decision.is_layer(),
            integer: operator.decision.is_integer(),
            why: operator.decision.to_string(),
        });
        let values = plan.values.iter().map(|value| QuantizedValue {
            name: value.name.clone(),
            path: model.scope_path(model.value(value.value).scope()),
            dtype: type_name(storage_dtype(value.scheme.ty)).to_owned(),
            scale: value.params.scale,
            zero_point: value.params.zero_point,
        });
        Self {
            operators: operators.collect(),
            values: values.collect(),
            estimated_time: plan.speed.map(EstimatedTime::of),
        }
    }
}

impl EstimatedTime {
    fn of(Speed { with_vnni, without_vnni }: Speed) -> Self {
        Self { with_vnni: LayerTimes::of(with_vnni), without_vnni: LayerTimes::of(without_vnni) }
    }
}

impl LayerTimes {
    fn of(times: Times) -> Self {
        // More digits would promise more than there is.
        let us = |nanoseconds: f64| (nanoseconds / 100.0).round() / 10.0;
        let ratio = (times.ratio() * 100.0).round() / 100.0;
        Self { float_us: us(times.float), integer_us: us(times.integer), conversions_us: us(times.conversions), ratio }
    }
}
