//! The text of a model is what the reference parser reads.

use crate::{quantized, runtime, testdata};
use onnx_quant::Model;
use quantized::{load, quantized as quantize_all};
use runtime::Text;
use testdata::fixtures;

fn the_reference_parser_reads_it() {
    let (fixtures, folder) = (fixtures(), tempfile::tempdir().expect("a folder"));
    let mut texts: Vec<_> = fixtures.iter().map(|fixture| (fixture.name.clone(), load(fixture).to_text())).collect();
    for way in ["int8", "qdq", "block16", "int4"] {
        let models = quantize_all(&fixtures, &quantized::way(way));
        texts.extend(models.iter().map(|model| (model.name(), model.model.to_text())));
    }
    let model = folder.path().join("model.onnx");
    let requests: Vec<Text> = texts.iter().map(|(_, text)| Text { model: model.clone(), text: text.clone() }).collect();
    let answers = runtime::parse(&requests);
    let wrong = texts.iter().zip(answers).filter_map(|((name, _), answer)| Some(format!("{name}: {}", answer.err()?)));
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn what_is_no_model_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = Model::load(testdata::path("made/embedding.onnx")).expect("it is a model").to_text();
    let broken = [text.replacen('(', "", 1), text.replacen("=>", "", 1), text.replacen('}', "", 1)];
    let model = folder.path().join("model.onnx");
    let requests = broken.map(|text| Text { model: model.clone(), text });
    let answers = runtime::parse(&requests);
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
}

crate::tests![the_reference_parser_reads_it, what_is_no_model_is_not_read];
