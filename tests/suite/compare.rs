//! Comparing a quantized model with its float model: the figures are those that are computed by hand, and by numpy from
//! what onnxruntime computes; and what is said where models do not belong together.

use crate::{command_line, runtime, samples::files, testdata};
use std::{collections::BTreeMap, fs, path::Path};

use command_line::{fail, folder, read, run, stderr, succeed};
use onnx_quant::{
    Config, Model, Result,
    calibration::{OnnxruntimeEngine, RtenEngine, Sample, Samples, proceed},
    compare::{Accuracy, Comparing, Comparison, LIMIT_DB, compare},
    findings::Code,
    ir::{DataType, Tensor},
    proto::{
        GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TypeProto, ValueInfoProto,
        tensor_shape_proto::{Dimension, dimension},
        type_proto,
    },
    quantize,
};
use prost::Message;
use runtime::{Engine, Inputs, Side};

const KWS: &str = "kws_dscnn.onnx";
const KWS_SAMPLES: &str = "calibration/kws_dscnn";

fn node(op_type: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: Some(op_type.to_owned()),
        name: Some(format!("{op_type} of {output}")),
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

fn number(name: &str, dtype: DataType, bytes: &[u8]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(dtype as i32),
        raw_data: Some(bytes.to_vec().into()),
        ..TensorProto::default()
    }
}

fn float(name: &str, number_: f32) -> TensorProto {
    number(name, DataType::Float, &number_.to_le_bytes())
}

fn interface(name: &str, dtype: DataType) -> ValueInfoProto {
    let dim = |size| Dimension { value: Some(dimension::Value::DimValue(size)), ..Dimension::default() };
    let shape = onnx_quant::proto::TensorShapeProto { dim: vec![dim(1), dim(4)] };
    let tensor = type_proto::Tensor { elem_type: Some(dtype as i32), shape: Some(shape) };
    let ty = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(ty), ..ValueInfoProto::default() }
}

fn model(nodes: Vec<NodeProto>, constants: Vec<TensorProto>, output: &str) -> Model {
    let graph = GraphProto {
        name: Some("graph".to_owned()),
        node: nodes,
        initializer: constants,
        input: vec![interface("x", DataType::Float)],
        output: vec![interface(output, DataType::Float)],
        ..GraphProto::default()
    };
    let opset = OperatorSetIdProto { domain: Some(String::new()), version: Some(13) };
    let proto =
        ModelProto { ir_version: Some(8), graph: Some(graph), opset_import: vec![opset], ..ModelProto::default() };
    Model::from_bytes(proto.encode_to_vec()).expect("it is a model")
}

/// h = x, y = h + 1.
fn plain() -> Model {
    let nodes = vec![node("Mul", &["x", "one"], "h"), node("Add", &["h", "one"], "y")];
    model(nodes, vec![float("one", 1.0)], "y")
}

/// The same with a weight that is 9/8 for 1, and with h in steps of a half, as onnxruntime's quantizer names it all.
fn rounded() -> Model {
    let nodes = vec![
        node("Mul", &["x", "more"], "h"),
        node("QuantizeLinear", &["h", "half", "zero"], "h_QuantizeLinear_Output"),
        node("DequantizeLinear", &["h_QuantizeLinear_Output", "half", "zero"], "h_DequantizeLinear_Output"),
        node("Add", &["h_DequantizeLinear_Output", "one"], "y"),
    ];
    let constants =
        vec![float("more", 1.125), float("half", 0.5), number("zero", DataType::Int8, &[0]), float("one", 1.0)];
    model(nodes, constants, "y")
}

fn sample(numbers: [f32; 4]) -> Result<Sample> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    Ok(Sample::new("made", vec![Tensor::from_bytes("x", DataType::Float, &[1, 4], bytes)?]))
}

fn compared(float: &Model, quantized: &Model, samples: Vec<Result<Sample>>) -> Result<Comparison> {
    let comparing = Comparing::new(&RtenEngine);
    compare(float, quantized, samples, &comparing, &mut proceed)
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-3, "{found}, not {expected}");
}

fn figures_are_those_of_a_calculation_by_hand() {
    let samples = vec![sample([1.0, 2.0, -3.0, 4.0]), sample([-1.0, -2.0, 3.0, -4.0])];
    let comparison = compared(&plain(), &rounded(), samples).expect("they can be compared");
    assert_eq!(comparison.samples, 2);
    let [h, y] = comparison.values.as_slice() else { panic!("{:?}", comparison.values) };

    // x 9/8 is off by an eighth; in steps of a half, with ties to even, by 0, 0, 0.5 and 0.5 of 1, 2, 3 and 4.
    assert_eq!((h.name.as_str(), h.operator.as_str()), ("h", "Mul 'Mul of h'"));
    near(h.before_rounding.expect("it is there").sqnr_db, 10.0 * 64f64.log10());
    near(h.written.sqnr_db, 10.0 * 60f64.log10());
    near(h.written.max_error, 0.5);
    let product = 1.0 + 4.0 + 3.0 * 3.5 + 4.0 * 4.5;
    let (one, other) = (30f64, 1.0 + 4.0 + 3.5 * 3.5 + 4.5 * 4.5);
    near(h.written.cosine.expect("it is there"), product / (one * other).sqrt());
    assert_eq!((h.stored_as.as_deref(), h.range), (Some("int8"), Some([-64.0, 63.5])));
    assert_eq!(h.histogram.as_ref().expect("it was observed").counts.iter().sum::<u64>(), 8);
    // Nothing is compared before, so that the weight counts as its own.
    near(h.own.expect("it is measured").sqnr_db, 10.0 * 60f64.log10());

    // Given what h is in float, the sum is right.
    assert_eq!(y.own.expect("it is measured").sqnr_db, LIMIT_DB);
    near(y.written.sqnr_db, 10.0 * ((4.0 + 9.0 + 4.0 + 25.0 + 0.0 + 1.0 + 16.0 + 9.0) / 1.0f64).log10());
    let channels = comparison.outputs[0].written.channels.as_ref().expect("there are four");
    assert_eq!((channels.axis, channels.worst), (1, 2));
    // Of -2 and 4 the variance is 9, of 5 and -3 it is 16, and each element is off by a half.
    near(channels.each_db[2], 10.0 * (9.0 / 0.25f64).log10());
    near(channels.each_db[3], 10.0 * (16.0 / 0.25f64).log10());
    assert_eq!(channels.each_db[..2], [LIMIT_DB; 2]);
    near(channels.sqnr_db, -10.0 * ((1.0 / 36.0 + 1.0 / 64.0) / 4.0f64).log10());
    assert_eq!(comparison.outputs[0].written.agreement, Some(1.0));

    assert_eq!(comparison.first_wrong.below.as_deref(), Some("h"));
    assert_eq!(comparison.first_wrong.largest_drop.as_ref().expect("there is one").name, "h");
}

fn a_choice_that_changes_is_counted() {
    // 3.2 becomes 3.5 and 3.3 too: of the two the first is the largest now.
    let comparison = compared(&plain(), &rounded(), vec![sample([3.2, 3.3, 0.0, 0.0]), sample([0.0, 4.0, 1.0, 0.0])]);
    assert_eq!(comparison.expect("they can be compared").outputs[0].written.agreement, Some(0.5));
}

fn numbers_that_are_lost_are_no_small_error() {
    let nodes = vec![node("Mul", &["x", "one"], "h"), node("Log", &["h"], "y")];
    let logarithm = model(nodes, vec![float("one", 1.0)], "y");
    let nodes = vec![node("Mul", &["x", "less"], "h"), node("Log", &["h"], "y")];
    let negative = model(nodes, vec![float("less", -1.0)], "y");
    let samples = || vec![sample([1.0, 2.0, 3.0, 4.0])];
    let comparison = compared(&logarithm, &negative, samples()).expect("they can be compared");
    let Accuracy { sqnr_db, broken, .. } = comparison.outputs[0].written.accuracy;
    assert_eq!((sqnr_db, broken), (-LIMIT_DB, 4));
    let comparison = compared(&logarithm, &logarithm, samples()).expect("they can be compared");
    assert_eq!(comparison.outputs[0].written.accuracy.sqnr_db, LIMIT_DB);
    assert_eq!(comparison.first_wrong.below, None);
}

/// Only the first convolution is quantized: what comes behind it is off, but adds nothing.
fn operators_are_told_from_what_they_are_given() {
    let float = Model::load(testdata::path(KWS)).expect("a fixture loads");
    let mut quantized = float.clone();
    let config = Config::default().with_include(vec!["/f/f.0/Conv".parse().expect("a pattern")]);
    quantize(&mut quantized, &config).expect("it can be quantized");
    let samples = Samples::open(testdata::path(KWS_SAMPLES), &float, Some(2)).expect("there are samples");
    let comparison = compared(&float, &quantized, samples.collect()).expect("they can be compared");
    let first = comparison.values.iter().position(|value| value.operator == "Conv '/f/f.0/Conv'").expect("it is there");
    for (index, value) in comparison.values.iter().enumerate() {
        let own = value.own.expect("it is measured");
        if index == first {
            assert_eq!(own, value.written);
        }
        assert_eq!(own.sqnr_db < LIMIT_DB, index == first, "{}: {own:?}", value.name);
        assert_eq!(value.written.sqnr_db < LIMIT_DB, index >= first, "{}: {:?}", value.name, value.written);
    }
}

fn both_engines_find_what_numpy_finds() {
    let float = Model::load(testdata::path(KWS)).expect("a fixture loads");
    let folder = folder();
    let path = folder.path().join("quantized.onnx");
    let samples = testdata::path(KWS_SAMPLES);
    let arguments = [testdata::path(KWS).display().to_string(), "quantized.onnx".to_owned()];
    let samples_argument = samples.display().to_string();
    succeed(folder.path(), &[&arguments[0], &arguments[1], "--samples", &samples_argument]);
    let quantized = Model::load(&path).expect("it was written");
    let one = || Samples::open(&samples, &float, Some(1)).expect("there are samples");
    let given = one().next().expect("there is one").expect("it can be read");
    let feed = |tensor: &Tensor| {
        let values = tensor.to_array::<f32>().expect("floats").iter().map(|&number| f64::from(number)).collect();
        (tensor.name().to_owned(), runtime::Tensor { dtype: "float32".to_owned(), shape: tensor.shape(), values })
    };
    let inputs = Inputs { feeds: given.inputs.iter().map(feed).collect(), ..Inputs::default() };
    let request = |engine| runtime::Comparison {
        left: Side { model: testdata::path(KWS), engine: Engine::OnnxruntimePlain },
        right: Side { model: path.clone(), engine },
        inputs: inputs.clone(),
    };
    let requests = [request(Engine::OnnxruntimePlain), request(Engine::Onnxruntime)];
    let answers = runtime::compare(&requests);
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("it runs").remove("logits")).collect();
    let [Some(written), Some(optimized)] = answers.as_slice() else { panic!("{answers:?}") };
    let library = runtime::onnxruntime_library();
    let onnxruntime = OnnxruntimeEngine::new(Some(&library)).expect("it can be loaded");
    let all = onnxruntime.clone().optimized();
    let comparing = Comparing::new(&onnxruntime).with_optimizing(Some(&all));
    let in_onnxruntime = compare(&float, &quantized, one(), &comparing, &mut proceed).expect("they can be compared");
    let in_rten = compared(&float, &quantized, one().collect()).expect("they can be compared");
    let found = &in_onnxruntime.outputs[0];
    let of_engine = |found: &Accuracy, expected: &runtime::Difference, most: f64| {
        assert!((found.sqnr_db - expected.sqnr_db).abs() < most, "{found:?}, not {expected:?}");
        assert!((found.max_error - expected.max_abs).abs() < most * 0.01, "{found:?}, not {expected:?}");
    };
    of_engine(&found.written.accuracy, written, 0.1);
    of_engine(&found.optimized.as_ref().expect("it was run").accuracy, optimized, 0.1);
    // Another order of additions moves single roundings.
    of_engine(&in_rten.outputs[0].written.accuracy, written, 1.0);
}

/// A model of operators of integers: values are looked at through a DequantizeLinear that is not there.
fn integers_are_compared_by_what_they_mean() {
    let library = runtime::onnxruntime_library();
    let nodes = vec![
        node("QuantizeLinear", &["x", "half", "zero"], "x_quantized"),
        node("QLinearMatMul", &["x_quantized", "half", "zero", "eye", "one", "zero", "half", "zero"], "h_quantized"),
        node("DequantizeLinear", &["h_quantized", "half", "zero"], "h_float"),
        node("Add", &["h_float", "one"], "y"),
    ];
    let eye = |dtype, one: &[u8]| {
        let zero = vec![0; one.len()];
        let rows = (0..16).flat_map(|place| if place % 5 == 0 { one.to_vec() } else { zero.clone() });
        TensorProto { dims: vec![4, 4], ..number("eye", dtype, &rows.collect::<Vec<u8>>()) }
    };
    let constants =
        vec![float("half", 0.5), float("one", 1.0), number("zero", DataType::Uint8, &[0]), eye(DataType::Uint8, &[1])];
    let quantized = model(nodes, constants, "y");
    let nodes = vec![node("MatMul", &["x", "eye"], "h"), node("Add", &["h", "one"], "y")];
    let float_model = model(nodes, vec![float("one", 1.0), eye(DataType::Float, &1f32.to_le_bytes())], "y");
    let engine = OnnxruntimeEngine::new(Some(&library)).expect("it can be loaded");
    let comparing = Comparing::new(&engine);
    let samples = vec![sample([1.0, 2.2, 3.0, 4.0])];
    let comparison =
        compare(&float_model, &quantized, samples, &comparing, &mut proceed).expect("they can be compared");
    let named: BTreeMap<&str, &_> = comparison.values.iter().map(|value| (value.name.as_str(), value)).collect();
    assert_eq!(named.keys().copied().collect::<Vec<_>>(), ["h", "x", "y"]);
    // 2.2 becomes 2, and only where it is first rounded.
    let expected = 10.0 * ((1.0 + 4.84 + 9.0 + 16.0) / 0.04f64).log10();
    near(named["x"].written.sqnr_db, expected);
    near(named["h"].written.sqnr_db, expected);
    assert_eq!(named["h"].range, Some([0.0, 127.5]));
    // Its input has to be integers, so that it is the one to round what it is given.
    near(named["h"].own.expect("it is measured").sqnr_db, expected);
    assert_eq!(named["y"].own.expect("it is measured").sqnr_db, LIMIT_DB);
}

fn models_that_do_not_belong_together_are_told() {
    let other = model(vec![node("Neg", &["x"], "z")], vec![], "z");
    let error = compared(&plain(), &other, vec![sample([1.0; 4])]).expect_err("nothing is in common").to_string();
    assert!(error.contains("no output in common") && error.contains("'y'") && error.contains("'z'"), "{error}");

    let longer = model(vec![node("Concat", &["x", "x"], "y")], vec![], "y");
    let mut proto = ModelProto::decode(&*longer.to_bytes()).expect("it is a model");
    let axis = onnx_quant::proto::AttributeProto {
        name: Some("axis".to_owned()),
        r#type: Some(onnx_quant::proto::attribute_proto::AttributeType::Int as i32),
        i: Some(1),
        ..Default::default()
    };
    proto.graph.as_mut().expect("a graph").node[0].attribute.push(axis);
    let longer = Model::from_bytes(proto.encode_to_vec()).expect("it is a model");
    let error = compared(&plain(), &longer, vec![sample([1.0; 4])]).expect_err("the shapes differ").to_string();
    assert!(error.contains("'y' has shape [1, 4]") && error.contains("[1, 8]"), "{error}");

    let error = compared(&plain(), &rounded(), vec![]).expect_err("there are none").to_string();
    assert!(error.contains("no samples"), "{error}");

    let broken = vec![sample([1.0; 4]), Ok(Sample::new("second", vec![]))];
    let error = compared(&plain(), &rounded(), broken).expect_err("it has no inputs").to_string();
    assert!(error.contains("sample 2 (second)") && error.contains("lacks input 'x'"), "{error}");
}

/// A folder with both models; an operator of the float one is named so that it may end a script if it is not hindered.
fn pair() -> tempfile::TempDir {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let mut named = ModelProto::decode(&*plain().to_bytes()).expect("it is a model");
    named.graph.as_mut().expect("a graph").node[0].name = Some("</script><b>".to_owned());
    fs::write(path("float.onnx"), named.encode_to_vec()).expect("it is written");
    fs::write(path("int8.onnx"), rounded().to_bytes()).expect("it is written");
    fs::create_dir(path("samples")).expect("a folder can be made");
    let array = files::npz(&[("x", files::floats(&[1, 4], &[1.0, 2.0, -3.0, 4.0]))], false);
    fs::write(path("samples/0.npz"), array).expect("it is written");
    folder
}

const PAIR: [&str; 5] = ["compare", "float.onnx", "int8.onnx", "--samples", "samples"];

fn with(folder: &Path, more: &[&str]) -> (i32, String, String) {
    let output = run(folder, &[&PAIR, more].concat());
    let status = output.status.code().expect("it ends by itself");
    (status, String::from_utf8_lossy(&output.stdout).into_owned(), stderr(&output))
}

fn the_command_fails_below_the_bound_and_still_writes() {
    let folder = pair();
    // Of one sample there is no variance of a channel: 19.2 dB are those of all elements.
    let (status, table, _) = with(folder.path(), &["--min-sqnr", "19"]);
    assert_eq!(status, 0, "{table}");
    assert!(table.contains("no value that matters to others is below 19 dB"), "{table}");
    let (status, table, said) = with(folder.path(), &["--min-sqnr", "20", "--json", "c.json", "--html", "c.html"]);
    assert_eq!(status, 1, "{table}");
    assert!(said.contains("'y' (19.2 dB)") && said.contains("inaccurate"), "{said}");
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("c.json")).expect("written")).expect("it is JSON");
    assert_eq!(json["version"], 1);
    assert_eq!(json["findings"][0]["code"], Code::Inaccurate.name());
    assert_eq!(json["findings"][0]["subjects"][0], "y");
    assert!(json["values"][0]["operator"].as_str().expect("text").contains("</script>"));
    assert!(folder.path().join("c.html").is_file());
}

fn the_page_needs_nothing_else_and_takes_names_for_nothing_else() {
    let folder = pair();
    let (status, table, _) = with(folder.path(), &["--html", "-"]);
    assert_eq!(status, 0);
    assert!(table.starts_with("<!DOCTYPE html>") && !table.contains("{{"), "{table}");
    for outside in ["http:", "https:", "src=", "href=", "url(", "import "] {
        assert!(!table.contains(outside), "the page has {outside}");
    }
    assert_eq!(table.matches("</script>").count(), 2, "a name ends a script");
    let data = table.split_once("id=\"data\">").expect("data").1.split_once("</script>").expect("its end").0;
    let data: serde_json::Value = serde_json::from_str(data).expect("it is JSON");
    assert_eq!(data["comparison"]["values"][0]["operator"], "Mul '</script><b>'");
}

fn arguments_that_make_no_sense_are_refused() {
    let folder = pair();
    let (status, _, said) = with(folder.path(), &["--min-sqnr", "nan"]);
    assert!(status == 2 && said.contains("number of decibels"), "{said}");
    let (status, _, said) = with(folder.path(), &["--json", "float.onnx"]);
    assert!(status == 2 && said.contains("the same file"), "{said}");
    let output = run(folder.path(), &["compare", "float.onnx", "float.onnx", "--samples", "nowhere"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

/// All of the first output is off by a tenth; of the second, which is an output of integers, nothing is.
fn a_tenth_of_a_value_is_twenty_decibels() {
    let folder = pair();
    let text = |factor: f32| {
        format!(
            "<ir_version: 8, opset_import: [\"\": 17]>
             g (float[1,4] x) => (float[1,4] y, int64[1,4] z) <float factor = {{{factor}}}> {{
               middle = Mul (x, factor) positive = Relu (middle) y = Neg (middle) z = Cast <to = 7> (positive)
             }}"
        )
    };
    fs::write(folder.path().join("float.txt"), text(2.0)).expect("it can be written");
    fs::write(folder.path().join("near.txt"), text(2.2)).expect("it can be written");
    let compare = ["compare", "float.txt", "near.txt", "--calibrate", "samples", "--quiet"];
    succeed(folder.path(), &[&compare[..], &["--min-sqnr", "19.9", "--json", "c.json"]].concat());
    let found: serde_json::Value = serde_json::from_slice(&read(folder.path(), "c.json")).expect("it is JSON");
    assert_eq!((&found["samples"], &found["engine"]), (&1.into(), &"rten".into()));
    let names = |list: &str| -> Vec<String> {
        let list = found[list].as_array().expect("a list");
        list.iter().map(|it| it["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(
        (names("outputs"), names("values")),
        (["y", "z"].map(str::to_owned).into(), ["middle", "positive", "y", "z"].map(str::to_owned).into())
    );
    for (key, expected) in [("sqnr_db", 20.0), ("cosine", 1.0), ("max_error", 0.8)] {
        let told = found["outputs"][0]["written"][key].as_f64().expect("a number");
        assert!((told - expected).abs() < 1e-5 * expected, "{key}: {told}");
    }
    // 2, 4, 8 are 2.2, 4.4, 8.8, which as integers are the same.
    assert_eq!(found["outputs"][1]["written"]["agreement"], 1.0);
    let said = fail(folder.path(), 1, &[&compare[..], &["--min-sqnr", "20.1"]].concat());
    assert!(said.contains("'y' (20.0 dB)") && said.contains("inaccurate"), "{said}");
}

/// A convolution of integers, and the same with floats.
fn integers_are_convolved_as_floats_are_or_refused() {
    let folder = folder();
    let weight: Vec<String> = (0..24).map(|number| (number * 7 % 11 - 5).to_string()).collect();
    let put = |name: &str, pads: &str, size: usize, integer: bool| {
        let (ty, zero) = if integer { ("int8", "") } else { ("float", " d = DequantizeLinear (q, one, zero)") };
        let conv = match integer {
            true => format!("a = ConvInteger {pads} (q, w, zero) y = Cast <to = 1> (a)"),
            false => format!("{zero} y = Conv {pads} (d, w)"),
        };
        let text = format!(
            "<ir_version: 8, opset_import: [\"\": 17]>
             g (float[1,3,4,4] x) => (float[1,2,{size},{size}] y)
             <{ty}[2,3,2,2] w = {{{}}}, float one = {{1}}, uint8 zero = {{128}}> {{ q = QuantizeLinear (x, one, zero) {conv} }}",
            weight.join(", ")
        );
        fs::write(folder.path().join(name), text).expect("it can be written");
    };
    let elements: Vec<f32> = (0..48).map(|number| (number * 13 % 41) as f32 - 20.0).collect();
    fs::create_dir(folder.path().join("image")).expect("a folder can be made");
    fs::write(folder.path().join("image/0.npz"), files::npz(&[("x", files::floats(&[1, 3, 4, 4], &elements))], false))
        .expect("a file");
    let arguments = ["compare", "f.txt", "i.txt", "--samples", "image", "--quiet", "--json", "c.json"];

    put("f.txt", "", 3, false);
    put("i.txt", "", 3, true);
    succeed(folder.path(), &arguments);
    let found: serde_json::Value = serde_json::from_slice(&read(folder.path(), "c.json")).expect("it is JSON");
    assert_eq!(found["outputs"][0]["written"]["max_error"], 0.0);

    let pads = "<pads = [1, 1, 0, 0]>";
    put("f.txt", pads, 4, false);
    put("i.txt", pads, 4, true);
    let said = fail(folder.path(), 1, &arguments);
    assert!(said.contains("ConvInteger 'a'") && said.contains("rten pads integers"), "{said}");
}

crate::tests![
    figures_are_those_of_a_calculation_by_hand,
    a_choice_that_changes_is_counted,
    numbers_that_are_lost_are_no_small_error,
    operators_are_told_from_what_they_are_given,
    both_engines_find_what_numpy_finds,
    integers_are_compared_by_what_they_mean,
    models_that_do_not_belong_together_are_told,
    the_command_fails_below_the_bound_and_still_writes,
    the_page_needs_nothing_else_and_takes_names_for_nothing_else,
    arguments_that_make_no_sense_are_refused,
    a_tenth_of_a_value_is_twenty_decibels,
    integers_are_convolved_as_floats_are_or_refused
];
