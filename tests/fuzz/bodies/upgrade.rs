//! A model's opset is raised.

use onnx_quant::{Model, passes::UpgradeOpset, upgrade};

use super::{assert_readable, loaded, written};
use crate::mutate::Random;

pub fn run(bytes: &[u8], random: &mut Random) {
    let Some(model) = loaded(bytes) else { return };
    let newest = UpgradeOpset::NEWEST_OPSET;
    let to = if random.once_in(2) { newest } else { 1 + random.below(newest as usize) as i64 };
    let Some(upgraded) = upgraded(&model, to) else { return };
    let opset = upgraded.opset(Model::MAIN);
    assert_eq!(opset, to.max(model.opset(Model::MAIN)));
    let once = written(&upgraded);

    let mut again = upgraded.clone();
    let (said, _) = upgrade(&mut again, to).expect("what was upgraded is at the opset already");
    assert!(!said.changed && said.rewritten.is_empty(), "upgraded again: {said:?}");
    assert!(again.to_bytes() == once, "upgraded again, it is another model");

    let mut from_file = Model::from_bytes(once.clone()).expect("it was read before");
    let (said, _) = upgrade(&mut from_file, to).expect("what was upgraded is at the opset already");
    assert!(!said.changed, "upgraded again from a file: {said:?}");

    let same = self::upgraded(&model, to).expect("it was upgraded before");
    assert!(same.to_bytes() == once, "the same model upgraded the same way is another");
}

fn upgraded(model: &Model, to: i64) -> Option<Model> {
    let mut model = model.clone();
    let upgraded = upgrade(&mut model, to).inspect_err(assert_readable);
    upgraded.ok().map(|_| model)
}
