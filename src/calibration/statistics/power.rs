//! How strong a value is in a typical sample.
//!
//! Owns [`Power`]: the geometric mean, over samples, of the mean square of their elements. Where samples
//! differ a lot, loud and quiet speech say, all elements taken together are as strong as the loudest
//! sample; this mean is as strong as the sample in the middle. What one sample adds is rounded to a fixed
//! point, so that sums do not depend on an order. Samples that are zero throughout do not count.

use serde::{Deserialize, Serialize};

/// Fractional bits of the sum.
const FRACTION: u32 = 20;

/// The power of some samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::calibration) struct Power {
    /// How many samples were not zero throughout.
    pub runs: u64,
    /// The sum of the binary logarithms of their mean squares, in units of 2^-20.
    pub log2: i64,
}

impl Power {
    /// Of one sample with this mean square.
    pub fn of(mean_square: f64) -> Self {
        if mean_square <= 0.0 || !mean_square.is_finite() {
            return Self::default();
        }
        Self { runs: 1, log2: (libm::log2(mean_square) * f64::from(1u32 << FRACTION)) as i64 }
    }

    /// Of these samples and others.
    pub fn and(self, other: Self) -> Self {
        Self { runs: self.runs.saturating_add(other.runs), log2: self.log2.saturating_add(other.log2) }
    }

    /// The mean square of the elements of a typical sample.
    pub fn typical(self) -> Option<f64> {
        let mean = self.log2 as f64 / f64::from(1u32 << FRACTION) / self.runs as f64;
        (self.runs > 0).then(|| libm::exp2(mean))
    }

    /// Of samples whose mean squares are all this many times as large.
    pub fn times(self, factor: f64) -> Self {
        let one = Self::of(factor);
        Self { log2: self.log2.saturating_add(one.log2.saturating_mul(self.runs as i64)), ..self }
    }

    /// Whether samples of floats could have led to it.
    pub fn is_possible(self) -> bool {
        let most = i128::from(self.runs) * (300 << FRACTION);
        (-most..=most).contains(&i128::from(self.log2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loud_and_quiet_samples_meet_in_the_middle() {
        let power = [1e-6, 1.0, 0.0, 1e6].map(Power::of).into_iter().fold(Power::default(), Power::and);
        assert_eq!(power.runs, 3);
        assert!((power.typical().expect("three samples") - 1.0).abs() < 1e-5);
        assert_eq!(Power::default().typical(), None);
    }
}
