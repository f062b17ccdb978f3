//! Attributes: one name, fourteen kinds of value.

use super::{Fault, Read, Reader};
use crate::proto::{AttributeProto, attribute_proto::AttributeType};

/// An attribute that a function takes.
pub(super) enum Parameter {
    Required(String),
    Default(Box<AttributeProto>),
}

impl Reader<'_> {
    pub fn attribute(&mut self) -> Read<AttributeProto> {
        let name = self.name("the name of an attribute")?;
        self.attribute_named(name)
    }

    pub fn parameter(&mut self) -> Read<Parameter> {
        let name = self.name("the name of an attribute")?;
        match self.next_is(":") || self.next_is("=") {
            true => self.attribute_named(name).map(|attribute| Parameter::Default(Box::new(attribute))),
            false => Ok(Parameter::Required(name)),
        }
    }

    /// What follows an attribute's name: its kind, where that is stated, and its value.
    fn attribute_named(&mut self, name: String) -> Read<AttributeProto> {
        let stated = if self.skip(":") { Some(self.kind()?) } else { None };
        self.expect("=")?;
        let mut attribute = if self.next_is("[") { self.values_of(stated)? } else { self.value_of(stated)? };
        attribute.name = Some(name);
        Ok(attribute)
    }

    fn kind(&mut self) -> Read<AttributeType> {
        let known = |word: &str| {
            AttributeType::from_str_name(&word.to_ascii_uppercase())
                .filter(|kind| *kind != AttributeType::Undefined && kind.as_str_name().to_ascii_lowercase() == word)
        };
        match self.peek_word().and_then(known) {
            Some(kind) => {
                self.word();
                Ok(kind)
            }
            None => Err(self.expected(
                "a kind of attribute: float, int, string, tensor, graph, sparse_tensor, type_proto, or several (ints)",
            )),
        }
    }

    /// One value; an integer will do for a float.
    fn value_of(&mut self, stated: Option<AttributeType>) -> Read<AttributeProto> {
        if self.skip("@") {
            let ref_attr_name = Some(self.name("the name of a function's attribute")?);
            let kind = stated.map(|kind| kind as i32);
            return Ok(AttributeProto { ref_attr_name, r#type: kind, ..AttributeProto::default() });
        }
        let offset = self.here();
        let mut value = self.value()?;
        if let Some(stated) = stated.filter(|stated| *stated != value.r#type()) {
            match (stated, value.i) {
                (AttributeType::Float, Some(number)) => {
                    value = AttributeProto { f: Some(number as f32), ..AttributeProto::default() };
                    value.set_type(AttributeType::Float);
                }
                _ => return Err(mismatch(offset, stated, value.r#type())),
            }
        }
        Ok(value)
    }

    /// A value of the kind that its beginning tells.
    fn value(&mut self) -> Read<AttributeProto> {
        let mut value = AttributeProto::default();
        if self.next_is("\"") {
            value.set_type(AttributeType::String);
            let offset = self.here();
            let text = self.string()?;
            self.check_no_digest(offset, &text)?;
            value.s = Some(text.into());
        } else if let Some(number) = self.optional_number() {
            if number.is_integer() {
                value.set_type(AttributeType::Int);
                value.i = Some(number.parse("an integer of 64 bits")?);
            } else {
                value.set_type(AttributeType::Float);
                value.f = Some(number.float()?);
            }
        } else if self.next_is_type() {
            let offset = self.here();
            let ty = self.type_proto()?;
            if ["{", "=", "...", "\""].iter().any(|sign| self.next_is(sign)) || self.peek_word().is_some() {
                value.set_type(AttributeType::Tensor);
                value.t = Some(self.attribute_tensor(offset, &ty)?);
            } else {
                value.set_type(AttributeType::TypeProto);
                value.tp = Some(ty);
            }
        } else if self.peek_word().is_some() {
            value.set_type(AttributeType::Graph);
            value.g = Some(self.nested_graph()?);
        } else {
            return Err(self.expected("a value: a number, a string, a tensor, a type, a graph, '@' or '['"));
        }
        Ok(value)
    }

    /// A list, whose first element tells the kind of all where that is not stated.
    fn values_of(&mut self, stated: Option<AttributeType>) -> Read<AttributeProto> {
        let offset = self.here();
        let mut element = stated.map(element_of);
        let values = self.enclosed("[", "]", |reader| {
            if reader.next_is("@") {
                return Err(reader.expected("a value"));
            }
            let value = reader.value_of(element)?;
            element = Some(value.r#type());
            Ok(value)
        })?;
        let Some(element) = element else {
            let message = "an empty list needs its kind before the '=', as in `axes: ints = []`".to_owned();
            return Err(Fault { offset, message });
        };
        if values.is_empty() && stated == Some(element) {
            return Err(Fault { offset, message: format!("a list is no {}", name_of(element)) });
        }
        let mut list = AttributeProto::default();
        list.set_type(list_of(element));
        for value in values {
            list.floats.extend(value.f);
            list.ints.extend(value.i);
            list.strings.extend(value.s);
            list.tensors.extend(value.t);
            list.graphs.extend(value.g);
            list.type_protos.extend(value.tp);
        }
        Ok(list)
    }
}

const KINDS: [(AttributeType, AttributeType); 7] = [
    (AttributeType::Float, AttributeType::Floats),
    (AttributeType::Int, AttributeType::Ints),
    (AttributeType::String, AttributeType::Strings),
    (AttributeType::Tensor, AttributeType::Tensors),
    (AttributeType::Graph, AttributeType::Graphs),
    (AttributeType::SparseTensor, AttributeType::SparseTensors),
    (AttributeType::TypeProto, AttributeType::TypeProtos),
];

/// The kind of the elements of a list; of one value it is that value's.
fn element_of(kind: AttributeType) -> AttributeType {
    KINDS.iter().find(|(_, list)| *list == kind).map_or(kind, |(element, _)| *element)
}

fn list_of(kind: AttributeType) -> AttributeType {
    KINDS.iter().find(|(element, _)| *element == kind).map_or(kind, |(_, list)| *list)
}

fn name_of(kind: AttributeType) -> String {
    kind.as_str_name().to_ascii_lowercase()
}

fn mismatch(offset: usize, stated: AttributeType, found: AttributeType) -> Fault {
    let help = match (stated, found) {
        (AttributeType::Int, AttributeType::Float) => {
            "; the first value, or the kind that is stated, makes it one of integers"
        }
        _ => "",
    };
    Fault {
        offset,
        message: format!("expected a value of kind {}, found one of {}{help}", name_of(stated), name_of(found)),
    }
}
