//! The types of single tensors.

use std::{fmt, str::FromStr};

use serde::Deserialize;

use super::{Pattern, WeightType};
use crate::{
    error::{Error, Result},
    ir::DataType,
};

/// The type of the tensors whose name a pattern matches, whatever the others have: `PATTERN=TYPE`.
///
/// ```
/// use onnx_quant::TensorType;
/// let rule: TensorType = "encoder/*=int16".parse()?;
/// assert!(rule.pattern.matches("encoder/out"));
/// assert!("encoder/*=int4".parse::<TensorType>().is_err());
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
#[non_exhaustive]
pub struct TensorType {
    /// Which tensors.
    pub pattern: Pattern,
    /// What they are stored as.
    pub ty: WeightType,
}

/// The stored type of weights that kernels multiply with activations; `None`: kernels take no such weights.
pub(super) fn kernel_dtype(ty: WeightType) -> Option<DataType> {
    Some(match ty {
        WeightType::Int8 => DataType::Int8,
        WeightType::Uint8 => DataType::Uint8,
        WeightType::Int16 => DataType::Int16,
        WeightType::Uint16 => DataType::Uint16,
        WeightType::Float8e4m3fn => DataType::Float8e4m3fn,
        _ => return None,
    })
}

impl FromStr for TensorType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::config(format!("'{text}' is not of the form PATTERN=TYPE"));
        let (pattern, ty) = text.rsplit_once('=').ok_or_else(wrong)?;
        let ty: WeightType = ty.trim().parse()?;
        if kernel_dtype(ty).is_none() {
            let message =
                format!("'{text}': a single tensor can be int8, uint8, int16, uint16 or float8e4m3fn, not {ty}");
            return Err(Error::config(message));
        }
        Ok(Self { pattern: pattern.trim().parse()?, ty })
    }
}

impl TryFrom<String> for TensorType {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.pattern, self.ty)
    }
}
