//! Operators: a node's message without the names, graphs and tensors that the IR holds itself.

use std::collections::HashMap;

use bytes::Bytes;

use super::{ScopeId, Tensor};
use crate::proto::{AttributeProto, NodeProto, attribute_proto::AttributeType};

/// An operator of a graph, a nested body or a function.
///
/// Its inputs and outputs are asked of the [`Model`](super::Model), which holds them as edges.
#[derive(Debug, Clone)]
pub struct Op {
    pub(crate) shell: NodeProto,
    pub(crate) scope: ScopeId,
    /// How many inputs and outputs the node lists, with those left out.
    pub(crate) arity: Arity,
    pub(crate) bodies: Vec<Body>,
    pub(crate) tensors: Vec<AttributeTensor>,
}

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Arity {
    pub inputs: usize,
    pub outputs: usize,
}

/// A graph nested in an attribute: `then_branch` of If, `body` of Loop.
#[derive(Debug, Clone)]
pub struct Body {
    /// Where it is kept.
    pub place: AttributePlace,
    /// The graph.
    pub scope: ScopeId,
}

/// A tensor kept in an attribute: `value` of Constant.
#[derive(Debug, Clone)]
pub(crate) struct AttributeTensor {
    pub place: AttributePlace,
    pub tensor: Tensor,
}

/// What the IR holds of one attribute, in the attribute's order.
#[derive(Debug, Default, Clone)]
pub(crate) struct Held<'a> {
    pub tensors: Vec<&'a AttributeTensor>,
    pub bodies: Vec<&'a Body>,
}

/// An attribute, or an element of one that is a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributePlace {
    /// The attribute's name.
    pub attribute: String,
    /// Which element, where the attribute is a list.
    pub element: Option<usize>,
}

/// An attribute's value, for the kinds that a caller sets.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// An integer.
    Int(i64),
    /// A list of integers.
    Ints(Vec<i64>),
    /// A number.
    Float(f32),
    /// A list of numbers.
    Floats(Vec<f32>),
    /// A text.
    String(String),
}

impl Op {
    /// The operator's type, e.g. `Conv`.
    pub fn op_type(&self) -> &str {
        self.shell.op_type()
    }

    /// The node's name; often empty.
    pub fn name(&self) -> &str {
        self.shell.name()
    }

    /// The operator set it belongs to; empty for the default one, however the file writes that.
    pub fn domain(&self) -> &str {
        normal_domain(self.shell.domain())
    }

    /// Whether this is operator `op_type` of the default operator set.
    pub fn is(&self, op_type: &str) -> bool {
        self.domain().is_empty() && self.op_type() == op_type
    }

    /// The graph, body or function it stands in.
    pub fn scope(&self) -> ScopeId {
        self.scope
    }

    /// The graphs nested in it.
    pub fn bodies(&self) -> &[Body] {
        &self.bodies
    }

    /// Type and name, for messages: `Conv 'layer1/conv'`.
    pub fn describe(&self) -> String {
        match self.name() {
            "" => format!("{} (unnamed)", self.op_type()),
            name => format!("{} '{name}'", self.op_type()),
        }
    }

    /// An integer attribute; `None` if it is not there.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.i
    }

    /// A text; `None` if it is not there, or is no UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.attribute(name)?.s.as_ref()?).ok()
    }

    /// Whether it is an operator of this domain and type.
    pub fn is_of(&self, domain: &str, op_type: &str) -> bool {
        self.domain() == domain && self.op_type() == op_type
    }

    /// A list of texts; empty if it is not there.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let texts = self.attribute(name).map_or([].as_slice(), |attribute| attribute.strings.as_slice());
        texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
    }

    /// A list of integers; `None` if it is not there.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        let own = self.attribute(name).filter(|attribute| attribute.ref_attr_name().is_empty());
        own.map(|attribute| attribute.ints.as_slice())
    }

    /// A number; `None` if it is not there.
    pub fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name)?.f
    }

    /// A tensor attribute; `None` if it is not there.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors
            .iter()
            .find(|held| held.place.attribute == name && held.place.element.is_none())
            .map(|held| &held.tensor)
    }

    /// Its tensor attributes, each with the attribute's name.
    pub fn attribute_tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|held| (held.place.attribute.as_str(), &held.tensor))
    }

    /// Whether an attribute takes its value from the function's caller.
    pub fn refers_to_caller(&self, name: &str) -> bool {
        self.attribute(name).is_some_and(|attribute| !attribute.ref_attr_name().is_empty())
    }

    /// Whether any attribute takes its value from the function's caller: what the operator does then is
    /// not known from here, and no default stands for it.
    pub fn has_attributes_of_caller(&self) -> bool {
        self.shell.attribute.iter().any(|attribute| !attribute.ref_attr_name().is_empty())
    }

    /// The tensors and bodies of each attribute.
    pub(crate) fn held(&self) -> HashMap<&str, Held<'_>> {
        let mut held: HashMap<&str, Held> = HashMap::new();
        for tensor in &self.tensors {
            held.entry(&tensor.place.attribute).or_default().tensors.push(tensor);
        }
        for body in &self.bodies {
            held.entry(&body.place.attribute).or_default().bodies.push(body);
        }
        held
    }

    /// Its attributes as bytes that are equal where they are; `None` where one is a tensor or graph.
    pub(crate) fn plain_attributes(&self) -> Option<Vec<u8>> {
        use prost::Message;
        let plain = self.tensors.is_empty() && self.bodies.is_empty();
        plain.then(|| self.shell.attribute.iter().flat_map(AttributeProto::encode_length_delimited_to_vec).collect())
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.shell.attribute.iter().find(|attribute| attribute.name() == name)
    }
}

impl Attribute {
    pub(crate) fn into_proto(self, name: &str) -> AttributeProto {
        let mut proto = AttributeProto { name: Some(name.to_owned()), ..AttributeProto::default() };
        let kind = match self {
            Self::Int(i) => {
                proto.i = Some(i);
                AttributeType::Int
            }
            Self::Ints(ints) => {
                proto.ints = ints;
                AttributeType::Ints
            }
            Self::Float(f) => {
                proto.f = Some(f);
                AttributeType::Float
            }
            Self::Floats(floats) => {
                proto.floats = floats;
                AttributeType::Floats
            }
            Self::String(s) => {
                proto.s = Some(Bytes::from(s));
                AttributeType::String
            }
        };
        proto.set_type(kind);
        proto
    }
}

/// `ai.onnx` and the empty name are the same operator set.
pub(crate) fn normal_domain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}
