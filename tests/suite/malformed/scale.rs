//! Time grows with the size of a model, not with its square. Each of these models would take minutes
//! if anything looked through all of it for every part of it.

use std::time::{Duration, Instant};

use onnx_quant::{
    Config, Model, WeightForm, passes,
    proto::{ModelProto, NodeProto},
    quantize,
};
use prost::Message;

use crate::malformed::build::{
    call, function, graph, info, int, integers, ints, model, nested, node, value, weight, with,
};

/// A guard against hangs, not a measure: far above what is needed where several builds share two
/// processors. That work grows in proportion is for the benchmark of doubled sizes to show.
const LIMIT: Duration = Duration::from_secs(120);
/// Without optimization models are smaller, for the sake of those who wait for them.
const LARGE: usize = if cfg!(debug_assertions) { 10_000 } else { 100_000 };

fn assert_quick(what: &str, model: &ModelProto) {
    let bytes = model.encode_to_vec();
    let mut simplified = Model::from_bytes(bytes.clone()).expect("it is valid");
    let start = Instant::now();
    passes::run(&mut simplified, &passes::before_activations()).expect("it can be simplified");
    let took = start.elapsed();
    println!("{what}: simplify {took:.0?}");
    assert!(took < LIMIT, "{what}: simplifying took {took:?}");
    for weight_form in [WeightForm::Dq, WeightForm::Qdq] {
        let start = Instant::now();
        let mut model = Model::from_bytes(bytes.clone()).expect("it is valid");
        let loaded = start.elapsed();
        quantize(&mut model, &Config::default().with_weight_form(weight_form)).expect("it can be quantized");
        let quantized = start.elapsed();
        model.to_bytes();
        let written = start.elapsed();
        model.to_text();
        let printed = start.elapsed();
        model.verify().expect("it keeps the invariants");
        let took = start.elapsed();
        println!(
            "{what}, {weight_form}, {} bytes: load {loaded:.0?}, quantize {:.0?}, write {:.0?}, print {:.0?}, verify {:.0?}",
            bytes.len(),
            quantized - loaded,
            written - quantized,
            printed - written,
            took - printed
        );
        assert!(took < LIMIT, "{what}, {weight_form}: took {took:?}");
    }
}

fn name(prefix: &str, index: usize) -> String {
    format!("{prefix}{index}")
}

fn chain(op_type: &str, first: &str, prefix: &str, length: usize) -> Vec<NodeProto> {
    let source = |index| if index == 0 { first.to_owned() } else { name(prefix, index - 1) };
    (0..length).map(|index| node(op_type, &[&source(index)], &[&name(prefix, index)])).collect()
}

fn a_long_chain_of_nodes() {
    let mut nodes = chain("Relu", "x", "n", LARGE);
    nodes.push(node("MatMul", &[&name("n", LARGE - 1), "w"], &["y"]));
    assert_quick("chain", &model(graph(nodes, vec![weight("w", &[64, 64])])));
}

fn many_identities_and_constants() {
    let mut nodes = chain("Identity", "x", "n", LARGE);
    nodes.push(node("MatMul", &[&name("n", LARGE - 1), "w"], &["y"]));
    // Of one constant each, and in a chain.
    nodes.extend((0..LARGE).map(|index| node("Neg", &["c"], &[&name("m", index)])));
    nodes.extend((0..LARGE).map(|index| node("Add", &["x", &name("m", index)], &[&name("a", index)])));
    nodes.extend(chain("Neg", "c", "k", LARGE));
    nodes.push(node("Add", &["y", &name("k", LARGE - 1)], &["z"]));
    assert_quick("identities", &model(graph(nodes, vec![weight("w", &[64, 64]), weight("c", &[1])])));
}

fn a_long_chain_in_reverse() {
    let mut nodes = chain("Relu", "x", "n", LARGE);
    nodes.push(node("MatMul", &[&name("n", LARGE - 1), "w"], &["y"]));
    nodes.reverse();
    assert_quick("reversed chain", &model(graph(nodes, vec![weight("w", &[64, 64])])));
}

fn a_weight_behind_a_long_chain() {
    let mut nodes = chain("Identity", "w", "n", LARGE);
    nodes.push(node("MatMul", &["x", &name("n", LARGE - 1)], &["y"]));
    assert_quick("chain behind a weight", &model(graph(nodes, vec![weight("w", &[64, 64])])));
}

fn many_consumers_of_one_value() {
    let mut nodes: Vec<_> = (0..LARGE).map(|index| node("MatMul", &["x", "w"], &[&name("n", index)])).collect();
    nodes.push(node("Identity", &["n0"], &["y"]));
    assert_quick("consumers", &model(graph(nodes, vec![weight("w", &[64, 64])])));
}

fn many_consumers_that_disagree() {
    let transposed =
        |index| with(node("Gemm", &["x", "w"], &[&name("n", index)]), vec![int("transB", index as i64 % 2)]);
    let mut nodes: Vec<_> = (0..LARGE).map(transposed).collect();
    nodes.push(node("Identity", &["n0"], &["y"]));
    assert_quick("disagreeing consumers", &model(graph(nodes, vec![weight("w", &[64, 64])])));
}

fn many_other_nodes_before_many_consumers() {
    let mut nodes: Vec<_> = (0..LARGE / 2).map(|index| node("Relu", &["x"], &[&name("r", index)])).collect();
    nodes.extend((0..LARGE / 2).map(|index| node("MatMul", &["x", "w"], &[&name("n", index)])));
    nodes.push(node("Identity", &["n0"], &["y"]));
    assert_quick("late consumers", &model(graph(nodes, vec![weight("w", &[64, 64])])));
}

fn many_weights() {
    let mut nodes: Vec<_> =
        (0..LARGE / 5).map(|index| node("MatMul", &["x", &name("w", index)], &[&name("n", index)])).collect();
    nodes.push(node("Identity", &["n0"], &["y"]));
    let weights: Vec<_> = (0..LARGE / 5).map(|index| weight(&name("w", index), &[16, 16])).collect();
    let mut graph = graph(nodes, weights);
    assert_quick("weights", &model(graph.clone()));
    graph.input.extend((0..LARGE / 5).map(|index| info(&name("w", index))));
    assert_quick("weights that are inputs", &ModelProto { ir_version: Some(3), ..model(graph) });
}

fn many_constant_nodes() {
    let mut nodes = vec![node("Identity", &["x"], &["y"])];
    for index in 0..LARGE / 5 {
        let constant = vec![value("value", weight("", &[16, 16]))];
        nodes.push(with(node("Constant", &[], &[&name("w", index)]), constant));
        nodes.push(node("MatMul", &["x", &name("w", index)], &[&name("n", index)]));
    }
    assert_quick("constant nodes", &model(graph(nodes.clone(), vec![])));
    let all = function("all", &["x"], &["y"], nodes);
    let mut model = model(graph(vec![call("all", &["x"], &["y"])], vec![]));
    model.functions.push(all);
    assert_quick("constant nodes in a function", &model);
}

fn many_bodies_with_the_same_names() {
    let mut nodes = vec![node("Identity", &["x"], &["y"])];
    for index in 0..LARGE / 20 {
        let mut body = graph(vec![node("MatMul", &["x", "w"], &["y"])], vec![weight("w", &[16, 16])]);
        body.input.clear();
        let bodies = vec![nested("then_branch", body.clone()), nested("else_branch", body)];
        nodes.push(with(node("If", &["x"], &[&name("n", index)]), bodies));
    }
    let mut outer = graph(nodes, vec![]);
    outer.output = vec![info("n0")];
    outer.node.remove(0);
    assert_quick("bodies", &model(outer));
}

fn many_functions() {
    let names: Vec<_> = (0..LARGE / 10).map(|index| name("f", index)).collect();
    let mut nodes: Vec<_> = names.iter().map(|name| call(name, &["x", "w"], &[&format!("out_{name}")])).collect();
    nodes.push(node("Identity", &["x"], &["y"]));
    let mut model = model(graph(nodes, vec![weight("w", &[16, 16])]));
    let matmul = || vec![node("MatMul", &["x", "w"], &["y"])];
    model.functions = names.iter().map(|name| function(name, &["x", "w"], &["y"], matmul())).collect();
    assert_quick("functions", &model);
}

fn functions_called_exponentially_often() {
    let mut functions = vec![];
    for level in 0..40 {
        let next = name("f", level + 1);
        let nodes = vec![call(&next, &["x", "w"], &["a"]), call(&next, &["a", "w"], &["y"])];
        functions.push(function(&name("f", level), &["x", "w"], &["y"], nodes));
    }
    functions.push(function("f40", &["x", "w"], &["y"], vec![node("MatMul", &["x", "w"], &["y"])]));
    let calls = (0..1_000).map(|index| call("f0", &["x", &name("w", index)], &[&name("n", index)]));
    let nodes = calls.chain([node("Identity", &["n0"], &["y"])]).collect();
    let weights: Vec<_> = (0..1_000).map(|index| weight(&name("w", index), &[16, 16])).collect();
    let mut model = model(graph(nodes, weights));
    model.functions = functions;
    assert_quick("exponential calls", &model);
}

fn paths_that_double_at_every_node() {
    let step = |index| {
        let source = if index == 0 { "w".to_owned() } else { name("n", index - 1) };
        with(node("Concat", &[&source, &source], &[&name("n", index)]), vec![int("axis", 0)])
    };
    let mut nodes: Vec<_> = (0..1_000).map(step).collect();
    nodes.push(node("MatMul", &["x", "n999"], &["y"]));
    assert_quick("doubling paths", &model(graph(nodes, vec![weight("w", &[16, 16])])));
}

fn one_concat_of_many_constants() {
    let names: Vec<_> = (0..LARGE / 5).map(|index| name("w", index)).collect();
    let inputs: Vec<_> = names.iter().map(String::as_str).collect();
    let concat = with(node("Concat", &inputs, &["all"]), vec![int("axis", 0)]);
    let weights = names.iter().map(|name| weight(name, &[4, 4])).collect();
    let nodes = vec![concat, node("MatMul", &["x", "all"], &["y"])];
    assert_quick("wide Concat", &model(graph(nodes, weights)));
}

fn one_node_with_many_attributes() {
    let mut wide = node("Unknown", &["x"], &["y"]);
    wide.attribute = (0..LARGE / 2).map(|index| value(&name("a", index), weight("", &[1]))).collect();
    assert_quick("attributes", &model(graph(vec![wide], vec![])));
}

fn long_lists_where_axes_are_expected() {
    let long: Vec<i64> = (0..10 * LARGE as i64).collect();
    let mut nodes = vec![node("Identity", &["x"], &["y"])];
    for (index, (op_type, list)) in
        [("Transpose", "perm"), ("Squeeze", "axes"), ("Unsqueeze", "axes"), ("Flatten", "axis")].into_iter().enumerate()
    {
        let rearranged = name("n", index);
        nodes.push(with(node(op_type, &["w"], &[&rearranged]), vec![ints(list, &long)]));
        nodes.push(node("MatMul", &["x", &rearranged], &[&name("m", index)]));
    }
    nodes.push(node("Reshape", &["w", "long"], &["r"]));
    nodes.push(node("MatMul", &["x", "r"], &["mr"]));
    assert_quick("long lists", &model(graph(nodes, vec![weight("w", &[16, 16]), integers("long", &long)])));
}

fn tensors_of_a_million_dimensions() {
    let ones = vec![1; 10 * LARGE];
    let mut nodes = vec![node("Identity", &["x"], &["y"])];
    for (index, op_type) in ["Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity"].into_iter().enumerate() {
        nodes.push(node(op_type, &["w", "ones"], &[&name("n", index)]));
        nodes.push(node("MatMul", &["x", &name("n", index)], &[&name("m", index)]));
    }
    nodes.push(node("Reshape", &["w", "ones"], &["r"]));
    nodes.push(node("MatMul", &["x", "r"], &["mr"]));
    assert_quick("dimensions", &model(graph(nodes, vec![weight("w", &ones), integers("ones", &ones)])));
}

crate::tests![
    a_long_chain_of_nodes,
    many_identities_and_constants,
    a_long_chain_in_reverse,
    a_weight_behind_a_long_chain,
    many_consumers_of_one_value,
    many_consumers_that_disagree,
    many_other_nodes_before_many_consumers,
    many_weights,
    many_constant_nodes,
    many_bodies_with_the_same_names,
    many_functions,
    functions_called_exponentially_often,
    paths_that_double_at_every_node,
    one_concat_of_many_constants,
    one_node_with_many_attributes,
    long_lists_where_axes_are_expected,
    tensors_of_a_million_dimensions
];
