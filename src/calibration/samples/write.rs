//! A sample as an archive of numpy's (`.npz`), as [`Samples::open`](super::Samples::open) reads it.

use std::io::Write;

use rawzip::{CompressionMethod, ZipArchiveWriter};

use super::Sample;
use crate::{
    error::{Error, Result},
    ir::{DataType, Tensor},
};

impl Sample {
    /// The sample as the bytes of an `.npz` file, uncompressed, its arrays named like the model's inputs.
    ///
    /// # Errors
    /// An array is of a type that numpy has not, or cannot be read.
    pub fn to_npz(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut archive = ZipArchiveWriter::new(&mut out);
        for tensor in &self.inputs {
            let array = npy(tensor)?;
            let written = (|| -> Result<(), rawzip::Error> {
                let name = format!("{}.npy", tensor.name());
                let (mut entry, config) =
                    archive.new_file(&name).compression_method(CompressionMethod::STORE).start()?;
                let mut writer = config.wrap(&mut entry);
                writer.write_all(&array)?;
                let (_, descriptor) = writer.finish()?;
                entry.finish(descriptor)?;
                Ok(())
            })();
            written.map_err(|error| unwritten(tensor, &error))?;
        }
        archive.finish().map_err(|error| Error::sample(format!("cannot be written as an archive: {error}")))?;
        Ok(out)
    }
}

fn unwritten(tensor: &Tensor, error: &rawzip::Error) -> Error {
    Error::sample(format!("input '{}' cannot be written into an archive: {error}", tensor.name()))
}

/// The bytes of an `.npy` file, version 1.0.
fn npy(tensor: &Tensor) -> Result<Vec<u8>> {
    /// The whole header is a multiple of this, for elements that are mapped.
    const ALIGNMENT: usize = 64;
    let descr = match tensor.dtype() {
        DataType::Float => "<f4",
        DataType::Double => "<f8",
        DataType::Float16 => "<f2",
        DataType::Int8 => "|i1",
        DataType::Int16 => "<i2",
        DataType::Int32 => "<i4",
        DataType::Int64 => "<i8",
        DataType::Uint8 => "|u1",
        DataType::Uint16 => "<u2",
        DataType::Uint32 => "<u4",
        DataType::Uint64 => "<u8",
        DataType::Bool => "|b1",
        // Numpy has it not; float32 holds all of its numbers, and is read for it.
        DataType::Bfloat16 => "<f4",
        _ => return Err(Error::sample(format!("input '{}' is of a type that numpy has not", tensor.name()))),
    };
    let bytes = match tensor.dtype() {
        // Its bits are the leading ones of a float32.
        DataType::Bfloat16 => tensor.bytes()?.as_chunks().0.iter().flat_map(|&[low, high]| [0, 0, low, high]).collect(),
        _ => tensor.bytes()?.to_vec(),
    };
    let sizes: String = tensor.shape().iter().map(|size| format!("{size}, ")).collect();
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", sizes.trim_end());
    let before = b"\x93NUMPY\x01\x00".len() + size_of::<u16>();
    let padding = (before + header.len() + 1).next_multiple_of(ALIGNMENT) - before - header.len() - 1;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    let len = u16::try_from(header.len()).map_err(|_| Error::sample("has too many axes to be written"))?;
    Ok([b"\x93NUMPY\x01\x00", &len.to_le_bytes()[..], header.as_bytes(), &bytes].concat())
}
