//! From the graph to bytes; `import.rs` is the way in.
//!
//! Every message is encoded from its shell, with what the IR holds itself spliced back in. What no
//! pass touched comes out as it went in.

use super::{
    Interface, Model, OpId, ScopeId, Tensor,
    model::ScopeShell,
    op::AttributePlace,
    rope::Rope,
    tensor::{Contents, without_data},
};
use crate::proto::{StringStringEntryProto, TensorProto, tensor_proto::DataLocation};

/// Decides, tensor by tensor in the order of the file, where the bytes go.
pub(crate) trait Placement {
    fn place(&mut self, tensor: &Tensor, place: TensorPlace) -> Placed;
}

/// What a tensor is to the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TensorPlace {
    Initializer,
    Attribute,
}

/// Where a tensor's bytes go.
pub(crate) enum Placed {
    /// Where they were: in the message, or in the external file that it names.
    AsItIs,
    /// Into the message.
    Inline,
    /// Into an external file.
    External { location: String, offset: u64, length: u64 },
}

/// Encodes a model.
pub(crate) fn export(model: &Model, placement: &mut dyn Placement) -> Rope {
    let mut exporter = Exporter { model, placement };
    let functions: Vec<ScopeId> = model.scopes().filter(|&scope| model.scope(scope).is_function()).collect();
    let mut fields = vec![(7, exporter.scope(Model::MAIN))];
    fields.extend(functions.into_iter().map(|scope| (25, exporter.scope(scope))));
    Rope::message(&model.shell, fields)
}

struct Exporter<'a> {
    model: &'a Model,
    placement: &'a mut dyn Placement,
}

impl Exporter<'_> {
    fn scope(&mut self, id: ScopeId) -> Rope {
        let model = self.model;
        let scope = model.scope(id);
        let ops: Vec<Rope> = scope.ops().iter().map(|&op| self.op(op)).collect();
        match &scope.shell {
            ScopeShell::Graph(shell) => {
                let mut fields = numbered(1, ops);
                fields.extend(scope.initializers().iter().map(|&value| {
                    let tensor = model.value(value).initializer().expect("a listed initializer has a tensor");
                    (5, self.tensor(tensor, TensorPlace::Initializer))
                }));
                fields.extend(scope.inputs().iter().map(|input| (11, self.interface(input))));
                fields.extend(scope.outputs().iter().map(|output| (12, self.interface(output))));
                Rope::message(shell, fields)
            }
            ScopeShell::Function(shell) => {
                let name = |interface: &Interface| Rope::from(model.value(interface.value).name());
                let mut fields = numbered(4, scope.inputs().iter().map(name).collect());
                fields.extend(numbered(5, scope.outputs().iter().map(name).collect()));
                fields.extend(numbered(7, ops));
                Rope::message(shell, fields)
            }
        }
    }

    fn interface(&self, interface: &Interface) -> Rope {
        let name = Rope::from(self.model.value(interface.value).name());
        Rope::message(&interface.info.clone().unwrap_or_default(), vec![(1, name)])
    }

    fn op(&mut self, id: OpId) -> Rope {
        let model = self.model;
        let op = model.op(id);
        let name = |value: Option<_>| Rope::from(value.map_or("", |value| model.value(value).name()));
        let mut fields = numbered(1, model.inputs(id).into_iter().map(name).collect());
        fields.extend(numbered(2, model.outputs(id).into_iter().map(name).collect()));
        if op.tensors.is_empty() && op.bodies.is_empty() {
            return Rope::message(&op.shell, fields);
        }
        let mut shell = op.shell.clone();
        let mut held = op.held();
        for attribute in std::mem::take(&mut shell.attribute) {
            let held = held.remove(attribute.name()).unwrap_or_default();
            let number = |place: &AttributePlace, single, listed| if place.element.is_some() { listed } else { single };
            let mut content = Vec::new();
            for tensor in held.tensors {
                content.push((number(&tensor.place, 5, 10), self.tensor(&tensor.tensor, TensorPlace::Attribute)));
            }
            for body in held.bodies {
                content.push((number(&body.place, 6, 11), self.scope(body.scope)));
            }
            content.sort_by_key(|(number, _)| *number);
            fields.push((5, Rope::message(&attribute, content)));
        }
        Rope::message(&shell, fields)
    }

    fn tensor(&mut self, tensor: &Tensor, place: TensorPlace) -> Rope {
        let mut shell;
        match self.placement.place(tensor, place) {
            Placed::AsItIs if tensor.is_external() => return Rope::message(&tensor.shell, vec![]),
            Placed::External { location, offset, length } => {
                let data = [("location", location), ("offset", offset.to_string()), ("length", length.to_string())];
                shell = without_data(&tensor.shell);
                shell.set_data_location(DataLocation::External);
                shell.external_data = data.map(|(key, value)| entry(key, value)).to_vec();
                return Rope::message(&shell, vec![]);
            }
            Placed::AsItIs | Placed::Inline => {}
        }
        let mut content = Rope::default();
        match &tensor.data {
            Contents::Stored => {
                let Some(raw) = tensor.shell.raw_data.clone() else { return Rope::message(&tensor.shell, vec![]) };
                shell = TensorProto { raw_data: None, ..tensor.shell.clone() };
                content.push_bytes(raw);
            }
            Contents::External(bytes) => {
                shell = without_data(&tensor.shell);
                content.push_bytes(bytes.clone());
            }
            Contents::Computed(data) => {
                shell = tensor.shell.clone();
                content.push_computed(data.clone());
            }
        }
        Rope::message(&shell, vec![(9, content)])
    }
}

fn numbered(number: u32, ropes: Vec<Rope>) -> Vec<(u32, Rope)> {
    ropes.into_iter().map(|rope| (number, rope)).collect()
}

fn entry(key: &str, value: String) -> StringStringEntryProto {
    StringStringEntryProto { key: Some(key.to_owned()), value: Some(value) }
}

/// Everything in the message; for models that are not written to a file.
pub(crate) struct AllInline;

impl Placement for AllInline {
    fn place(&mut self, _: &Tensor, _: TensorPlace) -> Placed {
        Placed::Inline
    }
}

impl Model {
    /// The model as an ONNX message, with external data brought inside.
    ///
    /// ```
    /// # let bytes = std::fs::read("testdata/kws_dscnn.onnx").unwrap();
    /// let model = onnx_quant::Model::from_bytes(bytes.clone())?;
    /// assert_eq!(model.to_bytes(), bytes);
    /// # Ok::<(), onnx_quant::Error>(())
    /// ```
    pub fn to_bytes(&self) -> Vec<u8> {
        export(self, &mut AllInline).to_bytes()
    }
}

impl Rope {
    fn to_bytes(&self) -> Vec<u8> {
        use super::rope::Piece;
        let mut bytes = vec![0; self.len()];
        let mut rest = bytes.as_mut_slice();
        for piece in self.pieces() {
            let (target, behind) = rest.split_at_mut(piece.len());
            match piece {
                Piece::Owned(bytes) => target.copy_from_slice(bytes),
                Piece::Shared(bytes) => target.copy_from_slice(bytes),
                Piece::Computed(data) => data.compute(0..target.len(), target),
            }
            rest = behind;
        }
        bytes
    }
}
