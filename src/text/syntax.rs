//! The words of the syntax: names, strings, numbers and types, as the reference parser reads them.

use std::borrow::Cow;

use super::tensor::digest_of;
use crate::{
    ir::{DataType, type_name},
    proto::{StringStringEntryProto, TensorShapeProto, TypeProto, tensor_shape_proto::dimension, type_proto},
};

/// Words besides the element types with which a type begins.
pub(super) const TYPE_WORDS: [&str; 5] = ["seq", "map", "optional", "sparse_tensor", "opaque"];

/// A name of a value, node, graph or function: as it is where the parser takes it for a name, and in
/// quotes elsewhere.
/// An empty name is `""`. Line breaks and tabs in it stay, as the parser has no escapes for them.
pub(super) fn name(name: &str) -> String {
    match is_identifier(name) && !begins_type(name) {
        true => name.to_owned(),
        false => quoted(name.as_bytes()),
    }
}

/// An operator's type, a part of its domain, the name of an attribute. The parser takes no quotes
/// here: such a name, in quotes all the same, is one it cannot read.
pub(super) fn word(word: &str) -> String {
    if is_identifier(word) { word.to_owned() } else { quoted(word.as_bytes()) }
}

/// The name of a graph in an attribute. The parser takes no quotes here either, but such a name means
/// nothing to anyone: it is made into one that can be read.
pub(super) fn body_name(name: &str) -> Cow<'_, str> {
    let letters = name.find(|c: char| !c.is_ascii_alphabetic()).map_or(name, |end| &name[..end]);
    let number = ["nan", "inf", "infinity"].iter().any(|word| letters.eq_ignore_ascii_case(word));
    if is_identifier(name) && !begins_type(name) && !number {
        return name.into();
    }
    let readable: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let begins_well = readable.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
    if begins_well && !begins_type(&readable) && !number { readable.into() } else { format!("_{readable}").into() }
}

/// A string in quotes. Bytes that are no text are named by their digest.
pub(super) fn quoted(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        Err(_) => format!("\"{} bytes, sha256 {}\"", bytes.len(), digest_of(bytes)),
    }
}

/// Pairs of key and value, both in quotes.
pub(super) fn quoted_entries(entries: &[StringStringEntryProto]) -> Vec<String> {
    let text = |entry: &StringStringEntryProto| {
        format!("{}: {}", quoted(entry.key().as_bytes()), quoted(entry.value().as_bytes()))
    };
    entries.iter().map(text).collect()
}

/// The shortest text that reads back as the same number, with a point or an exponent.
pub(super) fn float(number: f32) -> String {
    if number.is_nan() { "nan".to_owned() } else { format!("{number:?}") }
}

/// As [`float`], for twice the bits.
pub(super) fn double(number: f64) -> String {
    if number.is_nan() { "nan".to_owned() } else { format!("{number:?}") }
}

/// A list in brackets, on one line.
pub(super) fn list<T>(items: impl IntoIterator<Item = T>, text: impl FnMut(T) -> String) -> String {
    format!("[{}]", items.into_iter().map(text).collect::<Vec<_>>().join(", "))
}

/// A type; `None` where it is not, or not wholly, stated.
pub(super) fn type_text(ty: &TypeProto) -> Option<String> {
    use type_proto::Value;
    Some(match ty.value.as_ref()? {
        Value::TensorType(tensor) => tensor_type(tensor.elem_type(), tensor.shape.as_ref())?,
        Value::SparseTensorType(tensor) => {
            format!("sparse_tensor({})", tensor_type(tensor.elem_type(), tensor.shape.as_ref())?)
        }
        Value::SequenceType(sequence) => format!("seq({})", type_text(sequence.elem_type.as_deref()?)?),
        Value::OptionalType(optional) => format!("optional({})", type_text(optional.elem_type.as_deref()?)?),
        Value::MapType(map) => {
            format!("map({}, {})", element_type(map.key_type())?, type_text(map.value_type.as_deref()?)?)
        }
        Value::OpaqueType(opaque) => opaque_type(opaque.domain(), opaque.name())?,
    })
}

/// The element type's name, then the dimensions where there are any: `float` is a scalar.
pub(super) fn shaped(dtype: DataType, dims: &[i64]) -> String {
    let dims: Vec<String> = dims.iter().map(i64::to_string).collect();
    let shape = if dims.is_empty() { String::new() } else { format!("[{}]", dims.join(",")) };
    format!("{}{shape}", type_name(dtype))
}

fn tensor_type(elem_type: i32, shape: Option<&TensorShapeProto>) -> Option<String> {
    let element = element_type(elem_type)?;
    let Some(shape) = shape else { return Some(format!("{element}[]")) };
    if shape.dim.is_empty() {
        return Some(element.to_owned());
    }
    let dims: Vec<String> = shape
        .dim
        .iter()
        .map(|dim| match &dim.value {
            Some(dimension::Value::DimValue(size)) => size.to_string(),
            Some(dimension::Value::DimParam(symbol)) => name(symbol),
            None => "?".to_owned(),
        })
        .collect();
    Some(format!("{element}[{}]", dims.join(",")))
}

fn element_type(elem_type: i32) -> Option<&'static str> {
    DataType::try_from(elem_type).ok().filter(|dtype| *dtype != DataType::Undefined).map(type_name)
}

fn opaque_type(domain: &str, name: &str) -> Option<String> {
    let dotted = |text: &str| text.split('.').all(is_identifier);
    match (domain, name) {
        ("", "") => Some("opaque()".to_owned()),
        ("", name) if dotted(name) => Some(format!("opaque({name})")),
        (domain, name) if dotted(domain) && is_identifier(name) => Some(format!("opaque({domain}, {name})")),
        _ => None,
    }
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// Whether the parser would take a name for the beginning of a type.
fn begins_type(name: &str) -> bool {
    let element = DataType::from_str_name(&name.to_ascii_uppercase()).is_some_and(|dtype| type_name(dtype) == name);
    element || TYPE_WORDS.contains(&name)
}
