//! What can be found out, as data.

use std::collections::BTreeMap;

use super::{Code, Severity};

/// What was found out, as data. Its `Display` is the sentence, its code and subjects are for programs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fact {
    /// A pattern matches something, but no weight and no operator that takes one, and so changes nothing.
    UnmatchedPattern {
        /// The pattern.
        pattern: String,
    },
    /// There are ranges of values that the model has not.
    UnknownRanges {
        /// How many ranges there are.
        all: usize,
        /// The names of those that fit no value.
        unknown: Vec<String>,
    },
    /// Most of the values that would be quantized have no range.
    FewRanges {
        /// How many values would be quantized.
        wanted: usize,
        /// The names of those without a range.
        without: Vec<String>,
    },
    /// Ranges are of samples that are random numbers.
    RandomSamples,
    /// Files among those of samples gave none.
    SkippedSamples {
        /// Each file, with what is wrong with it.
        skipped: Vec<String>,
    },
    /// Another engine ran the model than the one that is asked first.
    EngineReplaced {
        /// The engine that ran it.
        engine: &'static str,
        /// Why the other did not.
        reason: String,
    },
    /// Fields of the file that this version does not know, which are not in the output.
    UnknownFields {
        /// Messages and numbers of the fields.
        fields: Vec<String>,
    },
    /// A release of the target has no QuantizeLinear and DequantizeLinear of the model's opset.
    OpsetWithoutKernels {
        /// The target.
        target: String,
        /// Its release.
        release: String,
        /// The model's opset.
        opset: i64,
        /// The newest opset that it has kernels of.
        newest: i64,
    },
    /// The target has no kernel that takes weights of a type in this form.
    TypeWithoutKernel {
        /// The target.
        target: String,
        /// Its release.
        release: String,
        /// The type.
        dtype: &'static str,
    },
    /// A product of int8 activations that a vector is added to, at an opset where the target trips over it.
    Int8ProductNotLoaded {
        /// The target.
        target: String,
        /// The product.
        operator: String,
    },
    /// Products of half floats are zero where not all of the target's optimizations are on.
    ZeroHalves {
        /// The target.
        target: String,
        /// The products.
        operators: Vec<String>,
    },
    /// The target has no integer kernels for activations of a type.
    NoIntegerKernels {
        /// The target.
        target: String,
        /// The type.
        activations: String,
    },
    /// The target leaves layers float whose int8 result several operators read.
    Int8OfSeveralReaders {
        /// The target.
        target: String,
    },
    /// No layer computes in integers.
    NothingInIntegers,
    /// Layers stay float because integers gain no time there.
    LeftFloat {
        /// The target.
        target: String,
        /// These layers.
        layers: Vec<String>,
        /// How many layers compute in integers.
        integer: usize,
    },
    /// Integers gain nothing, as far as can be told beforehand.
    NoFaster {
        /// The target.
        target: String,
        /// Whether only processors without VNNI gain nothing.
        without_vnni: bool,
        /// Nanoseconds of the layers in float.
        float: f64,
        /// Nanoseconds that integer layers save; negative where they take more.
        saved: f64,
        /// Nanoseconds that the conversions around them take.
        conversions: f64,
        /// Whether depthwise convolutions are a good part of it.
        depthwise: bool,
    },
    /// Weights are dequantized on every run.
    DequantizedEveryRun {
        /// The target.
        target: String,
        /// The operators, by type.
        operators: BTreeMap<String, SlowOperators>,
        /// The elements of their weights.
        elements: usize,
    },
    /// The opset was raised.
    OpsetRaised {
        /// From this.
        from: i64,
        /// To this.
        to: i64,
        /// How many operators had to be rewritten, by the type that they had.
        rewritten: BTreeMap<String, usize>,
        /// Whether the IR version was one where all initializers had to be graph inputs.
        were_inputs: bool,
    },
    /// The opset could not be raised as far as the best form needs.
    OpsetNotRaised {
        /// Why.
        reason: String,
    },
    /// Inputs leave sizes open that the target must know when it loads the model.
    DynamicShapes {
        /// The target.
        target: String,
        /// The inputs.
        inputs: Vec<String>,
    },
    /// Only newer releases of the target have the model's opset.
    NeedsRelease {
        /// The target.
        target: String,
        /// The first release that has it.
        release: String,
        /// The opset.
        opset: i64,
    },
    /// The default operators are imported in several versions, of which the newest counts.
    SeveralOpsets {
        /// The versions, the newest last.
        versions: Vec<i64>,
    },
    /// The IR version wanted all initializers to be graph inputs, and was raised.
    OldIrVersion {
        /// The version it was.
        version: i64,
    },
    /// Initializers that gave graph inputs their default value do so no longer.
    NoLongerInputs {
        /// Their names.
        names: Vec<String>,
    },
    /// Half floats became float32.
    Widened,
    /// Pairs of QuantizeLinear and DequantizeLinear are repeated, because the target does not load the model without.
    PairsRepeated {
        /// The target.
        target: String,
        /// Its release.
        release: String,
        /// How many operators they are repeated behind.
        operators: usize,
    },
    /// Operators that read integers already.
    AlreadyQuantized {
        /// How many.
        operators: usize,
    },
    /// A quantized weight is a graph output too.
    OutputDequantized {
        /// Its name.
        weight: String,
    },
    /// A weight is stored several times, with scales along different axes.
    StoredTwice {
        /// Its name.
        weight: String,
        /// The axis of each copy's scales; `None` for a single scale.
        axes: Vec<Option<usize>>,
    },
    /// Outputs that are further from the float model's than was asked for.
    Inaccurate {
        /// The least signal to noise that was asked for, in dB.
        bound_db: f64,
        /// Their names, each with its signal to noise in dB.
        outputs: Vec<(String, f64)>,
    },
    /// A quantized model was run and measured before it was written.
    Measured {
        /// How many samples were held back for it.
        samples: usize,
        /// Signal to noise of the worst output by rules alone, in dB.
        before_db: f64,
        /// The same as it is written.
        after_db: f64,
        /// How many values got another range.
        ranges: usize,
        /// The layers that stay float for it.
        float: Vec<String>,
        /// How many layers computed in integers by rules alone.
        layers: usize,
    },
    /// Weights were rounded so that their errors cancel out, and the result was measured.
    Compensated {
        /// How many; none where it was no better.
        weights: usize,
        /// Of how many.
        of: usize,
        /// How many samples it was measured on.
        samples: usize,
        /// Whether these were held back.
        held_back: bool,
        /// Signal to noise of the worst output with each weight rounded by itself, in dB.
        before_db: f64,
        /// The same with errors that cancel out.
        after_db: f64,
    },
    /// The fastest of several ways to quantize was taken.
    Tuned {
        /// Which.
        way: String,
        /// A run over a run of the float model.
        time: f64,
        /// How many were timed.
        tried: usize,
    },
    /// The model stays float: no way to quantize it is faster and accurate enough.
    NothingFaster {
        /// How many ways were tried.
        tried: usize,
        /// What the worst output was to have of signal to noise, in dB.
        bound_db: f64,
    },
    /// Activations stay float, since no integer kernel takes weights of this form.
    FloatActivations {
        /// The form.
        weights: String,
    },
    /// A quantized model was not run before it was written.
    NotMeasured {
        /// Why.
        reason: String,
    },
    /// An output that was not compared.
    NotCompared {
        /// Its name.
        output: String,
        /// Why.
        reason: String,
    },
    /// What operators add by themselves was not measured.
    NotIsolated {
        /// Why.
        reason: String,
    },
}

/// Operators of one type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlowOperators {
    /// Their names, those that have one.
    pub names: Vec<String>,
    /// How many there are.
    pub count: usize,
}

impl Fact {
    /// What it is, by its name for programs.
    pub fn code(&self) -> Code {
        match self {
            Self::UnmatchedPattern { .. } => Code::UnmatchedPattern,
            Self::UnknownRanges { .. } => Code::UnknownRanges,
            Self::FewRanges { .. } => Code::FewRanges,
            Self::RandomSamples => Code::RandomSamples,
            Self::SkippedSamples { .. } => Code::SkippedSamples,
            Self::EngineReplaced { .. } => Code::EngineReplaced,
            Self::UnknownFields { .. } => Code::UnknownFields,
            Self::OpsetWithoutKernels { .. } | Self::TypeWithoutKernel { .. } | Self::Int8ProductNotLoaded { .. } => {
                Code::DoesNotLoad
            }
            Self::NoIntegerKernels { .. } | Self::Int8OfSeveralReaders { .. } => Code::NotFused,
            Self::ZeroHalves { .. } => Code::ComputedOtherwise,
            Self::NothingInIntegers => Code::NothingInIntegers,
            Self::NoFaster { .. } | Self::LeftFloat { .. } => Code::NoFaster,
            Self::DequantizedEveryRun { .. } => Code::DequantizedEveryRun,
            Self::OpsetRaised { .. } => Code::OpsetRaised,
            Self::OpsetNotRaised { .. } => Code::OpsetNotRaised,
            Self::DynamicShapes { .. } => Code::DynamicShapes,
            Self::NeedsRelease { .. } => Code::NeedsRelease,
            Self::SeveralOpsets { .. } => Code::SeveralOpsets,
            Self::OldIrVersion { .. } | Self::NoLongerInputs { .. } => Code::NoLongerInputs,
            Self::Widened => Code::Widened,
            Self::PairsRepeated { .. } => Code::PairsRepeated,
            Self::AlreadyQuantized { .. } => Code::AlreadyQuantized,
            Self::OutputDequantized { .. } => Code::OutputDequantized,
            Self::StoredTwice { .. } => Code::StoredTwice,
            Self::Inaccurate { .. } => Code::Inaccurate,
            Self::Measured { .. } => Code::Measured,
            Self::Compensated { .. } => Code::Compensated,
            Self::Tuned { .. } | Self::NothingFaster { .. } => Code::Tuned,
            Self::FloatActivations { .. } => Code::FloatActivations,
            Self::NotMeasured { .. } => Code::NotMeasured,
            Self::NotCompared { .. } | Self::NotIsolated { .. } => Code::NotCompared,
        }
    }

    /// How serious it is: what may not be as intended is a warning.
    pub fn severity(&self) -> Severity {
        match self {
            Self::UnknownRanges { .. }
            | Self::FewRanges { .. }
            | Self::RandomSamples
            | Self::SkippedSamples { .. }
            | Self::UnknownFields { .. }
            | Self::OpsetWithoutKernels { .. }
            | Self::TypeWithoutKernel { .. }
            | Self::Int8ProductNotLoaded { .. }
            | Self::NothingInIntegers
            | Self::DynamicShapes { .. }
            | Self::OpsetNotRaised { .. }
            | Self::Inaccurate { .. }
            | Self::NotCompared { .. } => Severity::Warning,
            _ => Severity::Note,
        }
    }

    /// The operators, values, weights or patterns that it is about; none where it is about the model.
    pub fn subjects(&self) -> Vec<String> {
        match self {
            Self::UnmatchedPattern { pattern } => vec![pattern.clone()],
            Self::DynamicShapes { inputs: names, .. }
            | Self::ZeroHalves { operators: names, .. }
            | Self::UnknownRanges { unknown: names, .. }
            | Self::FewRanges { without: names, .. }
            | Self::SkippedSamples { skipped: names }
            | Self::UnknownFields { fields: names }
            | Self::NoLongerInputs { names } => names.clone(),
            Self::DequantizedEveryRun { operators, .. } => {
                let described = |(op_type, slow): (&String, &SlowOperators)| {
                    let named = slow.names.iter().map(|name| format!("{op_type} '{name}'")).collect::<Vec<_>>();
                    let unnamed = slow.count - named.len();
                    named
                        .into_iter()
                        .chain(std::iter::repeat_n(format!("{op_type} (unnamed)"), unnamed))
                        .collect::<Vec<_>>()
                };
                operators.iter().flat_map(described).collect()
            }
            Self::Int8ProductNotLoaded { operator, .. } => vec![operator.clone()],
            Self::OutputDequantized { weight } | Self::StoredTwice { weight, .. } => vec![weight.clone()],
            Self::Inaccurate { outputs, .. } => outputs.iter().map(|(name, _)| name.clone()).collect(),
            Self::Measured { float, .. } => float.clone(),
            Self::NotCompared { output, .. } => vec![output.clone()],
            _ => Vec::new(),
        }
    }

    /// The elements that each run converts or computes in float for it, where that is the point.
    pub fn elements(&self) -> usize {
        match self {
            Self::DequantizedEveryRun { elements, .. } => *elements,
            _ => 0,
        }
    }
}
