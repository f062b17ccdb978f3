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
mod draft;
mod given;
mod layers;
mod parameters;
mod speed;

use std::collections::HashSet;

use super::{LeftFloat, Plan, QuantizedCopy, Reason, Site, WeightPlan, opset, pairs, sites, storage_dtype, weights};
use crate::{
    calibration::Ranges,
    config::{ActivationType, Config},
    error::Result,
    findings::Fact,
    ir::{Model, OpId, Use, ValueId},
    numeric::{QuantParams, QuantizedType, ScaleType, Scheme},
    targets::{Quirk, onnxruntime},
};
use draft::Draft;
pub(super) use given::quantized_to_int8;
pub use speed::{Speed, Times};

/// What becomes of activations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ActivationPlan {
    /// Operators that become integer kernels, in the order of the file.
    pub integer: Vec<IntegerOperator>,
    /// Values that are quantized, in the order of the file.
    pub values: Vec<ValuePlan>,
    /// Biases that become int32.
    pub biases: Vec<BiasPlan>,
    /// Layers that stay float, and why, in the order of the file.
    pub float_layers: Vec<FloatLayer>,
    /// How long the layers take then, if it can be told.
    pub speed: Option<Speed>,
}

/// An operator that becomes an integer kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegerOperator {
    /// The operator.
    pub op: OpId,
    /// Its type and name.
    pub operator: String,
    /// Whether it is a layer, one with weights.
    pub layer: bool,
}

/// A value that is quantized.
#[derive(Debug, Clone, PartialEq)]
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
pub enum Readers {
    /// Everyone, also outside of the graph.
    All,
    /// These uses; the others read it as it was.
    Some(Vec<Use>),
}

/// A bias that becomes int32.
#[derive(Debug, Clone, PartialEq)]
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

/// A layer that stays float.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatLayer {
    /// The operator.
    pub op: OpId,
    /// Its type and name.
    pub operator: String,
    /// The body or function it is in, outermost first.
    pub path: Vec<String>,
    /// Why.
    pub reason: FloatReason,
}

/// Why a layer stays float.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FloatReason {
    /// The target has no integer kernel for the operator.
    NoKernel {
        /// The target's name.
        target: String,
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
    /// A logarithm is taken of what it computes: small numbers count as much as large ones then.
    Logarithm,
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

/// The values that have to be observed so that activations can be planned, in the order of the file.
///
/// # Errors
/// The configuration contradicts itself, or a tensor cannot be read.
pub fn watched(model: &Model, config: &Config) -> Result<Vec<ValueId>> {
    let draft = Draft::new(model, config)?;
    Ok(draft.quantized().into_iter().map(|value| value.value).collect())
}

/// Plans the quantization of activations, and of weights and biases with them.
///
/// # Errors
/// As [`plan`](super::plan).
pub fn plan_activations(model: &Model, config: &Config, ranges: &Ranges) -> Result<Plan> {
    config.check()?;
    let mut draft = Draft::new(model, config)?;
    let mut weights = weights::plan_layers(model, config, &draft.layer_ops())?;
    draft.without_weights(&weights);
    if config.activations.reduce_range {
        reduce_range(&mut weights);
    }
    let scheme = scheme(config);
    let observed = ranges.of_values(model);
    let mut known = parameters::Known::new();
    let values = loop {
        match parameters::assign(model, config, &draft, &observed, scheme, &mut known) {
            Ok(values) => break values,
            Err(refused) => draft.refuse(refused),
        }
    };
    let layers = draft.layer_ops();
    drop_weights(&mut weights, &layers, model);
    let has_kernels = config.target.computes_with(storage_dtype(scheme.ty));
    let computes = |op: OpId| layers.contains(&op) && has_kernels;
    for copy in weights.weights.iter_mut().flat_map(|weight| &mut weight.copies) {
        sites::only_layers_in_bodies(&mut copy.sites, computes);
    }
    let biases = biases::plan(model, config, &draft, &values, &mut weights)?;
    let target = || config.target.name().to_owned();
    if !has_kernels && !values.is_empty() {
        let activations = config.activations.ty.to_string();
        weights.findings.push(Fact::NoIntegerKernels { target: target(), activations });
    }
    let (integer, float_layers) = (draft.integer(), draft.float_layers());
    let int8 = config.activations.ty == ActivationType::Int8;
    if int8 && config.target.has_quirk(Quirk::Int8OfOneReader) && !integer.is_empty() {
        weights.findings.push(Fact::Int8OfSeveralReaders { target: target() });
    }
    weights.findings.extend(trips_over_int8(model, config, &integer));
    if integer.is_empty() && !float_layers.is_empty() {
        weights.findings.push(Fact::NothingInIntegers);
    }
    let mut plan = ActivationPlan { integer, values, biases, float_layers, speed: None };
    plan.speed = speed::estimate(model, &config.target, &plan, &observed);
    weights.activations = Some(plan);
    Ok(weights)
}

/// Where int8 activations of a new opset may not be loaded: a product that is added to becomes a
/// Gemm with a Reshape before it, which onnxruntime then puts a pair behind. No pair in the file prevents that.
fn trips_over_int8(model: &Model, config: &Config, integer: &[IntegerOperator]) -> Option<Fact> {
    let added = |op: OpId| {
        let output = model.outputs(op).first().copied().flatten();
        output.is_some_and(|output| model.uses(output).iter().any(|use_| model.op(use_.op).is("Add")))
    };
    let product = integer.iter().find(|integer| model.op(integer.op).is("MatMul") && added(integer.op))?;
    let opset = model.opset(model.op(product.op).scope());
    let trips = config.target.has_quirk(Quirk::Int8Moved) && config.activations.ty == ActivationType::Int8;
    (trips && opset >= pairs::FROM_OPSET).then(|| Fact::Int8ProductNotLoaded {
        target: config.target.name().to_owned(),
        release: onnxruntime::VERSION.to_owned(),
        operator: product.operator.clone(),
        opset,
    })
}

/// Weights of layers that turned out to stay float stay float too.
fn drop_weights(plan: &mut Plan, layers: &HashSet<OpId>, model: &Model) {
    let reads = |weight: &WeightPlan| {
        weight.copies.iter().any(|copy| is_table(copy) || copy.layers.iter().any(|op| layers.contains(op)))
    };
    let (kept, dropped) = std::mem::take(&mut plan.weights).into_iter().partition(reads);
    plan.weights = kept;
    for weight in dropped {
        let weight: WeightPlan = weight;
        let bytes = model.constant(weight.value).map_or(0, |tensor| tensor.byte_len());
        let operators = weight.copies.into_iter().flat_map(|copy| copy.operators).collect();
        plan.left_float.push(LeftFloat {
            value: weight.value,
            name: weight.name,
            operators,
            bytes,
            reason: Reason::FloatOperator,
        });
    }
    plan.left_float.sort_by_key(|left| left.value);
}

/// Whether rows are picked from a weight: it is quantized for its size.
fn is_table(copy: &QuantizedCopy) -> bool {
    copy.sites.iter().any(|site| matches!(site, Site::BehindGather(_)))
}

/// How much wider the steps of 7 bits are than those of 8.
const REDUCED: f32 = 127.0 / 63.0;

/// Scales weights to 7 bits: two products of an activation and such a weight fit into 16 bits.
fn reduce_range(plan: &mut Plan) {
    for copy in plan.weights.iter_mut().flat_map(|weight| &mut weight.copies).filter(|copy| !is_table(copy)) {
        let wider = |params: &QuantParams| QuantParams { scale: params.scale * REDUCED, ..*params };
        copy.params = copy.params.iter().map(wider).collect();
    }
}

/// How activations are stored.
pub fn scheme(config: &Config) -> Scheme {
    let ty = match config.activations.ty {
        ActivationType::Uint8 => QuantizedType::UInt8,
        ActivationType::Int8 => QuantizedType::Int8,
        ActivationType::Uint16 => QuantizedType::UInt16,
        ActivationType::Int16 => QuantizedType::Int16,
    };
    Scheme { ty, symmetric: config.activations.symmetric, scale: ScaleType::default() }
}

impl ActivationPlan {
    /// The lowest opset that has all that is planned.
    pub fn needed_opset(&self) -> i64 {
        let of_values =
            self.values.iter().map(|value| opset::needed_opset(value.scheme, crate::numeric::Granularity::PerTensor));
        of_values.max().unwrap_or(0)
    }
}
