//! What a kernel needs of an operator and of what stands around it.

use serde::Deserialize;

use super::release::Release;

/// One condition of a rule.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Condition {
    /// An attribute has one of some numbers, or is not there and its default is among them.
    Attribute {
        /// Its name.
        name: String,
        /// The numbers.
        is: Vec<f64>,
        /// What it is where it is not there.
        default: f64,
    },
    /// An attribute has one of some texts, or is not there and its default is among them.
    Text {
        /// Its name.
        name: String,
        /// The texts.
        is: Vec<String>,
        /// What it is where it is not there.
        default: String,
    },
    /// An attribute is not there, or a list of nothing but ones.
    Ones(String),
    /// An attribute is not there.
    NoAttribute(String),
    /// An input is left out.
    NoInput(usize),
    /// An input is left out, or a constant that is zero throughout.
    Zero(usize),
    /// An input has one of these ranks.
    Rank {
        /// Which input.
        input: usize,
        /// The ranks.
        is: Vec<usize>,
    },
    /// An input is a constant, or made of constant integers.
    Constant(usize),
    /// An input is a float constant.
    FloatConstant(usize),
    /// An input is a constant vector of floats, or left out.
    FloatVector(usize),
    /// The scales of an input lie in one of these ways.
    Scales {
        /// Which input.
        input: usize,
        /// How they may lie.
        along: Vec<Along>,
    },
    /// The blocks of a weight are powers of two of at least this size, along its first axis; the axis of other scales
    /// is counted from the front.
    BlocksFrom(usize),
    /// The DequantizeLinear of an input has no other reader.
    OneReader(usize),
    /// The integers of a bias have the product of the scales of input and weight, within this part of it.
    BiasScale(f32),
    /// The zero points of an input are 0.
    ZeroPointsZero(usize),
    /// No DequantizeLinear makes an input of int8.
    NotInt8(usize),
    /// No DequantizeLinear makes an input.
    NotDequantized(usize),
    /// The integers of inputs and outputs have the same number of bits. (Where the types differ, int8 becomes
    /// uint8 first.)
    SameWidth,
    /// Inputs and outputs have the same scale and zero point, and zero points are there.
    SameParameters,
    /// No Relu or Clip stood before the QuantizeLinear.
    NoClamp,
    /// From this release on: what it makes is quantized, or something else reads it than a Relu or Clip alone.
    NotClamped(Release),
    /// The opset is at most this.
    OpsetUntil(i64),
    /// The opset is at least this.
    OpsetFrom(i64),
    /// What the operator makes is multiplied by the scales and becomes float after it.
    ScaledAfter,
    /// The scales of an input are found in each run.
    FoundAtRun(usize),
}

/// How the scales of a quantized tensor lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Along {
    /// There is one.
    Tensor,
    /// There is one for each output channel of the operator.
    Channels,
    /// There is one for each block.
    Blocks,
}

impl Condition {
    /// Whether it is about the operator alone, so that it holds or not before anything is quantized.
    pub fn is_of_operator(&self) -> bool {
        matches!(
            self,
            Self::Attribute { .. }
                | Self::Text { .. }
                | Self::Ones(_)
                | Self::NoAttribute(_)
                | Self::NoInput(_)
                | Self::Zero(_)
                | Self::Rank { .. }
                | Self::Constant(_)
                | Self::NotClamped(_)
                | Self::OpsetUntil(_)
                | Self::OpsetFrom(_)
        )
    }
}
