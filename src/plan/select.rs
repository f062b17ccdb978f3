//! Include and exclude patterns: they match a weight's name, the names of the operators that take
//! it, and their types; those that exclude, any operator.

use std::collections::{BTreeSet, HashSet};

use super::{FloatReason, Reason, near::near, trace::Constant};
use crate::{
    config::{Config, Pattern},
    error::{ErrorKind, Result},
    findings::Fact,
    ir::{Model, OpId},
    operators::is_linear_quantizer,
};

/// All of a weight stays float if one of its operators is excluded.
pub(super) fn select(model: &Model, config: &Config, constant: &Constant) -> Result<(), Reason> {
    verdict(config, &subjects(model, constant))
}

fn verdict(config: &Config, subjects: &[&str]) -> Result<(), Reason> {
    let first_match = |patterns: &[Pattern]| {
        patterns.iter().find_map(|pattern| {
            let matched = subjects.iter().find(|subject| pattern.matches(subject))?;
            Some((matched.to_string(), pattern.to_string()))
        })
    };
    if let Some((matched, pattern)) = first_match(&config.exclude) {
        return Err(Reason::Excluded { matched, pattern });
    }
    if !config.include.is_empty() && first_match(&config.include).is_none() {
        return Err(Reason::NotIncluded);
    }
    match float_by_rule(config, subjects) {
        Some((matched, pattern)) => Err(Reason::Excluded { matched, pattern }),
        None => Ok(()),
    }
}

/// What a rule matches that leaves it float, and by which pattern.
fn float_by_rule(config: &Config, subjects: &[&str]) -> Option<(String, String)> {
    let rule = config.rules_of(subjects).find(|rule| rule.float.is_some())?;
    let (matched, pattern) = rule.matched(subjects).filter(|_| rule.float == Some(true))?;
    Some((matched.to_owned(), pattern.to_string()))
}

/// The configuration with patterns as people type them: one that matches nothing in its own case does so in any.
pub fn fit_patterns(model: &Model, config: &Config) -> Config {
    let mut config = config.clone();
    if config.patterns().next().is_some() {
        let known = known_names(model, &config);
        for pattern in config.patterns_mut() {
            if !known.iter().any(|name| pattern.matches(name)) {
                *pattern = pattern.in_any_case();
            }
        }
    }
    config
}

/// Sees to it that every pattern matches something in one of these models.
///
/// # Errors
/// One does not: mostly a misspelt name.
pub fn check_patterns(models: &[&Model], config: &Config) -> Result<()> {
    if config.patterns().next().is_none() {
        return Ok(());
    }
    let known: BTreeSet<&str> = models.iter().flat_map(|model| known_names(model, config)).collect();
    match config.patterns().find(|pattern| !known.iter().any(|name| pattern.matches(name))) {
        None => Ok(()),
        Some(pattern) => {
            let pattern = pattern.to_string();
            let near = near(&pattern, known.into_iter()).into_iter().map(str::to_owned).collect();
            Err(ErrorKind::UnmatchedPattern { pattern, near }.into())
        }
    }
}

/// What a pattern can match: the names and types of operators, the names of constants, and where a rule is about
/// ranges, of all values.
fn known_names<'a>(model: &'a Model, config: &Config) -> BTreeSet<&'a str> {
    let operators = model.ops().flat_map(|op| [model.op(op).name(), model.op(op).op_type()]);
    let of_ranges = config.rules.iter().any(|rule| rule.calibration.is_some());
    let values = model.values().filter(|&value| of_ranges || model.constant(value).is_some());
    let names = operators.chain(values.map(|value| model.value(value).name()));
    names.filter(|name| !name.is_empty()).collect()
}

/// Why an operator stays float whose name or type a pattern excludes.
pub(super) fn excluded_operator(model: &Model, config: &Config, op: OpId) -> Option<FloatReason> {
    let operator = model.op(op);
    let mut subjects = vec![operator.name(), operator.op_type()];
    subjects.retain(|subject| !subject.is_empty());
    let excluded = config.exclude.iter().find_map(|pattern| {
        let matched = subjects.iter().find(|subject| pattern.matches(subject))?;
        Some((matched.to_string(), pattern.to_string()))
    });
    let (matched, pattern) = excluded.or_else(|| float_by_rule(config, &subjects))?;
    Some(FloatReason::Excluded { matched, pattern })
}

/// Every pattern that matches something, but nothing that it could choose: weights, and, where activations are
/// quantized too, any operator that is excluded.
pub(super) fn unmatched_patterns(
    model: &Model,
    config: &Config,
    constants: &[Constant],
    with_activations: bool,
) -> Vec<Fact> {
    let weights = constants.iter().filter(|constant| !constant.weight_uses.is_empty());
    let subjects: Vec<&str> = weights.flat_map(|constant| subjects(model, constant)).collect();
    let excluding = config.exclude.iter().filter(|_| !with_activations);
    let patterns = config.include.iter().chain(excluding);
    patterns
        .filter(|pattern| !subjects.iter().any(|subject| pattern.matches(subject)))
        .map(|pattern| Fact::UnmatchedPattern { pattern: pattern.to_string() })
        .collect()
}

/// The QuantizeLinear operators of constants that patterns leave as they are: those that match the constant, or
/// an operator that reads what is dequantized.
pub fn excluded_pairs(model: &Model, config: &Config) -> HashSet<OpId> {
    if !config.selects() {
        return HashSet::new();
    }
    let quantizers = model.ops().filter(|&op| is_linear_quantizer(model, op));
    quantizers.filter(|&op| verdict(config, &subjects_of_pair(model, op)).is_err()).collect()
}

/// Operators on the way from a QuantizeLinear to those that compute with the weight: a pair, and what moves it.
const STEPS_BEHIND_A_PAIR: usize = 8;

fn subjects_of_pair(model: &Model, quantizer: OpId) -> Vec<&str> {
    let constant = model.input(quantizer, 0).map(|value| model.value(value).name());
    let mut subjects: Vec<&str> = constant.into_iter().collect();
    let mut ops = vec![quantizer];
    for _ in 0..STEPS_BEHIND_A_PAIR {
        let made = ops.iter().flat_map(|&op| model.outputs(op)).flatten();
        let readers: Vec<OpId> = made.flat_map(|value| model.uses(value)).map(|use_| use_.op).collect();
        subjects.extend(readers.iter().flat_map(|&op| [model.op(op).name(), model.op(op).op_type()]));
        let moves =
            |op: &OpId| matches!(model.op(*op).op_type(), "DequantizeLinear" | "Identity" | "Reshape" | "Transpose");
        ops = readers.into_iter().filter(moves).collect();
    }
    subjects
}

/// The names that patterns know a weight by.
pub(super) fn subjects<'a>(model: &'a Model, constant: &Constant) -> Vec<&'a str> {
    let mut subjects = vec![model.value(constant.value).name()];
    for use_ in &constant.weight_uses {
        let op = model.op(use_.last.op);
        subjects.extend([op.name(), op.op_type()]);
    }
    subjects.retain(|subject| !subject.is_empty());
    subjects
}
