//! Which scales and zero points the search tries.
//!
//! Owns the grids of each type, chosen by measurement against a grid of 4000 scales, on the weights of
//! trained networks. In blocks of a few dozen elements the error is a rough function of the scale, whose
//! minimum lies where a few elements fall on integers: a dense grid over what blocks need. In blocks of
//! 32 it leaves less than 0.01 dB to gain with symmetric 4 bits and with 2 bits, 0.02 dB with asymmetric
//! 4 bits, and with 8 bits half of what there is, as that would take hundreds of scales. In long groups
//! the error is smooth, but outliers may ask for a tenth of the scale of the range.

use super::scale::ScaleType;
use super::scheme::Scheme;
use super::squares::Trial;
use super::strips::{LANES, Row};
use multiversion::multiversion;

/// The longest group that is short, on average.
const SHORT: usize = 256;

/// The trials of a scheme.
#[derive(Debug)]
pub(super) struct Candidates {
    scheme: Scheme,
    /// Scales, relative to that of the range.
    ratios: Vec<f32>,
    /// Where the clipped part of a range is, of asymmetric integers: the share of it that is above.
    shares: &'static [f32],
    /// How far around the best scale each refinement looks.
    zooms: &'static [f32],
}

impl Candidates {
    /// For groups of `elements`.
    pub(super) fn of(scheme: Scheme, elements: usize) -> Self {
        let long = elements > SHORT;
        let ratios = match (scheme.scale, scheme.ty.is_float(), scheme.ty.bits()) {
            (ScaleType::PowerOfTwo, true, _) => vec![1.0, 0.5, 2.0],
            (ScaleType::PowerOfTwo, false, _) => vec![1.0, 0.5, 0.25, 0.125],
            // Numbers an octave apart are alike.
            (_, true, 8) => evenly(0.5, 1.0, 16),
            (_, false, 16) => evenly(0.9, 1.0, 8),
            _ if long => (0..20).map(|n| 1.05 * 0.875f32.powi(n)).collect(),
            (_, true, 6) => evenly(0.5, 1.05, 14),
            (_, true, _) => evenly(0.5, 1.1, 12),
            (_, false, 2) => evenly(0.2, 1.1, 12),
            (_, false, 4) => evenly(0.45, 1.1, 10),
            (_, false, _) => evenly(0.6, 1.02, 16),
        };
        let shares: &[f32] = match (scheme.is_symmetric(), scheme.ty.bits()) {
            (false, 2 | 4) => &[0.5, 0.0, 1.0],
            _ => &[0.5],
        };
        let zooms: &[f32] = match scheme.scale {
            ScaleType::PowerOfTwo => &[],
            _ if long => &[0.05, 0.02, 0.0],
            _ => &[0.03, 0.0],
        };
        Self { scheme, ratios, shares, zooms }
    }

    /// 1 if scales are fitted to the integers that they give, 0 if only those tried can be stored.
    pub(super) fn fit(&self) -> f32 {
        if self.scheme.scale == ScaleType::PowerOfTwo { 0.0 } else { 1.0 }
    }

    /// How often trials are asked for.
    pub(super) fn rounds(&self) -> usize {
        1 + self.zooms.len()
    }

    /// The trials of a round, for groups with the smallest values `min` and the largest `max`: first the
    /// grid around `base`, then what is close to `best`.
    pub(super) fn extend(
        &self,
        round: usize,
        base: &Trial,
        best: &Trial,
        (min, max): (&Row, &Row),
        trials: &mut Vec<Trial>,
    ) {
        if let Some(&zoom) = round.checked_sub(1).and_then(|round| self.zooms.get(round)) {
            trials.push(*best);
            if zoom > 0.0 {
                extend_scales(&[1.0 - zoom, 1.0 + zoom], best, trials);
            }
            if !self.scheme.is_symmetric() {
                trials.extend([-1.0, 1.0].map(|step| self.shifted(best, step)));
            }
            return;
        }
        if self.scheme.is_symmetric() {
            extend_scales(&self.ratios, base, trials);
        } else {
            let (lowest, highest) = self.scheme.limits();
            let limits = (lowest as f32, highest as f32);
            extend_zero_points(&self.ratios, self.shares, base, (min, max), limits, trials);
        }
    }

    fn shifted(&self, trial: &Trial, step: f32) -> Trial {
        let (lowest, highest) = self.scheme.limits();
        let zero_point = trial.zero_point.map(|zero_point| (zero_point + step).clamp(lowest as f32, highest as f32));
        Trial { zero_point, ..*trial }
    }

    /// The parameters as they can be stored.
    pub(super) fn stored(&self, trial: Trial) -> Trial {
        Trial { scale: trial.scale.map(|scale| self.scheme.scale.round(scale)), ..trial }
    }
}

#[multiversion(targets = "simd")]
fn extend_scales(ratios: &[f32], base: &Trial, trials: &mut Vec<Trial>) {
    trials.extend(ratios.iter().map(|&ratio| Trial { scale: scaled(&base.scale, ratio), ..*base }));
}

#[multiversion(targets = "simd")]
fn extend_zero_points(
    ratios: &[f32],
    shares: &[f32],
    base: &Trial,
    (min, max): (&Row, &Row),
    (lowest, highest): (f32, f32),
    trials: &mut Vec<Trial>,
) {
    for &ratio in ratios {
        let scale = scaled(&base.scale, ratio);
        for &share in shares {
            let mut zero_point = [0.0; LANES];
            for lane in 0..LANES {
                let below = lowest - min[lane] / scale[lane];
                let above = highest - max[lane] / scale[lane];
                let exact = (below * share + above * (1.0 - share)).round_ties_even();
                let exact = if exact > lowest { exact } else { lowest };
                zero_point[lane] = if exact < highest { exact } else { highest };
            }
            trials.push(Trial { scale, zero_point });
        }
    }
}

#[inline(always)]
fn scaled(scale: &Row, ratio: f32) -> Row {
    let mut scaled = [0.0; LANES];
    for lane in 0..LANES {
        let product = scale[lane] * ratio;
        scaled[lane] = if product > f32::MIN_POSITIVE { product } else { f32::MIN_POSITIVE };
    }
    scaled
}

/// `count` numbers from `last` down to `first`.
fn evenly(first: f32, last: f32, count: usize) -> Vec<f32> {
    (0..count).map(|n| last - (last - first) * n as f32 / (count - 1) as f32).collect()
}
