//! Files of which each is a sample, and among which some may turn out to be none.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    vec,
};

use super::{
    Sample, Skipped,
    places::{entries, open},
};
use crate::{
    error::{Error, ErrorKind, Result},
    ir::Tensor,
};

/// Folders in folders that are looked into.
const MAX_DEPTH: usize = 16;

/// The most bytes of a file; what is longer counts as damaged.
const MAX_FILE: u64 = 1 << 30;

/// Files that are taken one at a time.
#[derive(Debug)]
pub(super) struct Files {
    paths: vec::IntoIter<PathBuf>,
    /// How many are still wanted.
    wanted: usize,
    read: usize,
    refuse_broken: bool,
    pub skipped: Vec<Skipped>,
}

/// Whether the folders in a folder are looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Folder,
    Tree,
}

impl Files {
    /// The files in a folder that end in one of `extensions`, in the order of their names; or the one that a file is.
    pub fn open(path: &Path, extensions: &[&str], depth: Depth) -> Result<Self> {
        let is_folder = fs::metadata(path).map_err(|error| Error::from(ErrorKind::Read(error)).in_file(path))?.is_dir();
        let mut paths = Vec::new();
        match is_folder {
            true => {
                let levels = if depth == Depth::Tree { MAX_DEPTH } else { 0 };
                collect(path, extensions, levels, &mut paths).map_err(|error| error.in_file(path))?;
            }
            false => paths.push(path.to_owned()),
        }
        Ok(Self { paths: paths.into_iter(), wanted: usize::MAX, read: 0, refuse_broken: false, skipped: Vec::new() })
    }

    /// At most so many samples; a file that gives none is refused, or passed over.
    pub fn taking(self, limit: Option<usize>, refuse_broken: bool) -> Self {
        Self { wanted: limit.unwrap_or(usize::MAX), refuse_broken, ..self }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.paths.len() == 0
    }

    /// How many samples there are still at most.
    pub fn left(&self) -> usize {
        self.paths.len().min(self.wanted)
    }

    /// The next sample, made by `tensor`; files that give none are passed over, unless they are to be refused. If all
    /// did so, this is an error: none `can be` what is wanted.
    pub fn next(&mut self, can_be: &str, mut tensor: impl FnMut(&Path) -> Result<Tensor>) -> Option<Result<Sample>> {
        if self.wanted == 0 {
            return None;
        }
        for path in self.paths.by_ref() {
            let reason = match tensor(&path) {
                Ok(tensor) => {
                    self.wanted -= 1;
                    self.read += 1;
                    return Some(Ok(Sample { origin: path.display().to_string(), inputs: vec![tensor] }));
                }
                Err(error) if self.refuse_broken => return Some(Err(error.in_file(&path))),
                Err(error) => error.to_string(),
            };
            self.skipped.push(Skipped { file: path.display().to_string(), reason });
        }
        (self.read == 0 && !self.skipped.is_empty()).then(|| {
            let Skipped { file, reason } = self.skipped.swap_remove(0);
            self.wanted = 0;
            Err(Error::sample(format!("none of the files can be {can_be}; the first {reason}")).in_file(file))
        })
    }
}

/// What is in a file.
pub(super) fn contents(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(MAX_FILE).read_to_end(&mut bytes).map_err(ErrorKind::Read)?;
    Ok(bytes)
}

/// The files in a folder that end in one of these, and those in folders in it, so many levels deep.
fn collect(folder: &Path, extensions: &[&str], levels: usize, paths: &mut Vec<PathBuf>) -> Result<()> {
    for path in entries(folder)? {
        if path.is_dir() {
            if levels > 0 {
                collect(&path, extensions, levels - 1, paths)?;
            }
        } else if path.extension().is_some_and(|it| extensions.iter().any(|known| it.eq_ignore_ascii_case(known))) {
            paths.push(path);
        }
    }
    Ok(())
}
