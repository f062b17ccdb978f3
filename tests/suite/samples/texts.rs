//! Samples from texts, against what Hugging Face's own package makes of the same lines.

use std::{
    fs,
    path::{Path, PathBuf},
};

use onnx_quant::{
    Model, Result,
    calibration::{Sample, Samples},
    ir::{DataType, Tensor},
};

use crate::{samples::files, samples::models};

fn texts(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/texts").join(name)
}

fn model(dtype: DataType, dims: &[i64]) -> Model {
    models::with_inputs(&[("input_ids", dtype, dims), ("attention_mask", dtype, dims), ("token_type_ids", dtype, dims)])
}

fn samples(tokenizer: &str, model: &Model, max_tokens: Option<usize>) -> Result<Vec<Sample>> {
    Samples::texts(texts("lines.txt"), texts(tokenizer), model, max_tokens, None)?.collect()
}

fn numbers(tensor: &Tensor) -> Vec<i64> {
    match tensor.dtype() {
        DataType::Float => tensor.to_array::<f32>().expect("floats").iter().map(|&number| number as i64).collect(),
        DataType::Int32 => {
            let bytes = tensor.to_bytes().expect("bytes");
            bytes.as_chunks().0.iter().map(|element| i32::from_le_bytes(*element).into()).collect()
        }
        _ => tensor.to_array::<i64>().expect("integers").into_iter().collect(),
    }
}

fn the_numbers_are_those_of_the_package() {
    let expected: serde_json::Value =
        serde_json::from_slice(&fs::read(texts("expected.json")).expect("it is there")).expect("JSON");
    for tokenizer in ["pieces", "pairs"] {
        for (form, dims) in [("open", [0, 0]), ("fixed", [1, 16])] {
            for dtype in [DataType::Int64, DataType::Int32, DataType::Float] {
                let found = samples(&format!("{tokenizer}.json"), &model(dtype, &dims), None).expect("samples");
                let lines = expected[tokenizer][form].as_array().expect("a list");
                assert_eq!(found.len(), lines.len());
                for (sample, line) in found.iter().zip(lines) {
                    for (tensor, part) in sample.inputs.iter().zip(["ids", "mask", "types"]) {
                        let list = line[part].as_array().expect("a list");
                        let list: Vec<i64> = list.iter().map(|number| number.as_i64().expect("a number")).collect();
                        assert_eq!(numbers(tensor), list, "{tokenizer} {form} {part}: {}", sample.origin);
                        assert_eq!((tensor.dtype(), tensor.shape()), (dtype, vec![1, list.len()]));
                    }
                }
            }
        }
    }
}

fn length_batch_and_positions_are_as_the_model_has_them() {
    use DataType::Int64;
    let cut = samples("pieces.json", &model(Int64, &[0, 0]), Some(8)).expect("samples");
    let lengths: Vec<usize> = cut.iter().map(|sample| sample.inputs[0].shape()[1]).collect();
    assert_eq!(lengths[..3], [8, 8, 8]);
    assert!(lengths[3] < 8, "a short one stays short");
    let odd = models::with_inputs(&[("model.input_ids:0", Int64, &[2, 0]), ("position_ids", Int64, &[0])]);
    let found = samples("pairs.json", &odd, None).expect("samples");
    let [ids, positions] = &found[0].inputs[..] else { panic!("two inputs") };
    let length = positions.shape()[0];
    assert_eq!(ids.shape(), [2, length]);
    assert_eq!(numbers(positions), (0..length as i64).collect::<Vec<_>>());
    assert_eq!(numbers(ids)[..length], numbers(ids)[length..]);
    let limited = Samples::texts(texts("lines.txt"), texts("pairs.json"), &odd, None, Some(2)).expect("samples");
    assert_eq!((limited.len(), limited.count()), (2, 2));
}

fn what_does_not_fit_is_refused() {
    use DataType::{Float, Int64};
    let with = |name, dims| models::with_inputs(&[("input_ids", Int64, dims), (name, Int64, dims)]);
    let refused = [
        (with("pixels", &[1, 16]), None, "input 'pixels' is nothing that a tokenizer gives"),
        (with("attention_mask", &[1, 1, 1, 16]), None, "tokens have 1 axis, or 2 with a batch"),
        (with("attention_mask", &[1, 16]), Some(8), "the model takes 16 tokens; --max-tokens says 8"),
        (with("attention_mask", &[1, 1]), None, "texts cannot be cut off at 1 tokens"),
        (
            models::with_inputs(&[("input_ids", Int64, &[1, 8]), ("mask", Float, &[1, 16])]),
            None,
            "different numbers of tokens: [8, 16]",
        ),
        (models::with_inputs(&[("input_ids", DataType::Uint8, &[1, 8])]), None, "is uint8[1,8] in the model"),
    ];
    for (model, max_tokens, expected) in refused {
        let error = samples("pieces.json", &model, max_tokens).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let place = tempfile::tempdir().expect("a folder");
    files::put(place.path(), "empty.txt", "\n  \n");
    files::put(place.path(), "binary.txt", [0xff, 0xfe]);
    files::put(place.path(), "other.json", "{\"model\": 3}");
    let model = model(Int64, &[1, 16]);
    let open = |text: &Path, tokenizer: &Path| {
        Samples::texts(text, tokenizer, &model, None, None).expect_err("it is wrong").to_string()
    };
    let (lines, tokenizer) = (texts("lines.txt"), texts("pieces.json"));
    assert!(open(&place.path().join("empty.txt"), &tokenizer).contains("empty.txt: has no lines of text"));
    assert!(open(&place.path().join("binary.txt"), &tokenizer).contains("binary.txt: is no text in UTF-8"));
    assert!(open(&place.path().join("missing.txt"), &tokenizer).contains("missing.txt: cannot be read"));
    assert!(open(&lines, &place.path().join("other.json")).contains("other.json: is no tokenizer.json"));
    assert!(open(&lines, &place.path().join("missing.json")).contains("missing.json: cannot be read"));
    assert!(Samples::texts(&lines, &tokenizer, &model, None, Some(0)).is_err());
}

crate::tests![
    the_numbers_are_those_of_the_package,
    length_batch_and_positions_are_as_the_model_has_them,
    what_does_not_fit_is_refused
];
