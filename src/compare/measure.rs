//! How far numbers are from those that they should be: sums over all samples, in memory that does not grow with them.

use serde::{Deserialize, Serialize};

/// Where there is no difference at all, and with the other sign where there is no signal but noise: a figure in decibels
/// is within these.
pub const LIMIT_DB: f64 = 200.0;

/// The error of one value over all samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Accuracy {
    /// Signal to noise in decibels, `10 log10(sum x^2 / sum (x - y)^2)`, of x in float and y quantized; within
    /// [`LIMIT_DB`].
    pub sqnr_db: f64,
    /// The cosine of the angle between the two, all elements of all samples as one vector; nothing where one is zero.
    pub cosine: Option<f64>,
    /// The largest absolute difference.
    pub max_error: f64,
    /// Elements that are not finite in one of both and not the same in the other. They count in no other figure, but
    /// where there are any `sqnr_db` is the least there is.
    pub broken: u64,
}

/// What an [`Accuracy`] is made from.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Measure {
    seen: bool,
    signal: f64,
    other: f64,
    product: f64,
    noise: f64,
    largest: f64,
    broken: u64,
}

impl Measure {
    /// Takes what one sample made of a value in both models; as many elements in both.
    pub fn observe(&mut self, float: &[f32], other: &[f32]) {
        self.seen |= !float.is_empty();
        for (&x, &y) in float.iter().zip(other) {
            let (x, y) = (f64::from(x), f64::from(y));
            if !(x.is_finite() && y.is_finite()) {
                self.broken += u64::from(x != y && !(x.is_nan() && y.is_nan()));
                continue;
            }
            let error = x - y;
            self.signal += x * x;
            self.other += y * y;
            self.product += x * y;
            self.noise += error * error;
            self.largest = self.largest.max(error.abs());
        }
    }

    /// The figures; nothing if there was nothing.
    pub fn accuracy(&self) -> Option<Accuracy> {
        let norms = (self.signal * self.other).sqrt();
        self.seen.then(|| Accuracy {
            sqnr_db: if self.broken > 0 { -LIMIT_DB } else { decibels(self.signal, self.noise) },
            cosine: (norms > 0.0).then(|| (self.product / norms).clamp(-1.0, 1.0)),
            max_error: self.largest,
            broken: self.broken,
        })
    }
}

/// `10 log10(signal / noise)`, within [`LIMIT_DB`].
fn decibels(signal: f64, noise: f64) -> f64 {
    match (signal > 0.0, noise > 0.0) {
        (_, false) => LIMIT_DB,
        (false, true) => -LIMIT_DB,
        (true, true) => (10.0 * libm::log10(signal / noise)).clamp(-LIMIT_DB, LIMIT_DB),
    }
}

/// The error of an output's channels, each against its own variance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ChannelAccuracy {
    /// The axis that counts the channels.
    pub axis: usize,
    /// All together: the mean over the channels of noise over variance, at most 1 each, in decibels. A channel that is
    /// lost counts as such however small its numbers are, and for no more than one.
    pub sqnr_db: f64,
    /// The channel with the least figure.
    pub worst: usize,
    /// For each channel `10 log10(variance / mean (x - y)^2)`. One that varies by less than a 256th of its size, which
    /// is nearly constant, is measured against its mean square.
    pub each_db: Vec<f64>,
}

/// What a [`ChannelAccuracy`] is made from.
#[derive(Debug, Clone)]
pub(super) struct Channels {
    axis: usize,
    each: Vec<Channel>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Channel {
    count: f64,
    mean: f64,
    /// The sum of squared differences from the mean.
    spread: f64,
    noise: f64,
}

impl Channels {
    pub fn new(axis: usize, count: usize) -> Self {
        Self { axis, each: vec![Channel::default(); count] }
    }

    pub fn axis(&self) -> usize {
        self.axis
    }

    /// Takes a sample; false, and nothing is taken, if it has another number of channels.
    pub fn observe(&mut self, shape: &[usize], float: &[f32], other: &[f32]) -> bool {
        if shape.get(self.axis) != Some(&self.each.len()) {
            return false;
        }
        let inner = shape[self.axis + 1..].iter().product::<usize>().max(1);
        let count = self.each.len();
        let runs = float.chunks(inner).zip(other.chunks(inner));
        for (index, (float, other)) in runs.enumerate() {
            self.each[index % count].observe(float, other);
        }
        true
    }

    /// The figures; nothing of single elements, which vary by nothing.
    pub fn accuracy(&self) -> Option<ChannelAccuracy> {
        if self.each.iter().all(|channel| channel.count < 2.0) {
            return None;
        }
        let each_db: Vec<f64> = self.each.iter().map(|channel| decibels(channel.signal(), channel.noise)).collect();
        let worst = (0..each_db.len()).min_by(|&a, &b| each_db[a].total_cmp(&each_db[b]))?;
        let shares = self.each.iter().map(|it| if it.noise > 0.0 { (it.noise / it.signal()).min(1.0) } else { 0.0 });
        let mean = shares.sum::<f64>() / self.each.len() as f64;
        Some(ChannelAccuracy { axis: self.axis, sqnr_db: decibels(1.0, mean), worst, each_db })
    }
}

impl Channel {
    /// What its noise is measured against: how much it varies, or, where that is hardly at all, its size.
    fn signal(&self) -> f64 {
        let constant = self.count * self.mean * self.mean;
        if self.spread > constant / (256.0 * 256.0) { self.spread } else { self.spread + constant }
    }

    fn observe(&mut self, float: &[f32], other: &[f32]) {
        // By Welford: sums of squares of what is nearly constant would cancel.
        for (&x, &y) in float.iter().zip(other) {
            let (x, y) = (f64::from(x), f64::from(y));
            if !(x.is_finite() && y.is_finite()) {
                continue;
            }
            self.count += 1.0;
            let from_mean = x - self.mean;
            self.mean += from_mean / self.count;
            self.spread += from_mean * (x - self.mean);
            self.noise += (x - y) * (x - y);
        }
    }
}

/// How often the largest element along the last axis is the same one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Choices {
    all: u64,
    same: u64,
}

impl Choices {
    pub fn observe(&mut self, row: usize, float: &[f32], other: &[f32]) {
        for (float, other) in float.chunks(row.max(1)).zip(other.chunks(row.max(1))) {
            self.all += 1;
            self.same += u64::from(largest(float) == largest(other));
        }
    }

    /// Takes elements that are choices themselves.
    pub fn observe_equal(&mut self, float: &[f32], other: &[f32]) {
        self.all += float.len() as u64;
        self.same += float.iter().zip(other).filter(|(one, other)| one == other).count() as u64;
    }

    /// The share of rows, from 0 to 1.
    pub fn agreement(&self) -> Option<f64> {
        (self.all > 0).then(|| self.same as f64 / self.all as f64)
    }
}

/// The first of the largest elements; none where there are only NaN.
fn largest(row: &[f32]) -> Option<usize> {
    let numbers = row.iter().enumerate().filter(|(_, number)| !number.is_nan());
    numbers
        .fold(None, |best: Option<(usize, f32)>, (index, &number)| match best {
            Some((_, most)) if most >= number => best,
            _ => Some((index, number)),
        })
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_add_up() {
        let (float, other) = ([3.0, 4.0, -1.0, 0.5], [3.0, 3.0, -1.5, 0.5]);
        let mut whole = Measure::default();
        whole.observe(&float, &other);
        let mut parts = Measure::default();
        float.chunks(1).zip(other.chunks(1)).for_each(|(float, other)| parts.observe(float, other));
        assert_eq!(whole.accuracy(), parts.accuracy());
        let sqnr_db = whole.accuracy().expect("it was observed").sqnr_db;
        assert!((sqnr_db - 10.0 * (26.25f64 / 1.25).log10()).abs() < 1e-9, "{sqnr_db}");
        assert_eq!(Measure::default().accuracy(), None);
    }

    #[test]
    fn what_is_the_same_is_no_error_though_it_is_not_finite() {
        let mut measure = Measure::default();
        measure.observe(&[f32::NEG_INFINITY, f32::NAN, 1.0], &[f32::NEG_INFINITY, f32::NAN, 1.0]);
        assert_eq!(measure.accuracy().expect("it was observed").sqnr_db, LIMIT_DB);
        measure.observe(&[1.0], &[f32::NAN]);
        let accuracy = measure.accuracy().expect("it was observed");
        assert_eq!((accuracy.broken, accuracy.sqnr_db, accuracy.max_error), (1, -LIMIT_DB, 0.0));
    }

    /// Boxes in hundreds hide scores below 1 from the plain figure, but not from that of the channels.
    #[test]
    fn each_channel_counts_against_its_own_variance() {
        let boxes: Vec<f32> = (0..100).map(|at| 300.0 + at as f32).collect();
        let scores: Vec<f32> = (0..100).map(|at| (at % 2) as f32).collect();
        let float = [boxes.clone(), scores].concat();
        let lost = [boxes, vec![0.0; 100]].concat();
        let mut plain = Measure::default();
        plain.observe(&float, &lost);
        assert!(plain.accuracy().expect("it was observed").sqnr_db > 50.0);
        let mut channels = Channels::new(1, 2);
        assert!(channels.observe(&[1, 2, 100], &float, &lost));
        assert!(!channels.observe(&[1, 3, 100], &float, &lost), "another number of channels");
        let channels = channels.accuracy().expect("there are two");
        assert_eq!((channels.worst, channels.each_db[0]), (1, LIMIT_DB));
        // The scores' variance is a quarter, their error a half: it counts as all that there is.
        assert!((channels.sqnr_db - 10.0 * 2f64.log10()).abs() < 1e-9, "{channels:?}");
    }

    #[test]
    fn constant_channels_are_measured_against_their_size() {
        let mut channels = Channels::new(1, 4);
        assert!(channels.observe(
            &[2, 4],
            &[7.0, 1.0, 2.0, 3.0, 7.0, 2.0, 3.0, 4.0],
            &[9.0, 1.0, 2.0, 3.0, 9.0, 2.0, 3.0, 4.0]
        ));
        let channels = channels.accuracy().expect("there are four");
        assert_eq!(channels.each_db[1..], [LIMIT_DB; 3]);
        assert!((channels.each_db[0] - 10.0 * (49.0 / 4.0f64).log10()).abs() < 1e-9, "{channels:?}");
        assert!((channels.sqnr_db + 10.0 * (4.0 / 49.0 / 4.0f64).log10()).abs() < 1e-9, "{channels:?}");
        let mut single = Channels::new(1, 2);
        assert!(single.observe(&[1, 2], &[1.0, 2.0], &[1.5, 2.0]));
        assert_eq!(single.accuracy(), None, "of one number there is no variance");
    }
}
