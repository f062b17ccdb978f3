//! A synthetic convolutional network of the size of a real one, and samples for it. The same request
//! gives the same bytes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use onnx_quant::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_proto::DataType,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};
use prost::Message;

const CONVOLUTIONS: usize = 9;
const CHANNELS: usize = 64;
const SIZE: usize = 112;
const CLASSES: usize = 10;
const INPUT: [usize; 4] = [1, 3, SIZE, SIZE];

/// Nine convolutions of 64 channels at 112x112, each with a Relu, then pooling and a Gemm: 3.7 billion
/// multiply-accumulates, and 7.3 million observed numbers a sample.
pub fn model(folder: &Path) -> io::Result<PathBuf> {
    let mut graph = GraphProto { name: some("cnn"), ..GraphProto::default() };
    let mut value = "x".to_owned();
    for index in 0..CONVOLUTIONS {
        let channels = if index == 0 { INPUT[1] } else { CHANNELS };
        let (weight, made, clamped) = (format!("weight_{index}"), format!("conv_{index}"), format!("relu_{index}"));
        graph.initializer.push(tensor(&weight, &[CHANNELS, channels, 3, 3], channels * 9));
        let mut conv = node("Conv", &[&value, &weight], &made);
        conv.attribute.push(ints("kernel_shape", &[3, 3]));
        conv.attribute.push(ints("pads", &[1, 1, 1, 1]));
        graph.node.extend([conv, node("Relu", &[&made], &clamped)]);
        value = clamped;
    }
    graph.initializer.push(tensor("classes", &[CHANNELS, CLASSES], CHANNELS));
    graph.node.push(node("GlobalAveragePool", &[&value], "pooled"));
    graph.node.push(node("Flatten", &["pooled"], "features"));
    graph.node.push(node("Gemm", &["features", "classes"], "y"));
    graph.input.push(info("x", &INPUT));
    graph.output.push(info("y", &[1, CLASSES]));
    let opset = OperatorSetIdProto { domain: some(""), version: Some(17) };
    let model =
        ModelProto { ir_version: Some(8), opset_import: vec![opset], graph: Some(graph), ..ModelProto::default() };
    let path = folder.join("cnn.onnx");
    fs::write(&path, model.encode_to_vec())?;
    Ok(path)
}

/// A folder of samples, each a file, about normal.
pub fn samples(folder: &Path, count: usize) -> io::Result<PathBuf> {
    let folder = folder.join("samples");
    fs::create_dir_all(&folder)?;
    for index in 0..count {
        fs::write(
            folder.join(format!("{index}.npy")),
            npy(&INPUT, &normal(index as u64, INPUT.iter().product(), 1.0)),
        )?;
    }
    Ok(folder)
}

/// An array as numpy saves it: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
fn npy(shape: &[usize], values: &[u8]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size},")).collect();
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sizes}), }}");
    // Magic, version and length are ten bytes; the elements begin at a multiple of 64.
    let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((padded as u16).to_le_bytes());
    file.extend(format!("{header:<width$}\n", width = padded - 1).bytes());
    file.extend(values);
    file
}

/// Weights with which a layer gives numbers as large as those it gets, though a Relu is in between.
fn tensor(name: &str, shape: &[usize], summed: usize) -> TensorProto {
    let seed = name.bytes().fold(1 << 32, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let values = normal(seed, shape.iter().product(), (2.0 / summed as f32).sqrt());
    TensorProto {
        name: some(name),
        dims: shape.iter().map(|&size| size as i64).collect(),
        data_type: Some(DataType::Float as i32),
        raw_data: Some(values.into()),
        ..TensorProto::default()
    }
}

/// Sums of four uniform numbers, from SplitMix64.
fn normal(seed: u64, count: usize, deviation: f32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(1);
    let scale = deviation * 3f32.sqrt() / 65536.0;
    (0..count)
        .flat_map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let mixed = mixed ^ (mixed >> 31);
            let sum: i32 = (0..4).map(|part| i32::from((mixed >> (16 * part)) as u16 as i16)).sum();
            (sum as f32 * scale).to_le_bytes()
        })
        .collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn node(op_type: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: some(op_type),
        name: some(output),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    let kind = Some(AttributeType::Ints as i32);
    AttributeProto { name: some(name), r#type: kind, ints: ints.to_vec(), ..AttributeProto::default() }
}

fn info(name: &str, shape: &[usize]) -> ValueInfoProto {
    let size =
        |&size: &usize| Dimension { value: Some(dimension::Value::DimValue(size as i64)), ..Dimension::default() };
    let shape = TensorShapeProto { dim: shape.iter().map(size).collect() };
    let tensor = type_proto::Tensor { elem_type: Some(DataType::Float as i32), shape: Some(shape) };
    let ty = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: some(name), r#type: Some(ty), ..ValueInfoProto::default() }
}
