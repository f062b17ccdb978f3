//! What the command is measured against: the simplest competent code that reads the same weights and
//! writes the same integers, and does nothing else. No protobuf, no graph, no checks.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use memmap2::Mmap;
use multiversion::multiversion;

use crate::synthetic::Synthetic;

/// Maps the file, and for each weight finds the columns' largest magnitudes, divides, rounds and
/// writes. Each thread takes one weight after the other.
#[expect(unsafe_code, reason = "mapping a file")]
pub fn quantize(synthetic: &Synthetic, output: &Path, threads: usize) -> io::Result<()> {
    // SAFETY: nobody changes the file meanwhile.
    let input = unsafe { Mmap::map(&File::open(&synthetic.values)?)? };
    let output = File::create(output)?;
    let mut offsets = vec![0];
    offsets.extend(synthetic.weights.iter().scan(0, |end, weight| {
        *end += weight.span.len() as u64 / 4;
        Some(*end)
    }));
    let next = AtomicUsize::new(0);
    let work = || {
        let mut integers = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(weight) = synthetic.weights.get(index) else { return Ok(()) };
            quantize_weight(input[weight.span.clone()].as_chunks().0, weight.columns, &mut integers);
            output.write_all_at(&integers, offsets[index])?;
        }
    };
    thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        started.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })
}

fn quantize_weight(values: &[[u8; 4]], columns: usize, integers: &mut Vec<u8>) {
    let mut scales = vec![0f32; columns];
    for row in values.chunks(columns) {
        raise(&mut scales, row);
    }
    for scale in &mut scales {
        *scale = if *scale > 0.0 { *scale / 127.0 } else { 1.0 };
    }
    integers.resize(values.len(), 0);
    for (row, out) in values.chunks(columns).zip(integers.chunks_mut(columns)) {
        divide(row, &scales, out);
    }
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
