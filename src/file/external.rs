//! Tensor data in files of its own, beside the model.
//!
//! A model names these files, so a model from a stranger could name any file of the machine. Only
//! regular files inside the model's folder are opened:
//!
//! | a location that is | is |
//! |---|---|
//! | absolute, or leads up with `..` | refused before anything is opened |
//! | a link, or below a link, that leaves the folder | refused after resolving it |
//! | a folder, device or pipe | refused |
//! | a range beyond the end of the file | refused |

use std::{
    cell::RefCell,
    collections::HashMap,
    fs, io,
    path::{Component, Path, PathBuf},
};

use bytes::Bytes;

use super::lfs::{LFS_POINTER, is_lfs_pointer};
use crate::{
    error::{Error, ErrorKind, Result},
    proto::TensorProto,
};

/// The external files of one model, each mapped once.
pub(crate) struct ExternalFiles {
    folder: PathBuf,
    /// By location, as the model writes it.
    mapped: RefCell<HashMap<String, Bytes>>,
}

impl ExternalFiles {
    /// External data of the model in the file `model`.
    pub fn beside(model: &Path) -> Self {
        let folder = model.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self { folder: folder.to_owned(), mapped: RefCell::default() }
    }

    /// The bytes of a tensor, as a view of its file.
    pub fn bytes(&self, tensor: &TensorProto) -> Result<Bytes> {
        let file = self.file(tensor)?;
        let offset = number(tensor, "offset")?.unwrap_or(0);
        let length = number(tensor, "length")?.unwrap_or_else(|| file.len().saturating_sub(offset));
        match offset.checked_add(length) {
            Some(end) if end <= file.len() => Ok(file.slice(offset..end)),
            _ => Err(refused(
                tensor,
                format!("has {} bytes, too few for {length} bytes from {offset} on; is it complete?", file.len()),
            )),
        }
    }

    fn file(&self, tensor: &TensorProto) -> Result<Bytes> {
        if let Some(bytes) = self.mapped.borrow().get(location(tensor)) {
            return Ok(bytes.clone());
        }
        let path = self.resolve(tensor)?;
        let bytes = super::map::map(&path).map_err(|error| refused(tensor, format!("cannot be read: {error}")))?;
        if is_lfs_pointer(&bytes) {
            return Err(refused(tensor, LFS_POINTER));
        }
        self.mapped.borrow_mut().insert(location(tensor).to_owned(), bytes.clone());
        Ok(bytes)
    }

    fn resolve(&self, tensor: &TensorProto) -> Result<PathBuf> {
        let location = Path::new(location(tensor));
        let inside = |component| matches!(component, Component::Normal(_) | Component::CurDir);
        if location.as_os_str().is_empty() {
            return Err(Error::tensor(tensor.name(), "is external, but names no file"));
        }
        if !location.components().all(inside) {
            return Err(refused(tensor, "is refused: only a relative path inside the model's folder is read"));
        }
        let missing =
            |error: io::Error| refused(tensor, format!("cannot be found in {}: {error}", self.folder.display()));
        let folder = fs::canonicalize(&self.folder).map_err(missing)?;
        let path = fs::canonicalize(folder.join(location)).map_err(missing)?;
        if !path.starts_with(&folder) {
            return Err(refused(
                tensor,
                "is refused: it is a link out of the model's folder; copy the file there instead",
            ));
        }
        if !path.is_file() {
            return Err(refused(tensor, "is refused: it is not a regular file"));
        }
        Ok(path)
    }
}

/// The file that a tensor's data lies in, as the model writes it; empty if it names none.
pub(crate) fn location(tensor: &TensorProto) -> &str {
    entry(tensor, "location").unwrap_or("")
}

/// All that a tensor says of where its data lies. Where two say the same it is the same data.
pub(crate) fn place(tensor: &TensorProto) -> Vec<String> {
    ["location", "offset", "length"].map(|key| entry(tensor, key).unwrap_or("").to_owned()).to_vec()
}

fn entry<'a>(tensor: &'a TensorProto, key: &str) -> Option<&'a str> {
    tensor.external_data.iter().find(|entry| entry.key() == key).map(|entry| entry.value())
}

fn number(tensor: &TensorProto, key: &str) -> Result<Option<usize>> {
    entry(tensor, key)
        .map(|text| {
            text.trim().parse().map_err(|_| refused(tensor, format!("has {key} '{text}', which is no byte count")))
        })
        .transpose()
}

fn refused(tensor: &TensorProto, reason: impl Into<String>) -> Error {
    let location = location(tensor).to_owned();
    ErrorKind::ExternalData { tensor: tensor.name().to_owned(), location, reason: reason.into() }.into()
}
