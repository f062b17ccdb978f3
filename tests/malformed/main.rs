//! Malformed and hostile input: a clear error or a correct result; never a panic, a stack overflow,
//! a hang, exhausted memory, or a file left behind.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tests tell what they found, and how long it took")]

mod attempt;
#[path = "../fuzz/bodies/mod.rs"]
mod bodies;
mod build;
mod command;
mod external;
mod graphs;
#[path = "../fuzz/mutate/mod.rs"]
mod mutate;
mod nesting;
mod scale;
#[path = "../command_line/signals.rs"]
mod signals;
mod streams;
mod tensors;
#[path = "../testdata/mod.rs"]
mod testdata;
