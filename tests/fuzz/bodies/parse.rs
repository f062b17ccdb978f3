//! A text becomes a model.

use onnx_quant::{ErrorKind, Model, ParseOptions, RandomFill, TextOptions};

use super::assert_readable;
use crate::mutate::Random;

pub fn run(bytes: &[u8], random: &mut Random) {
    let text = String::from_utf8_lossy(bytes);
    let fill = RandomFill { seed: 0, max_bytes: 1 << 16 };
    let options = ParseOptions::default().with_fill(random.once_in(2).then_some(fill));
    let Ok(model) = Model::from_text_with(&text, &options).inspect_err(assert_placed) else { return };
    model.verify().expect("what was read keeps the invariants");
    let written = Model::from_bytes(model.to_bytes()).expect("what was read can be written and read again");
    assert!(written.to_bytes() == model.to_bytes(), "what was read is written otherwise");
    let printed = model.to_text_with(&TextOptions::ALL);
    let again = match Model::from_text(&printed) {
        Ok(again) => again,
        // A tensor of strings may have bytes that are no text; a string may look as if it stood for such.
        Err(error) => panic!("what was printed cannot be read: {error}\n{printed}"),
    };
    assert!(again.to_text_with(&TextOptions::ALL) == printed, "what was printed is read as another model:\n{printed}");
    if options.fill.is_some() {
        let same = Model::from_text_with(&text, &options).expect("it was read before");
        assert!(same.to_bytes() == model.to_bytes(), "it is filled otherwise");
    }
    let _ = Model::from_bytes(bytes.to_vec()).inspect_err(assert_readable);
}

fn assert_placed(error: &onnx_quant::Error) {
    assert_readable(error);
    if let ErrorKind::Text { line, column, .. } = error.kind() {
        assert!(*line > 0 && *column > 0, "{error}");
    }
}
