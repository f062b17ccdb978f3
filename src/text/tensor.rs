//! Tensors: spelled out where they are small, and as a digest elsewhere.

use sha2::{Digest, Sha256};

use super::{
    Printer, small_float,
    syntax::{double, float, quoted, shaped},
};
use crate::{
    ir::{DataType, Tensor, element_bits, rope::Piece},
    proto::SparseTensorProto,
};

/// What is computed at a time of a tensor that exists nowhere yet.
const BLOCK: usize = 1 << 19;

impl Printer<'_> {
    /// Writes a tensor: type, shape, a name where it has one, and what it holds.
    pub(super) fn tensor(&mut self, tensor: &Tensor, name: Option<&str>) {
        self.out.push(&shaped(tensor.dtype(), &tensor.shell.dims));
        if let Some(name) = name {
            self.out.push(&format!(" {name}"));
        }
        let elements = Elements::of(tensor, self.options.literal_elements);
        match elements.as_ref().and_then(Elements::literal) {
            // The parser wants `=` before a digest even where there is no name.
            Some(literal) => self.out.push(&format!("{} {{{literal}}}", if name.is_some() { " =" } else { "" })),
            None => match elements.as_ref().and_then(|elements| elements.packed(tensor)) {
                Some(bytes) => self.out.push(&format!(" = [\"bytes\": \"{bytes}\"]")),
                None => self.out.push(&format!(" = {}", digest_text(tensor))),
            },
        }
        if let Some(values) = elements.as_ref().and_then(Elements::values) {
            self.out.note(format!("{{{values}}}"));
        }
    }

    /// A sparse tensor, for a comment: the syntax has no form for one.
    pub(super) fn sparse_text(&self, sparse: &SparseTensorProto) -> String {
        let part = |proto: &Option<crate::proto::TensorProto>| {
            let Some(tensor) = proto.as_ref().and_then(|proto| Tensor::new(proto.clone(), None).ok()) else {
                return "(not in the model)".to_owned();
            };
            let ty = shaped(tensor.dtype(), &tensor.shell.dims);
            let elements = Elements::of(&tensor, self.options.literal_elements);
            let literal = elements.as_ref().and_then(|elements| elements.values().or_else(|| elements.literal()));
            literal.map_or_else(|| format!("{ty} {}", digest_text(&tensor)), |literal| format!("{ty} {{{literal}}}"))
        };
        let values = sparse.values.as_ref().map_or(0, |values| values.data_type());
        let dtype = DataType::try_from(values).unwrap_or(DataType::Undefined);
        let (values, indices) = (part(&sparse.values), part(&sparse.indices));
        format!("sparse_tensor({}), values {values}, indices {indices}", shaped(dtype, &sparse.dims))
    }
}

/// The first 16 digits of the SHA-256 of some bytes.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    digits_of(Sha256::new_with_prefix(bytes))
}

/// The elements of a tensor that is small enough to be spelled out.
struct Elements<'a> {
    dtype: DataType,
    strings: &'a [bytes::Bytes],
    /// The bit patterns of all other elements, a complex one as two.
    patterns: Vec<u64>,
}

impl<'a> Elements<'a> {
    fn of(tensor: &'a Tensor, limit: usize) -> Option<Self> {
        let dtype = tensor.dtype();
        if dtype == DataType::String {
            let strings = tensor.shell.string_data.as_slice();
            let whole = strings.len() == tensor.element_count() && strings.len() <= limit;
            return whole.then_some(Self { dtype, strings, patterns: Vec::new() });
        }
        let count = tensor.element_count();
        if count > limit {
            return None;
        }
        let bytes = tensor.bytes().ok().filter(|bytes| bytes.len() == tensor.byte_len())?;
        let (bits, count) = match dtype {
            DataType::Complex64 => (32, count * 2),
            DataType::Complex128 => (64, count * 2),
            _ => (element_bits(dtype)?, count),
        };
        let patterns = (0..count).map(|index| pattern(&bytes, index * bits, bits)).collect();
        Some(Self { dtype, strings: &[], patterns })
    }

    /// The elements as the parser reads them, so that the tensor it makes is this one.
    fn literal(&self) -> Option<String> {
        use DataType::*;
        Some(match self.dtype {
            String if self.strings.iter().any(|text| str::from_utf8(text).is_err()) => return None,
            String => join(self.strings, |text| quoted(text)),
            Float | Complex64 => join(&self.patterns, |bits| float(f32::from_bits(*bits as u32))),
            Double | Complex128 => join(&self.patterns, |bits| double(f64::from_bits(*bits))),
            Int8 => join(&self.patterns, |bits| (*bits as i8).to_string()),
            Int16 => join(&self.patterns, |bits| (*bits as i16).to_string()),
            Int32 => join(&self.patterns, |bits| (*bits as i32).to_string()),
            Int64 => join(&self.patterns, |bits| (*bits as i64).to_string()),
            // The parser does not pack what it reads, so it would make another tensor of these.
            Int2 | Uint2 | Int4 | Uint4 | Float4e2m1 if !self.patterns.is_empty() => return None,
            _ => join(&self.patterns, u64::to_string),
        })
    }

    /// The bytes, for elements that the reference parser would not pack: it takes these for external data.
    fn packed(&self, tensor: &Tensor) -> Option<String> {
        let packed = element_bits(self.dtype)? % 8 != 0;
        Some(hexadecimal(&tensor.bytes().ok().filter(|_| packed)?))
    }

    /// The elements' values, where the literal does not show them: there are bit patterns, or none.
    fn values(&self) -> Option<String> {
        use DataType::*;
        let value: fn(DataType, u64) -> std::string::String = match self.dtype {
            _ if self.patterns.is_empty() => return None,
            Int2 => |_, bits| (((bits << 6) as i8) >> 6).to_string(),
            Int4 => |_, bits| (((bits << 4) as i8) >> 4).to_string(),
            Uint2 | Uint4 => |_, bits| bits.to_string(),
            dtype if small_float::decode(dtype, 0).is_some() => {
                |dtype, bits| small_float::decode(dtype, bits as u32).map_or_else(std::string::String::new, float)
            }
            _ => return None,
        };
        Some(join(&self.patterns, |bits| value(self.dtype, *bits)))
    }
}

fn join<T>(items: &[T], text: impl FnMut(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// The `width` bits from bit `start` on, both counted from the low end.
fn pattern(bytes: &[u8], start: usize, width: usize) -> u64 {
    let bit = |index: usize| u64::from(bytes[index / 8] >> (index % 8) & 1);
    (0..width).fold(0, |pattern, index| pattern | bit(start + index) << index)
}

fn digest_text(tensor: &Tensor) -> String {
    format!("[\"sha256\": \"{}\"]", digits_of(hash(tensor)))
}

/// Hashes the elements' bytes wherever they are kept; of strings, each one's length and bytes.
fn hash(tensor: &Tensor) -> Sha256 {
    let mut hash = Sha256::new();
    let Some(content) = tensor.content() else {
        for text in &tensor.shell.string_data {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        return hash;
    };
    for piece in content.pieces() {
        match piece {
            Piece::Owned(bytes) => hash.update(bytes),
            Piece::Shared(bytes) => hash.update(bytes),
            Piece::Computed(data) => {
                let mut block = vec![0; BLOCK.min(data.byte_len())];
                for start in (0..data.byte_len()).step_by(BLOCK) {
                    let end = data.byte_len().min(start + BLOCK);
                    let block = &mut block[..end - start];
                    data.compute(start..end, block);
                    hash.update(block);
                }
            }
        }
    }
    hash
}

fn digits_of(hash: Sha256) -> String {
    hexadecimal(&hash.finalize()[..8])
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
