//! Nodes: `[name] outputs = domain.Type:overload <attributes> (inputs)`.

use super::{
    Printer,
    attribute::Held,
    syntax::{self, word},
};
use crate::ir::{OpId, ValueId};

impl Printer<'_> {
    /// Writes a node: a line, and its nested graphs below.
    pub(super) fn node(&mut self, id: OpId) {
        let op = self.model.op(id);
        if !op.name().is_empty() {
            self.out.push(&format!("[{}] ", syntax::name(op.name())));
        }
        let outputs = self.names(self.model.outputs(id));
        if !outputs.is_empty() {
            self.out.push(&format!("{outputs} "));
        }
        self.out.push("= ");
        if !op.shell.domain().is_empty() {
            op.shell.domain().split('.').for_each(|part| self.out.push(&format!("{}.", word(part))));
        }
        self.out.push(&word(op.op_type()));
        if !op.shell.overload().is_empty() {
            self.out.push(&format!(":{}", word(op.shell.overload())));
        }
        let inputs = format!(" ({})", self.names(self.model.inputs(id)));
        let attributes = Held::by_op(op);
        // What comes behind nested graphs is hard to find: inputs go ahead of them.
        if attributes.iter().any(Held::has_bodies) {
            self.out.push(&inputs);
            self.attributes(&[], &attributes);
        } else {
            self.attributes(&[], &attributes);
            self.out.push(&inputs);
        }
        self.out.end_line();
    }

    /// Names by slot; one that is left out is `""`.
    fn names(&self, values: Vec<Option<ValueId>>) -> String {
        let name = |value: Option<ValueId>| syntax::name(value.map_or("", |value| self.model.value(value).name()));
        values.into_iter().map(name).collect::<Vec<_>>().join(", ")
    }
}
