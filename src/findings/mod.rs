//! What a user should know of a model, of its quantization, or of what a runtime makes of it.
//!
//! Whoever finds something out states it as a [`Fact`]: data, without a sentence. `explain` alone has the
//! words, and makes a [`Finding`] of it: the same with a code that pipelines can ask for, the subjects, a
//! message, and what would mend it.

mod code;
mod fact;

use serde::{Deserialize, Serialize};

pub use code::{Code, UnknownCode};
pub use fact::{Fact, SlowOperators};

/// One thing that a user should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Finding {
    /// What it is.
    pub code: Code,
    /// How serious it is.
    pub severity: Severity,
    /// The operators, values, weights or patterns that it is about; none where it is about the model.
    pub subjects: Vec<String>,
    /// The elements that each run converts, or computes in float, for it; 0 where that is not known or not the
    /// point.
    pub elements: usize,
    /// It in words.
    pub message: String,
    /// What would mend it; empty where there is nothing to be mended.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
}

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// What was done besides, or what to expect.
    Note,
    /// What may not be as intended.
    Warning,
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
        })
    }
}
