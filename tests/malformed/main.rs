//! Malformed and hostile input: a clear error or a correct result; never a panic, a stack overflow,
//! a hang, exhausted memory, or a file left behind.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests say what they measure, and at what they fail")]

mod attempt;
mod build;
mod graphs;
mod mutations;
mod nesting;
mod random;
mod scale;
mod structure;
mod tensors;
#[path = "../testdata/mod.rs"]
mod testdata;
