//! How a constant looks behind operators that only rearrange data, and which of its own axes each
//! axis of the rearranged tensor is.

use super::normalize_axis;
use crate::ir::{DataType, Model, OpId, ValueId, is_float};

/// A constant seen through operators that rearrange it.
///
/// `axes[i]` is the constant's own axis that axis `i` runs along: `None` where it runs along none
/// (a new axis of size 1) or along several merged ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The shape after rearranging.
    pub shape: Vec<usize>,
    /// The constant's axis for each axis of `shape`.
    pub axes: Vec<Option<usize>>,
}

impl View {
    /// The constant itself.
    pub fn new(shape: Vec<usize>) -> Self {
        let axes = (0..shape.len()).map(Some).collect();
        Self { shape, axes }
    }

    /// The view behind an operator that reads this one in input 0; `None` if the operator does
    /// more than rearrange, or how it does so is only known when it runs.
    #[must_use]
    pub fn behind(&self, model: &Model, id: OpId) -> Option<Self> {
        let op = model.op(id);
        if !op.domain().is_empty() {
            return None;
        }
        let rank = self.shape.len();
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
                    Some(axes) => axes.iter().map(|&axis| normalize_axis(axis, rank)).collect::<Option<_>>()?,
                    None => (0..rank).filter(|&axis| self.shape[axis] == 1).collect(),
                };
                let kept: Vec<usize> = (0..rank).filter(|axis| !dropped.contains(axis)).collect();
                Some(self.pick(&kept))
            }
            "Unsqueeze" => {
                let new = axes_of(model, id)??;
                let rank = rank + new.len();
                let new: Vec<usize> = new.iter().map(|&axis| normalize_axis(axis, rank)).collect::<Option<_>>()?;
                let mut old = self.shape.iter().copied().zip(self.axes.iter().copied());
                let all = (0..rank).map(|axis| if new.contains(&axis) { Some((1, None)) } else { old.next() });
                let (shape, axes) = all.collect::<Option<Vec<_>>>()?.into_iter().unzip();
                Some(Self { shape, axes })
            }
            "Flatten" => {
                let axis = op.int("axis").unwrap_or(1);
                let axis = if axis == rank as i64 { rank } else { normalize_axis(axis, rank)? };
                let (front, back) = self.shape.split_at(axis);
                Some(self.reshaped(vec![front.iter().product(), back.iter().product()]))
            }
            "Reshape" => self.reshape(model, id),
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
        let target = constant_integers(model, model.input(id, 1)?)?;
        let allow_zero = op.int("allowzero").unwrap_or(0) != 0;
        let elements: usize = self.shape.iter().product();
        let mut shape = Vec::new();
        for (axis, &dim) in target.iter().enumerate() {
            shape.push(match dim {
                0 if !allow_zero => *self.shape.get(axis)?,
                -1 => 1,
                dim => usize::try_from(dim).ok()?,
            });
        }
        if let Some(free) = target.iter().position(|&dim| dim == -1) {
            let known = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim))?;
            shape[free] = elements.checked_div(known)?;
        }
        let fits = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim)) == Some(elements);
        fits.then(|| self.reshaped(shape))
    }

    /// An axis survives where it has the same size and as many elements before it as an old one.
    fn reshaped(&self, shape: Vec<usize>) -> Self {
        let before = |shape: &[usize], axis: usize| shape[..axis].iter().product::<usize>();
        let axes = (0..shape.len())
            .map(|axis| {
                let old = (0..self.shape.len()).find(|&old| {
                    self.shape[old] == shape[axis] && shape[axis] != 1 && before(&self.shape, old) == before(&shape, axis)
                });
                old.and_then(|old| self.axes[old])
            })
            .collect();
        Self { shape, axes }
    }
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
    if let Some(ints) = model.producer(value).filter(|&op| model.op(op).is("Constant")).map(|op| model.op(op)) {
        if let Some(list) = ints.ints("value_ints") {
            return Some(list.to_vec());
        }
    }
    // An input's default value may be overridden by whoever runs the model.
    let overridable = model.is_input(value) && model.ir_version() >= 4;
    let tensor = model.constant(value).filter(|_| !overridable)?;
    Some(tensor.to_i64().ok()?.into_iter().collect())
}
