//! Calibration samples: what is read from which files, what is said of those that do not fit, and that
//! no file does worse than be refused.

mod errors;
mod files;
mod malformed;
mod numpy;
mod sources;
