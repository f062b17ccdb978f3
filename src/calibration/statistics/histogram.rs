//! How often which value occurred.
//!
//! Owns [`Histogram`] and what its bins are. A bin is told by the upper fifteen bits of a float, its
//! sign, exponent and the first six bits of its mantissa, so that an octave has 64 bins: the same
//! relative resolution, 1.6 %, for tiny values and huge ones. Bins are known before the first value is,
//! never widen, and merge exactly, in any order.
//!
//! Invariant: sorted by bin, and no count is 0.

use crate::numeric::Range;

/// Mantissa bits that are not part of a bin's number.
const SHIFT: u32 = 17;

/// The bin of the largest finite value; that of its negative is the negative of this.
pub(in crate::calibration) const LARGEST_BIN: i16 = (f32::MAX.to_bits() >> SHIFT) as i16;

/// A histogram with a bin for each sign and magnitude: bin `n > 0` holds the values whose bits, shifted
/// right by 17, are `n`; bin `-n` their negatives; bin 0 those smaller than 2^-132 in magnitude, which
/// count as zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::calibration) struct Histogram {
    bins: Vec<(i16, u64)>,
}

impl Histogram {
    /// Of bins in ascending order; `None` if they are not, or one is empty, or none that finite values
    /// have.
    pub fn new(bins: Vec<(i16, u64)>) -> Option<Self> {
        let ascending = bins.is_sorted_by(|a, b| a.0 < b.0);
        let valid = bins.iter().all(|&(bin, count)| (-LARGEST_BIN..=LARGEST_BIN).contains(&bin) && count > 0);
        (ascending && valid).then_some(Self { bins })
    }

    /// The bins that are not empty and their counts, in ascending order.
    pub fn bins(&self) -> &[(i16, u64)] {
        &self.bins
    }

    /// Of the values clipped to an interval that holds 0.
    pub fn clipped(&self, interval: Range) -> Self {
        let end = |end: f32| if end.is_finite() { bin(end) } else { LARGEST_BIN * if end < 0.0 { -1 } else { 1 } };
        let (lowest, highest) = (end(interval.min), end(interval.max));
        let mut bins: Vec<(i16, u64)> = Vec::new();
        for &(bin, count) in &self.bins {
            let bin = bin.clamp(lowest, highest);
            match bins.last_mut() {
                Some((last, sum)) if *last == bin => *sum = sum.saturating_add(count),
                _ => bins.push((bin, count)),
            }
        }
        Self { bins }
    }

    /// Adds the counts of another.
    pub fn add(&mut self, other: &Self) {
        self.add_sorted(&other.bins);
    }

    /// Adds counts of bins in ascending order.
    pub fn add_sorted(&mut self, mut added: &[(i16, u64)]) {
        let mut merged = Vec::with_capacity(self.bins.len().max(added.len()));
        for &(bin, count) in &self.bins {
            while let Some((&other, rest)) = added.split_first()
                && other.0 < bin
            {
                merged.push(other);
                added = rest;
            }
            match added.split_first() {
                Some((&(same, more), rest)) if same == bin => {
                    merged.push((bin, count.saturating_add(more)));
                    added = rest;
                }
                _ => merged.push((bin, count)),
            }
        }
        merged.extend_from_slice(added);
        self.bins = merged;
    }
}

/// The magnitudes that bin `bin` holds, or its opposite: from the first up to, without, the second.
pub(super) fn magnitudes(bin: i16) -> (f32, f32) {
    let from = |bin: u32| if bin > LARGEST_BIN as u32 { f32::MAX } else { f32::from_bits(bin << SHIFT) };
    match u32::from(bin.unsigned_abs()) {
        0 => (0.0, 0.0),
        bin => (from(bin), from(bin + 1)),
    }
}

/// The bin of a finite value.
pub(super) fn bin(value: f32) -> i16 {
    let magnitude = index(value.abs().to_bits()) as i16;
    if value < 0.0 { -magnitude } else { magnitude }
}

/// Sign and number of the bin that a value's bits belong to, as an index below 2^15; that of its
/// negative differs in the highest bit.
#[inline(always)]
pub(super) const fn index(bits: u32) -> usize {
    (bits >> SHIFT) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bins_meet_and_end_with_the_largest_value() {
        for bin in 1..LARGEST_BIN {
            let (low, high) = magnitudes(bin);
            assert_eq!(index(low.to_bits()), bin as usize);
            assert_eq!(index(high.to_bits()), bin as usize + 1);
            assert_eq!(high, magnitudes(bin + 1).0);
            assert!(low < f32::MIN_POSITIVE || high <= low * 1.0157);
        }
        assert_eq!(magnitudes(LARGEST_BIN).1, f32::MAX);
        assert_eq!(magnitudes(-3), magnitudes(3));
    }

    #[test]
    fn what_no_finite_values_could_have_made_is_no_histogram() {
        assert!(Histogram::new(vec![(-LARGEST_BIN, 1), (0, 2), (LARGEST_BIN, u64::MAX)]).is_some());
        for bins in [vec![(1, 1), (1, 1)], vec![(2, 1), (1, 1)], vec![(1, 0)], vec![(LARGEST_BIN + 1, 1)]] {
            assert_eq!(Histogram::new(bins), None);
        }
        assert_eq!(Histogram::new(vec![(i16::MIN, 1)]), None);
    }

    proptest! {
        #[test]
        fn adding_is_adding_bin_by_bin(
            a in prop::collection::btree_map(-50i16..50, 1u64..9, 0..30),
            b in prop::collection::btree_map(-50i16..50, 1u64..9, 0..30),
        ) {
            let of = |map: &std::collections::BTreeMap<i16, u64>| Histogram::new(map.clone().into_iter().collect());
            let mut sum = a.clone();
            for (bin, count) in &b {
                *sum.entry(*bin).or_default() += count;
            }
            let mut added = of(&a).expect("ascending");
            added.add(&of(&b).expect("ascending"));
            prop_assert_eq!(Some(added), of(&sum));
        }
    }
}
