//! Files of samples, written byte by byte.

use std::{fs, io::Write, path::Path};

use flate2::{Compression, write::DeflateEncoder};
use onnx_quant::{
    Model, Result,
    calibration::{Sample, Samples},
    ir::{DataType, Tensor},
    proto::TensorProto,
};
use prost::Message;
use rawzip::{CompressionMethod, ZipArchiveWriter};

/// An `.npy` file: numpy's type, shape, and the elements' bytes.
pub fn npy(descr: &str, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    npy_in_order(descr, false, shape, bytes)
}

pub fn npy_in_order(descr: &str, fortran_order: bool, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let order = if fortran_order { "True" } else { "False" };
    let shape: String = shape.iter().map(|size| format!("{size}, ")).collect();
    npy_with_header(&format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({shape}), }}"), bytes)
}

pub fn npy_with_header(header: &str, bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(header.len() + 1).expect("a short header");
    [b"\x93NUMPY\x01\x00".as_slice(), &len.to_le_bytes(), header.as_bytes(), b"\n", bytes].concat()
}

/// An `.npy` file of floats.
pub fn floats(shape: &[usize], elements: &[f32]) -> Vec<u8> {
    npy("<f4", shape, &bytes_of(elements))
}

/// Floats that count up from a number.
pub fn counting(from: usize, shape: &[usize]) -> Vec<f32> {
    (from..from + shape.iter().product::<usize>()).map(|x| x as f32).collect()
}

pub fn bytes_of(elements: &[f32]) -> Vec<u8> {
    elements.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// An archive of arrays, compressed or not.
pub fn npz(arrays: &[(&str, Vec<u8>)], compressed: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut archive = ZipArchiveWriter::new(&mut out);
    for (name, array) in arrays {
        let method = if compressed { CompressionMethod::DEFLATE } else { CompressionMethod::STORE };
        let name = format!("{name}.npy");
        let (mut entry, config) = archive.new_file(&name).compression_method(method).start().expect("an entry");
        let descriptor = if compressed {
            let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::default()));
            writer.write_all(array).expect("written");
            let (encoder, descriptor) = writer.finish().expect("written");
            encoder.finish().expect("compressed");
            descriptor
        } else {
            let mut writer = config.wrap(&mut entry);
            writer.write_all(array).expect("written");
            writer.finish().expect("written").1
        };
        entry.finish(descriptor).expect("written");
    }
    archive.finish().expect("written");
    out
}

/// A message of a test set.
pub fn pb(dtype: DataType, shape: &[usize], bytes: Vec<u8>) -> Vec<u8> {
    let message = TensorProto {
        dims: shape.iter().map(|&size| size as i64).collect(),
        data_type: Some(dtype as i32),
        raw_data: Some(bytes.into()),
        ..TensorProto::default()
    };
    message.encode_to_vec()
}

/// Writes a file into a folder, which is made if it is not there.
pub fn put(folder: &Path, name: &str, contents: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, contents).expect("a file");
}

/// All samples of a path.
pub fn all(path: &Path, model: &Model) -> Result<Vec<Sample>> {
    let samples = Samples::open(path, model, None)?;
    let count = samples.len();
    let samples: Vec<Sample> = samples.collect::<Result<_>>()?;
    assert_eq!(samples.len(), count, "as many as were announced");
    Ok(samples)
}

/// A tensor as a test says what it expects: name, type, shape, bytes.
pub fn parts(tensor: &Tensor) -> (&str, DataType, Vec<usize>, Vec<u8>) {
    (tensor.name(), tensor.dtype(), tensor.shape(), tensor.to_bytes().expect("it has bytes"))
}

/// The floats of a sample's only input.
pub fn values(sample: &Sample) -> Vec<f32> {
    let [tensor] = sample.inputs.as_slice() else { panic!("one input") };
    tensor.to_array::<f32>().expect("floats").into_iter().collect()
}
