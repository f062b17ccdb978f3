//! A model is read and written, in memory and by path.

use std::fs;

use onnx_quant::{Model, SaveOptions};

use super::{assert_located, assert_prints_the_same, assert_readable, files, loaded, written};
use crate::mutate::Random;

/// What lies beside the model and may be external data of it.
const BESIDE: &str = "w2.bin";

/// By path once in a while: it takes long.
pub fn run(bytes: &[u8], random: &mut Random) {
    if random.once_in(8) {
        return by_path(bytes, random);
    }
    if let Some(model) = loaded(bytes) {
        written(&model);
    }
}

fn by_path(bytes: &[u8], random: &mut Random) {
    let folder = tempfile::tempdir().expect("a folder");
    let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
    for folder in [&inside, &outside] {
        fs::create_dir(folder).expect("a folder");
    }
    let input = inside.join("in.onnx");
    fs::write(&input, bytes).expect("the folder is ours");
    fs::write(inside.join(BESIDE), [64; 4096]).expect("the folder is ours");
    let Ok(model) = Model::load(&input).inspect_err(assert_located) else { return };
    model.verify().expect("what was loaded keeps the invariants");
    let output = outside.join("out.onnx");
    let options = SaveOptions::default().with_external_data(random.once_in(2));
    let saved = model.save(&output, &options);
    assert_eq!(files(&inside), ["in.onnx", BESIDE], "saving touches the folder of the input");
    assert_eq!(files(folder.path()), ["in", "out"], "saving leaves something beside the output's folder");
    match saved {
        Err(error) => {
            assert_readable(&error);
            assert!(files(&outside).is_empty(), "{error}, but left behind: {:?}", files(&outside));
        }
        Ok(saved) => {
            let len = fs::metadata(&output).expect("it was written").len();
            assert_eq!(saved.model_bytes, len, "what was written is as long as is said");
            let there = files(&outside);
            let expected = ["out.onnx", "out.onnx.data", BESIDE];
            assert!(there.iter().all(|name| expected.contains(&name.as_str())), "{there:?}");
            let again = Model::load(&output).expect("what was written can be read");
            again.verify().expect("what was written keeps the invariants");
            assert_prints_the_same(&again, &model);
        }
    }
}
