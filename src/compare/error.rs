//! How far one array is from another, gathered over samples.

use serde::Serialize;

use super::Held;
use crate::error::{Error, Result};

/// How far a value is from what it is in the float model.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ErrorOf {
    /// Signal to noise in decibels: `10 log10(Σ x² / Σ (x - y)²)`; none where there is no noise or no signal.
    pub sqnr: Option<f64>,
    /// The cosine of the angle between both: `Σ x y / sqrt(Σ x² Σ y²)`; none where one of them is zero.
    pub cosine: Option<f64>,
    /// The largest difference of two elements.
    pub largest: f64,
    /// The share of rows, along the last axis, whose largest element is at the same place; none where rows have one
    /// element.
    pub same_largest: Option<f64>,
    /// Each channel by its own variance; none where there is one channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Channels>,
    /// How many elements were compared.
    pub elements: u64,
    /// How many of them are no numbers in one of the models, which count in none of the above.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_finite: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The channels of a value, which are along its second axis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Channels {
    /// How many vary; the others are not counted.
    pub count: usize,
    /// `-10 log10` of the mean of each one's noise over its variance.
    pub sqnr: Option<f64>,
    /// The least of one channel, in decibels over its variance.
    pub worst: Option<f64>,
    /// Which one that is.
    pub worst_channel: usize,
}

impl ErrorOf {
    /// Whether the signal, in all or by channels, is less above the noise than a bound in decibels.
    pub fn is_below(&self, bound: f64) -> bool {
        self.least().is_some_and(|sqnr| sqnr < bound) || self.not_finite > 0
    }

    /// The lesser of the signal to noise in all and by channels.
    pub fn least(&self) -> Option<f64> {
        let by_channels = self.channels.and_then(|channels| channels.sqnr);
        self.sqnr.into_iter().chain(by_channels).min_by(f64::total_cmp)
    }
}

/// More channels are no channels.
const MAX_CHANNELS: usize = 4096;
/// A channel varies whose variance is more than so much of the mean square of all.
const VARIES: f64 = 1e-9;

/// Sums over what was seen so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Accumulated {
    exact: f64,
    rounded: f64,
    product: f64,
    noise: f64,
    largest: f64,
    rows: u64,
    rows_alike: u64,
    elements: u64,
    not_finite: u64,
    channels: Vec<Channel>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Channel {
    elements: f64,
    sum: f64,
    squares: f64,
    noise: f64,
}

/// The two arrays are of different sizes.
pub(super) struct OtherSizes(Vec<usize>, Vec<usize>);

impl OtherSizes {
    pub(super) fn of_value(self, name: &str) -> Error {
        let Self(float, quantized) = self;
        Error::invalid(format!(
            "'{name}' has shape {float:?} in the float model and {quantized:?} in the quantized one: these are not two forms of one \
             model"
        ))
    }
}

impl Accumulated {
    pub(super) fn add(&mut self, exact: &Held, rounded: &Held) -> Result<(), OtherSizes> {
        if exact.shape != rounded.shape || exact.elements.len() != rounded.elements.len() {
            return Err(OtherSizes(exact.shape.clone(), rounded.shape.clone()));
        }
        let (channels, inner) = match exact.shape.as_slice() {
            &[_, channels, ref rest @ ..] if (2..=MAX_CHANNELS).contains(&channels) => {
                (channels, rest.iter().product())
            }
            _ => (1, exact.elements.len().max(1)),
        };
        // Where the number of channels is another one in each sample, it is none of channels.
        if self.channels.is_empty() && self.elements == 0 {
            self.channels = vec![Channel::default(); channels];
        } else if self.channels.len() != channels {
            self.channels.clear();
        }
        for (index, (&exact, &rounded)) in exact.elements.iter().zip(&rounded.elements).enumerate() {
            self.elements += 1;
            // The same infinity, of a mask say, is no error.
            if exact == rounded && exact.is_infinite() {
                continue;
            }
            if !exact.is_finite() || !rounded.is_finite() {
                self.not_finite += 1;
                continue;
            }
            let (exact, rounded) = (f64::from(exact), f64::from(rounded));
            let difference = exact - rounded;
            self.exact += exact * exact;
            self.rounded += rounded * rounded;
            self.product += exact * rounded;
            self.noise += difference * difference;
            self.largest = self.largest.max(difference.abs());
            if !self.channels.is_empty() {
                let channel = &mut self.channels[index / inner % channels];
                channel.elements += 1.0;
                channel.sum += exact;
                channel.squares += exact * exact;
                channel.noise += difference * difference;
            }
        }
        let row = exact.shape.last().copied().filter(|&size| size > 1);
        if let Some(size) = row {
            let rows = exact.elements.chunks(size).zip(rounded.elements.chunks(size));
            for (exact, rounded) in rows {
                self.rows += 1;
                self.rows_alike += u64::from(largest(exact) == largest(rounded));
            }
        }
        Ok(())
    }

    /// What it comes to; `None` where nothing was added.
    pub(super) fn finished(&self) -> Option<ErrorOf> {
        (self.elements > 0).then(|| ErrorOf {
            sqnr: decibels(self.exact, self.noise),
            cosine: Some(self.product / (self.exact * self.rounded).sqrt()).filter(|cosine| cosine.is_finite()),
            largest: self.largest,
            same_largest: (self.rows > 0).then(|| self.rows_alike as f64 / self.rows as f64),
            channels: self.by_channels(),
            elements: self.elements,
            not_finite: self.not_finite,
        })
    }

    fn by_channels(&self) -> Option<Channels> {
        let mean_square = self.exact / self.elements as f64;
        let share = |channel: &Channel| {
            let variance = channel.squares / channel.elements - (channel.sum / channel.elements).powi(2);
            (variance > VARIES * mean_square).then(|| channel.noise / channel.elements / variance)
        };
        let shares = self.channels.iter().enumerate().filter_map(|(index, channel)| Some((index, share(channel)?)));
        let shares: Vec<(usize, f64)> = shares.collect();
        let &(worst_channel, worst) = shares.iter().max_by(|one, other| one.1.total_cmp(&other.1))?;
        let mean = shares.iter().map(|(_, share)| share).sum::<f64>() / shares.len() as f64;
        let channels =
            Channels { count: shares.len(), sqnr: decibels(1.0, mean), worst: decibels(1.0, worst), worst_channel };
        (self.channels.len() > 1).then_some(channels)
    }
}

fn decibels(signal: f64, noise: f64) -> Option<f64> {
    (signal > 0.0 && noise > 0.0).then(|| 10.0 * (signal / noise).log10())
}

/// Where the largest element is, the first of equal ones.
fn largest(row: &[f32]) -> usize {
    let mut best = 0;
    for (index, element) in row.iter().enumerate() {
        if *element > row[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(shape: &[usize], elements: &[f32]) -> Held {
        Held { shape: shape.to_vec(), elements: elements.to_vec() }
    }

    fn error(shape: &[usize], exact: &[f32], rounded: &[f32]) -> ErrorOf {
        let mut sums = Accumulated::default();
        assert!(sums.add(&held(shape, exact), &held(shape, rounded)).is_ok());
        sums.finished().expect("there are elements")
    }

    #[test]
    fn noise_is_counted_beside_the_signal() {
        // A signal of 25 and a noise of 0.25.
        let found = error(&[2], &[3.0, 4.0], &[3.0, 4.5]);
        assert!((found.sqnr.expect("there is noise") - 20.0).abs() < 1e-9);
        assert!((found.cosine.expect("both vary") - 27.0 / (25.0f64 * 29.25).sqrt()).abs() < 1e-12);
        assert_eq!((found.largest, found.elements, found.not_finite), (0.5, 2, 0));
        assert_eq!(found.same_largest, Some(1.0));
        assert_eq!(error(&[2], &[3.0, 4.0], &[3.0, 4.0]).sqnr, None);
    }

    #[test]
    fn channels_count_by_their_own_variance() {
        // Boxes around 100 with a variance of 1, scores with a variance of 0.01, a noise of 0.01 in both.
        let found = error(&[2, 2], &[101.0, 0.1, 99.0, -0.1], &[101.1, 0.2, 99.1, 0.0]);
        let channels = found.channels.expect("there are two");
        assert!(found.sqnr.expect("there is noise") > 50.0);
        assert_eq!((channels.count, channels.worst_channel), (2, 1));
        assert!(channels.worst.expect("it has noise").abs() < 1e-3, "{channels:?}");
        // The mean of 0.01 and 1.
        assert!((channels.sqnr.expect("there is noise") + 10.0 * 0.505f64.log10()).abs() < 1e-3, "{channels:?}");
        assert!(found.is_below(10.0) && !found.is_below(1.0));
    }

    #[test]
    fn samples_of_other_sizes_add_up() {
        let mut sums = Accumulated::default();
        assert!(sums.add(&held(&[1, 2], &[1.0, 2.0]), &held(&[1, 2], &[1.0, 3.0])).is_ok());
        assert!(sums.add(&held(&[1, 3], &[0.0, 2.0, 1.0]), &held(&[1, 3], &[0.0, 1.0, 2.0])).is_ok());
        let found = sums.finished().expect("there are elements");
        // Squares of 10, and three errors of one.
        assert!((found.sqnr.expect("there is noise") - 10.0 * (10.0f64 / 3.0).log10()).abs() < 1e-9);
        assert_eq!((found.same_largest, found.channels), (Some(0.5), None));
        assert!(sums.add(&held(&[2], &[0.0, 0.0]), &held(&[1], &[0.0])).is_err());
    }

    #[test]
    fn what_is_no_number_is_told() {
        let found = error(&[3], &[f32::NEG_INFINITY, 1.0, 2.0], &[f32::NEG_INFINITY, 1.0, f32::NAN]);
        assert_eq!((found.not_finite, found.largest), (1, 0.0));
        assert!(found.is_below(-100.0));
    }
}
