//! The form of a target's file: what a runtime does with a quantized graph, as data.
//!
//! A file is TOML. It begins with what the target is called and how it is checked, says under `[writes]` which
//! of the possible quantized forms suit it, and then has a `[[rule]]` for every kernel that computes in
//! integers: which operators, what must stand around them, since and until which release, and how that is
//! known. Nothing in these files decides; [`Target`](super::Target) answers questions by them.

use serde::Deserialize;

use super::{
    condition::Condition,
    release::{Release, Releases},
};
use crate::ir::{DataType, type_name};

/// A target's file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Description {
    /// What it is called on the command line.
    pub name: String,
    /// What it is, for people.
    pub title: String,
    /// How what is written for it is checked.
    pub checked: Checked,
    /// The releases that the rules are known for, oldest first; empty where it has none that matter.
    #[serde(default)]
    pub releases: Vec<Release>,
    /// What suits it.
    pub writes: Writes,
    /// The newest opset whose QuantizeLinear and DequantizeLinear it has, by release; none: all.
    #[serde(default, rename = "opset")]
    pub opsets: Vec<NewestOpset>,
    /// The types of integers, or of small floats, that its DequantizeLinear takes; none: all.
    #[serde(default)]
    pub dequantizes: Vec<ElementType>,
    /// The types of scales that its DequantizeLinear takes; none: all.
    #[serde(default)]
    pub scales: Vec<ElementType>,
    /// What it changes in a graph before it looks for kernels.
    #[serde(default)]
    pub at_load: Vec<LoadStep>,
    /// What pairs spread through when it loads a model.
    #[serde(default)]
    pub moves: Vec<Mover>,
    /// Whether a product of float activations and packed weights computes in float, though no conversion is left.
    #[serde(default)]
    pub weights_are_expanded: bool,
    /// What no rule can say.
    #[serde(default)]
    pub quirks: Vec<Quirk>,
    /// Whether the sizes of all values must be known when a model is loaded.
    #[serde(default)]
    pub static_shapes: bool,
    /// Whether it is known how long its kernels take.
    #[serde(default)]
    pub measured_times: bool,
    /// Operators that compute in integers as they stand in the file: `domain:Type`, or `Type` of the default
    /// operators.
    #[serde(default)]
    pub integer_operators: Vec<String>,
    /// Its integer kernels.
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
    /// Whether constants that no kernel takes as integers are dequantized again in each run.
    #[serde(default)]
    pub dequantizes_every_run: bool,
    /// The kernel of a number times its own Sigmoid, if there is one.
    pub gate: Option<String>,
    /// What operators become together.
    #[serde(default, rename = "fusion")]
    pub fusions: Vec<Fusion>,
}

/// How it is known that a target runs what is written for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checked {
    /// By running it.
    Run,
    /// By the rules of its documentation.
    Rules,
}

/// Which of the possible quantized forms suit a target.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Writes {
    /// Types of activations that it has kernels for, the preferred one first.
    pub activations: Vec<ElementType>,
    /// Types of the weights of integer kernels, the preferred one first.
    pub weights: Vec<ElementType>,
    /// Whether weights may have zero points other than 0.
    pub weight_zero_points: bool,
    /// Whether real zero must be the middle of the activations' integers.
    pub symmetric_activations: bool,
    /// What becomes of biases.
    pub bias: BiasForm,
    /// Which values get a pair of QuantizeLinear and DequantizeLinear.
    pub pairs: Pairs,
    /// The lowest opset to write.
    #[serde(default = "lowest_opset")]
    pub opset: i64,
}

fn lowest_opset() -> i64 {
    13
}

/// What becomes of the bias of an integer kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BiasForm {
    /// int32, in units of exactly the product of the scales of input and weight.
    Int32,
    /// It stays float.
    Float,
}

/// Which values get a pair of QuantizeLinear and DequantizeLinear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pairs {
    /// Those that the rules need, and those between kernels.
    AsNeeded,
    /// Every output of every kernel, the last one too.
    EveryOutput,
    /// The inputs of kernels only.
    Inputs,
    /// Everything that kernels read and make, whether integers come from somewhere and go somewhere or not.
    Everywhere,
}

/// The newest opset of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewestOpset {
    /// From which release on.
    pub since: Release,
    /// Which opset.
    pub newest: i64,
}

/// A change that a runtime makes when it loads a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LoadStep {
    /// Which.
    pub step: Step,
    /// From which release on.
    #[serde(default)]
    pub since: Option<Release>,
    /// Up to which release.
    #[serde(default)]
    pub until: Option<Release>,
}

/// The changes that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// What is the same in every run is computed once, branches that are always taken stand for their If, and
    /// what nothing reads goes.
    FoldConstants,
    /// Operators go that change nothing: additions of zero, reshapes to the same sizes.
    RemoveNoEffect,
    /// Of operators that compute the same of the same, one is left.
    MergeEqual,
    /// Every reader of a dequantized activation gets a DequantizeLinear of its own.
    DedicateDequantizers,
    /// int8 activations become uint8 where one operator reads them. Elsewhere no kernel takes them.
    #[serde(rename = "int8-to-uint8")]
    Int8ToUint8,
    /// Identity, and Dropout outside of training, go.
    RemoveIdentities,
    /// Of two pairs in a row one goes.
    MergePairs,
    /// A Reshape to sizes of what it reads takes a constant shape.
    FuseReshapes,
    /// MatMul and the Add of a vector become a Gemm.
    ProductsWithBias,
    /// Pairs spread through what only moves data.
    PropagatePairs,
    /// DequantizeLinear spreads forward through operators that move data.
    PropagateDequantizers,
    /// Pairs of integers of 16 bits and more go: what is between them computes in float.
    DropWidePairs,
    /// A Relu or Clip goes that the QuantizeLinear after it makes redundant.
    AbsorbClamps,
}

/// What no rule can say: faults that plans go around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quirk {
    /// Transposes around integer convolutions travel through operators that name axes, which then are others.
    MisplacedAxes,
    /// A model is not loaded in which an AveragePool with dilations stands between integers.
    DilatedAveragePool,
    /// Of int8 activations that several operators read, no kernel is made.
    Int8OfOneReader,
    /// A MeanVarianceNormalization of what does not vary is not a number.
    NormalizedConstant,
    /// A model is not loaded in which a Transpose reads a weight of 2 bits that has one scale or a scale for each
    /// channel.
    TransposedTwoBits,
    /// From opset 21 on, what moves int8 activations must have a pair after it, or the model is not loaded.
    Int8Moved,
    /// Products of half floats with weights of few bits are zero unless all optimizations are on.
    ZeroHalves,
}

/// One integer kernel.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rule {
    /// A name of its own, for people and reports.
    pub id: String,
    /// The operators of the default operator set that it is for.
    pub operators: Vec<String>,
    /// What is quantized around the operator.
    pub form: Form,
    /// What the kernel does with integers.
    pub role: Role,
    /// The kernel's operator type; the operator itself, on integers, where none is named.
    #[serde(default)]
    pub kernel: Option<String>,
    /// Which inputs a DequantizeLinear must stand on; none: every one.
    #[serde(default)]
    pub dequantized: Option<Vec<usize>>,
    /// The types of the integers that activations may be.
    pub types: Vec<ElementType>,
    /// The types of the integers that a weight, in input 1, may be; none: as the activations.
    #[serde(default)]
    pub weights: Option<Vec<ElementType>>,
    /// Whether a QuantizeLinear must stand on each output.
    pub output: Output,
    /// What else must be so.
    #[serde(default)]
    pub require: Vec<Condition>,
    /// From which release on.
    #[serde(default)]
    pub since: Option<Release>,
    /// Up to which release.
    #[serde(default)]
    pub until: Option<Release>,
    /// What the kernel computes otherwise than the file says.
    #[serde(default)]
    pub differs: Option<String>,
    /// Where it is known from.
    pub source: Source,
    /// Names of small graphs that show it.
    #[serde(default)]
    pub cases: Vec<String>,
}

/// What is quantized around an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Its activations and its weight, with scales that are known beforehand.
    Static,
    /// Its activations, with scales that each run finds, and its weight.
    Dynamic,
    /// Its weight only.
    Weights,
    /// Its activations, with scales that each run finds, and its weight, by operators of integers that stand in its
    /// place in the file. No rule for what is loaded.
    Written,
}

/// What a kernel does with integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It sums products with weights.
    Layer,
    /// It computes, and requantizes what comes out: scales of inputs and outputs may differ.
    Requantizes,
    /// It moves or picks integers: scales of inputs and outputs are the same.
    KeepsScale,
}

/// Whether a QuantizeLinear must stand on each output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// One on each, that all readers are behind.
    Required,
    /// One on each, or none.
    Optional,
    /// None.
    Absent,
    /// It does not matter.
    Any,
}

/// Where a rule is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// It was seen in the runtime.
    Measured,
    /// It was read in the runtime's source.
    Read,
    /// Its documentation says so.
    Documented,
}

/// An operator that moves data.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Mover {
    /// Its type.
    pub operator: String,
    /// From which opset on.
    #[serde(default)]
    pub opset: i64,
}

/// Two operators that become one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fusion {
    /// The first operator, by its type.
    pub operator: String,
    /// What may follow it.
    pub followed_by: Vec<String>,
    /// What they become.
    pub kernel: String,
    /// Whether the first one must be that kernel already, and computes with integers. Otherwise both are float.
    #[serde(default)]
    pub integer: bool,
    /// Whether what follows that may follow it again, and so on.
    #[serde(default)]
    pub chain: bool,
    /// Whether what follows must have a constant vector beside what it reads.
    #[serde(default)]
    pub vector: bool,
    /// The first release that does it.
    pub since: Option<Release>,
}

/// An element type, by its name in the ONNX textual syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ElementType(pub DataType);

impl TryFrom<String> for ElementType {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = (0..=i32::from(u8::MAX)).filter_map(|number| DataType::try_from(number).ok());
        let found = known.into_iter().find(|&dtype| type_name(dtype) == name);
        found.map(Self).ok_or_else(|| format!("'{name}' is no element type"))
    }
}

impl Rule {
    /// The releases that have it.
    pub fn releases(&self) -> Releases {
        Releases { since: self.since, until: self.until }
    }

    /// Whether it is for operators of this type.
    pub fn is_for(&self, op_type: &str) -> bool {
        self.operators.iter().any(|known| known == op_type)
    }
}
