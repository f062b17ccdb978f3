//! Include and exclude patterns: they match a weight's name, the names of the operators that take
//! it, and their types.

use std::collections::HashSet;

use super::{Reason, trace::Constant};
use crate::{
    config::{Config, Pattern},
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

/// Every pattern that matches nothing: mostly a misspelt name.
pub(super) fn unmatched_patterns(model: &Model, config: &Config, constants: &[Constant]) -> Vec<Fact> {
    let weights = constants.iter().filter(|constant| !constant.weight_uses.is_empty());
    let subjects: Vec<&str> = weights.flat_map(|constant| subjects(model, constant)).collect();
    let patterns = config.include.iter().chain(&config.exclude);
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
