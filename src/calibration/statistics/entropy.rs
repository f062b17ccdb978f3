//! The range whose quantized values diverge least from the observed ones.
//!
//! S. Migacz ("8-bit Inference with TensorRT", GTC 2017) compares histograms: that of the observed
//! values, with all that a threshold clips added to its last bin, and what is left of it when the bins
//! that become one integer share what they hold; the threshold with the least Kullback-Leibler
//! divergence wins. Here the same is said of densities, which need no bins of equal width and so no
//! smallest threshold: `p` is spread evenly over the histogram's bins, `q` evenly over each cell of the
//! quantizer, the values that become one integer.
//!
//! `sum p log(p/q)` falls into what is lost within cells and what is clipped. Zeros are left out: they
//! are exact in every range, and the many behind a Relu would speak for the narrowest.

use super::{
    distribution::{Distribution, Span, mirrored},
    search::{Steps, search},
};
use crate::numeric::{Range, Scheme};
use libm::log;

/// Searches the range, at most `whole`, whose parameters have the least divergence. An integer scheme.
pub(super) fn range(values: &Distribution, whole: Range, scheme: Scheme) -> Range {
    let pieces = pieces(values);
    search(whole, scheme.is_symmetric(), |range| divergence(&pieces, &Steps::of(range, scheme)))
}

/// A span as a density.
struct Piece {
    span: Span,
    density: f64,
    log_density: f64,
}

/// The spans of values that are not zero, ascending.
fn pieces(values: &Distribution) -> Vec<Piece> {
    let mut spans: Vec<Span> =
        values.spans().iter().copied().filter(|span| span.low != 0.0 || span.high != 0.0).collect();
    join_last(&mut spans);
    let mut spans = mirrored(&spans);
    join_last(&mut spans);
    let pieces = mirrored(&spans).into_iter().map(|span| {
        let density = span.count / (span.high - span.low);
        Piece { span, density, log_density: log(density) }
    });
    pieces.collect()
}

/// Makes the last span one with what is before it if the extreme left little of its bin: many equal
/// values at the end of the range, as behind a Clip, have no density.
fn join_last(spans: &mut Vec<Span>) {
    let Some(last) = spans.pop_if(|last| last.high > 0.0 && last.high - last.low < last.high / 128.0) else { return };
    match spans.last_mut() {
        Some(before) if before.high == last.low => {
            before.high = last.high;
            before.count += last.count;
        }
        _ => spans.push(Span { low: last.high * (1.0 - 1.0 / 64.0), ..last }),
    }
}

/// The divergence, times the number of values.
///
/// Everything is measured in steps: cell `k` reaches from `k - 1/2` to `k + 1/2`.
fn divergence(pieces: &[Piece], steps: &Steps) -> f64 {
    let (start, end) = (steps.lowest - 0.5, steps.highest + 0.5);
    let mut cells = Cells { size: steps.size, ends: (steps.lowest, steps.highest), ..Cells::default() };
    let (mut below, mut above) = (0.0, 0.0);
    for Piece { span, density, log_density } in pieces {
        let (low, high) = (span.low / steps.size, span.high / steps.size);
        let per_cell = density * steps.size;
        below += per_cell * (high.min(start) - low).max(0.0);
        above += per_cell * (high - low.max(end)).max(0.0);
        let (low, high) = (low.max(start), high.min(end));
        if low >= high {
            continue;
        }
        let (first, last) = ((low + 0.5).floor(), (high + 0.5).ceil() - 1.0);
        if first >= last {
            cells.add(first, per_cell * (high - low), *log_density);
        } else {
            // A cell between these lies within the span: nothing is lost there.
            cells.add(first, per_cell * (first + 0.5 - low), *log_density);
            cells.add(last, per_cell * (high - (last - 0.5)), *log_density);
        }
    }
    cells.close();
    let total: f64 = pieces.iter().map(|piece| piece.span.count).sum();
    let kept = (total - below - above).max(1.0);
    let clipped = |cell: f64, outside: f64| {
        // Had the last cell nothing of its own, the divergence would be infinite: let it have one.
        let cell = cell.max(1.0);
        if outside > 0.0 { (cell + outside) * log((cell + outside) / cell) } else { 0.0 }
    };
    cells.lost + clipped(cells.first, below) + clipped(cells.last, above) + total * log(kept / total)
}

/// What is lost within cells, which come in ascending order.
///
/// Bins that hold few values differ by chance too, and more of them the wider a cell is: by half a nat
/// for each piece beyond the first (G. Miller, "Note on the bias of information estimates", 1955), which
/// is taken off.
#[derive(Default)]
struct Cells {
    size: f64,
    /// The numbers of the first and the last cell there are.
    ends: (f64, f64),
    /// The number of the cell that is open.
    number: f64,
    /// How many values it holds.
    held: f64,
    /// Of how many pieces it holds something.
    pieces: f64,
    /// Sum over all pieces of `p log p`, less that over all closed cells of `p log q`.
    lost: f64,
    /// What the first and the last cell there are hold.
    first: f64,
    last: f64,
}

impl Cells {
    fn add(&mut self, number: f64, count: f64, log_density: f64) {
        if number != self.number {
            self.close();
            self.number = number;
        }
        self.held += count;
        self.pieces += 1.0;
        self.lost += count * log_density;
    }

    fn close(&mut self) {
        let held = std::mem::take(&mut self.held);
        let pieces = std::mem::take(&mut self.pieces);
        if held > 0.0 {
            self.lost -= held * log(held / self.size) + (pieces - 1.0) / 2.0;
        }
        if self.number == self.ends.0 {
            self.first += held;
        }
        if self.number == self.ends.1 {
            self.last += held;
        }
    }
}
