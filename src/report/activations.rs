//! What became of activations, as data.

use serde::Serialize;

use crate::{
    ir::{Model, type_name},
    plan::{ActivationPlan, Speed, Times, storage_dtype},
};

/// What became of activations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Activations {
    /// Operators that become integer kernels.
    pub integer: Vec<IntegerOperator>,
    /// Layers that stay float.
    pub float_layers: Vec<FloatLayer>,
    /// Values that are quantized.
    pub values: Vec<QuantizedValue>,
    /// How long the integer layers take in onnxruntime; absent where the ranges do not tell how large
    /// values are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_time: Option<EstimatedTime>,
}

/// What the integer layers take, with the conversions around them, on two kinds of processors. A rough
/// estimate, of the layers alone: what is float before and after is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EstimatedTime {
    /// Where instructions sum products of 8 bits.
    pub with_vnni: LayerTimes,
    /// With AVX2 only.
    pub without_vnni: LayerTimes,
}

/// Microseconds on one core in one run of the model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LayerTimes {
    /// The layers as floats.
    pub float_us: f64,
    /// The layers as integers.
    pub integer_us: f64,
    /// Conversions between floats and integers.
    pub conversions_us: f64,
    /// Integers and conversions, of what floats take.
    pub ratio: f64,
}

/// An operator that becomes an integer kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IntegerOperator {
    /// Its type and name.
    pub operator: String,
    /// The body or function it is in, outermost first; empty in the main graph.
    pub path: Vec<String>,
    /// Whether it has weights.
    pub layer: bool,
}

/// A layer that stays float.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FloatLayer {
    /// Its type and name.
    pub operator: String,
    /// The body or function it is in, outermost first; empty in the main graph.
    pub path: Vec<String>,
    /// Why.
    pub reason: String,
}

/// A value that is quantized.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuantizedValue {
    /// Its name.
    pub name: String,
    /// The body or function it is in, outermost first; empty in the main graph.
    pub path: Vec<String>,
    /// Its type, e.g. `uint8`.
    pub dtype: &'static str,
    /// The real value of one.
    pub scale: f32,
    /// The integer that stands for real zero.
    pub zero_point: i32,
}

impl Activations {
    pub(super) fn of(model: &Model, plan: &ActivationPlan) -> Self {
        let path = |op| model.scope_path(model.op(op).scope());
        let integer = plan.integer.iter().map(|integer| IntegerOperator {
            operator: integer.operator.clone(),
            path: path(integer.op),
            layer: integer.layer,
        });
        let float_layers = plan.float_layers.iter().map(|float| FloatLayer {
            operator: float.operator.clone(),
            path: float.path.clone(),
            reason: float.reason.to_string(),
        });
        let values = plan.values.iter().map(|value| QuantizedValue {
            name: value.name.clone(),
            path: model.scope_path(model.value(value.value).scope()),
            dtype: type_name(storage_dtype(value.scheme.ty)),
            scale: value.params.scale,
            zero_point: value.params.zero_point,
        });
        Self {
            integer: integer.collect(),
            float_layers: float_layers.collect(),
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
