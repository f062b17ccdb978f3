//! Graphs and functions: what goes in and out, what is declared, and the nodes.

use super::{
    Printer,
    attribute::Held,
    opset_import,
    syntax::{self, quoted, type_text},
};
use crate::{
    ir::{DataType, Interface, ScopeId, ScopeShell, Tensor},
    proto::{AttributeProto, FunctionProto, GraphProto, TypeProto, ValueInfoProto},
};

/// A list of inputs or outputs that would go beyond this column has a line for each of them.
const WIDTH: usize = 100;

impl Printer<'_> {
    /// Writes a graph from the current line on; what follows its closing brace is the caller's.
    pub(super) fn graph(&mut self, id: ScopeId, name: &str) {
        let ScopeShell::Graph(shell) = &self.model.scope(id).shell else { return };
        self.out.push(name);
        self.signature(id);
        self.declarations(id, &shell.value_info);
        self.out.push(" {");
        self.out.end_line();
        self.out.indent();
        self.graph_remarks(shell);
        self.nodes(id);
        self.out.outdent();
        self.out.push("}");
    }

    /// Writes a function, header first.
    pub(super) fn function(&mut self, id: ScopeId) {
        let ScopeShell::Function(shell) = &self.model.scope(id).shell else { return };
        self.function_header(shell);
        self.out.push(&syntax::name(shell.name()));
        self.function_attributes(shell);
        self.signature(id);
        self.declarations(id, &shell.value_info);
        self.out.push(" {");
        self.out.end_line();
        self.out.indent();
        self.nodes(id);
        self.out.outdent();
        self.out.push("}");
    }

    fn function_header(&mut self, shell: &FunctionProto) {
        let texts = [("domain", &shell.domain), ("overload", &shell.overload), ("doc_string", &shell.doc_string)];
        let mut fields: Vec<String> = texts
            .iter()
            .filter_map(|(key, text)| Some(format!("{key}: {}", quoted(text.as_deref()?.as_bytes()))))
            .collect();
        fields.extend(opset_import(&shell.opset_import));
        if !fields.is_empty() {
            self.out.line("<");
            self.out.indented(|out| out.lines(&fields, ""));
            self.out.line(">");
        }
    }

    /// The attributes that a function takes: names, then those that have a default value.
    fn function_attributes(&mut self, shell: &FunctionProto) {
        let defaults: Vec<(&AttributeProto, Vec<Tensor>)> =
            shell.attribute_proto.iter().map(|proto| (proto, tensors_of(proto))).collect();
        let defaults: Vec<Held> = defaults.iter().map(|(proto, tensors)| Held::by_function(proto, tensors)).collect();
        let names: Vec<String> = shell.attribute.iter().map(|name| syntax::name(name)).collect();
        self.attributes(&names, &defaults);
    }

    /// Inputs and outputs, with their types where the file states them.
    fn signature(&mut self, id: ScopeId) {
        let scope = self.model.scope(id);
        for (between, interfaces) in [(" ", scope.inputs()), (" => ", scope.outputs())] {
            let items: Vec<String> = interfaces.iter().map(|interface| self.interface(interface)).collect();
            self.out.push(between);
            self.out.push("(");
            let flat = items.join(", ");
            if items.len() < 2 || self.out.column() + flat.chars().count() <= WIDTH {
                self.out.push(&flat);
            } else {
                self.out.end_line();
                self.out.indented(|out| out.lines(&items, ""));
            }
            self.out.push(")");
        }
    }

    fn interface(&mut self, interface: &Interface) -> String {
        let ty = interface.info.as_ref().and_then(|info| info.r#type.as_ref());
        self.typed(self.model.value(interface.value).name(), ty)
    }

    /// A name, after its type where that is stated.
    fn typed(&mut self, name: &str, ty: Option<&TypeProto>) -> String {
        let name = syntax::name(name);
        let Some(ty) = ty.filter(|ty| ty.value.is_some()) else { return name };
        match type_text(ty) {
            Some(ty) => format!("{ty} {name}"),
            None => {
                self.out.note(format!("the type of {name} has no element type"));
                name
            }
        }
    }

    /// Initializers, then the types of values inside, in angle brackets and a line each.
    fn declarations(&mut self, id: ScopeId, infos: &[ValueInfoProto]) {
        let model = self.model;
        let initializers = model.scope(id).initializers();
        let tensors: Vec<&Tensor> = initializers.iter().filter_map(|&id| model.value(id).initializer()).collect();
        let count = tensors.len() + infos.len();
        if count == 0 {
            return;
        }
        self.out.push(" <");
        self.out.end_line();
        self.out.indent();
        for (index, tensor) in tensors.into_iter().enumerate() {
            let comma = if index + 1 < count { "," } else { "" };
            self.initializer(tensor, comma);
        }
        for (index, info) in infos.iter().enumerate() {
            let text = self.typed(info.name(), info.r#type.as_ref());
            self.out.push(&text);
            self.out.push(if index + 1 < infos.len() { "," } else { "" });
            self.out.end_line();
        }
        self.out.outdent();
        self.out.push(">");
    }

    fn initializer(&mut self, tensor: &Tensor, comma: &str) {
        let name = syntax::name(tensor.name());
        if tensor.dtype() == DataType::Undefined {
            // The parser takes the name alone for a value without type.
            self.out.note(format!("an initializer of type {}", tensor.shell.data_type()));
            self.out.push(&name);
        } else {
            self.tensor(tensor, Some(&name));
        }
        self.out.push(comma);
        self.out.end_line();
    }

    /// What a graph has that the syntax has no word for.
    fn graph_remarks(&mut self, shell: &GraphProto) {
        for sparse in &shell.sparse_initializer {
            let name = sparse.values.as_ref().map_or("", |values| values.name());
            let text = format!("sparse_initializer {}: {}", syntax::name(name), self.sparse_text(sparse));
            self.out.comment(&text);
        }
        for annotation in &shell.quantization_annotation {
            let entries = syntax::quoted_entries(&annotation.quant_parameter_tensor_names).join(", ");
            let text = format!("quantization_annotation {}: {entries}", syntax::name(annotation.tensor_name()));
            self.out.comment(&text);
        }
    }

    fn nodes(&mut self, id: ScopeId) {
        for &op in self.model.scope(id).ops() {
            self.node(op);
        }
    }
}

/// The tensors of a function's attribute, which the IR leaves in the message.
fn tensors_of(proto: &AttributeProto) -> Vec<Tensor> {
    proto.t.iter().chain(&proto.tensors).filter_map(|tensor| Tensor::new(tensor.clone(), None).ok()).collect()
}
