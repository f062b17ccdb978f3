//! Attributes: one name, fourteen kinds of value.

use super::{
    Printer,
    syntax::{body_name, float, list, quoted, type_text, word},
};
use crate::{
    ir::{DataType, Op, ScopeId, Tensor},
    proto::{AttributeProto, attribute_proto::AttributeType},
};

/// An attribute with the tensors and graphs that the IR holds in its stead.
pub(super) struct Held<'a> {
    proto: &'a AttributeProto,
    tensors: Vec<&'a Tensor>,
    bodies: Vec<ScopeId>,
}

impl<'a> Held<'a> {
    /// The attributes of an operator.
    pub fn by_op(op: &'a Op) -> Vec<Self> {
        let mut held = op.held();
        let attributes = op.shell.attribute.iter();
        attributes
            .map(|proto| {
                let held = held.remove(proto.name()).unwrap_or_default();
                let tensors = held.tensors.iter().map(|held| &held.tensor).collect();
                Self { proto, tensors, bodies: held.bodies.iter().map(|body| body.scope).collect() }
            })
            .collect()
    }

    /// The default value of a function's attribute.
    pub fn by_function(proto: &'a AttributeProto, tensors: &'a [Tensor]) -> Self {
        Self { proto, tensors: tensors.iter().collect(), bodies: Vec::new() }
    }

    /// Whether a graph is nested in it.
    pub fn has_bodies(&self) -> bool {
        !self.bodies.is_empty()
    }

    /// Whether the syntax has a form for its value.
    fn can_be_said(&self) -> bool {
        use AttributeType::*;
        if self.is_reference() {
            return true;
        }
        match self.kind() {
            Undefined | SparseTensor => false,
            Tensor => self.tensors.len() == 1 && self.tensors[0].dtype() != DataType::Undefined,
            Tensors => self.tensors.iter().all(|tensor| tensor.dtype() != DataType::Undefined),
            Graph => self.bodies.len() == 1,
            TypeProto => self.proto.tp.as_ref().is_some_and(|ty| type_text(ty).is_some()),
            TypeProtos => self.proto.type_protos.iter().all(|ty| type_text(ty).is_some()),
            SparseTensors => self.proto.sparse_tensors.is_empty(),
            _ => true,
        }
    }

    fn is_reference(&self) -> bool {
        !self.proto.ref_attr_name().is_empty()
    }

    /// Which kind of value it has. The first versions of the format did not state it.
    fn kind(&self) -> AttributeType {
        let proto = self.proto;
        let kinds = [
            (proto.r#type() != AttributeType::Undefined, proto.r#type()),
            (proto.f.is_some(), AttributeType::Float),
            (proto.i.is_some(), AttributeType::Int),
            (proto.s.is_some(), AttributeType::String),
            (proto.tp.is_some(), AttributeType::TypeProto),
            (proto.sparse_tensor.is_some(), AttributeType::SparseTensor),
            (!proto.floats.is_empty(), AttributeType::Floats),
            (!proto.ints.is_empty(), AttributeType::Ints),
            (!proto.strings.is_empty(), AttributeType::Strings),
            (!proto.type_protos.is_empty(), AttributeType::TypeProtos),
            (!proto.sparse_tensors.is_empty(), AttributeType::SparseTensors),
            (self.tensors.len() == 1, AttributeType::Tensor),
            (!self.tensors.is_empty(), AttributeType::Tensors),
            (self.bodies.len() == 1, AttributeType::Graph),
            (!self.bodies.is_empty(), AttributeType::Graphs),
        ];
        kinds.iter().find(|(has, _)| *has).map_or(AttributeType::Undefined, |(_, kind)| *kind)
    }

    /// Whether the parser could not tell the kind from the value: a reference, an empty list, or a
    /// list whose elements it reads and drops.
    fn needs_kind(&self) -> bool {
        use AttributeType::*;
        let proto = self.proto;
        let empty = match self.kind() {
            Floats => proto.floats.is_empty(),
            Ints => proto.ints.is_empty(),
            Strings => proto.strings.is_empty(),
            Tensors | Graphs | TypeProtos | SparseTensors => true,
            _ => false,
        };
        self.kind() != Undefined && (empty || self.is_reference())
    }
}

impl Printer<'_> {
    /// Writes attributes in angle brackets: on one line, or a line each where graphs are nested in
    /// them. Of those that a function takes without a default there are only `names`. What the syntax
    /// cannot say becomes a comment.
    pub(super) fn attributes(&mut self, names: &[String], attributes: &[Held]) {
        let (said, unsaid): (Vec<&Held>, Vec<&Held>) = attributes.iter().partition(|held| held.can_be_said());
        for held in unsaid {
            let note = self.unsaid(held);
            self.out.note(note);
        }
        if said.is_empty() && names.is_empty() {
            return;
        }
        self.out.push(&format!(" <{}", names.join(", ")));
        let lines = said.iter().any(|held| held.has_bodies());
        if lines {
            self.out.end_line();
            self.out.indent();
        }
        for (index, held) in said.iter().enumerate() {
            if !lines && index + names.len() > 0 {
                self.out.push(", ");
            }
            self.attribute(held);
            if lines {
                self.out.push(if index + 1 < said.len() { "," } else { "" });
                self.out.end_line();
            }
        }
        if lines {
            self.out.outdent();
        }
        self.out.push(">");
    }

    fn attribute(&mut self, held: &Held) {
        use AttributeType::*;
        let proto = held.proto;
        self.out.push(&word(proto.name()));
        if held.needs_kind() {
            self.out.push(&format!(": {}", kind_name(held.kind())));
        }
        self.out.push(" = ");
        if held.is_reference() {
            return self.out.push(&format!("@{}", super::syntax::name(proto.ref_attr_name())));
        }
        let ty = |ty: &_| type_text(ty).unwrap_or_default();
        match held.kind() {
            Undefined | SparseTensor => {}
            Float => self.out.push(&float(proto.f())),
            Int => self.out.push(&proto.i().to_string()),
            String => self.out.push(&quoted(proto.s())),
            Floats => self.out.push(&list(&proto.floats, |number| float(*number))),
            Ints => self.out.push(&list(&proto.ints, i64::to_string)),
            Strings => self.out.push(&list(&proto.strings, |text| quoted(text))),
            TypeProto => self.out.push(&proto.tp.as_ref().map(ty).unwrap_or_default()),
            TypeProtos => self.out.push(&list(&proto.type_protos, ty)),
            SparseTensors => self.out.push("[]"),
            Tensor => held.tensors.iter().for_each(|tensor| self.tensor(tensor, None)),
            Tensors => self.tensors(&held.tensors),
            Graph => held.bodies.iter().for_each(|body| self.body(*body)),
            Graphs => self.bodies(&held.bodies),
        }
    }

    fn tensors(&mut self, tensors: &[&Tensor]) {
        self.out.push("[");
        for (index, tensor) in tensors.iter().enumerate() {
            self.out.push(if index == 0 { "" } else { ", " });
            self.tensor(tensor, None);
        }
        self.out.push("]");
    }

    fn bodies(&mut self, bodies: &[ScopeId]) {
        self.out.push("[");
        if !bodies.is_empty() {
            self.out.end_line();
        }
        self.out.indent();
        for (index, body) in bodies.iter().enumerate() {
            self.body(*body);
            self.out.push(if index + 1 < bodies.len() { "," } else { "" });
            self.out.end_line();
        }
        self.out.outdent();
        self.out.push("]");
    }

    fn body(&mut self, body: ScopeId) {
        let name = self.model.scope(body).name();
        let readable = body_name(name);
        if readable != name {
            self.out.note(format!("named {name:?}"));
        }
        self.graph(body, &readable);
    }

    /// An attribute that the syntax has no form for.
    fn unsaid(&self, held: &Held) -> String {
        let proto = held.proto;
        let sparse = proto.sparse_tensor.iter().chain(&proto.sparse_tensors);
        let values: Vec<String> = sparse.map(|sparse| self.sparse_text(sparse)).collect();
        let value = match (values.is_empty(), kind_name(held.kind())) {
            (false, _) => values.join("; "),
            (true, "") => "nothing".to_owned(),
            (true, kind) => format!("a {kind} that has no text"),
        };
        format!("{} = {value}", word(proto.name()))
    }
}

fn kind_name(kind: AttributeType) -> &'static str {
    use AttributeType::*;
    match kind {
        Undefined => "",
        Float => "float",
        Int => "int",
        String => "string",
        Tensor => "tensor",
        Graph => "graph",
        SparseTensor => "sparse_tensor",
        TypeProto => "type_proto",
        Floats => "floats",
        Ints => "ints",
        Strings => "strings",
        Tensors => "tensors",
        Graphs => "graphs",
        SparseTensors => "sparse_tensors",
        TypeProtos => "type_protos",
    }
}
