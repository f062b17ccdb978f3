//! How weights are stored: the type, what shares a scale, and how scales are chosen.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The type that weights are stored as.
///
/// The microscaling (MX) forms follow OCP Microscaling Formats v1.0: blocks of 32 along the axis that
/// the operator sums over, or as [`Granularity::Block`] says, with a power of two as scale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum WeightType {
    /// -127..=127 if symmetric, -128..=127 otherwise.
    #[default]
    Int8,
    /// 1..=255 around 128 if symmetric, 0..=255 otherwise.
    Uint8,
    /// 16 bits, signed.
    Int16,
    /// 16 bits, unsigned.
    Uint16,
    /// -8..=7.
    Int4,
    /// 0..=15, around 8 if symmetric.
    Uint4,
    /// -2..=1.
    Int2,
    /// 0..=3, around 2 if symmetric.
    Uint2,
    /// 8-bit float, up to 448.
    Float8e4m3fn,
    /// 8-bit float without a negative zero, up to 240.
    Float8e4m3fnuz,
    /// 8-bit float, up to 57344.
    Float8e5m2,
    /// 8-bit float without a negative zero, up to 57344.
    Float8e5m2fnuz,
    /// 6-bit float, up to 7.5.
    Float6e2m3,
    /// 6-bit float, up to 28.
    Float6e3m2,
    /// 4-bit float, up to 6.
    Float4e2m1,
    /// Microscaling: float8e4m3fn in blocks of 32, with float8e8m0 scales.
    Mxfp8e4m3,
    /// Microscaling: float8e5m2.
    Mxfp8e5m2,
    /// Microscaling: float6e2m3.
    Mxfp6e2m3,
    /// Microscaling: float6e3m2.
    Mxfp6e3m2,
    /// Microscaling: float4e2m1.
    Mxfp4e2m1,
    /// Microscaling: int8.
    Mxint8,
}

impl WeightType {
    /// Whether it is an integer type, which can have zero points.
    pub fn is_integer(self) -> bool {
        use WeightType::*;
        matches!(self, Int8 | Uint8 | Int16 | Uint16 | Int4 | Uint4 | Int2 | Uint2 | Mxint8)
    }

    /// Whether it is one of the microscaling forms.
    pub fn is_microscaling(self) -> bool {
        use WeightType::*;
        matches!(self, Mxfp8e4m3 | Mxfp8e5m2 | Mxfp6e2m3 | Mxfp6e3m2 | Mxfp4e2m1 | Mxint8)
    }
}

/// What shares a scale and a zero point: `per-channel`, `per-tensor`, `block:32`, or `block:32@0` for
/// blocks along axis 0 of every weight.
///
/// ```
/// use onnx_quant::Granularity;
/// assert_eq!("block:32".parse::<Granularity>()?, Granularity::Block { size: 32, axis: None });
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[non_exhaustive]
pub enum Granularity {
    /// The weights of one output channel.
    #[default]
    PerChannel,
    /// The whole tensor.
    PerTensor,
    /// Runs of weights along one axis; the last one may be shorter.
    Block {
        /// How many weights share a scale.
        size: usize,
        /// The axis; the one that the operator sums over if it is not given.
        axis: Option<usize>,
    },
}

/// How the scales and zero points of weights are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WeightScales {
    /// So that the range of the weights is represented.
    Minmax,
    /// So that the squared error is least, though the extremes may saturate.
    Mse,
    /// So that the squared error is least without making the weights smaller on the whole.
    Unbiased,
}

/// The block sizes that there are: the format keeps them as signed integers.
pub(super) const BLOCK_SIZES: std::ops::RangeInclusive<usize> = 1..=i32::MAX as usize;

impl FromStr for Granularity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            || Error::config(format!("'{text}' is none of per-channel, per-tensor, block:SIZE, block:SIZE@AXIS"));
        match text {
            "per-channel" => Ok(Self::PerChannel),
            "per-tensor" => Ok(Self::PerTensor),
            _ => {
                let block = text.strip_prefix("block:").ok_or_else(wrong)?;
                let (size, axis) = match block.split_once('@') {
                    Some((size, axis)) => (size, Some(axis.parse().map_err(|_| wrong())?)),
                    None => (block, None),
                };
                let size = size.parse().ok().filter(|size| BLOCK_SIZES.contains(size)).ok_or_else(wrong)?;
                Ok(Self::Block { size, axis })
            }
        }
    }
}

impl TryFrom<String> for Granularity {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl fmt::Display for Granularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerChannel => f.write_str("per-channel"),
            Self::PerTensor => f.write_str("per-tensor"),
            Self::Block { size, axis: None } => write!(f, "block:{size}"),
            Self::Block { size, axis: Some(axis) } => write!(f, "block:{size}@{axis}"),
        }
    }
}

named!(WeightType {
    "int8" => Self::Int8,
    "uint8" => Self::Uint8,
    "int16" => Self::Int16,
    "uint16" => Self::Uint16,
    "int4" => Self::Int4,
    "uint4" => Self::Uint4,
    "int2" => Self::Int2,
    "uint2" => Self::Uint2,
    "float8e4m3fn" => Self::Float8e4m3fn,
    "float8e4m3fnuz" => Self::Float8e4m3fnuz,
    "float8e5m2" => Self::Float8e5m2,
    "float8e5m2fnuz" => Self::Float8e5m2fnuz,
    "float6e2m3" => Self::Float6e2m3,
    "float6e3m2" => Self::Float6e3m2,
    "float4e2m1" => Self::Float4e2m1,
    "mxfp8e4m3" => Self::Mxfp8e4m3,
    "mxfp8e5m2" => Self::Mxfp8e5m2,
    "mxfp6e2m3" => Self::Mxfp6e2m3,
    "mxfp6e3m2" => Self::Mxfp6e3m2,
    "mxfp4e2m1" => Self::Mxfp4e2m1,
    "mxint8" => Self::Mxint8,
});
named!(WeightScales { "minmax" => Self::Minmax, "mse" => Self::Mse, "unbiased" => Self::Unbiased });
