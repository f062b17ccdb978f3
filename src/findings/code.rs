//! What a finding is, by a name that stays.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! codes {
    ($($(#[$doc:meta])+ $code:ident = $name:literal,)+) => {
        /// What a finding is. The names stay when the words of messages change: pipelines ask for them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])+ $code,)+
        }

        impl Code {
            /// All codes with their names.
            pub const NAMES: &[(&'static str, Self)] = &[$(($name, Self::$code)),+];

            /// Its name, e.g. `dequantized-every-run`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)+
                }
            }
        }
    };
}

codes! {
    /// The target does not load what is written, or may not.
    DoesNotLoad = "does-not-load",
    /// A kernel computes something else than the file says.
    ComputedOtherwise = "computed-otherwise",
    /// Each run dequantizes a weight.
    DequantizedEveryRun = "dequantized-every-run",
    /// What is quantized around an operator does not fit its kernel, so that it computes in float.
    NotFused = "not-fused",
    /// Nothing computes in integers though activations are quantized.
    NothingInIntegers = "nothing-in-integers",
    /// Integers are estimated to be no faster than floats.
    NoFaster = "no-faster",
    /// A pattern matches nothing that it could choose.
    UnmatchedPattern = "unmatched-pattern",
    /// Ranges are of values that the model has not.
    UnknownRanges = "unknown-ranges",
    /// Few of the values that would be quantized have a range.
    FewRanges = "few-ranges",
    /// Samples are random numbers.
    RandomSamples = "random-samples",
    /// Files among those of samples gave none.
    SkippedSamples = "skipped-samples",
    /// The built-in engine does not run the model, and another one did.
    EngineReplaced = "engine-replaced",
    /// Fields of the file that are not known, and not in the output.
    UnknownFields = "unknown-fields",
    /// The opset could not be raised as far as the best form needs.
    OpsetNotRaised = "opset-not-raised",
    /// The opset was raised.
    OpsetRaised = "opset-raised",
    /// The default operators are imported in several versions.
    SeveralOpsets = "several-opsets",
    /// Sizes are open that the target must know.
    DynamicShapes = "dynamic-shapes",
    /// Only newer releases of the target have the opset.
    NeedsRelease = "needs-release",
    /// Initializers are no graph inputs any more.
    NoLongerInputs = "no-longer-inputs",
    /// Half floats became float32.
    Widened = "widened",
    /// Pairs were repeated so that the target loads the model.
    PairsRepeated = "pairs-repeated",
    /// There are operators of integers already.
    AlreadyQuantized = "already-quantized",
    /// A quantized weight is a graph output too.
    OutputDequantized = "output-dequantized",
    /// A weight is stored several times.
    StoredTwice = "stored-twice",
    /// Outputs of the quantized model differ from the float model's by more than was asked for.
    Inaccurate = "inaccurate",
    /// A quantized model was run and measured before it was written.
    Measured = "measured",
    /// Weights were rounded so that their errors cancel out.
    Compensated = "compensated",
    /// Activations stay float, since no integer kernel takes such weights.
    FloatActivations = "float-activations",
    /// Several ways to quantize were timed, and the fastest taken, or none.
    Tuned = "tuned",
    /// A quantized model was not run before it was written.
    NotMeasured = "not-measured",
    /// Outputs could not be compared with the float model's.
    NotCompared = "not-compared",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(de::Error::custom)
    }
}

/// Why a text is no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no finding's code")]
pub struct UnknownCode(String);

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let known = Self::NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, code)| *code).ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Code {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Code".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = Self::NAMES.iter().map(|(name, _)| *name).collect();
        schemars::json_schema!({ "type": "string", "enum": names })
    }
}
