//! Sums of squared errors of many scales at once, over rows whose lanes have scales of their own.
//!
//! Owns the kernels of the search for scales. Errors are counted in steps, so that no scale makes them
//! overflow or vanish, and summed as errors, not as the difference of larger sums: eight bits leave
//! little of those. The sums of a chunk are `f32`, of several chunks `f64`.

use super::rounding::Rule;
use super::strips::{LANES, Row};
use multiversion::multiversion;

/// A scale and a zero point to be tried, for every lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial {
    pub(super) scale: Row,
    pub(super) zero_point: Row,
}

/// Sums over the elements `x` of a lane, whose quantized value less the zero point is `d`. With
/// `e = x / scale - d`, the squared error of the scale is `scale^2 * ee`. Among all scales, with the `d`
/// of this one, `scale * (1 + ed / dd)` has the smallest squared error, `scale^2 * (ee - ed^2 / dd)`: the
/// least-squares solution of `x = scale * d`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums<T> {
    pub(super) ee: [T; LANES],
    pub(super) ed: [T; LANES],
    pub(super) dd: [T; LANES],
}

impl Sums<f32> {
    pub(super) fn widened(&self) -> Sums<f64> {
        let Self { ee, ed, dd } = self;
        Sums { ee: ee.map(f64::from), ed: ed.map(f64::from), dd: dd.map(f64::from) }
    }
}

impl Sums<f64> {
    pub(super) fn add(&mut self, other: &Self) {
        for lane in 0..LANES {
            self.ee[lane] += other.ee[lane];
            self.ed[lane] += other.ed[lane];
            self.dd[lane] += other.dd[lane];
        }
    }

    /// Of all lanes together, in every lane.
    pub(super) fn over_lanes(&self) -> Self {
        let total = |lanes: &[f64; LANES]| [lanes.iter().sum(); LANES];
        Self { ee: total(&self.ee), ed: total(&self.ed), dd: total(&self.dd) }
    }

    pub(super) fn rounded(&self) -> Sums<f32> {
        let rounded = |lanes: &[f64; LANES]| lanes.map(|sum| sum as f32);
        Sums { ee: rounded(&self.ee), ed: rounded(&self.ed), dd: rounded(&self.dd) }
    }
}

/// The best trial so far of every lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Best {
    /// What `error` is relative to: its scale squared is the unit.
    pub(super) base: Trial,
    pub(super) trial: Trial,
    pub(super) error: Row,
    pub(super) goal: Goal,
}

/// What is to be as small as possible.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    /// 1 if scales are fitted to the integers that they give, 0 if they stay.
    pub(super) fit: f32,
    /// How often the part of the error along the weights counts besides being a part of it.
    pub(super) along_weights: f32,
}

impl Goal {
    /// Of what [`measure`] found.
    pub(super) fn measured(self, sums: &Sums<f32>, lane: usize) -> f32 {
        let (ee, ex, xx) = (sums.ee[lane], sums.ed[lane], sums.dd[lane]);
        ee + self.along_weights * ex * (ex / if xx > 0.0 { xx } else { 1.0 })
    }
}

impl Best {
    #[inline(always)]
    fn consider(&mut self, trial: &Trial, Sums { ee, ed, dd }: &Sums<f32>) {
        for lane in 0..LANES {
            let scale = trial.scale[lane];
            let relative = scale / self.base.scale[lane];
            let (ee, ed, dd) = (ee[lane], ed[lane], dd[lane]);
            // With `x = scale * (e + d)`: sums of `e * x` and `d * x`, whose sum is that of `x * x`, each
            // over the squared scale. A change `c` of the scale makes `e` of `e - c * d`, and the goal
            // `ee - 2 c ed + c^2 dd + along * (ex - c dx)^2 / xx`, which is least at this change.
            let (ex, dx) = (ee + ed, ed + dd);
            let along = self.goal.along_weights / select(ex + dx > 0.0, ex + dx, 1.0);
            let curvature = dd + along * dx * dx;
            // Without any `d` but 0, `ed` and `dx` are 0 too.
            let change = (ed + along * ex * dx) / select(curvature > 0.0, curvature, 1.0) * self.goal.fit;
            let left = ex - change * dx;
            let squares = ee - change * (ed + ed - change * dd) + along * left * left;
            let error = relative * relative * squares;
            let improved = error < self.error[lane];
            self.error[lane] = select(improved, error, self.error[lane]);
            self.trial.scale[lane] = select(improved, scale + scale * change, self.trial.scale[lane]);
            self.trial.zero_point[lane] = select(improved, trial.zero_point[lane], self.trial.zero_point[lane]);
        }
    }
}

/// `yes` or `no`, in a form that is not turned into a branch.
#[inline(always)]
fn select(condition: bool, yes: f32, no: f32) -> f32 {
    let mask = u32::from(condition).wrapping_neg();
    f32::from_bits(yes.to_bits() & mask | no.to_bits() & !mask)
}

/// With multiplications by the reciprocal in place of divisions: `d` may be off by one next to a tie,
/// where it makes no difference to the error.
#[inline(always)]
fn sums_of<R: Rule>(rule: R, rows: &[Row], trial: &Trial) -> Sums<f32> {
    let inverse = trial.scale.map(|scale| 1.0 / scale);
    let zero_point = trial.zero_point;
    let (mut ee, mut ed, mut dd) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    for row in rows {
        for lane in 0..LANES {
            let ratio = row[lane] * inverse[lane];
            let d = rule.steps(ratio, zero_point[lane]);
            let e = ratio - d;
            ee[lane] += e * e;
            ed[lane] += e * d;
            dd[lane] += d * d;
        }
    }
    Sums { ee, ed, dd }
}

/// Finds the best of `trials`, of groups of which these are all rows.
#[multiversion(targets = "simd")]
pub(super) fn attempt<R: Rule>(rule: R, rows: &[Row], trials: &[Trial], best: &mut Best) {
    let mut local = *best;
    for trial in trials {
        local.consider(trial, &sums_of(rule, rows, trial));
    }
    *best = local;
}

/// Finds the best of `trials`, whose sums over all rows are known.
#[multiversion(targets = "simd")]
pub(super) fn compare(trials: &[Trial], sums: &[Sums<f32>], best: &mut Best) {
    for (trial, sums) in trials.iter().zip(sums) {
        best.consider(trial, sums);
    }
}

/// The sums of each trial over some of the rows.
#[multiversion(targets = "simd")]
pub(super) fn estimate<R: Rule>(rule: R, rows: &[Row], trials: &[Trial], sums: &mut [Sums<f32>]) {
    for (trial, sums) in trials.iter().zip(sums) {
        *sums = sums_of(rule, rows, trial);
    }
}

/// The sums of `e * e`, `e * x` and `x * x`, in this order, with the errors `e` of each trial exactly as
/// quantizing and dequantizing gives them, in units of `unit` squared.
#[multiversion(targets = "simd")]
pub(super) fn measure<R: Rule>(rule: R, rows: &[Row], unit: &Row, trials: &[Trial], sums: &mut [Sums<f32>]) {
    let inverse = unit.map(|unit| 1.0 / unit);
    for (trial, sums) in trials.iter().zip(sums) {
        let Trial { scale, zero_point } = *trial;
        let (mut ee, mut ex, mut xx) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for row in rows {
            for lane in 0..LANES {
                let e = (row[lane] - rule.round_trip(row[lane], scale[lane], zero_point[lane])) * inverse[lane];
                let x = row[lane] * inverse[lane];
                ee[lane] += e * e;
                ex[lane] += e * x;
                xx[lane] += x * x;
            }
        }
        *sums = Sums { ee, ed: ex, dd: xx };
    }
}
