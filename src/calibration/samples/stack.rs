//! One file of many samples, along the first axis of its arrays.

use std::path::PathBuf;

use bytes::Bytes;

use super::{
    Sample, arrays,
    inputs::{Input, Inputs, Slice},
    npy::Array,
    places::Place,
};
use crate::{
    error::{Error, Result},
    ir::{DataType, Tensor, element_bits},
};

/// Arrays that are read side by side, a sample at a time.
#[derive(Debug)]
pub(super) struct Stack {
    path: PathBuf,
    arrays: Vec<Stacked>,
    /// How many samples there are, or are wanted.
    count: usize,
    next: usize,
}

#[derive(Debug)]
struct Stacked {
    input: Input,
    dtype: DataType,
    /// Of one sample.
    shape: Vec<usize>,
    byte_len: usize,
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    /// Sample after sample in the file.
    Streamed(Array),
    /// Interleaved in the file, so held in memory, row-major.
    Held(Bytes),
}

impl Stack {
    /// Opens a file and finds out how many samples it holds.
    pub fn open(place: &Place, inputs: &Inputs, limit: Option<usize>) -> Result<Self> {
        let mut stacked: Vec<Stacked> = Vec::new();
        let mut count = None;
        for (input, array) in arrays(place, inputs)? {
            let slice = input.slice(array.dtype(), array.shape())?;
            if let (Some(count), Some(first)) = (count, stacked.first())
                && count != slice.count
            {
                return Err(Error::sample(format!(
                    "'{}' holds {count} samples and '{}' {}, along the first axis",
                    first.input.name(),
                    input.name(),
                    slice.count
                )));
            }
            count = Some(slice.count);
            stacked.push(Stacked::new(input, slice, array).map_err(|error| input.in_input(error))?);
        }
        inputs.require(|name| stacked.iter().any(|array| array.input.name() == name))?;
        let count = count.unwrap_or(0);
        if count == 0 {
            return Err(Error::sample("holds no samples: the first axis, which counts them, is 0 long"));
        }
        // Nothing but the header would say how many there are: maybe 2^60.
        if stacked.iter().all(|array| array.byte_len == 0) {
            return Err(Error::sample(format!("holds {count} samples without any elements")));
        }
        Ok(Self { path: place.path().to_owned(), arrays: stacked, count: count.min(limit.unwrap_or(count)), next: 0 })
    }

    /// How many samples are still to come.
    pub fn left(&self) -> usize {
        self.count - self.next
    }

    /// The next sample. After one that could not be read there is none: the place is lost.
    pub fn next(&mut self, inputs: &Inputs) -> Option<Result<Sample>> {
        let index = self.next;
        if self.left() == 0 {
            return None;
        }
        self.next += 1;
        let tensors: Result<Vec<Tensor>> = self.arrays.iter_mut().map(|array| array.sample(index)).collect();
        let tensors = tensors.and_then(|tensors| inputs.complete(tensors)).map_err(|error| {
            self.next = self.count;
            error.of_sample_part(format_args!("sample {index}:")).in_file(&self.path)
        });
        Some(tensors.map(|inputs| Sample { origin: format!("{}[{index}]", self.path.display()), inputs }))
    }
}

impl Stacked {
    fn new(input: &Input, slice: Slice, array: Array) -> Result<Self> {
        let dtype = array.dtype();
        let width = element_bits(dtype).map_or(1, |bits| bits / 8);
        // Cannot overflow: the whole array's size was computed with sizes of 0 counted as 1.
        let byte_len = slice.shape.iter().product::<usize>() * width;
        let rows = if array.is_fortran_order() { Rows::Held(array.read_all()?.into()) } else { Rows::Streamed(array) };
        Ok(Self { input: input.clone(), dtype, shape: slice.shape, byte_len, rows })
    }

    fn sample(&mut self, index: usize) -> Result<Tensor> {
        let bytes = match &mut self.rows {
            Rows::Streamed(array) => array.read(self.byte_len).map_err(|error| self.input.in_input(error))?,
            Rows::Held(bytes) => bytes[index * self.byte_len..][..self.byte_len].to_vec(),
        };
        self.input.tensor(self.dtype, &self.shape, bytes)
    }
}
