//! A message as pieces of bytes, so that large tensors are written straight from where they lie, or
//! computed on the way out, and never copied into one buffer.
//!
//! Protobuf states the length of a message before its content, so a rope knows its length from the
//! start, and the offset of every piece in the file is known before the first byte is written.

use std::sync::Arc;

use bytes::Bytes;
use prost::{
    Message,
    encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint},
};

use super::Compute;

/// Below this size a copy costs less than a piece of its own.
const SMALL: usize = 4096;

/// Bytes in pieces.
#[derive(Default)]
pub(crate) struct Rope {
    pieces: Vec<Piece>,
    len: usize,
}

/// Bytes that lie in one place.
pub(crate) enum Piece {
    Owned(Vec<u8>),
    Shared(Bytes),
    Computed(Arc<dyn Compute>),
}

impl Piece {
    pub fn len(&self) -> usize {
        match self {
            Self::Owned(bytes) => bytes.len(),
            Self::Shared(bytes) => bytes.len(),
            Self::Computed(data) => data.byte_len(),
        }
    }
}

impl Rope {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub fn push_slice(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        match self.pieces.last_mut() {
            Some(Piece::Owned(last)) => last.extend_from_slice(bytes),
            _ => self.pieces.push(Piece::Owned(bytes.to_vec())),
        }
    }

    pub fn push_bytes(&mut self, bytes: Bytes) {
        if bytes.len() < SMALL {
            return self.push_slice(&bytes);
        }
        self.len += bytes.len();
        self.pieces.push(Piece::Shared(bytes));
    }

    pub fn push_computed(&mut self, data: Arc<dyn Compute>) {
        self.len += data.byte_len();
        self.pieces.push(Piece::Computed(data));
    }

    pub fn append(&mut self, other: Rope) {
        for piece in other.pieces {
            match piece {
                Piece::Owned(bytes) => self.push_slice(&bytes),
                Piece::Shared(bytes) => self.push_bytes(bytes),
                Piece::Computed(data) => self.push_computed(data),
            }
        }
    }

    /// Encodes a message whose `fields`, sorted by number, are not in `shell` itself. They go where
    /// the encoder would have put them: fields stand in the order of their numbers.
    pub fn message(shell: &impl Message, fields: Vec<(u32, Rope)>) -> Self {
        let encoded = shell.encode_to_vec();
        let mut rope = Self::default();
        let mut rest = encoded.as_slice();
        for (number, field) in fields {
            let ahead = len_of_fields_up_to(rest, number);
            rope.push_slice(&rest[..ahead]);
            rest = &rest[ahead..];
            rope.push_field(number, field);
        }
        rope.push_slice(rest);
        rope
    }

    fn push_field(&mut self, number: u32, content: Rope) {
        let mut head = Vec::new();
        encode_key(number, WireType::LengthDelimited, &mut head);
        encode_varint(content.len as u64, &mut head);
        self.push_slice(&head);
        self.append(content);
    }
}

impl From<&str> for Rope {
    fn from(text: &str) -> Self {
        let mut rope = Self::default();
        rope.push_slice(text.as_bytes());
        rope
    }
}

/// The length of the leading fields of an encoded message whose numbers are at most `number`.
fn len_of_fields_up_to(message: &[u8], number: u32) -> usize {
    let mut rest = message;
    while !rest.is_empty() {
        let start = rest;
        let (tag, wire_type) = decode_key(&mut rest).expect("prost reads what it has written");
        if tag > number {
            return message.len() - start.len();
        }
        let skip = match wire_type {
            WireType::Varint => decode_varint(&mut rest).map(|_| 0).expect("prost reads what it has written"),
            WireType::ThirtyTwoBit => 4,
            WireType::SixtyFourBit => 8,
            WireType::LengthDelimited => decode_varint(&mut rest).expect("prost reads what it has written") as usize,
            WireType::StartGroup | WireType::EndGroup => unreachable!("the format has no groups"),
        };
        rest = &rest[skip..];
    }
    message.len()
}
