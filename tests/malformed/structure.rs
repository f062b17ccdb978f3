//! A model that is well-formed protobuf, with nodes, names, attributes and tensors that make no sense.

use onnx_quant::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};
use prost::Message;

use crate::random::Random;

const NUMBERS: [i64; 14] =
    [0, 1, -1, 2, 3, -2, 7, 63, 64, 1 << 20, i32::MAX as i64 + 1, i64::MAX, i64::MIN, i64::MIN + 1];
const OPERATORS: [&str; 16] = [
    "Constant",
    "Concat",
    "Gather",
    "Gemm",
    "MatMul",
    "Conv",
    "Transpose",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Slice",
    "Cast",
    "Identity",
    "QuantizeLinear",
    "If",
];
const ATTRIBUTES: [&str; 10] =
    ["axis", "perm", "axes", "to", "transB", "transA", "value", "value_float", "value_ints", "allowzero"];

/// Changes a few things at random places; `None` if the bytes are no model.
pub fn change(bytes: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut model = ModelProto::decode(bytes).ok()?;
    let mut names = Vec::new();
    visit_graphs(&mut model, &mut |graph| {
        names.extend(graph.node.iter().flat_map(|node| node.input.iter().chain(&node.output).cloned()));
        names.extend(graph.initializer.iter().map(|tensor| tensor.name().to_owned()));
    });
    names.extend(model.functions.iter().flat_map(|function| function.input.iter().chain(&function.output).cloned()));
    names.push(String::new());
    for _ in 0..=random.below(4) {
        let mut graphs = 0;
        visit_graphs(&mut model, &mut |_| graphs += 1);
        let (chosen, mut index) = (random.below(graphs.max(1)), 0);
        visit_graphs(&mut model, &mut |graph| {
            if index == chosen {
                change_graph(graph, &names, random);
            }
            index += 1;
        });
        if !model.functions.is_empty() && random.below(3) == 0 {
            let at = random.below(model.functions.len());
            let nodes = &mut model.functions[at].node;
            if !nodes.is_empty() {
                let node = random.below(nodes.len());
                change_node(&mut nodes[node], &names, random);
            }
        }
        if random.below(20) == 0 {
            model.opset_import.iter_mut().for_each(|import| import.version = Some(*random.pick(&NUMBERS)));
        }
    }
    Some(model.encode_to_vec())
}

fn visit_graphs(model: &mut ModelProto, visit: &mut dyn FnMut(&mut GraphProto)) {
    fn inside(nodes: &mut [NodeProto], visit: &mut dyn FnMut(&mut GraphProto)) {
        for attribute in nodes.iter_mut().flat_map(|node| &mut node.attribute) {
            for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                visit(graph);
                inside(&mut graph.node, visit);
            }
        }
    }
    if let Some(graph) = &mut model.graph {
        visit(graph);
        inside(&mut graph.node, visit);
    }
    for function in &mut model.functions {
        inside(&mut function.node, visit);
    }
}

fn change_graph(graph: &mut GraphProto, names: &[String], random: &mut Random) {
    match random.below(12) {
        0 if !graph.initializer.is_empty() => {
            let at = random.below(graph.initializer.len());
            change_tensor(&mut graph.initializer[at], names, random);
        }
        1 if !graph.initializer.is_empty() => drop(graph.initializer.remove(random.below(graph.initializer.len()))),
        2 if !graph.node.is_empty() => {
            let node = random.pick(&graph.node).clone();
            graph.node.push(node);
        }
        3 if graph.node.len() > 1 => {
            let (a, b) = (random.below(graph.node.len()), random.below(graph.node.len()));
            graph.node.swap(a, b);
        }
        4 if !graph.output.is_empty() => {
            let at = random.below(graph.output.len());
            graph.output[at].name = Some(random.pick(names).clone());
        }
        5 if !graph.input.is_empty() => {
            let at = random.below(graph.input.len());
            graph.input[at].name = Some(random.pick(names).clone());
        }
        _ if !graph.node.is_empty() => {
            let at = random.below(graph.node.len());
            change_node(&mut graph.node[at], names, random);
        }
        _ => {}
    }
}

fn change_node(node: &mut NodeProto, names: &[String], random: &mut Random) {
    match random.below(9) {
        0 => node.op_type = Some((*random.pick(&OPERATORS)).to_owned()),
        1 => node.input.push(random.pick(names).clone()),
        2 => drop(node.input.pop()),
        3 => drop(node.output.pop()),
        4 => node.output.push(format!("{}_more", random.pick(names))),
        5 if !node.attribute.is_empty() => {
            let at = random.below(node.attribute.len());
            change_attribute(&mut node.attribute[at], names, random);
        }
        6 => node.attribute.push(AttributeProto {
            name: Some((*random.pick(&ATTRIBUTES)).to_owned()),
            i: Some(*random.pick(&NUMBERS)),
            ints: (0..random.below(4)).map(|_| *random.pick(&NUMBERS)).collect(),
            ..AttributeProto::default()
        }),
        7 if !node.output.is_empty() => {
            let at = random.below(node.output.len());
            node.output[at] = random.pick(names).clone();
        }
        _ if !node.input.is_empty() => {
            let at = random.below(node.input.len());
            node.input[at] = random.pick(names).clone();
        }
        _ => {}
    }
}

fn change_attribute(attribute: &mut AttributeProto, names: &[String], random: &mut Random) {
    match random.below(7) {
        0 => attribute.i = Some(*random.pick(&NUMBERS)),
        1 => attribute.ints.push(*random.pick(&NUMBERS)),
        2 => attribute.name = Some((*random.pick(&ATTRIBUTES)).to_owned()),
        3 => attribute.ref_attr_name = Some(random.pick(names).clone()),
        4 => attribute.floats = vec![f32::NAN, f32::MAX, -0.0],
        5 => attribute.g = None,
        _ => {
            if let Some(tensor) = &mut attribute.t {
                change_tensor(tensor, names, random);
            }
        }
    }
}

fn change_tensor(tensor: &mut TensorProto, names: &[String], random: &mut Random) {
    match random.below(7) {
        0 => tensor.dims.push(*random.pick(&NUMBERS)),
        1 => tensor.dims.reverse(),
        // The same number of elements in other shapes.
        2 => tensor.dims = vec![tensor.dims.iter().fold(1, |product: i64, dim| product.wrapping_mul(*dim))],
        3 => tensor.dims.insert(random.below(tensor.dims.len() + 1), 1),
        4 => tensor.data_type = Some(random.below(31) as i32 - 1),
        5 => tensor.name = Some(random.pick(names).clone()),
        _ => tensor.raw_data = None,
    }
}
