//! What quantization does to a tensor, as signal and noise power.
//!
//! Invariant: the sums are formed in an order that depends on the layout alone, over lanes of fixed
//! number, so that neither threads nor instruction set show in their bits.

use super::float::{FloatType, Stored};
use super::layout::Layout;
use super::rounding::{self, Rounding, Rule};
use super::scheme::{QuantParams, Scheme};
use super::tiles::{Scales, for_each_tile};
use multiversion::multiversion;
use rayon::prelude::*;
use std::{iter, ops};

/// Elements that one task sums up.
const PART: usize = 1 << 16;

/// Partial sums of a kernel.
const LANES: usize = 16;

/// The power of a tensor, and of its error after quantization. Those of several tensors may be added.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Distortion {
    /// The sum of the squared values.
    pub signal: f64,
    /// The sum of the squared differences between values and dequantized values.
    pub noise: f64,
}

impl Distortion {
    /// The signal-to-quantization-noise ratio in decibels, `10 log10(signal / noise)`: infinite where
    /// quantization is exact, also of a tensor of zeros, and negative infinity for noise without signal.
    ///
    /// ```
    /// use onnx_quant::numeric::Distortion;
    ///
    /// assert_eq!(Distortion { signal: 100.0, noise: 1.0 }.sqnr_db(), 20.0);
    /// assert_eq!(Distortion { signal: 0.0, noise: 0.0 }.sqnr_db(), f64::INFINITY);
    /// ```
    pub fn sqnr_db(self) -> f64 {
        if self.noise == 0.0 { f64::INFINITY } else { 10.0 * (self.signal / self.noise).log10() }
    }

    /// That of values for which others stand, however these were found.
    pub fn between(values: &[f64], stored: &[f32]) -> Self {
        let signal = values.iter().map(|value| value * value).sum();
        let noise = values.iter().zip(stored).map(|(value, stored)| (value - f64::from(*stored)).powi(2)).sum();
        Self { signal, noise }
    }
}

impl iter::Sum for Distortion {
    fn sum<I: Iterator<Item = Self>>(distortions: I) -> Self {
        distortions.fold(Self::default(), |sum, term| sum + term)
    }
}

impl ops::Add for Distortion {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { signal: self.signal + other.signal, noise: self.noise + other.noise }
    }
}

/// Measures what [`quantize`](super::quantize) with the same arguments loses, in parallel. The result
/// has the same bits at every thread count.
///
/// # Panics
/// When `values` or `params` are not of the size that `layout` asks for.
pub fn distortion(values: &[u8], ty: FloatType, layout: &Layout, params: &[QuantParams], scheme: Scheme) -> Distortion {
    ty.check(values, layout.elements());
    rounding::check(params, layout.scales());
    let sum = |values: &[Stored], scales: Scales<'_>, sums: &mut Sums| match Rounding::of(scheme) {
        Rounding::Integer(rule) => add(rule, values, scales, sums),
        Rounding::Float(rule) => add(rule, values, scales, sums),
    };
    let parts: Vec<Distortion> = (0..layout.elements().div_ceil(PART))
        .into_par_iter()
        .map(|part| {
            let span = part * PART..layout.elements().min((part + 1) * PART);
            let mut sums = Sums::default();
            let mut buffer = Vec::new();
            for_each_tile(layout, params, span, |tile, scales| {
                sum(ty.read(values, tile, &mut buffer), scales, &mut sums);
            });
            sums.total()
        })
        .collect();
    parts.into_iter().sum()
}

#[derive(Clone, Copy, Default)]
struct Sums {
    signal: [f64; LANES],
    noise: [f64; LANES],
}

impl Sums {
    #[inline(always)]
    fn add<R: Rule>(&mut self, rule: R, values: &[Stored; LANES], scales: &[f32; LANES], zero_points: &[f32; LANES]) {
        for lane in 0..LANES {
            let before = f32::from_le_bytes(values[lane]);
            let after = rule.round_trip(before, scales[lane], zero_points[lane]);
            let difference = f64::from(before) - f64::from(after);
            self.signal[lane] += f64::from(before) * f64::from(before);
            self.noise[lane] += difference * difference;
        }
    }

    fn total(&self) -> Distortion {
        Distortion { signal: self.signal.iter().sum(), noise: self.noise.iter().sum() }
    }
}

#[multiversion(targets = "simd")]
fn add<R: Rule>(rule: R, values: &[Stored], scales: Scales<'_>, sums: &mut Sums) {
    let mut local = *sums; // in registers
    let (chunks, rest) = values.as_chunks();
    match scales {
        Scales::Run { scale, zero_point } => {
            let (scales, zero_points) = ([scale; LANES], [zero_point; LANES]);
            for values in chunks {
                local.add(rule, values, &scales, &zero_points);
            }
            local.add(rule, &padded(rest, ZERO), &scales, &zero_points);
        }
        Scales::Row { scales, zero_point } => {
            let zero_points = [zero_point; LANES];
            let (scale_chunks, scale_rest) = scales.as_chunks();
            for (values, scales) in chunks.iter().zip(scale_chunks) {
                local.add(rule, values, scales, &zero_points);
            }
            local.add(rule, &padded(rest, ZERO), &padded(scale_rest, 1.0), &zero_points);
        }
        Scales::Each { scales, zero_points } => {
            let (scale_chunks, scale_rest) = scales.as_chunks();
            let (zero_chunks, zero_rest) = zero_points.as_chunks();
            for ((values, scales), zero_points) in chunks.iter().zip(scale_chunks).zip(zero_chunks) {
                local.add(rule, values, scales, zero_points);
            }
            if let Some(&zero_point) = zero_rest.first() {
                let (scales, zero_points) = (padded(scale_rest, 1.0), padded(zero_rest, zero_point));
                local.add(rule, &padded(rest, ZERO), &scales, &zero_points);
            }
        }
    }
    *sums = local;
}

/// Zero is quantized exactly, so that it adds nothing.
const ZERO: Stored = 0f32.to_le_bytes();

#[inline(always)]
fn padded<T: Copy>(values: &[T], padding: T) -> [T; LANES] {
    let mut lanes = [padding; LANES];
    lanes[..values.len()].copy_from_slice(values);
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::reference::{self, arb_layout, arb_scheme, arb_values, on_threads};
    use crate::numeric::{Granularity, Range, ScaleType, ranges};
    use proptest::prelude::*;

    #[test]
    fn exact_and_worthless_quantization_have_infinite_ratios() {
        let ratio = |signal, noise| Distortion { signal, noise }.sqnr_db();
        assert_eq!(ratio(1.0, 0.0), f64::INFINITY);
        assert_eq!(ratio(0.0, 0.0), f64::INFINITY);
        assert_eq!(ratio(0.0, 1.0), f64::NEG_INFINITY);
        assert_eq!(ratio(1.0, 1000.0), -30.0);
    }

    #[test]
    fn the_result_has_the_same_bits_at_every_thread_count() -> Result<(), crate::numeric::LayoutError> {
        let shape = [130, 1001];
        let values: Vec<f32> = (0..130 * 1001).map(|n| (n as f32).sin()).collect();
        let values = reference::to_bytes(&values);
        let scheme = Scheme { ty: crate::numeric::QuantizedType::Int8, symmetric: true, scale: ScaleType::default() };
        for axis in 0..2 {
            let layout = Layout::new(&shape, Granularity::PerChannel { axis })?;
            let range = Range { min: -1.0, max: 1.0 };
            let params = vec![scheme.parameters(range); layout.scales()];
            let measure = || distortion(&values, FloatType::F32, &layout, &params, scheme);
            let once = on_threads(1, measure);
            for threads in [2, 3] {
                assert_eq!(on_threads(threads, measure), once);
            }
            // A sine has the power 1 / 2, an error uniform within a step of 1 / 127 that squared / 12.
            let expected = 10.0 * (6.0 * 127f64.powi(2)).log10();
            assert!((once.sqnr_db() - expected).abs() < 0.1, "{}", once.sqnr_db());
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn equals_the_sums_over_the_reference(
            layout in arb_layout(),
            values in arb_values(),
            scheme in arb_scheme(),
        ) {
            let values = values.of(&layout);
            let bytes = reference::to_bytes(&values);
            let unaligned = [&[0xff][..], &bytes].concat();
            let ranges = ranges(&bytes, FloatType::F32, &layout).expect("finite values");
            let params: Vec<_> = ranges.into_iter().map(|r| scheme.parameters(r)).collect();
            let actual = distortion(&unaligned[1..], FloatType::F32, &layout, &params, scheme);

            let indices = reference::scale_indices(&layout);
            let expected: Distortion = values
                .iter()
                .zip(indices)
                .map(|(&x, index)| {
                    let q = reference::quantize(x, params[index], scheme);
                    let after = f64::from(reference::dequantize(q, params[index], scheme.ty));
                    let x = f64::from(x);
                    Distortion { signal: x * x, noise: (x - after) * (x - after) }
                })
                .sum();
            let close = |a: f64, b: f64| a == b || (a - b).abs() <= 1e-10 * b.abs();
            prop_assert!(close(actual.signal, expected.signal));
            prop_assert!(close(actual.noise, expected.noise), "{actual:?} {expected:?}");
        }
    }
}
