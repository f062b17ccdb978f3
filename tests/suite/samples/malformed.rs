//! Files cut off, or made to ask for more than there is: refused or read, nothing worse. Changed files are
//! a fuzz target's.

use onnx_quant::{Model, ir::DataType};
use proptest::prelude::*;
use tempfile::tempdir;

use crate::{
    bodies::{samples::read, typed::model},
    samples::files::{all, bytes_of, counting, floats, npy, npy_in_order, npz, pb, put},
};

const SHAPE: [usize; 3] = [2, 3, 4];

/// Good files, by the names that they need.
fn good() -> Vec<(&'static str, Vec<u8>)> {
    let elements = counting(1, &SHAPE);
    let both = |compressed| npz(&[("x", floats(&SHAPE, &elements)), ("y", npy("<i8", &[2], &[0; 16]))], compressed);
    vec![
        ("0.npz", both(false)),
        ("1.npz", both(true)),
        ("0.npy", floats(&SHAPE, &elements)),
        ("1.npy", npy_in_order(">f4", true, &SHAPE, &bytes_of(&elements))),
        ("input_0.pb", pb(DataType::Float, &SHAPE, bytes_of(&elements))),
    ]
}

fn a_file_cut_off_anywhere_is_refused() {
    let folder = tempdir().expect("a folder");
    let model = model(&[("x", "float[2,3,4]"), ("=y", "int64[2]")]);
    for (name, contents) in good() {
        for len in 0..contents.len() {
            put(folder.path(), name, &contents[..len]);
            let error = all(folder.path(), &model).expect_err("it is not complete");
            assert!(!error.to_string().contains('\n'), "{name} cut off at {len}: {error}");
        }
        put(folder.path(), name, &contents);
        all(folder.path(), &model).unwrap_or_else(|error| panic!("{error}"));
        std::fs::remove_file(folder.path().join(name)).expect("it was there");
    }
}

fn a_changed_byte_of_an_archive_does_not_go_unnoticed() {
    let elements = counting(1, &SHAPE);
    let folder = tempdir().expect("a folder");
    let model = model(&[("x", "float[2,3,4]")]);
    let mut bytes = npz(&[("x", floats(&SHAPE, &elements))], false);
    let at = bytes.windows(4).position(|window| window == 24f32.to_le_bytes()).expect("the last element");
    bytes[at] ^= 1;
    put(folder.path(), "0.npz", &bytes);
    let error = all(folder.path(), &model).expect_err("the checksum is wrong").to_string();
    assert!(error.contains("input 'x' is damaged: its checksum is wrong"), "{error}");
}

/// What is said of a file that claims more than it has, as one sample in a folder. As many samples it
/// must be refused too.
fn refused(name: &str, contents: &[u8], model: &Model) -> String {
    let folder = tempdir().expect("a folder");
    put(folder.path(), name, contents);
    all(&folder.path().join(name), model).expect_err("it does not have that");
    all(folder.path(), model).expect_err("it does not have that").to_string()
}

fn what_a_header_claims_is_not_believed() {
    let model = model(&[("x", "float[...]")]);
    let huge: [&[usize]; 4] = [&[1 << 40], &[1 << 62, 1 << 62], &[1 << 62, 1 << 62, 0], &[usize::MAX]];
    for shape in huge {
        for fortran_order in [false, true] {
            let array = npy_in_order("<f4", fortran_order, shape, &[0; 16]);
            refused("0.npy", &array, &model);
            refused("0.npz", &npz(&[("x", array)], true), &model);
        }
    }
    // A header's length, in version 2 a 32-bit number.
    let mut header = b"\x93NUMPY\x02\x00".to_vec();
    header.extend(u32::MAX.to_le_bytes());
    assert!(refused("0.npy", &header, &model).contains("has a header of 4294967295 bytes"));
    // More dimensions than numpy has.
    let ranks = npy("<f4", &[1; 65], &[0; 4]);
    assert!(refused("0.npy", &ranks, &model).contains("has a header that is not numpy's"));
}

fn what_an_archive_claims_is_not_believed() {
    // The directory and the header agree that there are 2^31 - 128 bytes; there are a few hundred.
    let header = npy("<f4", &[(1 << 29) - 64], &[]);
    let archive = npz(&[("x", header.clone())], true);
    let len = (header.len() as u32).to_le_bytes();
    let directory = archive.windows(4).position(|window| window == b"PK\x01\x02").expect("a directory");
    let at = directory + 24;
    assert_eq!(archive[at..at + 4], len, "the size of the file, decompressed");
    let mut claims = archive;
    claims[at..at + 4].copy_from_slice(&((((1usize << 29) - 64) * 4 + header.len()) as u32).to_le_bytes());
    let said = refused("0.npz", &claims, &model(&[("x", "float[N]")]));
    assert!(said.contains("input 'x' is said to have 21474") && said.contains("bytes, which it cannot"), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    fn any_header_is_refused_or_read(
        header in r"\{('(descr|shape|fortran_order)': ?('[<>|][fiub][1248]'|\([0-9, L]{0,12}\)|True|False),? ?){0,4}\}?",
        elements in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        read("0.npy", &crate::samples::files::npy_with_header(&header, &elements));
    }

    fn any_list_is_refused_or_read(list in r"([a-z./#\\ é\n\r]|\PC){0,40}") {
        read("list.txt", list.as_bytes());
    }
}

crate::tests![
    a_file_cut_off_anywhere_is_refused,
    a_changed_byte_of_an_archive_does_not_go_unnoticed,
    what_a_header_claims_is_not_believed,
    what_an_archive_claims_is_not_believed,
    any_header_is_refused_or_read,
    any_list_is_refused_or_read
];
