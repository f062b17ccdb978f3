//! Nodes that do not fit what they read, names that are there twice or collide with ours.

use std::collections::HashSet;

use onnx_quant::proto::{GraphProto, ModelProto, NodeProto};
use prost::Message;

use crate::{
    malformed::attempt::{WAYS, named, quantized_proto, refusal, with_any},
    malformed::build::{
        body, call, function, graph, info, int, integers, ints, model, nested, node, opset, value, weight, with,
    },
};

const EXTREMES: [i64; 10] = [0, 1, -1, 2, -2, 3, 100, i64::MAX, i64::MIN, i64::MIN + 1];

fn assert_no_panic(what: &str, model: &ModelProto) {
    let bytes = model.encode_to_vec();
    (0..WAYS).for_each(|which| named(what, || with_any(&bytes, which)));
}

/// The same in one of the ways, for tests of thousands of models.
fn assert_no_panic_in_one_way(index: usize, what: &str, model: &ModelProto) {
    named(what, || with_any(&model.encode_to_vec(), index));
}

fn a_missing_input_is_an_error_that_names_node_and_input() {
    let mut product = node("MatMul", &["x", "gone"], &["y"]);
    product.name = Some("product".to_owned());
    assert_eq!(
        refusal(&model(graph(vec![product], vec![]))),
        "MatMul 'product': input 1 'gone' is defined nowhere: no input, initializer or output of another node has that name"
    );
}

fn names_that_are_defined_twice_are_an_error() {
    let product = || node("MatMul", &["x", "w"], &["y"]);
    let twice = [
        graph(vec![product(), product()], vec![weight("w", &[4, 4])]),
        graph(vec![product()], vec![weight("w", &[4, 4]), weight("w", &[4, 4])]),
        graph(vec![product()], vec![weight("w", &[4, 4]), weight("y", &[4, 4])]),
        GraphProto { input: vec![info("x"), info("x")], ..graph(vec![product()], vec![weight("w", &[4, 4])]) },
        graph(vec![node("Split", &["x"], &["y", "y"])], vec![]),
        graph(vec![node("Relu", &["x"], &["x"]), node("Relu", &["x"], &["y"])], vec![]),
    ];
    for graph in twice {
        let error = refusal(&model(graph));
        assert!(error.ends_with("is defined twice"), "{error}");
    }
    let repeated = with(node("Gemm", &["x", "w"], &["y"]), vec![int("transB", 0), int("transB", 1)]);
    let error = refusal(&model(graph(vec![repeated], vec![weight("w", &[4, 4])])));
    assert_eq!(error, "Gemm (unnamed): attribute 'transB' is there twice");
}

fn an_initializer_without_name_and_a_model_without_graph_are_errors() {
    let error = refusal(&model(graph(vec![node("Relu", &["x"], &["y"])], vec![weight("", &[1])])));
    assert_eq!(error, "an input or initializer has no name");
    let without = ModelProto { ir_version: Some(8), ..ModelProto::default() };
    assert_eq!(refusal(&without), "the model has no graph");
    assert_eq!(refusal(&ModelProto::default()), "is empty");
}

/// Every operator that rearranges weights, with attributes and inputs of every kind behind it, and
/// every operator that takes weights behind that.
fn operators_that_do_not_fit_what_they_read_are_no_panic() {
    let lists: Vec<Vec<i64>> = EXTREMES
        .iter()
        .flat_map(|&number| [vec![number], vec![number, 0], vec![1, number, 1], vec![number; 5]])
        .chain([vec![], vec![0, 0], vec![1, 0], vec![0, 1, 2], vec![4096, 4096, -1], vec![i64::MAX, i64::MAX]])
        .collect();
    let mut rearranged = Vec::new();
    for op_type in ["Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Concat", "Cast", "Identity"] {
        for list in &lists {
            let number = list.first().copied().unwrap_or(0);
            let attributes = vec![ints("perm", list), ints("axes", list), int("axis", number), int("to", number)];
            rearranged.push((with(node(op_type, &["w"], &["r"]), attributes.clone()), list.clone()));
            rearranged.push((with(node(op_type, &["w", "list", "w", "list"], &["r", "s"]), attributes), list.clone()));
            rearranged.push((node(op_type, &["w", "list"], &["r"]), list.clone()));
            rearranged.push((with(node(op_type, &["w", "list"], &["r"]), vec![int("allowzero", 1)]), list.clone()));
        }
        for inputs in [&[][..], &["", "w"], &["list", "w"], &["w", ""]] {
            rearranged.push((node(op_type, inputs, &["r"]), vec![2, 2]));
        }
    }
    for (index, (rearranging, list)) in rearranged.into_iter().enumerate() {
        let shape: &[i64] = [&[8, 4][..], &[32], &[], &[2, 4, 4], &[1, 32, 1]][index % 5];
        let nodes = vec![
            rearranging.clone(),
            node("MatMul", &["x", "r"], &["y"]),
            with(node("Gemm", &["r", "w"], &["z"]), vec![int("transB", 1), int("transA", i64::MIN)]),
            with(node("Gather", &["r", "x"], &["g"]), vec![int("axis", EXTREMES[index % EXTREMES.len()])]),
            node("Conv", &["x", "r"], &["c"]),
        ];
        let model = model(graph(nodes, vec![weight("w", shape), integers("list", &list)]));
        assert_no_panic_in_one_way(index / 5, &format!("{rearranging:?} of {list:?}"), &model);
    }
}

fn operators_with_too_few_or_too_many_inputs_and_outputs_are_no_panic() {
    let inputs: [&[&str]; 9] = [
        &[],
        &["w"],
        &["", "w"],
        &["w", ""],
        &["w", "w"],
        &["x", "w"],
        &["w", "x"],
        &["w", "x", "w", "w", "w", "w", "w"],
        &["", "", "", "", "", "w"],
    ];
    let outputs: [&[&str]; 4] = [&[], &["y"], &["", "y"], &["y", "z"]];
    for op_type in ["Gather", "Gemm", "MatMul", "Conv", "ConvTranspose", "LSTM", "Transpose", "Identity", "Constant"] {
        for inputs in inputs {
            for outputs in outputs {
                for (which, axis) in [0, 1, -1, i64::MAX, 0, i64::MIN].into_iter().enumerate() {
                    let attributes = vec![int("axis", axis), int("transB", 1), ints("perm", &[1, 0])];
                    let mut graph = graph(
                        vec![with(node(op_type, inputs, outputs), attributes), node("Relu", &["w"], &["r"])],
                        vec![weight("w", &[16, 16])],
                    );
                    graph.output = vec![info("r")];
                    let gathers = graph.node.len();
                    assert_no_panic_in_one_way(
                        which,
                        &format!("{op_type} {inputs:?} {outputs:?}"),
                        &model(graph.clone()),
                    );
                    // The operator alone, as the only reader.
                    graph.node.truncate(gathers - 1);
                    graph.output = vec![info("x")];
                    assert_no_panic_in_one_way(
                        which,
                        &format!("{op_type} {inputs:?} {outputs:?} alone"),
                        &model(graph),
                    );
                }
            }
        }
    }
}

fn opsets_that_do_not_exist_are_no_panic_and_no_hang() {
    for version in EXTREMES {
        for opset_import in [vec![], vec![opset(version)], vec![opset(version), opset(21)]] {
            let product = graph(vec![node("MatMul", &["x", "w"], &["y"])], vec![weight("w", &[32, 32])]);
            assert_no_panic("opset", &ModelProto { opset_import: opset_import.clone(), ..model(product) });
            let mut calls = model(graph(vec![call("f", &["x"], &["y"])], vec![]));
            calls.opset_import = opset_import.clone();
            assert_no_panic("opset that no operator follows", &calls);
            let mut f = function("f", &["x"], &["y"], vec![node("Relu", &["x"], &["y"])]);
            f.opset_import = opset_import;
            calls.functions.push(f);
            assert_no_panic("opset of a function", &calls);
        }
    }
    // What an older opset lacks is no reason to refuse a model that can be raised.
    let old = ModelProto {
        opset_import: vec![opset(9)],
        ..model(graph(vec![node("MatMul", &["x", "w"], &["y"])], vec![weight("w", &[32, 32])]))
    };
    let raised = quantized_proto(&old).expect("it can be raised");
    assert_eq!(raised.opset_import, [opset(13)]);
}

fn names(graph: &GraphProto) -> Vec<String> {
    let nodes = graph.node.iter().flat_map(|node| node.output.iter().cloned());
    let inside = graph.node.iter().flat_map(|node| &node.attribute).filter_map(|attribute| attribute.g.as_ref());
    let initializers = graph.initializer.iter().map(|tensor| tensor.name().to_owned());
    nodes.chain(initializers).chain(inside.flat_map(names)).collect()
}

fn names_that_collide_with_ours_stay_and_ours_give_way() {
    let taken = ["w_quantized", "w_scale", "w_zero_point", "w_dequantized", "w_DequantizeLinear", "w_quantized_1"];
    let named = |index: usize, node: NodeProto| NodeProto { name: Some(taken[index].to_owned()), ..node };
    let inside: Vec<_> = (0..taken.len()).map(|index| named(index, node("Relu", &["x"], &[taken[index]]))).collect();
    let inside = |last: &str| {
        let mut body = body(inside.clone(), &["out"]);
        body.node.push(node("MatMul", &["x", "w"], &["product"]));
        body.node.push(node("Add", &["product", last], &["out"]));
        body.initializer.push(weight("w", &[32, 32]));
        body
    };
    let branches = vec![nested("then_branch", inside("w_scale")), nested("else_branch", inside("w_zero_point"))];
    let nodes = vec![with(named(4, node("If", &["x"], &["a"])), branches), node("MatMul", &["a", "w"], &["y"])];
    let mut graph = graph(nodes, vec![weight("w", &[32, 32])]);
    // Types stated for values that are not there would become those of new ones.
    graph.value_info = vec![info("w_scale_1"), info("w_quantized_2")];
    let quantized = quantized_proto(&model(graph)).expect("it is valid").graph.expect("it has a graph");
    let mut seen = HashSet::new();
    let repeated: Vec<_> = names(&quantized).into_iter().filter(|name| !seen.insert(name.clone())).collect();
    // Only what the two bodies had in common before.
    let own = ["w", "product", "out"];
    assert!(repeated.iter().all(|name| own.contains(&name.as_str()) || taken.contains(&name.as_str())), "{repeated:?}");
    assert!(!seen.contains("w_scale_1") && !seen.contains("w_quantized_2"), "{seen:?}");
    assert!(seen.contains("w_scale_2"), "{seen:?}");
}

fn names_that_would_steer_a_terminal_are_spelled_out_in_errors() {
    let mut product = node("MatMul", &["x", "\u{1b}[2J\r\ngone"], &["y"]);
    product.name = Some("\u{7}product\u{9b}31m".to_owned());
    let error = refusal(&model(graph(vec![product], vec![])));
    assert!(!error.contains(char::is_control), "{error:?}");
    assert!(error.contains(r"\u{1b}[2J\r\ngone"), "{error}");
}

fn names_of_a_megabyte_are_no_errors_of_a_megabyte() {
    let mut product = node("MatMul", &["x", &"y".repeat(1 << 20)], &["y"]);
    product.name = Some("n".repeat(1 << 20));
    let error = refusal(&model(graph(vec![product], vec![])));
    assert!(error.contains("[...]"), "{error}");
}

fn one_node_may_take_a_weight_in_every_input() {
    let transposing = with(node("Transpose", &["w", "w"], &["t"]), vec![ints("perm", &[1, 0])]);
    let constant = with(node("Constant", &[], &["c"]), vec![value("value", weight("", &[32, 32]))]);
    let nodes = vec![
        transposing,
        constant,
        node("MatMul", &["x", "t"], &["y"]),
        node("Gather", &["c", "c"], &["g"]),
        node("Gemm", &["w", "w", "w"], &["h"]),
    ];
    assert_no_panic("weights everywhere", &model(graph(nodes, vec![weight("w", &[32, 32])])));
}

/// What is done to one node of a chain.
type Change<'a> = &'a dyn Fn(usize, &mut Vec<NodeProto>);

/// Every operator that a pass rewrites or removes, as one of the default operator set never is: with a
/// graph that it has no use for, or with a second output that somebody reads.
fn operators_with_a_graph_or_an_output_too_many_are_no_panic() {
    let inner = || body(vec![node("MatMul", &["x", "w"], &["ia"]), node("Add", &["ia", "b"], &["ib"])], &["ib"]);
    let chain = || {
        vec![
            node("Identity", &["v"], &["v1"]),
            with(node("Cast", &["v1"], &["v2"]), vec![int("to", 1)]),
            with(node("Transpose", &["v2"], &["t"]), vec![ints("perm", &[1, 0])]),
            node("Dropout", &["x"], &["x1"]),
            with(node("Cast", &["x1"], &["x2"]), vec![int("to", 1)]),
            with(node("Cast", &["x1"], &["x3"]), vec![int("to", 1)]),
            node("MatMul", &["x2", "w"], &["p"]),
            node("Add", &["p", "b"], &["q"]),
            node("MatMul", &["q", "t"], &["r"]),
            node("Mul", &["r", "s"], &["m"]),
            node("Gemm", &["m", "w"], &["g"]),
            node("BatchNormalization", &["g", "b", "b", "b", "b"], &["n"]),
            node("Div", &["n", "s"], &["d"]),
            node("Shape", &["x3"], &["h"]),
            node("Sqrt", &["s"], &["k"]),
            node("Unsqueeze", &["u", "i"], &["l"]),
            node("Squeeze", &["l", "i"], &["o"]),
            node("Reshape", &["d", "h"], &["e"]),
            node("Sub", &["e", "k"], &["f"]),
            node("MatMul", &["f", "o"], &["y"]),
        ]
    };
    let constants = || {
        let matrices = ["w", "v", "u"].map(|name| weight(name, &[8, 8]));
        let vectors = [weight("b", &[8]), weight("s", &[1]), integers("i", &[0])];
        matrices.into_iter().chain(vectors).collect::<Vec<_>>()
    };
    let with_body = |at: usize, chain: &mut Vec<NodeProto>| chain[at].attribute.push(nested("body", inner()));
    let with_output = |at: usize, chain: &mut Vec<NodeProto>| {
        chain[at].output.push("second".to_owned());
        chain.push(node("Relu", &["second"], &["unused"]));
    };
    // The second is what the next one reads.
    let shifted = |at: usize, chain: &mut Vec<NodeProto>| chain[at].output.insert(0, "first".to_owned());
    for at in 0..chain().len() {
        let kinds: [(&str, Change); 3] =
            [("a body", &with_body), ("a second output", &with_output), ("another first output", &shifted)];
        for (what, change) in kinds {
            let mut nodes = chain();
            change(at, &mut nodes);
            let what = format!("{} with {what}", nodes[at].op_type());
            for opset in [13, 17, 21] {
                let mut model = model(graph(nodes.clone(), constants()));
                model.opset_import[0].version = Some(opset);
                assert_no_panic(&what, &model);
            }
        }
    }
}

crate::tests![
    a_missing_input_is_an_error_that_names_node_and_input,
    names_that_are_defined_twice_are_an_error,
    an_initializer_without_name_and_a_model_without_graph_are_errors,
    operators_that_do_not_fit_what_they_read_are_no_panic,
    operators_with_too_few_or_too_many_inputs_and_outputs_are_no_panic,
    opsets_that_do_not_exist_are_no_panic_and_no_hang,
    names_that_collide_with_ours_stay_and_ours_give_way,
    names_that_would_steer_a_terminal_are_spelled_out_in_errors,
    names_of_a_megabyte_are_no_errors_of_a_megabyte,
    one_node_may_take_a_weight_in_every_input,
    operators_with_a_graph_or_an_output_too_many_are_no_panic
];
