//! Round trips through every format, files of others, and malformed ones.

use super::*;
use crate::{
    calibration::{Collect, Statistics},
    numeric::{QuantizedType, ScaleType},
};
use proptest::prelude::*;

const UINT8: Scheme = scheme(QuantizedType::UInt8, false);
const INT8: Scheme = scheme(QuantizedType::Int8, true);
const SCHEMES: [Scheme; 5] = [
    UINT8,
    INT8,
    scheme(QuantizedType::UInt16, false),
    scheme(QuantizedType::Int8, false),
    scheme(QuantizedType::UInt8, true),
];

const fn scheme(ty: QuantizedType, symmetric: bool) -> Scheme {
    Scheme { ty, symmetric, scale: ScaleType::Float(crate::numeric::FloatType::F32) }
}

fn text(ranges: &Ranges, format: RangeFormat, scheme: Scheme) -> String {
    to_text(ranges, format, CalibrationMethod::MinMax, scheme).expect("the format can hold it")
}

fn parsed(text: &str) -> Ranges {
    parse(text.as_bytes()).expect("well-formed")
}

fn refused(text: &str) -> String {
    parse(text.as_bytes()).expect_err(text).to_string()
}

fn range(ranges: &Ranges, name: &str, scheme: Scheme) -> (f32, f32) {
    let range = ranges.values[name].range(CalibrationMethod::MinMax, scheme).expect("a range");
    (range.min, range.max)
}

fn one(name: &str, min: f32, max: f32) -> Ranges {
    Ranges { values: [(name.to_owned(), Statistics::of_range(Range { min, max }))].into() }
}

fn example() -> Ranges {
    let mut observed = Statistics::new(Collect { histogram: true });
    observed.observe(&[-0.5, 0.0, 2.0]);
    observed.observe(&[0.0, f32::NAN, 0.1]);
    let mut ranges = one("a\"b: c", 0.0, 6.0);
    ranges.values.insert("conv/out".to_owned(), observed);
    ranges.values.insert("never".to_owned(), Statistics::new(Collect { histogram: false }));
    ranges
}

/// Statistics as they come: of any floats, or of none.
fn arb_ranges() -> impl Strategy<Value = Ranges> {
    let sample = prop::collection::vec(any::<f32>(), 0..20);
    let observed = (prop::collection::vec(sample, 0..4), any::<bool>()).prop_map(|(samples, histogram)| {
        let mut statistics = Statistics::new(Collect { histogram });
        samples.iter().for_each(|sample| statistics.observe(sample));
        statistics
    });
    let given =
        (any::<f32>(), any::<f32>()).prop_map(|(a, b)| Statistics::of_range(Range { min: a.min(b), max: a.max(b) }));
    prop::collection::btree_map("\\PC{0,8}", prop_oneof![3 => observed, 1 => given], 0..5)
        .prop_map(|values| Ranges { values })
}

#[test]
fn our_own_format_is_readable_and_has_a_line_for_each_value() {
    let expected = concat!(
        "{\n",
        "  \"format\": \"onnx-quant ranges\",\n",
        "  \"version\": 1,\n",
        "  \"tool\": \"onnx-quant ",
        env!("CARGO_PKG_VERSION"),
        "\",\n",
        "  \"samples\": 2,\n",
        "  \"values\": {\n",
        "    \"a\\\"b: c\": {\"min\":0.0,\"max\":6.0,\"given\":true,\"runs\":0,\"elements\":0,\"nan\":0,\"infinite\":0},\n",
        "    \"conv/out\": {\"min\":-0.5,\"max\":2.0,\"runs\":2,\"elements\":6,\"nan\":1,\"infinite\":0,",
        "\"average\":{\"factor\":0.9801,",
        "\"min\":{\"first\":-0.5,\"offset\":-0.00495},\"max\":{\"first\":2.0,\"offset\":0.0208000000149011",
    );
    let written = text(&example(), RangeFormat::Json, UINT8);
    assert!(written.starts_with(expected), "{written}");
    assert!(written.contains("\"histogram\":[[-8064,1],[0,2],[7910,1],[8192,1]]"), "{written}");
    assert!(written.ends_with("}\n  }\n}\n"));
    assert_eq!(written.lines().count(), 11);
}

#[test]
fn what_onnxruntime_wrote_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/ranges");
    let cache = read(folder.join("onnxruntime_cache.json")).expect("onnxruntime wrote it");
    assert_eq!(cache.values.keys().collect::<Vec<_>>(), ["gemm_0", "gemm_1", "relu_0", "relu_1", "x", "y"]);
    assert_eq!(range(&cache, "gemm_1", UINT8), (-4.879_087_4, 3.818_472_6));
    assert_eq!(range(&cache, "relu_0", UINT8), (0.0, 3.374_737_3));
    let table = read(folder.join("onnxruntime_table.json")).expect("onnxruntime wrote it");
    assert_eq!(range(&table, "y", UINT8), (-3.640_668_2, 1.754_808_8));
    assert_eq!(range(&table, "relu_0", UINT8), (0.0, 3.373_089_6));
    let older = parsed(r#"{"a": [-1.5, 2], "b": [{"data": [-1, -3], "CLS": "numpy.array"}, {"data": [1, 2]}]}"#);
    assert_eq!((range(&older, "a", UINT8), range(&older, "b", UINT8)), ((-1.5, 2.0), (-3.0, 2.0)));
}

#[test]
fn onnxruntime_is_told_a_method_that_it_knows() {
    for (method, name) in
        [("minmax", "MinMax"), ("mse", "MinMax"), ("entropy", "Entropy"), ("percentile", "Percentile")]
    {
        let method = method.parse().expect("a method");
        let written = to_text(&example(), RangeFormat::Onnxruntime, method, UINT8).expect("all is there");
        assert!(written.contains(&format!("\"value\": \"CalibrationMethod.{name}\"")), "{written}");
    }
}

#[test]
fn tensorrt_caches_are_read_and_written() {
    let cache = "TRT-7103-EntropyCalibration\ninput: 3c010a14\nscope/x: 0: 3f800000\r\n\n(Unnamed Layer* 3) [Conv]_output: 00000000\n";
    let ranges = parsed(cache);
    let scale = f32::from_bits(0x3c01_0a14);
    assert_eq!(range(&ranges, "input", INT8), (-127.0 * scale, 127.0 * scale));
    assert_eq!(range(&ranges, "scope/x: 0", INT8), (-127.0, 127.0));
    assert_eq!(range(&ranges, "(Unnamed Layer* 3) [Conv]_output", INT8), (0.0, 0.0));
    let written = text(&one("scope/x: 0", -1.0, 127.0), RangeFormat::Tensorrt, UINT8);
    assert_eq!(written, "TRT-8601-EntropyCalibration2\nscope/x: 0: 3f800000\n");
    assert!(to_text(&one("a\nb", 0.0, 1.0), RangeFormat::Tensorrt, CalibrationMethod::MinMax, INT8).is_err());
}

#[test]
fn every_version_of_aimets_encodings_is_read() {
    let oldest = r#"{"version": "0.6.1", "param_encodings": {"w": [{"min": -9, "max": 9}]}, "activation_encodings": {
        "a": [{"bitwidth": 8, "dtype": "int", "is_symmetric": "False", "max": 2.0, "min": -0.55, "offset": -55, "scale": 0.01}],
        "s": [{"bitwidth": 8, "dtype": "int", "is_symmetric": "True", "max": 1.27, "min": -1.28, "offset": -128, "scale": 0.01}],
        "f": [{"bitwidth": 16, "dtype": "float"}]}}"#;
    let newer = r#"{"version": "1.0.0", "param_encodings": [], "activation_encodings": [
        {"name": "a", "dtype": "INT", "enc_type": "PER_TENSOR", "bw": 8, "is_sym": false, "scale": [0.01], "offset": [-55]},
        {"name": "s", "dtype": "INT", "enc_type": "PER_TENSOR", "bw": 8, "is_sym": true, "scale": [0.01], "offset": [-128]},
        {"name": "f", "dtype": "FLOAT", "enc_type": "PER_TENSOR", "bw": 16}]}"#;
    let newest = r#"{"version": "2.1.0", "encodings": [
        {"name": "a", "y_scale": 0.01, "y_zero_point": 55, "output_dtype": "uint8"},
        {"name": "s", "y_scale": 0.01, "output_dtype": "int8"},
        {"name": "f", "y_scale": 0.01, "output_dtype": "float8e4m3fn"},
        {"name": "w", "y_scale": {"x": [[3]], "x_scale": 0.1}, "axis": 1, "block_size": 32, "output_dtype": "int4"}]}"#;
    for text in [oldest, newer, newest] {
        let ranges = parsed(text);
        assert_eq!(ranges.values.keys().collect::<Vec<_>>(), ["a", "s"], "{text}");
        assert_eq!((range(&ranges, "a", UINT8), range(&ranges, "s", INT8)), ((-0.55, 2.0), (-1.27, 1.27)), "{text}");
        let params = ranges.values["a"].range(CalibrationMethod::MinMax, UINT8).map(|range| UINT8.parameters(range));
        assert_eq!(params.map(|params| (params.scale, params.zero_point)), Some((0.01, 55)));
    }
    let channels = r#"{"activation_encodings": [{"name": "c", "bw": 4, "scale": [1, 2], "offset": [-8, 0]}]}"#;
    assert_eq!(range(&parsed(channels), "c", UINT8), (-8.0, 30.0));
}

#[test]
fn aimets_offset_is_the_negative_of_an_unsigned_zero_point() {
    for scheme in [UINT8, scheme(QuantizedType::Int8, false)] {
        let json: serde_json::Value =
            serde_json::from_str(&text(&one("a", -0.51, 2.04), RangeFormat::Aimet, scheme)).expect("JSON");
        let encoding = &json["activation_encodings"][0];
        assert_eq!((encoding["offset"][0].as_i64(), encoding["bw"].as_u64()), (Some(-51), Some(8)));
        assert_eq!(encoding["is_sym"], false);
    }
}

#[test]
fn malformed_files_say_what_is_wrong() {
    let own = text(&example(), RangeFormat::Json, UINT8);
    let broken = |from: &str, to: &str| {
        assert!(own.contains(from), "{from}");
        refused(&own.replace(from, to))
    };
    let cases = [
        (refused(""), "neither"),
        (refused("name: 3c010a14"), "neither"),
        (refused("{}"), "is it the right file?"),
        (refused("[1, 2]"), "is it the right file?"),
        (broken("\"version\": 1", "\"version\": 2"), "version 2"),
        (broken("\"version\": 1", "\"version\": \"1\""), "line 3"),
        (broken("\"max\":2.0", "\"max\":-2.0"), "'conv/out'"),
        (broken("\"max\":2.0,\"runs", "\"runs"), "in this order"),
        (broken("\"max\":2.0,\"runs", "\"max\":3.0,\"runs"), "does not fit"),
        (broken("\"elements\":6", "\"elements\":7"), "does not fit"),
        (broken("\"nan\":1", "\"nan\":7"), "more elements"),
        (broken("\"nan\":1", "\"none\":1"), "unknown field `none`"),
        (broken("[0,2]", "[0,0]"), "not in order"),
        (broken("[0,2]", "[-9000,2]"), "not in order"),
        (broken("[0,2]", "[0,-2]"), "line 8"),
        (broken("0.9801", "1.5"), "average"),
        (refused("TRT-1-X\na 3c010a14"), "line 2"),
        (refused("TRT-1-X\na: 3c010a14\nb: xyz"), "line 3"),
        (refused("TRT-1-X\na: 7fc00000"), "NaN is no scale"),
        (refused("TRT-1-X\na: bf800000"), "-1 is no scale"),
        (refused("TRT-1-X\na: 3f800000\na: 3f800000"), "second time"),
        (refused(r#"{"CLS": "TensorsData"}"#), "without data"),
        (refused(r#"{"CLS": "TensorsData", "data": {"a": {"lowest": 1}}}"#), "'a'"),
        (refused(r#"{"CLS": "TensorsData", "data": {"a": {"lowest": 2, "highest": 1}}}"#), "in this order"),
        (refused(r#"{"a": {"CLS": "TensorData", "lowest": NaN, "highest": 1}}"#), "line 1"),
        (refused(r#"{"activation_encodings": 3}"#), "neither a list nor by name"),
        (refused(r#"{"activation_encodings": [{}]}"#), "without a name"),
        (refused(r#"{"activation_encodings": {"a": [{"bw": 8}]}}"#), "'a': no numbers as scale"),
        (refused(r#"{"encodings": [{"name": "a", "y_scale": 1, "output_dtype": "int99"}]}"#), "output_dtype"),
        (refused(r#"{"encodings": [{"name": "a", "y_scale": 1e300, "output_dtype": "int8"}]}"#), "not finite"),
    ];
    for (message, part) in cases {
        assert!(message.contains(part), "{message} / {part}");
    }
}

#[test]
fn files_are_named_in_errors_and_left_alone_when_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ranges.cache");
    write(&path, &example(), RangeFormat::Tensorrt, CalibrationMethod::MinMax, INT8).expect("written");
    let bare = Ranges {
        values: [("x".to_owned(), {
            let mut s = Statistics::new(Collect { histogram: false });
            s.observe(&[1.0]);
            s
        })]
        .into(),
    };
    let error = write(&path, &bare, RangeFormat::Aimet, CalibrationMethod::Mse, INT8).expect_err("no histogram");
    assert!(error.to_string().contains("ranges.cache") && error.to_string().contains("mse"), "{error}");
    assert_eq!(read(&path).expect("still there").values.len(), 2);
    std::fs::write(&path, "{").expect("written");
    assert!(read(&path).expect_err("no JSON").to_string().contains("ranges.cache"));
    assert!(read(folder.path().join("none")).expect_err("no file").to_string().contains("cannot be read"));
}

#[test]
fn formats_have_names() {
    for (name, format) in RangeFormat::NAMES {
        assert_eq!((name.parse::<RangeFormat>().expect("a name"), format.to_string()), (*format, (*name).to_owned()));
    }
    assert!("xml".parse::<RangeFormat>().is_err());
}

proptest! {
    #[test]
    fn our_own_format_loses_nothing(ranges in arb_ranges()) {
        let written = text(&ranges, RangeFormat::Json, UINT8);
        let read = parsed(&written);
        prop_assert_eq!(text(&read, RangeFormat::Json, UINT8), written);
        prop_assert_eq!(read, ranges);
    }

    #[test]
    fn foreign_formats_keep_ranges_as_well_as_they_can(
        min in -1e6..=0.0f32,
        max in 0.0..=1e6f32,
        scheme in prop::sample::select(&SCHEMES[..]),
    ) {
        prop_assume!(max - min > 1e-30);
        let ranges = one("x", min, max);
        let back = |format| range(&parsed(&text(&ranges, format, scheme)), "x", scheme);
        prop_assert_eq!(back(RangeFormat::Onnxruntime), (min, max));

        let reach = max.max(-min);
        let (low, high) = back(RangeFormat::Tensorrt);
        prop_assert!(low == -high && (high / reach - 1.0).abs() < 1e-6, "{low} {high}");

        let before = scheme.parameters(Range { min, max });
        let (low, high) = back(RangeFormat::Aimet);
        let slack = 0.501 * before.scale + 1e-6 * reach;
        if !scheme.symmetric {
            prop_assert!((low - min).abs() <= slack && (high - max).abs() <= slack, "{low} {high}");
        }
        let after = scheme.parameters(Range { min: low, max: high });
        prop_assert_eq!(after.zero_point, before.zero_point);
        prop_assert!((after.scale / before.scale - 1.0).abs() < 1e-6);
    }
}

#[test]
fn counts_that_cannot_be_are_refused() {
    let text = text(&example(), RangeFormat::Json, UINT8);
    let samples = "\"samples\": 2,";
    assert!(text.contains(samples), "{text}");
    for count in ["-1", "1.5", "0", "1", "3", "1000000000000000000", "1e999", "NaN", "null", "\"2\"", "[2]"] {
        let changed = text.replace(samples, &format!("\"samples\": {count},"));
        let taken = parse(changed.as_bytes()).is_ok();
        // What is not said cannot be wrong.
        assert_eq!(taken, count == "null", "{count}");
    }
    let runs = "\"runs\":2,\"elements\":6";
    assert!(text.contains(runs), "{text}");
    for changed in ["\"runs\":0,\"elements\":6", "\"runs\":-2,\"elements\":6", "\"runs\":2,\"elements\":5"] {
        refused(&text.replace(runs, changed).replace(samples, ""));
    }
    let power = "\"power\":{\"runs\":2";
    assert!(text.contains(power), "{text}");
    refused(&text.replace(power, "\"power\":{\"runs\":3"));
}

#[test]
fn a_git_lfs_pointer_is_called_by_its_name() {
    let said = refused("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4096\n");
    assert!(said.contains("is a Git LFS pointer"), "{said}");
}
