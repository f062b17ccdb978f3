//! One pass over the elements of a value: extremes, and what is not finite.
//!
//! Elements are looked at in blocks that stay in the cache for the histogram, which reads them again.
//! A block costs the same whether or not there is an infinity in it to look for; only one where there
//! is gets a second, slower look.

use super::{counter, histogram::Histogram};
use crate::numeric::Range;
use multiversion::multiversion;

/// Elements of a block: 32 kB.
const BLOCK: usize = 1 << 13;

/// Independent accumulators of the kernel.
const LANES: usize = 32;

/// What some elements are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    /// The smallest and the largest finite element.
    pub extremes: Option<Range>,
    /// How many are NaN.
    pub nan: u64,
    /// How many are infinite.
    pub infinite: u64,
    /// The sum of the squares of the finite ones, about.
    pub squares: f64,
}

/// Looks at all elements, and counts them into a histogram if there is one.
pub(super) fn scan(values: &[f32], histogram: Option<&mut Histogram>) -> Found {
    let mut found = Found { extremes: None, nan: 0, infinite: 0, squares: 0.0 };
    match histogram {
        Some(histogram) => counter::count(values, BLOCK, |block| found.look_at(block), histogram),
        None => values.chunks(BLOCK).for_each(|block| found.look_at(block)),
    }
    found
}

impl Found {
    fn look_at(&mut self, block: &[f32]) {
        let Ends { mut min, mut max, has_nan, mut squares } = ends(block);
        if has_nan || min == f32::NEG_INFINITY || max == f32::INFINITY {
            (min, max, squares) = (f32::INFINITY, f32::NEG_INFINITY, 0.0);
            for &value in block {
                match value {
                    value if value.is_nan() => self.nan += 1,
                    value if value.is_infinite() => self.infinite += 1,
                    value => {
                        (min, max) = (min.min(value), max.max(value));
                        squares += f64::from(value).powi(2);
                    }
                }
            }
        }
        // Beyond what an f32 holds there is no more to be said of how strong a value is.
        self.squares += squares.min(f64::from(f32::MAX));
        if min <= max {
            // Adding makes a negative zero positive, lest the order of zeros show.
            self.extremes = super::union(self.extremes, Some(Range { min: min + 0.0, max: max + 0.0 }));
        }
    }
}

struct Ends {
    min: f32,
    max: f32,
    has_nan: bool,
    squares: f64,
}

/// The smallest and the largest of some values that are no NaN, infinities included.
#[multiversion(targets = "simd")]
fn ends(values: &[f32]) -> Ends {
    let mut min = [f32::INFINITY; LANES];
    let mut max = [f32::NEG_INFINITY; LANES];
    let mut nan = [0u32; LANES];
    let mut squares = [0.0f32; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            let value = chunk[lane];
            // One instruction each, unlike `f32::min`; a NaN leaves what was there.
            min[lane] = if value < min[lane] { value } else { min[lane] };
            max[lane] = if value > max[lane] { value } else { max[lane] };
            nan[lane] |= u32::from(value.is_nan());
            squares[lane] += value * value;
        }
    }
    let mut ends = Ends { min: f32::INFINITY, max: f32::NEG_INFINITY, has_nan: false, squares: 0.0 };
    for lane in 0..LANES {
        ends.min = ends.min.min(min[lane]);
        ends.max = ends.max.max(max[lane]);
        ends.has_nan |= nan[lane] != 0;
        ends.squares += f64::from(squares[lane]);
    }
    for &value in rest {
        ends.min = ends.min.min(value);
        ends.max = ends.max.max(value);
        ends.has_nan |= value.is_nan();
        ends.squares += f64::from(value).powi(2);
    }
    ends
}
