//! What is read, and what is said of what cannot be.

use crate::{Model, ParseOptions, RandomFill};

const HEADER: &str = "<ir_version: 10, opset_import: [\"\": 21]>\n";

/// The error of a text behind a header, in line 1.
fn error(text: &str) -> String {
    Model::from_text(&format!("<ir_version: 10>{text}")).expect_err(text).to_string()
}

/// Its line, column and message.
fn first_line(text: &str) -> String {
    error(text).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn an_error_shows_the_place() {
    let text = format!("{HEADER}m (float[N] x) => (y) {{\n\ty = Relu (x\n  z = Add (x, x)\n}}");
    let error = Model::from_text(&text).expect_err("a bracket is missing").to_string();
    assert_eq!(
        error,
        "line 4, column 3: expected the name of a value, ',' or ')', found 'z'\n  |   z = Add (x, x)\n  |   ^"
    );
    let error =
        Model::from_text(&format!("{HEADER}m (\"é\") => () {{\t\"é\" = }}")).expect_err("no operator").to_string();
    assert_eq!(
        error,
        "line 2, column 23: expected the type of an operator: an identifier, or a string in quotes, found '}'\n  \
         | m (\"é\") => () { \"é\" = }\n  |                       ^"
    );
}

#[test]
fn a_long_line_is_cut_and_controls_are_spelled_out() {
    let error = error(&format!("m () => () {{ \u{1b} {} }}", "a".repeat(5000)));
    assert!(error.len() < 500 && !error.contains('\u{1b}') && error.contains("..."), "{error}");
    assert_eq!(error.lines().count(), 3);
}

#[test]
fn errors_say_what_was_expected() {
    let cases = [
        ("", "column 17: expected the name of a graph"),
        ("m () => () {", "column 29: expected a node or '}', found the end of the text"),
        ("m () > () {}", "column 22: expected '=>', found '>'"),
        ("m (float[N x) => () {}", "column 28: expected ',' or ']', found 'x'"),
        ("m (\"x) => () {}", "column 20: the string that begins here has no closing quote"),
        ("m (seq(foo) x) => () {}", "column 24: expected a type: float, int64, seq(...) and the like, found 'foo'"),
        ("m () => () <x = {1}> {}", "column 29: an initializer needs its type before its name"),
        ("m () => () <float[N] x = {1}> {}", "column 29: a tensor with elements needs numbers for sizes"),
        ("m () => () <float[] x = {1}> {}", "column 29: a tensor with elements needs a shape"),
        ("m () => () <float[2] x = {1}> {}", "column 42: expected 2 elements, as the shape [2] has, found 1"),
        ("m () => () <int8 x = {128}> {}", "column 39: 128 is not of type int8"),
        ("m () => () <int8 x = {1.5}> {}", "column 39: 1.5 is not of type int8"),
        ("m () => () <uint4 x = {-1}> {}", "column 40: -1 is not of type uint4"),
        ("m () => () <float x = {1e60}> {}", "column 40: 1e60 is not a float"),
        ("m () => () <float16 x = {1.5}> {}", "column 42: 1.5 is not a bit pattern of type float16"),
        ("m () => () <float x = > {}", "column 39: expected the elements in '{' and '}'"),
        ("m () => () <int8[-1] x = {}> {}", "column 29: a tensor of this shape has more elements"),
        ("m () => () <int8[4294967296,4294967296] x = {}> {}", "column 29: a tensor of this shape has more elements"),
        ("m () => () <uint2[3] x = [\"bytes\": \"2\"]> {}", "column 42: bytes are two hexadecimal digits each"),
        ("m () => () {x = A <a = []> ()}", "column 40: an empty list needs its kind"),
        ("m () => () {x = A <a: int = []> ()}", "column 45: a list is no int"),
        ("m () => () {x = A <a = [1, 2.5]> ()}", "column 44: expected a value of kind int, found one of float"),
        ("m () => () {x = A <a: string = 1> ()}", "column 48: expected a value of kind string, found one of int"),
        ("m () => () {x = A <a: number = 1> ()}", "column 39: expected a kind of attribute"),
        ("m () => () {x = A <a = 99999999999999999999> ()}", "column 40: 99999999999999999999 is not an integer"),
        ("m () => () {x = A <a = \"2 bytes, sha256 b3d510ef04275ca8\"> ()}", "column 40: this stands for bytes"),
        ("m () => () {} <name: \"f\"> f () => () {}", "column 32: expected one of domain:, overload:"),
        ("m () => () {} f", "column 32: expected '(', found the end of the text"),
    ];
    for (text, expected) in cases {
        let found = first_line(text);
        assert!(found.starts_with(&format!("line 1, {expected}")), "{text}\n{found}");
    }
    let error = Model::from_text("<ir: 10> m () => () {}").expect_err("no such key").to_string();
    assert!(error.starts_with("line 1, column 2: expected one of ir_version:, opset_import:"), "{error}");
}

#[test]
fn what_is_not_utf8_is_refused_where_it_begins() {
    let error = Model::from_bytes(b"<ir_version: 8>\nm (\xff) => () {}".as_slice().into()).expect_err("no UTF-8");
    assert!(error.to_string().starts_with("line 2, column 4: what follows here is not UTF-8"), "{error}");
}

#[test]
fn nesting_is_bounded_and_what_is_read_can_be_written() {
    let graphs = |depth: usize| {
        let mut body = String::from("y = A ()");
        for _ in 0..depth {
            body = format!("y = If <g = g () => () <seq(seq(float[N])) v> {{ {body} }}> ()");
        }
        Model::from_text(&format!("{HEADER}m () => () {{ {body} }}"))
    };
    let types = |depth: usize| {
        let ty = format!("{}float[N]{}", "seq(".repeat(depth), ")".repeat(depth));
        Model::from_text(&format!("{HEADER}m ({ty} x) => (x) {{}}"))
    };
    for read in [&graphs as &dyn Fn(usize) -> crate::Result<Model>, &types] {
        let deepest = (0..100).take_while(|&depth| read(depth).is_ok()).last().expect("some nesting is read");
        assert!(deepest >= 25, "{deepest}");
        let bytes = read(deepest).expect("it was read").to_bytes();
        Model::from_bytes(bytes).expect("what is read can be written and read again");
        for depth in [deepest + 1, 20_000] {
            let error = read(depth).expect_err("too deep").to_string();
            assert!(error.contains("deeper in one another than a model can hold"), "{error}");
        }
    }
}

#[test]
fn tensors_without_elements_are_refused_by_name_or_filled() {
    let text = format!(
        "{HEADER}m () => () <float[3] w = [\"sha256\": \"00\"], float16[2] h = ..., int4[3] i4 = [\"sha256\": \"1\"],
         float8e4m3fn[9] f8 = ..., int64[2] axes = ..., bool[3] b = ..., string[1] s = ..., float[1] there = {{1}}>
         {{ x = A <t = int8[2] = [\"sha256\": \"2\"]> () }}"
    );
    let error = Model::from_text(&text).expect_err("elements are missing").to_string();
    assert!(error.contains("no elements of 'w', 'h', 'i4', 'f8', 'axes', 'b', 's', 'the tensor without"), "{error}");
    assert!(!error.contains("'there'") && error.contains("--fill random"), "{error}");

    let fill = |seed, max_bytes| ParseOptions { fill: Some(RandomFill { seed, max_bytes }) };
    let read = |options| Model::from_text_with(&text, &options);
    let model = read(fill(0, 1000)).expect("it is filled");
    assert_eq!(model.to_bytes(), read(fill(0, 1000)).expect("it is filled").to_bytes());
    assert_ne!(model.to_bytes(), read(fill(1, 1000)).expect("it is filled").to_bytes());
    let error = read(fill(0, 20)).expect_err("there is no room").to_string();
    assert!(error.contains("too much memory"), "{error}");

    let tensor = |name: &str| {
        let ids = model.scope(Model::MAIN).initializers();
        let mut tensors = ids.iter().filter_map(|&id| model.value(id).initializer());
        tensors.find(|tensor| tensor.name() == name).expect("it is there")
    };
    let floats = tensor("w").to_array::<f32>().expect("floats");
    assert!(floats.iter().all(|x| x.abs() <= 1.0) && floats[[0]] != floats[[1]], "{floats}");
    assert!(tensor("axes").to_array::<i64>().expect("integers").iter().all(|x| [0, 1].contains(x)));
    assert_eq!(tensor("i4").bytes().expect("bytes")[1] >> 4, 0, "the unused bits are zero");
}

#[test]
fn names_and_escapes_are_those_that_were_printed() {
    let text = format!("{HEADER}m (\"a\\u{{1b}}\\\\\\\"\") => () {{ \"\" = A <s = \"\\n\"> (float, , \"seq\",) }}");
    let error = Model::from_text(&text).expect_err("nobody makes float").to_string();
    assert!(error.contains("input 0 'float' is defined nowhere"), "{error}");
    let model = Model::from_text(&text.replace("float, ", "\"a\\u{1b}\\\\\\\"\", ").replace(", \"seq\"", ""));
    let printed = model.expect("it is a model").to_text();
    // As in the reference parser, a backslash before another letter is that letter.
    assert!(printed.contains("= A <s = \"n\"> (\"a\\u{1b}\\\\\\\"\", \"\")"), "{printed}");
}
