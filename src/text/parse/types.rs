//! Types of values and of elements.

use super::{DEPTH_OF_TYPE, Read, Reader};
use crate::{
    ir::{DataType, type_name},
    proto::{
        TensorShapeProto, TypeProto,
        tensor_shape_proto::{Dimension, dimension},
        type_proto::{self, Value},
    },
};

/// The element type of this name.
pub(super) fn element_type(name: &str) -> Option<DataType> {
    DataType::from_str_name(&name.to_ascii_uppercase())
        .filter(|dtype| *dtype != DataType::Undefined && type_name(*dtype) == name)
}

impl Reader<'_> {
    /// Whether a type is next; no name without quotes begins like one.
    pub fn next_is_type(&mut self) -> bool {
        self.peek_word()
            .is_some_and(|word| super::super::syntax::TYPE_WORDS.contains(&word) || element_type(word).is_some())
    }

    /// The same where a name follows: a word with no name behind it is a name itself.
    pub fn next_is_type_of_value(&mut self) -> bool {
        let before = self.input;
        let is_type = self.next_is_type() && self.word().is_some() && !self.rest().starts_with([',', ')', '>', '=']);
        self.input = before;
        is_type
    }

    pub fn type_proto(&mut self) -> Read<TypeProto> {
        let before = self.input;
        let value = match self.word() {
            Some("seq") => {
                let elem_type = Some(Box::new(self.argument()?));
                Value::SequenceType(Box::new(type_proto::Sequence { elem_type }))
            }
            Some("optional") => {
                let elem_type = Some(Box::new(self.argument()?));
                Value::OptionalType(Box::new(type_proto::Optional { elem_type }))
            }
            Some("map") => {
                self.expect("(")?;
                let key_type = Some(self.element_type()? as i32);
                self.expect(",")?;
                let value_type = Some(Box::new(self.nested(DEPTH_OF_TYPE, Self::type_proto)?));
                self.expect(")")?;
                Value::MapType(Box::new(type_proto::Map { key_type, value_type }))
            }
            Some("sparse_tensor") => {
                self.expect("(")?;
                let elem_type = Some(self.element_type()? as i32);
                let shape = self.shape()?;
                self.expect(")")?;
                Value::SparseTensorType(type_proto::SparseTensor { elem_type, shape })
            }
            Some("opaque") => Value::OpaqueType(self.opaque()?),
            _ => {
                self.input = before;
                let elem_type = Some(self.element_type()? as i32);
                Value::TensorType(type_proto::Tensor { elem_type, shape: self.shape()? })
            }
        };
        Ok(TypeProto { value: Some(value), denotation: None })
    }

    fn argument(&mut self) -> Read<TypeProto> {
        self.expect("(")?;
        let ty = self.nested(DEPTH_OF_TYPE, Self::type_proto)?;
        self.expect(")")?;
        Ok(ty)
    }

    fn element_type(&mut self) -> Read<DataType> {
        match self.peek_word().and_then(element_type) {
            Some(dtype) => {
                self.word();
                Ok(dtype)
            }
            None => Err(self.expected("a type: float, int64, seq(...) and the like")),
        }
    }

    /// No brackets are a scalar's, empty ones those of a tensor of unknown rank.
    fn shape(&mut self) -> Read<Option<TensorShapeProto>> {
        if !self.next_is("[") {
            return Ok(Some(TensorShapeProto::default()));
        }
        let dim = self.enclosed("[", "]", Self::dimension)?;
        Ok(Some(TensorShapeProto { dim }).filter(|shape| !shape.dim.is_empty()))
    }

    fn dimension(&mut self) -> Read<Dimension> {
        let value = if self.skip("?") {
            None
        } else if let Some(symbol) = self.optional_name()? {
            Some(dimension::Value::DimParam(symbol))
        } else {
            let number = self.number("a size, a symbol or '?'")?;
            Some(dimension::Value::DimValue(number.parse("an integer of 64 bits")?))
        };
        Ok(Dimension { value, ..Dimension::default() })
    }

    /// `opaque()`, `opaque(name)` or `opaque(domain, name)`; the first and the last may have dots in them.
    fn opaque(&mut self) -> Read<type_proto::Opaque> {
        let dotted = |reader: &mut Self| {
            let mut text = reader.name("the name of an opaque type")?;
            while reader.skip(".") {
                text = format!("{text}.{}", reader.name("a part of a name")?);
            }
            Ok(text)
        };
        let mut parts = self.enclosed("(", ")", dotted)?;
        let name = parts.pop();
        let domain = parts.pop();
        if !parts.is_empty() {
            return Err(self.expected("a domain and a name at most, before this"));
        }
        Ok(type_proto::Opaque { domain, name })
    }
}
