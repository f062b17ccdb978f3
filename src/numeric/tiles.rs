//! Walks a span of a tensor in tiles of at most [`TILE`] elements, and says what scales each uses.
//!
//! A kernel needs two inner loops, one for elements that share a scale and one for elements that each
//! have their own. Which of them runs, and how the vectors of scales come about, is decided here:
//! runs too short to fill a vector register a few times are served from a vector in which each scale
//! is repeated, and where scales repeat from tile to tile, that vector is kept.
//!
//! Invariant: the tiles cover the span in order and depend on nothing but layout and span.

use super::layout::{Geometry, Layout};
use super::scheme::QuantParams;
use std::ops;

/// The most elements of a tile: with its scales and results it stays in the first-level cache.
const TILE: usize = 2048;

/// Runs of one scale from this length on are tiles of their own.
pub(super) const LONG_RUN: usize = 64;

/// The scales of a tile's elements.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scales<'a> {
    /// All elements use this one.
    Shared { scale: f32, zero_point: f32 },
    /// As many as elements.
    Each { scales: &'a [f32], zero_points: &'a [f32] },
}

/// Calls `kernel` with each tile of `span` and its scales.
pub(super) fn for_each_tile(
    layout: &Layout,
    params: &[QuantParams],
    span: ops::Range<usize>,
    mut kernel: impl FnMut(ops::Range<usize>, Scales<'_>),
) {
    let geometry = layout.geometry();
    let mut vectors = Vectors::default();
    let mut at = span.start;
    while at < span.end {
        match Stretch::at(geometry, at) {
            Stretch::Run { end, scale } => {
                let QuantParams { scale, zero_point } = params[scale];
                let zero_point = zero_point as f32;
                let end = end.min(span.end);
                while at < end {
                    let next = end.min(at + TILE);
                    kernel(at..next, Scales::Shared { scale, zero_point });
                    at = next;
                }
            }
            Stretch::Repeating { end, period } => {
                let end = end.min(span.end);
                let width = period * (TILE / period);
                vectors.fill_repeating(geometry, params, at..end.min(at + width), period);
                while at < end {
                    let next = end.min(at + width);
                    kernel(at..next, vectors.scales(next - at));
                    at = next;
                }
            }
            Stretch::Varying => {
                let end = span.end.min(at + TILE);
                vectors.fill(geometry, params, at..end);
                kernel(at..end, vectors.scales(end - at));
                at = end;
            }
        }
    }
}

/// What can be said of the scales from an element on.
enum Stretch {
    /// One scale up to `end`, and many elements.
    Run { end: usize, scale: usize },
    /// Up to `end`, the scales repeat every `period` <= [`TILE`] elements.
    Repeating { end: usize, period: usize },
    /// Nothing that helps.
    Varying,
}

impl Stretch {
    fn at(geometry: Geometry, element: usize) -> Self {
        let piece = geometry.piece_at(element);
        match geometry {
            Geometry::Cyclic { run, .. } | Geometry::Tailed { run, .. } if run >= LONG_RUN => {
                Self::Run { end: piece.end, scale: piece.scale }
            }
            Geometry::Cyclic { channels, run } if channels * run <= TILE => {
                Self::Repeating { end: usize::MAX, period: channels * run }
            }
            Geometry::Stacked { rows, width, size } if width <= TILE => {
                let row = element / width;
                let block_end = (row % rows / size + 1) * size;
                Self::Repeating { end: (row - row % rows + block_end.min(rows)) * width, period: width }
            }
            _ => Self::Varying,
        }
    }
}

/// Scales and zero points, an entry for each element of a tile.
#[derive(Default)]
struct Vectors {
    scales: Vec<f32>,
    zero_points: Vec<f32>,
}

impl Vectors {
    fn fill(&mut self, geometry: Geometry, params: &[QuantParams], span: ops::Range<usize>) {
        self.scales.clear();
        self.zero_points.clear();
        let mut at = span.start;
        while at < span.end {
            let piece = geometry.piece_at(at);
            let count = piece.end.min(span.end) - at;
            if piece.consecutive {
                let params = &params[piece.scale..piece.scale + count];
                self.scales.extend(params.iter().map(|p| p.scale));
                let zero_points = params.iter().map(|p| p.zero_point as f32);
                self.zero_points.extend(zero_points);
            } else {
                let QuantParams { scale, zero_point } = params[piece.scale];
                let length = self.scales.len() + count;
                self.scales.resize(length, scale);
                self.zero_points.resize(length, zero_point as f32);
            }
            at += count;
        }
    }

    /// As [`fill`](Self::fill), where the scales of `span` repeat every `period` elements.
    fn fill_repeating(&mut self, geometry: Geometry, params: &[QuantParams], span: ops::Range<usize>, period: usize) {
        let once = span.end.min(span.start + period);
        self.fill(geometry, params, span.start..once);
        while self.scales.len() < span.len() {
            let missing = span.len() - self.scales.len();
            let count = missing.min(self.scales.len());
            self.scales.extend_from_within(..count);
            self.zero_points.extend_from_within(..count);
        }
    }

    fn scales(&self, count: usize) -> Scales<'_> {
        Scales::Each { scales: &self.scales[..count], zero_points: &self.zero_points[..count] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::reference::{self, arb_layout};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tiles_give_every_element_its_scale(
            layout in arb_layout(),
            cuts in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let params: Vec<_> = (0..layout.scales())
                .map(|i| QuantParams { scale: i as f32, zero_point: -(i as i32) })
                .collect();
            let cuts = [cuts.0, cuts.1].map(|cut| cut.index(layout.elements() + 1));
            let span = cuts[0].min(cuts[1])..cuts[0].max(cuts[1]);
            let mut seen = Vec::new();
            let mut at = span.start;
            for_each_tile(&layout, &params, span.clone(), |tile, scales| {
                assert!(tile.start == at && tile.len() <= TILE);
                at = tile.end;
                match scales {
                    Scales::Shared { scale, zero_point } => {
                        seen.extend(tile.map(|_| (scale, zero_point)));
                    }
                    Scales::Each { scales, zero_points } => {
                        assert_eq!(tile.len(), scales.len());
                        seen.extend(scales.iter().copied().zip(zero_points.iter().copied()));
                    }
                }
            });
            let expected: Vec<_> = reference::scale_indices(&layout)[span]
                .iter()
                .map(|&i| (i as f32, -(i as f32)))
                .collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
