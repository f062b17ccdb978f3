//! Models as files: read by mapping, written through a temporary file that is renamed when it is
//! complete, external data read and written beside them.

pub(crate) mod external;
mod load;
mod save;
mod unknown_fields;
mod write;

pub use save::{SaveOptions, Saved};
