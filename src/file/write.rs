//! Bytes to disk: pieces are computed and written at their offsets by all threads.

use std::{
    fs::File,
    io::{self, Write},
    ops::Range,
};

use rayon::prelude::*;

use crate::ir::rope::{Piece, Rope};

/// What one thread computes and writes at a time: large enough that the system call costs nothing,
/// small enough to stay in the second-level cache on its way.
const BLOCK: usize = 1 << 19;

/// Writes everything to a file, side by side.
pub(crate) fn write_file(content: &Rope, file: &File) -> io::Result<()> {
    file.set_len(content.len() as u64)?;
    blocks(content)
        .par_iter()
        .try_for_each_init(Vec::new, |buffer, block| write_at(file, block.bytes(buffer), block.offset as u64))
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
