//! What to do, as plain data: the same for the library, the command's options and its TOML file.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    findings::{Code, Severity},
    ir::DataType,
    setters::setters,
    targets::{ElementType, Target, costs::Costs},
};

pub use activations::{ActivationType, Activations, BALANCED_DB, CalibrationMethod, Effort, HIGH_DB, Preference};
pub use pattern::Pattern;
pub use rule::Rule;
pub use tensor_type::TensorType;
pub use weights::{Granularity, WeightScales, WeightType};

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
mod check;
mod pattern;
mod rule;
mod tensor_type;
mod weights;

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
    /// What holds for some weights, values and operators only.
    pub rules: Vec<Rule>,
    /// Where activations are quantized: store the weights of layers that stay float as this type. The file is
    /// smaller; what runs it makes floats of them again, each time or when it loads the model.
    pub store_float_layers: Option<WeightType>,
    /// Where activations are quantized: what decides which operators compute in integers.
    pub prefer: Preference,
    /// What kernels take on the machine that the model will run on; `None`: on a processor with AVX-512 and VNNI.
    pub costs: Option<Arc<Costs>>,
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
    with_rules(rules: Vec<Rule>),
    with_store_float_layers(store_float_layers: Option<WeightType>),
    with_prefer(prefer: Preference),
    with_costs(costs: Option<Arc<Costs>>),
    with_accuracy(accuracy: Effort),
    with_min_sqnr_db(min_sqnr_db: Option<f64>),
    with_measure_error(measure_error: bool),
    with_deny(deny: Vec<Code>),
    with_strict(strict: bool),
});

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

    /// What the worst output is to have of signal to noise, in dB, on samples that are held back: what was
    /// [asked for](Self::min_sqnr_db), or what goes with [`accuracy`](Self::accuracy).
    pub fn bound_db(&self) -> f64 {
        self.min_sqnr_db.unwrap_or(if self.accuracy == Effort::High { HIGH_DB } else { BALANCED_DB })
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

named!(WeightForm { "dq" => Self::Dq, "qdq" => Self::Qdq, "matmulnbits" => Self::Matmulnbits });
named!(TrainedPairs { "fold" => Self::Fold, "fold-shared" => Self::FoldShared, "keep" => Self::Keep });
