//! Texts that are written beside a model, a report or ranges: completely, or not at all.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{Failure, failed};

/// A file that a text goes to once there is one. Until then nothing lies on disk, so that whoever
/// interrupts the command finds nothing left behind.
pub struct TextFile {
    path: PathBuf,
    /// A device or pipe is written to and not replaced.
    is_replaced: bool,
}

impl TextFile {
    /// Checks that `path` can be written, so that a wrong one fails before the work; and that it is
    /// none of `others`. `what` it is for is said in messages.
    pub fn at(path: &Path, what: &str, others: &[&Path]) -> Result<Self, Failure> {
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if others.iter().any(|other| real(path) == real(other)) {
            return Err(Failure::Usage(format!("the {what} is to be the same file as another: {}", path.display())));
        }
        // A link is followed: what it points to is replaced.
        let path = real(path);
        let is_replaced = is_replaced(&path)?;
        Ok(Self { path, is_replaced })
    }

    /// Writes the file, or replaces it.
    pub fn write(&self, text: &str) -> Result<(), Failure> {
        if !self.is_replaced {
            let written = fs::OpenOptions::new()
                .write(true)
                .open(&self.path)
                .and_then(|mut file| file.write_all(text.as_bytes()));
            return written.map_err(|error| failed(self.path.display(), error));
        }
        let mut file = beside(&self.path)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| {
            file.persist(&self.path).map_err(|error| error.error)?;
            Ok(())
        });
        written.map_err(|error| failed(self.path.display(), error))
    }
}

/// Checks that a file can be written, and leaves nothing behind; whether that replaces it.
pub fn is_replaced(path: &Path) -> Result<bool, Failure> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            Err(failed(path.display(), io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")))
        }
        Ok(metadata) if !metadata.is_file() => Ok(false),
        _ => beside(path).map(|_| true),
    }
}

/// A new file that can take the place of another one.
fn beside(path: &Path) -> Result<tempfile::NamedTempFile, Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".onnx-quant-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder).map_err(|error| {
        let message = match error.kind() {
            io::ErrorKind::NotFound => format!("there is no folder {}", folder.display()),
            kind => format!("no file can be made in {}: {kind}", folder.display()),
        };
        failed(path.display(), io::Error::new(error.kind(), message))
    })
}
