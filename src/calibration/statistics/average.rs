//! The moving average of the extremes of each sample.
//!
//! Owns [`Average`]: where the average is after some samples, as a function of where it was before.
//! Each sample moves it by `m = m + c (x - m)`, which is affine in `m`, and so are any number of them.
//! In this form what two runs over parts of the samples found composes.

use serde::{Deserialize, Serialize};

use crate::numeric::Range;

/// How far a sample moves the average; as in PyTorch's MovingAverageMinMaxObserver, and in
/// onnxruntime's calibration.
const MOMENTUM: f64 = 0.01;

/// The moving average over some samples, and what it would have been had others come before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::calibration) struct Average {
    /// What is left of an average before these samples.
    pub factor: f64,
    /// Of the smallest values.
    pub min: Affine,
    /// Of the largest values.
    pub max: Affine,
}

/// One end of the average: `factor * before + offset`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::calibration) struct Affine {
    /// That of the first sample: where an average starts that nothing was before.
    pub first: f32,
    /// What these samples add.
    pub offset: f64,
}

impl Average {
    /// Of one sample with these extremes.
    pub fn of(extremes: Range) -> Self {
        let end = |first| Affine { first, offset: MOMENTUM * f64::from(first) };
        Self { factor: 1.0 - MOMENTUM, min: end(extremes.min), max: end(extremes.max) }
    }

    /// Of these samples and those that came later.
    pub fn then(self, later: Self) -> Self {
        let end = |earlier: Affine, end: Affine| Affine {
            first: earlier.first,
            offset: later.factor * earlier.offset + end.offset,
        };
        Self { factor: self.factor * later.factor, min: end(self.min, later.min), max: end(self.max, later.max) }
    }

    /// Where the average is.
    pub fn range(&self) -> Range {
        let end = |end: Affine| (self.factor * f64::from(end.first) + end.offset) as f32;
        Range { min: end(self.min), max: end(self.max) }
    }

    /// Of values clipped to an interval: approximately, as if only the average itself were.
    pub fn clipped(self, interval: Range) -> Self {
        let range = self.range();
        let end = |end: f32| {
            let first = end.clamp(interval.min, interval.max);
            Affine { first, offset: (1.0 - self.factor) * f64::from(first) }
        };
        Self { factor: self.factor, min: end(range.min), max: end(range.max) }
    }

    /// Whether samples could have led to it.
    pub fn is_possible(&self) -> bool {
        let is_finite = |end: Affine| end.first.is_finite() && end.offset.abs() <= f64::from(f32::MAX);
        (0.0..=1.0).contains(&self.factor) && is_finite(self.min) && is_finite(self.max)
    }
}
