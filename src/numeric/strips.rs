//! Groups of elements, side by side in the lanes of vectors.
//!
//! A search tries many scales on each group, so that groups are first brought where the processor wants
//! them: as rows of [`LANES`] values in the first-level cache. Owns how a tensor of any [`Geometry`] is
//! cut into such [`Strip`]s: a group in every lane where groups are short or lie in columns, a single
//! group over all lanes where groups are long. Missing values are zeros, which every scheme quantizes
//! without error.

use super::float::{FloatType, Stored};
use super::layout::{Geometry, Layout};
use std::ops;

/// Values in a row.
pub(super) const LANES: usize = 16;

/// A value of each lane.
pub(super) type Row = [f32; LANES];

/// The rows that are in the cache at once.
const CHUNK: usize = 256;

/// The longest runs that are laid into lanes of their own.
const SHORT_RUN: usize = CHUNK;

/// Strips that are made at once, so that memory is read in pieces that are worth it.
const NEIGHBOURS: usize = 4;

/// Neighbouring groups, and where their elements are.
#[derive(Debug, Clone)]
pub(super) struct Strips {
    /// The groups, by their scales.
    pub(super) groups: ops::Range<usize>,
    place: Place,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// `rows` rows, `stride` elements apart; a group in each column, the first from `start` on.
    Columns { start: usize, rows: usize, stride: usize },
    /// Runs of `run` elements in lines of `line`, the last of a line shorter.
    Runs { line: usize, run: usize },
    /// One group: `count` runs of `run` elements, `stride` elements apart.
    Whole { start: usize, run: usize, stride: usize, count: usize },
}

/// What holds the rows of a chunk while they are used.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    stored: Vec<Stored>,
    values: Vec<f32>,
}

impl Buffer {
    pub(super) fn rows(&self) -> &[Row] {
        self.values.as_chunks().0
    }
}

/// All groups of `layout`, in order.
pub(super) fn strips(layout: &Layout) -> Vec<Strips> {
    let (elements, scales) = (layout.elements(), layout.scales());
    if elements == 0 {
        return Vec::new();
    }
    match layout.geometry() {
        Geometry::Cyclic { channels, run: 1 } => columns(0..channels, 0, elements / channels, channels).collect(),
        Geometry::Stacked { rows, width, size } => {
            let per_stack = rows.div_ceil(size);
            (0..scales / width)
                .flat_map(|block| {
                    let first = block / per_stack * rows + block % per_stack * size;
                    let count = size.min(rows - block % per_stack * size);
                    columns(block * width..(block + 1) * width, first * width, count, width)
                })
                .collect()
        }
        Geometry::Cyclic { channels, run } if run <= SHORT_RUN && channels * run == elements => {
            runs(scales, Place::Runs { line: run, run })
        }
        Geometry::Tailed { line, run } if run <= SHORT_RUN => runs(scales, Place::Runs { line, run }),
        Geometry::Cyclic { channels, run } => {
            let whole = |group| Place::Whole {
                start: group * run,
                run,
                stride: channels * run,
                count: elements / (channels * run),
            };
            (0..scales).map(|group| Strips { groups: group..group + 1, place: whole(group) }).collect()
        }
        Geometry::Tailed { line, run } => (0..scales)
            .map(|group| {
                let (start, run) = run_of(group, line, run);
                Strips { groups: group..group + 1, place: Place::Whole { start, run, stride: run, count: 1 } }
            })
            .collect(),
    }
}

fn columns(groups: ops::Range<usize>, start: usize, rows: usize, stride: usize) -> impl Iterator<Item = Strips> {
    let width = if rows > CHUNK { LANES } else { NEIGHBOURS * LANES };
    let end = groups.end;
    groups.clone().step_by(width).map(move |group| Strips {
        groups: group..end.min(group + width),
        place: Place::Columns { start: start + group - groups.start, rows, stride },
    })
}

fn runs(scales: usize, place: Place) -> Vec<Strips> {
    let width = NEIGHBOURS * LANES;
    (0..scales).step_by(width).map(|group| Strips { groups: group..scales.min(group + width), place }).collect()
}

/// Where a run starts, and its length.
fn run_of(group: usize, line: usize, run: usize) -> (usize, usize) {
    let per_line = line.div_ceil(run);
    let at = group % per_line * run;
    (group / per_line * line + at, run.min(line - at))
}

impl Strips {
    /// Whether there is one group, over all lanes.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.place, Place::Whole { .. })
    }

    /// The parts in which the rows have to be looked at; where there is more than one, all groups are in
    /// one strip.
    pub(super) fn chunks(&self) -> usize {
        match self.place {
            Place::Columns { rows, .. } => rows.div_ceil(CHUNK),
            Place::Runs { .. } => 1,
            Place::Whole { run, count, .. } => (run * count).div_ceil(CHUNK * LANES),
        }
    }

    /// The rows of a chunk, one strip after the other, each of the same number of rows.
    pub(super) fn load(&self, values: &[u8], ty: FloatType, chunk: usize, buffer: &mut Buffer) {
        let Buffer { stored, values: rows } = buffer;
        rows.clear();
        match self.place {
            Place::Columns { start, rows: all, stride } => {
                let (first, last) = (chunk * CHUNK, all.min((chunk + 1) * CHUNK));
                let height = last - first;
                rows.resize(self.groups.len().div_ceil(LANES) * height * LANES, 0.0);
                for row in 0..height {
                    let at = start + (first + row) * stride;
                    let read = ty.read(values, at..at + self.groups.len(), stored);
                    for (strip, read) in read.chunks(LANES).enumerate() {
                        let to = (strip * height + row) * LANES;
                        copy(read, &mut rows[to..to + read.len()]);
                    }
                }
            }
            Place::Runs { line, run } => {
                rows.resize(self.groups.len().div_ceil(LANES) * run * LANES, 0.0);
                for (offset, group) in self.groups.clone().enumerate() {
                    let (start, length) = run_of(group, line, run);
                    let read = ty.read(values, start..start + length, stored);
                    let column = offset / LANES * run * LANES + offset % LANES;
                    for (to, read) in rows[column..].iter_mut().step_by(LANES).zip(read) {
                        *to = f32::from_le_bytes(*read);
                    }
                }
            }
            Place::Whole { start, run, stride, count } => {
                let mut at = chunk * CHUNK * LANES;
                let end = (run * count).min(at + CHUNK * LANES);
                rows.resize((end - at).next_multiple_of(LANES), 0.0);
                let mut to = 0;
                while at < end {
                    let length = (run - at % run).min(end - at);
                    let from = start + at / run * stride + at % run;
                    copy(ty.read(values, from..from + length, stored), &mut rows[to..to + length]);
                    (at, to) = (at + length, to + length);
                }
            }
        }
    }
}

#[inline(always)]
fn copy(from: &[Stored], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = f32::from_le_bytes(*from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::reference::{self, arb_layout};
    use crate::numeric::{Granularity, Layout};
    use proptest::prelude::*;

    /// The elements of each group, as strips have them, without the zeros.
    fn seen(layout: &Layout) -> Vec<Vec<f32>> {
        let values: Vec<f32> = (0..layout.elements()).map(|e| 1.0 + e as f32).collect();
        let bytes = reference::to_bytes(&values);
        let mut seen = vec![Vec::new(); layout.scales()];
        let mut buffer = Buffer::default();
        let mut next = 0;
        for strips in strips(layout) {
            assert_eq!(strips.groups.start, next);
            next = strips.groups.end;
            for chunk in 0..strips.chunks() {
                strips.load(&bytes, FloatType::F32, chunk, &mut buffer);
                let count = strips.groups.len().div_ceil(LANES);
                assert!(strips.chunks() == 1 || count == 1);
                let height = buffer.rows().len() / count;
                for (number, rows) in buffer.rows().chunks(height).enumerate() {
                    for (lane, &value) in rows.iter().flat_map(|row| row.iter().enumerate()) {
                        if value != 0.0 {
                            let offset = if strips.is_whole() { 0 } else { number * LANES + lane };
                            seen[strips.groups.start + offset].push(value);
                        }
                    }
                }
            }
        }
        assert!(next == layout.scales() || layout.elements() == 0);
        seen
    }

    fn expected(layout: &Layout) -> Vec<Vec<f32>> {
        let mut groups = vec![Vec::new(); layout.scales()];
        for (element, index) in reference::scale_indices(layout).into_iter().enumerate() {
            groups[index].push(1.0 + element as f32);
        }
        groups
    }

    #[test]
    fn long_groups_come_in_chunks() -> Result<(), crate::numeric::LayoutError> {
        for granularity in [
            Granularity::PerTensor,
            Granularity::PerChannel { axis: 0 },
            Granularity::PerChannel { axis: 1 },
            Granularity::PerBlock { axis: 0, size: 300 },
            Granularity::PerBlock { axis: 1, size: 7 },
        ] {
            let layout = Layout::new(&[700, 18], granularity)?;
            assert_eq!(seen(&layout), expected(&layout));
            let layout = Layout::new(&[18, 700], granularity)?;
            assert_eq!(seen(&layout), expected(&layout));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn every_group_has_its_elements_in_order(layout in arb_layout()) {
            prop_assert_eq!(seen(&layout), expected(&layout));
        }
    }
}
