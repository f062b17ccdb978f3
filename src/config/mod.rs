//! What to do, as plain data: the same for the library, the command's options and its TOML file.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    findings::{Code, Severity},
    ir::DataType,
    setters::setters,
    targets::{ElementType, Pairs, Target},
};

pub use activations::{ActivationType, Activations, CalibrationMethod, Effort, Preference};
pub use pattern::Pattern;
pub use tensor_type::TensorType;
use tensor_type::kernel_dtype;

macro_rules! named {
    ($type:ty { $($name:literal => $value:expr),+ $(,)? }) => {
        impl $type {
            /// Every value by its name on the command line and in the configuration file.
            pub const NAMES: &'static [(&'static str, Self)] = &[$(($name, $value)),+];
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let found = Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
                found.ok_or_else(|| {
                    let names: Vec<_> = Self::NAMES.iter().map(|(name, _)| *name).collect();
                    Error::config(format!("'{text}' is none of {}", names.join(", ")))
                })
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let name = Self::NAMES.iter().find(|(_, value)| value == self).map_or("?", |(name, _)| *name);
                f.write_str(name)
            }
        }
    };
}
use named;

mod activations;
mod pattern;
mod tensor_type;

/// What to quantize and how. The default: every weight, int8, symmetric, one scale per output
/// channel, stored as integers behind a DequantizeLinear.
///
/// ```
/// use onnx_quant::{Config, Granularity, WeightType};
/// let config = Config::default()
///     .with_weights(WeightType::Uint8)
///     .with_granularity(Granularity::PerTensor)
///     .with_exclude(vec!["Gather".parse()?, "re:^head/".parse()?]);
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The type that weights are stored as.
    pub weights: WeightType,
    /// What shares a scale.
    pub granularity: Granularity,
    /// Give weights a zero point of their own instead of 0 (the middle of the type).
    pub asymmetric: bool,
    /// How scales are chosen; `None`: [`Unbiased`](WeightScales::Unbiased) for types of at most 4 bits,
    /// where that measurably helps, and the range of the weights for the others.
    pub weight_scales: Option<WeightScales>,
    /// What is stored in the file.
    pub weight_form: WeightForm,
    /// With [`WeightForm::Matmulnbits`]: how exactly the kernel has to compute, as its attribute `accuracy_level` says
    /// it: 0 as it likes, 1 in float32, 2 in float16, 3 in bfloat16, 4 with activations of 8 bits.
    pub accuracy_level: Option<u8>,
    /// If there are any: quantize only weights that one of these matches.
    pub include: Vec<Pattern>,
    /// Leave weights float that one of these matches.
    pub exclude: Vec<Pattern>,
    /// Leave weights with fewer elements float.
    pub min_elements: usize,
    /// Quantize weights even where their quantized form is not smaller. (The form that keeps the
    /// float weight, [`WeightForm::Qdq`], never is, and never asks.)
    pub allow_growth: bool,
    /// Leave initializers alone that are graph inputs too, so that whoever runs the model can still
    /// override them.
    pub keep_overridable: bool,
    /// What becomes of float constants that training left behind QuantizeLinear.
    pub trained_pairs: TrainedPairs,
    /// The runtime that the quantized model is for.
    pub target: Target,
    /// How activations are quantized, where they are.
    pub activations: Activations,
    /// Where activations are quantized: the types of single tensors, weights or activations; of several that match,
    /// the last one counts.
    pub tensor_types: Vec<TensorType>,
    /// Where activations are quantized: store the weights of layers that stay float as this type. The file is
    /// smaller; what runs it makes floats of them again, each time or when it loads the model.
    pub store_float_layers: Option<WeightType>,
    /// Where activations are quantized: what decides which operators compute in integers.
    pub prefer: Preference,
    /// How much is done for accuracy where there are samples to measure it by.
    pub accuracy: Effort,
    /// What the worst output is to have of signal to noise on these samples, in dB; `None`:
    /// [20](crate::BALANCED_DB), and [30](crate::HIGH_DB) where accuracy is `high`.
    pub min_sqnr_db: Option<f64>,
    /// Measure the error of every quantized weight for the report; reads all weights once more.
    pub measure_error: bool,
    /// Fail where anything of one of these codes is found.
    pub deny: Vec<Code>,
    /// Fail where there is anything to warn of: unknown fields, ranges of values that the model has not.
    pub strict: bool,
}

setters!(Config {
    with_weights(weights: WeightType),
    with_granularity(granularity: Granularity),
    with_asymmetric(asymmetric: bool),
    with_weight_scales(weight_scales: Option<WeightScales>),
    with_weight_form(weight_form: WeightForm),
    with_accuracy_level(accuracy_level: Option<u8>),
    with_include(include: Vec<Pattern>),
    with_exclude(exclude: Vec<Pattern>),
    with_min_elements(min_elements: usize),
    with_allow_growth(allow_growth: bool),
    with_keep_overridable(keep_overridable: bool),
    with_trained_pairs(trained_pairs: TrainedPairs),
    with_target(target: Target),
    with_activations(activations: Activations),
    with_tensor_types(tensor_types: Vec<TensorType>),
    with_store_float_layers(store_float_layers: Option<WeightType>),
    with_prefer(prefer: Preference),
    with_accuracy(accuracy: Effort),
    with_min_sqnr_db(min_sqnr_db: Option<f64>),
    with_measure_error(measure_error: bool),
    with_deny(deny: Vec<Code>),
    with_strict(strict: bool),
});

/// The block sizes that there are: the format keeps them as signed integers.
const BLOCK_SIZES: std::ops::RangeInclusive<usize> = 1..=i32::MAX as usize;

impl Config {
    /// The configuration that suits a target: its preferred types of weights and activations.
    ///
    /// ```
    /// use onnx_quant::{ActivationType, Config};
    /// let config = Config::for_target("tensorrt".parse()?);
    /// assert!(config.activations.symmetric && config.activations.ty == ActivationType::Int8);
    /// # Ok::<(), onnx_quant::Error>(())
    /// ```
    pub fn for_target(target: Target) -> Self {
        let writes = target.writes();
        let first = |types: &[ElementType]| types.first().map(|ty| ty.0);
        let ty = match first(&writes.activations) {
            Some(DataType::Int8) => ActivationType::Int8,
            Some(DataType::Uint16) => ActivationType::Uint16,
            Some(DataType::Int16) => ActivationType::Int16,
            _ => ActivationType::Uint8,
        };
        let weights = match first(&writes.weights) {
            Some(DataType::Uint8) => WeightType::Uint8,
            _ => WeightType::Int8,
        };
        let activations = Activations { ty, symmetric: writes.symmetric_activations, ..Activations::default() };
        Self { weights, activations, target, ..Self::default() }
    }

    /// Whether the settings go together.
    ///
    /// # Errors
    /// Weights are to be floats and asymmetric.
    pub fn check(&self) -> Result<()> {
        if let Granularity::Block { size, .. } = self.granularity
            && !BLOCK_SIZES.contains(&size)
        {
            return Err(Error::config(format!("a block of {size} weights is none")));
        }
        if self.asymmetric && !self.weights.is_integer() {
            let message = format!("{} has no zero points: it cannot be asymmetric", self.weights);
            return Err(Error::config(message));
        }
        self.check_for_nbits()
    }

    /// Whether MatMulNBits has weights and blocks like these. (onnxruntime's documentation of contributed operators.)
    fn check_for_nbits(&self) -> Result<()> {
        use WeightType::*;
        if self.weight_form != WeightForm::Matmulnbits {
            let message = "an accuracy level is for --weight-form matmulnbits, which alone can state it";
            return self.accuracy_level.map_or(Ok(()), |_| Err(Error::config(message)));
        }
        if !matches!(self.weights, Int2 | Uint2 | Int4 | Uint4 | Int8 | Uint8) {
            return Err(Error::config(format!("MatMulNBits has weights of 2, 4 and 8 bits, not {}", self.weights)));
        }
        if let Granularity::Block { size, axis } = self.sharing()
            && (axis.is_some() || size < 16 || !size.is_power_of_two())
        {
            let message = "MatMulNBits has blocks along the axis that is summed over, of 16, 32, 64, ... weights";
            return Err(Error::config(message));
        }
        if let Some(level) = self.accuracy_level.filter(|level| *level > 4) {
            return Err(Error::config(format!("the accuracy level {level} is none of 0 to 4")));
        }
        Ok(())
    }

    /// Whether the settings go together where activations are quantized too: integer kernels take weights
    /// of 8 bits with a scale for each channel or tensor.
    ///
    /// # Errors
    /// As [`check`](Self::check); or weights are to have another form.
    pub fn check_for_activations(&self) -> Result<()> {
        self.check()?;
        if self.activations.is_dynamic() {
            let message = "dynamic activations get their scales in each run: they take no samples and no ranges";
            return Err(Error::config(message));
        }
        self.check_weights_of_kernels()?;
        self.check_for_target()
    }

    /// Whether the settings go together where activations are quantized with scales that each run finds.
    ///
    /// # Errors
    /// As [`check`](Self::check); weights are to have another form than integer kernels take; or the target has no
    /// such kernels.
    pub fn check_for_dynamic(&self) -> Result<()> {
        self.check()?;
        self.check_weights_of_kernels()?;
        if self.weight_form == WeightForm::Qdq {
            return Err(Error::config(
                "dynamic activations need weights that are integers: leave out --weight-form qdq",
            ));
        }
        if !self.tensor_types.is_empty() {
            return Err(Error::config("dynamic activations are all of one type: leave out --tensor-type"));
        }
        if !self.target.has_dynamic_kernels() {
            return Err(Error::config(format!(
                "{} has no integer kernels for dynamic activations: use --samples, or quantize the weights alone",
                self.target.name()
            )));
        }
        Ok(())
    }

    fn check_weights_of_kernels(&self) -> Result<()> {
        if self.weight_form == WeightForm::Matmulnbits {
            let message = "MatMulNBits has float activations: leave out --weight-form matmulnbits";
            return Err(Error::config(message));
        }
        let eight_bits = matches!(self.weights, WeightType::Int8 | WeightType::Uint8);
        let known = eight_bits || self.takes_weights();
        if known && !matches!(self.granularity, Granularity::Block { .. }) {
            return Ok(());
        }
        Err(Error::config(format!(
            "weights that are {}, {}, do not go with quantized activations: kernels that compute in integers take int8 or \
             uint8, per-channel or per-tensor",
            self.weights,
            self.sharing(),
        )))
    }

    /// Whether the target has integer kernels for weights of this type.
    fn takes_weights(&self) -> bool {
        let listed = |dtype| self.target.writes().weights.iter().any(|known| known.0 == dtype);
        kernel_dtype(self.weights).is_some_and(listed)
    }

    /// Whether the target has kernels for weights and activations of this kind at all.
    fn check_for_target(&self) -> Result<()> {
        let (name, writes) = (self.target.name(), self.target.writes());
        if !self.takes_weights() {
            return Err(Error::config(format!("{name} has no integer kernels for {} weights", self.weights)));
        }
        if !self.tensor_types.is_empty() && writes.pairs == Pairs::AsNeeded {
            return Err(Error::config(format!(
                "the kernels of {name} read and make integers of one type: single tensors cannot have another"
            )));
        }
        if self.asymmetric && !writes.weight_zero_points {
            return Err(Error::config(format!("{name} takes no weights with zero points: leave out --asymmetric")));
        }
        if writes.symmetric_activations && !self.activations.symmetric {
            return Err(Error::config(format!("{name} takes symmetric activations only")));
        }
        Ok(())
    }

    /// Whether it does not put up with findings of a code and a severity.
    pub fn denies(&self, code: Code, severity: Severity) -> bool {
        self.deny.contains(&code) || self.strict && severity == Severity::Warning
    }

    /// What really shares a scale: the microscaling forms, and MatMulNBits, have blocks of 32 unless blocks of another
    /// size are asked for. (OCP Microscaling Formats v1.0, section 5.2.)
    pub fn sharing(&self) -> Granularity {
        match self.granularity {
            Granularity::PerChannel | Granularity::PerTensor
                if self.weights.is_microscaling() || self.weight_form == WeightForm::Matmulnbits =>
            {
                Granularity::Block { size: 32, axis: None }
            }
            granularity => granularity,
        }
    }
}

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

/// What becomes of float constants behind a `QuantizeLinear`, as which training for quantization leaves
/// weights and biases. (With [`WeightForm::Qdq`], which makes such pairs, they are always kept.)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TrainedPairs {
    /// The integers that the QuantizeLinear makes are stored, where nothing else reads the float constant.
    #[default]
    Fold,
    /// They are stored also where something else reads the float constant, which stays for it.
    FoldShared,
    /// They stay as they are.
    Keep,
}

/// What is stored in the file for a quantized weight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WeightForm {
    /// The integers, behind a DequantizeLinear: the small form.
    #[default]
    Dq,
    /// The float weight, behind QuantizeLinear and DequantizeLinear: for tool chains that quantize
    /// themselves. The file does not get smaller.
    Qdq,
    /// The integers, as onnxruntime's MatMulNBits takes them for the right factor of a product, and its
    /// GatherBlockQuantized for a table. Other weights stay float.
    Matmulnbits,
}

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
named!(WeightForm { "dq" => Self::Dq, "qdq" => Self::Qdq, "matmulnbits" => Self::Matmulnbits });
named!(TrainedPairs { "fold" => Self::Fold, "fold-shared" => Self::FoldShared, "keep" => Self::Keep });
