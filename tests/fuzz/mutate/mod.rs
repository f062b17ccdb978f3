//! Inputs made of others: what the fuzzer and the seeded tests change, and how.

pub mod bytes;
mod random;
pub mod structure;
mod tensors;

pub use random::Random;
