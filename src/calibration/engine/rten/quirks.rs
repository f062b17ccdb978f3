//! What rten computes otherwise than the ONNX specification says, of what it does not refuse itself, as of
//! version 0.27: each a line, with what is done about it.

use std::borrow::Cow;

use super::{Refused, rewrites, shapes::Shapes};
use crate::ir::{DataType, Model, Op, OpId, Tensor, ValueId};

/// Operators that make booleans.
const BOOLEAN: &[&str] =
    &["And", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Not", "Or", "Xor"];

/// An operator that may be one that rten computes otherwise.
pub(super) struct Case<'a> {
    pub model: &'a Model,
    pub id: OpId,
    pub shapes: &'a Shapes,
    /// What the main graph is given, where it is about to run.
    pub inputs: &'a [Tensor],
}

struct Quirk {
    operators: &'static [&'static str],
    /// Whether the operator is one of those that the quirk is about.
    concerns: fn(&Case) -> bool,
    remedy: Remedy,
}

enum Remedy {
    /// The operator is written in a way that rten computes as is meant.
    Rewrite(fn(&mut Model, &Shapes, OpId)),
    /// The operator is refused. The reason goes on with "rten".
    Refuse(&'static str),
    /// The operator is refused when it is about to run, as it depends on what is known only then.
    RefuseRun(&'static str),
}
use Remedy::{Refuse, RefuseRun, Rewrite};

const POOLS: &[&str] = &["MaxPool", "AveragePool"];
const WINDOWS: &[&str] = &["Conv", "ConvInteger", "MaxPool", "AveragePool"];
const PADDED: &[&str] = &["Conv", "ConvInteger", "ConvTranspose", "MaxPool", "AveragePool"];

const QUIRKS: &[Quirk] = &[
    // Where a convolution leaves its kernel's shape to its weight, it is taken for one without axes.
    Quirk {
        operators: &["Conv", "ConvInteger", "ConvTranspose"],
        concerns: lacks_kernel_shape,
        remedy: Rewrite(rewrites::state_kernel_shape),
    },
    // Strides are required.
    Quirk {
        operators: POOLS,
        concerns: |case| case.op().ints("strides").is_none(),
        remedy: Rewrite(rewrites::state_strides),
    },
    // What is padded is not what zero stands for.
    Quirk {
        operators: &["ConvInteger"],
        concerns: |case| {
            let stated = case.op().ints("pads").is_some_and(|pads| pads.iter().any(|&pad| pad != 0));
            stated && !case.auto_pad("VALID") || case.auto_pad("SAME_UPPER") || case.auto_pad("SAME_LOWER")
        },
        remedy: Refuse("pads integers with other numbers than zero"),
    },
    // VALID means no pads, whatever is stated.
    Quirk { operators: PADDED, concerns: |case| case.auto_pad("VALID"), remedy: Rewrite(rewrites::leave_out_pads) },
    // The odd element of padding always goes to the end.
    Quirk {
        operators: WINDOWS,
        concerns: |case| case.auto_pad("SAME_LOWER") && !case.can_be_reversed(),
        remedy: Refuse("pads at the other end where auto_pad is SAME_LOWER"),
    },
    Quirk { operators: WINDOWS, concerns: |case| case.auto_pad("SAME_LOWER"), remedy: Rewrite(rewrites::reverse) },
    Quirk {
        operators: &["ConvTranspose"],
        concerns: |case| case.auto_pad("SAME_LOWER") && rewrites::transposed_pads(case.op()).is_none(),
        remedy: Refuse("pads at the other end where auto_pad is SAME_LOWER"),
    },
    Quirk {
        operators: &["ConvTranspose"],
        concerns: |case| case.auto_pad("SAME_LOWER"),
        remedy: Rewrite(rewrites::state_transposed_pads),
    },
    // A product of a batch of matrices with a vector keeps the axis that it sums over.
    Quirk {
        operators: &["MatMul", "MatMulInteger"],
        concerns: |case| case.rank(1) == Some(1) && case.rank(0) != Some(1),
        remedy: Rewrite(rewrites::product_with_column),
    },
    Quirk {
        operators: &["MatMul", "MatMulInteger"],
        concerns: |case| case.rank(1).is_none_or(|rank| rank == 1) && case.rank(0).is_none_or(|rank| rank > 2),
        remedy: RefuseRun("leaves an axis too many where the right factor is a vector, as this one may be"),
    },
    Quirk {
        operators: &["Resize"],
        concerns: |case| case.op().text("mode") == Some("cubic"),
        remedy: Refuse("computes cubic interpolation as linear"),
    },
    Quirk {
        operators: &["Resize", "Upsample"],
        concerns: stretches_in_place,
        remedy: RefuseRun("copies what is resized to the size that it has"),
    },
    Quirk {
        operators: &["Resize"],
        concerns: |case| {
            case.op().text("coordinate_transformation_mode") == Some("align_corners")
                && scaled(case).is_none_or(|sizes| sizes.iter().any(|(_, scaled)| scaled.fract() != 0.0))
        },
        remedy: RefuseRun("aligns corners with whole elements, and here the scales make no whole number of them"),
    },
    Quirk {
        operators: &["LSTM", "GRU"],
        concerns: has_shorter_sequences,
        remedy: RefuseRun("runs all sequences to their end, whatever sequence_lens says"),
    },
    // Before opset 13 these flatten what they get to two axes; by default, all axes but the first to one.
    Quirk {
        operators: &["Softmax", "LogSoftmax"],
        concerns: |case| case.opset() < 13,
        remedy: Rewrite(rewrites::flatten_softmax),
    },
    // Boolean is an integer there: 0.5 becomes 0, and 2 stays 2.
    Quirk {
        operators: &["Cast"],
        concerns: |case| case.op().int("to") == Some(DataType::Bool as i64),
        remedy: Rewrite(rewrites::compare_with_zero),
    },
    Quirk {
        operators: &["CastLike"],
        concerns: |case| {
            case.input(1).is_none_or(|like| element_type(case.model, like).is_none_or(|dtype| dtype == DataType::Bool))
        },
        remedy: Refuse("has no booleans, and this one may be to make some"),
    },
    // It has four bytes where int64 and double have eight.
    Quirk {
        operators: &["BitCast"],
        concerns: |case| {
            let same = [DataType::Float, DataType::Int32, DataType::Int8, DataType::Uint8];
            same.iter().all(|&dtype| case.op().int("to") != Some(dtype as i64))
        },
        remedy: Refuse("has no numbers of eight bytes to cast bits to"),
    },
    // Of equal elements the last is taken.
    Quirk {
        operators: &["ArgMax", "ArgMin"],
        concerns: |case| case.op().int("select_last_index").unwrap_or(0) == 0,
        remedy: Rewrite(rewrites::first_of_top),
    },
    // The sign of zero is 1.
    Quirk { operators: &["Sign"], concerns: |_| true, remedy: Rewrite(rewrites::sign_by_comparison) },
    // The axis is the last by default, not the second.
    Quirk {
        operators: &["QuantizeLinear"],
        concerns: |case| case.op().int("axis").is_none() && case.rank(1) != Some(0) && case.rank(0) != Some(1),
        remedy: Rewrite(rewrites::state_axis),
    },
    // It multiplies by the inverse of the scale, which can be rounded to another integer.
    Quirk { operators: &["QuantizeLinear"], concerns: |_| true, remedy: Rewrite(rewrites::divide_by_scale) },
    Quirk {
        operators: &["DynamicQuantizeLinear"],
        concerns: |_| true,
        remedy: Rewrite(rewrites::divide_by_dynamic_scale),
    },
    Quirk {
        operators: &["NonMaxSuppression"],
        concerns: |_| true,
        remedy: Refuse("suppresses boxes across classes and images"),
    },
    // The smallest int64 and false are other numbers there.
    Quirk {
        operators: &["ReduceMax", "ReduceMin"],
        concerns: |case| case.elements(0) == Some(0.0),
        remedy: RefuseRun("has another largest and smallest number for nothing at all"),
    },
    Quirk {
        operators: &["ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"],
        concerns: reduces_nothing,
        remedy: RefuseRun("takes no absolute values, squares or logarithms of elements that are not summed up"),
    },
    Quirk {
        operators: &["Range"],
        concerns: |case| !steps_through_integers(case),
        remedy: RefuseRun("adds up steps that are rounded, and may make an element more or less"),
    },
    Quirk {
        operators: &["Slice"],
        concerns: slices_backwards_from_outside,
        remedy: RefuseRun("slices backwards otherwise where the range starts or ends outside"),
    },
    Quirk {
        operators: &["SequenceInsert"],
        concerns: |case| {
            let known = |position| case.shapes.integers(position);
            case.input(2).is_some_and(|position| known(position).is_none_or(|at| at.iter().any(|&at| at < 0)))
        },
        remedy: RefuseRun("counts from the other end where a position is below zero, as this one may be"),
    },
    Quirk {
        operators: &["PRelu"],
        concerns: |case| case.opset() < 7 && case.rank(1) != Some(0) && case.elements(1) != Some(1.0),
        remedy: Refuse("broadcasts slopes along the last axis, not, as before opset 7, along the channels"),
    },
];

impl Case<'_> {
    pub fn op(&self) -> &Op {
        self.model.op(self.id)
    }

    fn opset(&self) -> i64 {
        self.model.opset(self.op().scope())
    }

    fn input(&self, slot: usize) -> Option<ValueId> {
        self.model.input(self.id, slot)
    }

    /// The elements of a constant or of an input of the main graph.
    fn tensor(&self, value: ValueId) -> Option<Cow<'_, Tensor>> {
        let given = || self.inputs.iter().find(|tensor| tensor.name() == self.model.value(value).name());
        let is_given = self.model.is_input(value) && self.model.value(value).scope() == Model::MAIN;
        is_given.then(given).flatten().map(Cow::Borrowed).or_else(|| self.model.constant(value))
    }

    fn rank(&self, slot: usize) -> Option<usize> {
        self.shapes.rank(self.input(slot)?)
    }

    fn elements(&self, slot: usize) -> Option<f64> {
        self.shapes.elements(self.input(slot)?)
    }

    fn auto_pad(&self, kind: &str) -> bool {
        self.op().text("auto_pad") == Some(kind)
    }

    /// Whether padding at the other end is the same with every axis reversed: windows have to reach
    /// from one to the next, or those of the reversed input may be others.
    fn can_be_reversed(&self) -> bool {
        let Some(kernel) = self.op().ints("kernel_shape") else { return false };
        let step = |name: &str, axis: usize| self.op().ints(name).map_or(Some(1), |steps| steps.get(axis).copied());
        let covered = |(axis, &size): (usize, &i64)| {
            let (dilation, stride) = (step("dilations", axis)?, step("strides", axis)?);
            Some(size.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)? >= stride)
        };
        let one_output = self.model.outputs(self.id).iter().flatten().count() == 1;
        one_output && kernel.iter().enumerate().all(|axis| covered(axis) == Some(true))
    }
}

/// The type of a value's elements, as far as that shows.
fn element_type(model: &Model, mut value: ValueId) -> Option<DataType> {
    // Nothing that is asked about is further behind.
    for _ in 0..64 {
        if let Some(tensor) = model.constant(value) {
            return Some(tensor.dtype());
        }
        let Some(producer) = model.producer(value) else {
            let inputs = model.scope(model.value(value).scope()).inputs();
            return inputs.iter().find(|input| input.value == value)?.tensor_type()?.dtype;
        };
        let op = model.op(producer);
        if !op.domain().is_empty() || !op.bodies().is_empty() || model.outputs(producer).first() != Some(&Some(value)) {
            return None;
        }
        let like = match op.op_type() {
            "Cast" => return DataType::try_from(i32::try_from(op.int("to")?).ok()?).ok(),
            boolean if BOOLEAN.contains(&boolean) => return Some(DataType::Bool),
            "Shape" | "Size" | "NonZero" | "ArgMax" | "ArgMin" => return Some(DataType::Int64),
            "ConstantOfShape" => return Some(op.tensor("value").map_or(DataType::Float, Tensor::dtype)),
            "DequantizeLinear" | "CastLike" | "Where" => 1,
            "OneHot" => 2,
            _ => 0,
        };
        value = model.input(producer, like)?;
    }
    None
}

/// Whether the elements of a range are integers, or how many of them there are does not depend on rounding.
fn steps_through_integers(case: &Case) -> bool {
    let Some(start) = case.input(0) else { return true };
    if matches!(element_type(case.model, start), Some(DataType::Int64 | DataType::Int32)) {
        return true;
    }
    let whole = |slot: usize| {
        let number = case.tensor(case.input(slot)?)?.to_array::<f32>().ok()?;
        Some(number.iter().all(|number| number.fract() == 0.0 && number.abs() < 16_777_216.0))
    };
    (0..3).all(|slot| whole(slot) == Some(true))
}

/// Whether a slice may run backwards from before the first element, or to one that is too far for 32 bits.
fn slices_backwards_from_outside(case: &Case) -> bool {
    let Some(steps) = case.input(4) else { return false };
    let Some(steps) = case.shapes.integers(steps) else { return true };
    if steps.iter().all(|&step| step > 0) {
        return false;
    }
    let known = |slot: usize| case.shapes.integers(case.input(slot)?);
    let (Some(starts), Some(ends), Some(axes)) = (known(1), known(2), known(3)) else { return true };
    let Some(sizes) = case.input(0).and_then(|input| case.shapes.sizes(input)) else { return true };
    let outside = |place: usize| {
        let (start, end, axis) = (*starts.get(place)?, *ends.get(place)?, *axes.get(place)?);
        let axis = usize::try_from(if axis < 0 { axis + sizes.len() as i64 } else { axis }).ok()?;
        // A size that is not known is 1 at least.
        let size = sizes.get(axis)?.unwrap_or(1);
        Some(start < -size || end == i64::from(i32::MAX))
    };
    (0..steps.len()).any(|place| steps[place] < 0 && outside(place) != Some(false))
}

/// Whether a reduction has no axes, or may have none, and is to do nothing then.
fn reduces_nothing(case: &Case) -> bool {
    let axes = case.op().ints("axes").map(<[i64]>::to_vec);
    let axes = axes.or_else(|| case.input(1).map_or(Some(vec![]), |axes| case.shapes.integers(axes)));
    case.op().int("noop_with_empty_axes").unwrap_or(0) != 0 && axes.is_none_or(|axes| axes.is_empty())
}

fn lacks_kernel_shape(case: &Case) -> bool {
    case.op().ints("kernel_shape").is_none() && rewrites::kernel_shape(case.model, case.shapes, case.id).is_some()
}

/// Whether an axis is scaled, but by so little that it keeps its size: elements between the old ones are
/// asked for all the same. Sizes are known when it runs.
fn stretches_in_place(case: &Case) -> bool {
    let kept = |&(size, scaled): &(f32, f32)| scaled != size && scaled.floor() == size;
    scaled(case).is_none_or(|sizes| sizes.iter().any(kept))
}

/// The size of each axis, and times its scale; `None` if there are scales that are not known.
fn scaled(case: &Case) -> Option<Vec<(f32, f32)>> {
    let slot = if case.op().is("Resize") { 2 } else { 1 };
    let scales = match (case.input(slot), case.op().attribute("scales")) {
        (Some(scales), _) => case.tensor(scales)?.to_array::<f32>().ok()?.iter().copied().collect(),
        (None, Some(scales)) => scales.floats.clone(),
        (None, None) => vec![],
    };
    if scales.is_empty() {
        return Some(vec![]);
    }
    let sizes = case.shapes.sizes(case.input(0)?)?;
    let scaled = |(size, scale): (&Option<i64>, f32)| Some(((*size)? as f32, (*size)? as f32 * scale));
    sizes.iter().zip(scales).filter(|(_, scale)| *scale != 1.0).map(scaled).collect()
}

/// Whether sequences may be shorter than their input. Lengths that are known are compared when it runs.
fn has_shorter_sequences(case: &Case) -> bool {
    let Some(lengths) = case.input(4) else { return false };
    let longest = case.input(0).and_then(|input| *case.shapes.sizes(input)?.first()?);
    match (case.shapes.integers(lengths), longest) {
        (Some(lengths), Some(longest)) => lengths.iter().any(|&length| length != longest),
        _ => true,
    }
}

/// Rewrites what rten computes otherwise, or refuses it.
pub(super) fn work_around(model: &mut Model, shapes: &Shapes) -> Result<(), Refused> {
    let inputs = &[];
    for id in model.ops().collect::<Vec<OpId>>() {
        for quirk in QUIRKS {
            let case = Case { model, id, shapes, inputs };
            if !quirk.is_about(&case) {
                continue;
            }
            match quirk.remedy {
                Rewrite(rewrite) => rewrite(model, shapes, id),
                Refuse(reason) => return Err(Refused { op: id, reason: (*reason).to_owned() }),
                RefuseRun(_) => {}
            }
        }
    }
    Ok(())
}

/// Refuses what rten computes otherwise for these shapes.
pub(super) fn check(model: &Model, shapes: &Shapes, inputs: &[Tensor]) -> Result<(), Refused> {
    for id in model.ops() {
        let case = Case { model, id, shapes, inputs };
        for quirk in QUIRKS {
            if let (RefuseRun(reason), true) = (&quirk.remedy, quirk.is_about(&case)) {
                return Err(Refused { op: id, reason: (*reason).to_owned() });
            }
        }
    }
    Ok(())
}

impl Quirk {
    fn is_about(&self, case: &Case) -> bool {
        self.operators.iter().any(|operator| case.op().is(operator)) && (self.concerns)(case)
    }
}
