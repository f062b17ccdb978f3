//! What quantization changed in a model, taken away on both sides: what is left must be equal.
//!
//! Knows only the format: an added QuantizeLinear, DequantizeLinear or Constant node is one that
//! the float model does not have, and what it replaces is found by name.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use onnx_quant::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto};

/// What was taken away.
#[derive(Debug, Default)]
pub struct Stripped {
    /// The weights that a DequantizeLinear makes now, or behind which there is a QuantizeLinear.
    pub weights: Vec<String>,
    /// DequantizeLinear nodes that were added.
    pub dequantizers: Vec<NodeProto>,
    /// Added constants by name.
    pub constants: BTreeMap<String, TensorProto>,
    /// Weights that left the main graph's inputs.
    pub inputs: Vec<String>,
    /// New values that are read in the place of others: which others.
    renamed: HashMap<String, String>,
    /// What is wrong.
    faults: Vec<String>,
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
    if !stripped.weights.is_empty() {
        let default = |import: &&mut OperatorSetIdProto| matches!(import.domain(), "" | "ai.onnx");
        let newest = float.opset_import.iter_mut().filter(default).map(|import| import.version()).max();
        float.opset_import.iter_mut().filter(default).for_each(|import| import.version = newest);
    }
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
        let known: BTreeSet<(String, Vec<String>)> =
            float.iter().map(|node| (node.op_type().to_owned(), node.output.clone())).collect();
        let is_added = |node: &NodeProto| {
            matches!(node.op_type(), "QuantizeLinear" | "DequantizeLinear" | "Constant")
                && !known.contains(&(node.op_type().to_owned(), node.output.clone()))
        };
        let (added, rest): (Vec<_>, Vec<_>) = std::mem::take(quantized).into_iter().partition(is_added);
        *quantized = rest;
        self.constants(&added, before, after);
        let mut replaced = self.pairs(place, &added);
        replaced.extend(self.shadows(&replaced, float, quantized, before, after));
        self.take_weights(place, &replaced, float, before);
        self.compare_nodes(place, float, quantized);
    }

    /// The constants that were added: initializers, or Constant nodes in functions.
    fn constants(&mut self, added: &[NodeProto], before: &[TensorProto], after: &mut Vec<TensorProto>) {
        let known: BTreeSet<&str> = before.iter().map(|tensor| tensor.name()).collect();
        let (new, kept) = std::mem::take(after).into_iter().partition(|tensor| !known.contains(tensor.name()));
        *after = kept;
        self.constants.extend(Vec::into_iter(new).map(|tensor: TensorProto| (tensor.name().to_owned(), tensor)));
        for node in added.iter().filter(|node| node.op_type() == "Constant") {
            let tensor = node.attribute[0].t.clone().unwrap_or_default();
            self.constants.insert(node.output[0].clone(), tensor);
        }
    }

    /// The names that added DequantizeLinear nodes make, with the node; notes weights behind which
    /// there is a pair now.
    fn pairs(&mut self, place: &str, added: &[NodeProto]) -> BTreeMap<String, NodeProto> {
        let mut made = BTreeMap::new();
        let mut behind = BTreeSet::new();
        for node in added {
            match node.op_type() {
                "QuantizeLinear" => {
                    behind.insert(node.input[0].clone());
                }
                "DequantizeLinear" => {
                    self.dequantizers.push(node.clone());
                    made.insert(node.output[0].clone(), node.clone());
                }
                _ => {}
            }
            let parameters = node.input.iter().skip(1).filter(|name| !self.constants.contains_key(*name));
            self.faults.extend(parameters.map(|name| format!("{place}: '{name}' was there before it was added")));
        }
        self.weights.extend(behind);
        made
    }

    /// Weights with the name of an outer value: what an operator makes has to have another one.
    fn shadows(
        &self,
        replaced: &BTreeMap<String, NodeProto>,
        float: &[NodeProto],
        quantized: &[NodeProto],
        before: &[TensorProto],
        after: &[TensorProto],
    ) -> BTreeMap<String, NodeProto> {
        let kept: BTreeSet<&String> = quantized.iter().flat_map(|node| &node.output).collect();
        let constants = float.iter().filter(|node| node.op_type() == "Constant").flat_map(|node| &node.output);
        let constants = constants.filter(|name| !kept.contains(name));
        let names = before.iter().map(|tensor| tensor.name()).chain(constants.map(String::as_str));
        let gone = names.filter(|name| !replaced.contains_key(*name) && !after.iter().any(|kept| kept.name() == *name));
        let stands_for = |node: &&NodeProto, name: &str| {
            node.input[0].strip_prefix(name).is_some_and(|rest| rest.starts_with("_quantized"))
        };
        let node = |name: &str| replaced.values().find(|node| stands_for(node, name)).cloned();
        gone.filter_map(|name| Some((name.to_owned(), node(name)?))).collect()
    }

    /// Takes the float weights away that are made by DequantizeLinear nodes now.
    fn take_weights(
        &mut self,
        place: &str,
        replaced: &BTreeMap<String, NodeProto>,
        float: &mut Vec<NodeProto>,
        before: &mut Vec<TensorProto>,
    ) {
        let mut gone = Vec::new();
        before.retain(|tensor| match replaced.get(tensor.name()) {
            Some(node) => {
                let stored = self.constants.get(&node.input[0]).cloned().unwrap_or_default();
                if annotations(tensor) != annotations(&stored) {
                    self.faults.push(format!("{place}: '{}' lost its annotations", tensor.name()));
                }
                gone.push(tensor.name().to_owned());
                false
            }
            None => true,
        });
        float.retain(|node| {
            let dequantizer = node.output.first().and_then(|name| replaced.get(name));
            match dequantizer.filter(|_| node.op_type() == "Constant") {
                Some(dequantizer) => {
                    let annotations = |node: &NodeProto| (node.doc_string.clone(), node.metadata_props.clone());
                    if annotations(node) != annotations(dequantizer) {
                        self.faults.push(format!("{place}: Constant '{}' lost its annotations", node.output[0]));
                    }
                    gone.push(node.output[0].clone());
                    false
                }
                None => true,
            }
        });
        self.weights.extend(gone);
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

    /// A new value is read in the place of one weight and of no other.
    fn restore_inputs(&mut self, before: &NodeProto, after: &mut NodeProto) {
        for (old, new) in before.input.iter().zip(&mut after.input) {
            let made = self.dequantizers.iter().any(|node| node.output[0] == *new);
            if old != new && made {
                let stands_for = self.renamed.entry(new.clone()).or_insert_with(|| old.clone());
                new.clone_from(stands_for);
            }
        }
    }
}

fn take_bodies(attribute: &mut AttributeProto) -> Vec<GraphProto> {
    attribute.g.take().into_iter().chain(std::mem::take(&mut attribute.graphs)).collect()
}

/// All of a tensor but its name, type and elements.
fn annotations(tensor: &TensorProto) -> TensorProto {
    TensorProto {
        dims: tensor.dims.clone(),
        doc_string: tensor.doc_string.clone(),
        metadata_props: tensor.metadata_props.clone(),
        segment: tensor.segment,
        ..TensorProto::default()
    }
}
