//! Operators that move elements or repeat them.

use ndarray::{ArrayD, Axis, IxDyn, concatenate};

use super::{
    MAX_RANK,
    array::{Array, each_same},
    evaluate::Evaluation,
};
use crate::operators::normalize_axis;

impl Evaluation<'_> {
    pub(super) fn transpose(&self) -> Option<Array> {
        let data = self.input(0)?;
        let rank = data.rank();
        let order: Vec<usize> = match self.op.ints("perm") {
            Some(perm) => axes(perm, rank)?,
            None => (0..rank).rev().collect(),
        };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..rank) {
            return None;
        }
        each_same!(data, elements => elements.view().permuted_axes(IxDyn(&order)).as_standard_layout().into_owned())
    }

    pub(super) fn reshape(&self) -> Option<Array> {
        let data = self.input(0)?;
        let target = self.integers("shape", 1).filter(|target| target.len() <= MAX_RANK)?;
        let old = data.shape();
        let elements: usize = old.iter().product();
        let allow_zero = self.op.int("allowzero").unwrap_or(0) != 0;
        let size = |(axis, &size): (usize, &i64)| match size {
            0 if !allow_zero => old.get(axis).copied(),
            -1 => Some(1),
            size => usize::try_from(size).ok(),
        };
        let mut shape: Vec<usize> = target.iter().enumerate().map(size).collect::<Option<_>>()?;
        if let Some(free) = target.iter().position(|&size| size == -1) {
            let known = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size))?;
            shape[free] = elements.checked_div(known)?;
        }
        reshaped(data, &shape)
    }

    pub(super) fn squeeze(&self) -> Option<Array> {
        let data = self.input(0)?;
        let shape = data.shape();
        let dropped = match self.integers("axes", 1) {
            Some(list) => axes(&list, shape.len())?,
            None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
        };
        // Only axes of size 1 can go: the number of elements would not fit.
        let kept: Vec<usize> =
            (0..shape.len()).filter(|axis| !dropped.contains(axis)).map(|axis| shape[axis]).collect();
        reshaped(data, &kept)
    }

    pub(super) fn unsqueeze(&self) -> Option<Array> {
        let data = self.input(0)?;
        let list = self.integers("axes", 1).filter(|list| list.len() <= MAX_RANK)?;
        let rank = data.rank() + list.len();
        let new = axes(&list, rank)?;
        let shape = data.shape();
        let mut old = shape.iter().copied();
        let shape: Vec<usize> =
            (0..rank).map(|axis| if new.contains(&axis) { Some(1) } else { old.next() }).collect::<Option<_>>()?;
        reshaped(data, &shape)
    }

    pub(super) fn concat(&self) -> Option<Array> {
        let first = self.input(0)?;
        let axis = Axis(normalize_axis(self.op.int("axis")?, first.rank())?);
        if self.inputs.iter().flatten().any(|part| part.rank() != first.rank()) {
            return None;
        }
        let total = self.inputs.iter().flatten().map(|part| part.shape().iter().product::<usize>()).sum();
        self.allow(&[total], first)?;
        macro_rules! joined {
            ($kind:ident) => {{
                let parts = self.inputs.iter().map(|part| match part {
                    Some(Array::$kind(elements)) => Some(elements.view()),
                    _ => None,
                });
                let parts: Vec<_> = parts.collect::<Option<_>>()?;
                Some(Array::$kind(concatenate(axis, &parts).ok()?.as_standard_layout().into_owned()))
            }};
        }
        match first {
            Array::Bool(_) => joined!(Bool),
            Array::I8(_) => joined!(I8),
            Array::U8(_) => joined!(U8),
            Array::I32(_) => joined!(I32),
            Array::I64(_) => joined!(I64),
            Array::F16(_) => joined!(F16),
            Array::F32(_) => joined!(F32),
            Array::F64(_) => joined!(F64),
        }
    }

    pub(super) fn gather(&self) -> Option<Array> {
        let (data, indices) = (self.input(0)?, self.input(1)?);
        let shape = data.shape();
        let axis = normalize_axis(self.op.int("axis").unwrap_or(0), shape.len())?;
        let picked: Vec<usize> =
            indices.integers()?.into_iter().map(|index| normalize_axis(index, shape[axis])).collect::<Option<_>>()?;
        let target = [&shape[..axis], &indices.shape(), &shape[axis + 1..]].concat();
        self.allow(&target, data)?;
        let picked = each_same!(data, elements => elements.select(Axis(axis), &picked))?;
        reshaped(&picked, &target)
    }

    pub(super) fn slice(&self) -> Option<Array> {
        let mut data = self.input(0)?.clone();
        let (starts, ends) = (self.integers("starts", 1)?, self.integers("ends", 2)?);
        let along = self.integers("axes", 3).unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self.integers("steps", 4).unwrap_or_else(|| vec![1; starts.len()]);
        let along = axes(&along, data.rank())?;
        if [ends.len(), along.len(), steps.len()] != [starts.len(); 3] {
            return None;
        }
        for (index, axis) in along.into_iter().enumerate() {
            let picked = run(starts[index], ends[index], steps[index], data.shape()[axis])?;
            data = each_same!(&data, elements => elements.select(Axis(axis), &picked))?;
        }
        Some(data)
    }

    pub(super) fn expand(&self) -> Option<Array> {
        let data = self.input(0)?;
        let shape = sizes(&self.integers("", 1)?)?;
        let shape = broadcast_shape(&[&data.shape(), &shape])?;
        self.allow(&shape, data)?;
        each_same!(data, elements => elements.broadcast(IxDyn(&shape))?.to_owned())
    }

    pub(super) fn tile(&self) -> Option<Array> {
        let mut data = self.input(0)?.clone();
        let repeats = sizes(&self.integers("", 1)?).filter(|repeats| repeats.len() == data.rank())?;
        let shape = data.shape().into_iter().zip(&repeats).map(|(size, &repeats)| size.checked_mul(repeats));
        self.allow(&shape.collect::<Option<Vec<_>>>()?, &data)?;
        for (axis, repeats) in repeats.into_iter().enumerate() {
            let size = data.shape()[axis];
            let picked: Vec<usize> = (0..repeats * size).map(|index| index % size).collect();
            data = each_same!(&data, elements => elements.select(Axis(axis), &picked))?;
        }
        Some(data)
    }

    pub(super) fn constant_of_shape(&self) -> Option<Array> {
        let shape = sizes(&self.integers("", 0)?)?;
        let value = match self.op.tensor("value") {
            Some(value) => Array::of(value)?,
            None => Array::F32(ArrayD::zeros(IxDyn(&[1]))),
        };
        self.allow(&shape, &value)?;
        each_same!(&value, elements => ArrayD::from_elem(IxDyn(&shape), *elements.first()?))
    }

    /// Of integers; sums of floats would differ with how a runtime adds them up.
    pub(super) fn range(&self) -> Option<Array> {
        let numbers: Vec<i64> =
            (0..3).map(|slot| Some(*self.input(slot)?.integers()?.first()?)).collect::<Option<_>>()?;
        let &[start, limit, delta] = numbers.as_slice() else { return None };
        let span = i128::from(limit) - i128::from(start);
        let count = match delta {
            0 => return None,
            delta => (span + i128::from(delta) - i128::from(delta.signum())) / i128::from(delta),
        };
        let count = usize::try_from(count.max(0)).ok()?;
        self.allow(&[count], self.input(0)?)?;
        // Each of them lies between start and limit.
        Array::list((0..count as i64).map(|index| start.wrapping_add(index.wrapping_mul(delta))))
            .cast(self.input(0)?.dtype())
    }
}

/// The shape that several shapes have in common: sizes are equal or 1, counted from the last.
pub(super) fn broadcast_shape(shapes: &[&[usize]]) -> Option<Vec<usize>> {
    let rank = shapes.iter().map(|shape| shape.len()).max()?;
    let mut common = vec![1; rank];
    for shape in shapes {
        for (common, &size) in common.iter_mut().rev().zip(shape.iter().rev()) {
            if *common == 1 {
                *common = size;
            } else if size != 1 && size != *common {
                return None;
            }
        }
    }
    Some(common)
}

fn reshaped(data: &Array, shape: &[usize]) -> Option<Array> {
    each_same!(data, elements => elements.as_standard_layout().into_owned().into_shape_with_order(IxDyn(shape)).ok()?)
}

/// Axes as indices, each once.
pub(super) fn axes(axes: &[i64], rank: usize) -> Option<Vec<usize>> {
    // There are more of them than axes.
    if axes.len() > rank {
        return None;
    }
    let axes: Vec<usize> = axes.iter().map(|&axis| normalize_axis(axis, rank)).collect::<Option<_>>()?;
    let twice = (1..axes.len()).any(|index| axes[..index].contains(&axes[index]));
    (!twice).then_some(axes)
}

fn sizes(sizes: &[i64]) -> Option<Vec<usize>> {
    let sizes = Some(sizes).filter(|sizes| sizes.len() <= MAX_RANK)?;
    sizes.iter().map(|&size| usize::try_from(size).ok()).collect()
}

/// The indices that Slice takes of an axis: bounds beyond it are its own.
fn run(start: i64, end: i64, step: i64, size: usize) -> Option<Vec<usize>> {
    let size = i64::try_from(size).ok()?;
    let index = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let step = usize::try_from(step.unsigned_abs()).ok().filter(|&step| step > 0).zip(Some(step > 0));
    Some(
        match step? {
            (step, true) => (index(start).clamp(0, size)..index(end).clamp(0, size)).step_by(step).collect::<Vec<_>>(),
            // Backwards from the start, down to the one above the end.
            (step, false) => {
                let (from, down_to) =
                    (index(start).clamp(0, (size - 1).max(0)).min(size - 1), index(end).clamp(-1, size - 1));
                (down_to + 1..from + 1).rev().step_by(step).collect()
            }
        }
        .into_iter()
        .map(|index| index as usize)
        .collect(),
    )
}
