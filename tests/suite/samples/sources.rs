//! What is read from folders, files, test sets and lists.

use std::path::Path;

use half::{bf16, f16};
use onnx_quant::{ErrorKind, calibration::Samples, ir::DataType};
use tempfile::tempdir;

use crate::{
    bodies::typed::model,
    samples::files::{all, bytes_of, counting, floats, npy, npy_in_order, npz, parts, pb, put, values},
};

fn origins(path: &Path, inputs: &[(&str, &str)]) -> Vec<String> {
    let samples = all(path, &model(inputs)).unwrap_or_else(|error| panic!("{error}"));
    let below = path.display().to_string();
    samples.iter().map(|sample| sample.origin.trim_start_matches(&below).trim_start_matches('/').to_owned()).collect()
}

fn a_folder_is_read_in_the_order_of_numbers() {
    let folder = tempdir().expect("a folder");
    for (number, name) in ["s10.npz", "s9.npz", "s1.NPZ", "s100.npz"].into_iter().enumerate() {
        put(folder.path(), name, npz(&[("x", floats(&[1], &[number as f32]))], number % 2 == 0));
    }
    // Not samples, not in the way.
    for name in ["README.md", ".hidden.npz", "below/s2.npz", "below/input_0.pb"] {
        put(folder.path(), name, "");
    }
    assert_eq!(origins(folder.path(), &[("x", "float[1]")]), ["s1.NPZ", "s9.npz", "s10.npz", "s100.npz"]);
    let samples = all(folder.path(), &model(&[("x", "float[1]")])).expect("samples");
    assert_eq!(samples.iter().flat_map(values).collect::<Vec<_>>(), [2.0, 1.0, 0.0, 3.0]);
}

fn a_limit_takes_the_first() {
    let folder = tempdir().expect("a folder");
    for number in 0..3 {
        put(folder.path(), &format!("{number}.npy"), floats(&[1], &[number as f32]));
    }
    put(folder.path(), "stack/all.npy", floats(&[3, 1], &[0.0, 1.0, 2.0]));
    let model = model(&[("x", "float[1]")]);
    for path in [folder.path().to_owned(), folder.path().join("stack/all.npy")] {
        for (limit, expected) in [(Some(2), 2), (Some(9), 3), (None, 3)] {
            let mut samples = Samples::open(&path, &model, limit).expect("samples");
            for left in (0..expected).rev() {
                let sample = samples.next().expect("one more").expect("a sample");
                assert_eq!(values(&sample), [(expected - 1 - left) as f32]);
                assert_eq!(samples.len(), left);
            }
            assert!(samples.next().is_none());
        }
        let none = Samples::open(&path, &model, Some(0)).expect_err("none were asked for");
        assert!(matches!(none.kind(), ErrorKind::Config(_)), "{none}");
    }
}

fn open_sizes_may_differ_from_sample_to_sample() {
    let folder = tempdir().expect("a folder");
    for (name, shape) in [("a.npy", [1, 3]), ("b.npy", [2, 0]), ("c.npy", [7, 1])] {
        put(folder.path(), name, floats(&shape, &counting(0, &shape)));
    }
    let samples = all(folder.path(), &model(&[("x", "float[N,?]")])).expect("samples");
    let shapes: Vec<_> = samples.iter().map(|sample| sample.inputs[0].shape()).collect();
    assert_eq!(shapes, [[1, 3], [2, 0], [7, 1]]);
}

fn inputs_with_a_default_may_be_given_or_left_out() {
    let folder = tempdir().expect("a folder");
    let x = || ("x", floats(&[2], &[1.0, 2.0]));
    put(folder.path(), "a.npz", npz(&[x()], false));
    put(folder.path(), "b.npz", npz(&[("scale", floats(&[], &[3.0])), x()], false));
    let model = model(&[("=scale", "float"), ("x", "float[2]")]);
    let samples = all(folder.path(), &model).expect("samples");
    let names = |index: usize| samples[index].inputs.iter().map(|it| it.name().to_owned()).collect::<Vec<_>>();
    assert_eq!((names(0), names(1)), (vec!["x".to_owned()], vec!["scale".to_owned(), "x".to_owned()]));
    // The one array of an .npy file is for the input that needs one.
    let folder = tempdir().expect("a folder");
    put(folder.path(), "a.npy", x().1);
    assert_eq!(all(folder.path(), &model).expect("a sample")[0].inputs[0].name(), "x");
}

fn one_file_holds_many_samples_with_or_without_a_batch() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("all.npz");
    let (x, y) = (counting(0, &[3, 2, 2]), counting(100, &[3]));
    for compressed in [false, true] {
        // One axis more than x has; in place of the batch of y; for z, of which no rank is stated.
        let arrays = [("y", floats(&[3, 1], &y)), ("x", floats(&[3, 2, 2], &x)), ("z", floats(&[3, 1], &y))];
        put(folder.path(), "all.npz", npz(&arrays, compressed));
        let model = model(&[("x", "float[2,?]"), ("y", "float[N,1]"), ("z", "float[...]")]);
        let samples = all(&path, &model).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(samples.len(), 3);
        for (index, sample) in samples.iter().enumerate() {
            assert_eq!(sample.origin, format!("{}[{index}]", path.display()));
            let y = bytes_of(&y[index..][..1]);
            let expected = [
                ("x", DataType::Float, vec![2, 2], bytes_of(&x[index * 4..][..4])),
                ("y", DataType::Float, vec![1, 1], y.clone()),
                ("z", DataType::Float, vec![1], y),
            ];
            assert!(sample.inputs.iter().map(parts).eq(expected), "{sample:?}");
        }
    }
}

fn many_samples_in_fortran_order_are_taken_apart() {
    let folder = tempdir().expect("a folder");
    // Element [i, j, k] is 100 i + 10 j + k, the first index changing fastest.
    let mut elements = Vec::new();
    for (k, j, i) in (0..4).flat_map(|k| (0..3).flat_map(move |j| (0..2).map(move |i| (k, j, i)))) {
        elements.extend(((100 * i + 10 * j + k) as f32).to_be_bytes());
    }
    put(folder.path(), "all.npy", npy_in_order(">f4", true, &[2, 3, 4], &elements));
    let samples = all(&folder.path().join("all.npy"), &model(&[("x", "float[3,4]")])).expect("samples");
    for (i, sample) in samples.iter().enumerate() {
        let expected: Vec<f32> = (0..3).flat_map(|j| (0..4).map(move |k| (100 * i + 10 * j + k) as f32)).collect();
        assert_eq!(values(sample), expected);
    }
}

fn test_sets_give_inputs_by_number() {
    let folder = tempdir().expect("a folder");
    let set = |name: &str, first: f32| {
        put(folder.path(), &format!("{name}/input_1.pb"), pb(DataType::Bfloat16, &[1], vec![0x80, 0x3f]));
        put(folder.path(), &format!("{name}/input_0.pb"), pb(DataType::Float, &[], bytes_of(&[first])));
        put(folder.path(), &format!("{name}/output_0.pb"), "not looked at");
    };
    set("test_data_set_10", 10.0);
    set("test_data_set_2", 2.0);
    put(folder.path(), "model.onnx", "not looked at");
    let inputs = [("x", "float"), ("=with_default", "float"), ("b", "bfloat16[1]")];
    let samples = all(folder.path(), &model(&inputs)).unwrap_or_else(|error| panic!("{error}"));
    let firsts: Vec<f32> =
        samples.iter().map(|sample| sample.inputs[0].to_array::<f32>().expect("floats")[[]]).collect();
    assert_eq!(firsts, [2.0, 10.0]);
    assert_eq!(parts(&samples[0].inputs[1]), ("b", DataType::Bfloat16, vec![1], vec![0x80, 0x3f]));
    // One of them alone is one sample.
    assert_eq!(origins(&folder.path().join("test_data_set_10"), &inputs), [""]);
}

fn a_list_names_samples_of_any_kind_in_its_order() {
    let folder = tempdir().expect("a folder");
    put(folder.path(), "data/z.npz", npz(&[("x", floats(&[1], &[1.0]))], true));
    put(folder.path(), "data/a.npy", floats(&[1], &[2.0]));
    put(folder.path(), "data/set/input_0.pb", pb(DataType::Float, &[1], bytes_of(&[3.0])));
    let absolute = folder.path().join("data/a.npy");
    let list = format!("# three of them\r\n\r\n data/z.npz \r\ndata/a.npy\ndata/set\n{}", absolute.display());
    put(folder.path(), "samples.list", list);
    let samples = all(&folder.path().join("samples.list"), &model(&[("x", "float[1]")])).expect("samples");
    assert_eq!(samples.iter().flat_map(values).collect::<Vec<_>>(), [1.0, 2.0, 3.0, 2.0]);
}

fn accidents_of_type_are_mended() {
    let folder = tempdir().expect("a folder");
    let given = |array: Vec<u8>, ty: &str| {
        put(folder.path(), "x.npy", array);
        let samples = all(folder.path(), &model(&[("x", ty)])).unwrap_or_else(|error| panic!("{error}"));
        samples[0].inputs[0].to_bytes().expect("bytes")
    };
    let numbers = [0.1f64, -2.5, 60000.0, 5e-324, -0.0];
    let double: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    let single: Vec<u8> = numbers.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect();
    let halves: Vec<u8> = numbers.iter().flat_map(|&x| f16::from_f64(x).to_le_bytes()).collect();
    let brain: Vec<u8> = numbers.iter().flat_map(|&x| bf16::from_f64(x).to_le_bytes()).collect();
    assert_eq!(given(npy("<f8", &[5], &double), "float[5]"), single);
    assert_eq!(given(npy("<f8", &[5], &double), "float16[5]"), halves);
    assert_eq!(given(npy("<f8", &[5], &double), "bfloat16[5]"), brain);
    let widened: Vec<u8> = numbers.iter().flat_map(|&x| f64::from(x as f32).to_le_bytes()).collect();
    assert_eq!(given(npy("<f4", &[5], &single), "double[5]"), widened);

    let wide: Vec<u8> =
        [1i64, -1, i64::from(i32::MIN), i64::from(i32::MAX)].iter().flat_map(|x| x.to_le_bytes()).collect();
    let narrow: Vec<u8> = [1i32, -1, i32::MIN, i32::MAX].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(given(npy("<i8", &[4], &wide), "int32[4]"), narrow);
    assert_eq!(given(npy("<i4", &[4], &narrow), "int64[4]"), wide);
    assert_eq!(given(npy("|b1", &[3], &[0, 1, 2]), "bool[3]"), [0, 1, 1]);
}

crate::tests![
    a_folder_is_read_in_the_order_of_numbers,
    a_limit_takes_the_first,
    open_sizes_may_differ_from_sample_to_sample,
    inputs_with_a_default_may_be_given_or_left_out,
    one_file_holds_many_samples_with_or_without_a_batch,
    many_samples_in_fortran_order_are_taken_apart,
    test_sets_give_inputs_by_number,
    a_list_names_samples_of_any_kind_in_its_order,
    accidents_of_type_are_mended
];
