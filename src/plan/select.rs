//! Include and exclude patterns: they match a weight's name, the names of the operators that take
//! it, and their types.

use super::{Reason, trace::Constant};
use crate::{
    config::{Config, Pattern},
    ir::Model,
};

/// All of a weight stays float if one of its operators is excluded.
pub(super) fn select(model: &Model, config: &Config, constant: &Constant) -> Result<(), Reason> {
    let subjects = subjects(model, constant);
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

/// A warning for every pattern that matches nothing: mostly a misspelt name.
pub(super) fn unmatched_patterns(model: &Model, config: &Config, constants: &[Constant]) -> Vec<String> {
    let weights = constants.iter().filter(|constant| !constant.weight_uses.is_empty());
    let subjects: Vec<&str> = weights.flat_map(|constant| subjects(model, constant)).collect();
    let patterns = config.include.iter().chain(&config.exclude);
    patterns
        .filter(|pattern| !subjects.iter().any(|subject| pattern.matches(subject)))
        .map(|pattern| format!("pattern '{pattern}' matches no weight and no operator that takes one"))
        .collect()
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
