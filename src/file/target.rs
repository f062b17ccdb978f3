//! Where a file is to be written: what is there now, and how the new one takes its place.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::unfinished::{Aside, Commit, Unfinished};
use crate::error::{ErrorKind, Result};

/// A place for a file, and what was there when it was looked at.
pub(crate) struct Target {
    path: PathBuf,
    there: There,
}

enum There {
    Nothing,
    /// A regular file, or a link that is to be replaced itself.
    Replaced(Metadata),
    /// A device or pipe, which can only be streamed to.
    Stream,
}

/// A file that is written but has not taken its place yet; dropped, it leaves nothing behind.
pub(crate) struct Written<'a> {
    target: &'a Target,
    file: Unfinished,
}

impl Target {
    /// Looks at what is there; a link is followed, so that the file it points to is replaced.
    pub fn new(path: &Path) -> Result<Self> {
        let leads_nowhere = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(io::ErrorKind::NotFound, "it is a link that leads nowhere"),
            _ => error,
        };
        let path = match path.is_symlink() {
            true => fs::canonicalize(path).map_err(leads_nowhere).map_err(ErrorKind::Write)?,
            false => path.to_owned(),
        };
        Self::at(path, |path| fs::metadata(path))
    }

    /// The same where a link is not followed: it is replaced itself.
    pub fn itself(path: &Path) -> Result<Self> {
        Self::at(path.to_owned(), |path| fs::symlink_metadata(path))
    }

    fn at(path: PathBuf, look: impl Fn(&Path) -> io::Result<Metadata>) -> Result<Self> {
        let there = match look(&path) {
            Ok(metadata) if metadata.is_dir() => {
                let error = io::Error::new(io::ErrorKind::IsADirectory, "it is a folder");
                return Err(ErrorKind::Write(error).into());
            }
            Ok(metadata) if metadata.is_file() || metadata.is_symlink() => There::Replaced(metadata),
            Ok(_) => There::Stream,
            Err(error) if error.kind() == io::ErrorKind::NotFound => There::Nothing,
            Err(error) => return Err(ErrorKind::Write(error).into()),
        };
        Ok(Self { path, there })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether something is there.
    pub fn exists(&self) -> bool {
        !matches!(self.there, There::Nothing)
    }

    /// False for devices and pipes, which can only be streamed to.
    pub fn is_regular(&self) -> bool {
        !matches!(self.there, There::Stream)
    }

    /// The device or pipe, to be written to.
    pub fn stream(&self) -> Result<File> {
        Ok(OpenOptions::new().write(true).open(&self.path).map_err(ErrorKind::Write)?)
    }

    /// Checks that a file can take this place, and leaves nothing behind.
    pub fn check(&self) -> Result<()> {
        if self.is_regular() {
            Unfinished::in_folder(self.folder(), true).map_err(ErrorKind::Write)?;
        }
        Ok(())
    }

    /// Writes a temporary file in the target's folder. It may be read by whom the file may that it
    /// replaces; where it replaces none, by whom the file at `like` may.
    pub fn write(&self, like: Option<&Self>, content: impl FnOnce(&File) -> io::Result<()>) -> Result<Written<'_>> {
        let file = self.write_file(like, content).map_err(ErrorKind::Write)?;
        Ok(Written { target: self, file })
    }

    fn write_file(&self, like: Option<&Self>, content: impl FnOnce(&File) -> io::Result<()>) -> io::Result<Unfinished> {
        let model = self.replaced().or_else(|| like.and_then(Self::replaced));
        let unfinished = Unfinished::in_folder(self.folder(), model.is_some())?;
        let file = unfinished.file();
        content(file)?;
        if let Some(metadata) = model {
            adopt(file, metadata)?;
            // What is replaced must not be lost to a power failure before its successor is safe.
            file.sync_all()?;
        }
        Ok(unfinished)
    }

    /// What is known of the file that is there; nothing of a link, which everybody may read.
    fn replaced(&self) -> Option<&Metadata> {
        match &self.there {
            There::Replaced(metadata) if metadata.is_file() => Some(metadata),
            _ => None,
        }
    }

    fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

impl Written<'_> {
    /// Puts the file in its place.
    pub fn replace(self) -> Result<()> {
        Ok(Commit::begin().put(self.file, &self.target.path).map_err(ErrorKind::Write)?)
    }

    /// Puts a model and its external data in their places.
    ///
    /// A file system replaces one file at a time. So that nobody ever finds a model beside data of
    /// another one, whenever the power fails, an old model is taken away before its data is replaced, and
    /// the new one comes last. Where a step fails, all is put back as it was.
    pub fn replace_with_data(self, data: Self) -> Result<()> {
        let mut commit = Commit::begin();
        let mut aside = Vec::new();
        let placed = place_both(&mut commit, &mut aside, data, self);
        if placed.is_err() {
            aside.into_iter().rev().for_each(Aside::put_back);
        }
        Ok(placed.map_err(ErrorKind::Write)?)
    }
}

fn place_both(commit: &mut Commit, aside: &mut Vec<Aside>, data: Written, model: Written) -> io::Result<()> {
    if model.target.exists() && data.target.exists() {
        for target in [model.target, data.target] {
            aside.push(commit.set_aside(&target.path)?);
        }
    }
    let data_path = &data.target.path;
    commit.put(data.file, data_path)?;
    commit.put(model.file, &model.target.path).inspect_err(|_| {
        // Data without its model is nothing to anyone. What was there before is put back.
        let _ = fs::remove_file(data_path);
    })
}

/// Gives a file the mode of another one, and its owner and group where that may be.
#[cfg(unix)]
fn adopt(file: &File, of: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let (own, mode) = (file.metadata()?, of.mode() & 0o777);
    if (own.uid(), own.gid()) != (of.uid(), of.gid()) && fchown(file, Some(of.uid()), Some(of.gid())).is_err() {
        // Only an administrator gives files away, but anyone may to a group of theirs.
        let _ = fchown(file, None, Some(of.gid()));
    }
    if own.mode() & 0o777 != mode {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn adopt(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Whether two paths lead to the same file: through links, hard links, or different spellings of a name;
/// or would, once it is there.
///
/// ```
/// assert!(onnx_quant::is_same_file("testdata/./README.md", "testdata/README.md"));
/// assert!(onnx_quant::is_same_file("src/not_there", "src/../src/not_there"));
/// ```
pub fn is_same_file(one: impl AsRef<Path>, other: impl AsRef<Path>) -> bool {
    let (one, other) = (one.as_ref(), other.as_ref());
    match (fs::metadata(one), fs::metadata(other)) {
        #[cfg(unix)]
        (Ok(one), Ok(other)) => {
            use std::os::unix::fs::MetadataExt;
            (one.dev(), one.ino()) == (other.dev(), other.ino())
        }
        #[cfg(not(unix))]
        (Ok(_), Ok(_)) => {
            fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
        }
        (Err(_), Err(_)) => place(one).is_some_and(|one| place(other) == Some(one)),
        _ => false,
    }
}

/// The name of a file that is not there, with its folder as the file system knows it, behind all links.
fn place(path: &Path) -> Option<PathBuf> {
    /// As many as systems follow themselves.
    const MAX_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let here = fs::canonicalize(folder).ok()?.join(path.file_name()?);
        match fs::read_link(&here) {
            Ok(target) => path = here.with_file_name("").join(target),
            Err(_) => return Some(here),
        }
    }
    None
}

/// A file that is written as a whole, a report for example: completely, or not at all. What is a device or
/// a pipe is written to as it comes.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("report.json");
/// let file = onnx_quant::OutputFile::at(&path)?;       // before the work, which may take long
/// file.write(b"{}")?;
/// # assert_eq!(std::fs::read(&path).unwrap(), b"{}");
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub struct OutputFile(Target);

impl OutputFile {
    /// Checks that a file can be written, and leaves nothing behind. A link is followed.
    ///
    /// # Errors
    /// It is a folder, or no file can be made in its folder.
    pub fn at(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let target = Target::new(path).and_then(|target| target.check().map(|()| target));
        Ok(Self(target.map_err(|error| error.in_file(path))?))
    }

    /// Writes the file, or replaces it.
    ///
    /// # Errors
    /// It cannot be written; what was there before still is.
    pub fn write(&self, content: &[u8]) -> Result<()> {
        self.prepare(content)?.put()
    }

    /// Writes all to a temporary file, so that what can fail has not when something else is done that
    /// belongs to it; what is a device or a pipe is still to be written to.
    ///
    /// # Errors
    /// It cannot be written; what was there before still is.
    pub fn prepare<'a>(&'a self, content: &'a [u8]) -> Result<PreparedFile<'a>> {
        let write = || self.0.write(None, |mut file| file.write_all(content));
        let written = self.0.is_regular().then(write).transpose().map_err(|error| error.in_file(self.0.path()))?;
        Ok(PreparedFile { target: &self.0, content, written })
    }
}

/// A file that is complete and has still to take its place; dropped, it leaves nothing behind.
pub struct PreparedFile<'a> {
    target: &'a Target,
    content: &'a [u8],
    written: Option<Written<'a>>,
}

impl PreparedFile<'_> {
    /// Puts the file in its place.
    ///
    /// # Errors
    /// That cannot be; what was there before still is.
    pub fn put(self) -> Result<()> {
        let put = match self.written {
            Some(written) => written.replace(),
            None => self.target.stream().and_then(|mut to| Ok(to.write_all(self.content).map_err(ErrorKind::Write)?)),
        };
        put.map_err(|error| error.in_file(self.target.path()))
    }
}
