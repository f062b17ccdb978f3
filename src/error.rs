//! What went wrong, where, and what to do about it.
//!
//! An [`Error`] is a kind and a location. The layer that finds a fault knows its kind; the layers
//! above add where it was: the operator, the graph it stands in, the file.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::findings::Code;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure: what went wrong ([`ErrorKind`]) and where ([`Location`]).
///
/// ```
/// let error = onnx_quant::Model::from_bytes(vec![0xff].into()).unwrap_err();
/// assert!(error.to_string().contains("not an ONNX model"));
/// ```
#[derive(Debug)]
pub struct Error {
    kind: Box<ErrorKind>,
    location: Box<Location>,
}

/// What went wrong. The message of each kind ends with what to do, where something can be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file could not be read.
    #[error("cannot be read")]
    Read(#[source] io::Error),
    /// A file could not be written; nothing was left behind.
    #[error("cannot be written; nothing was left behind")]
    Write(#[source] io::Error),
    /// The bytes are no `ModelProto`.
    #[error("not an ONNX model (a protobuf ModelProto); is the file complete?")]
    Decode(#[source] prost::DecodeError),
    /// A text is no model in the ONNX textual syntax.
    #[error("line {line}, column {column}: {message}")]
    Text {
        /// The line where that was seen, from 1.
        line: usize,
        /// The character in that line, from 1.
        column: usize,
        /// What was expected and what was found.
        message: String,
        /// The line, and below it a mark where it happened.
        excerpt: String,
    },
    /// A text has a digest, or `...`, in the place of the elements of tensors.
    #[error(
        "the text has no elements of {}; `print --elements all` has them, or let `parse --fill random` \
         (`ParseOptions::fill`) make some up",
        listed(.tensors)
    )]
    Elided {
        /// The tensors' names.
        tensors: Vec<String>,
    },
    /// The model breaks a rule of the format.
    #[error("{0}")]
    Invalid(String),
    /// A tensor's data does not fit its type and shape.
    #[error("tensor '{tensor}': {reason}")]
    Tensor {
        /// The tensor's name.
        tensor: String,
        /// What does not fit.
        reason: String,
    },
    /// External data that cannot or must not be read.
    #[error("tensor '{tensor}': external data '{location}' {reason}")]
    ExternalData {
        /// The tensor's name.
        tensor: String,
        /// The file it names, as written in the model.
        location: String,
        /// Why it is refused.
        reason: String,
    },
    /// The model's opset cannot hold what was asked for.
    #[error("opset {found} has no DequantizeLinear for that; opset {needed} has")]
    Opset {
        /// The model's opset.
        found: i64,
        /// The lowest that would do.
        needed: i64,
    },
    /// An operator that a newer opset has no form for, or none that can be told from the file.
    #[error("cannot be carried over to opset {to}: {reason}")]
    Upgrade {
        /// The opset at which it changed.
        to: i64,
        /// What stands in the way, and what to do.
        reason: String,
    },
    /// Calibration samples that are not there, cannot be understood, or do not fit the model.
    #[error("{0}")]
    Sample(String),
    /// The configuration is wrong.
    #[error("{0}")]
    Config(String),
    /// A pattern matches nothing in the model: mostly a misspelt name.
    #[error("pattern '{pattern}' matches no weight, and no operator by name or type{}", spelled_like(near))]
    UnmatchedPattern {
        /// The pattern.
        pattern: String,
        /// Names and types in the model that are spelled like it.
        near: Vec<String>,
    },
    /// An engine cannot be had, or cannot run the model.
    #[error("{engine} {reason}")]
    Engine {
        /// Its name.
        engine: &'static str,
        /// What it cannot, why, and what to do.
        reason: String,
    },
    /// The model could not be run with a calibration sample; nothing was kept of those before it.
    #[error("sample {number} ({origin}): {reason}")]
    SampleRun {
        /// Which sample, from 1.
        number: usize,
        /// Where it came from.
        origin: String,
        /// What went wrong.
        reason: String,
    },
    /// Whoever asked for a run over samples ended it.
    #[error("ended after {samples} runs, as was asked for")]
    Cancelled {
        /// How many had been run.
        samples: usize,
    },
    /// Something was found that the configuration does not put up with.
    #[error("{message} ({code} is denied)")]
    Denied {
        /// What it is.
        code: Code,
        /// It in words.
        message: String,
    },
    /// The output cannot have the form that was asked for.
    #[error("{0}")]
    Output(String),
}

impl ErrorKind {
    /// What it is, by a name that stays when the words of messages change.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(_) => "read",
            Self::Write(_) => "write",
            Self::Decode(_) => "not-a-model",
            Self::Text { .. } => "text",
            Self::Elided { .. } => "elided",
            Self::Invalid(_) => "invalid",
            Self::Tensor { .. } => "tensor",
            Self::ExternalData { .. } => "external-data",
            Self::Opset { .. } => "opset",
            Self::Upgrade { .. } => "upgrade",
            Self::Sample(_) => "sample",
            Self::Config(_) => "config",
            Self::UnmatchedPattern { .. } => "unmatched-pattern",
            Self::Engine { .. } => "engine",
            Self::SampleRun { .. } => "sample-run",
            Self::Cancelled { .. } => "cancelled",
            Self::Denied { .. } => "denied",
            Self::Output(_) => "output",
        }
    }
}

/// What may have been meant.
fn spelled_like(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => {
            let names: Vec<String> = near.iter().map(|name| format!("'{name}'")).collect();
            format!("; spelled like it: {}", names.join(", "))
        }
    }
}

/// Where it went wrong. Every part is optional.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Location {
    /// The file.
    pub file: Option<PathBuf>,
    /// The way through nested bodies, outermost first, e.g. `If 'gate'.then_branch`.
    pub path: Vec<String>,
    /// The operator: type and name, e.g. `Conv 'layer1/conv'`.
    pub operator: Option<String>,
}

impl Error {
    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Where it went wrong.
    pub fn location(&self) -> &Location {
        &self.location
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        ErrorKind::Invalid(message.into()).into()
    }

    pub(crate) fn tensor(tensor: &str, reason: impl Into<String>) -> Self {
        ErrorKind::Tensor { tensor: tensor.into(), reason: reason.into() }.into()
    }

    pub(crate) fn sample(reason: impl Into<String>) -> Self {
        ErrorKind::Sample(reason.into()).into()
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        ErrorKind::Config(message.into()).into()
    }

    #[cfg(any(feature = "rten", feature = "onnxruntime"))]
    pub(crate) fn engine(engine: &'static str, reason: impl Into<String>) -> Self {
        ErrorKind::Engine { engine, reason: reason.into() }.into()
    }

    /// Says with which calibration sample it happened.
    pub(crate) fn in_sample(self, number: usize, origin: &str) -> Self {
        let kind = ErrorKind::SampleRun { number, origin: origin.to_owned(), reason: self.kind.to_string() };
        Self { kind: Box::new(kind), location: self.location }
    }

    /// The same at a place in a model, unless one is named already.
    #[cfg(feature = "rten")]
    #[must_use]
    pub(crate) fn located(mut self, location: Location) -> Self {
        self.location.file = self.location.file.or(location.file);
        self.at(location.path, location.operator)
    }

    /// Says which file it was, unless a file is named already.
    #[must_use]
    pub fn in_file(mut self, file: impl AsRef<Path>) -> Self {
        self.location.file.get_or_insert_with(|| file.as_ref().to_owned());
        self
    }

    /// Says which part of the samples it was, in front of what is wrong with it.
    #[must_use]
    pub(crate) fn of_sample_part(mut self, part: impl fmt::Display) -> Self {
        if let ErrorKind::Sample(reason) = &mut *self.kind {
            *reason = format!("{part} {reason}");
        }
        self
    }

    /// Says what would do where a newer opset cannot be reached.
    #[must_use]
    pub(crate) fn with_way_out(mut self, way_out: Option<String>) -> Self {
        if let (ErrorKind::Upgrade { reason, .. }, Some(way_out)) = (&mut *self.kind, way_out) {
            *reason = format!("{reason}; {way_out}");
        }
        self
    }

    /// The same where the file goes without saying.
    #[must_use]
    pub(crate) fn without_file(mut self) -> Self {
        self.location.file = None;
        self
    }

    pub(crate) fn at(mut self, path: Vec<String>, operator: Option<String>) -> Self {
        if self.location.path.is_empty() && self.location.operator.is_none() {
            self.location.path = path;
            self.location.operator = operator;
        }
        self
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind: Box::new(kind), location: Box::default() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.location.file {
            write!(f, "{}: ", Readable(&file.display().to_string(), MAX_PATH))?;
        }
        for step in self.location.path.iter().chain(&self.location.operator) {
            write!(f, "{}: ", Readable(step, 200))?;
        }
        match &*self.kind {
            // Speaks of what the user wrote, not of names in a model.
            kind @ ErrorKind::Config(_) => write!(f, "{kind}"),
            kind @ ErrorKind::Text { excerpt, .. } => write!(f, "{}\n{excerpt}", Readable(&kind.to_string(), 1000)),
            kind => write!(f, "{}", Readable(&kind.to_string(), 1000)),
        }
    }
}

/// The first of some names, and how many there are besides.
fn listed(names: &[String]) -> String {
    const LISTED: usize = 8;
    let first: Vec<String> = names.iter().take(LISTED).map(|name| format!("'{name}'")).collect();
    match names.len().saturating_sub(LISTED) {
        0 => first.join(", "),
        others => format!("{} and {others} more", first.join(", ")),
    }
}

/// What systems take for a path.
const MAX_PATH: usize = 4096;

/// A text with names from a model, which may hold anything: what would steer a terminal is spelled
/// out, and the middle of what nobody would read to its end is left out.
struct Readable<'a>(&'a str, usize);

impl fmt::Display for Readable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, longest) = *self;
        let count = text.chars().count();
        let left_out = if count > longest { longest / 2..count - longest / 2 } else { 0..0 };
        for (index, character) in text.chars().enumerate() {
            if index == left_out.start && !left_out.is_empty() {
                f.write_str("[...]")?;
            }
            match character {
                _ if left_out.contains(&index) => {}
                character if character.is_control() => write!(f, "{}", character.escape_default())?,
                character => write!(f, "{character}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The kind's own message is part of this error's; only what lies beneath it is a cause.
        std::error::Error::source(&*self.kind)
    }
}
