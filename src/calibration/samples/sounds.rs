//! Samples from sound: WAV files as waveforms.

use std::{io::Cursor, path::Path};

use hound::{SampleFormat, WavReader};

use super::{
    MAX_BYTES, Sample,
    files::{Depth, Files, contents},
    inputs::{Input, Inputs},
};
use crate::{
    error::{Error, Result},
    ir::{DataType, Tensor, is_float},
    setters::setters,
};

/// How recordings become a model's input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SoundOptions {
    /// Samples a second that the model takes; a file of another rate is refused as one that does not fit. Without it all
    /// files must have one rate.
    pub rate: Option<u32>,
    /// Fail at a file that is no recording, a damaged one or one of another rate, instead of
    /// [passing it over](super::Samples::skipped).
    pub refuse_broken: bool,
}

setters!(SoundOptions { with_rate(rate: Option<u32>), with_refuse_broken(refuse_broken: bool) });

/// The recordings of a folder, read one at a time.
#[derive(Debug)]
pub(super) struct Sounds {
    input: Input,
    /// The shape, where the last size is the model's own.
    length: Option<usize>,
    leading: Vec<usize>,
    /// That of the first file, or the one that was asked for.
    rate: Option<u32>,
    pub files: Files,
}

impl Sounds {
    /// The WAV files in a folder, or the one that a file is.
    pub fn open(path: &Path, inputs: &Inputs, options: &SoundOptions, limit: Option<usize>) -> Result<Self> {
        let input = inputs.only().map_err(|_| {
            let names = inputs.names(|_| true);
            Error::sample(format!("a recording is one input, but the model has {names}; give samples as arrays"))
        })?;
        if input.ty().dtype.is_some_and(|dtype| !is_float(dtype)) {
            return Err(input.in_input(Error::sample(format!("is {}, but waveforms are floats", input.ty()))));
        }
        let (leading, length) = match input.ty().dims.as_deref() {
            None => (vec![1], None),
            Some([leading @ .., last]) => {
                let sizes: Vec<usize> = leading.iter().map(|dim| dim.size().unwrap_or(1)).collect();
                if sizes.len() > 2 || sizes.iter().any(|&size| size != 1) {
                    let message =
                        format!("is {}, but a waveform is one row: [time], [1, time] or [1, 1, time]", input.ty());
                    return Err(input.in_input(Error::sample(message)));
                }
                (sizes, last.size())
            }
            Some([]) => return Err(input.in_input(Error::sample("is a single number, and no waveform"))),
        };
        let files = Files::open(path, &["wav"], Depth::Folder)?.taking(limit, options.refuse_broken);
        if files.is_empty() {
            return Err(Error::sample("has no recordings: no files that end in .wav").in_file(path));
        }
        Ok(Self { input: input.clone(), length, leading, rate: options.rate, files })
    }

    /// The next sample.
    pub fn next(&mut self) -> Option<Result<Sample>> {
        let Self { input, length, leading, rate, files } = self;
        files.next("taken as a recording", |path| tensor(path, input, *length, leading, rate))
    }
}

/// The model's input of a file. The first one says at which rate the others are to be, where nothing else does.
fn tensor(
    path: &Path,
    input: &Input,
    length: Option<usize>,
    leading: &[usize],
    expected: &mut Option<u32>,
) -> Result<Tensor> {
    let (rate, mut wave) = decoded(path)?;
    let expected = *expected.get_or_insert(rate);
    if rate != expected {
        return Err(Error::sample(format!("has {rate} samples a second, and not {expected}; bring it to that rate")));
    }
    if let Some(length) = length {
        // Silence behind what is too short.
        wave.resize(length, 0.0);
    }
    if wave.is_empty() || wave.len() > MAX_BYTES / size_of::<f32>() {
        return Err(Error::sample("has no sound, or too much of it"));
    }
    let shape: Vec<usize> = leading.iter().copied().chain([wave.len()]).collect();
    let bytes = wave.iter().flat_map(|amplitude| amplitude.to_le_bytes()).collect();
    input.tensor(DataType::Float, &shape, bytes)
}

/// The rate of a file, and the mean of its channels, integers over the largest power of two of their bits: from -1 to 1.
fn decoded(path: &Path) -> Result<(u32, Vec<f32>)> {
    let wrong = |error: hound::Error| Error::sample(format!("cannot be read as a recording: {error}"));
    let mut reader = WavReader::new(Cursor::new(contents(path)?)).map_err(wrong)?;
    let spec = reader.spec();
    let amplitudes: Vec<f32> = match spec.sample_format {
        SampleFormat::Float => reader.samples::<f32>().collect::<Result<_, _>>().map_err(wrong)?,
        SampleFormat::Int => {
            let largest = 2f64.powi(i32::from(spec.bits_per_sample) - 1);
            let scaled = reader.samples::<i32>().map(|sample| sample.map(|it| (f64::from(it) / largest) as f32));
            scaled.collect::<Result<_, _>>().map_err(wrong)?
        }
    };
    let channels = usize::from(spec.channels.max(1));
    let mean = |frame: &[f32]| frame.iter().sum::<f32>() / channels as f32;
    Ok((spec.sample_rate, amplitudes.chunks_exact(channels).map(mean).collect()))
}
