//! What to do with activations.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::setters::setters;

/// How activations are quantized.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Activations {
    /// The type they are stored as between integer kernels.
    pub ty: ActivationType,
    /// Whether real zero is the middle of the integers.
    pub symmetric: bool,
    /// Give the weights of integer kernels 7 of their 8 bits. Processors without VNNI add two products in
    /// 16 bits, which overflow otherwise.
    pub reduce_range: bool,
    /// Leave the scales of weights as their elements have them where a bias is too large for its own scale, which is
    /// the product of theirs and the input's: the bias stays float then.
    pub keep_weight_scales: bool,
    /// How a range is made of what was observed.
    pub method: CalibrationMethod,
}

setters!(Activations {
    with_ty(ty: ActivationType),
    with_symmetric(symmetric: bool),
    with_reduce_range(reduce_range: bool),
    with_keep_weight_scales(keep_weight_scales: bool),
    with_method(method: CalibrationMethod),
});

impl Activations {
    /// Whether each run finds their scales.
    pub fn is_dynamic(&self) -> bool {
        self.ty == ActivationType::Dynamic
    }

    /// Whether they stay float.
    pub fn is_float(&self) -> bool {
        self.ty == ActivationType::Float
    }
}

/// How much is done for accuracy, where there are samples to measure it by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Effort {
    /// Nothing is measured: the plan follows from ranges and rules.
    Off,
    /// A few trials for each sample that ranges are made of.
    #[default]
    Balanced,
    /// Many trials, and more layers in float.
    High,
}

/// What the worst output is to have, in dB, where nothing else is asked for: `balanced`.
pub const BALANCED_DB: f64 = 20.0;
/// The same for `high`.
pub const HIGH_DB: f64 = 30.0;

/// What decides which operators compute in integers, where a target's kernels have known times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Preference {
    /// The time that a run takes: what is no faster in integers, with the conversions around it, stays float.
    #[default]
    Speed,
    /// The size of the file: all that can compute in integers does.
    Size,
    /// As for speed; of what is [tuned](crate::quantize_tuned), the most accurate of the fastest.
    Accuracy,
}

/// The type that activations are stored as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ActivationType {
    /// 0..=255.
    #[default]
    Uint8,
    /// -128..=127.
    Int8,
    /// 0..=65535.
    Uint16,
    /// -32768..=32767.
    Int16,
    /// 8-bit float, up to 448, for targets with kernels for it.
    Float8e4m3fn,
    /// 0..=255, in the products that read them only, with a scale that each run finds: no samples are needed.
    Dynamic,
    /// They stay float; samples decide how weights are rounded.
    Float,
}

/// How the range of an activation is made of what was observed: `auto`, `minmax`, `moving-average`,
/// `percentile` (99.99) or `percentile:P`, `entropy`, `mse`.
///
/// ```
/// use onnx_quant::CalibrationMethod;
/// assert_eq!("percentile:99.9".parse::<CalibrationMethod>()?, CalibrationMethod::Percentile(99.9));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum CalibrationMethod {
    /// From the smallest to the largest value.
    MinMax,
    /// The smallest and the largest value of each sample, averaged so that a sample counts the less
    /// the longer it is ago.
    MovingAverage,
    /// The range that this percentage of the values lies in.
    Percentile(f64),
    /// The range whose quantized values diverge least from the observed ones (Kullback-Leibler).
    Entropy,
    /// The range with the least squared error.
    Mse,
    /// As `Mse` where many values were observed, as `MinMax` where the few there were say too little of how
    /// rare the large ones are.
    #[default]
    Auto,
}

impl FromStr for CalibrationMethod {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            || Error::config(format!("'{text}' is none of auto, minmax, moving-average, percentile[:P], entropy, mse"));
        match text {
            "minmax" => Ok(Self::MinMax),
            "moving-average" => Ok(Self::MovingAverage),
            "percentile" => Ok(Self::Percentile(99.99)),
            "entropy" => Ok(Self::Entropy),
            "mse" => Ok(Self::Mse),
            "auto" => Ok(Self::Auto),
            _ => {
                let percentage = text.strip_prefix("percentile:").and_then(|p| p.parse().ok()).ok_or_else(wrong)?;
                if !(50.0..=100.0).contains(&percentage) {
                    return Err(Error::config(format!("a percentile of {percentage} is not between 50 and 100")));
                }
                Ok(Self::Percentile(percentage))
            }
        }
    }
}

impl TryFrom<String> for CalibrationMethod {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<CalibrationMethod> for String {
    fn from(method: CalibrationMethod) -> Self {
        method.to_string()
    }
}

impl fmt::Display for CalibrationMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinMax => f.write_str("minmax"),
            Self::MovingAverage => f.write_str("moving-average"),
            Self::Percentile(percentage) => write!(f, "percentile:{percentage}"),
            Self::Entropy => f.write_str("entropy"),
            Self::Mse => f.write_str("mse"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

super::named!(ActivationType {
    "uint8" => Self::Uint8,
    "int8" => Self::Int8,
    "uint16" => Self::Uint16,
    "int16" => Self::Int16,
    "float8e4m3fn" => Self::Float8e4m3fn,
    "dynamic" => Self::Dynamic,
    "float" => Self::Float,
});

super::named!(Preference {
    "speed" => Self::Speed,
    "size" => Self::Size,
    "accuracy" => Self::Accuracy,
});

super::named!(Effort {
    "off" => Self::Off,
    "balanced" => Self::Balanced,
    "high" => Self::High,
});
