//! What was observed of a model's values, by name.

use std::collections::{BTreeMap, HashMap};

use super::{Statistics, value_keys};
use crate::{
    config::CalibrationMethod,
    error::{Error, Result},
    ir::{Model, ValueId},
};

/// What was observed of a model's values.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Ranges {
    /// By the name of the value; of one in a body whose name another value has too, after the way there.
    pub values: BTreeMap<String, Statistics>,
}

impl FromIterator<(String, Statistics)> for Ranges {
    fn from_iter<I: IntoIterator<Item = (String, Statistics)>>(values: I) -> Self {
        Self { values: values.into_iter().collect() }
    }
}

impl Ranges {
    /// What was observed of each of a model's values.
    pub fn of_values(&self, model: &Model) -> HashMap<ValueId, &Statistics> {
        let keys = value_keys(model).into_iter();
        keys.filter_map(|(value, key)| Some((value, self.values.get(&key)?))).collect()
    }

    /// Adds what was observed later: the same as if all samples had been observed in one go, except that
    /// moving averages may be rounded otherwise. Of ranges that somebody else determined, each becomes
    /// wide enough for both.
    pub fn merge(&mut self, later: &Self) {
        for (name, statistics) in &later.values {
            match self.values.get_mut(name) {
                Some(earlier) => earlier.merge(statistics),
                None => {
                    self.values.insert(name.clone(), statistics.clone());
                }
            }
        }
    }

    /// Checks that what a method needs was observed of every value.
    ///
    /// # Errors
    /// A value has no histogram, though the method needs it.
    pub fn check(&self, method: CalibrationMethod) -> Result<()> {
        let lacking = self.values.iter().filter(|(_, statistics)| !statistics.serves(method));
        let count = lacking.clone().count();
        match lacking.map(|(name, _)| name).next() {
            None => Ok(()),
            Some(name) => Err(Error::config(format!(
                "the method {method} needs histograms, which the ranges of {count} of {} values lack, the first of \
                 them '{name}': calibrate again with --calibration {method}, or use minmax or moving-average",
                self.values.len(),
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{calibration::Collect, numeric::Range};

    fn observed(values: &[f32], histogram: bool) -> Statistics {
        let mut statistics = Statistics::new(Collect { histogram });
        statistics.observe(values);
        statistics
    }

    fn ranges<const N: usize>(values: [(&str, Statistics); N]) -> Ranges {
        Ranges { values: values.map(|(name, statistics)| (name.to_owned(), statistics)).into() }
    }

    #[test]
    fn merged_ranges_have_the_values_of_both() {
        let mut merged = ranges([("a", observed(&[1.0], true)), ("b", observed(&[2.0], true))]);
        merged.merge(&ranges([("b", observed(&[-3.0], true)), ("c", observed(&[4.0], true))]));
        let mut both = observed(&[2.0], true);
        both.observe(&[-3.0]);
        assert_eq!(merged.values.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(merged.values["b"].extremes(), both.extremes());
        assert_eq!(merged.values["c"], observed(&[4.0], true));
    }

    #[test]
    fn methods_without_their_histograms_are_refused_by_name() {
        let given = Statistics::of_range(Range { min: 0.0, max: 1.0 });
        let nothing = Statistics::new(Collect { histogram: false });
        let fine = ranges([("a", observed(&[1.0], true)), ("b", given), ("c", nothing)]);
        assert!(fine.check(CalibrationMethod::Entropy).is_ok());
        let bare = ranges([("a", observed(&[1.0], true)), ("conv/out", observed(&[1.0], false))]);
        assert!(bare.check(CalibrationMethod::MovingAverage).is_ok());
        let error = bare.check(CalibrationMethod::Percentile(99.9)).expect_err("no histogram").to_string();
        for part in ["percentile:99.9", "1 of 2", "'conv/out'", "minmax"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
