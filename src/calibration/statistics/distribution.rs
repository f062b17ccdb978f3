//! A histogram as the methods see it: how much of the values lies where.
//!
//! Owns [`Distribution`]. Invariants: spans ascend, do not overlap, and lie within the extremes; values
//! are spread evenly over their span, or all at its only point.

use super::histogram::{Histogram, magnitudes};
use crate::numeric::Range;

/// How the values are distributed.
#[derive(Debug)]
pub(super) struct Distribution {
    spans: Vec<Span>,
    total: f64,
}

/// A bin, as far as it lies within the extremes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    /// Where it begins.
    pub low: f64,
    /// Where it ends: not below `low`, but maybe there.
    pub high: f64,
    /// How many values it holds.
    pub count: f64,
}

impl Distribution {
    /// Of values between `extremes`.
    pub fn new(histogram: &Histogram, extremes: Range) -> Self {
        let within = |value: f32| f64::from(value.clamp(extremes.min, extremes.max));
        let spans = histogram.bins().iter().map(|&(bin, count)| {
            let (least, most) = magnitudes(bin);
            let (low, high) = if bin < 0 { (-most, -least) } else { (least, most) };
            Span { low: within(low), high: within(high), count: count as f64 }
        });
        Self::of(spans.collect())
    }

    fn of(spans: Vec<Span>) -> Self {
        let total = spans.iter().map(|span| span.count).sum();
        Self { spans, total }
    }

    /// The mean of the squares of the values.
    pub fn mean_square(&self) -> f64 {
        let square = |span: &Span| (span.low * span.low + span.low * span.high + span.high * span.high) / 3.0;
        let sum: f64 = self.spans.iter().map(|span| span.count * square(span)).sum();
        sum / self.total.max(1.0)
    }

    /// How many values there are.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// In ascending order.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Of the magnitudes.
    pub fn folded(&self) -> Self {
        let (below, above) = self.spans.split_at(self.spans.partition_point(|span| span.low < 0.0));
        let mut spans = [&mirrored(below), above].concat();
        // Where the extremes have cut a bin, it overlaps with its mirror image; no quantile is off by more
        // than the bin for that.
        spans.sort_by(|a, b| a.low.total_cmp(&b.low).then(a.high.total_cmp(&b.high)));
        Self::of(spans)
    }

    /// The value that `share` of all values lie below, between 0 and 1.
    pub fn quantile(&self, share: f64) -> f64 {
        let rank = share * self.total;
        let mut below = 0.0;
        for span in &self.spans {
            if below + span.count >= rank {
                let part = ((rank - below) / span.count).clamp(0.0, 1.0);
                return span.low + part * (span.high - span.low);
            }
            below += span.count;
        }
        self.spans.last().map_or(0.0, |span| span.high)
    }

    /// The shares of all values that are negative and that are positive.
    pub fn shares(&self) -> (f64, f64) {
        let share = |is_there: fn(&Span) -> bool| {
            let count: f64 = self.spans.iter().filter(|span| is_there(span)).map(|span| span.count).sum();
            if self.total > 0.0 { count / self.total } else { 0.0 }
        };
        (share(|span| span.low < 0.0), share(|span| span.high > 0.0))
    }
}

/// The spans of the negatives of all values.
pub(super) fn mirrored(spans: &[Span]) -> Vec<Span> {
    spans.iter().rev().map(|span| Span { low: -span.high, high: -span.low, count: span.count }).collect()
}
