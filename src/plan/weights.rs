//! Decides, weight by weight: which are quantized, with which scales, and which stay float.

use rayon::prelude::*;

use super::{
    LeftFloat, Others, Plan, QuantizedCopy, Reason, WeightPlan,
    trace::{Constant, WeightUse, constants},
};
use crate::{
    config::{Config, Granularity as Sharing, Pattern, WeightForm, WeightType},
    error::{Error, ErrorKind, Result},
    ir::{DataType, Model, Tensor, type_name},
    numeric::{FloatType, Granularity, Layout, QuantizedType, ScaleType, Scheme, ranges},
};

/// The opset from which on there are QuantizeLinear and DequantizeLinear.
const QDQ_OPSET: i64 = 10;
/// The opset from which on they take a scale per channel.
const PER_CHANNEL_OPSET: i64 = 13;
/// The opset from which on they make float16 and bfloat16.
const HALF_OPSET: i64 = 19;

/// Plans the quantization of a model's weights.
///
/// Reads every weight once, for its range; nothing is changed.
///
/// # Errors
/// The model's opset has no DequantizeLinear, or a tensor cannot be read.
///
/// ```
/// use onnx_quant::{Config, Model, plan::plan};
/// let model = Model::load("testdata/kws_dscnn.onnx")?;
/// let plan = plan(&model, &Config::default())?;
/// assert!(plan.weights.iter().all(|weight| weight.copies.len() == 1));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn plan(model: &Model, config: &Config) -> Result<Plan> {
    let constants = constants(model);
    // In parallel over weights, and inside each of them: neither a file of one huge table nor one of
    // a thousand small weights leaves a core idle.
    let decisions: Vec<_> =
        constants.par_iter().map(|constant| decide(model, config, constant)).collect::<Result<_>>()?;
    let mut plan = Plan { weights: vec![], left_float: vec![], others: Others::default(), warnings: vec![] };
    for decision in decisions {
        match decision {
            Decision::Quantize(weight) => plan.weights.push(weight),
            Decision::LeaveFloat(left) => plan.left_float.push(left),
            Decision::NoWeight { bytes } => {
                plan.others.count += 1;
                plan.others.bytes += bytes;
            }
        }
    }
    plan.warnings = unmatched_patterns(model, config, &constants);
    Ok(plan)
}

enum Decision {
    Quantize(WeightPlan),
    LeaveFloat(LeftFloat),
    NoWeight { bytes: usize },
}

fn decide(model: &Model, config: &Config, constant: &Constant) -> Result<Decision> {
    let tensor = model.constant(constant.value).ok_or_else(|| Error::invalid("a constant has no tensor"))?;
    let bytes = tensor.byte_len();
    let name = model.value(constant.value).name().to_owned();
    let mut operators: Vec<String> = constant.weight_uses.iter().map(|use_| model.op(use_.op).describe()).collect();
    operators.dedup();
    let decision = match weight(model, config, constant, &tensor) {
        Ok(weight) => return Ok(Decision::Quantize(weight)),
        Err(Refused::Error(error)) => {
            let op = constant.weight_uses.first().map(|use_| model.location(use_.op)).unwrap_or_default();
            return Err(error.at(op.path, op.operator));
        }
        Err(Refused::NoWeight) => Decision::NoWeight { bytes },
        Err(Refused::Reason(reason)) => Decision::LeaveFloat(LeftFloat { name, operators, bytes, reason }),
    };
    Ok(decision)
}

enum Refused {
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

/// What becomes of one constant, cheap questions first: the elements are read last.
fn weight(model: &Model, config: &Config, constant: &Constant, tensor: &Tensor) -> Result<WeightPlan, Refused> {
    if constant.quantized {
        return Err(Reason::AlreadyQuantized.into());
    }
    if constant.weight_uses.is_empty() {
        return Err(Refused::NoWeight);
    }
    let value = model.value(constant.value);
    select(model, config, constant)?;
    // Before IR version 4 every initializer had to be an input too; that says nothing.
    let was_input = model.is_input(constant.value);
    if was_input && model.ir_version() >= 4 && config.keep_overridable {
        return Err(Reason::Overridable.into());
    }
    if model.trained_names().any(|name| name == value.name()) {
        return Err(Reason::Trained.into());
    }
    let elements = tensor.element_count();
    if elements == 0 {
        return Err(Reason::Empty.into());
    }
    if elements < config.min_elements {
        return Err(Reason::FewElements { elements }.into());
    }
    let opset = model.opset(value.scope());
    if opset < QDQ_OPSET {
        return Err(Error::from(ErrorKind::Opset { found: opset, needed: QDQ_OPSET }).into());
    }
    let float_type = float_type(tensor.dtype(), opset)?;

    let scheme =
        Scheme { ty: integer_type(config.weights), symmetric: !config.asymmetric, scale: ScaleType::Float(float_type) };
    let groups = share(constant, config.granularity, opset);
    if config.weight_form == WeightForm::Dq {
        worth_it(value.name(), tensor, &groups, scheme)?;
    }
    let bytes = tensor.bytes()?;
    let copies = groups
        .into_iter()
        .map(|group| {
            let layout = layout(tensor, group.granularity)?;
            let ranges = ranges(&bytes, float_type, &layout)
                .map_err(|at| Refused::Reason(Reason::NotFinite { index: at.index, value: at.value }))?;
            Ok(QuantizedCopy {
                granularity: group.granularity,
                scheme,
                params: ranges.into_iter().map(|range| scheme.parameters(range).stored_as(float_type)).collect(),
                uses: group.weight_uses.iter().map(|use_| use_.first).collect(),
                operators: group.weight_uses.iter().map(|use_| model.op(use_.op).describe()).collect(),
                note: group.note,
            })
        })
        .collect::<Result<_, Refused>>()?;
    let other_readers = constant.other_readers.iter().map(|&op| model.op(op).describe()).collect();
    let name = value.name().to_owned();
    let form = config.weight_form;
    Ok(WeightPlan { value: constant.value, name, float_type, form, was_input, copies, other_readers })
}

/// Include and exclude patterns: they match the weight's name, the names of the operators that take
/// it, and their types. All of a weight stays float if one of its operators is excluded.
fn select(model: &Model, config: &Config, constant: &Constant) -> Result<(), Reason> {
    let subjects = subjects(model, constant);
    let first_match = |patterns: &[Pattern]| {
        patterns.iter().find_map(|pattern| {
            let matched = subjects.iter().find(|subject| pattern.matches(subject))?;
            Some((matched.to_string(), pattern.to_string()))
        })
    };
    if let Some((matched, pattern)) = first_match(&config.exclude) {
        return Err(Reason::Excluded { matched, pattern });
    }
    if !config.include.is_empty() && first_match(&config.include).is_none() {
        return Err(Reason::NotIncluded);
    }
    Ok(())
}

fn subjects<'a>(model: &'a Model, constant: &Constant) -> Vec<&'a str> {
    let mut subjects = vec![model.value(constant.value).name()];
    for use_ in &constant.weight_uses {
        let op = model.op(use_.op);
        subjects.extend([op.name(), op.op_type()]);
    }
    subjects.retain(|subject| !subject.is_empty());
    subjects
}

fn unmatched_patterns(model: &Model, config: &Config, constants: &[Constant]) -> Vec<String> {
    let subjects: Vec<&str> = constants
        .iter()
        .filter(|constant| !constant.weight_uses.is_empty())
        .flat_map(|constant| subjects(model, constant))
        .collect();
    let patterns = config.include.iter().chain(&config.exclude);
    patterns
        .filter(|pattern| !subjects.iter().any(|subject| pattern.matches(subject)))
        .map(|pattern| format!("pattern '{pattern}' matches no weight and no operator that takes one"))
        .collect()
}

fn float_type(dtype: DataType, opset: i64) -> Result<FloatType, Reason> {
    let half = |float_type| {
        let reason = Reason::FloatType { dtype: type_name(dtype), since_opset: Some(HALF_OPSET) };
        if opset < HALF_OPSET { Err(reason) } else { Ok(float_type) }
    };
    match dtype {
        DataType::Float => Ok(FloatType::F32),
        DataType::Float16 => half(FloatType::F16),
        DataType::Bfloat16 => half(FloatType::BF16),
        _ => Err(Reason::FloatType { dtype: type_name(dtype), since_opset: None }),
    }
}

fn integer_type(weights: WeightType) -> QuantizedType {
    match weights {
        WeightType::Int8 => QuantizedType::Int8,
        WeightType::Uint8 => QuantizedType::UInt8,
    }
}

/// Uses of a constant that share a quantized copy.
struct Group<'a> {
    granularity: Granularity,
    weight_uses: Vec<&'a WeightUse>,
    note: Option<String>,
}

/// One copy where the axes agree, one per axis where they do not.
fn share(constant: &Constant, sharing: Sharing, opset: i64) -> Vec<Group<'_>> {
    let all: Vec<&WeightUse> = constant.weight_uses.iter().collect();
    let one = |granularity, note: Option<&str>| {
        vec![Group { granularity, weight_uses: all.clone(), note: note.map(str::to_owned) }]
    };
    if sharing == Sharing::PerTensor {
        return one(Granularity::PerTensor, None);
    }
    if opset < PER_CHANNEL_OPSET {
        return one(Granularity::PerTensor, Some("one scale: per-channel scales need opset 13"));
    }
    let Some(axis) = all.iter().find_map(|use_| use_.axis) else {
        return one(Granularity::PerTensor, Some("one scale: the output channels lie along no axis of the weight"));
    };
    let mut groups = vec![Group { granularity: Granularity::PerChannel { axis }, weight_uses: vec![], note: None }];
    for use_ in all {
        // Uses behind one direct use of the constant cannot be told apart: the first decides. Those
        // without an axis are content with any.
        let position = match use_.axis {
            None => Some(0),
            Some(axis) => {
                let same_way = |group: &Group| group.weight_uses.iter().any(|other| other.first == use_.first);
                let behind_same_use = groups.iter().position(same_way);
                behind_same_use
                    .or_else(|| groups.iter().position(|group| group.granularity == Granularity::PerChannel { axis }))
            }
        };
        match (position, use_.axis) {
            (Some(position), _) => groups[position].weight_uses.push(use_),
            (None, axis) => groups.push(Group {
                granularity: axis.map_or(Granularity::PerTensor, |axis| Granularity::PerChannel { axis }),
                weight_uses: vec![use_],
                note: None,
            }),
        }
    }
    groups
}

fn layout(tensor: &Tensor, granularity: Granularity) -> Result<Layout> {
    Layout::new(&tensor.shape(), granularity).map_err(|error| Error::tensor(tensor.name(), error.to_string()))
}

/// Whether the quantized form is smaller than the float one, all counted: integers, scales, zero
/// points, the names of three tensors and the DequantizeLinear.
fn worth_it(name: &str, tensor: &Tensor, groups: &[Group], scheme: Scheme) -> Result<(), Refused> {
    /// Field tags, lengths, types, suffixes of names: what one DequantizeLinear and its three
    /// tensors take in the file besides data, dimensions and the weight's own name.
    const STRUCTURE: usize = 175;
    /// How often the weight's name stands in them.
    const NAMES: usize = 8;
    let float = tensor.byte_len();
    let mut quantized = 0;
    for group in groups {
        let layout = layout(tensor, group.granularity)?;
        let element = tensor.byte_len() / tensor.element_count();
        let zero_points = scheme.ty.bytes(layout.scales());
        quantized += scheme.ty.bytes(layout.elements()) + layout.scales() * element + zero_points;
        quantized += STRUCTURE + NAMES * name.len();
    }
    if quantized < float { Ok(()) } else { Err(Reason::NotSmaller { float, quantized }.into()) }
}
