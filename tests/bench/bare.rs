//! What the command is measured against: the simplest competent code that reads the same weights and
//! writes the same integers, and does nothing else. No protobuf, no graph, no checks.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use memmap2::Mmap;
use multiversion::multiversion;
use rayon::prelude::*;

use crate::synthetic::Synthetic;

/// Maps the file, and for each weight finds the columns' largest magnitudes, divides, rounds and
/// writes. Weights are shared out among `threads`.
#[expect(unsafe_code, reason = "mapping a file")]
pub fn quantize(synthetic: &Synthetic, output: &Path, threads: usize) -> io::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(io::Error::other)?;
    // SAFETY: nobody changes the file meanwhile.
    let input = unsafe { Mmap::map(&File::open(&synthetic.values)?)? };
    let output = File::create(output)?;
    let mut offset = 0;
    let weights: Vec<_> = synthetic
        .weights
        .iter()
        .map(|weight| {
            let at = offset;
            offset += weight.span.len() as u64 / 4;
            (weight, at)
        })
        .collect();
    pool.install(|| {
        weights.par_iter().with_max_len(1).try_for_each_init(Vec::new, |integers, (weight, at)| {
            let values = input[weight.span.clone()].as_chunks().0;
            let mut scales = vec![0f32; weight.columns];
            for row in values.chunks(weight.columns) {
                raise(&mut scales, row);
            }
            for scale in &mut scales {
                *scale = if *scale > 0.0 { *scale / 127.0 } else { 1.0 };
            }
            integers.resize(values.len(), 0);
            for (row, out) in values.chunks(weight.columns).zip(integers.chunks_mut(weight.columns)) {
                divide(row, &scales, out);
            }
            output.write_all_at(integers, *at)
        })
    })
}

#[multiversion(targets = "simd")]
fn raise(maxima: &mut [f32], row: &[[u8; 4]]) {
    for (maximum, value) in maxima.iter_mut().zip(row) {
        let value = f32::from_le_bytes(*value).abs();
        *maximum = if value > *maximum { value } else { *maximum };
    }
}

#[multiversion(targets = "simd")]
fn divide(row: &[[u8; 4]], scales: &[f32], out: &mut [u8]) {
    for ((out, value), scale) in out.iter_mut().zip(row).zip(scales) {
        *out = (f32::from_le_bytes(*value) / scale).round_ties_even() as i8 as u8;
    }
}
