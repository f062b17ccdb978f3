//! Decides, weight by weight: which are quantized, with which scales, and which stay float.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::{
    LeftFloat, Plan, QuantizedCopy, Reason, WeightPlan,
    candidates::{CandidateCopy, Context, Refused, is_large, layout},
    select::{select, unmatched_patterns},
    sharing::PER_CHANNEL_OPSET,
    trace::{Constant, Constants, WeightUse},
};
use crate::{
    config::{Config, WeightScales},
    error::{Error, ErrorKind, Result},
    ir::{DataType, Model, OpId, Tensor, ValueId, element_bits, is_float},
    numeric::{FloatType, QuantizedType, ScaleMethod, parameters},
};

/// Plans the quantization of a model's weights.
///
/// Reads every weight once, for its range; nothing is changed. What the model's opset cannot hold is
/// planned in the form that it can hold.
///
/// # Errors
/// The model's opset cannot hold what was asked for, the configuration contradicts itself, or a tensor
/// cannot be read.
///
/// ```
/// use onnx_quant::{Config, Model, plan::plan};
/// let model = Model::load("testdata/kws_dscnn.onnx")?;
/// let plan = plan(&model, &Config::default())?;
/// assert!(plan.weights.iter().all(|weight| weight.copies.len() == 1));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn plan(model: &Model, config: &Config) -> Result<Plan> {
    plan_traced(model, &Constants::of(model), config)
}

/// The same, with the model's constants traced already.
pub(crate) fn plan_traced(model: &Model, constants: &Constants, config: &Config) -> Result<Plan> {
    config.check()?;
    plan_those_of(model, constants, config, None)
}

/// Plans the weights of these layers only, which are to become integer kernels.
pub(super) fn plan_layers(
    model: &Model,
    constants: &Constants,
    config: &Config,
    layers: &HashSet<OpId>,
) -> Result<Plan> {
    plan_those_of(model, constants, config, Some(layers))
}

fn plan_those_of(
    model: &Model,
    Constants(constants): &Constants,
    config: &Config,
    layers: Option<&HashSet<OpId>>,
) -> Result<Plan> {
    let context = Context { model, config, opset: None, half_scales: true, layers };
    let mut plan = plan_constants(&context, constants)?;
    plan.findings = unmatched_patterns(model, config, constants, layers.is_some());
    Ok(plan)
}

/// The plan with the weights of layers that stay float, too, stored as the type that was asked for, if one was.
///
/// # Errors
/// A tensor cannot be read.
pub fn store_float_layers(mut plan: Plan, model: &Model, config: &Config) -> Result<Plan> {
    if let Some(weights) = config.store_float_layers {
        let config = Config { weights, ..config.clone() };
        store_weights_of(&mut plan, model, &Constants::of(model), &config, |_| true)?;
    }
    Ok(plan)
}

/// Adds the weights that only these operators take, and that the plan leaves float.
pub(super) fn store_weights_of(
    plan: &mut Plan,
    model: &Model,
    constants: &Constants,
    config: &Config,
    those: impl Fn(OpId) -> bool,
) -> Result<()> {
    let all = plan_those_of(model, constants, config, None)?;
    let known: HashSet<ValueId> = plan.weights.iter().map(|weight| weight.value).collect();
    let stored = |weight: &WeightPlan| {
        let mut layers = weight.copies.iter().flat_map(|copy| &copy.layers);
        !known.contains(&weight.value) && layers.all(|&op| those(op))
    };
    plan.weights.extend(all.weights.into_iter().filter(stored));
    plan.weights.sort_by_key(|weight| weight.value);
    let known: HashSet<ValueId> = plan.weights.iter().map(|weight| weight.value).collect();
    plan.left_float.retain(|left| !known.contains(&left.value));
    Ok(())
}

/// The operators that take a weight which patterns leave float, with the reason.
pub(crate) fn excluded_layers(
    model: &Model,
    Constants(constants): &Constants,
    config: &Config,
) -> HashMap<OpId, Reason> {
    let excluded = constants.iter().filter_map(|constant| Some((constant, select(model, config, constant).err()?)));
    excluded
        .flat_map(|(constant, reason)| constant.weight_uses.iter().map(move |use_| (use_.last.op, reason.clone())))
        .collect()
}

fn plan_constants(context: &Context, constants: &[Constant]) -> Result<Plan> {
    // In parallel over weights, and inside each of them: neither a file of one huge table nor one of
    // a thousand small weights leaves a core idle.
    let decisions: Vec<_> = constants.par_iter().map(|constant| decide(context, constant)).collect::<Result<_>>()?;
    let mut plan = Plan::default();
    for decision in decisions {
        match decision {
            Decision::Quantize(weight) => plan.weights.push(*weight),
            Decision::LeaveFloat(left) => plan.left_float.push(*left),
            Decision::NoWeight { bytes } => {
                plan.others.count += 1;
                plan.others.bytes += bytes;
            }
        }
    }
    plan.left_float.extend(attributes(context.model));
    Ok(plan)
}

/// Large tensors that operators keep as attributes, but for those of Constant, which are constants: mostly what
/// calls hand to functions.
fn attributes(model: &Model) -> impl Iterator<Item = LeftFloat> {
    let operators = model.ops().filter(|&op| !model.op(op).is("Constant"));
    operators.flat_map(move |id| {
        let value = model.outputs(id).into_iter().flatten().next();
        let tensors = model.op(id).attribute_tensors();
        let large = tensors.filter(|(_, tensor)| is_float(tensor.dtype()) && is_large(&tensor.shape()));
        large.filter_map(move |(attribute, tensor)| {
            let operators = vec![model.op(id).describe()];
            let name = attribute.to_owned();
            Some(LeftFloat { value: value?, name, operators, bytes: tensor.byte_len(), reason: Reason::Attribute })
        })
    })
}

/// The lowest opset that can hold a model quantized as it should be; `None` if there is nothing to
/// quantize. Reads no weights.
///
/// `half_scales`: let a model whose weights are mostly float16 or bfloat16 have scales of that type,
/// which need opset 19. Without, they are float32, with a Cast behind.
///
/// # Errors
/// A tensor cannot be read.
pub(crate) fn required_opset(
    model: &Model,
    Constants(constants): &Constants,
    config: &Config,
    half_scales: bool,
) -> Result<Option<i64>> {
    let half_scales = half_scales && mostly_half(model, constants);
    let newest = Context { model, config, opset: Some(i64::MAX), half_scales, layers: None };
    // What is not smaller with a scale for each channel may be with one for the tensor, which is the form
    // before such scales came.
    let older = Context { opset: Some(PER_CHANNEL_OPSET - 1), ..newest };
    let mut needed = None;
    for constant in constants {
        let tensor = tensor(model, constant.value)?;
        let candidate = match newest.candidate(constant, &tensor) {
            Err(Refused::Reason(Reason::NotSmaller { .. })) => older.candidate(constant, &tensor),
            candidate => candidate,
        };
        match candidate {
            Ok(candidate) => needed = needed.max(Some(candidate.needed_opset())),
            Err(Refused::Error(error)) => return Err(error),
            Err(Refused::NoWeight | Refused::Reason(_)) => {}
        }
    }
    Ok(needed)
}

/// Whether most of the weights' bytes are float16 or bfloat16. What is quantized already counts as the type that it
/// is dequantized to, so that a second run finds what the first one found.
fn mostly_half(model: &Model, constants: &[Constant]) -> bool {
    let weights = constants.iter().filter(|constant| !constant.weight_uses.is_empty());
    let floats = weights.filter_map(|constant| model.constant(constant.value));
    let floats = floats.map(|tensor| (tensor.dtype(), tensor.element_count()));
    let stored = model.ops().filter(|&op| model.op(op).is("DequantizeLinear")).filter_map(|op| {
        let (integers, scales) = (model.input(op, 0)?, model.input(op, 1)?);
        Some((model.constant(scales)?.dtype(), model.constant(integers)?.element_count()))
    });
    let (mut half, mut all) = (0, 0);
    for (dtype, elements) in floats.chain(stored) {
        let bytes = elements.saturating_mul(element_bits(dtype).unwrap_or(0) / 8);
        all += bytes;
        if matches!(dtype, DataType::Float16 | DataType::Bfloat16) {
            half += bytes;
        }
    }
    2 * half > all
}

fn tensor(model: &Model, value: ValueId) -> Result<std::borrow::Cow<'_, Tensor>> {
    model.constant(value).ok_or_else(|| Error::invalid("a constant has no tensor"))
}

/// Most constants of a model with very many are no weights: what is said of those is kept small.
enum Decision {
    Quantize(Box<WeightPlan>),
    LeaveFloat(Box<LeftFloat>),
    NoWeight { bytes: usize },
}

fn decide(context: &Context, constant: &Constant) -> Result<Decision> {
    let model = context.model;
    let tensor = tensor(model, constant.value)?;
    let bytes = tensor.byte_len();
    let decision = match weight(context, constant, &tensor) {
        Ok(weight) => return Ok(Decision::Quantize(Box::new(weight))),
        Err(Refused::Error(error)) => {
            let op = constant.weight_uses.first().map(|use_| model.location(use_.last.op)).unwrap_or_default();
            return Err(error.at(op.path, op.operator));
        }
        Err(Refused::NoWeight) => Decision::NoWeight { bytes },
        Err(Refused::Reason(reason)) => {
            let name = model.value(constant.value).name().to_owned();
            let operators = layers(constant.weight_uses.iter()).into_iter();
            let operators = operators.map(|op| model.op(op).describe()).collect();
            Decision::LeaveFloat(Box::new(LeftFloat { value: constant.value, name, operators, bytes, reason }))
        }
    };
    Ok(decision)
}

/// Each operator once, though a weight may reach it on several ways.
fn layers<'a>(uses: impl Iterator<Item = &'a WeightUse>) -> Vec<OpId> {
    let mut seen = HashSet::new();
    uses.map(|use_| use_.last.op).filter(|&op| seen.insert(op)).collect()
}

/// What becomes of one constant, cheap questions first: the elements are read last.
fn weight(context: &Context, constant: &Constant, tensor: &Tensor) -> Result<WeightPlan, Refused> {
    let (model, config) = (context.model, context.config);
    let candidate = context.candidate(constant, tensor)?;
    let value = model.value(constant.value);
    let (found, needed) = (model.opset(value.scope()), candidate.needed_opset());
    let bytes = tensor.narrow().bytes()?;
    let copies = candidate
        .copies
        .into_iter()
        .map(|copy| quantized_copy(model, tensor, &bytes, (candidate.float_type, candidate.scales), copy))
        .collect::<Result<_, Refused>>()?;
    // Last: what cannot be quantized anyway needs no opset.
    if found < needed {
        return Err(Error::from(ErrorKind::Opset { found, needed }).into());
    }
    Ok(WeightPlan {
        value: constant.value,
        name: value.name().to_owned(),
        float_type: candidate.float_type,
        cast: candidate.cast,
        compensated: None,
        form: config.weight_form,
        accuracy_level: config.accuracy_level,
        was_input: candidate.was_input,
        copies,
        other_readers: constant.other_readers.iter().map(|&op| model.op(op).describe()).collect(),
    })
}

fn quantized_copy(
    model: &Model,
    tensor: &Tensor,
    bytes: &[u8],
    (float_type, scales): (FloatType, Option<WeightScales>),
    copy: CandidateCopy,
) -> Result<QuantizedCopy, Refused> {
    let CandidateCopy { granularity, scheme, transposed, apart, sites, weight_uses, otherwise } = copy;
    let layers = layers(weight_uses.into_iter());
    let operators = layers.iter().map(|&op| model.op(op).describe()).collect();
    let layout = layout(tensor, granularity)?;
    let method = scale_method(scales, scheme.ty);
    let params = parameters(bytes, float_type, &layout, scheme, method)
        .map_err(|at| Refused::Reason(Reason::NotFinite { index: at.index, value: at.value }))?;
    let params = params.into();
    Ok(QuantizedCopy { granularity, scheme, params, method, transposed, apart, sites, layers, operators, otherwise })
}

fn scale_method(asked: Option<WeightScales>, ty: QuantizedType) -> ScaleMethod {
    match asked {
        Some(WeightScales::Minmax) => ScaleMethod::MinMax,
        Some(WeightScales::Mse) => ScaleMethod::Mse,
        Some(WeightScales::Unbiased) => ScaleMethod::Unbiased,
        None if ty.bits() <= 4 => ScaleMethod::Unbiased,
        None => ScaleMethod::MinMax,
    }
}
