//! A graph to be quantized, and all that is checked of every one.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use onnx_quant::{
    CalibrationMethod, Config, Model, Report, SaveOptions, calibrate,
    calibration::{Ranges, RtenEngine, Statistics, proceed},
    numeric::Range,
    quantize_activations,
};

use crate::runtime::{self, Comparison, Engine, Inputs, Run, Side, Tensor, Text, samples::sample, texts::model_text};

/// How many samples are made for calibration; the outputs are compared on the first.
const SAMPLES: u64 = 4;

/// A graph, and what is expected of it.
pub struct Case {
    pub name: &'static str,
    pub opset: i64,
    /// As [`model_text`] takes it.
    pub text: String,
    pub config: Config,
    /// Flags that are the same in all samples.
    pub feeds: &'static [(&'static str, f64)],
    /// Ranges to be taken instead of calibration: of values that no engine observes.
    pub given: &'static [(&'static str, f32, f32)],
    /// The operators of the graph that onnxruntime makes of the quantized model, sorted.
    pub kernels: &'static str,
    /// The layers that stay float, each with a part of the reason.
    pub float: &'static [(&'static str, &'static str)],
    /// How far outputs may be from the float model's, of their largest magnitude.
    pub bound: f64,
}

/// A case with the defaults: no layer stays float, outputs are within three percent.
pub fn case(name: &'static str, kernels: &'static str, text: &str) -> Case {
    Case {
        name,
        opset: 17,
        text: text.to_owned(),
        config: Config::default(),
        feeds: &[],
        given: &[],
        kernels,
        float: &[],
        bound: 0.03,
    }
}

/// A case whose scales are those of the smallest and largest numbers observed, to be written down.
pub fn min_max(mut case: Case) -> Case {
    case.config.activations.method = CalibrationMethod::MinMax;
    case
}

/// What became of a case.
pub struct Outcome {
    pub model: Model,
    pub report: Report,
}

impl Outcome {
    /// Scale and zero point of a quantized value.
    pub fn parameters(&self, name: &str) -> (f32, i32) {
        let values = &self.report.activations.as_ref().expect("activations were quantized").values;
        let value = values.iter().find(|value| value.name == name);
        value.map(|value| (value.scale, value.zero_point)).unwrap_or_else(|| panic!("'{name}' is not quantized"))
    }

    /// A value's zero point, if it is quantized.
    pub fn zero_point(&self, name: &str) -> Option<i32> {
        let values = &self.report.activations.as_ref().expect("activations were quantized").values;
        values.iter().find(|value| value.name == name).map(|value| value.zero_point)
    }

    /// The names of the quantized values, in the order of the file.
    pub fn values(&self) -> Vec<&str> {
        let activations = self.report.activations.as_ref().expect("activations were quantized");
        activations.values.iter().map(|value| value.name.as_str()).collect()
    }

    /// Operators of a type in the quantized model.
    pub fn count(&self, op_type: &str) -> usize {
        self.model.ops().filter(|&op| self.model.op(op).is(op_type)).count()
    }
}

/// The folder of a group of cases; groups run at the same time.
fn folder(group: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("activations").join(group);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// A case's float model, once it has been checked.
pub fn float_model(group: &str, case: &Case) -> Model {
    Model::load(folder(group).join(format!("{}.onnx", case.name))).expect("it loads")
}

/// Quantizes all cases and checks each: the kernels that onnxruntime finds, the reasons of layers that stay
/// float, how close the outputs are, that onnx's checker takes the file, and that doing it again makes the
/// same bytes. `None` where onnxruntime cannot be had.
pub fn check(group: &str, cases: &[Case]) -> Vec<Outcome> {
    let folder = folder(group);
    let float = |case: &Case| folder.join(format!("{}.onnx", case.name));
    let samples = samples(cases, &float);
    let mut wrong = Vec::new();
    let (mut outcomes, mut quantized) = (Vec::new(), Vec::new());
    for (case, samples) in cases.iter().zip(&samples) {
        let outcome = outcome(case, &float(case), samples);
        let activations = outcome.report.activations.as_ref().expect("activations were quantized");
        let stay: Vec<(&str, &str)> = activations.float_layers().map(|layer| (&*layer.operator, &*layer.why)).collect();
        let expected =
            |(got, want): (&(&str, &str), &(&str, &str))| got.0.starts_with(want.0) && got.1.contains(want.1);
        if stay.len() != case.float.len() || !stay.iter().zip(case.float).all(expected) {
            wrong.push(format!("{}: float: {stay:?}", case.name));
        }
        let path = folder.join(format!("{}_quantized.onnx", case.name));
        outcome.model.save(&path, &SaveOptions::default()).expect("it can be written");
        quantized.push(path);
        outcomes.push(outcome);
    }
    for (case, answer) in cases.iter().zip(runtime::check(&quantized)) {
        wrong.extend(answer.err().map(|error| format!("{}: {error}", case.name)));
    }
    for (case, answer) in cases.iter().zip(runtime::kernels(&quantized)) {
        match answer.map(|kernels| listed(&kernels)) {
            Ok(kernels) if kernels == case.kernels => {}
            Ok(other) | Err(other) => wrong.push(format!("{}: kernels: {other}", case.name)),
        }
    }
    let comparisons = cases.iter().zip(&quantized).zip(&samples).map(|((case, quantized), samples)| Comparison {
        left: Side { model: float(case), engine: Engine::OnnxruntimePlain },
        right: Side { model: quantized.clone(), engine: Engine::Onnxruntime },
        inputs: Inputs { feeds: samples[0].clone(), ..Inputs::default() },
    });
    for (case, answer) in cases.iter().zip(runtime::compare(&comparisons.collect::<Vec<_>>())) {
        let differences = answer.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        if differences.values().all(|difference| difference.identical) {
            wrong.push(format!("{}: nothing is rounded", case.name));
        }
        for (output, difference) in differences {
            if difference.relative > case.bound {
                wrong.push(format!("{}: {output} is off by {}", case.name, difference.relative));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    outcomes
}

/// The inputs of every case, of several seeds.
fn samples(cases: &[Case], float: &impl Fn(&Case) -> PathBuf) -> Vec<Vec<BTreeMap<String, Tensor>>> {
    let text = |case: &Case| Text { model: float(case), text: model_text(case.opset, &case.text) };
    for (case, answer) in cases.iter().zip(runtime::parse(&cases.iter().map(text).collect::<Vec<_>>())) {
        answer.unwrap_or_else(|error| panic!("{}: {error}", case.name));
    }
    let mut runs = Vec::new();
    for case in cases {
        let tensor = |value: f64| Tensor { dtype: "bool".to_owned(), shape: vec![], values: vec![value] };
        let feeds: BTreeMap<_, _> = case.feeds.iter().map(|&(name, value)| (name.to_owned(), tensor(value))).collect();
        runs.extend((0..SAMPLES).map(|seed| Run {
            side: Side { model: float(case), engine: Engine::OnnxruntimePlain },
            inputs: Inputs { seed, feeds: feeds.clone(), ..Inputs::default() },
        }));
    }
    let inputs: Vec<BTreeMap<String, Tensor>> = runtime::run(&runs)
        .into_iter()
        .zip(&runs)
        .map(|(answer, run)| answer.unwrap_or_else(|error| panic!("{}: {error}", run.side.model.display())).inputs)
        .collect();
    inputs.chunks(SAMPLES as usize).map(<[_]>::to_vec).collect()
}

/// A case quantized, which makes the same bytes again, and changes nothing when it is run on its result.
fn outcome(case: &Case, path: &Path, samples: &[BTreeMap<String, Tensor>]) -> Outcome {
    let float = Model::load(path).expect("it loads");
    let samples = samples.iter().map(|inputs| Ok(sample(inputs)));
    let ranges = match case.given {
        [] => calibrate(&float, &case.config, samples, &RtenEngine, &mut proceed)
            .unwrap_or_else(|error| panic!("{}: {error}", case.name)),
        given => ranges(given),
    };
    let quantized = |model: &Model| {
        let mut model = model.clone();
        let report = quantize_activations(&mut model, &case.config, &ranges);
        let report = report.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        model.verify().unwrap_or_else(|error| panic!("{}: {error}", case.name));
        (model, report)
    };
    let (model, report) = quantized(&float);
    let bytes = model.to_bytes();
    assert_eq!(quantized(&float).0.to_bytes(), bytes, "{}: other bytes the second time", case.name);
    let again = quantized(&Model::from_bytes(bytes.clone()).expect("what was written can be read")).0;
    assert_eq!(again.to_text(), model.to_text(), "{}: it goes on when it is run on its result", case.name);
    Outcome { model, report }
}

/// Ranges that somebody determined.
fn ranges(given: &[(&str, f32, f32)]) -> Ranges {
    let range = |&(name, min, max): &(&str, f32, f32)| (name.to_owned(), Statistics::of_range(Range { min, max }));
    given.iter().map(range).collect()
}

/// `Conv*2 Relu`.
fn listed(kernels: &BTreeMap<String, usize>) -> String {
    let each = kernels.iter().map(|(name, count)| match count {
        1 => name.clone(),
        count => format!("{name}*{count}"),
    });
    each.collect::<Vec<_>>().join(" ")
}
