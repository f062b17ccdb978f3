//! What is said of samples that do not fit: which file, which input, what was expected, what came.

use std::path::Path;

use onnx_quant::{
    Error, ErrorKind, Model,
    calibration::Samples,
    ir::DataType,
    proto::{TensorProto, TypeProto, tensor_proto::DataLocation, type_proto},
};
use prost::Message;
use tempfile::{TempDir, tempdir};

use crate::{
    bodies::typed::{model, model_of, ty},
    samples::files::{all, bytes_of, floats, npy, npy_with_header, npz, pb, put},
};

/// A folder with one file.
fn folder_with(name: &str, contents: impl AsRef<[u8]>) -> TempDir {
    let folder = tempdir().expect("a folder");
    put(folder.path(), name, contents);
    folder
}

/// What is said of a path; the file in it relative to a folder.
fn said(folder: &Path, name: &str, model: &Model) -> String {
    let error = all(&folder.join(name), model).expect_err("it does not fit");
    error.to_string().replace(&format!("{}/", folder.display()), "").replace(&folder.display().to_string(), ".")
}

/// What is said of a folder with one archive of these arrays.
fn said_of(arrays: &[(&str, Vec<u8>)], inputs: &[(&str, &str)]) -> String {
    said(folder_with("0.npz", npz(arrays, true)).path(), "", &model(inputs))
}

fn misfits_are_told_with_what_was_expected() {
    let zeros = |count: usize| vec![0.0; count];
    let image = &[("x", "float[1,3,N,?]")];
    assert_eq!(
        said_of(&[("x", floats(&[3, 4, 2], &zeros(24)))], image),
        "0.npz: input 'x' is float[1,3,N,?] in the model; the sample has float[3,4,2]"
    );
    assert_eq!(
        said_of(&[("x", npy("|u1", &[1, 3, 1, 1], &[1, 2, 3]))], image),
        "0.npz: input 'x' is float[1,3,N,?] in the model; the sample has uint8[1,3,1,1]"
    );
    assert_eq!(
        said_of(&[("pixels", floats(&[1, 3, 1, 1], &zeros(3)))], &[("x", "float[...]"), ("y", "int64")]),
        "0.npz: 'pixels' is no input of the model, whose inputs are 'x', 'y'"
    );
    assert_eq!(
        said_of(&[("y", npy("<i8", &[], &[0; 8]))], &[("x", "float[N]"), ("y", "int64")]),
        "0.npz: input 'x' (float[N]) is missing; the sample has only 'y'"
    );
    // Only widths of numpy's defaults are mended.
    for (descr, width, ty) in [("<i8", 8, "float"), ("<f4", 4, "int64"), ("<i2", 2, "int32"), ("<u8", 8, "int64")] {
        let said = said_of(&[("x", npy(descr, &[], &vec![0; width]))], &[("x", ty)]);
        assert!(said.contains(&format!("is {ty} in the model")), "{said}");
    }
}

fn what_is_not_finite_or_out_of_range_is_told_with_its_place() {
    let given = |bytes: Vec<u8>, descr: &str, ty: &str| said_of(&[("x", npy(descr, &[3], &bytes))], &[("x", ty)]);
    assert_eq!(
        given(bytes_of(&[0.0, 0.0, f32::NAN]), "<f4", "float[3]"),
        "0.npz: input 'x' has NaN at index 2 (row-major), which is not finite"
    );
    let doubles = |x: f64| [0.0, x, 0.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert!(given(doubles(f64::NEG_INFINITY), "<f8", "float[3]").contains("has -inf at index 1"));
    assert!(given(doubles(1e39), "<f8", "float[3]").contains("at index 1 (row-major), once it is converted to float,"));
    assert!(given(doubles(65520.0), "<f8", "float16[3]").contains("once it is converted to float16"));
    let wide = [0, 0, 1i64 << 31].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert!(given(wide, "<i8", "int32[3]").contains("has 2147483648 at index 2"));
    let halves = [0u16, 0x7c00, 0].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert!(given(halves, "<f2", "float16[3]").contains("has inf at index 1"));
}

fn a_file_of_many_samples_must_have_an_axis_for_them() {
    let said = |arrays: &[(&str, Vec<u8>)], inputs: &[(&str, &str)]| {
        said(folder_with("all.npz", npz(arrays, false)).path(), "all.npz", &model(inputs))
    };
    let no_axis = said(&[("x", floats(&[], &[1.0]))], &[("x", "float")]);
    let expected = "all.npz: input 'x' is float in the model; one file of many samples needs float[samples], but has float; \
                    a file of one sample must lie in a folder or be listed";
    assert_eq!(no_axis, expected);
    // A first axis of fixed size is no batch that could be taken apart.
    let fixed = said(&[("x", floats(&[4, 1], &[0.0; 4]))], &[("x", "float[2,1]")]);
    assert!(fixed.contains("needs float[samples,2,1], but has float[4,1];"), "{fixed}");
    let open = said(&[("x", floats(&[4, 2], &[0.0; 8]))], &[("x", "float[N,1]")]);
    assert!(open.contains("needs float[samples,N,1] or float[samples,1], but has float[4,2];"), "{open}");
    let counts =
        said(&[("x", floats(&[2], &[0.0; 2])), ("y", floats(&[3], &[0.0; 3]))], &[("x", "float"), ("y", "float")]);
    assert_eq!(counts, "all.npz: 'x' holds 2 samples and 'y' 3, along the first axis");
    assert!(said(&[("x", floats(&[0], &[]))], &[("x", "float")]).contains("holds no samples"));
    assert!(said(&[("x", floats(&[1 << 60, 0], &[]))], &[("x", "float[0]")]).contains("without any elements"));
    assert!(
        said(&[("x", floats(&[2], &[0.0; 2]))], &[("x", "float"), ("y", "float")]).contains("'y' (float) is missing")
    );
    let nan = said(&[("x", floats(&[2], &[0.0, f32::NAN]))], &[("x", "float")]);
    assert!(nan.starts_with("all.npz: sample 1: input 'x' has NaN at index 0"), "{nan}");
}

fn a_damaged_file_of_many_samples_ends_after_the_damage() {
    let mut bytes = npz(&[("x", floats(&[3], &[0.0, f32::NAN, 0.0]))], false);
    bytes.push(0);
    let folder = folder_with("all.npz", bytes);
    let mut samples = Samples::open(folder.path().join("all.npz"), &model(&[("x", "float")]), None).expect("samples");
    assert!(samples.next().is_some_and(|sample| sample.is_ok()));
    assert!(samples.next().is_some_and(|sample| sample.is_err()));
    assert!(samples.next().is_none() && samples.is_empty());
    // Where each sample has its own file, the others are still good.
    put(folder.path(), "each/0.npy", "");
    put(folder.path(), "each/1.npy", floats(&[], &[1.0]));
    let mut samples = Samples::open(folder.path().join("each"), &model(&[("x", "float")]), None).expect("samples");
    assert!(samples.next().is_some_and(|sample| sample.is_err()));
    assert!(samples.next().is_some_and(|sample| sample.is_ok()));
}

fn paths_without_samples_are_told() {
    let folder = tempdir().expect("a folder");
    let model = model(&[("x", "float[1]")]);
    let said = |name: &str| said(folder.path(), name, &model);
    assert!(said("").contains("has no samples: no .npz or .npy files"));
    let missing = all(&folder.path().join("missing"), &model).expect_err("there is none");
    assert!(matches!(missing.kind(), ErrorKind::Read(_)) && missing.to_string().contains("missing: cannot be read"));

    put(folder.path(), "mixed/a.npz", "");
    put(folder.path(), "mixed/a.npy", "");
    put(folder.path(), "mixed/test_data_set_0/input_0.pb", "");
    assert!(said("mixed").contains("several kinds (1 .npz, 1 .npy, 1 test sets)"));
    put(folder.path(), "empty.npz", "");
    assert!(said("empty.npz").contains("is not what its name says"));
    put(folder.path(), "nothing.npz", npz(&[], false));
    assert!(said("nothing.npz").contains("'x' (float[1]) is missing; the sample has nothing"));
    put(folder.path(), "model.onnx", b"\x08\x07\x12\x00\xff");
    assert!(said("model.onnx").contains("is neither an .npz archive, nor an .npy array, nor a text that lists paths"));

    put(folder.path(), "list.txt", "\n# nothing\n");
    assert_eq!(said("list.txt"), "list.txt: lists no samples");
    put(folder.path(), "list.txt", "mixed/a.npz\nnot/there.npz");
    assert!(said("list.txt").starts_with("list.txt: line 1: 'mixed/a.npz' is not what its name says"));
    put(folder.path(), "list.txt", "\nnot/there.npz");
    assert!(said("list.txt").starts_with("list.txt: line 2: 'not/there.npz' cannot be read: "));
    put(folder.path(), "list.txt", "mixed");
    assert!(said("list.txt").contains("line 1: 'mixed' is a folder without input_*.pb files"));
    put(folder.path(), "list.txt", "list.txt");
    assert!(said("list.txt").contains("is neither an .npz nor an .npy file, nor a test set's folder"));
}

fn arrays_that_are_no_numbers_are_told() {
    let said = |array: Vec<u8>| said_of(&[("x", array)], &[("x", "float[1]")]);
    for descr in ["<U3", "|S1", "|O", "<c8", "<M8[s]", "|V2", "f4", "=f4", "", "<f3", "|f4", "é4"] {
        let said = said(npy(descr, &[1], &[0; 4]));
        assert!(said.starts_with(&format!("0.npz: input 'x' has elements of numpy's type '{descr}'")), "{said}");
    }
    let fields = "{'descr': [('a', '<f4'), ('b', '<f4')], 'fortran_order': False, 'shape': (1,), }";
    assert!(said(npy_with_header(fields, &[0; 8])).contains("elements of several fields"));
    for header in [
        "",
        "{",
        "{}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': false, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} and more",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}",
    ] {
        let said = said(npy_with_header(header, &[0; 4]));
        assert!(said.contains("input 'x' has a header that is not numpy's"), "{header}: {said}");
    }
    // Python 2 wrote large sizes so; order and quotes are free.
    let python2 = "{\"shape\": (1L,), 'descr':'<f4','fortran_order':False}";
    let folder = folder_with("0.npz", npz(&[("x", npy_with_header(python2, &[0; 4]))], true));
    assert_eq!(all(folder.path(), &model(&[("x", "float[1]")])).expect("it fits").len(), 1);
}

fn test_sets_that_do_not_fit_are_told() {
    let model = model(&[("x", "float[1]"), ("=d", "float")]);
    let said = |name: &str, contents: Vec<u8>| said(folder_with(name, contents).path(), "", &model);
    let float = || pb(DataType::Float, &[1], bytes_of(&[1.0]));
    assert!(said("input_1.pb", float()).starts_with("input_1.pb: there is no input 1: the model has 1 without"));
    assert!(said("input_0.pb", vec![]).starts_with("input_0.pb: is no TensorProto: it has no element type"));
    assert!(said("input_0.pb", b"text".to_vec()).starts_with("input_0.pb: is no TensorProto"));
    assert!(said("input_0.pb", pb(DataType::Float, &[2], vec![0; 4])).starts_with("input_0.pb: tensor ''"));
    assert!(said("input_0.pb", pb(DataType::Int8, &[1], vec![0])).contains("the sample has int8[1]"));
    let external = TensorProto {
        data_type: Some(1),
        data_location: Some(DataLocation::External as i32),
        ..TensorProto::default()
    };
    assert!(said("input_0.pb", external.encode_to_vec()).contains("has its data in another file"));
    let folder = folder_with("test_data_set_0/input_0.pb", float());
    put(folder.path(), "test_data_set_0/input_00.pb", float());
    let twice = all(folder.path(), &model).expect_err("input 0 is there twice").to_string();
    assert!(twice.contains("input 0 is there twice"), "{twice}");
    put(folder.path(), "test_data_set_1/output_0.pb", float());
    let samples = Samples::open(folder.path(), &model, None).expect("two folders");
    let missing = samples.last().expect("two folders").expect_err("it has no inputs").to_string();
    assert!(missing.contains("test_data_set_1: input 'x' (float[1]) is missing"), "{missing}");
}

fn models_that_no_sample_fits_are_told() {
    let said = |model: &Model| -> Error {
        Samples::open("not looked for", model, None).expect_err("the model has no such inputs")
    };
    assert!(said(&model(&[])).to_string().contains("the model has no inputs"));
    assert!(said(&model(&[("s", "string[1]")])).to_string().contains("input 's' of the model is string[1]"));
    let sequence = type_proto::Sequence { elem_type: Some(Box::new(ty("float"))) };
    let sequence = TypeProto { value: Some(type_proto::Value::SequenceType(sequence.into())), denotation: None };
    assert!(said(&model_of(&[("s", sequence)])).to_string().contains("input 's' of the model is no tensor"));
    let folder = folder_with("0.npy", floats(&[], &[0.0]));
    let two = all(folder.path(), &model(&[("x", "float"), ("y", "float")])).expect_err("one is missing").to_string();
    assert!(two.contains("one array cannot be all inputs of the model, which are 'x', 'y'"), "{two}");
}

#[cfg(unix)]
fn a_pipe_or_device_among_samples_is_refused_and_not_waited_for() {
    let model = model(&[("x", "float[2]")]);
    for name in ["0.npz", "0.npy", "input_0.pb"] {
        let folder = tempdir().expect("a folder");
        let made = std::process::Command::new("mkfifo").arg(folder.path().join(name)).status();
        if made.is_ok_and(|status| status.success()) {
            assert_eq!(said(folder.path(), "", &model), format!("{name}: is not a regular file"));
        }
        let folder = tempdir().expect("a folder");
        std::os::unix::fs::symlink("/dev/zero", folder.path().join(name)).expect("a link");
        assert_eq!(said(folder.path(), "", &model), format!("{name}: is not a regular file"));
    }
}

fn a_git_lfs_pointer_is_called_by_its_name() {
    let model = model(&[("x", "float[2]")]);
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4096\n";
    for name in ["0.npz", "0.npy", "input_0.pb"] {
        let folder = folder_with(name, pointer);
        let said = said(folder.path(), "", &model);
        assert!(said.starts_with(&format!("{name}: is a Git LFS pointer")), "{said}");
    }
    for name in ["all.npz", "all.npy", "list.txt"] {
        let folder = folder_with(name, pointer);
        let said = said(folder.path(), name, &model);
        assert!(said.starts_with(&format!("{name}: is a Git LFS pointer")), "{said}");
    }
}

crate::tests![
    misfits_are_told_with_what_was_expected,
    what_is_not_finite_or_out_of_range_is_told_with_its_place,
    a_file_of_many_samples_must_have_an_axis_for_them,
    a_damaged_file_of_many_samples_ends_after_the_damage,
    paths_without_samples_are_told,
    arrays_that_are_no_numbers_are_told,
    test_sets_that_do_not_fit_are_told,
    models_that_no_sample_fits_are_told,
    #[cfg(unix)]
    a_pipe_or_device_among_samples_is_refused_and_not_waited_for,
    a_git_lfs_pointer_is_called_by_its_name
];
