//! Half floats become float32: for engines that have no others.

use std::{ops::Range, sync::Arc};

use half::{bf16, f16};

use super::{
    Compute, DataType, Model, Op, Tensor, Value,
    model::{ScopeShell, Vertex},
    tensor::{Contents, without_data},
};
use crate::proto::{AttributeProto, TypeProto, ValueInfoProto, type_proto::Value as Kind};

/// Attributes that name the type of an output or of what is computed within.
const TYPE_ATTRIBUTES: [&str; 7] =
    ["to", "dtype", "output_dtype", "output_datatype", "stash_type", "softmax_precision", "precision"];

impl Tensor {
    /// The tensor with float32 in the place of float16 and bfloat16; one of another type as it is.
    pub(crate) fn widened(&self) -> Self {
        if !is_half(self.dtype()) {
            return self.clone();
        }
        let mut narrow = self.clone();
        if let (Contents::Stored, Ok(bytes)) = (&narrow.data, narrow.bytes()) {
            // What lies in typed fields is decoded once, and not for every part that is asked for.
            narrow.shell = without_data(&narrow.shell);
            narrow.shell.raw_data = Some(bytes);
        }
        self.with_data(self.name(), DataType::Float, &self.shape(), Arc::new(Widened { narrow }))
    }
}

impl Model {
    /// Makes float32 of float16 and bfloat16 throughout: constants, declared types, and the types that
    /// attributes name. What an operator computes is then rounded less, and overflows later.
    /// `inputs_and_outputs`: also what the main graph's inputs and outputs are declared to be.
    pub(crate) fn widen_halves(&mut self, inputs_and_outputs: bool) {
        for vertex in self.graph.node_weights_mut() {
            match vertex {
                Vertex::Op(op) => widen_op(op),
                Vertex::Value(Value { initializer: Some(tensor), .. }) => *tensor = Arc::new(tensor.widened()),
                Vertex::Value(_) | Vertex::Removed => {}
            }
        }
        for (index, scope) in self.scopes.iter_mut().enumerate() {
            let declared = match &mut scope.shell {
                ScopeShell::Graph(graph) => &mut graph.value_info,
                ScopeShell::Function(function) => &mut function.value_info,
            };
            let kept = index == Self::MAIN.0 && !inputs_and_outputs;
            let interfaces = scope.inputs.iter_mut().chain(&mut scope.outputs).filter(|_| !kept);
            declared.iter_mut().chain(interfaces.filter_map(|interface| interface.info.as_mut())).for_each(widen_info);
        }
    }
}

/// Whether a type is one of the half floats.
pub(crate) fn is_half(dtype: DataType) -> bool {
    matches!(dtype, DataType::Float16 | DataType::Bfloat16)
}

fn is_half_number(dtype: i32) -> bool {
    DataType::try_from(dtype).is_ok_and(is_half)
}

fn widen_op(op: &mut Op) {
    for held in &mut op.tensors {
        held.tensor = held.tensor.widened();
    }
    let own = op.domain().is_empty();
    for attribute in &mut op.shell.attribute {
        widen_attribute(attribute, own);
    }
}

fn widen_attribute(attribute: &mut AttributeProto, own: bool) {
    if own && TYPE_ATTRIBUTES.contains(&attribute.name()) {
        let half = |&number: &i64| i32::try_from(number).is_ok_and(is_half_number);
        attribute.i = attribute.i.map(|number| if half(&number) { DataType::Float as i64 } else { number });
    }
    attribute.tp.iter_mut().chain(&mut attribute.type_protos).for_each(widen_type);
}

fn widen_info(info: &mut ValueInfoProto) {
    if let Some(ty) = &mut info.r#type {
        widen_type(ty);
    }
}

fn widen_type(ty: &mut TypeProto) {
    let inner = match &mut ty.value {
        Some(Kind::TensorType(tensor)) => return widen_number(&mut tensor.elem_type),
        Some(Kind::SparseTensorType(tensor)) => return widen_number(&mut tensor.elem_type),
        Some(Kind::SequenceType(sequence)) => &mut sequence.elem_type,
        Some(Kind::OptionalType(optional)) => &mut optional.elem_type,
        Some(Kind::MapType(map)) => &mut map.value_type,
        Some(Kind::OpaqueType(_)) | None => return,
    };
    if let Some(inner) = inner {
        widen_type(inner);
    }
}

fn widen_number(dtype: &mut Option<i32>) {
    if dtype.is_some_and(is_half_number) {
        *dtype = Some(DataType::Float as i32);
    }
}

/// The elements of a tensor of half floats as float32.
struct Widened {
    narrow: Tensor,
}

impl Compute for Widened {
    fn byte_len(&self) -> usize {
        self.narrow.element_count() * size_of::<f32>()
    }

    fn half_floats(&self) -> Option<&Tensor> {
        Some(&self.narrow)
    }

    fn compute(&self, span: Range<usize>, out: &mut [u8]) {
        let bytes = self.narrow.bytes().expect("half floats have a fixed size");
        let wide = |half: [u8; 2]| match self.narrow.dtype() {
            DataType::Float16 => f16::from_le_bytes(half).to_f32(),
            _ => bf16::from_le_bytes(half).to_f32(),
        };
        let halves = bytes.as_chunks::<2>().0;
        // A span may begin and end within an element.
        let mut at = span.start;
        let mut rest = out;
        while !rest.is_empty() {
            let element = wide(halves[at / 4]).to_le_bytes();
            let part = &element[at % 4..];
            let length = part.len().min(rest.len());
            let (filled, behind) = rest.split_at_mut(length);
            filled.copy_from_slice(&part[..length]);
            (at, rest) = (at + length, behind);
        }
    }
}
