//! The search for the ends of a range that something is least for.
//!
//! First on a coarse grid, in steps of a constant ratio, as outliers may be a thousand times what
//! matters; then each end alone in finer steps, in turn, until that gains nothing; then in smaller and
//! smaller steps around what was found. What is sought is rough where single bins move across an edge,
//! so that a search by slopes would be lost; here the result depends on nothing but the distribution.

use crate::numeric::{Range, Scheme};

/// The ratio of neighbouring candidates.
const RATIO: f32 = 0.85;

/// Candidates for an end: down to 0.85^56, a ten-thousandth of the range.
const CANDIDATES: usize = 57;

/// Of these, every fourth is in the grid.
const COARSE: usize = 4;

/// How far around the best end each refinement looks, relative to it.
const ZOOMS: [f32; 4] = [0.08, 0.04, 0.02, 0.01];

/// How often each end is sought while the other stays.
const ROUNDS: usize = 3;

/// The range within `whole`, which includes 0, that `cost` is least for; of several, the widest that was
/// tried.
pub(super) fn search(whole: Range, symmetric: bool, cost: impl FnMut(Range) -> f64) -> Range {
    let mut search = Search { whole, symmetric, cost, best: [1.0; 2], least: f64::INFINITY };
    let ratios: Vec<f32> = std::iter::successors(Some(1.0), |ratio| Some(ratio * RATIO)).take(CANDIDATES).collect();
    let ends: &[usize] = if symmetric || whole.min == 0.0 || whole.max == 0.0 { &[] } else { &[0, 1] };
    if ends.is_empty() {
        ratios.iter().for_each(|&ratio| search.attempt([ratio; 2]));
    } else {
        for &low in ratios.iter().step_by(COARSE) {
            ratios.iter().step_by(COARSE).for_each(|&high| search.attempt([low, high]));
        }
    }
    for _ in 0..ROUNDS {
        let before = search.least;
        for &end in ends {
            ratios.iter().for_each(|&ratio| search.attempt_end(end, ratio));
        }
        if search.least == before {
            break;
        }
    }
    for zoom in ZOOMS {
        for ratio in [1.0 + zoom, 1.0 - zoom] {
            match ends {
                [] => search.attempt(search.best.map(|best| best * ratio)),
                ends => ends.iter().for_each(|&end| search.attempt_end(end, search.best[end] * ratio)),
            }
        }
    }
    search.range(search.best)
}

struct Search<F> {
    whole: Range,
    symmetric: bool,
    cost: F,
    /// The ends, as shares of those of the whole range.
    best: [f32; 2],
    least: f64,
}

impl<F: FnMut(Range) -> f64> Search<F> {
    fn attempt(&mut self, ratios: [f32; 2]) {
        let ratios = ratios.map(|ratio| ratio.min(1.0));
        let range = self.range(ratios);
        let cost = (self.cost)(range);
        if cost < self.least {
            (self.best, self.least) = (ratios, cost);
        }
    }

    fn attempt_end(&mut self, end: usize, ratio: f32) {
        let mut ratios = self.best;
        ratios[end] = ratio;
        self.attempt(ratios);
    }

    fn range(&self, [low, high]: [f32; 2]) -> Range {
        let Range { min, max } = self.whole;
        if self.symmetric {
            let reach = low * max.max(-min);
            return Range { min: min.max(-reach), max: max.min(reach) };
        }
        Range { min: min * low, max: max * high }
    }
}

/// The real numbers that a range's parameters represent: the multiples of a step from the lowest to the
/// highest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    /// The distance of neighbours.
    pub size: f64,
    /// The number of the lowest; not above 0.
    pub lowest: f64,
    /// The number of the highest; not below 0.
    pub highest: f64,
}

impl Steps {
    /// Of the parameters that a scheme with integers gives a range.
    pub fn of(range: Range, scheme: Scheme) -> Self {
        let params = scheme.parameters(range);
        let (lowest, highest) = scheme.limits();
        Self {
            size: f64::from(params.scale),
            lowest: f64::from(lowest - params.zero_point),
            highest: f64::from(highest - params.zero_point),
        }
    }

    /// The number of the one nearest to a value.
    pub fn nearest(&self, value: f64) -> f64 {
        (value / self.size).round_ties_even().clamp(self.lowest, self.highest)
    }
}
