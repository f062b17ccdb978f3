//! Models with inputs of any type, and files of samples, written byte by byte.

use std::{fs, io::Write, path::Path};

use bytes::Bytes;
use flate2::{Compression, write::DeflateEncoder};
use onnx_quant::{
    Model, Result,
    calibration::{Sample, Samples},
    ir::{DataType, Tensor},
    proto::{
        GraphProto, ModelProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
        tensor_shape_proto::{Dimension, dimension},
        type_proto,
    },
};
use prost::Message;
use rawzip::{CompressionMethod, ZipArchiveWriter};

/// A type in words: `float[1,N,?]`, `int64` for a scalar, `float[...]` where no shape is stated.
pub fn ty(text: &str) -> TypeProto {
    let (element, dims) = match text.trim_end_matches(']').split_once('[') {
        Some((element, dims)) => (element, Some(dims)),
        None => (text, None),
    };
    let dtype = DataType::from_str_name(&element.to_uppercase()).expect("an element type");
    let dim = |text: &str| Dimension {
        denotation: None,
        value: match text.parse() {
            Ok(size) => Some(dimension::Value::DimValue(size)),
            Err(_) if text == "?" => None,
            Err(_) => Some(dimension::Value::DimParam(text.to_owned())),
        },
    };
    let shape = match dims {
        Some("...") => None,
        Some(dims) => Some(TensorShapeProto { dim: dims.split(',').map(dim).collect() }),
        None => Some(TensorShapeProto::default()),
    };
    let tensor = type_proto::Tensor { elem_type: Some(dtype as i32), shape };
    TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() }
}

/// A model that does nothing, with inputs of these names and types; those behind `=` have a default.
pub fn model(inputs: &[(&str, &str)]) -> Model {
    let typed: Vec<_> = inputs.iter().map(|(name, text)| (*name, ty(text))).collect();
    model_of(&typed)
}

pub fn model_of(inputs: &[(&str, TypeProto)]) -> Model {
    let mut graph = GraphProto { name: Some("g".to_owned()), ..GraphProto::default() };
    for (name, ty) in inputs {
        let plain = name.trim_start_matches('=');
        graph.input.push(ValueInfoProto {
            name: Some(plain.to_owned()),
            r#type: Some(ty.clone()),
            ..ValueInfoProto::default()
        });
        if plain != *name {
            graph.initializer.push(TensorProto {
                name: Some(plain.to_owned()),
                data_type: Some(1),
                float_data: vec![0.5],
                ..TensorProto::default()
            });
        }
    }
    let opset = OperatorSetIdProto { domain: None, version: Some(17) };
    let model =
        ModelProto { ir_version: Some(8), graph: Some(graph), opset_import: vec![opset], ..ModelProto::default() };
    Model::from_bytes(model.encode_to_vec().into()).expect("a model")
}

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
pub fn parts(tensor: &Tensor) -> (&str, DataType, Vec<usize>, Bytes) {
    (tensor.name(), tensor.dtype(), tensor.shape(), tensor.bytes().expect("it has bytes"))
}

/// The floats of a sample's only input.
pub fn values(sample: &Sample) -> Vec<f32> {
    let [tensor] = sample.inputs.as_slice() else { panic!("one input") };
    tensor.to_f32().expect("floats").into_iter().collect()
}
