//! A model that is well-formed protobuf, with nodes, names, attributes and tensors that make no sense, or
//! that come from other models.

use onnx_quant::{
    passes::UpgradeOpset,
    proto::{AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto, attribute_proto::AttributeType},
};
use prost::Message;

use super::{Random, tensors};

/// What models say of sizes, axes and counts, and what breaks those who believe it.
pub const NUMBERS: [i64; 18] =
    [0, 1, -1, 2, 3, 4, 5, -2, 7, 16, 63, 64, 1 << 20, i32::MAX as i64 + 1, i64::MAX, i64::MIN, i64::MIN + 1, 1 << 32];
const ATTRIBUTES: [&str; 29] = [
    "axis",
    "perm",
    "axes",
    "to",
    "transB",
    "transA",
    "value",
    "value_float",
    "value_ints",
    "allowzero",
    "pads",
    "strides",
    "dilations",
    "group",
    "kernel_shape",
    "auto_pad",
    "mode",
    "keepdims",
    "epsilon",
    "alpha",
    "beta",
    "broadcast",
    "is_test",
    "ratio",
    "scales",
    "body",
    "then_branch",
    "block_size",
    "noop_with_empty_axes",
];
const STRINGS: [&str; 8] = ["", "SAME_UPPER", "VALID", "linear", "constant", "asymmetric", "half_pixel", "ij,jk->ik"];

/// Changes a few things at random places, some to what one of the `others` has; `None` if the bytes are no
/// model.
pub fn change(bytes: &[u8], others: &[ModelProto], random: &mut Random) -> Option<Vec<u8>> {
    let mut model = ModelProto::decode(bytes).ok()?;
    for _ in 0..=random.below(4) {
        let names = names(&mut model);
        let mut change = Change { names: &names, other: (!others.is_empty()).then(|| random.pick(others)), random };
        match change.random.below(16) {
            0 => change.imports(&mut model),
            1..4 if !model.functions.is_empty() => {
                let at = change.random.below(model.functions.len());
                change.nodes(&mut model.functions[at].node);
            }
            _ => change.any_graph(&mut model),
        }
    }
    Some(model.encode_to_vec())
}

/// Every graph of a model, outer ones first.
pub fn visit_graphs(model: &mut ModelProto, visit: &mut dyn FnMut(&mut GraphProto)) {
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

fn names(model: &mut ModelProto) -> Vec<String> {
    let mut names = vec![String::new()];
    visit_graphs(model, &mut |graph| {
        names.extend(graph.node.iter().flat_map(|node| node.input.iter().chain(&node.output).cloned()));
        names.extend(graph.initializer.iter().map(|tensor| tensor.name().to_owned()));
        names.extend(graph.input.iter().map(|input| input.name().to_owned()));
    });
    names.extend(model.functions.iter().flat_map(|function| function.input.iter().chain(&function.output).cloned()));
    names
}

struct Change<'a> {
    /// Those that the model has, and the empty one.
    names: &'a [String],
    other: Option<&'a ModelProto>,
    random: &'a mut Random,
}

impl Change<'_> {
    fn imports(&mut self, model: &mut ModelProto) {
        let version = match self.random.below(4) {
            0 => *self.random.pick(&NUMBERS),
            _ => 1 + self.random.below(UpgradeOpset::NEWEST_OPSET as usize) as i64,
        };
        match self.random.below(4) {
            0 => model.ir_version = Some(self.random.below(15) as i64),
            1 if !model.opset_import.is_empty() => {
                let at = self.random.below(model.opset_import.len());
                model.opset_import[at].version = Some(version);
            }
            _ => model.opset_import.iter_mut().for_each(|import| import.version = Some(version)),
        }
    }

    fn any_graph(&mut self, model: &mut ModelProto) {
        let mut count = 0;
        visit_graphs(model, &mut |_| count += 1);
        let (chosen, mut index) = (self.random.below(count.max(1)), 0);
        visit_graphs(model, &mut |graph| {
            if index == chosen {
                self.graph(graph);
            }
            index += 1;
        });
    }

    fn graph(&mut self, graph: &mut GraphProto) {
        match self.random.below(16) {
            0 | 1 if !graph.initializer.is_empty() => {
                let at = self.random.below(graph.initializer.len());
                tensors::change(&mut graph.initializer[at], self.names, self.random);
            }
            2 if !graph.initializer.is_empty() => {
                drop(graph.initializer.remove(self.random.below(graph.initializer.len())));
            }
            3 => {
                let name = self.name();
                graph.initializer.push(tensors::any(&name, self.random));
            }
            4 if !graph.output.is_empty() => {
                let at = self.random.below(graph.output.len());
                graph.output[at].name = Some(self.name());
            }
            5 if !graph.input.is_empty() => {
                let at = self.random.below(graph.input.len());
                match self.random.below(3) {
                    0 => graph.input[at].name = Some(self.name()),
                    1 => graph.input[at].r#type = None,
                    _ => tensors::change_type(&mut graph.input[at], self.random),
                }
            }
            6 => graph.output.push(ValueInfoProto { name: Some(self.name()), ..ValueInfoProto::default() }),
            7 => {
                let from_other = self.other.and_then(|other| other.graph.as_ref());
                if let Some(other) = from_other {
                    graph.initializer.extend(other.initializer.iter().cloned());
                    graph.node.extend(other.node.iter().take(8).cloned());
                }
            }
            _ => self.nodes(&mut graph.node),
        }
    }

    fn nodes(&mut self, nodes: &mut Vec<NodeProto>) {
        match self.random.below(8) {
            0 => {
                let from_other =
                    self.other.and_then(|other| other.graph.as_ref()).filter(|graph| !graph.node.is_empty());
                let mut new = match from_other {
                    Some(graph) => self.random.pick(&graph.node).clone(),
                    None => NodeProto { op_type: Some(self.operator()), ..NodeProto::default() },
                };
                new.input.iter_mut().for_each(|input| *input = self.name());
                new.output.iter_mut().for_each(|output| *output = format!("{output}_{}", self.random.below(100)));
                nodes.insert(self.random.below(nodes.len() + 1), new);
            }
            1 if nodes.len() > 1 => {
                let (a, b) = (self.random.below(nodes.len()), self.random.below(nodes.len()));
                nodes.swap(a, b);
            }
            2 if !nodes.is_empty() => drop(nodes.remove(self.random.below(nodes.len()))),
            _ if !nodes.is_empty() => {
                let at = self.random.below(nodes.len());
                self.node(&mut nodes[at]);
            }
            _ => {}
        }
    }

    fn node(&mut self, node: &mut NodeProto) {
        match self.random.below(10) {
            0 => node.op_type = Some(self.operator()),
            1 => node.input.push(self.name()),
            2 => drop(node.input.pop()),
            3 => drop(node.output.pop()),
            4 => node.output.push(format!("{}_more", self.name())),
            5 | 6 if !node.attribute.is_empty() => {
                let at = self.random.below(node.attribute.len());
                self.attribute(&mut node.attribute[at]);
            }
            7 => node.attribute.push(self.new_attribute()),
            8 if !node.output.is_empty() => {
                let at = self.random.below(node.output.len());
                node.output[at] = self.name();
            }
            _ if !node.input.is_empty() => {
                let at = self.random.below(node.input.len());
                node.input[at] = self.name();
            }
            _ => {}
        }
    }

    fn attribute(&mut self, attribute: &mut AttributeProto) {
        match self.random.below(9) {
            0 => attribute.i = Some(*self.random.pick(&NUMBERS)),
            1 => attribute.ints.push(*self.random.pick(&NUMBERS)),
            2 if !attribute.ints.is_empty() => {
                let at = self.random.below(attribute.ints.len());
                attribute.ints[at] = *self.random.pick(&NUMBERS);
            }
            3 => attribute.name = Some((*self.random.pick(&ATTRIBUTES)).to_owned()),
            4 => attribute.ref_attr_name = Some(self.name()),
            5 => attribute.floats = vec![f32::NAN, f32::MAX, -0.0],
            6 => drop(attribute.g.take().or_else(|| attribute.graphs.pop())),
            7 => attribute.r#type = Some(self.random.below(15) as i32),
            _ => match &mut attribute.t {
                Some(tensor) => tensors::change(tensor, self.names, self.random),
                None => attribute.s = Some(self.random.pick(&STRINGS).as_bytes().into()),
            },
        }
    }

    fn new_attribute(&mut self) -> AttributeProto {
        let named = |ty: AttributeType, random: &mut Random| AttributeProto {
            name: Some((*random.pick(&ATTRIBUTES)).to_owned()),
            r#type: Some(ty as i32),
            ..AttributeProto::default()
        };
        match self.random.below(5) {
            0 => AttributeProto { i: Some(*self.random.pick(&NUMBERS)), ..named(AttributeType::Int, self.random) },
            1 => AttributeProto {
                ints: (0..self.random.below(5)).map(|_| *self.random.pick(&NUMBERS)).collect(),
                ..named(AttributeType::Ints, self.random)
            },
            2 => AttributeProto {
                s: Some(self.random.pick(&STRINGS).as_bytes().into()),
                ..named(AttributeType::String, self.random)
            },
            3 => AttributeProto { t: Some(tensors::any("", self.random)), ..named(AttributeType::Tensor, self.random) },
            _ => AttributeProto { f: Some(0.5), ..named(AttributeType::Float, self.random) },
        }
    }

    fn name(&mut self) -> String {
        self.random.pick(self.names).clone()
    }

    /// Any of the standard operators.
    fn operator(&mut self) -> String {
        let count = UpgradeOpset::known_versions().count();
        let (op_type, _) = UpgradeOpset::known_versions().nth(self.random.below(count)).expect("it is one of these");
        op_type.to_owned()
    }
}
