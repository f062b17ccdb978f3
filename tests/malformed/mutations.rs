//! Every model of `testdata/`, broken in its bytes: cut off, bits flipped, runs of bytes replaced,
//! lengths changed, two models spliced.

use std::{env, fs};

use crate::{attempt, random::Random, structure, testdata};

/// Enough for every run; for a longer search set `MALFORMED_MUTANTS`.
const MUTANTS: usize = 40;

fn mutants() -> usize {
    env::var("MALFORMED_MUTANTS").ok().and_then(|count| count.parse().ok()).unwrap_or(MUTANTS)
}

/// The small models: of large ones most bytes are weights.
fn models() -> Vec<(String, Vec<u8>)> {
    let models = testdata::fixtures().into_iter().map(|fixture| {
        let bytes = fs::read(fixture.path()).expect("a model that models.json lists is there");
        (fixture.name, bytes)
    });
    let models: Vec<_> = models.filter(|(_, bytes)| bytes.len() < 20_000).collect();
    assert!(models.len() > 40, "there are models to mutate");
    models
}

#[test]
fn a_model_cut_off_anywhere_is_an_error_or_a_smaller_model() {
    let models = models();
    for (_, bytes) in models.iter().filter(|(_, bytes)| bytes.len() < 700).take(4) {
        (0..bytes.len()).for_each(|length| attempt::with_any(&bytes[..length], length));
    }
    let mut random = Random(1);
    for (_, bytes) in &models {
        for round in 0..mutants() / 4 {
            attempt::with_any(&bytes[..random.below(bytes.len())], round);
        }
    }
}

#[test]
fn a_model_with_other_bytes_is_an_error_or_another_model() {
    let models = models();
    for (index, (name, bytes)) in models.iter().enumerate() {
        for round in 0..mutants() {
            let mut random = Random((index * 1_000_003 + round) as u64);
            let mut mutant = bytes.clone();
            for _ in 0..=random.below(3) {
                change(&mut mutant, &models, &mut random);
            }
            attempt::named(&format!("{name}, mutant {round}"), || attempt::with_any(&mutant, round));
        }
    }
}

#[test]
fn a_model_of_another_structure_is_an_error_or_another_model() {
    for (index, (name, bytes)) in models().iter().enumerate() {
        for round in 0..mutants() {
            let mut random = Random((index * 1_000_003 + round) as u64);
            let Some(mutant) = structure::change(bytes, &mut random) else { continue };
            attempt::named(&format!("{name}, structural mutant {round}"), || attempt::with_any(&mutant, round));
        }
    }
}

fn change(bytes: &mut Vec<u8>, models: &[(String, Vec<u8>)], random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    // Names, types and lengths mostly lie in the first part of a small model and around its weights.
    let at = random.below(bytes.len());
    let end = (at + 1 + random.below(16)).min(bytes.len());
    match random.below(8) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at..end].iter_mut().for_each(|byte| *byte = random.next() as u8),
        2 => bytes[at..end].fill(0xff),
        3 => bytes[at..end].fill(0),
        4 => drop(bytes.drain(at..end)),
        5 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
        // A small number: very likely a length, a field's key or an enum's value.
        6 => {
            let small: Vec<usize> = (0..bytes.len()).filter(|&index| (1..0x40).contains(&bytes[index])).collect();
            if !small.is_empty() {
                let at = *random.pick(&small);
                bytes[at] = bytes[at].wrapping_add(1 + random.below(5) as u8).wrapping_sub(3);
            }
        }
        _ => {
            let other = &random.pick(models).1;
            let from = random.below(other.len());
            let to = (from + random.below(300)).min(other.len());
            drop(bytes.splice(at..end, other[from..to].iter().copied()));
        }
    }
}
