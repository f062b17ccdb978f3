//! Inputs made of others: what the fuzzer and the seeded tests change, and how.

#![allow(dead_code, reason = "each test binary uses a part of this module")]

pub mod bytes;
mod random;
pub mod structure;
mod tensors;

pub use random::Random;
