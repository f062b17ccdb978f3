//! What was observed of one value: streaming, in memory that does not grow with the samples.

use crate::{
    config::CalibrationMethod,
    numeric::{Range, Scheme},
};

/// What is worth keeping for a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collect {
    /// How often which value occurred; without, only extremes and averages.
    pub histogram: bool,
}

/// What was observed of one value over all samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    range: Option<Range>,
}

impl Statistics {
    /// Nothing observed yet.
    pub fn new(_collect: Collect) -> Self {
        Self { range: None }
    }

    /// Takes in what one sample's run computed for the value.
    pub fn observe(&mut self, values: &[f32]) {
        let (mut min, mut max) = (f32::INFINITY, f32::NEG_INFINITY);
        for &value in values {
            min = if value < min { value } else { min };
            max = if value > max { value } else { max };
        }
        if min <= max {
            let known = self.range.map_or((f32::INFINITY, f32::NEG_INFINITY), |range| (range.min, range.max));
            self.range = Some(Range { min: known.0.min(min), max: known.1.max(max) });
        }
    }

    /// A range that somebody else determined.
    pub fn of_range(range: Range) -> Self {
        Self { range: Some(range) }
    }

    /// The range by a method, for values that are quantized like `scheme`; `None` if there is none: never
    /// observed, or nothing finite.
    pub fn range(&self, _method: CalibrationMethod, _scheme: Scheme) -> Option<Range> {
        self.range
    }
}
