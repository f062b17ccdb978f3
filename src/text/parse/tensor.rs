//! Tensors: their elements spelled out, external data, or a digest that stands for elements.

use std::borrow::Cow;

use super::{DataLocation, Fault, Read, Reader, TensorProto};
use crate::{
    ir::{DataType, element_bits, type_name},
    proto::{TypeProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto::Value},
};

/// The keys that the printer writes in the place of elements.
const DIGEST: &str = "sha256";
const BYTES: &str = "bytes";

impl Reader<'_> {
    /// What follows the `=` of a declaration that begins at `offset`.
    pub fn initializer(&mut self, offset: usize, info: &ValueInfoProto) -> Read<TensorProto> {
        let Some(ty) = &info.r#type else {
            return Err(Fault { offset, message: "an initializer needs its type before its name".to_owned() });
        };
        self.elements(offset, ty, info.name().to_owned())
    }

    /// What follows the type of a tensor in an attribute: perhaps a name, perhaps a `=`, the elements.
    pub fn attribute_tensor(&mut self, offset: usize, ty: &TypeProto) -> Read<TensorProto> {
        let name = self.optional_name()?.unwrap_or_default();
        self.skip("=");
        self.elements(offset, ty, name)
    }

    fn elements(&mut self, offset: usize, ty: &TypeProto, name: String) -> Read<TensorProto> {
        let (dtype, dims) = tensor_type(ty).map_err(|message| Fault { offset, message: message.to_owned() })?;
        let mut tensor = TensorProto { dims, data_type: Some(dtype as i32), ..TensorProto::default() };
        tensor.name = Some(name).filter(|name| !name.is_empty());
        let count = count(&tensor.dims).ok_or_else(|| Fault {
            offset,
            message: "a tensor of this shape has more elements than can be addressed, or less than none".to_owned(),
        })?;
        if self.next_is("{") {
            self.literal(&mut tensor, dtype, count)?;
        } else if self.next_is("[") {
            let place = self.here();
            let entries = self.string_entries()?;
            let value = |key: &str| entries.iter().find(|entry| entry.key() == key).map(|entry| entry.value());
            if let Some(digits) = value(BYTES) {
                let bytes = from_hexadecimal(digits);
                let raw = bytes.ok_or_else(|| Fault {
                    offset: place,
                    message: "bytes are two hexadecimal digits each".to_owned(),
                })?;
                tensor.raw_data = Some(raw.into());
            } else if value(DIGEST).is_some() && value("location").is_none() {
                self.elided(place, &mut tensor, count)?;
            } else {
                tensor.set_data_location(DataLocation::External);
                tensor.external_data = entries;
            }
        } else if self.next_is("...") {
            let place = self.here();
            self.skip("...");
            self.elided(place, &mut tensor, count)?;
        } else {
            return Err(self.expected("the elements in '{' and '}', or where they are in '[' and ']'"));
        }
        Ok(tensor)
    }

    /// Elements in braces, packed as in a file.
    fn literal(&mut self, tensor: &mut TensorProto, dtype: DataType, count: usize) -> Read<()> {
        let offset = self.here();
        let numbers = match dtype {
            DataType::Complex64 | DataType::Complex128 => count.checked_mul(2),
            _ => Some(count),
        };
        let mut found = 0usize;
        if dtype == DataType::String {
            let strings = self.enclosed("{", "}", Self::string)?;
            found = strings.len();
            tensor.string_data = strings.into_iter().map(Into::into).collect();
        } else {
            let mut packed = Packed::default();
            self.enclosed("{", "}", |reader| {
                found += 1;
                reader.element(dtype, &mut packed)
            })?;
            tensor.raw_data = Some(packed.finish().into());
        }
        if numbers == Some(found) {
            return Ok(());
        }
        let needed = numbers.unwrap_or(count);
        let message = format!("expected {needed} elements, as the shape {:?} has, found {found}", tensor.dims);
        Err(Fault { offset, message })
    }

    fn element(&mut self, dtype: DataType, packed: &mut Packed) -> Read<()> {
        use DataType::*;
        let word = match dtype {
            Bool => self.peek_word().filter(|word| ["true", "false"].contains(word)),
            _ => None,
        };
        if let Some(word) = word {
            self.word();
            packed.push(8, u64::from(word == "true"));
            return Ok(());
        }
        let number = self.number("a number")?;
        let bits = match dtype {
            Float | Complex64 => 32,
            Double | Complex128 => 64,
            _ => element_bits(dtype).unwrap_or(64),
        };
        let what = match dtype {
            Int2 | Int4 | Int8 | Int16 | Int32 | Int64 | Uint2 | Uint4 | Uint8 | Uint16 | Uint32 | Uint64 => {
                Cow::Owned(format!("of type {}", type_name(dtype)))
            }
            Bool => Cow::Borrowed("0, 1, true or false"),
            _ => Cow::Owned(format!(
                "a bit pattern of type {}: an integer of {bits} bits, not the number it stands for",
                type_name(dtype)
            )),
        };
        let pattern = match dtype {
            Float | Complex64 => number.float()?.to_bits().into(),
            Double | Complex128 => number.double()?.to_bits(),
            Int2 | Int4 | Int8 | Int16 | Int32 | Int64 => {
                let value: i64 = number.parse(&what)?;
                if value >> (bits - 1) != 0 && value >> (bits - 1) != -1 {
                    return Err(number.does_not_fit(&what));
                }
                value as u64
            }
            _ => {
                let value: u64 = number.parse(&what)?;
                if bits < 64 && value >> bits != 0 {
                    return Err(number.does_not_fit(&what));
                }
                value
            }
        };
        packed.push(bits, pattern);
        Ok(())
    }

    /// A tensor that the text has no elements of.
    fn elided(&mut self, offset: usize, tensor: &mut TensorProto, count: usize) -> Read<()> {
        match &mut self.filler {
            Some(filler) => filler.fill(tensor, count).map_err(|message| Fault { offset, message })?,
            None => {
                let before = &self.text[..offset];
                let line = before.matches('\n').count() + 1;
                let name = tensor.name.as_deref().filter(|name| !name.is_empty()).map(str::to_owned);
                self.elided.push(name.unwrap_or_else(|| format!("the tensor without a name in line {line}")));
            }
        }
        Ok(())
    }

    /// The printer writes a digest for a string that is no text.
    pub fn check_no_digest(&mut self, offset: usize, text: &str) -> Read<()> {
        let digest = text.split_once(" bytes, sha256 ").filter(|(length, digest)| {
            !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) && digest.len() == 16
        });
        if digest.is_none() || self.filler.is_some() {
            return Ok(());
        }
        let message = "this stands for bytes that are no text, which are not here; `--fill random` \
                       (`ParseOptions::fill`) takes the words for them"
            .to_owned();
        Err(Fault { offset, message })
    }
}

/// The element type and shape that a type states.
fn tensor_type(ty: &TypeProto) -> Result<(DataType, Vec<i64>), &'static str> {
    let Some(Value::TensorType(tensor)) = &ty.value else { return Err("expected the type of a tensor") };
    let shape = tensor.shape.as_ref().ok_or("a tensor with elements needs a shape: no brackets, or sizes in them")?;
    let size = |dim: &crate::proto::tensor_shape_proto::Dimension| match dim.value {
        Some(dimension::Value::DimValue(size)) => Ok(size),
        _ => Err("a tensor with elements needs numbers for sizes"),
    };
    let dims = shape.dim.iter().map(size).collect::<Result<_, _>>()?;
    Ok((DataType::try_from(tensor.elem_type()).unwrap_or(DataType::Undefined), dims))
}

fn count(dims: &[i64]) -> Option<usize> {
    let sizes = dims.iter().map(|&dim| usize::try_from(dim).ok()).collect::<Option<Vec<_>>>()?;
    if sizes.contains(&0) {
        return Some(0);
    }
    sizes.into_iter().try_fold(1usize, usize::checked_mul)
}

fn from_hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok()).collect()
}

/// Elements in as many bits as each has, from the low bits of a byte up.
#[derive(Default)]
struct Packed {
    bytes: Vec<u8>,
    /// What is not yet a whole byte.
    rest: u64,
    bits: usize,
}

impl Packed {
    fn push(&mut self, bits: usize, pattern: u64) {
        if bits.is_multiple_of(8) {
            return self.bytes.extend(&pattern.to_le_bytes()[..bits / 8]);
        }
        self.rest |= (pattern & ((1 << bits) - 1)) << self.bits;
        self.bits += bits;
        while self.bits >= 8 {
            self.bytes.push(self.rest as u8);
            self.rest >>= 8;
            self.bits -= 8;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.bits > 0 {
            self.bytes.push(self.rest as u8);
        }
        self.bytes
    }
}
