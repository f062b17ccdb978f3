//! Calibration samples: what is read from which files, what is said of those that do not fit, and that
//! no file does worse than be refused.

mod errors;
pub mod files;
mod malformed;
mod models;
mod numpy;
mod pictures;
mod sounds;
mod sources;
mod texts;

/// The tests of all of them.
pub fn tests() -> Vec<libtest_mimic::Trial> {
    [
        errors::tests(),
        malformed::tests(),
        numpy::tests(),
        pictures::tests(),
        sounds::tests(),
        sources::tests(),
        texts::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
