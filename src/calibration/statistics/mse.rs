//! The range with the least mean squared error.

use super::{
    distribution::{Distribution, Span},
    search::{Steps, search},
};
use crate::numeric::{Range, Scheme};

/// How much more the mean of what is lost counts than its spread. A layer adds up what it reads: what is
/// lost by chance cancels there, what all values lose adds up. (Measured: 8 brings outputs closer to
/// those of the float model than 0, 64 or 512, on most of the models tried by a little, on text detection
/// by a quarter. The weights' scales, where the same holds, count it alike.)
const WEIGHT_OF_MEAN: f64 = 8.0;

/// Searches the range, at most `whole`, whose parameters have the least error: the mean squared one, in
/// which the mean error counts for more. An integer scheme.
pub(super) fn range(values: &Distribution, whole: Range, scheme: Scheme) -> Range {
    search(whole, scheme.is_symmetric(), |range| {
        let mean = mean_lost(values, range, scheme);
        lost(values, range, scheme) + WEIGHT_OF_MEAN * mean * mean
    })
}

/// The mean squared error of the values, quantized with the parameters of `range`.
pub(super) fn lost(values: &Distribution, range: Range, scheme: Scheme) -> f64 {
    let steps = Steps::of(range, scheme);
    let sum: f64 = values.spans().iter().map(|span| span.count * squared_error(span, &steps)).sum();
    sum / values.total().max(1.0)
}

/// The mean error of the values, quantized with the parameters of `range`.
fn mean_lost(values: &Distribution, range: Range, scheme: Scheme) -> f64 {
    let steps = Steps::of(range, scheme);
    let sum: f64 = values.spans().iter().map(|span| span.count * error(span, &steps)).sum();
    sum / values.total().max(1.0)
}

/// The mean squared error of the values of a span, spread evenly over it: rounding and clipping alike,
/// exactly.
///
/// With `k(x)` the number of the step nearest to `x` among those there are, and `t(x) = x - k(x) step`
/// what is lost, `k(x) step^3 / 12 + t(x)^3 / 3` is an antiderivative of `t(x)^2`: its derivative is
/// that within a step, and where `k` grows by one, `t` falls from `step / 2` to `-step / 2`.
fn squared_error(span: &Span, steps: &Steps) -> f64 {
    let (low, high) = (steps.nearest(span.low), steps.nearest(span.high));
    let (lost_low, lost_high) = (span.low - low * steps.size, span.high - high * steps.size);
    if low == high {
        // The same without division by what may be 0.
        return (lost_low * lost_low + lost_low * lost_high + lost_high * lost_high) / 3.0;
    }
    let whole_steps = (high - low) * cube(steps.size) / 12.0;
    (whole_steps + (cube(lost_high) - cube(lost_low)) / 3.0) / (span.high - span.low)
}

/// The mean error of the values of a span, spread evenly over it. With `t(x)` as above, `t(x)^2 / 2` is an
/// antiderivative of it: where `t` falls from `step / 2` to `-step / 2`, that stays what it is.
fn error(span: &Span, steps: &Steps) -> f64 {
    let (low, high) = (steps.nearest(span.low), steps.nearest(span.high));
    let (lost_low, lost_high) = (span.low - low * steps.size, span.high - high * steps.size);
    if low == high {
        return (lost_low + lost_high) / 2.0;
    }
    (lost_high * lost_high - lost_low * lost_low) / 2.0 / (span.high - span.low)
}

/// Unlike `powi`, the same on every machine.
fn cube(x: f64) -> f64 {
    x * x * x
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_error_of_a_span_is_that_of_many_values_in_it(
            low in -3.0..3.0f64,
            width in 0.0..2.0f64,
            size in 0.01..1.0f64,
        ) {
            let steps = Steps { size, lowest: -2.0, highest: 3.0 };
            let exact = squared_error(&Span { low, high: low + width, count: 1.0 }, &steps);
            const VALUES: usize = 20_000;
            let lost = |n: usize| {
                let value = low + width * (n as f64 + 0.5) / VALUES as f64;
                let kept = (value / size).round().clamp(-2.0, 3.0) * size;
                (value - kept).powi(2)
            };
            let mean = (0..VALUES).map(lost).sum::<f64>() / VALUES as f64;
            prop_assert!((exact - mean).abs() <= 1e-6 + 1e-4 * mean, "{exact} {mean}");
        }
    }
}
