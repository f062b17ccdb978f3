//! What was observed of a model's values, by name.

use std::collections::BTreeMap;

use super::Statistics;
use crate::ir::{Model, ValueId};

/// What was observed of a model's values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranges {
    /// By the name of the value; of one in a body whose name another value has too, after the way there.
    pub values: BTreeMap<String, Statistics>,
}

impl Ranges {
    /// What was observed of a value.
    pub fn of(&self, model: &Model, value: ValueId) -> Option<&Statistics> {
        self.values.get(model.value(value).name())
    }
}
