//! What each operator costs in accuracy, ranked, and what it would take to leave it float.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::{
    config::{Pattern, Rule},
    documents,
    error::Result,
};

/// The version of the form that [`Sensitivity::to_json`] writes; it changes where a field changes its meaning or goes.
pub const SENSITIVITY_VERSION: u32 = 1;

/// The [JSON Schema](https://json-schema.org/draft/2020-12) of what [`Sensitivity::to_json`] writes:
#[doc = concat!("```json\n", include_str!("sensitivity.json"), "```")]
pub const SENSITIVITY_SCHEMA: &str = include_str!("sensitivity.json");

/// The operators whose noise costs most, one after the other, each with what is foreseen if it and all before it stay
/// float.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Sensitivity {
    /// The version of this form.
    pub version: u32,
    /// Samples that all this was measured on.
    pub samples: usize,
    /// Signal to noise of the worst output as planned, in dB.
    pub planned_db: f64,
    /// Layers that compute in integers as planned.
    pub layers: usize,
    /// A run as planned over a run in float, by estimate; absent where times are not known for the target.
    pub time: Option<f64>,
    /// Bytes of all weights as planned.
    pub bytes: usize,
    /// The steps, the one that gains most first.
    pub steps: Vec<Step>,
}

/// Operators that would have to stay float together for a source of noise to be gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Step {
    /// The operators.
    pub operators: Vec<SensitiveOperator>,
    /// What part of the noise of all sources this one makes, from 0 to 1.
    pub noise: f64,
    /// Signal to noise of the worst output that is foreseen with these and all operators before in float, in dB.
    pub foreseen_db: f64,
    /// A run over a run in float then, by estimate; absent where times are not known for the target.
    pub time: Option<f64>,
    /// Bytes of all weights then.
    pub bytes: usize,
}

/// An operator that makes noise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SensitiveOperator {
    /// Its name, which may be empty.
    pub name: String,
    /// Its type.
    pub op_type: String,
    /// The names of its quantized weights.
    pub weights: Vec<String>,
}

impl Sensitivity {
    /// As JSON.
    pub fn to_json(&self) -> String {
        documents::to_json(self)
    }

    /// Reads back what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// It is no JSON of that form, or of another version.
    pub fn from_json(json: &str) -> Result<Self> {
        documents::from_json(json, "ranking of operators", SENSITIVITY_VERSION)
    }

    /// How many steps it takes for so much signal to noise to be foreseen; `None` where all of them are not enough.
    pub fn steps_for(&self, db: f64) -> Option<usize> {
        if self.planned_db >= db {
            return Some(0);
        }
        self.steps.iter().position(|step| step.foreseen_db >= db).map(|last| last + 1)
    }

    /// The ranking as rules for a configuration file, to be reviewed and edited: those of the first `steps` hold, the
    /// others are comments.
    ///
    /// # Errors
    /// A name is too long for a pattern.
    pub fn to_rules(&self, steps: usize) -> Result<String> {
        let mut text = String::from(
            "# Operators by what they cost in accuracy, the most expensive first. Behind each rule stands what is\n\
             # foreseen with it and all before it: signal to noise of the worst output, time of a run and weights.\n",
        );
        let time = |time: Option<f64>| time.map_or(String::new(), |time| format!(", {time:.2} of the float time"));
        let kilobytes = |bytes: usize| bytes as f64 / 1e3;
        let (db, planned, bytes) = (self.planned_db, time(self.time), kilobytes(self.bytes));
        writeln!(text, "# Without any: {db:.1} dB{planned}, {bytes:.1} kB.").expect("a string takes all");
        for (index, step) in self.steps.iter().enumerate() {
            let lead = if index < steps { "" } else { "# " };
            let (noise, db, bytes) = (100.0 * step.noise, step.foreseen_db, kilobytes(step.bytes));
            let then = format!("# {noise:.1} % of the noise; then {db:.1} dB{}, {bytes:.1} kB", time(step.time));
            match step.rule()? {
                Some(rule) => {
                    let lines = format!("[[rule]]\n{rule}{then}");
                    let lines: Vec<String> = lines.lines().map(|line| format!("{lead}{line}")).collect();
                    write!(text, "\n{}\n", lines.join("\n"))
                }
                None => write!(text, "\n{then}, but its operators have no names to match\n"),
            }
            .expect("a string takes all");
        }
        Ok(text)
    }
}

impl Step {
    /// The rule that leaves its operators float; `None` where one of them has no name that tells it from others.
    fn rule(&self) -> Result<Option<Rule>> {
        let mut patterns = Vec::new();
        for operator in &self.operators {
            let weight = operator.weights.first();
            let Some(name) = Some(&operator.name).filter(|name| !name.is_empty()).or(weight) else { return Ok(None) };
            patterns.push(Pattern::exactly(name)?);
        }
        Ok(Some(Rule::new(patterns).with_float(Some(true))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(names: &[&str], foreseen_db: f64) -> Step {
        let operator = |name: &&str| SensitiveOperator {
            name: (*name).to_owned(),
            op_type: "Conv".to_owned(),
            weights: Vec::new(),
        };
        Step { operators: names.iter().map(operator).collect(), noise: 0.25, foreseen_db, time: None, bytes: 2000 }
    }

    #[test]
    fn rules_are_a_configuration_up_to_the_bound() {
        let steps = vec![step(&["a", "b [1]"], 18.0), step(&[""], 19.0), step(&["c"], 21.0), step(&["d"], 25.0)];
        let time = Some(0.5);
        let ranking = Sensitivity { version: 1, samples: 2, planned_db: 15.0, layers: 9, time, bytes: 1000, steps };
        assert_eq!(ranking.steps_for(10.0), Some(0));
        assert_eq!(ranking.steps_for(20.0), Some(3));
        assert_eq!(ranking.steps_for(30.0), None);
        let text = ranking.to_rules(3).expect("short names");
        let rules: toml::Table = text.parse().expect("TOML");
        let rules = rules["rule"].as_array().expect("several");
        let rules: Vec<Rule> = rules.iter().map(|rule| rule.clone().try_into().expect("a rule")).collect();
        assert_eq!(rules.len(), 2, "the second has no name, the last is a comment: {text}");
        assert!(rules[0].patterns.iter().any(|pattern| pattern.matches("b [1]")));
        assert!(rules.iter().all(|rule| rule.float == Some(true)));
        assert!(text.contains("# [[rule]]\n# match = \"d\""), "{text}");
    }
}
