//! Writing: which tensors go where, and all or nothing.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    external,
    write::{Target, write_stream},
};
use crate::{
    error::{Error, ErrorKind, Result},
    ir::{Model, Placed, Placement, Tensor, TensorPlace, export, rope::Rope},
};

/// Protobuf's limit on one message: 2 GiB.
const LARGEST_FILE: usize = i32::MAX as usize;
/// Smaller tensors stay in the model: a file of its own saves them nothing.
const SMALLEST_EXTERNAL: usize = 1024;
/// External tensors start at multiples of this, so that a runtime can map each of them; those
/// smaller than a page need no more than a cache line.
const PAGE: u64 = 4096;
const CACHE_LINE: u64 = 64;

/// How a model is written.
#[derive(Debug, Clone, Default)]
pub struct SaveOptions {
    /// Put all tensors of 1,024 bytes and more into `<file>.data`. Without this a model is written
    /// as it was read, and tensors move out only where the file would exceed 2 GiB.
    pub external_data: bool,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Bytes of the model file.
    pub model_bytes: u64,
    /// Bytes of the external data file, if one was written.
    pub external_bytes: u64,
}

impl Model {
    /// Writes the model: completely, or not at all. The file may be the one that the model was
    /// loaded from.
    ///
    /// External data stays external: where nothing of it changed the model keeps naming the same
    /// files, which are copied beside it if it moves to another folder; otherwise all of it goes to
    /// `<file>.data`.
    ///
    /// # Errors
    /// A file cannot be written, or the model exceeds 2 GiB even with external data.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// let model = onnx_quant::Model::load("testdata/kws_dscnn.onnx")?;
    /// model.save(folder.path().join("copy.onnx"), &Default::default())?;
    /// # Ok::<(), onnx_quant::Error>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>, options: &SaveOptions) -> Result<Saved> {
        let path = path.as_ref();
        self.save_to(path, options).map_err(|error| error.in_file(path))
    }

    /// Writes the model to a stream, with external data brought inside.
    ///
    /// # Errors
    /// The stream fails, or the model exceeds 2 GiB.
    pub fn write_to(&self, stream: &mut dyn io::Write) -> Result<Saved> {
        let model = export(self, &mut crate::ir::AllInline);
        if model.len() > LARGEST_FILE {
            return Err(too_large(&model, "write it to a file: its tensors go into a second one then"));
        }
        write_stream(&model, stream).map_err(ErrorKind::Write)?;
        Ok(Saved { model_bytes: model.len() as u64, external_bytes: 0 })
    }

    fn save_to(&self, path: &Path, options: &SaveOptions) -> Result<Saved> {
        let target = Target::new(path)?;
        if !target.is_regular() {
            let mut stream = fs::OpenOptions::new().write(true).open(path).map_err(ErrorKind::Write)?;
            return self.write_to(&mut stream);
        }
        self.check_spares_external_files(path, path)?;
        let tensors = Tensors::of(self);
        if !options.external_data && !tensors.any_external_changes() {
            let model = export(self, &mut AsItIs);
            if model.len() <= LARGEST_FILE {
                let written_model = target.write(&model)?;
                let external_bytes = self.copy_external_files(&tensors, path)?;
                written_model.replace()?;
                return Ok(Saved { model_bytes: model.len() as u64, external_bytes });
            }
        }
        let only_these = tensors.external && !options.external_data;
        self.save_with_external_data(path, &target, only_these)
    }

    /// `only_these`: only what was external before, and what is made of it, is external again.
    fn save_with_external_data(&self, path: &Path, target: &Target, only_these: bool) -> Result<Saved> {
        let mut name = OsString::from(path.file_name().unwrap_or_default());
        name.push(".data");
        let location = name.to_str().ok_or_else(|| {
            ErrorKind::Output("the name of a model with external data must be valid UTF-8".to_owned())
        })?;
        let mut placement = OneFile { location: location.to_owned(), only_these, data: Rope::default() };
        let model = export(self, &mut placement);
        if model.len() > LARGEST_FILE {
            if only_these {
                return self.save_with_external_data(path, target, false);
            }
            return Err(too_large(&model, "its attributes alone are too large for one protobuf message"));
        }
        let saved = Saved { model_bytes: model.len() as u64, external_bytes: placement.data.len() as u64 };
        let written_model = target.write(&model)?;
        if saved.external_bytes > 0 {
            let data_path = path.with_file_name(&name);
            if !self.is_source(path) {
                self.check_spares_external_files(path, &data_path)?;
            }
            Target::new(&data_path)?.write(&placement.data)?.replace()?;
        }
        written_model.replace()?;
        Ok(saved)
    }

    /// Copies the files that the model names beside its new place, if it has one.
    fn copy_external_files(&self, tensors: &Tensors, path: &Path) -> Result<u64> {
        let (Some(source), false) = (&self.source, tensors.locations.is_empty()) else { return Ok(0) };
        let (from, to) = (folder(source).map_err(ErrorKind::Read)?, folder(path).map_err(ErrorKind::Write)?);
        let mut bytes = 0;
        let mut copies = Vec::new();
        for location in &tensors.locations {
            let (from, to) = (from.join(location), to.join(location));
            bytes += fs::metadata(&from).map_err(ErrorKind::Read)?.len();
            if is_same_file(&from, &to) {
                continue;
            }
            if path.file_name() == Some(location.as_ref()) {
                let message = format!("the model's external data is to be named '{location}' too; choose another name");
                return Err(ErrorKind::Output(message).into());
            }
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).map_err(ErrorKind::Write)?;
            }
            let mut data = Rope::default();
            data.push_bytes(super::map::map(&from).map_err(ErrorKind::Read)?);
            copies.push((Target::new(&to)?, data));
        }
        // All are written before the first takes its place.
        let written: Vec<_> = copies.iter().map(|(target, data)| target.write(data)).collect::<Result<_>>()?;
        written.into_iter().try_for_each(|file| file.replace())?;
        Ok(bytes)
    }

    fn is_source(&self, path: &Path) -> bool {
        self.source.as_ref().is_some_and(|source| is_same_file(source, path))
    }

    /// Checks that writing `file` does not destroy data of the model that was read.
    fn check_spares_external_files(&self, path: &Path, file: &Path) -> Result<()> {
        let Some(source) = self.source.as_ref().and_then(|source| folder(source).ok()) else { return Ok(()) };
        match self.external_files.iter().find(|location| is_same_file(&source.join(location), file)) {
            None => Ok(()),
            Some(location) => Err(ErrorKind::Output(format!(
                "writing it would overwrite '{location}', which holds tensors of the input; choose another name than {}",
                path.display()
            ))
            .into()),
        }
    }
}

fn folder(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
}

fn too_large(model: &Rope, advice: &str) -> Error {
    ErrorKind::Output(format!("the model takes {} bytes, more than the 2 GiB of one file; {advice}", model.len()))
        .into()
}

/// What there is of external data in a model.
#[derive(Default)]
struct Tensors {
    external: bool,
    computed: bool,
    locations: BTreeSet<String>,
}

impl Tensors {
    fn of(model: &Model) -> Self {
        let mut tensors = Self::default();
        for tensor in model.tensors() {
            if tensor.is_external() {
                tensors.external = true;
                tensors.locations.insert(external::location(&tensor.shell).to_owned());
            }
            tensors.computed |= tensor.is_computed();
        }
        tensors.external |= !model.external_files.is_empty();
        tensors
    }

    fn any_external_changes(&self) -> bool {
        self.external && self.computed
    }
}

struct AsItIs;

impl Placement for AsItIs {
    fn place(&mut self, _: &Tensor, _: TensorPlace) -> Placed {
        Placed::AsItIs
    }
}

/// One external file for all tensors that go outside.
struct OneFile {
    location: String,
    only_these: bool,
    data: Rope,
}

impl Placement for OneFile {
    fn place(&mut self, tensor: &Tensor, place: TensorPlace) -> Placed {
        let large = tensor.byte_len() >= SMALLEST_EXTERNAL && place == TensorPlace::Initializer;
        let outside = tensor.is_external() || large && (tensor.is_computed() || !self.only_these);
        let Some(content) = outside.then(|| tensor.content()).flatten() else { return Placed::Inline };
        let length = content.len() as u64;
        let alignment = if length < PAGE { CACHE_LINE } else { PAGE };
        let offset = (self.data.len() as u64).next_multiple_of(alignment);
        self.data.push_slice(&vec![0; (offset - self.data.len() as u64) as usize]);
        self.data.append(content);
        Placed::External { location: self.location.clone(), offset, length }
    }
}
