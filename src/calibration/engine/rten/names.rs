//! The names that rten knows operators by: it gives no name to one that is called like a value, so its
//! errors would tell of no operator.

use crate::{
    error::Location,
    ir::{Model, OpId},
};

/// Operators by the names that rten knows them by.
pub(super) struct Names {
    told: Vec<(String, Location)>,
}

impl Names {
    /// Gives operators names that no value has. What is inserted later under a name made from one of them
    /// is told as that one.
    pub fn give(model: &mut Model) -> Self {
        let ops: Vec<OpId> = model.ops().collect();
        let told = ops.iter().map(|&op| (model.op(op).describe(), model.location(op))).collect();
        for (number, &op) in ops.iter().enumerate() {
            model.rename_op(op, &format!("{PREFIX}{number}"));
        }
        Self { told }
    }

    /// What the model calls the operator that rten knows by this name, and where it is.
    pub fn of(&self, name: &str) -> Option<&(String, Location)> {
        let number = name.strip_prefix(PREFIX)?.split('_').next()?.parse::<usize>().ok()?;
        self.told.get(number)
    }

    /// An error of rten's about operators within each other, with the names that the model has for them and
    /// the place of the innermost.
    pub fn tell(&self, mut text: String, path: &[&str]) -> (String, Location) {
        let mut location = Location::default();
        for &name in path {
            let Some((described, place)) = self.of(name) else { continue };
            for spelled in [format!("operator \"{name}\""), format!("node \"{name}\"")] {
                text = text.replace(&spelled, described);
            }
            location = place.clone();
        }
        (text, location)
    }
}

/// Before the number of an operator; no file has such a name by chance.
const PREFIX: &str = "\u{1}operator ";
