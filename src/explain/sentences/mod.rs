//! The only room with sentences: what was found and decided, in words.

mod facts;
mod reasons;
mod verdicts;

pub(super) use verdicts::{lack, why};
