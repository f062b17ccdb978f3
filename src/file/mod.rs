//! Models as files: read by mapping, written through a temporary file that is renamed when it is
//! complete, external data read and written beside them.

mod data;
mod external;
mod lfs;
mod load;
mod map;
mod save;
mod target;
mod unfinished;
mod unknown_fields;
mod write;

pub(crate) use lfs::{LFS_POINTER, is_lfs_pointer};
pub use load::is_named_text;
pub use save::{SaveOptions, Saved};
pub use target::{OutputFile, PreparedFile, is_same_file};
pub use unfinished::remove_unfinished_files;
