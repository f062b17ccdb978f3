//! What is written runs: in onnxruntime, with the results of the float model but for the
//! quantization error, from the integers that the reference QuantizeLinear makes.

use crate::{quantized, runtime, testdata};
use std::path::{Path, PathBuf};

use onnx_quant::{
    CalibrationMethod, Config, Granularity, Model, SaveOptions, WeightForm, WeightType,
    calibration::{
        Ranges, Statistics,
        range_files::{self, RangeFormat},
    },
    numeric::{QuantizedType, Range, ScaleType, Scheme},
    passes::{FoldConstants, Pass},
    quantize,
};
use quantized::{Quantized, quantized as quantize_all, way, ways};
use runtime::{
    Comparison, Difference, Engine, Inputs, Run, Side, Tensor, Text, WeightCheck, rten_engine, texts::model_text,
};
use testdata::{Fixture, fixtures};

/// All fixtures in all ways, with the files they were written to.
fn written<'a>(fixtures: &'a [Fixture], folder: &Path) -> Vec<(Quantized<'a>, PathBuf)> {
    ways()
        .iter()
        .flat_map(|way| quantize_all(fixtures, way))
        .map(|model| {
            let path = model.save(folder);
            (model, path)
        })
        .collect()
}

fn inputs(fixture: &Fixture) -> Inputs {
    Inputs { seed: 1, dims: fixture.dims.clone(), ..Inputs::default() }
}

fn side(model: impl Into<PathBuf>, engine: Engine) -> Side {
    Side { model: model.into(), engine }
}

/// Collects what is wrong, so that one run shows all of it.
fn assert_none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

fn the_checker_accepts_what_it_accepted_as_float() {
    let (fixtures, folder) = (fixtures(), tempfile::tempdir().expect("a folder"));
    let mut models = written(&fixtures, folder.path());
    models.retain(|(model, _)| model.fixture.checker.is_none());
    let paths: Vec<PathBuf> = models.iter().map(|(_, path)| path.clone()).collect();
    let answers = runtime::check(&paths);
    let faults = models.iter().zip(answers);
    assert_none(faults.filter_map(|((model, _), a)| Some(format!("{}: {}", model.name(), a.err()?))).collect());
}

fn its_quantizer_reads_our_calibration_caches() {
    let mut ranges = Ranges::default();
    for (name, min, max) in [("conv/out", -0.1, 3.5), ("größe \"x\"", 0.0, 1e-30), ("mask", -3e38, 0.0)] {
        ranges.values.insert(name.to_owned(), Statistics::of_range(Range { min, max }));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cache.json");
    let scheme = Scheme { ty: QuantizedType::UInt8, symmetric: false, scale: ScaleType::default() };
    range_files::write(&path, &ranges, RangeFormat::Onnxruntime, CalibrationMethod::Entropy, scheme).expect("written");
    let mut answers = runtime::ranges(&[path]);
    let read = answers.remove(0).expect("onnxruntime reads it");
    let expected = ranges.values.iter().filter_map(|(name, statistics)| Some((name.clone(), statistics.extremes()?)));
    assert_eq!(read, expected.map(|(name, range)| (name, (range.min, range.max))).collect());
}

/// The signal-to-noise ratio in decibels that the outputs must have at least.
///
/// In a linear network each quantized weight adds noise whose power, relative to the signal's, is
/// that of the weight's own error: so n weights of s dB and more give s - 10 log10(n) dB. Sums in
/// which the signal cancels and the noise does not, and activations, may cost some more.
fn least_sqnr(model: &Quantized) -> f64 {
    const CANCELLATION: f64 = 15.0;
    let copies = model.report.quantized.iter().flat_map(|tensor| &tensor.copies);
    let each: Vec<f64> = copies.map(|copy| copy.sqnr_db.expect("it was measured")).collect();
    let worst = each.iter().copied().fold(f64::INFINITY, f64::min);
    worst - 10.0 * (each.len().max(1) as f64).log10() - CANCELLATION
}

fn outputs_are_close_to_the_float_models() {
    let (fixtures, folder) = (fixtures(), tempfile::tempdir().expect("a folder"));
    let mut models = written(&fixtures, folder.path());
    models.retain(|(model, _)| model.fixture.onnxruntime.is_none());
    let engines = [Engine::OnnxruntimePlain, Engine::Onnxruntime];
    let runs = || models.iter().flat_map(|(model, path)| engines.map(|engine| (model, path, engine)));
    let requests: Vec<Comparison> = runs()
        .map(|(model, path, engine)| Comparison {
            left: side(model.fixture.path(), engine),
            right: side(path, engine),
            inputs: inputs(model.fixture),
        })
        .collect();
    let answers = runtime::compare(&requests);
    let mut faults = Vec::new();
    for ((model, _, engine), answer) in runs().zip(answers) {
        let name = format!("{} in {engine:?}", model.name());
        match answer {
            Err(error) => faults.push(format!("{name}: {error}")),
            Ok(differences) => {
                let least = least_sqnr(model);
                // Close to the largest float, MatMulNBits exceeds it on the way.
                let overflows = model.fixture.name == "made/values_denormal.onnx"
                    && model.way == "int4"
                    && engine == Engine::Onnxruntime;
                let far = |difference: &Difference| {
                    if overflows {
                        return false;
                    }
                    // What float32 sums in another order differ by is no quantization error.
                    difference.sqnr_db < least && difference.relative > 1e-5
                };
                faults.extend(differences.iter().filter(|(_, difference)| far(difference)).map(
                    |(output, difference)| {
                        format!("{name}: {output}: {:.1} dB, at least {least:.1}", difference.sqnr_db)
                    },
                ));
            }
        }
    }
    assert_none(faults);
}

/// With what rounding scales and products to float adds; the largest of it to a float16 scale, 2^-11
/// of up to 255 steps.
const HALF_A_STEP: f64 = 0.5 + 255.0 / 2048.0;

fn stored_integers_are_those_of_the_reference() {
    let (fixtures, folder) = (fixtures(), tempfile::tempdir().expect("a folder"));
    let mut models = written(&fixtures, folder.path());
    models.retain(|(model, _)| model.way != "qdq" && model.way != "default");
    let mut checks = Vec::new();
    let mut checked = Vec::new();
    for (model, path) in &models {
        for (stored, weight) in model.stripped().stored {
            checked.push(format!("{}: '{stored}'", model.name()));
            checks.push(WeightCheck {
                float_model: model.fixture.path(),
                weight: weight.weight,
                quantized_model: path.clone(),
                stored,
                transposed: weight.transposed,
            });
        }
    }
    let answers = runtime::weights(&checks);
    assert!(answers.len() > 500, "{} weights only: nothing was tested", answers.len());
    let faults = checked.iter().zip(answers).filter_map(|(what, answer)| match answer {
        Ok(answer) if answer.mismatches > 0 => {
            Some(format!("{what}: {} of {} differ", answer.mismatches, answer.elements))
        }
        // Nothing is clipped: every element is within half a step of what it was.
        Ok(answer) if answer.max_steps > HALF_A_STEP => Some(format!("{what}: {} steps off", answer.max_steps)),
        Ok(_) => None,
        Err(error) => Some(format!("{what}: {error}")),
    });
    assert_none(faults.collect());
}

fn both_forms_give_the_same_outputs() {
    let (fixtures, folder) = (fixtures(), tempfile::tempdir().expect("a folder"));
    let (int8, qdq) = (quantize_all(&fixtures, &way("int8")), quantize_all(&fixtures, &way("qdq")));
    let pairs: Vec<_> = int8.iter().zip(&qdq).filter(|(model, _)| model.fixture.onnxruntime.is_none()).collect();
    let requests: Vec<Comparison> = pairs
        .iter()
        .map(|(int8, qdq)| Comparison {
            left: side(int8.save(folder.path()), Engine::OnnxruntimePlain),
            right: side(qdq.save(folder.path()), Engine::OnnxruntimePlain),
            inputs: inputs(int8.fixture),
        })
        .collect();
    let answers = runtime::compare(&requests);
    let mut faults = Vec::new();
    for ((model, _), answer) in pairs.iter().zip(answers) {
        let differences = answer.unwrap_or_else(|error| panic!("{}: {error}", model.name()));
        let unlike = differences.iter().filter(|(output, difference)| match model.fixture.name.as_str() {
            // In one form the weight that is given out is the float one.
            "made/weight_is_output.onnx" if *output == "w" => false,
            "made/tables.onnx" if *output == "given" => false,
            // onnxruntime multiplies in float32 and rounds to float16 where it sees fit.
            name if name.starts_with("made/float16") => difference.relative > 1e-3,
            // The same products, summed in another order.
            _ if model.stripped().stored.values().any(|stored| stored.transposed) => difference.relative > 1e-6,
            _ => !difference.identical,
        });
        faults.extend(unlike.map(|(name, difference)| format!("{}: {name}: {difference:?}", model.name())));
    }
    assert_none(faults);
}

fn quantization_is_seen_in_the_outputs() {
    // The other tests say that the outputs are close. These must not be equal, or nothing was done.
    let (mut fixtures, folder) = (fixtures(), tempfile::tempdir().expect("a folder"));
    fixtures.retain(|fixture| ["kws_dscnn.onnx", "made/lstm.onnx", "made/if_weights.onnx"].contains(&&*fixture.name));
    let models = quantize_all(&fixtures, &way("int8"));
    let requests: Vec<Comparison> = models
        .iter()
        .map(|model| Comparison {
            left: side(model.fixture.path(), Engine::Onnxruntime),
            right: side(model.save(folder.path()), Engine::Onnxruntime),
            inputs: inputs(model.fixture),
        })
        .collect();
    let answers = runtime::compare(&requests);
    for (model, answer) in models.iter().zip(answers) {
        let differences = answer.unwrap_or_else(|error| panic!("{}: {error}", model.name()));
        assert!(differences.values().any(|difference| !difference.identical), "{}", model.name());
    }
}

fn rten_agrees_with_onnxruntime() {
    const TOLERANCE: f64 = 1e-4;
    let (mut fixtures, folder) = (fixtures(), tempfile::tempdir().expect("a folder"));
    fixtures.retain(|fixture| ["kws_dscnn.onnx", "rten_mnist.onnx"].contains(&fixture.name.as_str()));
    assert_eq!(fixtures.len(), 2);
    // It has no blocks and no integers of four bits.
    let known = |Config { weight_form, granularity, weights, .. }: &Config| {
        let block = matches!(granularity, Granularity::Block { .. });
        *weight_form == WeightForm::Dq && !block && *weights != WeightType::Int4
    };
    let dq = ways().into_iter().filter(|way| known(&way.config));
    let models: Vec<_> = dq.flat_map(|way| quantize_all(&fixtures, &way)).collect();
    let paths: Vec<PathBuf> = models.iter().map(|model| model.save(folder.path())).collect();
    let engine = Engine::OnnxruntimePlain;
    let requests: Vec<Run> = paths
        .iter()
        .zip(&models)
        .map(|(path, m)| Run { side: side(path, engine), inputs: inputs(m.fixture) })
        .collect();
    let answers = runtime::run(&requests);
    for ((model, path), answer) in models.iter().zip(&paths).zip(answers) {
        let name = model.name();
        let expected = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        let outputs = rten_engine::run(path, &expected.inputs).unwrap_or_else(|error| panic!("{name}: rten: {error}"));
        assert!(outputs.keys().eq(expected.outputs.keys()), "{name}");
        for (output, tensor) in &outputs {
            let pairs = tensor.values.iter().zip(&expected.outputs[output].values);
            let largest = pairs.map(|(got, want)| (got - want).abs()).fold(0.0, f64::max);
            assert!(largest <= TOLERANCE, "{name}: {output} differs by {largest}");
        }
    }
}

/// A float16 product inside of an If.
const HALVES_IN_BODY: &str = "g (float16[2,32] x, bool c) => (float16[2,24] y)
     { y = If <then_branch = t () => (float16[2,24] p) <float[32,24] w = {?}> { h = Cast <to = 10> (w) p = MatMul (x, h) },
               else_branch = e () => (float16[2,24] q) <float[32,24] v = {?}> { g = Cast <to = 10> (v) q = Gemm (x, g) }> (c) }";

/// Products with a transposed weight inside of an If, the weight around it.
const TRANSPOSED_IN_BODY: &str = "g (float[2,32] x, bool c) => (float[2,32] y) <float[32,32] w = {?}>
     { y = If <then_branch = t () => (float[2,32] p) { a = Transpose (w) p = MatMul (x, a) },
               else_branch = e () => (float[2,32] q) { q = Neg (x) }> (c) }";

fn product(columns: usize) -> String {
    format!("g (float[3,48] x) => (float[3,{columns}] y) <float[48,{columns}] w = {{?}}> {{ y = MatMul (x, w) }}")
}

fn transposed_product(columns: usize) -> String {
    format!(
        "g (float[3,48] x) => (float[3,{columns}] y) <float[{columns},48] w = {{?}}> {{ y = Gemm <transB = 1> (x, w) }}"
    )
}

/// Weights that a Transpose reads which no product can do without.
const MOVED: &[(&str, &str)] = &[
    (
        "stack",
        "g (float[3,48] x) => (float[2,3,16] y) <float[2,16,48] w = {?}> { t = Transpose <perm = [0, 2, 1]> (w) y = MatMul (x, t) }",
    ),
    (
        "kernel",
        "g (float[1,32,3,3] x) => (float[1,16,3,3] y) <float[32,16,1,1] w = {?}> { t = Transpose <perm = [1, 0, 2, 3]> (w) y = Conv (x, t) }",
    ),
    (
        "identity",
        "g (float[3,48] x) => (float[3,16] y) <float[16,48] w = {?}> { i = Identity (w) t = Transpose (i) y = MatMul (x, t) }",
    ),
    (
        "function",
        "<ir_version: 8, opset_import: [\"\": 17, \"f\": 1]> g (float[3,48] x) => (float[3,16] y) <float[16,48] w = {?}> { y = f.h <perm = [1, 0]> (x, w) }
         <domain: \"f\", opset_import: [\"\": 17]> h <perm> (x, w) => (y) { t = Transpose <perm: ints = @perm> (w) y = MatMul (x, t) }",
    ),
];

/// Whatever fuses computes what is written, but for activations that the fused kernel rounds.
fn optimizations_change_no_form() {
    let bits = |weights, granularity| {
        Config::default().with_weights(weights).with_granularity(granularity).with_allow_growth(true)
    };
    let block = Granularity::Block { size: 16, axis: None };
    let mut cases: Vec<(String, String, Config)> = Vec::new();
    for granularity in [Granularity::PerTensor, Granularity::PerChannel, block] {
        for weights in [WeightType::Int2, WeightType::Uint2, WeightType::Int4, WeightType::Int8] {
            for columns in [1, 9, 10, 12, 18] {
                for (kind, text) in [("product", product(columns)), ("transposed", transposed_product(columns))] {
                    let name = format!("{kind}_{columns}_{weights:?}_{granularity:?}");
                    cases.push((name, text, bits(weights, granularity)));
                }
            }
            let name = |kind: &str| format!("{kind}_{weights:?}_{granularity:?}");
            cases.push((name("halves"), HALVES_IN_BODY.to_owned(), bits(weights, granularity)));
            cases.push((name("outside"), TRANSPOSED_IN_BODY.to_owned(), bits(weights, granularity)));
            for (kind, text) in MOVED {
                cases.push((name(kind), (*text).to_owned(), bits(weights, granularity)));
            }
        }
    }
    let qdq = bits(WeightType::Int8, Granularity::PerChannel).with_weight_form(WeightForm::Qdq);
    cases.push(("halves_qdq".to_owned(), HALVES_IN_BODY.to_owned(), qdq));
    let folder = tempfile::tempdir().expect("a folder");
    let float = |index: usize| folder.path().join(format!("{index}.onnx"));
    let texts: Vec<_> = (cases.iter().enumerate())
        .map(|(index, (_, text, _))| Text { model: float(index), text: model_text(17, text) })
        .collect();
    let parsed = runtime::parse(&texts);
    let mut paths = Vec::new();
    for (index, ((name, _, config), parsed)) in cases.iter().zip(parsed).enumerate() {
        parsed.unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut model = Model::load(float(index)).expect("it loads");
        // The weights are Casts of numbers that the text form can spell.
        FoldConstants.run(&mut model).expect("it can be folded");
        let report = quantize(&mut model, config).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!report.quantized.is_empty(), "{name}: {:?}", report.left_float);
        let path = folder.path().join(format!("{index}_quantized.onnx"));
        model.save(&path, &SaveOptions::default()).expect("it can be written");
        paths.push(path);
    }
    let flag = |value: f64| Tensor { dtype: "bool".to_owned(), shape: vec![], values: vec![value] };
    let requests: Vec<Comparison> = (paths.iter())
        .flat_map(|path| [0.0, 1.0].map(|taken| (path, taken)))
        .map(|(path, taken)| Comparison {
            left: side(path, Engine::OnnxruntimePlain),
            right: side(path, Engine::Onnxruntime),
            inputs: Inputs { feeds: [("c".to_owned(), flag(taken))].into(), ..Inputs::default() },
        })
        .collect();
    let answers = runtime::compare(&requests);
    let names = cases.iter().flat_map(|(name, ..)| [name, name]);
    let faults = names.zip(answers).filter_map(|(name, answer)| match answer {
        Err(error) => Some(format!("{name}: {error}")),
        Ok(outputs) => {
            let far = outputs.values().map(|difference| difference.relative).fold(0.0, f64::max);
            (far > 0.02).then(|| format!("{name}: off by {far}"))
        }
    });
    assert_none(faults.collect());
}

/// A column that has nothing but zeros adds nothing, whatever the kernel rounds.
fn zero_columns_add_nothing() {
    let text =
        "g (float[3,64] x) => (float[3,8] y) <float[64,8] w = {?}, float[64,8] mask = {MASK}, float thousand = {1000}>
         { s = Mul (x, thousand) m = Mul (w, mask) y = MatMul (s, m) }";
    let mask: Vec<&str> = (0..64 * 8).map(|index| if index % 8 == 3 { "0" } else { "1" }).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let float = folder.path().join("float.onnx");
    let text = Text { model: float.clone(), text: model_text(17, &text.replace("MASK", &mask.join(", "))) };
    let mut parsed = runtime::parse(&[text]);
    parsed.remove(0).expect("it can be parsed");
    let mut runs = Vec::new();
    for (index, weights) in
        [WeightType::Int8, WeightType::Uint8, WeightType::Int4, WeightType::Uint4].into_iter().enumerate()
    {
        for granularity in [Granularity::PerChannel, Granularity::Block { size: 32, axis: None }] {
            let mut model = Model::load(&float).expect("it loads");
            FoldConstants.run(&mut model).expect("it can be folded");
            let config = Config::default().with_weights(weights).with_granularity(granularity).with_allow_growth(true);
            quantize(&mut model, &config).expect("it can be quantized");
            let path = folder.path().join(format!("{index}{granularity:?}.onnx"));
            model.save(&path, &SaveOptions::default()).expect("it can be written");
            runs.push(Run { side: side(path, Engine::Onnxruntime), inputs: Inputs::default() });
        }
    }
    let answers = runtime::run(&runs);
    for answer in answers {
        let output = answer.expect("it runs").outputs.remove("y").expect("an output");
        let largest = output.values.iter().skip(3).step_by(8).fold(0.0, |largest: f64, value| largest.max(value.abs()));
        assert!(largest < 0.01, "{largest}");
    }
}

crate::tests![
    the_checker_accepts_what_it_accepted_as_float,
    its_quantizer_reads_our_calibration_caches,
    outputs_are_close_to_the_float_models,
    stored_integers_are_those_of_the_reference,
    both_forms_give_the_same_outputs,
    quantization_is_seen_in_the_outputs,
    rten_agrees_with_onnxruntime,
    optimizations_change_no_form,
    zero_columns_add_nothing
];
