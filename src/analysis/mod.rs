//! What is known of a model without running it; nothing here decides or changes anything.

mod facts;

pub(crate) use facts::{Facts, cast_target};
