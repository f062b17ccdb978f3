//! The models under `testdata/`, quantized in several ways, for the tests that look at what came out.

pub mod strip;

use std::path::{Path, PathBuf};

use onnx_quant::{
    Config, Granularity, Model, Report, SaveOptions, TrainedPairs, WeightForm, WeightScales, WeightType,
    ir::ScopeId,
    passes::{Pass, UpgradeOpset},
    proto::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto},
    quantize,
};
use prost::Message;
use strip::{Stripped, strip};

use crate::testdata::Fixture;

/// A way to quantize.
#[derive(Debug, Clone)]
pub struct Way {
    pub name: &'static str,
    pub config: Config,
}

/// One for each of the choices there are. The made models are small, most weights in them too small
/// to become smaller, so all but the first quantize whatever can be quantized.
pub fn ways() -> Vec<Way> {
    // What training quantized stays, so that weights are all that changes.
    let plain = Config::default().with_measure_error(true).with_trained_pairs(TrainedPairs::Keep);
    let all = plain.clone().with_allow_growth(true);
    vec![
        Way { name: "default", config: plain },
        Way { name: "int8", config: all.clone() },
        Way { name: "uint8", config: all.clone().with_weights(WeightType::Uint8) },
        Way { name: "asymmetric", config: all.clone().with_asymmetric(true) },
        Way { name: "per-tensor", config: all.clone().with_granularity(Granularity::PerTensor) },
        Way { name: "qdq", config: all.clone().with_weight_form(WeightForm::Qdq) },
        Way { name: "block16", config: all.clone().with_granularity(blocks(16, None)) },
        Way { name: "block32@0", config: all.clone().with_granularity(blocks(32, Some(0))).with_asymmetric(true) },
        // Stored transposed also without blocks. Nothing is clipped, as elsewhere.
        Way { name: "int4", config: all.with_weights(WeightType::Int4).with_weight_scales(Some(WeightScales::Minmax)) },
    ]
}

fn blocks(size: usize, axis: Option<usize>) -> Granularity {
    Granularity::Block { size, axis }
}

/// The way of that name.
pub fn way(name: &str) -> Way {
    ways().into_iter().find(|way| way.name == name).expect("there is such a way")
}

/// A fixture before and after.
pub struct Quantized<'a> {
    pub fixture: &'a Fixture,
    pub way: &'static str,
    pub report: Report,
    /// With external data brought inside, so that it can be compared as a message.
    pub float: ModelProto,
    /// The float model at the opset of the quantized one.
    pub upgraded: ModelProto,
    pub quantized: ModelProto,
    pub model: Model,
}

impl<'a> Quantized<'a> {
    /// Quantizes; an error is what the library said, without the path.
    pub fn new(fixture: &'a Fixture, way: &Way) -> Result<Self, String> {
        let mut model = load(fixture);
        let before = model.clone();
        let report = quantize(&mut model, &way.config).map_err(|error| error.to_string())?;
        let upgraded = decoded(&upgraded(&before, &model));
        let (float, quantized) = (decoded(&before), decoded(&model));
        Ok(Self { fixture, way: way.name, report, float, upgraded, quantized, model })
    }

    /// What quantization changed.
    pub fn stripped(&self) -> Stripped {
        let stripped = strip(&mut self.upgraded.clone(), &mut self.quantized.clone());
        stripped.unwrap_or_else(|faults| panic!("{}: {faults}", self.name()))
    }

    /// Writes the quantized model into a folder of its own below `folder`.
    pub fn save(&self, folder: &Path) -> PathBuf {
        let folder = folder.join(self.way).join(self.fixture.name.replace(['/', '.'], "_"));
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        let path = folder.join("model.onnx");
        self.model.save(&path, &SaveOptions::default()).expect("the model can be written");
        path
    }

    /// For messages.
    pub fn name(&self) -> String {
        format!("{} ({})", self.fixture.name, self.way)
    }
}

/// The float model at the opset of the quantized one, if quantization did anything.
fn upgraded(float: &Model, quantized: &Model) -> Model {
    let mut model = float.clone();
    if decoded(float) != decoded(quantized) {
        let raised = roots(float).into_iter().map(|root| (float.opset(root), quantized.opset(root)));
        let to = raised.filter(|(before, after)| before < after).map(|(_, after)| after).max();
        let to = to.unwrap_or_else(|| quantized.opset(Model::MAIN));
        UpgradeOpset { to }.run(&mut model).expect("quantization raised it as well");
    }
    model
}

/// The main graph and the functions: what has an opset of its own.
pub fn roots(model: &Model) -> Vec<ScopeId> {
    let is_root = |scope| scope == Model::MAIN || model.scope(scope).is_function();
    model.scopes().filter(|&scope| is_root(scope)).collect()
}

/// Has an operator that cannot be carried over to newer opsets.
pub const NOT_TO_BE_RAISED: &str = "made/not_to_be_raised.onnx";

/// Every fixture that can be quantized in a way: all but one that its opset has no form for.
pub fn quantized<'a>(fixtures: &'a [Fixture], way: &Way) -> Vec<Quantized<'a>> {
    let newest = ["block16", "block32@0", "int4"].contains(&way.name);
    let mut models = Vec::new();
    for fixture in fixtures {
        let refused = newest && fixture.name == NOT_TO_BE_RAISED;
        match Quantized::new(fixture, way) {
            Ok(model) if !refused => models.push(model),
            Err(error) if refused => assert!(error.contains("Resize 'Resize_0': cannot be carried over"), "{error}"),
            Ok(_) => panic!("{} ({}) was quantized", fixture.name, way.name),
            Err(error) => panic!("{} ({}): {error}", fixture.name, way.name),
        }
    }
    models
}

pub fn load(fixture: &Fixture) -> Model {
    Model::load(fixture.path()).unwrap_or_else(|error| panic!("{error}"))
}

pub fn decoded(model: &Model) -> ModelProto {
    ModelProto::decode(&*model.to_bytes()).expect("what was written can be read")
}

/// A graph or function: what both have.
#[derive(Clone, Copy)]
pub struct ScopeRef<'a> {
    pub nodes: &'a [NodeProto],
    pub initializers: &'a [TensorProto],
}

/// Every graph, body and function.
pub fn scopes(model: &ModelProto) -> Vec<ScopeRef<'_>> {
    let mut found: Vec<ScopeRef> = model.graph.iter().map(scope_of_graph).collect();
    found.extend(model.functions.iter().map(scope_of_function));
    let mut next = 0;
    while next < found.len() {
        let attributes = found[next].nodes.iter().flat_map(|node| &node.attribute);
        let bodies: Vec<ScopeRef> = attributes.flat_map(bodies).map(scope_of_graph).collect();
        found.extend(bodies);
        next += 1;
    }
    found
}

fn scope_of_graph(graph: &GraphProto) -> ScopeRef<'_> {
    ScopeRef { nodes: &graph.node, initializers: &graph.initializer }
}

fn scope_of_function(function: &FunctionProto) -> ScopeRef<'_> {
    ScopeRef { nodes: &function.node, initializers: &[] }
}

fn bodies(attribute: &AttributeProto) -> impl Iterator<Item = &GraphProto> {
    attribute.g.iter().chain(&attribute.graphs)
}

/// Nodes of a type, anywhere.
pub fn nodes<'a>(model: &'a ModelProto, op_type: &str) -> Vec<&'a NodeProto> {
    scopes(model).into_iter().flat_map(|scope| scope.nodes).filter(|node| node.op_type() == op_type).collect()
}

/// The dense tensors that are constants, by name: initializers and `value` of Constant nodes.
pub fn constants(model: &ModelProto) -> Vec<(&str, &TensorProto)> {
    let mut found = Vec::new();
    for scope in scopes(model) {
        found.extend(scope.initializers.iter().map(|tensor| (tensor.name(), tensor)));
        for node in scope.nodes.iter().filter(|node| node.op_type() == "Constant") {
            let tensors = node.attribute.iter().filter_map(|attribute| attribute.t.as_ref());
            found.extend(tensors.map(|tensor| (node.output[0].as_str(), tensor)));
        }
    }
    found
}
