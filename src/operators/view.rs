//! How a constant looks behind operators that only rearrange data, and which of its own axes each
//! axis of the rearranged tensor is.

use super::{is_standard, normalize_axis};
use crate::ir::{DataType, Model, OpId, Use, ValueId, is_float};

/// A constant seen through operators that rearrange it.
///
/// `axes[i]` is the constant's own axis that axis `i` runs along: `None` where it runs along none
/// (a new axis of size 1) or along several merged ones. Behind Slice and Concat an axis is still the
/// constant's, a part of it or with others' behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The shape after rearranging; `None` for sizes that Slice or Concat changed.
    pub shape: Vec<Option<usize>>,
    /// The constant's axis for each axis of `shape`.
    pub axes: Vec<Option<usize>>,
}

/// Axes beyond what any runtime takes: a constant of more is not followed.
const MAX_RANK: usize = 64;
/// Inputs of a Concat, all of which are looked at for each of them: beyond what exporters write.
const MAX_CONCATENATED: usize = 1024;

impl View {
    /// The constant itself.
    pub fn new(shape: Vec<usize>) -> Self {
        let axes = (0..shape.len()).map(Some).collect();
        Self { shape: shape.into_iter().map(Some).collect(), axes }
    }

    /// The view behind an operator that reads this one; `None` if the operator does more than
    /// rearrange constants, or how it does so is only known when it runs or is called.
    #[must_use]
    pub fn behind(&self, model: &Model, reader: Use) -> Option<Self> {
        let id = reader.op;
        let op = model.op(id);
        let rank = self.shape.len();
        // With other outputs it would do something else besides.
        let plain = is_standard(model, id) && op.arity.outputs == 1;
        let other_slot = reader.slot > 0 && op.op_type() != "Concat";
        if !plain || other_slot || rank > MAX_RANK {
            return None;
        }
        if op.has_attributes_of_caller() {
            // Transposed in whatever order: a matrix stays one, but which axis is which is not known.
            return op.is("Transpose").then(|| Self { shape: vec![None; rank], axes: vec![None; rank] });
        }
        match op.op_type() {
            "Identity" => Some(self.clone()),
            "Cast" => {
                let to = DataType::try_from(i32::try_from(op.int("to")?).ok()?).ok()?;
                is_float(to).then(|| self.clone())
            }
            "Transpose" => {
                let order: Vec<usize> = match op.ints("perm") {
                    Some(perm) => perm.iter().map(|&axis| normalize_axis(axis, rank)).collect::<Option<_>>()?,
                    None => (0..rank).rev().collect(),
                };
                let mut seen = order.clone();
                seen.sort_unstable();
                seen.iter().copied().eq(0..rank).then(|| self.pick(&order))
            }
            "Squeeze" => {
                let dropped: Vec<usize> = match axes_of(model, id)? {
                    Some(axes) if axes.len() > rank => return None,
                    Some(axes) => axes.iter().map(|&axis| normalize_axis(axis, rank)).collect::<Option<_>>()?,
                    None => {
                        let shape = self.known_shape()?;
                        (0..rank).filter(|&axis| shape[axis] == 1).collect()
                    }
                };
                let kept: Vec<usize> = (0..rank).filter(|axis| !dropped.contains(axis)).collect();
                Some(self.pick(&kept))
            }
            "Unsqueeze" => {
                let new = axes_of(model, id)??;
                if new.len() > MAX_RANK {
                    return None;
                }
                let rank = rank + new.len();
                let new: Vec<usize> = new.iter().map(|&axis| normalize_axis(axis, rank)).collect::<Option<_>>()?;
                let mut old = self.shape.iter().copied().zip(self.axes.iter().copied());
                let all = (0..rank).map(|axis| if new.contains(&axis) { Some((Some(1), None)) } else { old.next() });
                let (shape, axes) = all.collect::<Option<Vec<_>>>()?.into_iter().unzip();
                Some(Self { shape, axes })
            }
            "Flatten" => {
                let axis = op.int("axis").unwrap_or(1);
                let axis = if axis == rank as i64 { rank } else { normalize_axis(axis, rank)? };
                let shape = self.known_shape()?;
                let (front, back) = shape.split_at(axis);
                Some(self.reshaped(&shape, &[front.iter().product(), back.iter().product()]))
            }
            "Reshape" => self.reshape(model, id),
            "Slice" => Some(Self { shape: vec![None; rank], axes: self.axes.clone() }),
            "Concat" => {
                let axis = normalize_axis(op.int("axis")?, rank)?;
                let mut shape = self.shape.clone();
                shape[axis] = None;
                // With anything but constants beside it, what comes out is no weight.
                let constants = op.arity.inputs <= MAX_CONCATENATED
                    && model.inputs(id).into_iter().flatten().all(|value| is_constant(model, value));
                constants.then(|| Self { shape, axes: self.axes.clone() })
            }
            _ => None,
        }
    }

    fn pick(&self, order: &[usize]) -> Self {
        Self {
            shape: order.iter().map(|&axis| self.shape[axis]).collect(),
            axes: order.iter().map(|&axis| self.axes[axis]).collect(),
        }
    }

    fn reshape(&self, model: &Model, id: OpId) -> Option<Self> {
        let op = model.op(id);
        let target = constant_integers(model, model.input(id, 1)?).filter(|target| target.len() <= MAX_RANK)?;
        let allow_zero = op.int("allowzero").unwrap_or(0) != 0;
        let old = self.known_shape()?;
        let elements: usize = old.iter().product();
        let mut shape = Vec::new();
        for (axis, &dim) in target.iter().enumerate() {
            shape.push(match dim {
                0 if !allow_zero => *old.get(axis)?,
                -1 => 1,
                dim => usize::try_from(dim).ok()?,
            });
        }
        if let Some(free) = target.iter().position(|&dim| dim == -1) {
            let known = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim))?;
            shape[free] = elements.checked_div(known)?;
        }
        let fits = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim)) == Some(elements);
        fits.then(|| self.reshaped(&old, &shape))
    }

    /// An axis survives where it has the same size and as many elements before it as an old one.
    fn reshaped(&self, old: &[usize], new: &[usize]) -> Self {
        let before = |shape: &[usize], axis: usize| shape[..axis].iter().product::<usize>();
        let survivor = |axis: usize| {
            let same = |&other: &usize| old[other] == new[axis] && before(old, other) == before(new, axis);
            (0..old.len()).filter(|_| new[axis] != 1).find(same).and_then(|other| self.axes[other])
        };
        Self { shape: new.iter().copied().map(Some).collect(), axes: (0..new.len()).map(survivor).collect() }
    }

    /// `None` also where there are no elements: nothing can be said of axes then.
    fn known_shape(&self) -> Option<Vec<usize>> {
        self.shape.iter().map(|size| size.filter(|&size| size > 0)).collect()
    }
}

/// How far back constants are followed: far beyond what exporters write.
const MAX_DEPTH: usize = 8;

/// Whether a value is a constant, or made of constants by rearranging them, or by dequantizing them: what was
/// quantized is as constant as before.
pub(crate) fn is_constant(model: &Model, value: ValueId) -> bool {
    is_constant_within(model, value, 0)
}

/// Whether operators of this type rearrange, or convert, what they read first, and compute nothing.
pub(crate) fn rearranges(op_type: &str) -> bool {
    matches!(op_type, "Identity" | "Cast" | "Transpose" | "Squeeze" | "Unsqueeze" | "Flatten" | "Reshape" | "Slice")
}

fn is_constant_within(model: &Model, value: ValueId, depth: usize) -> bool {
    if model.constant(value).is_some() {
        return true;
    }
    let Some(producer) = model.producer(value).filter(|_| depth < MAX_DEPTH) else { return false };
    let op = model.op(producer);
    let known = rearranges(op.op_type()) || matches!(op.op_type(), "QuantizeLinear" | "DequantizeLinear");
    is_standard(model, producer)
        && known
        && model.input(producer, 0).is_some_and(|input| is_constant_within(model, input, depth + 1))
}

/// The axes of Squeeze and Unsqueeze: an input since opset 13, an attribute before. `Some(None)` if
/// they are left out, `None` if they are not constant.
fn axes_of(model: &Model, op: OpId) -> Option<Option<Vec<i64>>> {
    if let Some(axes) = model.op(op).ints("axes") {
        return Some(Some(axes.to_vec()));
    }
    match model.inputs(op).get(1) {
        Some(Some(value)) => constant_integers(model, *value).map(Some),
        _ => Some(None),
    }
}

fn constant_integers(model: &Model, value: ValueId) -> Option<Vec<i64>> {
    // An input's default value may be overridden by whoever runs the model.
    let overridable = model.is_input(value) && model.ir_version() >= 4;
    let tensor = model.constant(value).filter(|_| !overridable)?;
    Some(tensor.to_array::<i64>().ok()?.into_iter().collect())
}
