//! The way back: from the ONNX textual syntax to a model's message. Each file reads what its namesake above writes.
//!
//! What the reference parser reads is read, as it reads it, and besides
//!
//! - names in quotes wherever there are names: operators, their domains, attributes, the tensors in these;
//! - lists of tensors, graphs and types, whose elements the reference parser drops;
//! - elements of less than a byte, which it does not pack.
//!
//! The words are read with winnow. The grammar, which tells from the next word or sign what comes, is a method for
//! each of its rules: so an error says what would have been right at the place where it was found. Nesting is bounded,
//! so no text exhausts the stack, and whatever is read can be written as protobuf and read again.

mod attribute;
mod fault;
mod fill;
mod graph;
mod header;
mod node;
mod tensor;
#[cfg(test)]
mod tests;
mod tokens;
mod types;

use winnow::LocatingSlice;

use self::{
    fault::{Fault, Read},
    fill::Filler,
    tokens::Input,
};
use crate::{
    error::{ErrorKind, Result},
    proto::{GraphProto, ModelProto, TensorProto, tensor_proto::DataLocation},
    setters::setters,
};

/// How a model is read from text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseOptions {
    /// What tensors become that the text has no elements of, but a digest or `...`; without this they are refused.
    pub fill: Option<RandomFill>,
}

setters!(ParseOptions { with_fill(fill: Option<RandomFill>) });

/// Elements for tensors that have none in a text: they look random, and are the same on every run for a tensor of the
/// same name, type and shape.
///
/// Floats lie between -1 and 1; integers of up to 16 bits take all their values; larger ones, which are sizes and
/// indices for the most part, are 0 or 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RandomFill {
    /// Another seed gives other elements.
    pub seed: u64,
    /// How many bytes all elements together may take.
    pub max_bytes: usize,
}

impl Default for RandomFill {
    fn default() -> Self {
        Self { seed: 0, max_bytes: i32::MAX as usize }
    }
}

/// Whether a file is a model as text: the first thing in it, behind blanks and comments, is the `<` of a header. No
/// protobuf message begins so.
pub(crate) fn is_text(file: &[u8]) -> bool {
    let mut rest = file.trim_ascii_start();
    while let Some(comment) = rest.strip_prefix(b"#") {
        let end = comment.iter().position(|byte| *byte == b'\n').unwrap_or(comment.len());
        rest = comment[end..].trim_ascii_start();
    }
    rest.starts_with(b"<")
}

/// Reads a text.
///
/// # Errors
/// It is not in the syntax, or has tensors without elements.
pub(crate) fn parse(text: &[u8], options: &ParseOptions) -> Result<ModelProto> {
    let text = str::from_utf8(text).map_err(|error| {
        let valid = str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default();
        Fault { offset: valid.len(), message: "what follows here is not UTF-8".to_owned() }.in_text(valid)
    })?;
    let mut reader = Reader {
        text,
        input: LocatingSlice::new(text),
        depth: 0,
        filler: options.fill.as_ref().map(Filler::new),
        elided: Vec::new(),
    };
    let model = reader.model().map_err(|fault| fault.in_text(text))?;
    if reader.elided.is_empty() { Ok(model) } else { Err(ErrorKind::Elided { tensors: reader.elided }.into()) }
}

/// How deep messages may lie in one another: prost reads 100, and what is innermost takes the last ones.
const MAX_DEPTH: usize = 90;
/// A graph in a graph has a node and an attribute around it.
const DEPTH_OF_GRAPH: usize = 3;
/// A type in a type has a message of its kind around it.
const DEPTH_OF_TYPE: usize = 2;

/// A text on its way into a model.
struct Reader<'a> {
    text: &'a str,
    input: Input<'a>,
    /// How deep messages lie in one another here.
    depth: usize,
    filler: Option<Filler>,
    /// The tensors that the text has no elements of, where they are not filled.
    elided: Vec<String>,
}

impl Reader<'_> {
    /// A header, the graph, and functions.
    fn model(&mut self) -> Read<ModelProto> {
        let mut model = ModelProto::default();
        if self.next_is("<") {
            self.model_header(&mut model)?;
        }
        model.graph = Some(self.graph()?);
        while !self.rest().is_empty() {
            model.functions.push(self.function()?);
        }
        Ok(model)
    }

    /// Reads something that lies in something of its kind.
    fn nested<T>(&mut self, depth: usize, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth + depth > MAX_DEPTH {
            let message = "graphs or types lie deeper in one another than a model can hold".to_owned();
            return Err(Fault { offset: self.here(), message });
        }
        self.depth += depth;
        let read = read(self);
        self.depth -= depth;
        read
    }

    fn nested_graph(&mut self) -> Read<GraphProto> {
        self.nested(DEPTH_OF_GRAPH, Self::graph)
    }
}
