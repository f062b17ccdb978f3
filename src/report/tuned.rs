//! Ways to quantize a model that were written, run and timed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What was tried, and what was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Tuned {
    /// What a run of the float model takes, simplified, in microseconds.
    pub float_us: f64,
    /// Bytes of its tensors.
    pub float_bytes: usize,
    /// The ways that were tried, in the order of their trial.
    pub plans: Vec<TunedPlan>,
}

/// One way to quantize a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TunedPlan {
    /// Which.
    pub way: Way,
    /// Whether it was taken.
    pub taken: bool,
    /// A run over a run of the float model; absent where it was not timed.
    pub time: Option<f64>,
    /// Bytes of its tensors; absent where it could not be written.
    pub bytes: Option<usize>,
    /// Signal to noise of its worst output, in dB; absent where it was not measured.
    pub worst_db: Option<f64>,
    /// Why it was not taken; absent where it was.
    pub why_not: Option<String>,
}

/// A way to quantize a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Way {
    /// Layers compute in integers where that is faster by estimate.
    Placed,
    /// All layers compute in integers that can.
    AllInteger,
    /// Products compute in integers, with scales that each run finds.
    Dynamic,
    /// Weights are small; all computes in float.
    WeightsOnly,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Placed => "integers where they are faster by estimate",
            Self::AllInteger => "all in integers that can be",
            Self::Dynamic => "dynamic activations",
            Self::WeightsOnly => "weights only",
        })
    }
}
