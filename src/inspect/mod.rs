//! What is in a model's file: versions, inputs and outputs, operators, weights, what is quantized already, and what
//! whoever runs it must have. Facts that are counted; nothing is decided and nothing is loaded but the graph.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    documents,
    error::Result,
    ir::{Interface, Model, OpId, ScopeId, Tensor, type_name},
    operators::{computes_with_integers, is_quantizer},
    targets::{Target, is_dequantizer},
};

/// The version of the form that [`Inspection::to_json`] writes; it changes where a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// The [JSON Schema](https://json-schema.org/draft/2020-12) of what [`Inspection::to_json`] writes:
#[doc = concat!("```json\n", include_str!("schema.json"), "```")]
pub const SCHEMA: &str = include_str!("schema.json");

/// Elements from which on a tensor counts as a weight and not as a bias, a norm or numbers for shapes.
const LARGE: usize = 1024;

/// What is in a model's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Inspection {
    /// The version of this form.
    pub version: u32,
    /// The version of the file's format.
    pub ir_version: i64,
    /// The versions of the operator sets by domain; the default one is called `ai.onnx`. Where a domain is imported
    /// several times, the newest.
    pub opsets: BTreeMap<String, i64>,
    /// The inputs of the main graph.
    pub inputs: Vec<Port>,
    /// The outputs of the main graph.
    pub outputs: Vec<Port>,
    /// How many operators of each type there are in graphs, bodies and functions; those outside of the default domain
    /// as `domain:Type`.
    pub operators: BTreeMap<String, usize>,
    /// How many functions of its own the model has.
    pub functions: usize,
    /// Initializers and other tensors that are kept in the model, by the type of their elements, the most bytes first.
    pub tensors: Vec<Tensors>,
    /// The weights with the most bytes, the largest first.
    pub largest: Vec<Weight>,
    /// What is quantized already.
    pub quantized: Quantized,
    /// What whoever runs it must have.
    pub needs: Needs,
    /// The keys of the model's metadata, with what they say.
    pub metadata: BTreeMap<String, String>,
}

/// An input or output of the main graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its type as the textual syntax has it, as `float[N,3,224,224]`; `None` where it is no tensor.
    #[serde(rename = "type")]
    pub ty: Option<String>,
    /// Whether an initializer gives it a default value.
    pub has_default: bool,
}

/// Tensors whose elements are of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Tensors {
    /// The type.
    #[serde(rename = "type")]
    pub ty: String,
    /// How many there are.
    pub count: usize,
    /// How many of them have 1,024 elements and more: weights, as far as sizes tell.
    pub large: usize,
    /// Elements of all of them.
    pub elements: usize,
    /// Bytes of all of them.
    pub bytes: usize,
}

/// One tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Weight {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    #[serde(rename = "type")]
    pub ty: String,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Its bytes.
    pub bytes: usize,
}

/// What is quantized already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Quantized {
    /// Operators that make integers: QuantizeLinear, DynamicQuantizeLinear.
    pub quantizers: usize,
    /// DequantizeLinear operators of activations.
    pub activations: usize,
    /// DequantizeLinear operators of constants, by the type of these.
    pub constants: BTreeMap<String, usize>,
    /// Other operators that read integers, by type: `QLinearConv`, `MatMulNBits`, `ConvInteger`, ...
    pub operators: BTreeMap<String, usize>,
}

/// What whoever runs a model must have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Needs {
    /// The version of the default operator set.
    pub opset: i64,
    /// The first release of the target that has QuantizeLinear and DequantizeLinear of that operator set, where the
    /// model has such, and not all releases that are known do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Operators outside of the default domain that are no functions of the model, by domain.
    pub other_domains: BTreeMap<String, BTreeSet<String>>,
    /// Files beside the model's that hold tensors.
    pub external_files: BTreeSet<String>,
}

impl Inspection {
    /// The inspection as JSON, with a line break at its end.
    pub fn to_json(&self) -> String {
        documents::to_json(self)
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// It is no such inspection, or one of another version.
    pub fn from_json(json: &str) -> Result<Self> {
        documents::from_json(json, "inspection", VERSION)
    }
}

/// Looks at a model. `target` is the runtime whose releases are told.
///
/// ```
/// use onnx_quant::{Model, inspect::inspect, targets::Target};
/// let model = Model::load("testdata/kws_dscnn.onnx")?;
/// let inspection = inspect(&model, &Target::default());
/// assert_eq!((inspection.needs.opset, inspection.operators["Conv"]), (14, 9));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn inspect(model: &Model, target: &Target) -> Inspection {
    let main = model.scope(Model::MAIN);
    let operators = counted(model.ops().map(|op| called(model, op)));
    let quantized = quantized(model);
    let mut largest: Vec<&Tensor> = model.tensors().filter(|tensor| tensor.element_count() >= LARGE).collect();
    // The first in the file of those that are as large.
    largest.sort_by_key(|tensor| std::cmp::Reverse(tensor.byte_len()));
    Inspection {
        version: VERSION,
        ir_version: model.ir_version(),
        opsets: opsets(model),
        inputs: main.inputs().iter().map(|input| port(model, input)).collect(),
        outputs: main.outputs().iter().map(|output| port(model, output)).collect(),
        operators,
        functions: model.scopes().filter(|&scope| model.scope(scope).is_function()).count(),
        tensors: tensors(model),
        largest: largest.into_iter().take(NAMED).map(weight).collect(),
        needs: needs(model, target, &quantized),
        quantized,
        metadata: model.all_metadata().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    }
}

/// How many of the largest weights are named.
const NAMED: usize = 5;

fn opsets(model: &Model) -> BTreeMap<String, i64> {
    let functions = model.scopes().filter(|&scope| model.scope(scope).is_function());
    let scopes: Vec<ScopeId> = std::iter::once(Model::MAIN).chain(functions).collect();
    let mut opsets = BTreeMap::new();
    for import in scopes.into_iter().flat_map(|scope| model.opset_imports(scope)) {
        let domain = if import.domain().is_empty() { DEFAULT_DOMAIN } else { import.domain() };
        let version: &mut i64 = opsets.entry(domain.to_owned()).or_default();
        *version = import.version().max(*version);
    }
    opsets
}

/// The name of the default operator set.
const DEFAULT_DOMAIN: &str = "ai.onnx";

fn port(model: &Model, interface: &Interface) -> Port {
    Port {
        name: model.value(interface.value).name().to_owned(),
        ty: interface.tensor_type().map(|ty| ty.to_string()),
        has_default: model.has_default(interface.value),
    }
}

/// The type of an operator, behind its domain where that is not the default one.
fn called(model: &Model, op: OpId) -> String {
    let operator = model.op(op);
    match operator.domain() {
        "" => operator.op_type().to_owned(),
        domain => format!("{domain}:{}", operator.op_type()),
    }
}

fn tensors(model: &Model) -> Vec<Tensors> {
    let mut of_types: BTreeMap<String, Tensors> = BTreeMap::new();
    for tensor in model.tensors() {
        let ty = type_name(tensor.dtype());
        let empty = Tensors { ty: ty.to_owned(), count: 0, large: 0, elements: 0, bytes: 0 };
        let known = of_types.entry(ty.to_owned()).or_insert(empty);
        known.count += 1;
        known.large += usize::from(tensor.element_count() >= LARGE);
        known.elements = known.elements.saturating_add(tensor.element_count());
        known.bytes = known.bytes.saturating_add(tensor.byte_len());
    }
    let mut tensors: Vec<Tensors> = of_types.into_values().collect();
    tensors.sort_by_key(|tensors| std::cmp::Reverse(tensors.bytes));
    tensors
}

fn weight(tensor: &Tensor) -> Weight {
    let (name, ty) = (tensor.name().to_owned(), type_name(tensor.dtype()).to_owned());
    Weight { name, ty, shape: tensor.shape(), bytes: tensor.byte_len() }
}

fn quantized(model: &Model) -> Quantized {
    let mut found = Quantized::default();
    for op in model.ops().filter(|&op| model.called_function(op).is_none()) {
        if is_dequantizer(model, op) {
            let constant = model.input(op, 0).and_then(|value| model.constant(value).map(|tensor| tensor.dtype()));
            match constant {
                Some(dtype) => *found.constants.entry(type_name(dtype).to_owned()).or_default() += 1,
                None => found.activations += 1,
            }
        } else if is_quantizer(model.op(op)) {
            found.quantizers += 1;
        } else if computes_with_integers(model.op(op)) {
            *found.operators.entry(model.op(op).op_type().to_owned()).or_default() += 1;
        }
    }
    found
}

fn needs(model: &Model, target: &Target, quantized: &Quantized) -> Needs {
    let opset = model.opset(Model::MAIN);
    let has_pairs = quantized.quantizers + quantized.activations > 0 || !quantized.constants.is_empty();
    let release = target.release_of_opset(opset).filter(|_| has_pairs).and_then(Result::ok);
    let mut other_domains: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for op in model.ops().filter(|&op| model.called_function(op).is_none()) {
        let operator = model.op(op);
        if !operator.domain().is_empty() {
            other_domains.entry(operator.domain().to_owned()).or_default().insert(operator.op_type().to_owned());
        }
    }
    let external_files = model.external_files().into_iter().map(|path| path.display().to_string()).collect();
    Needs { opset, release: release.map(|release| release.to_string()), other_domains, external_files }
}

fn counted(names: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}
