//! Malformed and hostile input: a clear error or a correct result; never a panic, a stack overflow,
//! a hang, exhausted memory, or a file left behind.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tests tell what they found, and how long it took")]

mod attempt;
mod build;
mod command;
mod external;
mod graphs;
mod nesting;
mod scale;
mod streams;
mod tensors;

/// The tests of all of them.
pub fn tests() -> Vec<libtest_mimic::Trial> {
    [
        command::tests(),
        external::tests(),
        graphs::tests(),
        nesting::tests(),
        scale::tests(),
        streams::tests(),
        tensors::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
