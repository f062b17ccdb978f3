//! Ranges as files.
