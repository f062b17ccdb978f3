//! What is lost of the outputs, sample by sample.

use crate::compare::decibels;

/// What a source of noise does to the outputs: noise over signal and noise, of each of the samples that it was measured
/// on so far and of each output.
#[derive(Debug, Clone, Default)]
pub(super) struct Losses {
    of_samples: Vec<Vec<f64>>,
    /// Whether it is a part of what several do together.
    shared: bool,
}

impl Losses {
    /// Takes what is lost of further samples.
    pub fn extend(&mut self, of_samples: Vec<Vec<f64>>) {
        self.of_samples.extend(of_samples);
    }

    /// The part of one of so many that do this together.
    pub fn among(&self, count: usize) -> Self {
        let part = |outputs: &Vec<f64>| outputs.iter().map(|loss| loss / count as f64).collect();
        Self { of_samples: self.of_samples.iter().map(part).collect(), shared: count > 1 }
    }

    /// Whether it was measured by itself.
    pub fn is_of_one(&self) -> bool {
        !self.shared
    }

    /// How many samples it was measured on.
    pub fn samples(&self) -> usize {
        self.of_samples.len()
    }

    /// The mean over the outputs, of the first sample.
    pub fn first(&self) -> f64 {
        self.of_samples.first().map_or(0.0, |outputs| mean(outputs))
    }

    /// Of each output, of the first sample.
    pub fn of_outputs(&self) -> &[f64] {
        self.of_samples.first().map_or(&[], Vec::as_slice)
    }

    /// How much less is lost than by another source: as [`gain_db`].
    pub fn gain_db(&self, other: &Self) -> f64 {
        let each = |losses: &Self| losses.of_samples.iter().map(|outputs| mean(outputs)).collect::<Vec<_>>();
        gain_db(&each(self), &each(other))
    }
}

/// Noise over signal of -40 dB.
const NOT_WORTH_MENTIONING: f64 = 1e-4;

/// How many decibels less is lost of several samples than of the same otherwise, on the mean: less a standard error, as
/// far as that is known, since it may be chance. Samples differ by orders of magnitude in what they lose; each that loses
/// anything worth mentioning counts the same here.
pub(super) fn gain_db(one: &[f64], other: &[f64]) -> f64 {
    let of = |loss: &f64| decibels(1.0, loss + NOT_WORTH_MENTIONING);
    let gains: Vec<f64> = one.iter().zip(other).map(|(one, other)| of(one) - of(other)).collect();
    let (mean, count) = (mean(&gains), gains.len() as f64);
    let variance = gains.iter().map(|gain| (gain - mean) * (gain - mean)).sum::<f64>() / (count - 1.0).max(1.0);
    mean - (variance / count.max(1.0)).sqrt()
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_is_one_where_samples_agree() {
        // Ten times less of each sample, one with a hundred times the loss of the other.
        assert!((gain_db(&[0.001, 0.1], &[0.01, 1.0]) - 9.8).abs() < 0.2);
        // What one sample gains, another loses.
        assert!(gain_db(&[0.001, 1.0], &[0.01, 0.1]) < -5.0);
        // What is lost by neither counts for nothing, however much less it is.
        assert!(gain_db(&[1e-9, 1e-9], &[1e-7, 1e-7]).abs() < 0.01);
        assert_eq!(gain_db(&[0.5], &[0.5]), 0.0);
    }

    #[test]
    fn what_several_do_is_divided() {
        let mut together = Losses::default();
        together.extend(vec![vec![0.5, 0.1]]);
        assert!(together.is_of_one());
        let part = together.among(2);
        assert_eq!((part.of_outputs(), part.samples(), part.is_of_one()), (&[0.25, 0.05][..], 1, false));
        assert!((part.first() - 0.15).abs() < 1e-12);
    }
}
