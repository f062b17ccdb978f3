//! What holds for some weights, values and operators only: mixed precision.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer};

use super::{CalibrationMethod, Config, Granularity, Pattern, WeightScales, WeightType};
use crate::setters::setters;

/// What holds for what some patterns match, whatever the configuration says of the rest. Of several rules that say the
/// same kind of thing of one subject, the last one counts.
///
/// ```
/// use onnx_quant::{Config, Pattern, Rule, WeightType};
/// let rules = vec![
///     Rule::new(Pattern::list("*/attention/*")?).with_weights(Some(WeightType::Int8)),
///     Rule::new(Pattern::list("lm_head")?).with_float(Some(true)),
/// ];
/// let config = Config::default().with_weights(WeightType::Int4).with_rules(rules);
/// config.check()?;
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct Rule {
    /// What it holds for: names of weights, and names or types of operators; for [`calibration`](Self::calibration),
    /// names of values, and names or types of the operators that make them.
    #[serde(rename = "match", deserialize_with = "patterns")]
    pub patterns: Vec<Pattern>,
    /// Whether these operators stay float. `false` undoes what a rule before says.
    #[serde(default)]
    pub float: Option<bool>,
    /// The type that these weights are stored as.
    #[serde(default)]
    pub weights: Option<WeightType>,
    /// What shares a scale of these weights.
    #[serde(default)]
    pub granularity: Option<Granularity>,
    /// How the scales of these weights are chosen.
    #[serde(default)]
    pub weight_scales: Option<WeightScales>,
    /// How the ranges of these values are made of what was observed.
    #[serde(default)]
    pub calibration: Option<CalibrationMethod>,
}

setters!(Rule {
    with_float(float: Option<bool>),
    with_weights(weights: Option<WeightType>),
    with_granularity(granularity: Option<Granularity>),
    with_weight_scales(weight_scales: Option<WeightScales>),
    with_calibration(calibration: Option<CalibrationMethod>),
});

impl Rule {
    /// A rule that says nothing yet.
    pub fn new(patterns: Vec<Pattern>) -> Self {
        Self { patterns, ..Self::default() }
    }

    /// The first subject that a pattern matches, and that pattern.
    pub(crate) fn matched<'a>(&'a self, subjects: &[&'a str]) -> Option<(&'a str, &'a Pattern)> {
        self.patterns.iter().find_map(|pattern| {
            let matched = subjects.iter().find(|subject| pattern.matches(subject))?;
            Some((*matched, pattern))
        })
    }
}

impl Config {
    /// The rules that hold for a subject that has these names, the last one first.
    pub(crate) fn rules_of<'a>(&'a self, subjects: &'a [&'a str]) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().rev().filter(|rule| rule.matched(subjects).is_some())
    }

    /// The configuration of a weight that has these names, or whose operators have.
    pub(crate) fn of_weight(&self, subjects: &[&str]) -> Cow<'_, Self> {
        if self.rules_of(subjects).next().is_none() {
            return Cow::Borrowed(self);
        }
        let weights = self.rules_of(subjects).find_map(|rule| rule.weights);
        let granularity = self.rules_of(subjects).find_map(|rule| rule.granularity);
        let scales = self.rules_of(subjects).find_map(|rule| rule.weight_scales);
        Cow::Owned(self.with(weights, granularity, scales))
    }

    /// The configuration of weights that only one rule holds for.
    pub(super) fn of_rule(&self, rule: &Rule) -> Self {
        self.with(rule.weights, rule.granularity, rule.weight_scales)
    }

    fn with(
        &self,
        weights: Option<WeightType>,
        granularity: Option<Granularity>,
        scales: Option<WeightScales>,
    ) -> Self {
        let weights = weights.unwrap_or(self.weights);
        self.clone()
            .with_rules(Vec::new())
            .with_weights(weights)
            // Small floats have no zero points, whatever the others have.
            .with_asymmetric(self.asymmetric && weights.is_integer())
            .with_granularity(granularity.unwrap_or(self.granularity))
            .with_weight_scales(scales.or(self.weight_scales))
    }

    /// How the range of a value is made of what was observed, where a rule says so. A value's names are its own, and the
    /// name and the type of the operator that makes it.
    pub(crate) fn calibration_of(&self, subjects: &[&str]) -> Option<CalibrationMethod> {
        self.rules_of(subjects).find_map(|rule| rule.calibration)
    }

    /// The types that weights may get.
    pub(crate) fn types_of_weights(&self) -> impl Iterator<Item = WeightType> {
        let of_tensors = self.tensor_types.iter().map(|rule| rule.ty);
        [self.weights].into_iter().chain(of_tensors).chain(self.rules.iter().filter_map(|rule| rule.weights))
    }

    /// Whether something says of single operators or weights whether they are quantized.
    pub(crate) fn selects(&self) -> bool {
        !self.include.is_empty() || !self.exclude.is_empty() || self.rules.iter().any(|rule| rule.float.is_some())
    }

    /// All patterns.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let of_rules = self.rules.iter().flat_map(|rule| &rule.patterns);
        self.include.iter().chain(&self.exclude).chain(of_rules)
    }

    /// The same, to be changed.
    pub(crate) fn patterns_mut(&mut self) -> impl Iterator<Item = &mut Pattern> {
        let of_rules = self.rules.iter_mut().flat_map(|rule| &mut rule.patterns);
        self.include.iter_mut().chain(&mut self.exclude).chain(of_rules)
    }
}

/// A rule as it stands in a TOML file.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<String> = self.patterns.iter().map(|pattern| in_quotes(&pattern.to_string())).collect();
        match quoted.as_slice() {
            [one] => writeln!(f, "match = {one}")?,
            several => writeln!(f, "match = [{}]", several.join(", "))?,
        }
        let texts = [
            ("weights", self.weights.map(|it| it.to_string())),
            ("granularity", self.granularity.map(|it| it.to_string())),
            ("weight-scales", self.weight_scales.map(|it| it.to_string())),
            ("calibration", self.calibration.map(|it| it.to_string())),
        ];
        for (key, text) in texts.into_iter().filter_map(|(key, text)| Some((key, text?))) {
            writeln!(f, "{key} = \"{text}\"")?;
        }
        self.float.map_or(Ok(()), |float| writeln!(f, "float = {float}"))
    }
}

/// A string of TOML, which is one of JSON but for two characters that JSON leaves as they are.
fn in_quotes(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a string has a form in JSON");
    quoted.replace('\u{7f}', "\\u007f")
}

/// Patterns as a string with commas between them, or as a list of such strings.
fn patterns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Pattern>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a pattern, or a list of patterns")]
    enum Given {
        One(String),
        Several(Vec<String>),
    }

    let lists = match Given::deserialize(deserializer)? {
        Given::One(list) => vec![list],
        Given::Several(lists) => lists,
    };
    let mut patterns = Vec::new();
    for list in lists {
        patterns.extend(Pattern::list(&list).map_err(serde::de::Error::custom)?);
    }
    if patterns.is_empty() {
        return Err(serde::de::Error::custom("'match' names nothing"));
    }
    Ok(patterns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;

    fn rule(text: &str) -> Rule {
        toml::from_str(text).expect("a rule")
    }

    #[test]
    fn the_last_rule_that_says_something_counts() {
        let config = Config::default().with_rules(vec![
            rule("match = 'MatMul'\nweights = 'int4'\ngranularity = 'block:32'"),
            rule("match = ['lm_*', 'Gemm']\nweights = 'uint8'"),
        ]);
        let of = |subjects: &[&str]| {
            let config = config.of_weight(subjects).into_owned();
            (config.weights, config.granularity)
        };
        let blocks = Granularity::Block { size: 32, axis: None };
        assert_eq!(of(&["w", "", "Conv"]), (WeightType::Int8, Granularity::PerChannel));
        assert_eq!(of(&["w", "ffn", "MatMul"]), (WeightType::Int4, blocks));
        assert_eq!(of(&["lm_head", "head", "MatMul"]), (WeightType::Uint8, blocks));
    }

    #[test]
    fn what_is_written_is_read_back() -> Result<()> {
        let all = Rule::new(vec![Pattern::exactly("a \"b\"\\ [c],\u{7f}")?, "Conv".parse()?])
            .with_float(Some(false))
            .with_weights(Some(WeightType::Int4))
            .with_granularity(Some("block:32@1".parse()?))
            .with_weight_scales(Some(WeightScales::Mse))
            .with_calibration(Some(CalibrationMethod::Percentile(99.9)));
        assert_eq!(rule(&all.to_string()), all);
        assert!(all.patterns[0].matches("a \"b\"\\ [c],\u{7f}"));
        Ok(())
    }

    #[test]
    fn what_says_nothing_or_something_unknown_is_none() {
        for wrong in ["float = true", "match = []", "match = ''", "match = 'a'\nbits = 4", "match = 3"] {
            assert!(toml::from_str::<Rule>(wrong).is_err(), "{wrong}");
        }
    }
}
