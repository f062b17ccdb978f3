//! Samples of random numbers: enough to run a model, and nothing that its ranges could be taken from.

use std::collections::HashMap;

use super::{
    MAX_BYTES, Sample,
    inputs::{Input, Inputs},
};
use crate::{
    error::{Error, Result},
    ir::{DataType, Dim, Tensor, element_bits, is_float},
};

/// The size of rows and columns that a model leaves open where they may be a picture's.
const OPEN_PICTURE: usize = 224;
/// The size of other axes that a model leaves open.
const OPEN: usize = 16;

/// So many samples of random numbers, the same on every run.
#[derive(Debug)]
pub(super) struct Random {
    inputs: Vec<(Input, DataType, Vec<usize>)>,
    count: usize,
    next: usize,
}

impl Random {
    /// Floats from 0 to 1, integers and truth values 0 and 1. Sizes that are left open are 1 for the first axis, 224 for
    /// rows and columns of what may be pictures, 16 otherwise; those of one name are the same.
    pub fn new(inputs: &Inputs, count: usize) -> Result<Self> {
        let mut symbols = HashMap::new();
        let shaped = |input: &Input| {
            let dtype = input.ty().dtype.unwrap_or(DataType::Float);
            let dims = input.ty().dims.clone().ok_or_else(|| {
                let message = "states no shape, so that no random numbers can be made for it; give samples";
                input.in_input(Error::sample(message))
            })?;
            let shape = shape(&dims, &mut symbols);
            let width = element_bits(dtype).map_or(1, |bits| bits.div_ceil(8));
            match shape.iter().try_fold(width, |product, &size| product.checked_mul(size)) {
                Some(..=MAX_BYTES) => Ok((input.clone(), dtype, shape)),
                _ => Err(input.in_input(Error::sample(format!("would have more than {MAX_BYTES} bytes")))),
            }
        };
        Ok(Self { inputs: inputs.needed().map(shaped).collect::<Result<_>>()?, count, next: 0 })
    }

    /// How many samples are still to come.
    pub fn left(&self) -> usize {
        self.count - self.next
    }

    /// The next sample.
    pub fn next(&mut self) -> Option<Result<Sample>> {
        if self.left() == 0 {
            return None;
        }
        let index = self.next;
        self.next += 1;
        let mut state = (index as u64) << 32;
        let tensors: Result<Vec<Tensor>> =
            self.inputs.iter().map(|(input, dtype, shape)| numbers(input, *dtype, shape, &mut state)).collect();
        Some(tensors.map(|inputs| Sample { origin: format!("random numbers, {index}"), inputs }))
    }
}

fn shape(dims: &[Dim], symbols: &mut HashMap<String, usize>) -> Vec<usize> {
    let is_picture = dims.len() == 4;
    let open = |axis: usize| match axis {
        0 => 1,
        // Behind or before the colors, whichever they are.
        _ if is_picture && (axis == 2 || dims[if axis == 1 { 3 } else { 1 }].size().is_some()) => OPEN_PICTURE,
        _ => OPEN,
    };
    let sizes = dims.iter().enumerate().map(|(axis, dim)| match dim {
        Dim::Fixed(size) => *size,
        Dim::Unstated => open(axis),
        Dim::Symbol(symbol) => *symbols.entry(symbol.clone()).or_insert_with(|| open(axis)),
    });
    sizes.collect()
}

fn numbers(input: &Input, dtype: DataType, shape: &[usize], state: &mut u64) -> Result<Tensor> {
    let elements: usize = shape.iter().product();
    if is_float(dtype) {
        // 24 bits are exact in a float32.
        let bytes = (0..elements).flat_map(|_| ((bits(state) >> 40) as f32 / (1 << 24) as f32).to_le_bytes()).collect();
        return input.tensor(DataType::Float, shape, bytes);
    }
    let width = element_bits(dtype).filter(|bits| bits % 8 == 0).map(|bits| bits / 8).ok_or_else(|| {
        input.in_input(Error::sample("is of a type that no random numbers are made of; give samples"))
    })?;
    let mut bytes = vec![0; elements * width];
    for element in bytes.chunks_exact_mut(width) {
        element[0] = (bits(state) >> 63) as u8;
    }
    input.tensor(dtype, shape, bytes)
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
fn bits(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
