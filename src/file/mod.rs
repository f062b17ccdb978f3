//! Models as files: read by mapping, written through a temporary file that is renamed when it is
//! complete, external data read and written beside them.

mod external;
mod load;
mod map;
mod save;
mod unknown_fields;
mod write;

pub use save::{SaveOptions, Saved};
pub(crate) use write::write_bytes;
