//! From facts to decisions.
//!
//! A [`Plan`] says of every float constant that an operator takes as a weight what becomes of it
//! and why. It is plain data: passes carry it out and decide nothing, the report tells it.

mod activations;
mod candidates;
mod dynamic;
mod findings;
mod near;
mod opset;
mod pairs;
mod select;
mod sharing;
mod sites;
mod trace;
mod weights;

use std::sync::Arc;

use crate::{
    config::WeightType,
    findings::Fact,
    ir::{DataType, OpId, Use, ValueId},
    numeric::{FloatType, Granularity, QuantParams, ScaleMethod, Scheme},
};

pub use crate::config::WeightForm;
pub use activations::{
    ActivationPlan, BiasPlan, Decision, FloatCause, FloatReason, OperatorPlan, Planner, Readers, Speed, Times,
    ValuePlan, plan_activations, scheme as activation_scheme, watched,
};
pub(crate) use candidates::zero_points;
pub use dynamic::{can_be_dynamic, plan_dynamic};
pub use findings::{following, unknown_fields};
pub use opset::{float_type, ir_version, kernels_of_opset, scale_dtype, storage_dtype};
pub use pairs::{repeated, unrepeated};
pub use select::{check_patterns, excluded_pairs, fit_patterns};
pub(crate) use trace::Constants;
pub(crate) use weights::{excluded_layers, plan_traced, required_opset};
pub use weights::{plan, store_float_layers};

/// What is quantized, how, and what is not and why.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// The weights that are quantized, in the order of the file.
    pub weights: Vec<WeightPlan>,
    /// The weights that stay float, in the order of the file.
    pub left_float: Vec<LeftFloat>,
    /// Float constants that no operator takes as a weight: biases, norms, tables of numbers.
    pub others: Others,
    /// Float constants that training had quantized, and whose integers stand for them now.
    pub trained: Trained,
    /// What a user should know besides.
    pub findings: Vec<Fact>,
    /// What becomes of activations, where they are quantized.
    pub activations: Option<ActivationPlan>,
}

impl Plan {
    /// The lowest opset that has all that is planned.
    pub fn needed_opset(&self) -> i64 {
        let copies = self.weights.iter().flat_map(|weight| &weight.copies);
        let dequantized = copies.filter(|copy| !copy.sites.iter().any(Site::is_contributed));
        let of_weights = dequantized.map(|copy| opset::needed_opset(copy.scheme, copy.granularity)).max().unwrap_or(0);
        of_weights.max(self.activations.as_ref().map_or(0, ActivationPlan::needed_opset))
    }
}

/// One weight that is quantized.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WeightPlan {
    /// The constant.
    pub value: ValueId,
    /// Its name.
    pub name: String,
    /// The type in which its elements are kept: that of the half floats where float32 was made of them.
    pub float_type: FloatType,
    /// The type that a Cast behind the DequantizeLinear brings the weight back to, where
    /// DequantizeLinear cannot make that type.
    pub cast: Option<DataType>,
    /// The numbers that are quantized instead of the constant's, where these make up for each other's errors.
    pub compensated: Option<Arc<[f32]>>,
    /// What is stored for it.
    pub form: WeightForm,
    /// What MatMulNBits has to state of how exactly it computes.
    pub accuracy_level: Option<u8>,
    /// Whether it is an initializer that only gives a graph input its default; it leaves the
    /// inputs then and can no longer be overridden.
    pub was_input: bool,
    /// One for each way of sharing scales that its operators need; mostly one.
    pub copies: Vec<QuantizedCopy>,
    /// Other operators that read it; they read the dequantized values from now on.
    pub other_readers: Vec<String>,
}

/// One quantized form of a weight.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct QuantizedCopy {
    /// What shares a scale.
    pub granularity: Granularity,
    /// Storage type, symmetry, type of the scales.
    pub scheme: Scheme,
    /// Scales and zero points, in the order of the granularity.
    pub params: Arc<[QuantParams]>,
    /// How they were chosen.
    pub method: ScaleMethod,
    /// Whether the weight, a matrix, is stored transposed. Granularity and parameters are those of
    /// the weight as it is.
    pub transposed: bool,
    /// Whether products must not fuse with its DequantizeLinear, because the runtime computes them wrong then:
    /// the axis of the scales is written counted from the end.
    pub apart: bool,
    /// Where it is dequantized.
    pub sites: Vec<Site>,
    /// The operators that take it as a weight.
    pub layers: Vec<OpId>,
    /// Their types and names.
    pub operators: Vec<String>,
    /// Why it is not as was asked for.
    pub otherwise: Option<Otherwise>,
}

/// Why a quantized form is another than was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Otherwise {
    /// One scale, because the opset has none for channels.
    OldOpset,
    /// One scale, because there is no axis for more.
    NoAxis,
    /// int8, because Gather takes no integers of the type that was asked for.
    GatherTakesNone {
        /// The type.
        asked: WeightType,
    },
    /// 4 bits, because the runtime does not load 2 bits behind which a Transpose stands.
    TransposedTwoBits {
        /// The type that was asked for.
        asked: WeightType,
    },
    /// A scale for each column, because the runtime computes the product wrong with a single one.
    AlongColumns,
    /// A scale for each row that is summed over, because the runtime computes the product wrong that has one for each
    /// column behind a Transpose.
    AlongSummed,
    /// One scale, because the runtime fails with more in a product of integers.
    ProductOfIntegers,
}

/// Where a DequantizeLinear stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Site {
    /// In front of these uses. The first such site of a weight makes the value of the weight, under
    /// its name; the others make a value of their own.
    Weight(Vec<Use>),
    /// Behind a Gather, which picks from the integers: a table is not expanded on every run.
    BehindGather(OpId),
    /// In front of a Gemm that reads the weight transposed, and not transposed from now on.
    Gemm(Use),
    /// In front of these uses, in the body that they are in: what runs inside a body must be there as a
    /// whole to become one kernel.
    Body(Vec<Use>),
    /// In the place of a Transpose of the weight.
    Transpose(OpId),
    /// Nowhere: these products become MatMulNBits, which reads the integers.
    Product(Vec<Use>),
    /// Nowhere: this Gather becomes GatherBlockQuantized, which reads the integers.
    Table(OpId),
}

impl Site {
    /// Whether an operator of onnxruntime's own reads the integers there, at any opset.
    pub(crate) fn is_contributed(&self) -> bool {
        matches!(self, Self::Product(_) | Self::Table(_))
    }
}

/// A weight that stays float.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LeftFloat {
    /// The constant.
    pub value: ValueId,
    /// Its name.
    pub name: String,
    /// The operators that take it as a weight, if there are any.
    pub operators: Vec<String>,
    /// Bytes of its elements.
    pub bytes: usize,
    /// Why.
    pub reason: Reason,
}

/// Why a weight stays float.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// A pattern excludes it, or an operator that takes it.
    Excluded {
        /// What the pattern matched.
        matched: String,
        /// The pattern.
        pattern: String,
    },
    /// There are patterns to include and none matches.
    NotIncluded,
    /// It has fewer elements than asked for.
    FewElements {
        /// How many it has.
        elements: usize,
    },
    /// Its quantized form with scales and a DequantizeLinear would not be smaller.
    NotSmaller {
        /// Bytes it takes now.
        float: usize,
        /// Bytes it would take.
        quantized: usize,
    },
    /// It has a NaN or an infinity.
    NotFinite {
        /// Where, as a flat index.
        index: usize,
        /// Which.
        value: f64,
    },
    /// It is multiplied with another constant: runtimes fold that, some trip over it quantized.
    ConstantProduct {
        /// Where.
        operator: String,
    },
    /// Another constant is computed of it.
    ConstantExpression {
        /// Where.
        operator: String,
    },
    /// An operator reads it of which it is not known that it takes weights there.
    NoRule {
        /// Which.
        operator: String,
    },
    /// It is an output: of the model or a function, or of a body of an operator.
    GivenOut {
        /// The operator around the body.
        operator: Option<String>,
    },
    /// It is an attribute of an operator, of which there is no quantized form.
    Attribute,
    /// Nothing reads it.
    Unread,
    /// It has no elements.
    Empty,
    /// It gives a graph input its default value, and whoever runs the model may override it.
    Overridable,
    /// The model's training information replaces it.
    Trained,
    /// It is behind a QuantizeLinear already.
    AlreadyQuantized,
    /// The operators that take it compute in float.
    FloatOperator,
    /// MatMulNBits and GatherBlockQuantized do not stand for an operator that reads it.
    NoBlockedForm {
        /// Which.
        operator: String,
    },
}

/// Float constants that training had quantized, and whose integers stand for them now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trained {
    /// How many.
    pub count: usize,
    /// Bytes of their elements.
    pub float_bytes: usize,
    /// Bytes of the integers.
    pub integer_bytes: usize,
}

/// Float constants that are no weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Others {
    /// How many.
    pub count: usize,
    /// Bytes of their elements.
    pub bytes: usize,
}
