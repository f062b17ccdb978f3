//! Options, once: as flags and, under the same names, as keys of a TOML file.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use onnx_quant::{
    ActivationType, Activations, CalibrationMethod, Config, Effort, Granularity, Pattern, Preference, Rule,
    SaveOptions, TensorType, TrainedPairs, WeightForm, WeightScales, WeightType, findings::Code, targets::costs::Costs,
};
use serde::Deserialize;

use super::{Failure, observe::EngineName};

/// The heading in the help of what is about activations.
pub const ACTIVATIONS: &str = "Activations";

/// What is not said here stays as the library has it.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// Type that weights are stored as [default: int8]
    #[arg(long, value_name = "TYPE", value_parser = one_of(WeightType::NAMES))]
    weights: Option<WeightType>,

    /// What shares a scale: per-channel, per-tensor, block:SIZE (along the axis that is summed over)
    /// or block:SIZE@AXIS [default: per-channel]
    #[arg(long, value_name = "KIND")]
    granularity: Option<Granularity>,

    /// Give weights a zero point of their own instead of zero
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true)]
    asymmetric: Option<bool>,

    /// How scales are chosen: by the range of the weights, by the least squared error, or the same
    /// without making weights smaller on the whole [default: unbiased for types of at most 4 bits,
    /// minmax for others]
    #[arg(long, value_name = "METHOD", value_parser = one_of(WeightScales::NAMES))]
    weight_scales: Option<WeightScales>,

    /// dq: store integers, with DequantizeLinear; qdq: keep float weights, with QuantizeLinear and
    /// DequantizeLinear; matmulnbits: make products onnxruntime's MatMulNBits, and tables its
    /// GatherBlockQuantized [default: dq]
    #[arg(long, value_name = "FORM", value_parser = one_of(WeightForm::NAMES))]
    weight_form: Option<WeightForm>,

    /// How exactly MatMulNBits has to compute: 1 in float32, 2 in float16, 3 in bfloat16, 4 with activations
    /// of 8 bits, 0 as it likes [default: not stated, as 0]
    #[arg(long, value_name = "LEVEL")]
    accuracy_level: Option<u8>,

    /// Quantize only weights that match: tensor name, node name or operator type; globs with commas
    /// between them, or `re:` and a regular expression (may be repeated)
    #[arg(long, value_name = "PATTERNS")]
    include: Vec<Patterns>,

    /// Leave weights float that match, and, where activations are quantized, any operators (may be repeated)
    #[arg(long, value_name = "PATTERNS")]
    exclude: Vec<Patterns>,

    /// Leave weights with fewer elements float
    #[arg(long, value_name = "N")]
    min_elements: Option<usize>,

    /// Quantize also weights whose quantized form is not smaller
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true)]
    allow_growth: Option<bool>,

    /// Leave initializers alone that are graph inputs too
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true)]
    keep_overridable: Option<bool>,

    // Only in a file: a table for each.
    #[arg(skip)]
    rule: Vec<Rule>,

    /// What becomes of float constants that training left behind a QuantizeLinear: fold stores the integers
    /// instead, fold-shared also where something else reads the float constant, keep neither
    /// [default: fold]
    #[arg(long, value_name = "HOW", value_parser = one_of(TrainedPairs::NAMES))]
    trained_pairs: Option<TrainedPairs>,

    /// Write tensors of 1 KiB and more to OUT.data (by itself where OUT would exceed 2 GiB)
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true)]
    external_data: Option<bool>,

    /// Leave out which version of this tool made the model, with which options; its metadata says so otherwise
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true)]
    no_provenance: Option<bool>,

    /// Fail, and write nothing, where there is a finding of this code, a note or a warning (may be repeated)
    #[arg(long, value_name = "CODE", value_parser = one_of(Code::NAMES), hide_possible_values = true)]
    deny: Vec<Code>,

    /// Fail where there would be a warning
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true)]
    strict: Option<bool>,

    /// The runtime that the model is for: onnxruntime, onnxruntime:RELEASE (that one and newer), openvino, qnn,
    /// tensorrt, coreml, generic, or a TOML file of rules [default: onnxruntime]
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,

    /// Type that activations are stored as; with int8, onnxruntime on x86 leaves convolutions float
    /// whose result has several readers. dynamic: each run finds their scales, for products and LSTM;
    /// no samples are needed. float: they stay float, and samples decide how weights are rounded
    /// [default: uint8, and float where no integer kernel takes weights as they are asked for]
    #[arg(long, value_name = "TYPE", value_parser = one_of(ActivationType::NAMES), help_heading = ACTIVATIONS)]
    activations: Option<ActivationType>,

    /// Have real zero in the middle of the integers; slower where a Relu stays for it
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true, help_heading = ACTIVATIONS)]
    symmetric_activations: Option<bool>,

    /// The type of tensors by name, weights or activations, whatever the others have, for targets with kernels of
    /// several types; of several that match, the last counts (may be repeated)
    #[arg(long, value_name = "PATTERN=TYPE", help_heading = ACTIVATIONS)]
    tensor_type: Vec<TensorType>,

    /// Leave the scales of weights as they are where a bias is too large for the product of scales that is its own: it
    /// stays float then, and its layer may too
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true, help_heading = ACTIVATIONS)]
    keep_weight_scales: Option<bool>,

    /// Give the weights of integer kernels 7 of 8 bits: for processors without VNNI if accuracy drops
    /// there, as their 16-bit sums of two products saturate otherwise
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true, help_heading = ACTIVATIONS)]
    reduce_range: Option<bool>,

    /// Store the weights of layers that stay float as this type, where activations are quantized: smaller,
    /// but made floats again when the model runs
    #[arg(long, value_name = "TYPE", value_parser = one_of(WeightType::NAMES), help_heading = ACTIVATIONS)]
    store_float_layers: Option<WeightType>,

    // What the default is, the library says.
    #[arg(long, value_name = "METHOD", help = calibration_help(), help_heading = ACTIVATIONS)]
    calibration: Option<CalibrationMethod>,

    /// What decides which operators compute in integers: speed, by which what would be no faster stays float, or size, by
    /// which all that can does; accuracy is as speed, and with --tune takes the most accurate of the fastest
    /// [default: speed]
    #[arg(long, value_name = "WHAT", value_parser = one_of(Preference::NAMES), help_heading = ACTIVATIONS)]
    prefer: Option<Preference>,

    /// What kernels take on the machine that the model will run on, by which it is decided what computes in integers: a
    /// file that `cargo bench --bench costs` writes [default: a processor with AVX-512 and VNNI]
    #[arg(long, value_name = "FILE", help_heading = ACTIVATIONS)]
    costs: Option<PathBuf>,

    /// Quantize in several ways, run and time all of them in onnxruntime beside the float model, and write the fastest
    /// that is accurate enough, or the float model as it is; takes --onnxruntime, or $ORT_DYLIB_PATH
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true, help_heading = ACTIVATIONS)]
    tune: Option<bool>,

    /// Time on so many threads of onnxruntime [default: 1]
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = ACTIVATIONS)]
    tune_threads: Option<NonZeroUsize>,

    /// How much is done for accuracy: a fourth of the samples is held back (of 8 and more), other ranges are tried and measured by
    /// them, and layers that cost too much stay float; off goes by rules alone [default: balanced]
    #[arg(long, value_name = "HOW", value_parser = one_of(Effort::NAMES), help_heading = ACTIVATIONS)]
    accuracy: Option<Effort>,

    /// The least signal to noise that the worst output is to have, measured on samples that are held back
    /// [default: 20, and 30 with --accuracy high]
    #[arg(long, value_name = "DB", help_heading = ACTIVATIONS)]
    min_sqnr: Option<f64>,

    /// Take at most the first N samples
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = ACTIVATIONS)]
    max_samples: Option<NonZeroUsize>,

    /// What runs the model: rten is built in, onnxruntime has more operators and needs its library, auto takes
    /// onnxruntime where rten refuses and a library is found [default: auto]
    #[arg(long, value_name = "ENGINE", help_heading = ACTIVATIONS)]
    engine: Option<EngineName>,
}

fn calibration_help() -> String {
    let default = CalibrationMethod::default();
    format!(
        "How the range of an activation is chosen: auto, minmax, moving-average, percentile[:P], entropy or mse [default: {default}]"
    )
}

impl Settings {
    /// Whether nothing is measured.
    pub fn is_off(&self) -> bool {
        self.accuracy == Some(Effort::Off)
    }

    /// The first option that was given of those that are about samples only.
    pub fn of_samples(&self) -> Option<&'static str> {
        let given = [
            ("--max-samples", self.max_samples.is_some()),
            ("--accuracy", self.accuracy.is_some()),
            ("--min-sqnr", self.min_sqnr.is_some()),
            ("--engine", self.engine.is_some()),
            ("--tune", self.is_tuned()),
            ("--tune-threads", self.tune_threads.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }

    /// The first option that was given of those that are about activations only.
    pub fn of_activations(&self) -> Option<&'static str> {
        self.of_integers().or(self.activations.map(|_| "--activations"))
    }

    /// The first option that was given of those that are about activations whose ranges are known only.
    pub fn of_ranges(&self) -> Option<&'static str> {
        let given = [
            ("--symmetric-activations", self.symmetric_activations.is_some()),
            ("--calibration", self.calibration.is_some()),
            ("--tensor-type", !self.tensor_type.is_empty()),
            ("--keep-weight-scales", self.keep_weight_scales.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }

    /// The first option that was given of those that are about integers between layers only.
    pub fn of_integers(&self) -> Option<&'static str> {
        let given = [
            ("--prefer", self.prefer.is_some()),
            ("--costs", self.costs.is_some()),
            ("--tune", self.is_tuned()),
            ("--reduce-range", self.reduce_range.is_some()),
            ("--store-float-layers", self.store_float_layers.is_some()),
        ];
        self.of_ranges().or_else(|| given.into_iter().find(|(_, given)| *given).map(|(option, _)| option))
    }

    /// Whether several ways are timed.
    pub fn is_tuned(&self) -> bool {
        self.tune.unwrap_or_default()
    }

    /// On how many threads, if they are.
    pub fn tuned_on(&self) -> Option<usize> {
        self.is_tuned().then_some(self.tune_threads.map_or(1, NonZeroUsize::get))
    }

    /// Whether each run finds the scales of activations.
    pub fn is_dynamic(&self) -> bool {
        self.activations == Some(ActivationType::Dynamic)
    }

    /// With onnxruntime as engine where its library is named.
    pub fn with_engine_of(mut self, onnxruntime: Option<&Path>) -> Result<Self, Failure> {
        if onnxruntime.is_some() {
            let engine = *self.engine.get_or_insert(EngineName::Onnxruntime);
            if engine != EngineName::Onnxruntime {
                return Err(Failure::Usage("--onnxruntime makes no sense with another --engine".to_owned()));
            }
        }
        Ok(self)
    }

    /// How many samples to take at most.
    pub fn max_samples(&self) -> Option<NonZeroUsize> {
        self.max_samples
    }

    /// Whether the model is to say where it came from.
    pub fn provenance(&self) -> bool {
        !self.no_provenance.unwrap_or_default()
    }

    /// What is to run the model: onnxruntime where it is timed there.
    pub fn engine(&self) -> EngineName {
        self.engine.unwrap_or(if self.is_tuned() { EngineName::Onnxruntime } else { EngineName::default() })
    }

    /// These settings, and where they are silent those of a file, if there is one.
    pub fn with_file(self, file: Option<&Path>) -> Result<Self, Failure> {
        match file {
            Some(file) => Ok(self.over(Self::read(file)?)),
            None => Ok(self),
        }
    }

    /// Reads a TOML file.
    fn read(path: &Path) -> Result<Self, Failure> {
        let wrong = |error: &dyn std::fmt::Display| Failure::Failed(format!("{}: {error}", path.display()).into());
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        toml::from_str(&text).map_err(|error| wrong(&error))
    }

    /// These settings, and where they are silent those of `file`. Patterns and codes add up.
    fn over(mut self, mut file: Self) -> Self {
        file.include.append(&mut self.include);
        file.exclude.append(&mut self.exclude);
        file.rule.append(&mut self.rule);
        file.deny.append(&mut self.deny);
        file.tensor_type.append(&mut self.tensor_type);
        Self {
            weights: self.weights.or(file.weights),
            granularity: self.granularity.or(file.granularity),
            asymmetric: self.asymmetric.or(file.asymmetric),
            weight_scales: self.weight_scales.or(file.weight_scales),
            weight_form: self.weight_form.or(file.weight_form),
            accuracy_level: self.accuracy_level.or(file.accuracy_level),
            include: file.include,
            exclude: file.exclude,
            min_elements: self.min_elements.or(file.min_elements),
            allow_growth: self.allow_growth.or(file.allow_growth),
            keep_overridable: self.keep_overridable.or(file.keep_overridable),
            rule: file.rule,
            trained_pairs: self.trained_pairs.or(file.trained_pairs),
            external_data: self.external_data.or(file.external_data),
            no_provenance: self.no_provenance.or(file.no_provenance),
            deny: file.deny,
            strict: self.strict.or(file.strict),
            activations: self.activations.or(file.activations),
            symmetric_activations: self.symmetric_activations.or(file.symmetric_activations),
            tensor_type: file.tensor_type,
            keep_weight_scales: self.keep_weight_scales.or(file.keep_weight_scales),
            reduce_range: self.reduce_range.or(file.reduce_range),
            store_float_layers: self.store_float_layers.or(file.store_float_layers),
            calibration: self.calibration.or(file.calibration),
            prefer: self.prefer.or(file.prefer),
            costs: self.costs.or(file.costs),
            tune: self.tune.or(file.tune),
            tune_threads: self.tune_threads.or(file.tune_threads),
            accuracy: self.accuracy.or(file.accuracy),
            min_sqnr: self.min_sqnr.or(file.min_sqnr),
            max_samples: self.max_samples.or(file.max_samples),
            target: self.target.or(file.target),
            engine: self.engine.or(file.engine),
        }
    }

    /// As the library takes them.
    ///
    /// # Errors
    /// The target is not known, or not of the form of one.
    pub fn into_parts(self, measure_error: bool) -> Result<(Config, SaveOptions), Failure> {
        let target = self.target.as_deref().map(str::parse).transpose();
        let suiting = Config::for_target(
            target.map_err(|error: onnx_quant::Error| Failure::Usage(error.to_string()))?.unwrap_or_default(),
        );
        let costs = self.costs.as_deref().map(Costs::from_file).transpose()?.map(Arc::new);
        let config = Config::default()
            .with_costs(costs)
            .with_weights(self.weights.unwrap_or(suiting.weights))
            .with_granularity(self.granularity.unwrap_or_default())
            .with_asymmetric(self.asymmetric.unwrap_or_default())
            .with_weight_scales(self.weight_scales)
            .with_weight_form(self.weight_form.unwrap_or_default())
            .with_accuracy_level(self.accuracy_level)
            .with_include(flat(self.include))
            .with_exclude(flat(self.exclude))
            .with_min_elements(self.min_elements.unwrap_or_default())
            .with_allow_growth(self.allow_growth.unwrap_or_default())
            .with_keep_overridable(self.keep_overridable.unwrap_or_default())
            .with_rules(self.rule)
            .with_trained_pairs(self.trained_pairs.unwrap_or_default())
            .with_activations(
                Activations::default()
                    .with_ty(self.activations.unwrap_or(suiting.activations.ty))
                    .with_symmetric(self.symmetric_activations.unwrap_or(suiting.activations.symmetric))
                    .with_reduce_range(self.reduce_range.unwrap_or_default())
                    .with_keep_weight_scales(self.keep_weight_scales.unwrap_or_default())
                    .with_method(self.calibration.unwrap_or_default()),
            )
            .with_tensor_types(self.tensor_type)
            .with_prefer(self.prefer.unwrap_or_default())
            .with_accuracy(self.accuracy.unwrap_or_default())
            .with_min_sqnr_db(self.min_sqnr)
            .with_store_float_layers(self.store_float_layers)
            .with_target(suiting.target)
            .with_measure_error(measure_error)
            .with_deny(self.deny)
            .with_strict(self.strict.unwrap_or_default());
        let config = match self.activations {
            None if !config.has_weights_of_kernels() => {
                let float = config.activations.clone().with_ty(ActivationType::Float);
                config.with_activations(float)
            }
            _ => config,
        };
        let options = SaveOptions::default().with_external_data(self.external_data.unwrap_or_default());
        Ok((config, options))
    }
}

/// Patterns as one option gives them.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct Patterns(Vec<Pattern>);

impl FromStr for Patterns {
    type Err = onnx_quant::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Pattern::list(text).map(Self)
    }
}

impl TryFrom<String> for Patterns {
    type Error = onnx_quant::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

fn flat(lists: Vec<Patterns>) -> Vec<Pattern> {
    lists.into_iter().flat_map(|list| list.0).collect()
}

fn at_least_one(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "it is to be a whole number from 1 on".to_owned())
}

/// One of the names that a type lists.
pub fn one_of<T>(names: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T>
where
    T: FromStr + Copy + Send + Sync + 'static,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    PossibleValuesParser::new(names.iter().map(|(name, _)| *name)).try_map(|name| name.parse::<T>())
}
