//! Samples that are kept to measure by, while the others pass.

use crate::{calibration::Sample, error::Result};

/// One of so many samples is held back.
const EVERY: usize = 4;

/// The most that are held back.
const MOST: usize = 8;

/// The fewest: what is found on a single sample may be chance.
const LEAST: usize = 2;

/// Passes samples on, but for every fourth of them, of which it keeps the first 8. Where it would keep but one, as
/// there are fewer than 8 samples, it passes that on, too, after the others.
///
/// ```
/// use onnx_quant::{HoldBack, calibration::Sample};
/// let samples = |count: usize| (0..count).map(|index| Ok(Sample::new(index.to_string(), vec![])));
/// let mut ten = HoldBack::new(samples(10));
/// assert_eq!(ten.by_ref().count(), 8);
/// assert_eq!(ten.kept().iter().map(|sample| &*sample.origin).collect::<Vec<_>>(), ["3", "7"]);
/// let mut seven = HoldBack::new(samples(7));
/// assert_eq!((seven.by_ref().count(), seven.kept().len()), (7, 0));
/// let mut hundred = HoldBack::new(samples(100));
/// assert_eq!((hundred.by_ref().count(), hundred.kept().len()), (92, 8));
/// ```
#[derive(Debug)]
pub struct HoldBack<I> {
    samples: I,
    /// How many there were.
    count: usize,
    /// How many may be kept.
    most: usize,
    kept: Vec<Sample>,
}

impl<I> HoldBack<I> {
    /// These samples.
    pub fn new(samples: I) -> Self {
        Self { samples, count: 0, most: MOST, kept: Vec::new() }
    }

    /// These samples, all of which pass: nothing is measured.
    pub fn nothing(samples: I) -> Self {
        Self { most: 0, ..Self::new(samples) }
    }

    /// Those that were held back of the samples so far.
    pub fn kept(self) -> Vec<Sample> {
        self.kept
    }
}

impl<I: Iterator<Item = Result<Sample>>> Iterator for HoldBack<I> {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Result<Sample>> {
        loop {
            let Some(sample) = self.samples.next() else {
                return if self.kept.len() < LEAST { self.kept.pop().map(Ok) } else { None };
            };
            self.count += 1;
            match sample {
                Ok(sample) if self.count.is_multiple_of(EVERY) && self.kept.len() < self.most => self.kept.push(sample),
                sample => return Some(sample),
            }
        }
    }
}
