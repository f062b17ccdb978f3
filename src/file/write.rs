//! Bytes to disk: pieces are computed and written at their offsets by all threads, into a temporary
//! file beside the target that takes its place when it is complete.

use std::{
    fs::{self, File},
    io::{self, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use tempfile::{Builder, NamedTempFile};

use crate::{
    error::{ErrorKind, Result},
    ir::rope::{Piece, Rope},
};

/// What one thread computes and writes at a time: large enough that the system call costs nothing,
/// small enough to stay in the second-level cache on its way.
const BLOCK: usize = 1 << 19;

/// A file to be written.
pub(crate) struct Target {
    path: PathBuf,
    exists: bool,
    regular: bool,
}

/// A file that is written but has not taken its place yet; dropped, it leaves nothing behind.
pub(crate) struct Written<'a> {
    target: &'a Target,
    file: NamedTempFile,
}

impl Target {
    /// Looks at what is there; a link is followed, so that the file it points to is replaced.
    pub fn new(path: &Path) -> Result<Self> {
        let path = if path.is_symlink() { fs::canonicalize(path).map_err(ErrorKind::Write)? } else { path.to_owned() };
        let (exists, regular) = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                let error = io::Error::new(io::ErrorKind::IsADirectory, "it is a folder");
                return Err(ErrorKind::Write(error).into());
            }
            Ok(metadata) => (true, metadata.is_file()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (false, true),
            Err(error) => return Err(ErrorKind::Write(error).into()),
        };
        Ok(Self { path, exists, regular })
    }

    /// False for devices and pipes, which can only be streamed to.
    pub fn is_regular(&self) -> bool {
        self.regular
    }

    /// Writes everything to a temporary file in the target's folder.
    pub fn write(&self, content: &Rope) -> Result<Written<'_>> {
        Ok(self.write_file(content).map_err(ErrorKind::Write)?)
    }

    fn write_file(&self, content: &Rope) -> io::Result<Written<'_>> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = Builder::new();
        builder.prefix(".onnx-quant-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        // Its own message names the temporary file, of which nobody has heard.
        let file = builder.tempfile_in(folder).map_err(|error| {
            io::Error::new(error.kind(), format!("no file can be made in {}: {}", folder.display(), error.kind()))
        })?;
        file.as_file().set_len(content.len() as u64)?;
        blocks(content).par_iter().try_for_each_init(Vec::new, |buffer, block| {
            write_at(file.as_file(), block.bytes(buffer), block.offset as u64)
        })?;
        if self.exists {
            // What is replaced must not be lost to a power failure before its successor is safe.
            file.as_file().sync_all()?;
        }
        Ok(Written { target: self, file })
    }
}

impl Written<'_> {
    /// Puts the file in its place.
    pub fn replace(self) -> Result<()> {
        self.file.persist(&self.target.path).map_err(|error| ErrorKind::Write(error.error))?;
        Ok(())
    }
}

/// Writes a file that is no model: completely, or not at all; to a device or a pipe as it comes.
pub(crate) fn write_bytes(path: &Path, bytes: Vec<u8>) -> Result<()> {
    let target = Target::new(path)?;
    if !target.is_regular() {
        return Ok(fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(&bytes))
            .map_err(ErrorKind::Write)?);
    }
    let mut content = Rope::default();
    content.push_bytes(bytes.into());
    target.write(&content)?.replace()
}

/// Writes everything in order.
pub(crate) fn write_stream(content: &Rope, stream: &mut dyn Write) -> io::Result<()> {
    // As many blocks as there are threads are computed side by side, then written.
    let side_by_side = rayon::current_num_threads() * 4;
    for blocks in blocks(content).chunks(side_by_side) {
        let computed: Vec<Vec<u8>> = blocks
            .par_iter()
            .map(|block| {
                let mut buffer = Vec::new();
                if matches!(block.piece, Piece::Computed(_)) {
                    block.bytes(&mut buffer);
                }
                buffer
            })
            .collect();
        for (block, mut computed) in blocks.iter().zip(computed) {
            match block.piece {
                Piece::Computed(_) => stream.write_all(&computed)?,
                _ => stream.write_all(block.bytes(&mut computed))?,
            }
        }
    }
    stream.flush()
}

/// A part of a piece, and where in the file it goes.
struct Block<'a> {
    piece: &'a Piece,
    span: Range<usize>,
    offset: usize,
}

impl Block<'_> {
    fn bytes<'b>(&'b self, buffer: &'b mut Vec<u8>) -> &'b [u8] {
        match self.piece {
            Piece::Owned(bytes) => &bytes[self.span.clone()],
            Piece::Shared(bytes) => &bytes[self.span.clone()],
            Piece::Computed(data) => {
                buffer.resize(self.span.len(), 0);
                data.compute(self.span.clone(), buffer);
                buffer
            }
        }
    }
}

fn blocks(content: &Rope) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut offset = 0;
    for piece in content.pieces() {
        for start in (0..piece.len()).step_by(BLOCK) {
            let span = start..piece.len().min(start + BLOCK);
            blocks.push(Block { piece, span, offset: offset + start });
        }
        offset += piece.len();
    }
    blocks
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        let written = file.seek_write(bytes, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}
