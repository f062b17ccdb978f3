//! Files that numpy itself wrote; `testdata/make_samples.py` says what is in them.

use std::path::PathBuf;

use half::f16;
use onnx_quant::{
    Model,
    calibration::Samples,
    ir::{DataType, TensorType},
};
use tempfile::tempdir;

use crate::{
    bodies::typed::model,
    samples::files::{all, bytes_of, counting, parts},
};

const ARRAYS: [(&str, &str); 14] = [
    ("float16", "float16[2,3]"),
    ("float32", "float[2,3]"),
    ("float64", "double[2,3]"),
    ("int8", "int8[2,3]"),
    ("int16", "int16[2,3]"),
    ("int32", "int32[2,3]"),
    ("int64", "int64[2,3]"),
    ("uint8", "uint8[2,3]"),
    ("uint16", "uint16[2,3]"),
    ("uint32", "uint32[2,3]"),
    ("uint64", "uint64[2,3]"),
    ("bool", "bool[2,3]"),
    ("scalar", "float"),
    ("none", "float[?,4]"),
];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/samples").join(name)
}

/// 1 to 6 in a type's bytes.
fn expected(name: &str) -> Vec<u8> {
    let numbers = 1..=6u8;
    match name {
        "float16" => numbers.flat_map(|x| f16::from(x).to_le_bytes()).collect(),
        "float32" => numbers.flat_map(|x| f32::from(x).to_le_bytes()).collect(),
        "float64" => numbers.flat_map(|x| f64::from(x).to_le_bytes()).collect(),
        "int8" | "uint8" => numbers.collect(),
        "int16" | "uint16" => numbers.flat_map(|x| u16::from(x).to_le_bytes()).collect(),
        "int32" | "uint32" => numbers.flat_map(|x| u32::from(x).to_le_bytes()).collect(),
        "int64" | "uint64" => numbers.flat_map(|x| u64::from(x).to_le_bytes()).collect(),
        "bool" => vec![1, 0, 1, 0, 0, 1],
        "scalar" => 1f32.to_le_bytes().to_vec(),
        _ => vec![],
    }
}

fn every_type_is_read_in_every_order_and_compression() {
    let model = model(&ARRAYS);
    for file in ["stored.npz", "compressed.npz", "big_endian.npz", "fortran_order.npz"] {
        let folder = tempdir().expect("a folder");
        std::fs::copy(path(file), folder.path().join(file)).expect("a copy");
        let samples = all(folder.path(), &model).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(samples.len(), 1);
        let found: Vec<_> = samples[0].inputs.iter().map(|tensor| (tensor.name(), tensor.to_bytes())).collect();
        for ((name, bytes), (expected_name, _)) in found.into_iter().zip(ARRAYS) {
            assert_eq!(name, expected_name, "{file}: in the order of the model's inputs");
            assert_eq!(bytes.expect("bytes"), expected(name), "{file}: {name}");
        }
    }
}

fn one_array_is_read_in_every_order_and_version() {
    let expected = bytes_of(&counting(1, &[2, 3, 4]));
    for file in ["big_endian_fortran_order.npy", "version_2.npy", "version_3.npy"] {
        // As one sample, by a list.
        let folder = tempdir().expect("a folder");
        let list = folder.path().join("samples.txt");
        std::fs::write(&list, path(file).to_str().expect("a path")).expect("a list");
        let samples = all(&list, &model(&[("x", "float[2,3,4]")])).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(parts(&samples[0].inputs[0]), ("x", DataType::Float, vec![2, 3, 4], expected.clone()));

        // As two samples, along the first axis.
        let samples = all(&path(file), &model(&[("x", "float[3,4]")])).unwrap_or_else(|error| panic!("{error}"));
        let halves: Vec<_> = samples.iter().map(|sample| sample.inputs[0].to_bytes().expect("bytes")).collect();
        assert_eq!(halves, [&expected[..48], &expected[48..]], "{file}");
    }
}

fn types_of_inputs_are_told_as_the_file_states_them() {
    for text in ["float[1,N,?]", "int64", "float16[...]", "bool[0]"] {
        let model = model(&[("x", text)]);
        let ty: TensorType = model.scope(Model::MAIN).inputs()[0].tensor_type().expect("a tensor");
        assert_eq!(ty.to_string(), text);
    }
    assert!(Samples::open(path("version_2.npy"), &model(&[("x", "float[1,3,4]")]), None).is_ok());
}

crate::tests![
    every_type_is_read_in_every_order_and_compression,
    one_array_is_read_in_every_order_and_version,
    types_of_inputs_are_told_as_the_file_states_them
];
