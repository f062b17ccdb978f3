//! Properties over all methods: merging, order, and the methods against the raw values.

use super::*;
use crate::numeric::{QuantizedType, ScaleType};
use CalibrationMethod::{Entropy, MinMax, MovingAverage, Mse, Percentile};
use proptest::prelude::*;

const METHODS: [CalibrationMethod; 6] = [MinMax, MovingAverage, Percentile(99.0), Percentile(100.0), Entropy, Mse];

const fn scheme(ty: QuantizedType, symmetric: bool) -> Scheme {
    Scheme { ty, symmetric, scale: ScaleType::Float(crate::numeric::FloatType::F32) }
}

const SCHEMES: [Scheme; 4] = [
    scheme(QuantizedType::UInt8, false),
    scheme(QuantizedType::Int8, true),
    scheme(QuantizedType::Int16, false),
    scheme(QuantizedType::UInt4, false),
];
const UINT8: Scheme = SCHEMES[0];
const INT8: Scheme = SCHEMES[1];

fn observed<'a>(samples: impl IntoIterator<Item = &'a Vec<f32>>, histogram: bool) -> Statistics {
    let mut statistics = Statistics::new(Collect { histogram });
    samples.into_iter().for_each(|sample| statistics.observe(sample));
    statistics
}

/// The bits of a normal distribution, nearly: sums of uniform numbers, the same on every run.
fn bell(count: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| (0..12).map(|_| uniform()).sum()).collect()
}

/// What quantizing costs, value by value.
/// The mean squared error, in which the mean error counts 8 times more.
fn weighed_error(values: &[f32], range: Range, scheme: Scheme) -> f64 {
    let params = scheme.parameters(range);
    let (lowest, highest) = scheme.limits();
    let error = |&value: &f32| {
        let number = (value / params.scale).round_ties_even() as f64 + f64::from(params.zero_point);
        let kept = params.dequantize(number.clamp(lowest.into(), highest.into()) as i32);
        f64::from(value) - f64::from(kept)
    };
    let mean = |of: fn(f64) -> f64| values.iter().map(error).map(of).sum::<f64>() / values.len() as f64;
    mean(|error| error * error) + 8.0 * mean(|error| error).powi(2)
}

fn width(range: Range) -> f32 {
    range.max - range.min
}

/// Any floats; ordinary ones; what is behind a Relu; what is behind a Clip.
fn arb_sample() -> impl Strategy<Value = Vec<f32>> {
    let ordinary = || (-1000i32..1000).prop_map(|n| n as f32 * 0.37);
    prop_oneof![
        prop::collection::vec(any::<f32>(), 0..40),
        prop::collection::vec(ordinary(), 0..40),
        prop::collection::vec(ordinary().prop_map(|x| x.max(0.0)), 0..200),
        prop::collection::vec(ordinary().prop_map(|x| x.clamp(0.0, 6.0)), 0..40),
    ]
}

#[test]
fn what_is_not_finite_is_counted_and_kept_out() {
    let mut statistics = Statistics::new(Collect { histogram: true });
    let mut values = bell(20_000);
    let plain = observed([&values], true);
    values[3] = f32::NAN;
    values[9000] = f32::INFINITY;
    values[9001] = f32::NEG_INFINITY;
    values[19_999] = -f32::NAN;
    statistics.observe(&values);
    assert_eq!((statistics.runs(), statistics.elements()), (1, 20_000));
    assert_eq!((statistics.nan(), statistics.infinite()), (2, 2));
    let bins = statistics.histogram.as_ref().expect("asked for").bins();
    assert_eq!(bins.iter().map(|bin| bin.1).sum::<u64>(), 19_996);
    for method in METHODS {
        let range = statistics.range(method, UINT8).expect("most are finite");
        let without = plain.range(method, UINT8).expect("all are finite");
        assert!((width(range) - width(without)).abs() < 0.1, "{method}: {range:?} {without:?}");
    }
    // What was left in the counters would show in the next histogram.
    let mut next = Statistics::new(Collect { histogram: true });
    next.observe(&[1.0]);
    assert_eq!(next.histogram.as_ref().expect("asked for").bins(), [(0x3f80 >> 1, 1)]);
}

#[test]
fn nothing_finite_is_no_range() {
    for values in [vec![], vec![f32::NAN, f32::INFINITY]] {
        let statistics = observed([&values], true);
        assert_eq!(METHODS.map(|method| statistics.range(method, UINT8)), [None; 6]);
        assert_eq!(statistics.extremes(), None);
    }
    assert_eq!(Statistics::of_range(Range { min: 0.0, max: f32::INFINITY }).range(MinMax, UINT8), None);
    assert_eq!(Statistics::of_range(Range { min: 1.0, max: 0.0 }).range(MinMax, UINT8), None);
}

#[test]
fn zeros_are_positive_and_a_bin_of_their_own() {
    let statistics = observed([&vec![-0.0, 0.0, 1e-44, -1e-44]], true);
    assert_eq!(statistics.histogram.as_ref().expect("asked for").bins(), [(0, 4)]);
    let zero = observed([&vec![-0.0]], true).extremes().expect("zero is finite");
    assert!(zero.min.is_sign_positive() && zero.max.is_sign_positive());
}

#[test]
fn a_given_range_is_that_of_every_method_and_stays_one() {
    let mut given = Statistics::of_range(Range { min: -1.0, max: 2.0 });
    assert_eq!(METHODS.map(|m| given.range(m, INT8)), [Some(Range { min: -1.0, max: 2.0 }); 6]);
    given.merge(&observed([&vec![-3.0, 1.0]], true));
    assert_eq!(METHODS.map(|m| given.range(m, INT8)), [Some(Range { min: -3.0, max: 2.0 }); 6]);
    let mut reverse = observed([&vec![-3.0, 1.0]], true);
    reverse.merge(&Statistics::of_range(Range { min: -1.0, max: 2.0 }));
    assert_eq!(reverse, given);
}

#[test]
fn without_a_histogram_some_methods_have_no_range() {
    let statistics = observed([&vec![1.0, 2.0]], false);
    let served = METHODS.map(|method| statistics.serves(method));
    assert_eq!(served, [true, true, false, false, false, false]);
    assert_eq!(METHODS.map(|method| statistics.range(method, UINT8).is_some()), served);
}

#[test]
fn the_moving_average_follows_the_samples() {
    let samples: Vec<Vec<f32>> = (0..500).map(|n| vec![-1.0, if n == 0 { 100.0 } else { 2.0 }]).collect();
    let mut expected = (-1.0f64, 100.0f64);
    for _ in 1..500 {
        expected.1 += 0.01 * (2.0 - expected.1);
    }
    let range = observed(&samples, false).range(MovingAverage, UINT8).expect("observed");
    assert_eq!(range.min, -1.0);
    assert!((f64::from(range.max) - expected.1).abs() < 1e-5, "{range:?} {expected:?}");
}

#[test]
fn outliers_are_clipped_where_that_pays() {
    let mut values = bell(100_000);
    values[7] = 5000.0;
    let statistics = observed([&values], true);
    for (method, reach) in [(Percentile(99.99), 6.0), (Entropy, 8.0)] {
        for scheme in [UINT8, INT8] {
            let range = statistics.range(method, scheme).expect("observed");
            assert!(range.max > 2.5 && range.max < reach, "{method}: {range:?}");
            assert!(range.min < -2.5, "{method}: {range:?}");
        }
    }
    // One value in 100,000, so far away, is worth more than all the precision of the others; nearer it is not.
    assert_eq!(statistics.range(Mse, UINT8).expect("observed").max, 5000.0);
    values[7] = 50.0;
    let range = observed([&values], true).range(Mse, UINT8).expect("observed");
    assert!(range.max < 46.0, "{range:?}");
}

#[test]
fn ends_are_clipped_each_for_itself() {
    let mut values = bell(100_000);
    values.iter_mut().for_each(|value| *value = if *value > 0.0 { *value } else { *value * 0.1 });
    values.extend([-3.0, 30.0]);
    let statistics = observed([&values], true);
    for method in [Percentile(99.98), Entropy] {
        let range = statistics.range(method, UINT8).expect("observed");
        assert!(range.max > 2.5 && range.max < 8.0 && range.min < -0.2 && range.min > -1.0, "{method}: {range:?}");
    }
    let range = statistics.range(Percentile(99.98), INT8).expect("observed");
    assert_eq!(range.min, -3.0, "a symmetric range ends at the same magnitude, or the extreme");
}

#[test]
fn behind_a_relu_only_the_upper_end_moves() {
    let values: Vec<f32> = bell(100_000).into_iter().map(|value| value.max(0.0)).collect();
    let statistics = observed([&values], true);
    for method in METHODS {
        let range = statistics.range(method, UINT8).expect("observed");
        assert_eq!(range.min, 0.0);
        assert!(range.max > 2.0, "{method}: {range:?}");
    }
    let mut sorted = values.clone();
    sorted.sort_by(f32::total_cmp);
    let max = statistics.range(Percentile(99.0), UINT8).expect("observed").max;
    assert!((max / sorted[98_999] - 1.0).abs() < 0.016, "all that is cut off is above");
    // Of a value that is nearly always zero, no percentile is anything else.
    let rare = observed([&[vec![0.0; 100_000], vec![1.0]].concat()], true);
    assert_eq!(rare.range(Percentile(99.0), UINT8), Some(Range { min: 0.0, max: 1.0 }));
}

#[test]
fn a_clip_keeps_its_end() {
    let values: Vec<f32> = bell(100_000).into_iter().map(|value| (value * 6.0).clamp(0.0, 6.0)).collect();
    let statistics = observed([&values], true);
    for method in METHODS {
        let range = statistics.range(method, UINT8).expect("observed");
        assert!(range.max > 5.8, "{method}: {range:?}");
    }
}

#[test]
fn more_bits_clip_less() {
    let statistics = observed([&bell(100_000)], true);
    for method in [Entropy, Mse] {
        let of = |ty| width(statistics.range(method, scheme(ty, false)).expect("observed"));
        let (few, some, many) = (of(QuantizedType::UInt4), of(QuantizedType::UInt8), of(QuantizedType::UInt16));
        assert!(few < 0.9 * some && 0.9 * some < many, "{method}: {few} {some} {many}");
        // Of a hundred thousand values, a few may go for nothing.
        assert!(many > 0.8 * width(statistics.range(MinMax, UINT8).expect("observed")), "{method}: {many}");
    }
}

#[test]
fn float_types_keep_the_extremes() {
    let mut values = bell(10_000);
    values[0] = 500.0;
    let statistics = observed([&values], true);
    let scheme = scheme(QuantizedType::Float8E4M3FN, false);
    for method in [Entropy, Mse] {
        assert_eq!(statistics.range(method, scheme).expect("observed").max, 500.0);
    }
}

#[test]
fn quiet_samples_beside_loud_ones_have_little_above_the_noise() {
    let sample = |loudness: f32| -> Vec<f32> { bell(3000).into_iter().map(|value| value * loudness).collect() };
    let (loud, quiet) = (sample(100.0), sample(0.1));
    for histogram in [false, true] {
        let decibels = |samples: [&Vec<f32>; 2]| {
            let statistics = observed(samples, histogram);
            let range = statistics.range(MinMax, SCHEMES[0]).expect("observed");
            statistics.signal_to_noise(range, SCHEMES[0]).expect("there is a signal")
        };
        let alike = decibels([&loud, &loud]);
        assert!(alike > 30.0, "{alike}");
        // The typical sample is half as many decibels weaker as the quiet one, which is by 60.
        assert!((decibels([&loud, &quiet]) - (alike - 30.0)).abs() < 3.0);
    }
}

#[test]
fn clipped_statistics_are_those_of_clipped_values() {
    let values = bell(3000);
    let interval = Range { min: -0.5, max: f32::INFINITY };
    let clipped = observed([&values], true).clipped(interval);
    let exact = observed([&values.iter().map(|value| value.max(-0.5)).collect()], true);
    assert_eq!(clipped.extremes(), exact.extremes());
    assert_eq!(clipped.histogram, exact.histogram);
    let (power, same) = (clipped.power.typical().expect("some"), exact.power.typical().expect("some"));
    assert!((power / same - 1.0).abs() < 0.02, "{power} {same}");
}

proptest! {
    #[test]
    fn merging_is_observing_everything(
        samples in prop::collection::vec(arb_sample(), 0..12),
        at in any::<prop::sample::Index>(),
        histogram in any::<bool>(),
    ) {
        let (first, second) = samples.split_at(at.index(samples.len() + 1));
        let mut merged = observed(first, histogram);
        merged.merge(&observed(second, histogram));
        let once = observed(&samples, histogram);
        // Averages are rounded; everything else is not.
        let exact = |statistics: &Statistics| Statistics { average: None, ..statistics.clone() };
        prop_assert_eq!(exact(&merged), exact(&once));
        for method in METHODS {
            let [merged, once] = [&merged, &once].map(|s| s.range(method, UINT8));
            if method != MovingAverage {
                prop_assert_eq!(merged, once);
            } else if let (Some(merged), Some(once)) = (merged, once) {
                let close = |a: f32, b: f32| (a - b).abs() <= 1e-6 * width(once).min(f32::MAX);
                prop_assert!(close(merged.min, once.min) && close(merged.max, once.max));
            } else {
                prop_assert_eq!(merged, once);
            }
        }
    }

    #[test]
    fn order_does_not_matter(mut sample in arb_sample(), shift in any::<prop::sample::Index>()) {
        let before = observed([&sample], true);
        let middle = shift.index(sample.len() + 1);
        sample.rotate_left(middle);
        // Sums of squares are rounded as they come; all else is exact.
        let but_power = |statistics: Statistics| Statistics { power: before.power, ..statistics };
        let rotated = observed([&sample], true);
        let typical = |statistics: &Statistics| statistics.power.typical().unwrap_or(0.0);
        prop_assert!((typical(&rotated) - typical(&before)).abs() <= 1e-4 * typical(&before));
        prop_assert_eq!(&but_power(rotated), &before);
        let (first, second) = sample.split_at(middle);
        let mut parts = observed([&second.to_vec(), &first.to_vec()], true);
        (parts.average, parts.runs) = (before.average, before.runs);
        prop_assert_eq!(but_power(parts), before.clone());
    }

    #[test]
    fn ranges_include_zero_and_stay_within_the_extremes(sample in arb_sample()) {
        let finite = || sample.iter().copied().filter(|value| value.is_finite());
        let statistics = observed([&sample], true);
        for scheme in SCHEMES {
            for method in METHODS {
                let Some(range) = statistics.range(method, scheme) else {
                    prop_assert_eq!(finite().count(), 0);
                    continue;
                };
                let (min, max) = (finite().fold(0.0, f32::min), finite().fold(0.0, f32::max));
                prop_assert!(range.min >= min && range.min <= 0.0 && range.max >= 0.0 && range.max <= max);
                if method == MinMax {
                    prop_assert_eq!(range, Range { min, max });
                }
            }
        }
    }

    #[test]
    fn percentiles_are_those_of_the_values(
        values in prop::collection::vec((-3000i32..3000).prop_map(|n| n as f32 * 0.01), 200..400),
        percent in 80.0..100.0f64,
    ) {
        let statistics = observed([&values], true);
        // The value of a rank, and its neighbours: between them, all is right.
        let near = |sorted: &[f32], share: f64, found: f32| {
            let rank = share * sorted.len() as f64;
            let at = |rank: f64| sorted[(rank.max(0.0) as usize).min(sorted.len() - 1)];
            let (low, high) = (at(rank - 2.0), at(rank + 1.0));
            found >= low - low.abs() / 60.0 - 1e-6 && found <= high + high.abs() / 60.0 + 1e-6
        };
        let outside = 1.0 - percent / 100.0;
        let mut sorted = values.clone();
        sorted.sort_by(f32::total_cmp);
        let range = statistics.range(Percentile(percent), UINT8).expect("observed");
        prop_assert!(near(&sorted, outside / 2.0, range.min), "{range:?}");
        prop_assert!(near(&sorted, 1.0 - outside / 2.0, range.max), "{range:?}");
        let mut magnitudes: Vec<f32> = values.iter().map(|value| value.abs()).collect();
        magnitudes.sort_by(f32::total_cmp);
        let range = statistics.range(Percentile(percent), INT8).expect("observed");
        prop_assert!(near(&magnitudes, 1.0 - outside, range.max.max(-range.min)), "{range:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_range_has_a_much_smaller_error_than_that_of_least_error(
        seed in 0usize..1000,
        outlier in 1.0..60.0f32,
        scheme in prop::sample::select(&SCHEMES[..]),
        skew in 0.0..1.0f32,
    ) {
        let mut values = bell(3000 + seed)[seed..].to_vec();
        values.iter_mut().filter(|value| **value < 0.0).for_each(|value| *value *= skew);
        values.push(outlier);
        let statistics = observed([&values], true);
        let range = statistics.range(Mse, scheme).expect("observed");
        let found = weighed_error(&values, range, scheme);
        let whole = statistics.range(MinMax, scheme).expect("observed");
        for low in 1..=20 {
            for high in 1..=20 {
                let share = |end: f32, part: i32| end * part as f32 / 20.0;
                let other = Range { min: share(whole.min, low), max: share(whole.max, high) };
                prop_assert!(found <= 1.1 * weighed_error(&values, other, scheme), "{range:?} {other:?}");
            }
        }
    }
}
