//! Constants, in all the forms that the format has for them.

use std::borrow::Cow;

use super::{DataType, Model, Tensor, ValueId};

impl Model {
    /// The tensor of a constant that is the same in every run: no default that callers may override, and
    /// nothing that the model's training information sets.
    pub fn fixed(&self, value: ValueId) -> Option<Cow<'_, Tensor>> {
        let overridable = self.is_input(value) && self.ir_version() >= 4;
        self.constant(value).filter(|_| !overridable && !self.is_trained(value))
    }

    /// The tensor of a constant: an initializer, or the output of a Constant node. `None` for
    /// anything else, and for constants that are no dense tensors (`sparse_value`, texts), of which
    /// there is only a segment, or whose value a function's caller decides.
    pub fn constant(&self, value: ValueId) -> Option<Cow<'_, Tensor>> {
        if let Some(tensor) = self.value(value).initializer() {
            // Whoever runs a body gives it its inputs.
            if self.value(value).scope() != Self::MAIN && self.is_input(value) {
                return None;
            }
            return Some(tensor).filter(|tensor| tensor.is_whole()).map(Cow::Borrowed);
        }
        let op = self.op(self.producer(value)?);
        let alone = op.arity.inputs == 0 && op.arity.outputs == 1 && op.bodies.is_empty();
        // With several attributes it would be a matter of taste which of them counts.
        let [attribute] = op.shell.attribute.as_slice() else { return None };
        if !op.is("Constant") || !alone || !attribute.ref_attr_name().is_empty() {
            return None;
        }
        if let Some(tensor) = op.tensor("value") {
            return Some(tensor).filter(|tensor| tensor.is_whole()).map(Cow::Borrowed);
        }
        let floats = |numbers: &[f32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
        let ints = |numbers: &[i64]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
        let (dtype, shape, bytes) = match attribute.name() {
            "value_float" => (DataType::Float, vec![], floats(&[attribute.f?])),
            "value_floats" => (DataType::Float, vec![attribute.floats.len()], floats(&attribute.floats)),
            "value_int" => (DataType::Int64, vec![], ints(&[attribute.i?])),
            "value_ints" => (DataType::Int64, vec![attribute.ints.len()], ints(&attribute.ints)),
            _ => return None,
        };
        Tensor::from_bytes("", dtype, &shape, bytes).ok().map(Cow::Owned)
    }
}
