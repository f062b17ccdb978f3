//! What became of activations, as data.

use serde::Serialize;

use crate::{
    ir::{Model, type_name},
    plan::{ActivationPlan, storage_dtype},
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
        Self { integer: integer.collect(), float_layers: float_layers.collect(), values: values.collect() }
    }
}
