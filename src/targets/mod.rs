//! What runtimes make of a quantized graph: facts that are read, and one function that judges by them.
//!
//! A [`Target`] is a file of rules (`data/*.toml`, or somebody's own) and the releases that are meant. Whether
//! an operator becomes an integer kernel is asked of [`Target::judge`], as the graph stands, or of
//! [`Target::kernel`], before there is a graph; both read the same rules, so that what is planned and what
//! is explained cannot differ. This room knows operators and graphs, no plan and no configuration, and makes
//! no sentences.

mod condition;
pub mod costs;
mod judge;
mod kernels;
pub mod onnxruntime;
mod release;
mod schema;
mod unit;

use std::{
    fs,
    path::Path,
    sync::{Arc, LazyLock},
};

pub use condition::{Along, Condition};
pub use judge::{Judgement, Lack, Unmet};
pub use kernels::Kernel;
pub use release::{NoRelease, Release, Releases};
pub use schema::{
    BiasForm, Checked, Description, ElementType, Form, Fusion, LoadStep, Mover, NewestOpset, Output, Pairs, Quirk,
    Role, Rule, Source, Step, Writes,
};
pub use unit::{Input, Output as UnitOutput, Quantized, Unit, is_dequantizer, is_quantizer, quantized};

use crate::{
    error::{Error, ErrorKind, Result},
    ir::{DataType, Model, OpId},
};

/// The targets that are known by name, with their files.
const KNOWN: &[(&str, &str)] = &[
    ("onnxruntime", include_str!("data/onnxruntime.toml")),
    ("openvino", include_str!("data/openvino.toml")),
    ("qnn", include_str!("data/qnn.toml")),
    ("tensorrt", include_str!("data/tensorrt.toml")),
    ("coreml", include_str!("data/coreml.toml")),
    ("generic", include_str!("data/generic.toml")),
];

/// The one that is meant where none is named.
static DEFAULT: LazyLock<Target> =
    LazyLock::new(|| Target::from_toml(KNOWN[0].1).expect("the files of this crate are checked by its tests"));

/// A runtime, and the releases of it that are meant.
///
/// ```
/// use onnx_quant::targets::Target;
/// let all: Target = "onnxruntime".parse()?;
/// let newer: Target = "onnxruntime:1.25".parse()?;
/// let count = |target: &Target| target.description().rules.iter().filter(|rule| target.has(rule)).count();
/// assert!(count(&newer) > count(&all));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    description: Arc<Description>,
    oldest: Option<Release>,
    newest: Option<Release>,
    /// Whether a release was named.
    named: bool,
}

impl std::str::FromStr for Target {
    type Err = Error;

    /// `NAME` or `NAME:RELEASE`, which means that release and all after it; or the path of a file.
    fn from_str(text: &str) -> Result<Self> {
        if text.ends_with(".toml") {
            return Self::from_file(text.as_ref());
        }
        let (name, release) = text.split_once(':').map_or((text, None), |(name, release)| (name, Some(release)));
        let Some((_, file)) = KNOWN.iter().find(|(known, _)| *known == name) else {
            let names: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
            return Err(Error::config(format!(
                "'{name}' is no target that is known; there are {}, and files that end in .toml",
                names.join(", ")
            )));
        };
        let target = Self::from_toml(file)?;
        match release {
            None => Ok(target),
            Some(release) => {
                target.since(release.parse().map_err(|error: NoRelease| Error::config(error.to_string()))?)
            }
        }
    }
}

impl Default for Target {
    /// onnxruntime, all releases that are known.
    fn default() -> Self {
        DEFAULT.clone()
    }
}

impl Target {
    /// The names of those that are known.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|(name, _)| *name)
    }

    /// Whether it has a quirk.
    pub fn has_quirk(&self, quirk: Quirk) -> bool {
        self.description.quirks.contains(&quirk)
    }

    /// Whether it has integer kernels for activations of a type.
    pub fn computes_with(&self, activations: DataType) -> bool {
        self.description.writes.activations.iter().any(|known| known.0 == activations)
    }

    /// What suits it.
    pub fn writes(&self) -> &Writes {
        &self.description.writes
    }

    /// Reads a target from the text of its file. All its releases are meant.
    ///
    /// # Errors
    /// The text is no TOML, or not of the form of a [`Description`].
    pub fn from_toml(text: &str) -> Result<Self> {
        let description: Description =
            toml::from_str(text).map_err(|error| Error::config(format!("not a target's file: {error}")))?;
        let (oldest, newest) = (description.releases.first().copied(), description.releases.last().copied());
        Ok(Self { description: Arc::new(description), oldest, newest, named: false })
    }

    /// Reads a target from a file.
    ///
    /// # Errors
    /// The file cannot be read, or as for [`from_toml`](Self::from_toml).
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| Error::from(ErrorKind::Read(error)).in_file(path))?;
        Self::from_toml(&text).map_err(|error| error.in_file(path))
    }

    /// The same from a release on.
    ///
    /// # Errors
    /// The target has no releases, or none so new.
    pub fn since(mut self, release: Release) -> Result<Self> {
        let (name, Some(oldest), Some(newest)) = (&self.description.name, self.oldest, self.newest) else {
            return Err(Error::config(format!("'{}' has no releases to choose from", self.description.name)));
        };
        if release < oldest {
            return Err(Error::config(format!(
                "nothing is known of {name} {release}: its releases begin with {oldest}"
            )));
        }
        self.named = true;
        self.oldest = Some(release);
        self.newest = Some(newest.max(release));
        Ok(self)
    }

    /// One release alone: the one that was named, or the newest.
    #[must_use]
    pub fn one_release(mut self) -> Self {
        let one = if self.named { self.oldest } else { self.newest };
        (self.oldest, self.newest) = (one, one);
        self
    }

    /// What its file says.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.description.name
    }

    /// The oldest and the newest release that are meant.
    pub fn releases(&self) -> Option<(Release, Release)> {
        self.oldest.zip(self.newest)
    }

    /// Whether all releases that are meant have a rule.
    pub fn has(&self, rule: &Rule) -> bool {
        self.in_all(rule.releases())
    }

    /// What all releases that are meant change when they load a model, in order.
    pub fn steps(&self) -> impl Iterator<Item = Step> {
        let known = self.description.at_load.iter();
        known.filter(|it| self.in_all(Releases { since: it.since, until: it.until })).map(|it| it.step)
    }

    /// What operators become together in all releases that are meant.
    pub fn fusions(&self) -> impl Iterator<Item = &schema::Fusion> {
        self.description.fusions.iter().filter(|it| self.in_all(Releases { since: it.since, until: None }))
    }

    fn in_all(&self, releases: Releases) -> bool {
        [self.oldest, self.newest].into_iter().flatten().all(|release| releases.contains(release))
    }

    /// The newest opset whose QuantizeLinear and DequantizeLinear all releases that are meant have.
    pub fn newest_opset(&self) -> Option<i64> {
        self.newest_opset_of(self.oldest)
    }

    /// The first release that has QuantizeLinear and DequantizeLinear of an opset, where they are not in all that are
    /// meant; or else that none has them, with the newest opset that there is.
    pub fn release_of_opset(&self, opset: i64) -> Option<Result<Release, i64>> {
        self.newest_opset().filter(|&common| opset > common)?;
        let newest = self.newest_opset_of(self.newest)?;
        let known = self.description.opsets.iter().filter(|known| known.newest >= opset);
        let first = known.map(|known| known.since).min().filter(|_| opset <= newest);
        Some(first.ok_or(newest))
    }

    fn newest_opset_of(&self, release: Option<Release>) -> Option<i64> {
        let known = self.description.opsets.iter();
        known.filter(|opset| release.is_none_or(|release| opset.since <= release)).map(|opset| opset.newest).max()
    }

    /// Whether its DequantizeLinear takes elements of a type with scales of another.
    pub fn dequantizes(&self, stored: DataType, scale: DataType) -> bool {
        let takes = |types: &[ElementType], dtype| types.is_empty() || types.iter().any(|known| known.0 == dtype);
        takes(&self.description.dequantizes, stored) && takes(&self.description.scales, scale)
    }

    /// Whether an operator computes with integers as it stands in the file.
    pub fn is_integer_operator(&self, model: &Model, op: OpId) -> bool {
        let operator = model.op(op);
        let matches = |known: &String| match known.split_once(':') {
            Some((domain, op_type)) => domain == operator.domain() && op_type == operator.op_type(),
            None => operator.is(known),
        };
        model.called_function(op).is_none() && self.description.integer_operators.iter().any(matches)
    }
}
