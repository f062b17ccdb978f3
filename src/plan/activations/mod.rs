//! Which operators compute in integers, and how the values between them are quantized.
//!
//! Convolutions and products with weights are the *layers* that this is done for. A layer becomes an
//! integer kernel where everything around it plays along: constant weights, an input with a range, on
//! the output a QuantizeLinear that every reader is behind. From layer to layer integers then spread
//! through operators that a kernel exists for, so that no conversions are left between them.
//!
//! What is found out on the way (a value without range, a weight that cannot be quantized) takes layers
//! back to float, and the rest is decided anew without them: so what remains fits together.

mod biases;
mod cut;
mod existing_qdq;
mod layers;
mod parameters;
mod placement;
mod planner;
mod region;
mod sizes;
mod speed;

use super::{Reason, candidates::quantized_type, opset};
use crate::{
    config::{ActivationType, Config},
    ir::{OpId, Use, ValueId},
    numeric::{Granularity, QuantParams, QuantizedType, ScaleType, Scheme},
};

pub(super) use existing_qdq::quantized_to_int8;
pub(super) use layers::{is_layer, no_constant, unsupported_by};
pub(super) use parameters::LEAST_SIGNAL_TO_NOISE;
pub use planner::{Planner, plan_activations, watched};
pub(super) use planner::{drop_weights, reduce_range};
pub use speed::{Speed, Times};

/// What becomes of activations.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ActivationPlan {
    /// What becomes of every layer, of every operator that integers pass, and of the others beside values that are
    /// quantized, in the order of the file.
    pub operators: Vec<OperatorPlan>,
    /// Values that are quantized, in the order of the file.
    pub values: Vec<ValuePlan>,
    /// Biases that become int32.
    pub biases: Vec<BiasPlan>,
    /// How long the layers take then, if it can be told.
    pub speed: Option<Speed>,
}

/// What becomes of an operator.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OperatorPlan {
    /// The operator.
    pub op: OpId,
    /// Its type and name.
    pub operator: String,
    /// The body or function it is in, outermost first.
    pub path: Vec<String>,
    /// What becomes of it, and why.
    pub decision: Decision,
}

/// What becomes of an operator, and why.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Decision {
    /// It has weights and becomes an integer kernel.
    Layer {
        /// The target's rule that the kernel is known by.
        rule: String,
    },
    /// It has no weights, and integers pass it.
    Bridge {
        /// The target's rule that the kernel is known by.
        rule: String,
    },
    /// It has weights and stays float.
    FloatLayer(FloatReason),
    /// It has no weights, stays float, and stands where integers end.
    Float(FloatReason),
}

/// A value that is quantized.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ValuePlan {
    /// The value.
    pub value: ValueId,
    /// Its name.
    pub name: String,
    /// Storage type and symmetry.
    pub scheme: Scheme,
    /// Scale and zero point.
    pub params: QuantParams,
    /// The value whose scale and zero point these are: its own, or that of the value it was moved from.
    pub parameters_of: ValueId,
    /// Who reads it dequantized.
    pub readers: Readers,
}

/// Who reads a quantized value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readers {
    /// All readers, and graph outputs.
    Everyone,
    /// These uses only; the others read it as it was.
    Only(Vec<Use>),
}

/// A bias that becomes int32.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BiasPlan {
    /// Where it is read.
    pub use_: Use,
    /// The bias.
    pub value: ValueId,
    /// Its name.
    pub name: String,
    /// The real value of one, one for all or one a channel: exactly the product of the scales of input
    /// and weight, as `f32`.
    pub scales: Vec<f32>,
    /// The axis that scales run along, if there is one a channel.
    pub axis: Option<usize>,
}

/// Why an operator stays float.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FloatReason {
    /// The target has no integer kernel for the operator.
    NoKernel {
        /// The target's name.
        target: String,
    },
    /// The target has no operator of integers for it whose activations get their scale in each run.
    NoDynamicKernel {
        /// The target's name.
        target: String,
    },
    /// It would read a whole sequence with one scale, and of this value nothing tells that one serves all of it.
    SeveralScales {
        /// The value.
        value: String,
    },
    /// Its weight is no constant.
    ComputedWeight {
        /// What it is instead.
        what: String,
    },
    /// Its constant is the left factor of a product.
    LeftFactor,
    /// Its bias is computed.
    ComputedBias,
    /// An attribute or input that the integer kernel does not have.
    Unsupported {
        /// Which.
        what: String,
    },
    /// Its weight stays float.
    Weight(Reason),
    /// Its rounded result would be the model's output, with no layer behind to even it out.
    Final,
    /// The runtime fails with an operator near it once it computes in integers.
    Near {
        /// The operator.
        operator: String,
    },
    /// What it reads is dequantized already, in the graph around the body that it is in.
    Around {
        /// The DequantizeLinear.
        operator: String,
    },
    /// A logarithm is taken of what it computes: small numbers count as much as large ones then.
    Logarithm,
    /// It has no weights, and reads a constant beside what it computes with.
    ConstantOperand {
        /// The constant.
        value: String,
    },
    /// It has no weights, and something that it reads stays float.
    FloatOperand {
        /// Which.
        value: String,
    },
    /// It has no weights, and nothing that follows it reads integers.
    NotWanted,
    /// A pattern excludes it.
    Excluded {
        /// What the pattern matched.
        matched: String,
        /// The pattern.
        pattern: String,
    },
    /// It takes less time in float, with the conversions that there are around it.
    NoGain,
    /// It was asked for.
    Pinned,
    /// With it in integers, the outputs were further from the float model's than asked for.
    Inaccurate,
    /// A value that it reads or makes cannot be quantized.
    Value {
        /// The value.
        value: String,
        /// Why.
        cause: FloatCause,
    },
}

/// Why a value cannot be quantized.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum FloatCause {
    /// The ranges do not have it.
    NotObserved,
    /// No sample took the way through the model that it is on.
    NeverComputed,
    /// It was infinite or not a number in some samples.
    NotFinite,
    /// It holds the huge numbers of a mask.
    Masked,
    /// It was zero in all samples: nothing says how large it can be.
    AlwaysZero,
    /// It is too quiet in many samples for steps that also hold the loud ones.
    Coarse {
        /// Signal to noise, in decibels.
        decibels: f64,
    },
}

/// How activations are stored.
pub fn scheme(config: &Config) -> Scheme {
    let ty = match config.activations.ty {
        ActivationType::Uint8 | ActivationType::Dynamic | ActivationType::Float => QuantizedType::UInt8,
        ActivationType::Int8 => QuantizedType::Int8,
        ActivationType::Uint16 => QuantizedType::UInt16,
        ActivationType::Int16 => QuantizedType::Int16,
        ActivationType::Float8e4m3fn => QuantizedType::Float8E4M3FN,
    };
    Scheme { ty, symmetric: config.activations.symmetric, scale: ScaleType::default() }
}

/// How the activation of a name is stored.
fn scheme_of(config: &Config, name: &str) -> Scheme {
    let own = config.tensor_types.iter().rfind(|rule| rule.pattern.matches(name));
    let scheme = scheme(config);
    Scheme { ty: own.map_or(scheme.ty, |rule| quantized_type(rule.ty)), ..scheme }
}

impl ActivationPlan {
    /// The operators that become integer kernels.
    pub fn integer(&self) -> impl Iterator<Item = &OperatorPlan> {
        self.operators.iter().filter(|operator| operator.decision.is_integer())
    }

    /// The layers that become integer kernels.
    pub fn layers(&self) -> impl Iterator<Item = &OperatorPlan> {
        self.operators.iter().filter(|operator| matches!(operator.decision, Decision::Layer { .. }))
    }

    /// The lowest opset that has all that is planned.
    pub fn needed_opset(&self) -> i64 {
        let of_values = self.values.iter().map(|value| opset::needed_opset(value.scheme, Granularity::PerTensor));
        of_values.max().unwrap_or(0)
    }
}

impl Decision {
    /// Whether the operator becomes an integer kernel.
    pub fn is_integer(&self) -> bool {
        matches!(self, Self::Layer { .. } | Self::Bridge { .. })
    }

    /// Whether the operator has weights.
    pub fn is_layer(&self) -> bool {
        matches!(self, Self::Layer { .. } | Self::FloatLayer(_))
    }
}
