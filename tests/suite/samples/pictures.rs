//! Samples from pictures, against what Pillow made of the same files, and what is said of files that are none.

use std::{
    fs,
    path::{Path, PathBuf},
};

use onnx_quant::{
    Model, Result,
    calibration::{
        Sample, Samples,
        samples::{Color, Fit, Layout, PictureOptions},
    },
    ir::DataType,
};

use crate::{samples::files, samples::models};

/// Width and height of the results.
const SIZE: (usize, usize) = (20, 16);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pictures")
}

/// A model with one input of a type; 0 is an open size.
fn model(dtype: DataType, dims: &[i64]) -> Model {
    models::with_inputs(&[("x", dtype, dims)])
}

fn pictures(path: &Path, model: &Model, options: &PictureOptions) -> Result<Vec<Sample>> {
    Samples::pictures(path, model, options, None)?.collect()
}

/// The bytes that Pillow made of a picture.
fn expected(name: &str, way: &str) -> Vec<u8> {
    let file = fs::read(folder().join(format!("{name}.{way}.npy"))).expect("it is there");
    let header = usize::from(u16::from_le_bytes([file[8], file[9]]));
    file[10 + header..].to_vec()
}

/// The only sample's bytes.
fn bytes(name: &str, dims: &[i64], options: &PictureOptions) -> Vec<u8> {
    let samples = pictures(&folder().join(name), &model(DataType::Uint8, dims), options).expect("a picture");
    assert_eq!(samples.len(), 1);
    samples[0].inputs[0].to_bytes().expect("bytes")
}

fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().expect("pixels")
}

fn the_bytes_are_pillows() {
    let (width, height) = (SIZE.0 as i64, SIZE.1 as i64);
    let names = [
        ("wide.png", 0),
        ("high.bmp", 0),
        ("small.webp", 0),
        ("same.png", 0),
        ("gray.png", 0),
        ("palette.png", 0),
        ("clear.png", 0),
        // Decoders of JPEG may round otherwise, and enlarge colors of half the size otherwise.
        ("full.jpg", 1),
        ("halved.jpg", 4),
    ];
    for (name, tolerated) in names {
        let fitted = |fit: Fit| PictureOptions::default().with_fit(fit);
        let ways = [
            ("stretch", [1, height, width, 3], fitted(Fit::Stretch)),
            ("gray", [1, height, width, 1], PictureOptions::default().with_layout(Some(Layout::Nhwc))),
            ("crop", [1, height, height, 3], fitted(Fit::Crop(0.875))),
            ("letterbox", [1, height, width, 3], fitted(Fit::Letterbox(114))),
        ];
        for (way, dims, options) in ways {
            let difference = largest_difference(&bytes(name, &dims, &options), &expected(name, way));
            assert!(difference <= tolerated, "{name} {way}: {difference}");
        }
    }
}

fn numbers_layout_and_color_are_as_asked_for() {
    let options = PictureOptions::default().with_mean(vec![0.4, 0.5, 0.6]).with_std(vec![0.1, 0.2, 0.3]);
    let pixels = expected("wide.png", "stretch");
    let at = |row: usize, column: usize, channel: usize| f32::from(pixels[(row * SIZE.0 + column) * 3 + channel]);
    let (mean, std) = ([0.4, 0.5, 0.6], [0.1, 0.2, 0.3]);
    let near = |a: f32, b: f32| (a - b).abs() < 1e-5;
    for (color, order) in [(Color::Rgb, [0, 1, 2]), (Color::Bgr, [2, 1, 0])] {
        for (layout, dims) in [(Layout::Nchw, [0, 3, 0, 0]), (Layout::Nhwc, [0, 0, 0, 3])] {
            let model = model(DataType::Float, &dims);
            let options = options.clone().with_color(Some(color)).with_size(Some(SIZE));
            let sample = &pictures(&folder().join("wide.png"), &model, &options).expect("a picture")[0];
            let values = sample.inputs[0].to_array::<f32>().expect("floats");
            for (row, column, channel) in [(0, 0, 0), (3, 7, 1), (15, 19, 2)] {
                let value = match layout {
                    Layout::Nchw => values[[0, channel, row, column]],
                    _ => values[[0, row, column, channel]],
                };
                // Mean and deviation go with the channel as the model takes it.
                let expected = (at(row, column, order[channel]) / 255.0 - mean[channel]) / std[channel];
                assert!(near(value, expected), "{color} {layout}: {value} {expected}");
            }
        }
    }
    // Half floats are converted, a batch that is fixed is filled, and presets give sizes that the model leaves open.
    let [half, single] = [DataType::Float16, DataType::Float].map(|dtype| {
        let model = model(dtype, &[4, 3, 0, 0]);
        pictures(&folder().join("wide.png"), &model, &preset("imagenet")).expect("a picture")[0].inputs[0].clone()
    });
    assert_eq!((half.dtype(), half.shape()), (DataType::Float16, vec![4, 3, 224, 224]));
    let values = single.to_array::<f32>().expect("floats");
    assert_eq!(values.index_axis(ndarray::Axis(0), 0), values.index_axis(ndarray::Axis(0), 3));
    let fixed = model(DataType::Float, &[3, 16, 20]);
    let sample = &pictures(&folder().join("wide.png"), &fixed, &preset("yolo")).expect("a picture")[0];
    assert_eq!(sample.inputs[0].shape(), [3, 16, 20]);
}

fn preset(name: &str) -> PictureOptions {
    PictureOptions::preset(name).expect("there is one")
}

fn all_pictures_of_a_folder_are_taken_in_order() {
    let place = tempfile::tempdir().expect("a folder");
    for (name, from) in
        [("b/2.png", "wide.png"), ("b/10.png", "same.png"), ("a.bmp", "high.bmp"), ("c.JPG", "full.jpg")]
    {
        files::put(place.path(), name, fs::read(folder().join(from)).expect("a picture"));
    }
    files::put(place.path(), "labels.txt", "no picture");
    files::put(place.path(), ".hidden.png", "no picture");
    let model = model(DataType::Float, &[1, 3, 16, 20]);
    let mut samples = Samples::pictures(place.path(), &model, &PictureOptions::default(), None).expect("pictures");
    assert_eq!(samples.len(), 4);
    let origins: Vec<String> = samples.by_ref().map(|sample| sample.expect("a picture").origin).collect();
    let names = ["a.bmp", "b/2.png", "b/10.png", "c.JPG"].map(|name| place.path().join(name).display().to_string());
    assert_eq!(origins, names);
    assert!(samples.is_empty() && samples.skipped().is_empty());
    let limited = Samples::pictures(place.path(), &model, &PictureOptions::default(), Some(2)).expect("pictures");
    assert_eq!(limited.count(), 2);
}

fn damaged_files_are_named_and_passed_over_or_refused() {
    let place = tempfile::tempdir().expect("a folder");
    let read = |name: &str| fs::read(folder().join(name)).expect("a picture");
    let cut = |name: &str| read(name)[..read(name).len() * 2 / 3].to_vec();
    files::put(place.path(), "1.png", cut("wide.png"));
    files::put(place.path(), "2.jpg", cut("full.jpg"));
    files::put(place.path(), "3.png", "no picture");
    files::put(place.path(), "4.webp", b"");
    files::put(place.path(), "5.gif", b"GIF89a");
    // What a file is, its beginning says and not its name.
    files::put(place.path(), "6.png", read("full.jpg"));
    files::put(place.path(), "7.bmp", cut("high.bmp"));
    let model = model(DataType::Float, &[1, 3, 16, 20]);
    let mut samples = Samples::pictures(place.path(), &model, &PictureOptions::default(), Some(1)).expect("pictures");
    let origin = samples.next().expect("one").expect("a picture").origin;
    assert!(origin.ends_with("6.png"), "{origin}");
    assert!(samples.next().is_none());
    let skipped: Vec<_> = samples.skipped().iter().map(|it| it.file.rsplit('/').next().expect("a name")).collect();
    assert_eq!(skipped, ["1.png", "2.jpg", "3.png", "4.webp", "5.gif"]);
    assert!(samples.skipped()[1].reason.contains("the end of the JPEG file is missing"), "{:?}", samples.skipped());

    let refusing = PictureOptions::default().with_refuse_broken(true);
    let error = pictures(place.path(), &model, &refusing).expect_err("a damaged one").to_string();
    assert!(error.contains("1.png: cannot be read as a picture"), "{error}");
    fs::remove_file(place.path().join("6.png")).expect("it is there");
    let error = pictures(place.path(), &model, &PictureOptions::default()).expect_err("none").to_string();
    assert!(error.contains("none of the files can be read as a picture"), "{error}");
}

fn what_does_not_fit_is_refused_with_what_to_give() {
    use DataType::{Float, Int64, Uint8};
    let plain = PictureOptions::default();
    let size = |width, height| plain.clone().with_size(Some((width, height)));
    let colored = |color| plain.clone().with_color(Some(color));
    let mean = |mean: &[f64]| plain.clone().with_mean(mean.to_vec());
    let refused: [(DataType, &[i64], PictureOptions, &str); 13] = [
        (Float, &[1, 3, 0, 0], plain.clone(), "give --resize WIDTHxHEIGHT"),
        (Float, &[1, 3, 16, 20], size(16, 16), "its width is 20, and --resize says 16"),
        (Float, &[1, 0, 16, 20], plain.clone(), "give --layout nchw or nhwc"),
        (Float, &[1, 3, 16, 3], plain.clone(), "give --layout nchw or nhwc"),
        (Float, &[1, 3, 16, 20], colored(Color::Gray), "gray has 1 channel, and there it takes 3"),
        (Float, &[1, 1, 16, 20], colored(Color::Bgr), "bgr has 3 channels, and there it takes 1"),
        (Float, &[1, 16], plain.clone(), "pictures have 3 axes, or 4 with a batch"),
        (Int64, &[1, 3, 16, 20], plain.clone(), "pictures are floats, or bytes (uint8)"),
        (Uint8, &[1, 3, 16, 20], mean(&[0.5]), "it takes bytes as they are"),
        (Float, &[1, 3, 16, 20], mean(&[0.5, 0.5]), "2 numbers were given as mean, for 3 channels"),
        (Float, &[1, 3, 16, 20], mean(&[f64::NAN]), "finite"),
        (Float, &[1, 3, 16, 20], plain.clone().with_std(vec![0.0]), "std is to be above 0"),
        (Float, &[1, 3, 0, 0], size(60_000, 60_000), "too large"),
    ];
    for (dtype, dims, options, expected) in refused {
        let error = pictures(&folder(), &model(dtype, dims), &options).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let model = model(Float, &[1, 3, 16, 20]);
    let empty = tempfile::tempdir().expect("a folder");
    let error = pictures(empty.path(), &model, &plain).expect_err("none").to_string();
    assert!(error.contains("has no pictures"), "{error}");
    assert!(pictures(&empty.path().join("missing"), &model, &plain).is_err());
    assert!(PictureOptions::preset("imagnet").expect_err("none").to_string().contains("imagenet"));
    for wrong in ["crop:0", "crop:2", "letterbox:300", "middle", "stretch:1"] {
        assert!(wrong.parse::<Fit>().expect_err(wrong).to_string().contains("is none of stretch"), "{wrong}");
    }
}

fn random_numbers_fit_and_are_the_same_every_time() {
    let all = |model: &Model| -> Vec<Sample> {
        Samples::random(model, 3).expect("samples").collect::<Result<_>>().expect("samples")
    };
    for (dtype, dims, shape) in [
        (DataType::Float, &[0, 3, 0, 0][..], vec![1, 3, 224, 224]),
        (DataType::Float16, &[0, 0, 0, 3], vec![1, 224, 224, 3]),
        (DataType::Int64, &[0, 0], vec![1, 16]),
        (DataType::Bool, &[2, 5], vec![2, 5]),
        (DataType::Uint8, &[], vec![]),
    ] {
        let model = model(dtype, dims);
        let (once, again) = (all(&model), all(&model));
        assert_eq!(once.len(), 3);
        for (sample, same) in once.iter().zip(&again) {
            assert_eq!(files::parts(&sample.inputs[0]), files::parts(&same.inputs[0]));
            assert_eq!((sample.inputs[0].dtype(), sample.inputs[0].shape()), (dtype, shape.clone()));
        }
        if dtype == DataType::Float {
            assert!(once[0].inputs[0].to_bytes().expect("bytes") != once[1].inputs[0].to_bytes().expect("bytes"));
            let values = once[0].inputs[0].to_array::<f32>().expect("floats");
            assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
            assert!((values.mean().expect("elements") - 0.5).abs() < 0.01);
        }
    }
    assert!(Samples::random(&model(DataType::Float, &[1]), 0).is_err());
    assert!(
        Samples::random(&model(DataType::Float, &[1 << 40]), 1).expect_err("too large").to_string().contains("bytes")
    );
}

fn what_is_saved_is_read_again() {
    use DataType::{Bfloat16, Bool, Double, Float, Float16, Int32, Uint8};
    for dtype in [Float, Double, Float16, Int32, Uint8, Bool, Bfloat16] {
        let model = model(dtype, &[2, 3]);
        let sample = Samples::random(&model, 1).expect("samples").next().expect("one").expect("a sample");
        let place = tempfile::tempdir().expect("a folder");
        files::put(place.path(), "0.npz", sample.to_npz().expect("it can be written"));
        let read = files::all(place.path(), &model).expect("samples");
        assert_eq!(files::parts(&read[0].inputs[0]), files::parts(&sample.inputs[0]), "{dtype:?}");
    }
}

crate::tests![
    the_bytes_are_pillows,
    numbers_layout_and_color_are_as_asked_for,
    all_pictures_of_a_folder_are_taken_in_order,
    damaged_files_are_named_and_passed_over_or_refused,
    what_does_not_fit_is_refused_with_what_to_give,
    random_numbers_fit_and_are_the_same_every_time,
    what_is_saved_is_read_again
];
