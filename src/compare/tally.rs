//! What is counted of one value while the samples go by.

use super::{
    measure::{Channels, Choices, Measure},
    points::{Matched, Point},
};
use crate::{
    analysis::Facts,
    calibration::{Collect, Statistics},
};

/// The errors of one value so far.
pub(super) struct Tally {
    pub written: Measure,
    pub before: Measure,
    pub own: Measure,
    pub optimized: Measure,
    pub float: Statistics,
    pub output: Option<OutputTally>,
    /// Shapes that differed, float and quantized.
    pub differ: Option<(Vec<usize>, Vec<usize>)>,
}

/// What is counted of outputs besides.
#[derive(Clone)]
pub(super) struct OutputTally {
    pub channels: Option<Channels>,
    pub choices: Choices,
    pub optimized_channels: Option<Channels>,
    pub optimized_choices: Choices,
    /// Sizes that are the same in every run, by what the file says.
    fixed: Vec<bool>,
    started: bool,
}

/// One value in one run.
pub(super) struct Seen {
    pub shape: Vec<usize>,
    pub elements: Vec<f32>,
}

/// Which of the runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    Written,
    Before,
    Own,
    Optimized,
}

impl Tally {
    /// Of every point, nothing yet.
    pub fn of_all(matched: &Matched) -> Vec<Self> {
        let facts = Facts::as_stated(&matched.float);
        let tally = |point: &Point| Tally {
            written: Measure::default(),
            before: Measure::default(),
            own: Measure::default(),
            optimized: Measure::default(),
            float: Statistics::new(Collect { histogram: true }),
            output: point.output.then(|| OutputTally {
                channels: None,
                choices: Choices::default(),
                optimized_channels: None,
                optimized_choices: Choices::default(),
                fixed: facts.shape(point.float).map_or_else(Vec::new, |it| it.iter().map(Option::is_some).collect()),
                started: false,
            }),
            differ: None,
        };
        matched.points.iter().map(tally).collect()
    }

    /// Takes what one run made of the value.
    pub fn observe(&mut self, expected: &Seen, given: &Seen, variant: Variant, point: &Point) {
        if expected.shape != given.shape {
            self.differ.get_or_insert_with(|| (expected.shape.clone(), given.shape.clone()));
            return;
        }
        let measure = match variant {
            Variant::Written => &mut self.written,
            Variant::Before => &mut self.before,
            Variant::Own => &mut self.own,
            Variant::Optimized => &mut self.optimized,
        };
        measure.observe(&expected.elements, &given.elements);
        let Some(output) = &mut self.output else { return };
        let (channels, choices) = match variant {
            Variant::Written => {
                if !output.started {
                    output.start(&expected.shape, point.is_integer);
                }
                (&mut output.channels, &mut output.choices)
            }
            Variant::Optimized => (&mut output.optimized_channels, &mut output.optimized_choices),
            Variant::Before | Variant::Own => return,
        };
        if point.is_integer {
            choices.observe_equal(&expected.elements, &given.elements);
            return;
        }
        if let Some(counted) = channels {
            let last = Some(expected.shape.len()) == counted.axis().checked_add(1);
            if !counted.observe(&expected.shape, &expected.elements, &given.elements) {
                // They were none.
                (*channels, *choices) = (None, Choices::default());
            } else if last {
                let row = expected.shape.last().copied().unwrap_or(1);
                choices.observe(row, &expected.elements, &given.elements);
            }
        }
    }
}

impl OutputTally {
    fn start(&mut self, shape: &[usize], is_integer: bool) {
        self.started = true;
        let axis = channel_axis(shape, &self.fixed).filter(|_| !is_integer);
        self.channels = axis.map(|axis| Channels::new(axis, shape[axis]));
        self.optimized_channels = self.channels.clone();
    }
}

/// The axis that counts an output's channels: the second or the last, whichever is the shorter. None where there is but
/// one channel; sizes that may vary count none.
pub(crate) fn channel_axis(shape: &[usize], fixed: &[bool]) -> Option<usize> {
    let last = shape.len().checked_sub(1).filter(|&last| last > 0)?;
    // A map of one channel, as of where text is in a picture.
    let is_map = shape.len() > 3 && shape[1] == 1;
    let is_fixed = |axis: usize| fixed.get(axis).copied().unwrap_or(true);
    let axes = [1, last].into_iter().filter(|&axis| !is_map && shape[axis] > 1 && is_fixed(axis));
    axes.min_by_key(|&axis| shape[axis])
}

#[cfg(test)]
mod tests {
    use super::channel_axis;

    #[test]
    fn channels_lie_along_a_fixed_axis() {
        let all = |rank| vec![true; rank];
        assert_eq!(channel_axis(&[1, 10], &all(2)), Some(1));
        assert_eq!(channel_axis(&[1, 84, 8400], &all(3)), Some(1));
        assert_eq!(channel_axis(&[1, 25200, 85], &all(3)), Some(2));
        // As long as a line of text.
        assert_eq!(channel_axis(&[1, 40, 6625], &[false, false, true]), Some(2));
        assert_eq!(channel_axis(&[1, 1, 640, 480], &[true, true, false, false]), None);
        assert_eq!(channel_axis(&[1, 1, 64, 48], &all(4)), None);
        assert_eq!(channel_axis(&[1, 21, 64, 48], &all(4)), Some(1));
        assert_eq!(channel_axis(&[1, 64, 48, 3], &all(4)), Some(3));
        assert_eq!(channel_axis(&[5], &all(1)), None);
        assert_eq!(channel_axis(&[], &[]), None);
        assert_eq!(channel_axis(&[3, 1], &[]), None);
    }
}
