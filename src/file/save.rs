//! Writing: which tensors go where, and all or nothing.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    data::DataFile,
    external,
    target::{Target, is_same_file},
    write::{write_file, write_stream},
};
use crate::{
    error::{Error, ErrorKind, Result},
    ir::{Model, Placed, Placement, Tensor, TensorPlace, export, rope::Rope},
    setters::setters,
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
#[non_exhaustive]
pub struct SaveOptions {
    /// Put all tensors of 1,024 bytes and more into `<file>.data`. Without this a model is written
    /// as it was read, and tensors move out only where the file would exceed 2 GiB.
    pub external_data: bool,
    /// Replace what lies at `<file>.data`, whatever it is. Without this only the data of a model is
    /// replaced that is replaced itself.
    pub overwrite: bool,
}

setters!(SaveOptions { with_external_data(external_data: bool), with_overwrite(overwrite: bool) });

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Saved {
    /// Bytes of the model file.
    pub model_bytes: u64,
    /// Bytes of the external data, written or where it was before.
    pub external_bytes: u64,
}

impl Model {
    /// Writes the model: completely, or not at all. The file may be the one that the model was
    /// loaded from.
    ///
    /// External data stays external: where nothing of it changed and the folder is the same, the model
    /// keeps naming the same files; otherwise all of it goes to `<file>.data`. No other file is written
    /// to, whatever names the model has.
    ///
    /// # Errors
    /// A file cannot be written; `<file>.data` is there already and is somebody else's; the model exceeds
    /// 2 GiB even with external data.
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

    /// Checks what can be told before the work of whether [`save`](Self::save) will write a file, if what
    /// is external changes in between.
    ///
    /// # Errors
    /// As of [`save`](Self::save).
    pub fn check_save(&self, path: impl AsRef<Path>, options: &SaveOptions) -> Result<()> {
        let path = path.as_ref();
        let check = || {
            let target = self.target(path)?;
            target.check()?;
            let external = options.external_data || !self.external_files.is_empty();
            if external && target.is_regular() {
                self.data_target(&DataFile::of(path)?, path, options)?;
            }
            Ok(())
        };
        check().map_err(|error: Error| error.in_file(path))
    }

    fn save_to(&self, path: &Path, options: &SaveOptions) -> Result<Saved> {
        let target = self.target(path)?;
        if !target.is_regular() {
            return self.write_to(&mut target.stream()?);
        }
        let tensors = Tensors::of(self);
        let stays = !tensors.external || !tensors.computed && !self.moves_to(path);
        if stays && !options.external_data {
            let model = export(self, &mut AsItIs);
            if model.len() <= LARGEST_FILE {
                target.write(None, |file| write_file(&model, file))?.replace()?;
                return Ok(Saved { model_bytes: model.len() as u64, external_bytes: self.external_bytes() });
            }
        }
        let only_these = tensors.external && !options.external_data;
        self.save_with_external_data(path, &target, options, only_these)
    }

    /// `only_these`: only what was external before, and what is made of it, is external again.
    fn save_with_external_data(
        &self,
        path: &Path,
        target: &Target,
        options: &SaveOptions,
        only_these: bool,
    ) -> Result<Saved> {
        let data_file = DataFile::of(path)?;
        let mut placement =
            OneFile { location: data_file.name.clone(), only_these, data: Rope::default(), placed: HashMap::new() };
        let model = export(self, &mut placement);
        if model.len() > LARGEST_FILE {
            if only_these {
                return self.save_with_external_data(path, target, options, false);
            }
            return Err(too_large(&model, "its attributes alone are too large for one protobuf message"));
        }
        let data = placement.data;
        let saved = Saved { model_bytes: model.len() as u64, external_bytes: data.len() as u64 };
        let write_model = || target.write(None, |file| write_file(&model, file));
        if data.len() == 0 {
            write_model()?.replace()?;
            return Ok(saved);
        }
        let data_target = self.data_target(&data_file, path, options)?;
        let written_data = data_target.write(Some(target), |file| write_file(&data, file))?;
        write_model()?.replace_with_data(written_data)?;
        Ok(saved)
    }

    /// Where the model goes, which must be none of the files that its tensors are in.
    fn target(&self, path: &Path) -> Result<Target> {
        self.check_spares_external_files(path, path)?;
        Target::new(path)
    }

    /// Where its external data goes.
    fn data_target(&self, data: &DataFile, path: &Path, options: &SaveOptions) -> Result<Target> {
        if self.source.as_ref().is_some_and(|source| is_same_file(source, &data.path)) {
            let message =
                format!("its external data would go to '{}', which is the input; choose another name", data.name);
            return Err(ErrorKind::Output(message).into());
        }
        // Where the model that was read goes, nobody needs its data any more.
        if !self.source.as_ref().is_some_and(|source| is_same_place(source, path)) {
            self.check_spares_external_files(path, &data.path)?;
        }
        data.target(path, options.overwrite)
    }

    /// Whether the model goes to another folder than it came from, where its external data is not.
    fn moves_to(&self, path: &Path) -> bool {
        let source = self.source.as_ref().and_then(|source| folder(source).ok());
        source.is_none() || source != folder(path).ok()
    }

    /// How many bytes the files have that its tensors are in.
    fn external_bytes(&self) -> u64 {
        self.external_files().iter().filter_map(|file| fs::metadata(file).ok()).map(|metadata| metadata.len()).sum()
    }

    /// Checks that writing `file` does not destroy data of the model that was read.
    fn check_spares_external_files(&self, path: &Path, file: &Path) -> Result<()> {
        match self.external_files().iter().find(|external| is_same_file(external, file)) {
            None => Ok(()),
            Some(external) => Err(ErrorKind::Output(format!(
                "writing it would overwrite '{}', which holds tensors of the input; choose another name than {}",
                external.display(),
                path.display()
            ))
            .into()),
        }
    }
}

/// Whether two paths are one name in one folder; hard links are not.
fn is_same_place(one: &Path, other: &Path) -> bool {
    fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
}

fn folder(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

fn too_large(model: &Rope, advice: &str) -> Error {
    ErrorKind::Output(format!("the model takes {} bytes, more than the 2 GiB of one file; {advice}", model.len()))
        .into()
}

/// What kinds of tensors there are in a model.
#[derive(Default)]
struct Tensors {
    external: bool,
    computed: bool,
}

impl Tensors {
    fn of(model: &Model) -> Self {
        let mut tensors = Self { external: !model.external_files.is_empty(), computed: false };
        for tensor in model.tensors() {
            tensors.external |= tensor.is_external();
            tensors.computed |= tensor.is_computed();
        }
        tensors
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
    /// Where bytes lie already that several tensors share, by what the input says of their place.
    placed: HashMap<Vec<String>, u64>,
}

impl Placement for OneFile {
    fn place(&mut self, tensor: &Tensor, place: TensorPlace) -> Placed {
        let large = tensor.byte_len() >= SMALLEST_EXTERNAL && place == TensorPlace::Initializer;
        let outside = tensor.is_external() || large && (tensor.is_computed() || !self.only_these);
        // A tensor without elements needs no file.
        let content = outside.then(|| tensor.content()).flatten().filter(|content| content.len() > 0);
        let Some(content) = content else { return Placed::Inline };
        let (length, location) = (content.len() as u64, self.location.clone());
        let shared = tensor.is_external().then(|| external::place(&tensor.shell));
        if let Some(&offset) = shared.as_ref().and_then(|place| self.placed.get(place)) {
            return Placed::External { location, offset, length };
        }
        let alignment = if length < PAGE { CACHE_LINE } else { PAGE };
        let offset = (self.data.len() as u64).next_multiple_of(alignment);
        self.data.push_slice(&vec![0; (offset - self.data.len() as u64) as usize]);
        self.data.append(content);
        self.placed.extend(shared.map(|place| (place, offset)));
        Placed::External { location, offset, length }
    }
}
