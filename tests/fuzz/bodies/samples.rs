//! A file of calibration samples, of any of the formats, is read for models with fixed, open and unstated
//! shapes.

use std::{fs, path::Path, sync::LazyLock};

use onnx_quant::{Model, Result, calibration::Samples};

use super::{assert_located, typed};
use crate::mutate::Random;

static MODELS: LazyLock<[Model; 4]> = LazyLock::new(|| {
    [
        [("x", "float[2,3,4]"), ("=y", "float[2]")],
        [("x", "float[N,?,4]"), ("=y", "int64[N]")],
        [("x", "float[3,4]"), ("=y", "int64")],
        [("x", "float[...]"), ("=y", "int32[...]")],
    ]
    .map(|inputs| typed::model(&inputs))
});

pub fn run(bytes: &[u8], random: &mut Random) {
    let name = match bytes {
        [b'P', b'K', ..] => "0.npz",
        [0x93, b'N', ..] => "0.npy",
        _ => *random.pick(&["0.npz", "0.npy", "input_0.pb", "list.txt"]),
    };
    read(name, bytes);
}

/// Reads a file of a name alone and as one of a folder.
pub fn read(name: &str, contents: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(name), contents).expect("the folder is ours");
    for model in &*MODELS {
        for path in [folder.path().to_owned(), folder.path().join(name)] {
            let first = read_path(&path, model);
            assert_eq!(first, read_path(&path, model), "the same file is read otherwise");
        }
    }
}

/// Everything that the samples hold, or what was said.
fn read_path(path: &Path, model: &Model) -> Vec<String> {
    const MOST: usize = 20;
    let samples = match Samples::open(path, model, None) {
        Ok(samples) => samples,
        Err(error) => return vec![error.to_string()],
    };
    let announced = samples.len();
    let samples: Vec<Result<_>> = samples.take(MOST).collect();
    assert!(samples.len() == announced.min(MOST) || samples.iter().any(Result::is_err), "{announced} were announced");
    let told = samples.into_iter().map(|sample| match sample {
        Err(error) => {
            assert_located(&error);
            error.to_string()
        }
        Ok(sample) => {
            let inputs = sample.inputs.iter();
            let inputs = inputs.map(|tensor| (tensor.shape(), tensor.to_bytes().expect("a sample has its bytes")));
            format!("{:?}", inputs.collect::<Vec<_>>())
        }
    });
    told.collect()
}
