//! Lists of integers of which some elements are known though others are not: what is computed of the sizes of a
//! value whose batch is open.

use std::cell::Cell;

use super::{array::Array, evaluate::sizes_of};
use crate::{
    analysis::{Facts, cast_target},
    ir::{DataType, Model, OpId, ValueId},
    operators::{is_standard, normalize_axis},
    passes::constants::fixed,
};

/// Longer lists are no shapes.
const MAX_ELEMENTS: usize = 64;
/// Operators that are looked at for one list: beyond what exporters write.
const MAX_OPS: usize = 32;

/// A list of integers, or one.
#[derive(Debug, Clone)]
struct Partial {
    elements: Vec<Option<i64>>,
    is_scalar: bool,
    dtype: DataType,
}

/// Operators whose result may be known though what they read is known in part.
pub(super) fn is_partial(op_type: &str) -> bool {
    matches!(
        op_type,
        "Add"
            | "Cast"
            | "Concat"
            | "Div"
            | "Gather"
            | "Identity"
            | "Mul"
            | "Shape"
            | "Slice"
            | "Squeeze"
            | "Sub"
            | "Unsqueeze"
    )
}

/// What an operator makes of sizes, where all of that is known.
pub(super) fn of_known_sizes(model: &Model, facts: &Facts, id: OpId) -> Option<Array> {
    let lists = Lists { model, facts, left: Cell::new(MAX_OPS) };
    let Partial { elements, is_scalar, dtype } = lists.made(id)?;
    let known: Vec<i64> = elements.into_iter().collect::<Option<_>>()?;
    match (is_scalar, known.as_slice()) {
        (true, [number]) => Array::I64(ndarray::arr0(*number).into_dyn()).cast(dtype),
        (true, _) => None,
        (false, _) => Array::list(known).cast(dtype),
    }
}

struct Lists<'a> {
    model: &'a Model,
    facts: &'a Facts,
    /// How many operators may still be looked at.
    left: Cell<usize>,
}

impl Lists<'_> {
    fn value(&self, value: ValueId) -> Option<Partial> {
        match fixed(self.model, value) {
            Some(tensor) => {
                let dtype = Some(tensor.dtype()).filter(|dtype| matches!(dtype, DataType::Int32 | DataType::Int64))?;
                let is_scalar = tensor.shape().is_empty();
                let short = tensor.shape().len() <= 1 && tensor.element_count() <= MAX_ELEMENTS;
                let array = short.then(|| Array::of(&tensor)).flatten()?;
                Some(Partial { elements: array.integers()?.into_iter().map(Some).collect(), is_scalar, dtype })
            }
            None => self.made(self.model.producer(value)?),
        }
    }

    fn made(&self, id: OpId) -> Option<Partial> {
        self.left.set(self.left.get().checked_sub(1)?);
        let op = self.model.op(id);
        let opset = self.model.opset(op.scope());
        let output = self.model.outputs(id).into_iter().flatten().next()?;
        let no_sizes =
            self.facts.dtype(output).is_some_and(|dtype| !matches!(dtype, DataType::Int32 | DataType::Int64));
        if no_sizes || !is_standard(self.model, id) || op.has_attributes_of_caller() || opset < 7 {
            return None;
        }
        let input = |slot: usize| self.value(self.model.input(id, slot)?);
        let made = match op.op_type() {
            "Shape" => self.shape(id)?,
            "Identity" => input(0)?,
            "Cast" => {
                let to = cast_target(op.int("to"), op.text("to"))?;
                let integer = matches!(to, DataType::Int32 | DataType::Int64);
                integer.then(|| input(0)).flatten().map(|list| Partial { dtype: to, ..list })?
            }
            "Gather" => gathered(&input(0)?, &input(1)?)?,
            "Slice" => self.sliced(id, input(0)?)?,
            "Concat" => {
                let parts = (0..op.arity.inputs).map(input).collect::<Option<Vec<_>>>()?;
                let dtype = parts.first()?.dtype;
                let alike = parts.iter().all(|part| !part.is_scalar && part.dtype == dtype);
                let elements = parts.into_iter().flat_map(|part| part.elements).collect();
                alike.then_some(Partial { elements, is_scalar: false, dtype })?
            }
            // Between a number and a list of one.
            "Unsqueeze" => self.with_axis(id, input(0)?, true)?,
            "Squeeze" => self.with_axis(id, input(0)?, false)?,
            op_type @ ("Add" | "Sub" | "Mul" | "Div") => combined(op_type, &input(0)?, &input(1)?)?,
            _ => return None,
        };
        // What does not fit the type wraps, and is left to the runtime.
        let fits = |number: &i64| made.dtype == DataType::Int64 || i32::try_from(*number).is_ok();
        let elements: Vec<_> = made.elements.iter().map(|element| element.filter(fits)).collect();
        (elements.len() <= MAX_ELEMENTS).then_some(Partial { elements, ..made })
    }

    fn shape(&self, id: OpId) -> Option<Partial> {
        let sizes = self.facts.shape(self.model.input(id, 0)?)?;
        let elements = sizes_of(self.model.op(id), sizes)?;
        Some(Partial { elements, is_scalar: false, dtype: DataType::Int64 })
    }

    /// Integers that are an attribute in some opsets, and in others an input.
    fn integers(&self, id: OpId, name: &str, slot: usize) -> Option<Vec<i64>> {
        match self.model.op(id).ints(name) {
            Some(list) => Some(list.to_vec()),
            None => Array::of(&*fixed(self.model, self.model.input(id, slot)?)?)?.integers(),
        }
    }

    fn sliced(&self, id: OpId, list: Partial) -> Option<Partial> {
        let one = |name: &str, slot: usize| match self.integers(id, name, slot)?[..] {
            [number] => Some(number),
            _ => None,
        };
        let has = |slot| self.model.input(id, slot).is_some();
        let axis = if self.model.op(id).attribute("axes").is_some() || has(3) { one("axes", 3)? } else { 0 };
        let step = if has(4) { one("steps", 4)? } else { 1 };
        if list.is_scalar || !matches!(axis, 0 | -1) || step != 1 {
            return None;
        }
        let size = i64::try_from(list.elements.len()).ok()?;
        let index = |at: i64| if at < 0 { at.saturating_add(size) } else { at }.clamp(0, size) as usize;
        let (start, end) = (index(one("starts", 1)?), index(one("ends", 2)?));
        Some(Partial { elements: list.elements.get(start..end.max(start))?.to_vec(), ..list })
    }

    fn with_axis(&self, id: OpId, list: Partial, unsqueezed: bool) -> Option<Partial> {
        let axes = self.integers(id, "axes", 1);
        let first = axes.as_deref().is_some_and(|axes| matches!(axes, [0 | -1]));
        // A Squeeze need not say which axis is of size 1.
        let all = !unsqueezed && self.model.op(id).attribute("axes").is_none() && self.model.input(id, 1).is_none();
        let fits = list.is_scalar == unsqueezed && list.elements.len() == 1 && (first || all);
        fits.then_some(Partial { is_scalar: !unsqueezed, ..list })
    }
}

fn gathered(data: &Partial, indices: &Partial) -> Option<Partial> {
    if data.is_scalar {
        return None;
    }
    let picked =
        indices.elements.iter().map(|index| Some(data.elements[normalize_axis((*index)?, data.elements.len())?]));
    Some(Partial { elements: picked.collect::<Option<_>>()?, is_scalar: indices.is_scalar, dtype: data.dtype })
}

/// Lists of equal length, or one number for all of the other's.
fn combined(op_type: &str, left: &Partial, right: &Partial) -> Option<Partial> {
    let length = match (left.elements.len(), right.elements.len()) {
        (left, right) if left == right => left,
        (1, length) | (length, 1) => length,
        _ => return None,
    };
    if left.dtype != right.dtype {
        return None;
    }
    let at =
        |list: &Partial, index: usize| list.elements.get(if list.elements.len() == 1 { 0 } else { index }).copied()?;
    let number = |index: usize| {
        let (left, right) = (at(left, index)?, at(right, index)?);
        match op_type {
            "Add" => left.checked_add(right),
            "Sub" => left.checked_sub(right),
            "Mul" => left.checked_mul(right),
            "Div" => left.checked_div(right),
            _ => None,
        }
    };
    let elements = (0..length).map(number).collect();
    Some(Partial { elements, is_scalar: left.is_scalar && right.is_scalar, dtype: left.dtype })
}
