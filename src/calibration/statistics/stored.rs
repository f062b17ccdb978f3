//! Statistics as plain data, for files.
//!
//! Owns [`Stored`] and the way back, which lets nothing in that no observation could have led to.

use serde::{Deserialize, Serialize};

use super::{Average, Histogram, Power, Range, Statistics, histogram};

/// All of one value's statistics.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::calibration) struct Stored {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<f32>,
    /// Present if somebody else determined the range.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    given: bool,
    runs: u64,
    elements: u64,
    nan: u64,
    infinite: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    average: Option<Average>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    power: Option<Power>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    histogram: Option<Vec<(i16, u64)>>,
}

impl From<&Statistics> for Stored {
    fn from(statistics: &Statistics) -> Self {
        let Statistics { runs, elements, nan, infinite, extremes, average, power, ref histogram, given } = *statistics;
        Self {
            min: extremes.map(|range| range.min),
            max: extremes.map(|range| range.max),
            given,
            runs,
            elements,
            nan,
            infinite,
            average,
            power: Some(power).filter(|power| power.runs > 0),
            histogram: histogram.as_ref().map(|histogram| histogram.bins().to_vec()),
        }
    }
}

impl TryFrom<Stored> for Statistics {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        let Stored { min, max, given, runs, elements, nan, infinite, average, power, histogram } = stored;
        let extremes = match (min, max) {
            (None, None) => None,
            (Some(min), Some(max)) if min <= max && min.is_finite() && max.is_finite() => {
                Some(Range { min: min + 0.0, max: max + 0.0 })
            }
            _ => return Err("min and max must be finite and in this order, or both absent"),
        };
        let finite = nan.checked_add(infinite).and_then(|others| elements.checked_sub(others));
        let finite = finite.ok_or("more elements are not finite than there are")?;
        if runs == 0 && elements > 0 {
            return Err("there are elements, but not a run that gave them");
        }
        if power.is_some_and(|power| power.runs > runs) {
            return Err("the power is of more runs than there were");
        }
        let histogram = histogram.map(|bins| Histogram::new(bins).ok_or("the histogram's bins are not in order"));
        let histogram = histogram.transpose()?;
        if given {
            if average.is_some() || power.is_some() || histogram.is_some() {
                return Err("a given range has neither average nor power nor histogram");
            }
        } else {
            if (finite > 0) != extremes.is_some() || extremes.is_some() != average.is_some() {
                return Err("min, max and average go with the elements that are finite");
            }
            if average.is_some_and(|average| !average.is_possible()) {
                return Err("the average is none");
            }
            if power.is_some_and(|power| !power.is_possible()) {
                return Err("the power is none");
            }
            if histogram.as_ref().is_some_and(|histogram| !fits(histogram, finite, extremes)) {
                return Err("the histogram does not fit the elements, or their min and max");
            }
        }
        Ok(Self {
            runs,
            elements,
            nan,
            infinite,
            extremes,
            average,
            power: power.unwrap_or_default(),
            histogram,
            given,
        })
    }
}

/// Whether a histogram counts as many values as there are, from the smallest to the largest.
fn fits(histogram: &Histogram, values: u64, extremes: Option<Range>) -> bool {
    let bins = histogram.bins();
    let count = bins.iter().try_fold(0u64, |sum, &(_, count)| sum.checked_add(count));
    let ends = bins.first().zip(bins.last()).map(|(first, last)| (first.0, last.0));
    count == Some(values) && ends == extremes.map(|range| (histogram::bin(range.min), histogram::bin(range.max)))
}
