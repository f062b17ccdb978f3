//! Malformed and hostile input: a clear error or a correct result; never a panic, a stack overflow,
//! a hang, exhausted memory, or a file left behind.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tests tell what they found, and how long it took")]

mod attempt;
mod build;
mod command;
mod external;
mod graphs;
mod mutations;
mod nesting;
mod random;
mod scale;
mod streams;
mod structure;
mod tensors;
#[path = "../testdata/mod.rs"]
mod testdata;
