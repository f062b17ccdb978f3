//! Numpy's format for one array: a magic number, a header that is a Python dictionary, the elements.
//!
//! The format is numpy's own description of it (`numpy.lib.format`), versions 1.0 to 3.0. A general
//! reader of Python literals would be many times the size of the one line that is to be read here.

use std::{
    fmt,
    io::{self, Read},
    path::Path,
};

use ndarray::{ArrayView, IxDyn, ShapeBuilder};

use super::{MAX_BYTES, places::open};
use crate::{
    error::{Error, ErrorKind, Result},
    ir::{DataType, element_bits},
};

const MAGIC: &[u8] = b"\x93NUMPY";

/// A header of plain numbers has 128 bytes; this much only one of a large structured type needs.
const MAX_HEADER: usize = 1 << 16;

/// Numpy's own limit.
const MAX_RANK: usize = 64;

/// Whether a file that begins like this is numpy's.
pub(super) fn is_npy(beginning: &[u8]) -> bool {
    beginning.starts_with(MAGIC)
}

/// An array whose header was read and whose elements are still to come.
pub(super) struct Array {
    header: Header,
    elements: Box<dyn Read + Send>,
}

#[derive(Debug, Clone, PartialEq)]
struct Header {
    dtype: DataType,
    big_endian: bool,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.header.fmt(f)
    }
}

impl Array {
    /// The array of an `.npy` file.
    pub fn from_file(path: &Path) -> Result<Self> {
        let file = open(path)?;
        let len = file.metadata().map_err(ErrorKind::Read)?.len();
        Self::new(Box::new(file), len)
    }

    /// The array that a stream of `len` bytes holds. Its size is checked against these.
    pub fn new(mut stream: Box<dyn Read + Send>, len: u64) -> Result<Self> {
        let text = header_text(&mut stream)?;
        let header = Header::parse(&text.0)?;
        let there = len.saturating_sub(text.1);
        match header.byte_len() {
            Some(needed) if needed as u64 == there => Ok(Self { header, elements: stream }),
            Some(needed) => Err(Error::sample(format!(
                "{:?} of shape {:?} takes {needed} bytes, but there are {there}; is the file complete?",
                header.dtype, header.shape
            ))),
            None => Err(Error::sample(format!("shape {:?} has more elements than can be addressed", header.shape))),
        }
    }

    pub fn dtype(&self) -> DataType {
        self.header.dtype
    }

    pub fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// Whether the first index changes fastest from element to element.
    pub fn is_fortran_order(&self) -> bool {
        self.header.fortran_order
    }

    /// All elements, row-major and little-endian.
    pub fn read_all(mut self) -> Result<Vec<u8>> {
        let len = self.header.byte_len().unwrap_or(usize::MAX);
        let mut bytes = self.read(len)?;
        self.finish()?;
        if self.header.fortran_order {
            bytes = row_major(&bytes, &self.header.shape, self.header.width());
        }
        Ok(bytes)
    }

    /// The next elements in the order of the file, little-endian.
    pub fn read(&mut self, len: usize) -> Result<Vec<u8>> {
        if len > MAX_BYTES {
            return Err(Error::sample(format!("{len} bytes in one array; more than {MAX_BYTES} are not read")));
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| Error::sample(format!("no memory for {len} bytes")))?;
        (&mut self.elements).take(len as u64).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() != len {
            return Err(unreadable(io::ErrorKind::UnexpectedEof.into()));
        }
        if self.header.big_endian {
            bytes.chunks_exact_mut(self.header.width()).for_each(<[u8]>::reverse);
        }
        Ok(bytes)
    }

    /// Reads beyond the last element: only there an archive's checksum can be wrong.
    pub fn finish(&mut self) -> Result<()> {
        self.elements.read(&mut [0]).map(drop).map_err(unreadable)
    }
}

impl Header {
    fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::sample(format!("has a header that is not numpy's: {}", text.trim()));
        let mut rest = Literal(text);
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        if !rest.eat('{') {
            return Err(wrong());
        }
        while !rest.eat('}') {
            let key = rest.string().filter(|_| rest.eat(':')).ok_or_else(wrong)?;
            match key {
                "descr" if rest.at('[') => {
                    return Err(Error::sample("has elements of several fields; only numbers can be read"));
                }
                "descr" => descr = Some(rest.string().ok_or_else(wrong)?),
                "fortran_order" => fortran_order = Some(rest.boolean().ok_or_else(wrong)?),
                "shape" => shape = Some(rest.sizes().ok_or_else(wrong)?),
                _ => return Err(wrong()),
            }
            if !rest.eat(',') && !rest.at('}') {
                return Err(wrong());
            }
        }
        let (Some(descr), Some(fortran_order), Some(shape), "") = (descr, fortran_order, shape, rest.0.trim()) else {
            return Err(wrong());
        };
        let (dtype, big_endian) = element_type(descr).ok_or_else(|| {
            Error::sample(format!(
                "has elements of numpy's type '{descr}'; only integers, floats and bools can be read"
            ))
        })?;
        Ok(Self { dtype, big_endian, fortran_order, shape })
    }

    /// How many bytes an element has.
    fn width(&self) -> usize {
        element_bits(self.dtype).map_or(1, |bits| bits / 8)
    }

    /// How many bytes the elements have. Sizes of zero do not make up for the others, which count
    /// where the shape of one sample is taken out.
    fn byte_len(&self) -> Option<usize> {
        let at_least = self.shape.iter().try_fold(self.width(), |len, &size| len.checked_mul(size.max(1)))?;
        Some(if self.shape.contains(&0) { 0 } else { at_least })
    }
}

/// The header's text, and how many bytes there are before the elements.
fn header_text(stream: &mut dyn Read) -> Result<(String, u64)> {
    let mut start = [0; 8];
    stream.read_exact(&mut start).map_err(unreadable)?;
    if !is_npy(&start) {
        return Err(Error::sample("is not in numpy's .npy format"));
    }
    let mut len = [0; 4];
    let len_bytes = match start[6] {
        1 => 2,
        2 | 3 => 4,
        version => return Err(Error::sample(format!("is of version {version} of numpy's format; 1 to 3 are known"))),
    };
    stream.read_exact(&mut len[..len_bytes]).map_err(unreadable)?;
    let len = u32::from_le_bytes(len) as usize;
    if len > MAX_HEADER {
        return Err(Error::sample(format!("has a header of {len} bytes; more than {MAX_HEADER} are not read")));
    }
    let mut text = vec![0; len];
    stream.read_exact(&mut text).map_err(unreadable)?;
    let text = String::from_utf8(text).map_err(|_| Error::sample("has a header that is no text"))?;
    Ok((text, (start.len() + len_bytes + len) as u64))
}

/// An element type and whether its bytes are in big-endian order.
fn element_type(descr: &str) -> Option<(DataType, bool)> {
    let (order, ty) = descr.split_at_checked(1)?;
    let dtype = match ty {
        "b1" => DataType::Bool,
        "i1" => DataType::Int8,
        "i2" => DataType::Int16,
        "i4" => DataType::Int32,
        "i8" => DataType::Int64,
        "u1" => DataType::Uint8,
        "u2" => DataType::Uint16,
        "u4" => DataType::Uint32,
        "u8" => DataType::Uint64,
        "f2" => DataType::Float16,
        "f4" => DataType::Float,
        "f8" => DataType::Double,
        _ => return None,
    };
    match order {
        "<" => Some((dtype, false)),
        ">" => Some((dtype, true)),
        // Where order means nothing.
        "|" if element_bits(dtype) == Some(8) => Some((dtype, false)),
        _ => None,
    }
}

/// What is left of a Python literal.
struct Literal<'a>(&'a str);

impl<'a> Literal<'a> {
    fn at(&mut self, character: char) -> bool {
        self.0 = self.0.trim_start();
        self.0.starts_with(character)
    }

    fn eat(&mut self, character: char) -> bool {
        let there = self.at(character);
        if there {
            self.0 = &self.0[character.len_utf8()..];
        }
        there
    }

    fn string(&mut self) -> Option<&'a str> {
        let quote = if self.eat('\'') { '\'' } else { self.eat('"').then_some('"')? };
        let (text, rest) = self.0.split_once(quote)?;
        self.0 = rest;
        Some(text)
    }

    fn word(&mut self) -> &'a str {
        self.0 = self.0.trim_start();
        let end = self.0.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    fn boolean(&mut self) -> Option<bool> {
        match self.word() {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        }
    }

    /// A tuple of sizes. Python 2 wrote an L behind large ones.
    fn sizes(&mut self) -> Option<Vec<usize>> {
        let mut sizes = Vec::new();
        let opened = self.eat('(');
        while opened && sizes.len() <= MAX_RANK {
            if self.eat(')') {
                return Some(sizes);
            }
            sizes.push(self.word().trim_end_matches('L').parse().ok()?);
            if !self.eat(',') && !self.at(')') {
                return None;
            }
        }
        None
    }
}

/// Puts elements of `width` bytes in row-major order that lie with the first index changing fastest.
fn row_major(bytes: &[u8], shape: &[usize], width: usize) -> Vec<u8> {
    match width {
        1 => reordered::<1>(bytes, shape),
        2 => reordered::<2>(bytes, shape),
        4 => reordered::<4>(bytes, shape),
        _ => reordered::<8>(bytes, shape),
    }
}

fn reordered<const WIDTH: usize>(bytes: &[u8], shape: &[usize]) -> Vec<u8> {
    let elements = bytes.as_chunks::<WIDTH>().0;
    let view =
        ArrayView::from_shape(IxDyn(shape).f(), elements).expect("the elements were counted when they were read");
    view.iter().flatten().copied().collect()
}

/// What is wrong with a file that cannot be read to its end.
pub(super) fn unreadable(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::sample("ends too early; is the file complete?"),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Error::sample(format!("is damaged: {error}")),
        _ => ErrorKind::Read(error).into(),
    }
}
