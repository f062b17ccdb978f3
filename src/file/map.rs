//! Files as bytes in memory. The crate's only unsafe code is here.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use bytes::Bytes;
use memmap2::Mmap;

/// Maps a regular file; reads a pipe or device to its end.
#[expect(unsafe_code, reason = "mapping a file is the one thing here that the compiler cannot check")]
pub(super) fn map(path: &Path) -> io::Result<Bytes> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    if !metadata.is_file() || metadata.len() == 0 {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        return Ok(bytes.into());
    }
    // SAFETY: the map is only read. If another process changes the file in place meanwhile, the
    // bytes read are wrong or the read fails with a bus error: no different from any program that
    // maps its input, and documented at `Model::load`. This crate itself only ever replaces files.
    let map = unsafe { Mmap::map(&file)? };
    Ok(Bytes::from_owner(map))
}
