//! The range that a percentage of the values lies in.

use super::distribution::Distribution;
use crate::numeric::Range;

/// Symmetric: up to the magnitude that `percent` of all values do not exceed. Asymmetric: without equal
/// shares of the values at both ends. What one end cannot give, as 0 is always in the range, the
/// other gives: behind a Relu all that is cut off is cut off above. `None` where nothing but zero would be
/// left.
pub(super) fn range(values: &Distribution, percent: f64, symmetric: bool) -> Option<Range> {
    let outside = ((100.0 - percent) / 100.0).clamp(0.0, 1.0);
    let range = if symmetric {
        let reach = values.folded().quantile(1.0 - outside) as f32;
        Range { min: -reach, max: reach }
    } else {
        let (negative, positive) = values.shares();
        let below = negative.min((outside / 2.0).max(outside - positive));
        let above = positive.min((outside / 2.0).max(outside - negative));
        Range { min: values.quantile(below) as f32, max: values.quantile(1.0 - above) as f32 }
    };
    (range.min < 0.0 || range.max > 0.0).then_some(range)
}
