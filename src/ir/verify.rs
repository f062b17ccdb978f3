//! The invariants of a model, each stated once and each with its own error.

use std::collections::HashSet;

use super::{Model, OpId, ValueId};
use crate::error::{Error, Result};

impl Model {
    /// Checks what every pass must keep true:
    ///
    /// - no two values of a scope have the same name;
    /// - every value that is read, or given out by a scope, has exactly one origin: an operator, an
    ///   initializer or sparse initializer, or being an input (an initializer may be one as well);
    /// - an operator reads only what its scope or one around it defines;
    /// - functions have no initializers;
    /// - the operators can be put in an order in which each comes after what it reads.
    ///
    /// # Errors
    /// One of these is not so.
    pub fn verify(&self) -> Result<()> {
        self.verify_names()?;
        for scope in self.scopes() {
            if self.scope(scope).is_function() && !self.scope(scope).initializers().is_empty() {
                return Err(Error::invalid("a function has initializers").at(self.scope_path(scope), None));
            }
            for output in self.scope(scope).outputs() {
                self.verify_origin(output.value).map_err(|error| error.at(self.scope_path(scope), None))?;
            }
        }
        for op in self.ops() {
            for value in self.inputs(op).into_iter().flatten() {
                self.verify_origin(value).and_then(|()| self.verify_visible(op, value)).map_err(|error| {
                    let location = self.location(op);
                    error.at(location.path, location.operator)
                })?;
            }
        }
        self.check_order()
    }

    fn verify_names(&self) -> Result<()> {
        let mut names = HashSet::new();
        for value in self.values() {
            let (scope, name) = (self.value(value).scope(), self.value(value).name());
            if !names.insert((scope, name)) {
                return Err(Error::invalid(format!("'{name}' is defined twice")).at(self.scope_path(scope), None));
            }
        }
        Ok(())
    }

    fn verify_origin(&self, id: ValueId) -> Result<()> {
        let value = self.value(id);
        let scope = self.scope(value.scope());
        let made = self.producer_count(id);
        let given = usize::from(
            value.initializer().is_some() || self.is_input(id) || scope.sparse_names().any(|name| name == value.name()),
        );
        match made + given {
            1 => Ok(()),
            0 => Err(Error::invalid(format!("nothing makes '{}'", value.name()))),
            _ => Err(Error::invalid(format!("'{}' has more than one origin", value.name()))),
        }
    }

    fn verify_visible(&self, op: OpId, value: ValueId) -> Result<()> {
        let value = self.value(value);
        match self.enclosing_op(op, value.scope()) {
            Some(_) => Ok(()),
            None => Err(Error::invalid(format!("'{}' is defined in a graph that is not around it", value.name()))),
        }
    }
}
