//! Counting elements into bins.
//!
//! Owns a dense array of counters for each thread, where all elements of one observation are counted
//! before they go to the value's own, sparse histogram. Invariant: all counters are 0 between
//! observations.

use super::histogram::{Histogram, LARGEST_BIN, index};
use multiversion::multiversion;
use std::cell::RefCell;

/// Counters of a bin. Neighbouring elements often fall into the same bin, above all zeros behind a Relu,
/// and to count in one place is to wait for the last count to arrive there.
const LANES: usize = 4;

/// What can be counted before a counter of 32 bits might overflow.
const MOST: usize = 1 << 31;

/// A bin for each pattern of the upper bits, those of infinities and NaN included, so that counting does
/// not have to ask.
const BINS: usize = 1 << 15;
const SIGN: usize = BINS / 2;

type Counters = [[u32; LANES]; BINS];

thread_local! {
    static COUNTERS: RefCell<Vec<[u32; LANES]>> = const { RefCell::new(Vec::new()) };
}

/// Adds the finite ones of `values` to `histogram`, block by block, each of which `look_at` sees first.
pub(super) fn count(values: &[f32], block: usize, mut look_at: impl FnMut(&[f32]), histogram: &mut Histogram) {
    COUNTERS.with_borrow_mut(|counters| {
        counters.resize(BINS, [0; LANES]);
        let counters: &mut Counters = counters.first_chunk_mut().expect("it has just been made so long");
        for part in values.chunks(MOST) {
            let mut span = Span::EMPTY;
            for block in part.chunks(block) {
                look_at(block);
                span = span.with(Span::of(block));
                count_block(block, counters);
            }
            histogram.add_sorted(&take(counters, span));
        }
    });
}

#[inline(always)]
fn count_block(values: &[f32], counters: &mut Counters) {
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            counters[index(chunk[lane].to_bits())][lane] += 1;
        }
    }
    for value in rest {
        counters[index(value.to_bits())][0] += 1;
    }
}

/// The bins that have been counted in, and sets them to 0.
fn take(counters: &mut Counters, span: Span) -> Vec<(i16, u64)> {
    let mut bins = Vec::new();
    let mut take = |index: usize| {
        let count: u64 = std::mem::take(&mut counters[index]).iter().copied().map(u64::from).sum();
        count
    };
    let mut push = |bin: i16, count: u64| {
        if count > 0 {
            bins.push((bin, count));
        }
    };
    let magnitudes = span.smallest..=span.largest.min(LARGEST_BIN as usize);
    for magnitude in magnitudes.clone().rev() {
        push(-(magnitude as i16), take(SIGN + magnitude));
    }
    push(0, take(0) + take(SIGN));
    for magnitude in magnitudes {
        push(magnitude as i16, take(magnitude));
    }
    // Infinities and NaN were counted too, for nothing.
    for magnitude in LARGEST_BIN as usize + 1..=span.largest {
        take(magnitude);
        take(SIGN + magnitude);
    }
    bins
}

/// The smallest and the largest index of a magnitude, zero left out: where counters need to be looked at.
#[derive(Clone, Copy)]
struct Span {
    smallest: usize,
    largest: usize,
}

impl Span {
    const EMPTY: Self = Self { smallest: SIGN, largest: 0 };

    fn of(values: &[f32]) -> Self {
        let (smallest, largest) = magnitudes(values);
        Self { smallest: index(smallest), largest: index(largest) }
    }

    fn with(self, other: Self) -> Self {
        Self { smallest: self.smallest.min(other.smallest), largest: self.largest.max(other.largest) }
    }
}

/// The bits of the smallest magnitude that does not count as zero, and of the largest.
#[multiversion(targets = "simd")]
fn magnitudes(values: &[f32]) -> (u32, u32) {
    // The bits of the smallest magnitude of bin 1; what is less becomes large when it is subtracted.
    const FIRST: u32 = 1 << 17;
    let (mut smallest, mut largest) = (u32::MAX - FIRST, 0);
    for value in values {
        let magnitude = value.to_bits() & !(1 << 31);
        smallest = smallest.min(magnitude.wrapping_sub(FIRST));
        largest = largest.max(magnitude);
    }
    (smallest.saturating_add(FIRST), largest)
}
