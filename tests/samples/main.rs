//! Calibration samples: what is read from which files, what is said of those that do not fit, and that
//! no file does worse than be refused.

#[path = "../fuzz/bodies/mod.rs"]
mod bodies;
mod errors;
mod files;
mod malformed;
mod models;
#[path = "../fuzz/mutate/mod.rs"]
mod mutate;
mod numpy;
mod pictures;
mod sounds;
mod sources;
mod texts;
