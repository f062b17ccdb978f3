//! Numpy's archives (`.npz`): zip files with an `.npy` file for each array.

use std::{
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use flate2::{CrcReader, read::DeflateDecoder};
use rawzip::{
    CompressionMethod, FileReader, MAX_CENTRAL_DIRECTORY_RECORD_SIZE, RangeReader, ZipArchive, ZipFileHeaderRecord,
};

use super::{
    inputs::{Input, Inputs},
    npy::{Array, unreadable},
    places::open,
};
use crate::error::{Error, Result};

/// Deflate's best: 258 bytes for two bits, rounded up.
const MAX_EXPANSION: u64 = 1032;

/// Whether a file that begins like this is an archive: with an entry, or with the end of one that has none.
pub(super) fn is_archive(beginning: &[u8]) -> bool {
    beginning.starts_with(b"PK\x03\x04") || beginning.starts_with(b"PK\x05\x06")
}

/// The arrays of an archive, with the inputs that they are named like.
pub(super) fn arrays<'a>(path: &Path, inputs: &'a Inputs) -> Result<Vec<(&'a Input, Array)>> {
    let file = open(path)?;
    let mut buffer = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let archive = ZipArchive::from_file(file, &mut buffer).map_err(broken)?;
    let mut found = Vec::new();
    let mut entries = archive.entries(&mut buffer);
    while let Some(record) = entries.next_entry().map_err(broken)? {
        let raw = record.file_path();
        let file_name =
            str::from_utf8(raw.as_bytes()).map_err(|_| Error::sample("has an array whose name is not UTF-8"))?;
        let name = file_name
            .strip_suffix(".npy")
            .ok_or_else(|| Error::sample(format!("has a file '{file_name}', which is no array (.npy)")))?;
        let input = inputs.find(name)?;
        if found.iter().any(|(known, _): &(&Input, Entry)| known.name() == name) {
            return Err(Error::sample(format!("has two arrays named '{name}'")));
        }
        let entry = Entry::of(&archive, &record).map_err(|error| input.in_input(error))?;
        found.push((input, entry));
    }
    let file = Arc::new(archive.into_inner());
    let open = |(input, entry): (&'a Input, Entry)| {
        let array = entry.open(file.clone()).map_err(|error| input.in_input(error))?;
        Ok((input, array))
    };
    found.into_iter().map(open).collect()
}

/// Where a file lies in an archive, and what it must be when it is decompressed.
struct Entry {
    compressed: std::ops::Range<u64>,
    method: CompressionMethod,
    len: u64,
    crc: u32,
}

impl Entry {
    fn of(archive: &ZipArchive<FileReader>, record: &ZipFileHeaderRecord) -> Result<Self> {
        if record.flags().is_encrypted() {
            return Err(Error::sample("is encrypted"));
        }
        let (start, end) = archive.get_entry(record.wayfinder()).map_err(broken)?.compressed_data_range();
        let (method, len, crc) = (record.compression_method(), record.uncompressed_size_hint(), record.crc32());
        let most = match method {
            CompressionMethod::STORE => end.saturating_sub(start),
            CompressionMethod::DEFLATE => end.saturating_sub(start).saturating_mul(MAX_EXPANSION),
            method => return Err(Error::sample(format!("is compressed by {method:?}; only deflate can be read"))),
        };
        if len > most {
            return Err(Error::sample(format!("is said to have {len} bytes, which it cannot; is the file damaged?")));
        }
        Ok(Self { compressed: start..end, method, len, crc })
    }

    fn open(self, file: Arc<FileReader>) -> Result<Array> {
        let bytes = RangeReader::new(file, self.compressed);
        let plain: Box<dyn Read + Send> = match self.method {
            CompressionMethod::DEFLATE => Box::new(DeflateDecoder::new(bytes)),
            _ => Box::new(bytes),
        };
        Array::new(Box::new(Checked { bytes: CrcReader::new(plain), crc: self.crc }), self.len)
    }
}

/// Bytes that must have a checksum, which shows at their end.
struct Checked {
    bytes: CrcReader<Box<dyn Read + Send>>,
    crc: u32,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        if count == 0 && !buffer.is_empty() && self.bytes.crc().sum() != self.crc {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum is wrong"));
        }
        Ok(count)
    }
}

fn broken(error: rawzip::Error) -> Error {
    match error.into_kind() {
        rawzip::ErrorKind::IO(error) => unreadable(error),
        kind => Error::sample(format!("is no .npz archive, or damaged: {kind}")),
    }
}
