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
mod inputs;
mod npy;
mod places;
mod stack;
mod test_set;

use std::{path::Path, vec};

use self::{
    inputs::{Input, Inputs},
    npy::Array,
    places::{Found, Place},
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
pub struct Sample {
    /// Where it came from, for messages: a file, a folder, or `samples.npz[17]`.
    pub origin: String,
    /// The arrays, named like the model's inputs and in their order.
    pub inputs: Vec<Tensor>,
}

/// The samples at a path, read one at a time.
///
/// It knows how many samples are still to come. To go over them again, open the path again: the
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
        if limit == Some(0) {
            return Err(Error::config("0 samples were asked for; calibration needs at least 1"));
        }
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
}

impl Iterator for Samples {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.source {
            Source::Each(places) => places.next().map(|place| read(&place, &self.inputs)),
            Source::Stacked(stack) => stack.next(&self.inputs),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.source {
            Source::Each(places) => places.len(),
            Source::Stacked(stack) => stack.left(),
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for Samples {}

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
