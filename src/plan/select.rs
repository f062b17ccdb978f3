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
    Ok(())
}

/// The configuration with patterns as people type them: one that matches nothing in its own case does so in any.
pub fn fit_patterns(model: &Model, config: &Config) -> Config {
    let mut config = config.clone();
    if !config.include.is_empty() || !config.exclude.is_empty() {
        let known = known_names(model);
        for pattern in config.include.iter_mut().chain(&mut config.exclude) {
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
    if config.include.is_empty() && config.exclude.is_empty() {
        return Ok(());
    }
    let known: BTreeSet<&str> = models.iter().flat_map(|model| known_names(model)).collect();
    let mut patterns = config.include.iter().chain(&config.exclude);
    match patterns.find(|pattern| !known.iter().any(|name| pattern.matches(name))) {
        None => Ok(()),
        Some(pattern) => {
            let pattern = pattern.to_string();
            let near = near(&pattern, known.into_iter()).into_iter().map(str::to_owned).collect();
            Err(ErrorKind::UnmatchedPattern { pattern, near }.into())
        }
    }
}

/// What a pattern can match: the names and types of operators, and the names of constants.
fn known_names(model: &Model) -> BTreeSet<&str> {
    let operators = model.ops().flat_map(|op| [model.op(op).name(), model.op(op).op_type()]);
    let constants = model.values().filter(|&value| model.constant(value).is_some());
    let names = operators.chain(constants.map(|value| model.value(value).name()));
    names.filter(|name| !name.is_empty()).collect()
}

/// Why an operator stays float whose name or type a pattern excludes.
pub(super) fn excluded_operator(model: &Model, config: &Config, op: OpId) -> Option<FloatReason> {
    let operator = model.op(op);
    config.exclude.iter().find_map(|pattern| {
        let mut subjects = [operator.name(), operator.op_type()].into_iter().filter(|subject| !subject.is_empty());
        let matched = subjects.find(|subject| pattern.matches(subject))?.to_owned();
        Some(FloatReason::Excluded { matched, pattern: pattern.to_string() })
    })
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
    if config.include.is_empty() && config.exclude.is_empty() {
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

fn subjects<'a>(model: &'a Model, constant: &Constant) -> Vec<&'a str> {
    let mut subjects = vec![model.value(constant.value).name()];
    for use_ in &constant.weight_uses {
        let op = model.op(use_.last.op);
        subjects.extend([op.name(), op.op_type()]);
    }
    subjects.retain(|subject| !subject.is_empty());
    subjects
}
