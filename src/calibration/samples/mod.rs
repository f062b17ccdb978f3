//! Calibration samples from files: found, read one at a time, and fitted to the model's inputs.
//!
//! What [`Samples::open`] takes:
//!
//! | path | samples |
//! |---|---|
//! | a folder of `.npz` files | each file one, its arrays named like the model's inputs |
//! | a folder of `.npy` files | each file one, for a model with one input |
//! | one `.npz` or `.npy` file | as many as its arrays are long, see below |
//! | a folder with `test_data_set_*` folders, or one of these | each folder one: `input_0.pb`, `input_1.pb`, ... are the model's inputs in order, without those that have a default |
//! | a text file | each line a path, relative to the file's folder, of an `.npz` or `.npy` file or a test set's folder: one sample; empty lines and lines that begin with `#` do not count |
//!
//! Files and folders are taken in the order of their names, numbers in them by value (`2` before
//! `10`). What begins with a dot, and other files in a folder, are passed over.
//!
//! **One file of many samples.** The first axis of every array counts the samples. An array may have
//! one axis more than the input: shape `[samples, *input shape]`, and sample *i* is `array[i]`. Or it has
//! as many axes as the input, whose own first size is 1 or open: then that is a batch axis, which stays,
//! and sample *i* is `array[i:i+1]`. An input of unstated rank is given `array[i]`.
//!
//! **What fits.** Names must be those of the model's inputs; inputs with a default may be left out. A
//! shape must have the input's rank and fixed sizes; other sizes may be any, and differ from sample to
//! sample. The element type must be the input's, but for two accidents of numpy's defaults: a
//! floating-point type is converted to another one, and int32 and int64 to each other, if the values are
//! within range. Floating-point inputs must be finite: one NaN would spoil all statistics behind it.
//!
//! **Memory** holds one sample at a time and the names of the files. An array in Fortran order that
//! holds many samples is the exception: they lie interleaved, so it is read as a whole.
//!
//! Bytes are judged before memory is taken for them: what a header claims must be what the file, or
//! the archive's directory, has room for, and must fit the model's input.

mod archive;
mod convert;
#[cfg(any(feature = "images", feature = "sounds"))]
mod files;
mod inputs;
mod memory;
mod npy;
#[cfg(feature = "images")]
mod pictures;
mod places;
mod random;
#[cfg(feature = "sounds")]
mod sounds;
mod stack;
mod test_set;
#[cfg(feature = "texts")]
mod texts;
mod write;

use std::{path::Path, vec};

pub use self::memory::InMemory;
#[cfg(feature = "images")]
pub use self::pictures::{Color, Fit, Layout, PictureOptions};
#[cfg(feature = "sounds")]
pub use self::sounds::SoundOptions;
use self::{
    inputs::{Input, Inputs},
    npy::Array,
    places::{Found, Place},
    random::Random,
    stack::Stack,
};
use crate::{
    error::{Error, Result},
    ir::{Model, Tensor},
};

/// The most bytes that one array of a sample may have, and an array in Fortran order with many samples:
/// what a tensor in a protobuf message may have.
const MAX_BYTES: usize = i32::MAX as usize;

/// The inputs of one run of the model.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Sample {
    /// Where it came from, for messages: a file, a folder, or `samples.npz[17]`.
    pub origin: String,
    /// The arrays, named like the model's inputs and in their order.
    pub inputs: Vec<Tensor>,
}

impl Sample {
    /// A sample from arrays in memory, [named](Tensor::name) like the model's inputs; `origin` is what messages call it.
    ///
    /// ```
    /// use ndarray::array;
    /// use onnx_quant::{calibration::Sample, ir::Tensor};
    /// let x = Tensor::from_array("x", &array![[0.5f32, 1.0], [1.5, 2.0]]);
    /// let sample = Sample::new("the first", vec![x]);
    /// assert_eq!(sample.inputs[0].shape(), [2, 2]);
    /// ```
    pub fn new(origin: impl Into<String>, inputs: Vec<Tensor>) -> Self {
        Self { origin: origin.into(), inputs }
    }
}

/// The samples at a path, read one at a time.
///
/// It knows how many samples are still to come, or of pictures how many at most. To go over them again, open the path again: the
/// order is always the same.
///
/// ```no_run
/// use onnx_quant::{Model, calibration::Samples};
/// let model = Model::load("model.onnx")?;
/// let samples = Samples::open("samples", &model, Some(100))?;
/// println!("{} samples", samples.len());
/// for sample in samples {
///     let sample = sample?;
///     println!("{}: {} inputs", sample.origin, sample.inputs.len());
/// }
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug)]
pub struct Samples {
    inputs: Inputs,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Each(vec::IntoIter<Place>),
    Stacked(Stack),
    Random(Random),
    #[cfg(feature = "images")]
    Pictures(Box<pictures::Pictures>),
    #[cfg(feature = "sounds")]
    Sounds(Box<sounds::Sounds>),
    #[cfg(feature = "texts")]
    Texts(Box<texts::Texts>),
}

/// A file among those of samples that gave none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Samples {
    /// The samples at `path` for a model, at most `limit` of them. [This module](self) says what a path
    /// may be and what fits the model.
    ///
    /// Files are opened when their turn comes; what can be told without that is told here.
    ///
    /// # Errors
    /// There are no samples at the path, or of several kinds; the model has inputs that are no numeric
    /// tensors, or none at all; the limit is 0. Each sample has errors of its own.
    pub fn open(path: impl AsRef<Path>, model: &Model, limit: Option<usize>) -> Result<Self> {
        check_limit(limit)?;
        let path = path.as_ref();
        let inputs = Inputs::of(model)?;
        let source = match places::find(path)? {
            Found::Each(mut places) => {
                places.truncate(limit.unwrap_or(usize::MAX));
                Source::Each(places.into_iter())
            }
            Found::Stacked(place) => Source::Stacked(Stack::open(&place, &inputs, limit).map_err(|e| e.in_file(path))?),
        };
        Ok(Self { inputs, source })
    }

    /// So many samples of random numbers, the same on every run: they show whether a model can be run and quantized, but
    /// the ranges that come of them are worth nothing. Floats are from 0 to 1, integers 0 or 1; a size that the model
    /// leaves open is 1 for a batch, 224 for rows and columns of what may be pictures, and 16 for others.
    ///
    /// # Errors
    /// The model has inputs that are no numeric tensors or state no shape, or none at all; or `count` is 0.
    ///
    /// ```
    /// use onnx_quant::{Model, calibration::Samples};
    /// let model = Model::load("testdata/kws_dscnn.onnx")?;
    /// let samples = Samples::random(&model, 2)?;
    /// assert!(samples.map(|sample| sample.unwrap().inputs[0].shape()).all(|shape| shape == [1, 62, 40]));
    /// # Ok::<(), onnx_quant::Error>(())
    /// ```
    pub fn random(model: &Model, count: usize) -> Result<Self> {
        check_limit(Some(count))?;
        let inputs = Inputs::of(model)?;
        Ok(Self { source: Source::Random(Random::new(&inputs, count)?), inputs })
    }

    /// The pictures in a folder and the folders in it, or the one that a file is, as samples; at most `limit` of them.
    /// Files are decoded when their turn comes, and what is no picture is [passed over](Self::skipped), unless the
    /// options refuse it.
    ///
    /// # Errors
    /// There are no pictures at the path; the model has more than one input that must be given, or one that is no picture;
    /// the options contradict it or leave open what it does not tell; the limit is 0.
    #[cfg(feature = "images")]
    pub fn pictures(
        path: impl AsRef<Path>,
        model: &Model,
        options: &PictureOptions,
        limit: Option<usize>,
    ) -> Result<Self> {
        check_limit(limit)?;
        let inputs = Inputs::of(model)?;
        let pictures = pictures::Pictures::open(path.as_ref(), &inputs, options, limit)?;
        Ok(Self { source: Source::Pictures(Box::new(pictures)), inputs })
    }

    /// The WAV files in a folder, or the one that a file is, as samples; at most `limit` of them: waveforms from -1 to 1, the
    /// mean of the channels. They are filled up with silence and cut off where the model fixes the length. What is no
    /// recording, or of another rate, is [passed over](Self::skipped), unless the options refuse it.
    ///
    /// # Errors
    /// There are no recordings at the path; the model has more than one input that must be given, or one that is no row of
    /// floats; the limit is 0.
    #[cfg(feature = "sounds")]
    pub fn sounds(path: impl AsRef<Path>, model: &Model, options: &SoundOptions, limit: Option<usize>) -> Result<Self> {
        check_limit(limit)?;
        let inputs = Inputs::of(model)?;
        let sounds = sounds::Sounds::open(path.as_ref(), &inputs, options, limit)?;
        Ok(Self { source: Source::Sounds(Box::new(sounds)), inputs })
    }

    /// The lines of a text file as samples, at most `limit` of them, as a tokenizer of Hugging Face's `tokenizers` (a
    /// `tokenizer.json`) makes numbers of them: for inputs that are called like input_ids, attention_mask, token_type_ids or
    /// position_ids. Empty lines do not count.
    ///
    /// A text is filled up and cut off where the model fixes the number of tokens. Otherwise it is as long as it is, and
    /// cut off at `max_tokens`, or where the tokenizer says so.
    ///
    /// # Errors
    /// A file cannot be read, or is none of its kind; the model has other inputs that must be given; its length and
    /// `max_tokens` differ; the limit is 0.
    #[cfg(feature = "texts")]
    pub fn texts(
        path: impl AsRef<Path>,
        tokenizer: impl AsRef<Path>,
        model: &Model,
        max_tokens: Option<usize>,
        limit: Option<usize>,
    ) -> Result<Self> {
        check_limit(limit)?;
        let inputs = Inputs::of(model)?;
        let texts = texts::Texts::open(path.as_ref(), tokenizer.as_ref(), &inputs, max_tokens, limit)?;
        Ok(Self { source: Source::Texts(Box::new(texts)), inputs })
    }

    /// How many samples are still to come; of pictures how many at most, as damaged ones show when they are read.
    pub fn len(&self) -> usize {
        match &self.source {
            Source::Each(places) => places.len(),
            Source::Stacked(stack) => stack.left(),
            Source::Random(random) => random.left(),
            #[cfg(feature = "images")]
            Source::Pictures(pictures) => pictures.files.left(),
            #[cfg(feature = "sounds")]
            Source::Sounds(sounds) => sounds.files.left(),
            #[cfg(feature = "texts")]
            Source::Texts(texts) => texts.left(),
        }
    }

    /// Whether there are no more.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The files that were passed over so far, because they are no pictures or damaged.
    pub fn skipped(&self) -> &[Skipped] {
        match &self.source {
            #[cfg(feature = "images")]
            Source::Pictures(pictures) => &pictures.files.skipped,
            #[cfg(feature = "sounds")]
            Source::Sounds(sounds) => &sounds.files.skipped,
            _ => &[],
        }
    }
}

impl Iterator for Samples {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.source {
            Source::Each(places) => places.next().map(|place| read(&place, &self.inputs)),
            Source::Stacked(stack) => stack.next(&self.inputs),
            Source::Random(random) => random.next(),
            #[cfg(feature = "images")]
            Source::Pictures(pictures) => pictures.next(),
            #[cfg(feature = "sounds")]
            Source::Sounds(sounds) => sounds.next(),
            #[cfg(feature = "texts")]
            Source::Texts(texts) => texts.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.source {
            #[cfg(feature = "images")]
            Source::Pictures(pictures) => (0, Some(pictures.files.left())),
            #[cfg(feature = "sounds")]
            Source::Sounds(sounds) => (0, Some(sounds.files.left())),
            _ => (self.len(), Some(self.len())),
        }
    }
}

fn check_limit(limit: Option<usize>) -> Result<()> {
    match limit {
        Some(0) => Err(Error::config("0 samples were asked for; calibration needs at least 1")),
        _ => Ok(()),
    }
}

/// Reads one sample that has a file or folder of its own.
fn read(place: &Place, inputs: &Inputs) -> Result<Sample> {
    let tensors = match place {
        Place::TestSet(folder) => test_set::read(folder, inputs),
        Place::Npz(_) | Place::Npy(_) => arrays(place, inputs)
            .and_then(|arrays| arrays.into_iter().map(|(input, array)| whole(input, array)).collect()),
    };
    let tensors = tensors.and_then(|tensors| inputs.complete(tensors));
    let inputs = tensors.map_err(|error| error.in_file(place.path()))?;
    Ok(Sample { origin: place.path().display().to_string(), inputs })
}

fn whole(input: &Input, array: Array) -> Result<Tensor> {
    let (dtype, shape) = (array.dtype(), array.shape().to_vec());
    input.check(dtype, &shape)?;
    input.tensor(dtype, &shape, array.read_all().map_err(|error| input.in_input(error))?)
}

/// The arrays of a file, with the inputs they are for; their elements are still to be read.
fn arrays<'a>(place: &Place, inputs: &'a Inputs) -> Result<Vec<(&'a Input, Array)>> {
    match place {
        Place::Npz(path) => archive::arrays(path, inputs),
        Place::Npy(path) => Ok(vec![(inputs.only()?, Array::from_file(path)?)]),
        Place::TestSet(_) => Ok(Vec::new()),
    }
}
