//! Constants, in all the forms that the format has for them.

use std::borrow::Cow;

use super::{DataType, Model, Tensor, ValueId};

impl Model {
    /// The tensor of a constant: an initializer, or the output of a Constant node. `None` for
    /// anything else, and for constants that are no dense tensors (`sparse_value`, texts), or whose
    /// value a function's caller decides.
    pub fn constant(&self, value: ValueId) -> Option<Cow<'_, Tensor>> {
        if let Some(tensor) = self.value(value).initializer() {
            return Some(Cow::Borrowed(tensor));
        }
        let op = self.op(self.producer(value)?);
        if !op.is("Constant") || op.shell.attribute.iter().any(|attribute| !attribute.ref_attr_name().is_empty()) {
            return None;
        }
        if let Some(tensor) = op.tensor("value") {
            return Some(Cow::Borrowed(tensor));
        }
        let (shape, bytes) = if let Some(number) = op.float("value_float") {
            (vec![], number.to_le_bytes().to_vec())
        } else {
            let numbers = &op.attribute("value_floats")?.floats;
            (vec![numbers.len()], numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
        };
        Tensor::from_bytes("", DataType::Float, &shape, bytes).ok().map(Cow::Owned)
    }
}
