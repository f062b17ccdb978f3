//! The text of a model: the ONNX textual syntax, made to be read, diffed and kept as a snapshot.
//!
//! This module owns how a [`Model`] looks when it is read by people. It walks the graph and looks
//! into messages only where the graph keeps them as shells: attributes, types, metadata. It knows
//! nothing of quantization and never changes what it prints.
//!
//! - The reference parser (`onnx.parser.parse_model`, onnx 1.23) reads the text. Two models that
//!   differ in a node, a name, a type, an attribute or a weight have different texts.
//! - The same model has the same text, to the byte, wherever its tensors are kept: in typed fields, as
//!   raw data, in an external file, or still to be computed.
//! - A node is a line; graphs nested in it follow, indented. So is a declaration: an initializer, or
//!   the type of a value inside.
//! - A small tensor is spelled out; as bytes where its elements are smaller than one. Of any other the text has type, shape and a digest, in the
//!   syntax's form for external data: `int8[64,3] w = ["sha256": "0123456789abcdef"]`.
//! - A `#` comment says what the syntax cannot: sparse tensors, training graphs, annotations, and the
//!   values behind the bit patterns that stand for `float16`, `int4` and their like.
//!
//! - A control character is spelled out, `\u{1b}`, as a name may hold what steers a terminal. The
//!   parser, which knows no such escapes, takes it for `u{1b}`.
//!
//! Left out: documentation of graphs, nodes and values, metadata of anything but the model, placement
//! on devices, denotations, and the names of tensors in attributes.

mod attribute;
mod node;
mod parse;
mod scope;
mod small_float;
mod syntax;
mod tensor;
#[cfg(test)]
mod tests;
mod writer;

pub use self::parse::{ParseOptions, RandomFill};
pub(crate) use self::parse::{is_text, parse};
use self::{
    syntax::{quoted, quoted_entries},
    writer::Writer,
};
use crate::{
    ir::{Model, ScopeId},
    proto::{OperatorSetIdProto, TrainingInfoProto},
    setters::setters,
};

/// How a model is printed.
///
/// ```
/// # let model = onnx_quant::Model::from_bytes(vec![0x3a, 0])?;
/// let only_digests = onnx_quant::TextOptions::default().with_literal_elements(0);
/// let text = model.to_text_with(&only_digests);
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextOptions {
    /// A tensor of at most so many elements is spelled out; a larger one is a digest.
    pub literal_elements: usize,
}

impl TextOptions {
    /// Every element of every tensor is spelled out.
    pub const ALL: Self = Self { literal_elements: usize::MAX };
}

setters!(TextOptions { with_literal_elements(literal_elements: usize) });

impl Default for TextOptions {
    fn default() -> Self {
        Self { literal_elements: 8 }
    }
}

impl Model {
    /// The model in the ONNX textual syntax; see [`to_text_with`](Self::to_text_with).
    ///
    /// ```
    /// # use onnx_quant::proto::*;
    /// # let node = NodeProto {
    /// #     op_type: Some("Relu".into()),
    /// #     name: Some("act/relu".into()),
    /// #     input: vec!["x".into()],
    /// #     output: vec!["y".into()],
    /// #     ..Default::default()
    /// # };
    /// # let info = |name: &str| ValueInfoProto { name: Some(name.into()), ..Default::default() };
    /// # let graph = GraphProto {
    /// #     name: Some("main".into()),
    /// #     node: vec![node],
    /// #     input: vec![info("x")],
    /// #     output: vec![info("y")],
    /// #     ..Default::default()
    /// # };
    /// # let opset = OperatorSetIdProto { version: Some(21), ..Default::default() };
    /// # let proto = ModelProto {
    /// #     ir_version: Some(10),
    /// #     opset_import: vec![opset],
    /// #     graph: Some(graph),
    /// #     ..Default::default()
    /// # };
    /// # let model = onnx_quant::Model::from_bytes(prost::Message::encode_to_vec(&proto).into())?;
    /// assert_eq!(
    ///     model.to_text(),
    ///     r#"<
    ///   ir_version: 10,
    ///   opset_import: ["": 21]
    /// >
    /// main (x) => (y) {
    ///   ["act/relu"] y = Relu (x)
    /// }
    /// "#
    /// );
    /// # Ok::<(), onnx_quant::Error>(())
    /// ```
    pub fn to_text(&self) -> String {
        self.to_text_with(&TextOptions::default())
    }

    /// The model in the ONNX textual syntax, which `onnx.parser.parse_model` reads.
    ///
    /// The same model has the same text, and the text shows every change to the graph: it can be kept
    /// as a snapshot. Tensors of more than a few elements stand as a digest, the first 16 digits of the
    /// SHA-256 of their bytes; reading such a text gives the graph without these tensors' elements.
    pub fn to_text_with(&self, options: &TextOptions) -> String {
        let mut printer = Printer { model: self, options, out: Writer::default() };
        printer.header();
        printer.remarks();
        printer.graph(Self::MAIN, &syntax::name(self.scope(Self::MAIN).name()));
        printer.out.end_line();
        let functions: Vec<ScopeId> = self.scopes().filter(|&scope| self.scope(scope).is_function()).collect();
        for function in functions {
            printer.out.end_line();
            printer.function(function);
            printer.out.end_line();
        }
        printer.out.finish()
    }
}

/// A model on its way into text.
struct Printer<'a> {
    model: &'a Model,
    options: &'a TextOptions,
    out: Writer,
}

impl Printer<'_> {
    /// What the file says of itself, ahead of the graph.
    fn header(&mut self) {
        let shell = &self.model.shell;
        let mut fields = Vec::new();
        fields.extend(shell.ir_version.map(|version| format!("ir_version: {version}")));
        fields.extend(opset_import(&shell.opset_import));
        let texts = [
            ("producer_name", &shell.producer_name),
            ("producer_version", &shell.producer_version),
            ("domain", &shell.domain),
        ];
        fields.extend(
            texts.iter().filter_map(|(key, text)| Some(format!("{key}: {}", quoted(text.as_deref()?.as_bytes())))),
        );
        fields.extend(shell.model_version.map(|version| format!("model_version: {version}")));
        fields.extend(shell.doc_string.as_ref().map(|text| format!("doc_string: {}", quoted(text.as_bytes()))));
        let metadata = quoted_entries(&shell.metadata_props);
        if fields.is_empty() && metadata.is_empty() {
            return;
        }
        self.out.line("<");
        self.out.indented(|out| {
            out.lines(&fields, if metadata.is_empty() { "" } else { "," });
            if !metadata.is_empty() {
                out.line("metadata_props: [");
                out.indented(|out| out.lines(&metadata, ""));
                out.line("]");
            }
        });
        self.out.line(">");
    }

    /// What a reviewer wants to know is there, though the syntax has no word for it.
    fn remarks(&mut self) {
        for info in &self.model.shell.training_info {
            self.out.comment(&training(info));
        }
        for device in &self.model.shell.configuration {
            self.out.comment(&format!("configuration {:?}: {} devices", device.name(), device.num_devices()));
        }
        for field in self.model.unknown_fields() {
            self.out.comment(&format!("unknown field: {field}"));
        }
    }
}

fn opset_import(imports: &[OperatorSetIdProto]) -> Option<String> {
    let imports: Vec<String> = imports
        .iter()
        .map(|import| format!("{}: {}", syntax::quoted(import.domain().as_bytes()), import.version()))
        .collect();
    (!imports.is_empty()).then(|| format!("opset_import: [{}]", imports.join(", ")))
}

fn training(info: &TrainingInfoProto) -> String {
    let nodes = |graph: &Option<_>| graph.as_ref().map_or(0, |graph: &crate::proto::GraphProto| graph.node.len());
    let (initialization, algorithm) = (nodes(&info.initialization), nodes(&info.algorithm));
    let mut text = format!("training_info: initialization of {initialization} nodes, algorithm of {algorithm} nodes");
    for (what, bindings) in [("sets", &info.initialization_binding), ("updates", &info.update_binding)] {
        if !bindings.is_empty() {
            let names: Vec<String> = bindings.iter().map(|binding| syntax::name(binding.key())).collect();
            text += &format!(", {what} {}", names.join(", "));
        }
    }
    text
}

/// Adds a character such that nothing steers a terminal: a name may hold any. Line breaks and tabs
/// stay, as the parser reads them inside of strings; it has no escapes for others.
fn push_readable(text: &mut String, character: char) {
    if character.is_control() && !matches!(character, '\n' | '\t') {
        text.extend(character.escape_unicode());
    } else {
        text.push(character);
    }
}
