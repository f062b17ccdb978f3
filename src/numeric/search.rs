//! The search for the scales and zero points that minimise the sum of squared errors.
//!
//! For each group a grid of scales is tried, ratios of the one that reaches both ends of its range, and
//! with asymmetric integers some zero points with each. A trial gives integers, and these their best
//! scale in closed form (Lloyd's method with one degree of freedom: quantizing again with that scale can
//! only improve on it). The best of the grid is refined so a few times. At the end the result and the
//! parameters of the range are measured exactly as they will be used, and the better ones stay.
//!
//! Invariants: never worse than the range's parameters; the result depends on the values of the group
//! and the scheme, but neither on threads nor instruction set.

use super::candidates::Candidates;
use super::float::FloatType;
use super::layout::Layout;
use super::range::Range;
use super::rounding::{Rounding, Rule};
use super::scheme::{QuantParams, Scheme};
use super::squares::{Best, Goal, Sums, Trial, attempt, compare, estimate, measure};
use super::strips::{Buffer, LANES, Row, Strips, strips};
use rayon::prelude::*;

/// How much smaller an error has to be to count: more than the rounding of `f32` sums over a chunk
/// could make of it.
const MARGIN: f32 = 1.0 - 1.0 / 8192.0;

/// The chunks that a task looks at.
const PART: usize = 16;

/// Replaces `params`, those of `ranges`, where others have a smaller squared error.
pub(super) fn improve(
    values: &[u8],
    ty: FloatType,
    layout: &Layout,
    scheme: Scheme,
    along_weights: f32,
    ranges: &[Range],
    params: &mut [QuantParams],
) {
    let mut jobs = Vec::new();
    let mut rest = params;
    for strips in strips(layout) {
        let (params, others) = rest.split_at_mut(strips.groups.len());
        rest = others;
        jobs.push((strips, params));
    }
    let candidates = Candidates::of(scheme, layout.elements() / layout.scales().max(1));
    let goal = Goal { fit: candidates.fit(), along_weights };
    jobs.into_par_iter().for_each_init(Workspace::default, |workspace, (strips, params)| {
        let ranges = &ranges[strips.groups.clone()];
        let tensor = Tensor { values, ty, strips: &strips };
        match Rounding::of(scheme) {
            Rounding::Integer(rule) => search(rule, tensor, &candidates, goal, ranges, params, workspace),
            Rounding::Float(rule) => search(rule, tensor, &candidates, goal, ranges, params, workspace),
        }
    });
}

#[derive(Clone, Copy)]
struct Tensor<'a> {
    values: &'a [u8],
    ty: FloatType,
    strips: &'a Strips,
}

#[derive(Default)]
struct Workspace {
    buffer: Buffer,
    trials: Vec<Trial>,
    sums: Vec<Sums<f32>>,
}

/// The rows of a strip: all of them, or where they come from.
#[derive(Clone, Copy)]
enum Rows<'a> {
    Loaded(&'a [Row]),
    Elsewhere(Tensor<'a>),
}

fn search<R: Rule>(
    rule: R,
    tensor: Tensor<'_>,
    candidates: &Candidates,
    goal: Goal,
    ranges: &[Range],
    params: &mut [QuantParams],
    workspace: &mut Workspace,
) {
    let Workspace { buffer, trials, sums } = workspace;
    let neighbours = ranges.chunks(LANES).zip(params.chunks_mut(LANES));
    let height = if tensor.strips.chunks() == 1 {
        tensor.strips.load(tensor.values, tensor.ty, 0, buffer);
        buffer.rows().len() / neighbours.len()
    } else {
        0
    };
    for (number, (ranges, params)) in neighbours.enumerate() {
        let rows = match tensor.strips.chunks() {
            1 => Rows::Loaded(&buffer.rows()[number * height..(number + 1) * height]),
            _ => Rows::Elsewhere(tensor),
        };
        let whole = tensor.strips.is_whole();
        let base = Trial {
            scale: lanes(params, whole, 1.0, |params| params.scale),
            zero_point: lanes(params, whole, 0.0, |params| params.zero_point as f32),
        };
        let min = lanes(ranges, whole, 0.0, |range| range.min.min(0.0));
        let max = lanes(ranges, whole, 0.0, |range| range.max.max(0.0));
        let mut best = Best { base, trial: base, error: [f32::INFINITY; LANES], goal };
        for round in 0..candidates.rounds() {
            trials.clear();
            candidates.extend(round, &base, &best.trial, (&min, &max), trials);
            match rows {
                Rows::Loaded(rows) if !whole => attempt(rule, rows, trials, &mut best),
                _ => {
                    sum(rows, whole, trials.len(), sums, |rows, sums| estimate(rule, rows, trials, sums));
                    compare(trials, sums, &mut best);
                }
            }
        }
        let found = candidates.stored(best.trial);
        trials.clear();
        trials.extend([base, found]);
        sum(rows, whole, 2, sums, |rows, sums| measure(rule, rows, &base.scale, trials, sums));
        for (lane, params) in params.iter_mut().enumerate() {
            let [before, after] = [sums[0], sums[1]].map(|sums| goal.measured(&sums, lane));
            if after < before * MARGIN {
                *params = QuantParams { scale: found.scale[lane], zero_point: found.zero_point[lane] as i32 };
            }
        }
    }
}

/// One of each item, or the only one in every lane.
fn lanes<T>(items: &[T], whole: bool, missing: f32, value: impl Fn(&T) -> f32) -> Row {
    let item = |lane| if whole { items.first() } else { items.get(lane) };
    std::array::from_fn(|lane| item(lane).map_or(missing, &value))
}

/// Sums over all rows, in the same order at every thread count.
fn sum(
    rows: Rows<'_>,
    whole: bool,
    count: usize,
    sums: &mut Vec<Sums<f32>>,
    kernel: impl Fn(&[Row], &mut [Sums<f32>]) + Sync,
) {
    sums.clear();
    sums.resize(count, Sums::default());
    let totals: Vec<Sums<f64>> = match rows {
        Rows::Loaded(rows) => {
            kernel(rows, sums);
            if !whole {
                return;
            }
            sums.iter().map(Sums::widened).collect()
        }
        Rows::Elsewhere(tensor) => {
            let parts: Vec<Vec<Sums<f64>>> = (0..tensor.strips.chunks().div_ceil(PART))
                .into_par_iter()
                .map(|part| tensor.sum_part(part, count, &kernel))
                .collect();
            let mut totals = vec![Sums::default(); count];
            for part in parts {
                totals.iter_mut().zip(&part).for_each(|(total, part)| total.add(part));
            }
            totals
        }
    };
    for (sums, total) in sums.iter_mut().zip(totals) {
        *sums = if whole { total.over_lanes().rounded() } else { total.rounded() };
    }
}

impl Tensor<'_> {
    /// The sums over [`PART`] chunks.
    fn sum_part(self, part: usize, count: usize, kernel: impl Fn(&[Row], &mut [Sums<f32>])) -> Vec<Sums<f64>> {
        let mut buffer = Buffer::default();
        let mut sums = vec![Sums::default(); count];
        let mut totals = vec![Sums::default(); count];
        for chunk in part * PART..self.strips.chunks().min((part + 1) * PART) {
            self.strips.load(self.values, self.ty, chunk, &mut buffer);
            kernel(buffer.rows(), &mut sums);
            totals.iter_mut().zip(&sums).for_each(|(total, sums)| total.add(&sums.widened()));
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::reference::{self, arb_layout, arb_scheme, arb_values, on_threads};
    use crate::numeric::{
        Granularity, LayoutError, NonFinite, QuantizedType, ScaleMethod, ScaleType, distortion, parameters,
    };
    use proptest::prelude::*;

    const INT4: Scheme = Scheme { ty: QuantizedType::Int4, symmetric: true, scale: ScaleType::Float(FloatType::F32) };

    fn noise(values: &[f32], layout: &Layout, params: &[QuantParams], scheme: Scheme) -> f64 {
        distortion(&reference::to_bytes(values), FloatType::F32, layout, params, scheme).noise
    }

    /// Sums of four uniform numbers, which is nearly normal.
    fn weights(count: usize) -> Vec<f32> {
        let uniform = |n: usize| (n as u32).wrapping_mul(0x9e37_79b9).rotate_left(n as u32 % 31) as i32 as f32;
        (0..count).map(|n| (0..4).map(|k| uniform(4 * n + k + 1)).sum::<f32>() / 2f32.powi(31)).collect()
    }

    #[test]
    fn the_result_is_near_the_best_of_many_scales() -> Result<(), Box<dyn std::error::Error>> {
        let values = weights(32 * 12);
        let layout = Layout::new(&[12, 32], Granularity::PerChannel { axis: 0 })?;
        let bytes = reference::to_bytes(&values);
        // What may be missing of the noise of the best, in parts of it.
        for (ty, symmetric, slack) in [
            (QuantizedType::Int4, true, 0.01),
            (QuantizedType::UInt4, false, 0.02),
            (QuantizedType::Int2, true, 0.01),
            (QuantizedType::UInt2, false, 0.01),
            (QuantizedType::Float4E2M1, true, 0.02),
        ] {
            let scheme = Scheme { ty, symmetric, ..INT4 };
            let base = parameters(&bytes, FloatType::F32, &layout, scheme, ScaleMethod::MinMax)?;
            let found = parameters(&bytes, FloatType::F32, &layout, scheme, ScaleMethod::Mse)?;
            let mut best = 0.0;
            for (values, base) in values.chunks(32).zip(&base) {
                let row = Layout::new(&[32], Granularity::PerTensor)?;
                let (min, max) = scheme.limits();
                let zero_points = if symmetric { base.zero_point..=base.zero_point } else { min..=max };
                let trials = zero_points.flat_map(|zero_point| {
                    (0..200).map(move |n| QuantParams { scale: base.scale * (0.2 + 0.005 * n as f32), zero_point })
                });
                best += trials.map(|params| noise(values, &row, &[params], scheme)).fold(f64::INFINITY, f64::min);
            }
            let noise = noise(&values, &layout, &found, scheme);
            assert!(noise <= best * (1.0 + slack), "{ty:?} {noise} {best}");
        }
        Ok(())
    }

    /// `sum(x * x') / sum(x * x)`: 1 where quantizing makes the weights neither smaller nor larger.
    fn gain(values: &[f32], layout: &Layout, params: &[QuantParams], scheme: Scheme) -> f64 {
        let indices = reference::scale_indices(layout);
        let product = |(&x, index): (&f32, usize)| {
            let code = reference::quantize(x, params[index], scheme);
            f64::from(x) * f64::from(reference::dequantize(code, params[index], scheme.ty))
        };
        let products: f64 = values.iter().zip(indices).map(product).sum();
        products / values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>()
    }

    #[test]
    fn unbiased_scales_do_not_shrink_the_weights() -> Result<(), Box<dyn std::error::Error>> {
        let values = weights(32 * 64);
        let bytes = reference::to_bytes(&values);
        let layout = Layout::new(&[64, 32], Granularity::PerBlock { axis: 1, size: 32 })?;
        for (ty, at_most) in [(QuantizedType::Int4, 0.4), (QuantizedType::Int2, 0.6)] {
            let scheme = Scheme { ty, ..INT4 };
            let found = |method| parameters(&bytes, FloatType::F32, &layout, scheme, method);
            let [range, squares, unbiased] =
                [found(ScaleMethod::MinMax)?, found(ScaleMethod::Mse)?, found(ScaleMethod::Unbiased)?];
            let lost = |params: &[QuantParams]| (1.0 - gain(&values, &layout, params, scheme)).abs();
            assert!(lost(&unbiased) < at_most * lost(&squares), "{ty:?} {} {}", lost(&unbiased), lost(&squares));
            let noise = |params: &[QuantParams]| noise(&values, &layout, params, scheme);
            assert!(noise(&squares) <= noise(&unbiased) && noise(&unbiased) < noise(&range), "{ty:?}");
        }
        Ok(())
    }

    #[test]
    fn integers_times_a_scale_are_recognised() -> Result<(), Box<dyn std::error::Error>> {
        // The range says nothing of the scale: the largest integers are missing.
        let values: Vec<f32> = (0..32).map(|n| 0.37 * ((n * 5) % 14 - 7) as f32).collect();
        let layout = Layout::new(&[32], Granularity::PerTensor)?;
        let found = parameters(&reference::to_bytes(&values), FloatType::F32, &layout, INT4, ScaleMethod::Mse)?;
        assert!((found[0].scale / 0.37 - 1.0).abs() < 1e-5, "{found:?}");
        Ok(())
    }

    #[test]
    fn values_at_the_ends_of_f32_are_searched_too() -> Result<(), Box<dyn std::error::Error>> {
        let layout = Layout::new(&[64], Granularity::PerTensor)?;
        for ty in QuantizedType::ALL {
            for magnitude in [f32::MAX / 4.0, f32::MIN_POSITIVE * 1e4] {
                let values: Vec<f32> = weights(64).iter().map(|x| x * magnitude).collect();
                let scheme = Scheme { ty, ..INT4 };
                let bytes = reference::to_bytes(&values);
                let found = parameters(&bytes, FloatType::F32, &layout, scheme, ScaleMethod::Mse)?;
                assert!(found[0].scale > 0.0 && found[0].scale.is_finite(), "{ty:?} {found:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn the_result_is_the_same_at_every_thread_count() -> Result<(), LayoutError> {
        let shape = [3, 300, 257];
        let bytes = reference::to_bytes(&weights(3 * 300 * 257));
        for granularity in [
            Granularity::PerTensor,
            Granularity::PerChannel { axis: 0 },
            Granularity::PerChannel { axis: 2 },
            Granularity::PerBlock { axis: 1, size: 32 },
            Granularity::PerBlock { axis: 2, size: 32 },
        ] {
            let layout = Layout::new(&shape, granularity)?;
            let scheme = Scheme { ty: QuantizedType::UInt4, symmetric: false, ..INT4 };
            let search = || parameters(&bytes, FloatType::F32, &layout, scheme, ScaleMethod::Mse);
            let once = on_threads(1, search);
            assert_eq!(on_threads(3, search), once);
        }
        Ok(())
    }

    #[test]
    fn what_is_not_finite_is_found_first() -> Result<(), LayoutError> {
        let layout = Layout::new(&[2], Granularity::PerTensor)?;
        let bytes = reference::to_bytes(&[1.0, f32::INFINITY]);
        let error = parameters(&bytes, FloatType::F32, &layout, INT4, ScaleMethod::Mse);
        assert_eq!(error, Err(NonFinite { index: 1, value: f64::INFINITY }));
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_group_is_worse_than_with_its_range(
            layout in arb_layout(),
            values in arb_values(),
            scheme in arb_scheme(),
        ) {
            let values = values.of(&layout);
            let bytes = reference::to_bytes(&values);
            let base = parameters(&bytes, FloatType::F32, &layout, scheme, ScaleMethod::MinMax).expect("finite");
            let found = parameters(&bytes, FloatType::F32, &layout, scheme, ScaleMethod::Mse).expect("finite");
            let (min, max) = scheme.limits();
            let mut errors = vec![(0.0, 0.0); layout.scales()];
            let error = |x: f32, params, scheme: Scheme| {
                let code = reference::quantize(x, params, scheme);
                (f64::from(x) - f64::from(reference::dequantize(code, params, scheme.ty))).powi(2)
            };
            for (&x, index) in values.iter().zip(reference::scale_indices(&layout)) {
                errors[index].0 += error(x, base[index], scheme);
                errors[index].1 += error(x, found[index], scheme);
            }
            for ((before, after), found) in errors.into_iter().zip(&found) {
                prop_assert!(after <= before, "{} {}", before, after);
                prop_assert!(found.scale > 0.0 && (min..=max).contains(&found.zero_point));
                prop_assert_eq!(scheme.scale.round(found.scale), found.scale);
            }
        }
    }
}
