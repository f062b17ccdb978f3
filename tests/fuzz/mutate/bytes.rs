//! An input broken in its bytes: cut off, bits flipped, runs of bytes replaced, lengths changed, a piece of
//! another input put in.

use super::Random;

/// Changes bytes at one to three places.
pub fn change(bytes: &[u8], others: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut mutant = bytes.to_vec();
    for _ in 0..=random.below(3) {
        change_once(&mut mutant, others, random);
    }
    mutant
}

fn change_once(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    let end = (at + 1 + random.below(16)).min(bytes.len());
    match random.below(9) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at..end].iter_mut().for_each(|byte| *byte = random.next() as u8),
        2 => bytes[at..end].fill(0xff),
        3 => bytes[at..end].fill(0),
        4 => drop(bytes.drain(at..end)),
        5 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
        6 => bytes.truncate(at),
        // A small number: very likely a length, a field's key or an enum's value.
        7 => {
            let small: Vec<usize> = (0..bytes.len()).filter(|&index| (1..0x40).contains(&bytes[index])).collect();
            if !small.is_empty() {
                let at = *random.pick(&small);
                bytes[at] = bytes[at].wrapping_add(1 + random.below(5) as u8).wrapping_sub(3);
            }
        }
        _ => {
            let other = random.pick(others);
            if !other.is_empty() {
                let from = random.below(other.len());
                let to = (from + random.below(300)).min(other.len());
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
        }
    }
}
