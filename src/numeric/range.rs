//! The range of values of each group of a tensor.
//!
//! Owns [`Range`] and the search for it, [`ranges`]. Two ways of searching: along runs that share a
//! scale, and down columns, where neighbouring elements have different scales and a row of
//! accumulators follows the rows of the tensor. Both read memory once, in order.
//!
//! Invariants: a published range is finite, and `min <= max`; zero is never negative zero. Minimum and
//! maximum are then exact and the order of the search cannot show.

use super::float::{FloatType, Stored};
use super::layout::{Geometry, Layout};
use super::tiles::LONG_RUN;
use multiversion::multiversion;
use rayon::prelude::*;

/// Elements that one task reads, about.
const PART: usize = 1 << 16;

/// Accumulators a row of columns has at least, if the tensor allows.
const ROW: usize = 512;

/// Columns whose accumulators stay in the first-level cache while rows go by.
const COLUMNS: usize = 2048;

/// Accumulators along a run.
const LANES: usize = 32;

/// The smallest and the largest of some values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The smallest value.
    pub min: f32,
    /// The largest value.
    pub max: f32,
}

/// A tensor holds a value that no scale can represent.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("element {index} is {value}, not a finite f32")]
pub struct NonFinite {
    /// The flat, row-major index of the first such element.
    pub index: usize,
    /// Its value: a NaN, an infinity, or an `f64` that is beyond the range of `f32`.
    pub value: f64,
}

impl Range {
    /// Of no values.
    const EMPTY: Self = Self { min: f32::INFINITY, max: f32::NEG_INFINITY };

    /// Of values among which there is a NaN. As of those with an infinity, an end is infinite that is
    /// finite in any other range, and is so in every range merged with this one.
    const POISONED: Self = Self { min: f32::NEG_INFINITY, max: f32::INFINITY };

    fn merge(&mut self, other: Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    fn is_tainted(self) -> bool {
        self.min == f32::NEG_INFINITY || self.max == f32::INFINITY
    }

    /// Of the values there are: 0 to 0 when there are none, and without negative zeros.
    fn published(self) -> Self {
        if self == Self::EMPTY {
            return Self { min: 0.0, max: 0.0 };
        }
        Self { min: self.min + 0.0, max: self.max + 0.0 }
    }
}

/// The range of each group of `layout`, in the order of its scales, in parallel. A group without
/// elements has the range 0 to 0.
///
/// # Errors
/// When a value is not finite; the error names the first one.
///
/// # Panics
/// When `values` does not hold the elements of `layout`.
pub fn ranges(values: &[u8], ty: FloatType, layout: &Layout) -> Result<Vec<Range>, NonFinite> {
    ty.check(values, layout.elements());
    let elements = layout.elements();
    let mut ranges = vec![Range::EMPTY; layout.scales()];
    if elements > 0 {
        match layout.geometry() {
            Geometry::Cyclic { channels, run } => {
                if run >= LONG_RUN || channels * run == elements {
                    Runs { line: elements, run }.search(values, ty, &mut ranges);
                } else {
                    search_columns(values, ty, run, &mut ranges);
                }
            }
            Geometry::Tailed { line, run } => Runs { line, run }.search(values, ty, &mut ranges),
            Geometry::Stacked { rows, width, size } => {
                search_stacks(values, ty, rows, width, size, &mut ranges);
            }
        }
    }
    if ranges.iter().any(|range| range.is_tainted())
        && let Some((index, value)) = ty.first_non_finite(values)
    {
        return Err(NonFinite { index, value });
    }
    Ok(ranges.into_iter().map(Range::published).collect())
}

/// Lines of `line` elements, each cut into runs of `run`, the last of them shorter.
#[derive(Clone, Copy)]
struct Runs {
    line: usize,
    run: usize,
}

impl Runs {
    /// Merges the range of each run into `ranges`, over and over.
    fn search(self, values: &[u8], ty: FloatType, ranges: &mut [Range]) {
        let elements = values.len() / ty.size();
        let parts: Vec<(usize, Vec<Range>)> = (0..elements.div_ceil(PART))
            .into_par_iter()
            .map(|part| {
                let (start, end) = (part * PART, elements.min((part + 1) * PART));
                let mut buffer = Vec::new();
                let part = ty.read(values, start..end, &mut buffer);
                (self.index(start), self.within(start, part))
            })
            .collect();
        let scales = ranges.len();
        for (first, found) in parts {
            for (offset, range) in found.into_iter().enumerate() {
                ranges[(first + offset) % scales].merge(range);
            }
        }
    }

    fn index(self, element: usize) -> usize {
        element / self.line * self.line.div_ceil(self.run) + element % self.line / self.run
    }

    /// The ranges of the runs that `values`, which are those from element `at` on, belong to.
    fn within(self, mut at: usize, mut values: &[Stored]) -> Vec<Range> {
        let mut found = Vec::new();
        while !values.is_empty() {
            let offset = at % self.line;
            let (line, rest) = values.split_at(values.len().min(self.line - offset));
            let (head, body) = line.split_at(line.len().min(self.run - offset % self.run));
            found.push(Range::EMPTY);
            let first = found.len() - 1;
            search_runs(head, self.run, &mut found[first..]);
            found.resize(first + 1 + body.len().div_ceil(self.run), Range::EMPTY);
            search_runs(body, self.run, &mut found[first + 1..]);
            (at, values) = (at + line.len(), rest);
        }
        found
    }
}

/// Channels that change every `run` elements, and come back after all of them.
fn search_columns(values: &[u8], ty: FloatType, run: usize, ranges: &mut [Range]) {
    let period = ranges.len() * run;
    // Merging a part costs as much as a row of it, so that it should have many.
    let part = period * (PART / period).max(16);
    let parts: Vec<Vec<Range>> = values
        .par_chunks(part * ty.size())
        .map(|part| {
            let mut buffer = Vec::new();
            let part = ty.read(part, 0..part.len() / ty.size(), &mut buffer);
            let mut found = vec![Range::EMPTY; ranges.len()];
            Columns::default().search(part, run, &mut found);
            found
        })
        .collect();
    for part in parts {
        for (range, found) in ranges.iter_mut().zip(part) {
            range.merge(found);
        }
    }
}

/// Blocks of `size` rows, at most, with a range for each of the `width` columns of a block.
fn search_stacks(values: &[u8], ty: FloatType, rows: usize, width: usize, size: usize, ranges: &mut [Range]) {
    let blocks = rows.div_ceil(size);
    ranges.par_chunks_mut(width).with_min_len((PART / (size * width)).max(1)).enumerate().for_each_init(
        || (Vec::new(), Columns::default()),
        |(buffer, columns), (block, ranges)| {
            let (stack, block) = (block / blocks, block % blocks);
            let start = stack * rows + block * size;
            let end = stack * rows + rows.min((block + 1) * size);
            let values = ty.read(values, start * width..end * width, buffer);
            columns.search(values, 1, ranges);
        },
    );
}

/// Accumulators for a row of elements.
#[derive(Default)]
struct Columns {
    min: Vec<f32>,
    max: Vec<f32>,
}

impl Columns {
    /// Merges the ranges of `values` into `ranges`, each of which is that of `run` neighbouring
    /// elements of a row.
    fn search(&mut self, values: &[Stored], run: usize, ranges: &mut [Range]) {
        let period = ranges.len() * run;
        let several = ROW.min(values.len()) / period;
        let width = period * several.max(1);
        for (ends, initial) in [(&mut self.min, Range::EMPTY.min), (&mut self.max, Range::EMPTY.max)] {
            ends.clear();
            ends.resize(width, initial);
        }
        let has_nan = search_rows(values, &mut self.min, &mut self.max);
        let ends = self.min.chunks(period).zip(self.max.chunks(period));
        for (min, max) in ends {
            let runs = min.chunks(run).zip(max.chunks(run));
            for (range, (min, max)) in ranges.iter_mut().zip(runs) {
                for (&min, &max) in min.iter().zip(max) {
                    range.merge(Range { min, max });
                }
            }
        }
        if has_nan && let Some(range) = ranges.first_mut() {
            range.merge(Range::POISONED);
        }
    }
}

/// Merges into `ranges` those of the runs of `run` elements that `values` consists of.
#[multiversion(targets = "simd")]
fn search_runs(values: &[Stored], run: usize, ranges: &mut [Range]) {
    for (range, values) in ranges.iter_mut().zip(values.chunks(run)) {
        range.merge(range_of(values));
    }
}

#[inline(always)]
fn range_of(values: &[Stored]) -> Range {
    let mut min = [Range::EMPTY.min; LANES];
    let mut max = [Range::EMPTY.max; LANES];
    let mut nan = [0u32; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in chunk.iter().enumerate() {
            let value = f32::from_le_bytes(*value);
            min[lane] = lesser(value, min[lane]);
            max[lane] = greater(value, max[lane]);
            nan[lane] |= u32::from(value.is_nan());
        }
    }
    for (lane, value) in rest.iter().enumerate() {
        let value = f32::from_le_bytes(*value);
        min[lane] = lesser(value, min[lane]);
        max[lane] = greater(value, max[lane]);
        nan[lane] |= u32::from(value.is_nan());
    }
    // In halves, which vectorizes where one after the other would not.
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            min[lane] = lesser(min[lane], min[lane + width]);
            max[lane] = greater(max[lane], max[lane + width]);
            nan[lane] |= nan[lane + width];
        }
        width /= 2;
    }
    if nan[0] != 0 {
        return Range::POISONED;
    }
    Range { min: min[0], max: max[0] }
}

/// Merges `values`, in rows as wide as `min` and `max`, into these; the last row may be shorter. Says
/// whether there was a NaN.
#[multiversion(targets = "simd")]
fn search_rows(values: &[Stored], min: &mut [f32], max: &mut [f32]) -> bool {
    let width = min.len();
    let mut nan = 0;
    let columns = min.chunks_mut(COLUMNS).zip(max.chunks_mut(COLUMNS));
    for (start, (min, max)) in (0..).step_by(COLUMNS).zip(columns) {
        for row in values.chunks(width) {
            let row = row.get(start..).unwrap_or_default();
            for ((value, min), max) in row.iter().zip(min.iter_mut()).zip(max.iter_mut()) {
                let value = f32::from_le_bytes(*value);
                *min = lesser(value, *min);
                *max = greater(value, *max);
                nan |= u32::from(value.is_nan());
            }
        }
    }
    nan != 0
}

/// The lesser of two numbers, or `b` beside a NaN: one instruction, unlike `f32::min`.
#[inline(always)]
fn lesser(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// The greater of two numbers, or `b` beside a NaN.
#[inline(always)]
fn greater(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::Granularity;
    use crate::numeric::reference::{self, arb_layout, arb_values, on_threads};
    use proptest::prelude::*;

    /// Folds over elements in order, by the scale of each.
    fn expected(layout: &Layout, values: &[f32]) -> Vec<Range> {
        let mut ends = vec![None; layout.scales()];
        for (&value, index) in values.iter().zip(reference::scale_indices(layout)) {
            let Range { min, max } = ends[index].unwrap_or(Range { min: value, max: value });
            ends[index] = Some(Range { min: min.min(value), max: max.max(value) });
        }
        let none = Range { min: 0.0, max: 0.0 };
        ends.into_iter().map(|range| range.unwrap_or(none)).collect()
    }

    #[test]
    fn zero_is_positive() -> Result<(), Box<dyn std::error::Error>> {
        let values = reference::to_bytes(&[-0.0, -0.0]);
        let layout = Layout::new(&[2], Granularity::PerTensor)?;
        let found = ranges(&values, FloatType::F32, &layout)?;
        assert!(found[0].min.is_sign_positive() && found[0].max.is_sign_positive());
        Ok(())
    }

    #[test]
    fn groups_without_elements_have_a_range() -> Result<(), Box<dyn std::error::Error>> {
        let layout = Layout::new(&[2, 0], Granularity::PerChannel { axis: 0 })?;
        let found = ranges(&[], FloatType::F32, &layout)?;
        assert_eq!(found, [Range { min: 0.0, max: 0.0 }; 2]);
        Ok(())
    }

    #[test]
    fn large_tensors_have_the_same_ranges_at_every_thread_count() -> Result<(), Box<dyn std::error::Error>> {
        let shape = [3, 67, 1003];
        let values: Vec<f32> = (0..shape.iter().product()).map(|n: usize| (n as f32 * 1.7).sin() * n as f32).collect();
        let bytes = [&[0][..], &reference::to_bytes(&values)].concat();
        let granularities = [
            Granularity::PerTensor,
            Granularity::PerChannel { axis: 0 },
            Granularity::PerChannel { axis: 1 },
            Granularity::PerChannel { axis: 2 },
            Granularity::PerBlock { axis: 1, size: 32 },
            Granularity::PerBlock { axis: 2, size: 32 },
        ];
        for granularity in granularities {
            let layout = Layout::new(&shape, granularity)?;
            for threads in [1, 2] {
                let found = on_threads(threads, || ranges(&bytes[1..], FloatType::F32, &layout))?;
                assert_eq!(found, expected(&layout, &values));
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn ranges_equal_the_reference(
            layout in arb_layout(),
            values in arb_values(),
            ty in prop::sample::select(
                &[FloatType::F32, FloatType::F16, FloatType::BF16, FloatType::F64][..],
            ),
        ) {
            let (bytes, values) = reference::store(&values.of(&layout), ty);
            let unaligned = [&[0xff][..], &bytes].concat();
            prop_assert_eq!(ranges(&unaligned[1..], ty, &layout), Ok(expected(&layout, &values)));
        }

        #[test]
        fn the_first_value_that_is_not_finite_is_found(
            layout in arb_layout(),
            values in arb_values(),
            at in prop::collection::vec(any::<prop::sample::Index>(), 1..3),
            kind in 0..3,
        ) {
            let mut values = values.of(&layout);
            prop_assume!(!values.is_empty());
            let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][kind as usize];
            let at: Vec<_> = at.into_iter().map(|index| index.index(values.len())).collect();
            for &index in &at {
                values[index] = bad;
            }
            let found = ranges(&reference::to_bytes(&values), FloatType::F32, &layout);
            let NonFinite { index, value } = found.expect_err("a value is not finite");
            prop_assert_eq!(Some(&index), at.iter().min());
            prop_assert!(value == f64::from(bad) || value.is_nan() && bad.is_nan());
        }
    }
}
