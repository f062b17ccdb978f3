//! What was observed of one value: streaming, in memory that does not grow with the samples.
//!
//! ```text
//! values ──▶ scan      ──▶ extremes, counts ─┐
//!        └─▶ counter   ──▶ histogram         ├─▶ range, by one of the methods
//!                          average          ─┘   (percentile, entropy, mse)
//! ```
//!
//! Owns [`Statistics`]. Invariants: no value that is not finite enters extremes, average or histogram;
//! counts and extremes do not depend on the order of the samples; a range lies within the extremes,
//! widened to include 0, which every quantized type represents. Two statistics merge to those of all
//! their samples, bit by bit, except that the moving average may be rounded otherwise.

mod average;
mod counter;
mod distribution;
mod entropy;
mod histogram;
mod mse;
mod percentile;
mod power;
mod scan;
mod search;
mod stored;

use crate::{
    config::CalibrationMethod,
    numeric::{Range, Scheme},
};

pub(super) use stored::Stored;

use average::Average;
use distribution::Distribution;
use histogram::Histogram;
use power::Power;

/// From how many elements on a histogram says enough of how rare the large ones are for these to be clipped
/// on its word. (Measured with 8 to 32 samples a model: ranges of least error bring the outputs of text
/// detection closer to those of the float model with this limit as without, those of text direction
/// hold its accuracy only with it.)
const MANY: u64 = 1 << 20;

/// What is worth keeping for a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collect {
    /// How often which value occurred; without, only extremes and averages.
    pub histogram: bool,
}

impl Collect {
    /// What a method needs.
    pub const fn for_method(method: CalibrationMethod) -> Self {
        use CalibrationMethod::{Auto, Entropy, MinMax, MovingAverage, Mse, Percentile};
        let histogram = match method {
            MinMax | MovingAverage => false,
            Percentile(_) | Entropy | Mse | Auto => true,
        };
        Self { histogram }
    }
}

/// What was observed of one value over all samples.
///
/// ```
/// use onnx_quant::{
///     CalibrationMethod,
///     calibration::{Collect, Statistics},
///     numeric::{QuantizedType, ScaleType, Scheme},
/// };
///
/// let mut statistics = Statistics::new(Collect { histogram: false });
/// statistics.observe(&[1.0, f32::NAN, 3.0]);
/// statistics.observe(&[-1.0, 2.0]);
///
/// let scheme = Scheme { ty: QuantizedType::UInt8, symmetric: false, scale: ScaleType::default() };
/// let range = statistics.range(CalibrationMethod::MinMax, scheme).expect("values were observed");
/// assert_eq!((range.min, range.max), (-1.0, 3.0));
/// assert_eq!(statistics.nan(), 1);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    runs: u64,
    elements: u64,
    nan: u64,
    infinite: u64,
    /// The smallest and the largest finite value.
    extremes: Option<Range>,
    average: Option<Average>,
    power: Power,
    histogram: Option<Histogram>,
    /// Whether the extremes, or some of them, are a range that somebody else determined, which every
    /// method has to take as it is.
    given: bool,
}

impl Statistics {
    /// Nothing observed yet.
    pub fn new(collect: Collect) -> Self {
        Self {
            runs: 0,
            elements: 0,
            nan: 0,
            infinite: 0,
            extremes: None,
            average: None,
            power: Power::default(),
            histogram: collect.histogram.then(Histogram::default),
            given: false,
        }
    }

    /// A range that somebody else determined. One with an end that is not finite, or with its ends
    /// exchanged, is none.
    pub fn of_range(range: Range) -> Self {
        let is_range = range.min.is_finite() && range.max.is_finite() && range.min <= range.max;
        let extremes = is_range.then_some(Range { min: range.min + 0.0, max: range.max + 0.0 });
        Self { extremes, given: true, ..Self::new(Collect { histogram: false }) }
    }

    /// The range from -1 to 1, where any range will do.
    pub fn assumed() -> Self {
        Self::of_range(Range { min: -1.0, max: 1.0 })
    }

    /// Adds what the value was in one run of the model: its elements, in any order.
    pub fn observe(&mut self, values: &[f32]) {
        let found = scan::scan(values, self.histogram.as_mut());
        self.runs = self.runs.saturating_add(1);
        self.elements = self.elements.saturating_add(values.len() as u64);
        self.nan = self.nan.saturating_add(found.nan);
        self.infinite = self.infinite.saturating_add(found.infinite);
        let finite = values.len() as u64 - found.nan - found.infinite;
        self.power = self.power.and(Power::of(found.squares / finite.max(1) as f64));
        if let Some(range) = found.extremes {
            self.extremes = union(self.extremes, Some(range));
            let average = Average::of(range);
            self.average = Some(self.average.map_or(average, |earlier| earlier.then(average)));
        }
    }

    /// Adds what was observed later. What only one of the two has a histogram of, the result has none
    /// of; a range that somebody else determined is widened, and remains one.
    pub fn merge(&mut self, later: &Self) {
        if later.is_empty() {
            return;
        }
        if self.is_empty() {
            *self = later.clone();
            return;
        }
        self.runs = self.runs.saturating_add(later.runs);
        self.elements = self.elements.saturating_add(later.elements);
        self.nan = self.nan.saturating_add(later.nan);
        self.infinite = self.infinite.saturating_add(later.infinite);
        self.extremes = union(self.extremes, later.extremes);
        self.average = match (self.average, later.average) {
            (Some(earlier), Some(later)) => Some(earlier.then(later)),
            (earlier, later) => earlier.or(later),
        };
        self.power = self.power.and(later.power);
        self.given |= later.given;
        self.histogram = match (self.histogram.take(), &later.histogram) {
            (Some(mut histogram), Some(later)) if !self.given => {
                histogram.add(later);
                Some(histogram)
            }
            _ => None,
        };
        if self.given {
            (self.average, self.power) = (None, Power::default());
        }
    }

    /// The range by a method, for values that are quantized like `scheme`: within the extremes, widened
    /// to include 0. `None` if there is none: never observed, nothing finite, or observed without what
    /// the method [needs](Self::serves). A range that somebody else determined is that of every method.
    ///
    /// - `minmax`: the extremes.
    /// - `moving-average`: the extremes of each sample, `m = m + 0.01 (x - m)`, as PyTorch's
    ///   MovingAverageMinMaxObserver has it.
    /// - `percentile:P`, asymmetric: what remains when (100 - P)/2 percent of the values are cut off at
    ///   each end, or all of 100 - P at one end where the other is 0. Symmetric: up to the magnitude
    ///   that P percent of the values do not exceed. The extremes, if nothing but zero would be left.
    /// - `entropy`: with the least Kullback-Leibler divergence of what is observed from what is left of
    ///   it, after S. Migacz, "8-bit Inference with TensorRT", GTC 2017.
    /// - `mse`: with the least mean squared error, in which the mean error counts 8 times more.
    /// - `auto`: as `mse` from 2^20 elements on, as `minmax` below.
    ///
    /// Entropy and error leave float types at their extremes: where precision is relative, clipping gains
    /// nothing.
    pub fn range(&self, method: CalibrationMethod, scheme: Scheme) -> Option<Range> {
        let extremes = self.extremes?;
        let whole = Range { min: extremes.min.min(0.0), max: extremes.max.max(0.0) };
        if self.given {
            return Some(whole);
        }
        let distribution = || Some(Distribution::new(self.histogram.as_ref()?, extremes));
        let method = match method {
            CalibrationMethod::Auto if self.elements < MANY => CalibrationMethod::MinMax,
            CalibrationMethod::Auto => CalibrationMethod::Mse,
            method => method,
        };
        let range = match method {
            CalibrationMethod::Auto | CalibrationMethod::MinMax => whole,
            CalibrationMethod::MovingAverage => self.average?.range(),
            CalibrationMethod::Percentile(percent) => {
                percentile::range(&distribution()?, percent, scheme.is_symmetric()).unwrap_or(whole)
            }
            CalibrationMethod::Entropy | CalibrationMethod::Mse if scheme.ty.is_float() => whole,
            CalibrationMethod::Entropy => entropy::range(&distribution()?, whole, scheme),
            CalibrationMethod::Mse => mse::range(&distribution()?, whole, scheme),
        };
        Some(Range { min: range.min.clamp(whole.min, 0.0), max: range.max.clamp(0.0, whole.max) })
    }

    /// What is observed of the values clipped to an interval, the ends of which may be infinite. It has to
    /// hold 0.
    #[must_use]
    pub fn clipped(&self, interval: Range) -> Self {
        let within = |range: Range| Range {
            min: range.min.clamp(interval.min, interval.max),
            max: range.max.clamp(interval.min, interval.max),
        };
        let histogram = self.histogram.as_ref().map(|histogram| histogram.clipped(interval));
        let power = match (&histogram, &self.histogram, self.extremes) {
            (Some(after), Some(before), Some(extremes)) => {
                let after = Distribution::new(after, within(extremes)).mean_square();
                let before = Distribution::new(before, extremes).mean_square();
                self.power.times(after / before)
            }
            _ => self.power,
        };
        Self {
            extremes: self.extremes.map(within),
            average: self.average.map(|average| average.clipped(interval)),
            power,
            histogram,
            ..*self
        }
    }

    /// How much stronger the values of a typical sample are than what is lost when they are quantized with
    /// the parameters of `range`: decibels, `10 log10(signal / noise)` of mean squares. 6 of them are
    /// worth a bit. `None` of ranges that somebody else determined, of floats, and where all is zero.
    ///
    /// Without a histogram the loss is taken for that of values that lie anywhere between two steps,
    /// `step^2 / 12`.
    pub fn signal_to_noise(&self, range: Range, scheme: Scheme) -> Option<f64> {
        let signal = self.power.typical()?;
        let extremes = self.extremes.filter(|_| !scheme.ty.is_float())?;
        let noise = match &self.histogram {
            Some(histogram) => mse::lost(&Distribution::new(histogram, extremes), range, scheme),
            None => f64::from(scheme.parameters(range).scale).powi(2) / 12.0,
        };
        Some(10.0 * libm::log10(signal / noise.max(f64::MIN_POSITIVE)))
    }

    /// Whether there is what a method needs. Nothing observed serves every method, with no range.
    pub fn serves(&self, method: CalibrationMethod) -> bool {
        self.given || self.extremes.is_none() || self.histogram.is_some() || !Collect::for_method(method).histogram
    }

    /// The smallest and the largest finite value.
    pub fn extremes(&self) -> Option<Range> {
        self.extremes
    }

    /// How often it was observed.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// How many elements were observed over all runs.
    pub fn elements(&self) -> u64 {
        self.elements
    }

    /// How many of these were NaN.
    pub fn nan(&self) -> u64 {
        self.nan
    }

    /// How often values about this large occurred: the middle of each bin of the histogram with its count, ascending;
    /// none where none was kept.
    pub fn counts(&self) -> impl Iterator<Item = (f32, u64)> {
        let bins = self.histogram.as_ref().map_or([].as_slice(), Histogram::bins);
        bins.iter().map(|&(bin, count)| {
            let (low, high) = histogram::magnitudes(bin);
            (f32::from(bin.signum()) * (low / 2.0 + high / 2.0), count)
        })
    }

    /// How many of these were infinite.
    pub fn infinite(&self) -> u64 {
        self.infinite
    }

    fn is_empty(&self) -> bool {
        self.runs == 0 && self.extremes.is_none()
    }
}

fn union(a: Option<Range>, b: Option<Range>) -> Option<Range> {
    match (a, b) {
        (Some(a), Some(b)) => Some(Range { min: a.min.min(b.min), max: a.max.max(b.max) }),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
