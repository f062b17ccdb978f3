//! What quantization changed in a model, taken away on both sides: what is left must be equal.
//!
//! Knows only the format. A node that was added is one that the float model does not have; integers
//! stand for the weight of their graph that is gone and after which they are named. Where a node was
//! rewritten for the sake of the integers, the rewriting is undone:
//!
//! - A Gather that picks from integers, with a DequantizeLinear behind it, is the Gather that made
//!   what the DequantizeLinear makes.
//! - A Gemm that lost its `transB`, and a DequantizeLinear in the place of a Transpose, read integers
//!   that are stored transposed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use onnx_quant::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

/// What was taken away.
#[derive(Debug, Default)]
pub struct Stripped {
    /// The weights that are gone, or behind which there is a QuantizeLinear.
    pub weights: Vec<String>,
    /// What is stored for weights that are gone, by the name of the integers.
    pub stored: BTreeMap<String, Stored>,
    /// DequantizeLinear nodes that were added.
    pub dequantizers: Vec<NodeProto>,
    /// Added constants by name.
    pub constants: BTreeMap<String, TensorProto>,
    /// Weights that left the main graph's inputs.
    pub inputs: Vec<String>,
    /// Weights behind which there is a pair, by what their QuantizeLinear makes.
    pairs: HashMap<String, String>,
    /// New values that are read in the place of weights: which, and from which integers.
    made: HashMap<String, Made>,
    /// What is wrong.
    pub(super) faults: Vec<String>,
}

/// The integers of a weight.
#[derive(Debug)]
pub struct Stored {
    /// The weight that they stand for.
    pub weight: String,
    /// Whether they are the weight's transpose.
    pub transposed: bool,
    /// The names of the scales and, if there are any, the zero points.
    pub parameters: Vec<String>,
    shape: Vec<i64>,
    dtype: i32,
    /// Doc string and metadata of the Constant node that held the weight.
    annotations: Option<NodeProto>,
    ways_to_read: BTreeSet<Way>,
    /// DequantizeLinear nodes that stand in front of readers.
    in_front: usize,
}

/// How a weight is read through a DequantizeLinear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    AsItIs,
    Transposed,
}

/// What a DequantizeLinear in front of readers makes.
#[derive(Debug, Default)]
struct Made {
    weight: String,
    stored: Option<String>,
    readers: Vec<(String, usize)>,
}

/// Takes the differences away; fails with a list of all that is more than quantization.
pub fn strip(float: &mut ModelProto, quantized: &mut ModelProto) -> Result<Stripped, String> {
    let mut stripped = Stripped::default();
    match (&mut float.graph, &mut quantized.graph) {
        (Some(float), Some(quantized)) => stripped.graphs(float, quantized),
        _ => stripped.faults.push("a graph is missing".to_owned()),
    }
    for (float, quantized) in float.functions.iter_mut().zip(&mut quantized.functions) {
        let place = format!("function {}", float.name());
        stripped.scope(&place, &mut float.node, &mut quantized.node, &mut Vec::new(), &mut Vec::new());
    }
    if !stripped.weights.is_empty() && float.ir_version() < 4 {
        // Only since then may an initializer not be an input; from then on, it says something to be one.
        float.ir_version = Some(4);
        let graph = float.graph.get_or_insert_default();
        let initializers: BTreeSet<&str> = graph.initializer.iter().map(|tensor| tensor.name()).collect();
        graph.input.retain(|input| !initializers.contains(input.name()));
    }
    stripped.check_readers();
    if stripped.faults.is_empty() { Ok(stripped) } else { Err(stripped.faults.join("\n")) }
}

impl Stripped {
    fn graphs(&mut self, float: &mut GraphProto, quantized: &mut GraphProto) {
        let place = format!("graph {}", float.name());
        let (before, after) = (&mut float.initializer, &mut quantized.initializer);
        self.scope(&place, &mut float.node, &mut quantized.node, before, after);
        let kept: BTreeSet<&str> = quantized.input.iter().map(|input| input.name()).collect();
        let lost = |name: &str| !kept.contains(name) && self.weights.iter().any(|weight| weight == name);
        let (gone, rest) = std::mem::take(&mut float.input).into_iter().partition(|input| lost(input.name()));
        float.input = rest;
        self.inputs
            .extend(Vec::into_iter(gone).map(|input: onnx_quant::proto::ValueInfoProto| input.name().to_owned()));
    }

    fn scope(
        &mut self,
        place: &str,
        float: &mut Vec<NodeProto>,
        quantized: &mut Vec<NodeProto>,
        before: &mut Vec<TensorProto>,
        after: &mut Vec<TensorProto>,
    ) {
        const ADDED: [&str; 5] = ["QuantizeLinear", "DequantizeLinear", "Constant", "Cast", "Gather"];
        let known: BTreeSet<(String, Vec<String>)> =
            float.iter().map(|node| (node.op_type().to_owned(), node.output.clone())).collect();
        let is_added = |node: &NodeProto| {
            ADDED.contains(&node.op_type()) && !known.contains(&(node.op_type().to_owned(), node.output.clone()))
        };
        let added: Vec<NodeProto> = quantized.iter().filter(|node| is_added(node)).cloned().collect();
        let names = self.constants(&added, before, after);
        self.take_weights(place, &names, float, quantized, before, after);
        let mut behind = BTreeSet::new();
        for node in added.iter().filter(|node| node.op_type() == "QuantizeLinear") {
            self.check_parameters(place, &node.input[1..]);
            let cast = added.iter().find(|cast| cast.op_type() == "Cast" && cast.output[0] == node.input[0]);
            let weight = cast.unwrap_or(node).input[0].clone();
            behind.insert(weight.clone());
            self.pairs.insert(node.output[0].clone(), weight);
        }
        self.weights.extend(behind);
        let mut picking = HashMap::new();
        for node in added.iter().filter(|node| node.op_type() == "DequantizeLinear") {
            self.dequantizers.push(node.clone());
            let cast = added.iter().find(|cast| cast.op_type() == "Cast" && cast.input[0] == node.output[0]);
            let place = format!("{place}: {}", node.name());
            if let Err(fault) = self.dequantizer(&place, node, cast, &added, float, &mut picking) {
                self.faults.push(format!("{place}: {fault}"));
            }
        }
        // Gathers that pick from integers stay, as they were; all else that was added goes.
        quantized.retain_mut(|node| match picking.remove(&node.output) {
            Some(gather) => {
                *node = gather;
                true
            }
            None => !is_added(node),
        });
        self.compare_nodes(place, float, quantized);
    }

    /// The constants that were added: initializers, or Constant nodes in functions.
    fn constants(
        &mut self,
        added: &[NodeProto],
        before: &[TensorProto],
        after: &mut Vec<TensorProto>,
    ) -> BTreeSet<String> {
        let known: BTreeSet<&str> = before.iter().map(|tensor| tensor.name()).collect();
        let (new, kept): (Vec<_>, _) =
            std::mem::take(after).into_iter().partition(|tensor| !known.contains(tensor.name()));
        *after = kept;
        let mut constants: BTreeMap<String, TensorProto> =
            new.into_iter().map(|tensor| (tensor.name().to_owned(), tensor)).collect();
        for node in added.iter().filter(|node| node.op_type() == "Constant") {
            let tensor = node.attribute[0].t.clone().unwrap_or_default();
            constants.insert(node.output[0].clone(), tensor);
        }
        let names = constants.keys().cloned().collect();
        self.constants.append(&mut constants);
        names
    }

    /// Takes the float weights away for which there are integers among the constants that were added.
    fn take_weights(
        &mut self,
        place: &str,
        added: &BTreeSet<String>,
        float: &mut Vec<NodeProto>,
        quantized: &[NodeProto],
        before: &mut Vec<TensorProto>,
        after: &[TensorProto],
    ) {
        let mut take = |tensor: &TensorProto, name: &str, node: Option<&NodeProto>| {
            let annotations = node.map(|node| NodeProto {
                doc_string: node.doc_string.clone(),
                metadata_props: node.metadata_props.clone(),
                ..NodeProto::default()
            });
            let integers: Vec<_> = added.iter().filter(|stored| stands_for(stored, name)).collect();
            for &stored in &integers {
                if self::annotations(tensor) != self::annotations(&self.constants[stored]) {
                    self.faults.push(format!("{place}: '{name}' lost its annotations"));
                }
                let weight = Stored {
                    weight: name.to_owned(),
                    transposed: false,
                    parameters: Vec::new(),
                    shape: tensor.dims.clone(),
                    dtype: tensor.data_type(),
                    annotations: annotations.clone(),
                    ways_to_read: BTreeSet::new(),
                    in_front: 0,
                };
                self.stored.insert(stored.clone(), weight);
            }
            if !integers.is_empty() {
                self.weights.push(name.to_owned());
            }
            !integers.is_empty()
        };
        let kept = |name: &str| after.iter().any(|tensor| tensor.name() == name);
        before.retain(|tensor| kept(tensor.name()) || !take(tensor, tensor.name(), None));
        let constants = quantized.iter().filter(|node| node.op_type() == "Constant");
        let kept: BTreeSet<&String> = constants.flat_map(|node| &node.output).collect();
        float.retain(|node| {
            let gone = node.op_type() == "Constant" && !kept.contains(&node.output[0]);
            !gone || !take(&constant_tensor(node), &node.output[0], Some(node))
        });
    }

    /// Undoes a DequantizeLinear, with the Cast behind it and what it changed around it.
    fn dequantizer(
        &mut self,
        place: &str,
        node: &NodeProto,
        cast: Option<&NodeProto>,
        added: &[NodeProto],
        float: &mut Vec<NodeProto>,
        picking: &mut HashMap<Vec<String>, NodeProto>,
    ) -> Result<(), String> {
        let output = cast.unwrap_or(node).output[0].clone();
        if let Some(weight) = self.pairs.get(&node.input[0]) {
            self.made.insert(output, Made { weight: weight.clone(), ..Made::default() });
            self.check_parameters(place, &node.input[1..]);
            return Ok(());
        }
        let gather_of = |name: &String| added.iter().find(|node| node.op_type() == "Gather" && node.output[0] == *name);
        let gather = gather_of(&node.input[0]);
        let integers = gather.map_or(&node.input[0], |gather| &gather.input[0]);
        let mut parameters = node.input[1..].to_vec();
        let blocks = int(node, "block_size").is_some();
        for parameter in parameters.iter_mut().filter(|_| gather.is_some() && blocks) {
            // Scales lie along what is picked: they are picked alike.
            let alike = |other: &&NodeProto, gather: &NodeProto| {
                other.input[1] == gather.input[1] && int(other, "axis") == Some(int(gather, "axis").unwrap_or(0))
            };
            let picked = gather_of(parameter).filter(|other| alike(other, gather.expect("it is there")));
            *parameter = picked.ok_or("scales are not picked as integers are")?.input[0].clone();
        }
        self.check_parameters(place, &parameters);
        let stored = self.stored.get_mut(integers).ok_or("reads nothing that stands for a weight")?;
        stored.parameters = parameters;
        let to = cast.and_then(|cast| int(cast, "to"));
        if to.is_some_and(|to| to != i64::from(stored.dtype)) {
            return Err("the Cast makes another type than the weight had".to_owned());
        }
        let said = |node: &NodeProto| (node.doc_string.clone(), node.metadata_props.clone());
        if let Some(gather) = gather {
            if int(node, "axis").is_some_and(|axis| axis >= 0) {
                return Err("behind a Gather an axis counts from the end".to_owned());
            }
            stored.ways_to_read.insert(Way::AsItIs);
            let mut restored = gather.clone();
            restored.input[0].clone_from(&stored.weight);
            restored.output[0] = output;
            picking.insert(gather.output.clone(), restored);
        } else if let Some(index) =
            float.iter().position(|node| node.op_type() == "Transpose" && node.output[0] == output)
        {
            let transpose = float.remove(index);
            if transpose.input[0] != stored.weight || said(&transpose) != said(node) || stored.shape.len() != 2 {
                return Err(format!("does not stand for {transpose:?}"));
            }
            let perm = transpose.attribute.iter().find(|attribute| attribute.name() == "perm");
            if perm.is_some_and(|perm| perm.ints != [1, 0]) {
                return Err(format!("{transpose:?} transposes nothing"));
            }
            stored.ways_to_read.insert(Way::Transposed);
            return Ok(());
        } else {
            stored.in_front += 1;
            let made = Made { weight: stored.weight.clone(), stored: Some(integers.clone()), readers: Vec::new() };
            self.made.insert(output, made);
        }
        if stored.annotations.as_ref().is_some_and(|constant| said(constant) != said(node)) {
            return Err(format!("Constant '{}' lost its annotations", stored.weight));
        }
        Ok(())
    }

    fn check_parameters(&mut self, place: &str, names: &[String]) {
        let known = names.iter().filter(|name| !self.constants.contains_key(*name));
        self.faults.extend(known.map(|name| format!("{place}: '{name}' was there before it was added")));
    }

    /// Compares the nodes that are left, in their order.
    fn compare_nodes(&mut self, place: &str, float: &mut [NodeProto], quantized: &mut [NodeProto]) {
        if float.len() != quantized.len() {
            self.faults.push(format!("{place}: {} nodes, {} without those added", float.len(), quantized.len()));
            return;
        }
        for (before, after) in float.iter_mut().zip(quantized) {
            self.restore_inputs(before, after);
            let bodies =
                |node: &mut NodeProto| -> Vec<GraphProto> { node.attribute.iter_mut().flat_map(take_bodies).collect() };
            let (mut inner, mut inner_quantized) = (bodies(before), bodies(after));
            for (before, after) in inner.iter_mut().zip(&mut inner_quantized) {
                self.graphs(before, after);
                if before != after {
                    self.faults.push(format!("{place}: a body differs: {}", before.name()));
                }
            }
            if before != after || inner.len() != inner_quantized.len() {
                self.faults.push(format!("{place}: {before:?}\nbecame {after:?}"));
            }
        }
    }

    /// What a DequantizeLinear makes is read in the place of its weight; where it makes the transpose
    /// of that, a Gemm lost its `transB`.
    fn restore_inputs(&mut self, before: &mut NodeProto, after: &mut NodeProto) {
        let is_trans_b = |attribute: &AttributeProto| attribute.name() == "transB";
        for slot in 0..after.input.len() {
            let Some(made) = self.made.get_mut(&after.input[slot]) else { continue };
            made.readers.push((after.op_type().to_owned(), slot));
            after.input[slot].clone_from(&made.weight);
            let Some(stored) = made.stored.as_ref().and_then(|stored| self.stored.get_mut(stored)) else { continue };
            let gemm = after.op_type() == "Gemm" && slot == 1 && !after.attribute.iter().any(is_trans_b);
            let lost = before.attribute.iter().position(is_trans_b).filter(|_| gemm);
            let way = match lost.map(|index| before.attribute.remove(index).i()) {
                Some(1) => Way::Transposed,
                _ => Way::AsItIs,
            };
            stored.ways_to_read.insert(way);
        }
    }

    /// All readers of some integers read the same matrix, and there is more than one DequantizeLinear
    /// in front of readers only where each has one product for itself.
    fn check_readers(&mut self) {
        let ways = [Way::AsItIs, Way::Transposed];
        for (name, stored) in &mut self.stored {
            // What nothing reads is a graph output.
            stored.transposed = stored.ways_to_read.contains(&ways[1]);
            let mut shape = stored.shape.clone();
            if stored.transposed {
                shape.reverse();
            }
            if stored.ways_to_read.len() > 1 || shape != self.constants[name].dims || stored.parameters.is_empty() {
                self.faults.push(format!("'{name}' is read wrongly: {stored:?}"));
            }
        }
        for (value, made) in &self.made {
            let several = made.stored.as_ref().is_some_and(|stored| self.stored[stored].in_front > 1);
            let product = |(op_type, slot): &(String, usize)| *slot == 1 && matches!(&**op_type, "MatMul" | "Gemm");
            if several && !(made.readers.len() == 1 && made.readers.iter().all(product)) {
                self.faults.push(format!("'{value}' is one of several and read by {:?}", made.readers));
            }
        }
    }
}

/// Integers are named `<weight>_quantized`, with a number behind where that is taken.
fn stands_for(stored: &str, weight: &str) -> bool {
    stored
        .strip_prefix(weight)
        .and_then(|rest| rest.strip_prefix("_quantized"))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('_') && rest[1..].bytes().all(|b| b.is_ascii_digit()))
}

fn int(node: &NodeProto, name: &str) -> Option<i64> {
    node.attribute.iter().find(|attribute| attribute.name() == name).map(|attribute| attribute.i())
}

/// The tensor of a Constant node, also where it is a list of numbers.
fn constant_tensor(node: &NodeProto) -> TensorProto {
    let attribute = node.attribute.first().cloned().unwrap_or_default();
    let vector = || TensorProto {
        dims: vec![attribute.floats.len() as i64],
        data_type: Some(onnx_quant::proto::tensor_proto::DataType::Float as i32),
        ..TensorProto::default()
    };
    attribute.t.clone().unwrap_or_else(vector)
}

fn take_bodies(attribute: &mut AttributeProto) -> Vec<GraphProto> {
    attribute.g.take().into_iter().chain(std::mem::take(&mut attribute.graphs)).collect()
}

/// All of a tensor but its name, type, shape and elements.
fn annotations(tensor: &TensorProto) -> TensorProto {
    TensorProto {
        doc_string: tensor.doc_string.clone(),
        metadata_props: tensor.metadata_props.clone(),
        segment: tensor.segment,
        ..TensorProto::default()
    }
}
