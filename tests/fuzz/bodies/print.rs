//! A model becomes text.

use onnx_quant::TextOptions;

use super::loaded;
use crate::mutate::Random;

pub fn run(bytes: &[u8], random: &mut Random) {
    let Some(model) = loaded(bytes) else { return };
    let options = TextOptions::default().with_literal_elements(*random.pick(&[0, 1, 8, 100]));
    let text = model.to_text_with(&options);
    let steering = text.chars().find(|&character| character.is_control() && !['\n', '\t'].contains(&character));
    assert_eq!(steering, None, "a control character of the model steers the terminal");
    assert!(text.ends_with('\n') && text.contains("=>"), "{text}");
    assert!(text == model.to_text_with(&options), "the same model prints otherwise");
    assert!(text == model.clone().to_text_with(&options), "a copy prints otherwise");
}
