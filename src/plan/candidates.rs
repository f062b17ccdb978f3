//! Which constants can be quantized and in which form, as far as that can be told without reading
//! their elements.

use std::collections::HashSet;

use super::{
    Otherwise, Reason, Site,
    opset::needed_opset,
    select::{select, subjects},
    sharing::groups,
    sites::{Products, Sites, blocked_sites, gather_takes, is_product, is_table, is_transposed, sites, uses},
    trace::{Constant, End, WeightUse},
};
use crate::{
    config::{Config, WeightForm, WeightScales, WeightType},
    error::{Error, Result},
    ir::{DataType, Model, OpId, Tensor, Use},
    numeric::{FloatType, Granularity, Layout, QuantizedType, ScaleType, Scheme},
    operators::has_weights,
    targets::{Quirk, onnxruntime},
};

/// The opset from which on scales, and so what DequantizeLinear makes, may be float16 and bfloat16.
const HALF_OPSET: i64 = 19;

/// A weight that is to be quantized unless its elements speak against it.
pub(super) struct Candidate<'a> {
    pub float_type: FloatType,
    pub cast: Option<DataType>,
    pub was_input: bool,
    /// How its scales are chosen.
    pub scales: Option<WeightScales>,
    pub copies: Vec<CandidateCopy<'a>>,
}

/// A quantized form that has no parameters yet. Its granularity is that of the weight as it is.
pub(super) struct CandidateCopy<'a> {
    pub granularity: Granularity,
    pub scheme: Scheme,
    pub transposed: bool,
    pub apart: bool,
    pub sites: Vec<Site>,
    pub weight_uses: Vec<&'a WeightUse>,
    pub otherwise: Option<Otherwise>,
}

/// Why a constant is not quantized.
pub(super) enum Refused {
    /// No operator takes it as a weight.
    NoWeight,
    Reason(Reason),
    Error(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

/// What the decisions about all constants have in common.
pub(super) struct Context<'a> {
    pub model: &'a Model,
    pub config: &'a Config,
    /// The opset that decides what is possible, instead of the model's.
    pub opset: Option<i64>,
    /// Whether float16 and bfloat16 weights are worth raising the opset to where scales can have
    /// their type. Otherwise they get float32 scales and a Cast.
    pub half_scales: bool,
    /// Where activations are quantized too: the operators that are to compute in integers. Weights of
    /// others stay float.
    pub layers: Option<&'a HashSet<OpId>>,
}

impl Context<'_> {
    /// What could become of one constant.
    pub fn candidate<'c>(&self, constant: &'c Constant, tensor: &Tensor) -> Result<Candidate<'c>, Refused> {
        let (model, config) = (self.model, self.config);
        if constant.quantized {
            return Err(Reason::AlreadyQuantized.into());
        }
        if constant.weight_uses.is_empty() {
            return Err(no_weight(model, constant, tensor));
        }
        let value = model.value(constant.value);
        select(model, config, constant)?;
        if let Some(layers) = self.layers
            && !takes(layers, constant)
            // A table that is picked from costs no time: only what was picked is dequantized.
            && !constant.weight_uses.iter().all(|use_| use_.axes.any)
        {
            return Err(Reason::FloatOperator.into());
        }
        // Before IR version 4 every initializer had to be an input too; that says nothing.
        let was_input = model.is_input(constant.value);
        if was_input && model.ir_version() >= 4 && config.keep_overridable {
            return Err(Reason::Overridable.into());
        }
        if model.is_trained(constant.value) {
            return Err(Reason::Trained.into());
        }
        let elements = tensor.element_count();
        if elements == 0 {
            return Err(Reason::Empty.into());
        }
        if elements < config.min_elements {
            return Err(Reason::FewElements { elements }.into());
        }
        let own = &*config.of_weight(&subjects(model, constant));
        let (float_type, made_type) = self.types(tensor.dtype(), model.opset(value.scope()));
        let copies = match config.weight_form {
            WeightForm::Matmulnbits => vec![self.blocked(own, constant, tensor, made_type)?],
            WeightForm::Dq | WeightForm::Qdq => self.copies(own, constant, tensor, made_type),
        };
        let for_speed = self.layers.is_some_and(|layers| takes(layers, constant));
        if config.weight_form != WeightForm::Qdq && !config.allow_growth && !for_speed {
            worth_it(value.name(), tensor, &copies)?;
        }
        let cast = (made_type != float_type).then(|| tensor.dtype());
        let float_type = match tensor.narrow().dtype() {
            DataType::Float16 => FloatType::F16,
            DataType::Bfloat16 => FloatType::BF16,
            _ => float_type,
        };
        Ok(Candidate { float_type, cast, was_input, scales: own.weight_scales, copies })
    }

    /// The type of a weight's elements and the one that DequantizeLinear makes of it, mostly by
    /// having scales of that type.
    fn types(&self, dtype: DataType, opset: i64) -> (FloatType, FloatType) {
        let half = |own: FloatType| {
            if self.config.weight_form == WeightForm::Matmulnbits {
                return (own, own);
            }
            let in_reach = self.opset.unwrap_or(opset) >= HALF_OPSET;
            let scale = if in_reach && (self.half_scales || self.opset.is_none()) { own } else { FloatType::F32 };
            (own, scale)
        };
        match dtype {
            DataType::Float16 => half(FloatType::F16),
            DataType::Bfloat16 => half(FloatType::BF16),
            // DequantizeLinear makes no doubles.
            DataType::Double => (FloatType::F64, FloatType::F32),
            _ => (FloatType::F32, FloatType::F32),
        }
    }

    /// The one form in which all that read a weight are operators of blocks; `config` is the weight's own.
    fn blocked<'c>(
        &self,
        config: &Config,
        constant: &'c Constant,
        tensor: &Tensor,
        made_type: FloatType,
    ) -> Result<CandidateCopy<'c>, Refused> {
        let model = self.model;
        let ty = unsigned(quantized_type(config.weights));
        let groups = groups(constant, config.sharing(), &tensor.shape(), i64::MAX);
        let granularity = groups.first().map(|group| group.granularity);
        let found = match granularity {
            Some(granularity) if groups.len() == 1 && tensor.dtype() != DataType::Double => {
                blocked_sites(model, constant, granularity, ty, &tensor.shape())
            }
            _ => Err(constant.weight_uses.first().map(|use_| use_.last.op)),
        };
        let Sites { sites, transposed } = found.map_err(|op| Reason::NoBlockedForm {
            operator: op.map(|op| model.op(op).describe()).unwrap_or_default(),
        })?;
        Ok(CandidateCopy {
            granularity: granularity.unwrap_or(Granularity::PerTensor),
            scheme: Scheme { ty, symmetric: !config.asymmetric, scale: ScaleType::Float(made_type) },
            transposed,
            apart: false,
            sites,
            weight_uses: constant.weight_uses.iter().collect(),
            otherwise: None,
        })
    }

    /// The type that a weight is to have; `config` is its own.
    fn weight_type(&self, config: &Config, constant: &Constant) -> QuantizedType {
        let name = self.model.value(constant.value).name();
        let own = config.tensor_types.iter().rfind(|rule| self.layers.is_some() && rule.pattern.matches(name));
        quantized_type(own.map_or(config.weights, |rule| rule.ty))
    }

    /// The forms of a weight, for all that read it along other axes; `config` is its own.
    fn copies<'c>(
        &self,
        config: &Config,
        constant: &'c Constant,
        tensor: &Tensor,
        made_type: FloatType,
    ) -> Vec<CandidateCopy<'c>> {
        let model = self.model;
        let shape = tensor.shape();
        let in_body = model.value(constant.value).scope() != Model::MAIN;
        let opset = self.opset.unwrap_or_else(|| model.opset(model.value(constant.value).scope()));
        let asked_type = self.weight_type(config, constant);
        let microscaling = config.weights.is_microscaling();
        let scale = if microscaling { ScaleType::PowerOfTwo } else { ScaleType::Float(made_type) };
        let groups = groups(constant, config.sharing(), &shape, opset);
        let copy = |index: usize| {
            let group = &groups[index];
            let mut otherwise = group.otherwise.clone();
            let (mut ty, mut scale) = (asked_type, scale);
            let pairs = config.weight_form == WeightForm::Qdq;
            let gather_takes = gather_takes(ty) && scale != ScaleType::PowerOfTwo;
            if !pairs && !gather_takes && is_table(model, constant, group.granularity, ty) {
                otherwise = Some(Otherwise::GatherTakesNone { asked: config.weights });
                (ty, scale) = (QuantizedType::Int8, ScaleType::Float(made_type));
            }
            let others: Vec<_> =
                groups.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, group)| group).collect();
            let found = |ty| match pairs {
                true => Sites { sites: vec![Site::Weight(uses(model, constant, group, &others))], transposed: false },
                false => {
                    let products = Products { ty, float: made_type, shape: &shape, in_body };
                    sites(model, constant, group, &others, &products, self.layers.is_some())
                }
            };
            let mut found_sites = found(ty);
            let in_blocks = matches!(group.granularity, Granularity::PerBlock { .. });
            if let Some(wider) = wider(ty).filter(|_| config.target.has_quirk(Quirk::TransposedTwoBits))
                && !in_blocks
                && !found_sites.transposed
                && is_transposed(model, constant.value)
            {
                otherwise = Some(Otherwise::TransposedTwoBits { asked: config.weights });
                ty = wider;
                found_sites = found(ty);
            }
            let found = found_sites;
            let products = Products { ty, float: made_type, shape: &shape, in_body };
            let multiplied = group.weight_uses.iter().any(|use_| is_product(model, use_.last));
            let apart = multiplied && !found.transposed && products.apart();
            let mut granularity = group.granularity;
            if apart && granularity == Granularity::PerTensor {
                // One scale lies along no axis that could be counted from the end.
                granularity = Granularity::PerChannel { axis: 1 };
                otherwise = Some(Otherwise::AlongColumns);
            }
            let summed = group.weight_uses.first().and_then(|use_| use_.axes.reduced);
            if let Some(axis) = summed.filter(|_| apart && !in_blocks && is_transposed(model, constant.value)) {
                // The runtime stores the integers as the Transpose has them, and counts the axis from the front then.
                granularity = Granularity::PerChannel { axis };
                otherwise = Some(Otherwise::AlongSummed);
            }
            // Blocks are taken for channels, of which there are others.
            let wrong = match granularity {
                Granularity::PerTensor => false,
                Granularity::PerChannel { .. } => !onnxruntime::multiplies_per_channel(shape.len()),
                Granularity::PerBlock { .. } => ty.bits() == 8,
            };
            if wrong && group.weight_uses.iter().any(|use_| is_factor_of_integers(model, use_.last)) {
                granularity = Granularity::PerTensor;
                otherwise = Some(Otherwise::ProductOfIntegers);
            }
            CandidateCopy {
                granularity,
                scheme: Scheme { ty, symmetric: !config.asymmetric, scale },
                transposed: found.transposed,
                apart,
                sites: found.sites,
                weight_uses: group.weight_uses.clone(),
                otherwise,
            }
        };
        (0..groups.len()).map(copy).collect()
    }
}

/// The integers of as many bits from zero on.
fn unsigned(ty: QuantizedType) -> QuantizedType {
    match ty {
        QuantizedType::Int2 => QuantizedType::UInt2,
        QuantizedType::Int4 => QuantizedType::UInt4,
        QuantizedType::Int8 => QuantizedType::UInt8,
        ty => ty,
    }
}

/// The integers of 4 bits that are as those of 2.
fn wider(ty: QuantizedType) -> Option<QuantizedType> {
    match ty {
        QuantizedType::Int2 => Some(QuantizedType::Int4),
        QuantizedType::UInt2 => Some(QuantizedType::UInt4),
        _ => None,
    }
}

/// Whether a weight, or what a Gather picks from it, is the right factor of a product whose left factor is made of
/// integers.
fn is_factor_of_integers(model: &Model, use_: Use) -> bool {
    let picked = model.op(use_.op).is("Gather") && use_.slot == 0;
    let products = match picked {
        true => model.outputs(use_.op).into_iter().flatten().flat_map(|picked| model.uses(picked)).collect(),
        false => vec![use_],
    };
    products.into_iter().any(|use_| is_product(model, use_) && reads_integers(model, use_.op))
}

/// Whether the left factor of a product is dequantized, or would be once the runtime has moved a DequantizeLinear
/// behind what it moves.
fn reads_integers(model: &Model, product: OpId) -> bool {
    let maker = |op| model.input(op, 0).and_then(|left| model.producer(left));
    let moved = |&op: &OpId| maker(op).filter(|_| onnxruntime::propagates(model, op));
    let mut makers = std::iter::successors(maker(product), moved);
    makers.any(|op| model.op(op).is("DequantizeLinear"))
}

/// Why a constant stays float that no operator takes as a weight. What is small, or a vector, is mostly no
/// weight anyway: a bias, a norm, a number.
fn no_weight(model: &Model, constant: &Constant, tensor: &Tensor) -> Refused {
    let describe = |op: OpId| model.op(op).describe();
    let product = |end: &End| match *end {
        End::Multiplied(op) => Some(Reason::ConstantProduct { operator: describe(op) }),
        _ => None,
    };
    let factor = constant.ends.iter().any(|end| matches!(end, End::Multiplied(op) if has_weights(model, *op)));
    let parameter = constant.ends.contains(&End::Parameter);
    if !factor && (parameter || !is_large(&tensor.shape())) {
        return Refused::NoWeight;
    }
    let reason = constant.ends.iter().find_map(product).or_else(|| {
        constant.ends.first().and_then(|end| {
            Some(match *end {
                End::Parameter => return None,
                End::Multiplied(op) => Reason::ConstantProduct { operator: describe(op) },
                End::Folded(op) => Reason::ConstantExpression { operator: describe(op) },
                End::Read(op) => Reason::NoRule { operator: describe(op) },
                End::GivenOut(op) => Reason::GivenOut { operator: op.map(describe) },
            })
        })
    });
    reason.unwrap_or(Reason::Unread).into()
}

/// From so many elements on, what has several axes is no bias and no norm.
const LARGE: usize = 1 << 10;
/// From so many on, a vector is none either.
const LARGE_VECTOR: usize = 1 << 16;

/// Whether a constant of this shape is too large for the biases, norms and numbers of a model.
pub(super) fn is_large(shape: &[usize]) -> bool {
    let elements: usize = shape.iter().product();
    let axes = shape.iter().filter(|&&size| size > 1).count();
    elements >= LARGE_VECTOR || elements >= LARGE && axes > 1
}

fn takes(layers: &HashSet<OpId>, constant: &Constant) -> bool {
    constant.weight_uses.iter().any(|use_| layers.contains(&use_.last.op))
}

impl Candidate<'_> {
    /// The lowest opset that has all that is planned for the weight.
    pub fn needed_opset(&self) -> i64 {
        let of_copy = |copy: &CandidateCopy| match copy.sites.iter().any(Site::is_contributed) {
            true => 0,
            false => needed_opset(copy.scheme, copy.granularity),
        };
        self.copies.iter().map(of_copy).max().unwrap_or(0)
    }
}

pub(super) fn layout(tensor: &Tensor, granularity: Granularity) -> Result<Layout> {
    Layout::new(&tensor.shape(), granularity).map_err(|error| Error::tensor(tensor.name(), error.to_string()))
}

pub(super) fn quantized_type(weights: WeightType) -> QuantizedType {
    match weights {
        WeightType::Int8 | WeightType::Mxint8 => QuantizedType::Int8,
        WeightType::Uint8 => QuantizedType::UInt8,
        WeightType::Int16 => QuantizedType::Int16,
        WeightType::Uint16 => QuantizedType::UInt16,
        WeightType::Int4 => QuantizedType::Int4,
        WeightType::Uint4 => QuantizedType::UInt4,
        WeightType::Int2 => QuantizedType::Int2,
        WeightType::Uint2 => QuantizedType::UInt2,
        WeightType::Float8e4m3fn | WeightType::Mxfp8e4m3 => QuantizedType::Float8E4M3FN,
        WeightType::Float8e4m3fnuz => QuantizedType::Float8E4M3FNUZ,
        WeightType::Float8e5m2 | WeightType::Mxfp8e5m2 => QuantizedType::Float8E5M2,
        WeightType::Float8e5m2fnuz => QuantizedType::Float8E5M2FNUZ,
        WeightType::Float6e2m3 | WeightType::Mxfp6e2m3 => QuantizedType::Float6E2M3,
        WeightType::Float6e3m2 | WeightType::Mxfp6e3m2 => QuantizedType::Float6E3M2,
        WeightType::Float4e2m1 | WeightType::Mxfp4e2m1 => QuantizedType::Float4E2M1,
    }
}

/// The bytes of the zero points; floats have none.
pub(crate) fn zero_points(ty: QuantizedType, layout: &Layout) -> usize {
    if ty.is_float() { 0 } else { ty.bytes(layout.scales()) }
}

/// Whether the quantized form is smaller than the float one, all counted: integers, scales, zero
/// points, the names of tensors and nodes.
fn worth_it(name: &str, tensor: &Tensor, copies: &[CandidateCopy]) -> Result<(), Refused> {
    /// Field tags, lengths, types, suffixes of names: what three tensors, or one DequantizeLinear,
    /// take in the file besides data, dimensions and the weight's own name.
    const TENSORS: usize = 75;
    const NODE: usize = 100;
    /// How often the weight's name stands in them.
    const NAMES_IN_TENSORS: usize = 3;
    const NAMES_IN_NODE: usize = 5;
    let float = tensor.byte_len();
    let mut quantized = 0;
    for copy in copies {
        let layout = layout(tensor, copy.granularity)?;
        let ty = copy.scheme.ty;
        quantized +=
            ty.bytes(layout.elements()) + layout.scales() * copy.scheme.scale.size() + zero_points(ty, &layout);
        quantized += TENSORS + NAMES_IN_TENSORS * name.len();
        quantized += copy.sites.len() * (NODE + NAMES_IN_NODE * name.len());
    }
    if quantized < float { Ok(()) } else { Err(Reason::NotSmaller { float, quantized }.into()) }
}
