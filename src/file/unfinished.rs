//! Temporary files, all in one list: whoever has to leave at once can take them along.
//!
//! A file that is being written has a name of its own until it is complete. If the process ends before
//! that, by a signal for example, nobody else would remove it.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tempfile::{Builder, NamedTempFile, TempPath};

static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Removes the temporary files of everything that this process is writing at the moment. What has taken
/// its place already stays, and a model and its data that are just taking theirs are waited for.
///
/// For a process that is about to end, from a thread that was told of a signal: as long as the returned
/// guard lives, no file is begun and none takes its place, and whoever tries to waits. The library itself
/// handles no signals.
///
/// ```
/// let _nothing_is_written_any_more = onnx_quant::remove_unfinished_files();
/// // std::process::exit(130);
/// ```
#[must_use = "when it is dropped, writing goes on"]
pub fn remove_unfinished_files() -> impl Sized {
    let mut files = lock();
    for file in std::mem::take(&mut *files) {
        // It may be gone; and if it cannot be removed there is nothing more to be done.
        let _ = fs::remove_file(file);
    }
    files
}

/// Holds up [`remove_unfinished_files`]: what happens under it happens as a whole.
pub(super) struct Commit(MutexGuard<'static, BTreeSet<PathBuf>>);

impl Commit {
    pub fn begin() -> Self {
        Self(lock())
    }

    /// Puts a temporary file in the place of another one, or where there was none.
    pub fn put(&mut self, mut file: Unfinished, target: &Path) -> io::Result<()> {
        let Some(file) = file.0.take() else { return Ok(()) };
        self.0.remove(file.path());
        file.persist(target).map(drop).map_err(|error| error.error)
    }

    /// Takes a file out of its place, under a temporary name in the same folder.
    pub fn set_aside(&mut self, path: &Path) -> io::Result<Aside> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = builder().tempfile_in(folder)?.into_temp_path();
        fs::rename(path, &name)?;
        Ok(Aside { place: path.to_owned(), name })
    }
}

/// A file that was taken out of its place; dropped, it is gone.
pub(super) struct Aside {
    place: PathBuf,
    name: TempPath,
}

impl Aside {
    /// Puts the file back. Where that cannot be, it stays under its temporary name rather than being lost.
    pub fn put_back(self) {
        if let Err(error) = self.name.persist(&self.place) {
            let _ = error.path.keep();
        }
    }
}

/// A temporary file; dropped, it is gone.
#[derive(Debug)]
pub(super) struct Unfinished(Option<NamedTempFile>);

impl Unfinished {
    /// Makes an empty one in a folder, which its owner alone can read if it is to be `private`.
    pub fn in_folder(folder: &Path, private: bool) -> io::Result<Self> {
        let mut builder = builder();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(if private { 0o600 } else { 0o666 }));
        }
        #[cfg(not(unix))]
        let _ = private;
        let mut files = lock();
        // Its own message names the temporary file, of which nobody has heard.
        let file = builder.tempfile_in(folder).map_err(|error| {
            let folder = folder.display();
            let text = error.to_string();
            let cause = text.split_once(" at path ").map_or(text.as_str(), |(cause, _)| cause);
            let message = match error.kind() {
                io::ErrorKind::NotFound => format!("there is no folder {folder}"),
                _ => format!("no file can be made in {folder}: {cause}"),
            };
            io::Error::new(error.kind(), message)
        })?;
        files.insert(file.path().to_owned());
        Ok(Self(Some(file)))
    }

    pub fn file(&self) -> &fs::File {
        self.0.as_ref().expect("it is taken only where it ends").as_file()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(file) = self.0.take() {
            let path = file.path().to_owned();
            drop(file);
            // Where somebody holds the list the name may stay in it: nothing is there any more.
            if let Ok(mut files) = UNFINISHED.try_lock() {
                files.remove(&path);
            }
        }
    }
}

fn builder() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".onnx-quant-").suffix(".part");
    builder
}

fn lock() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}
