//! What a command writes beside the model: checked before the work, so that a wrong path fails at once
//! and nothing is written over anything else that the command reads or writes.

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use onnx_quant::{Model, OutputFile, PreparedFile, SaveOptions, Saved};

use super::{Failure, STREAM, failed};

/// Checks, before the work, that a model is not to be written to a terminal.
pub fn check_no_terminal(output: &Path) -> Result<(), Failure> {
    match output.as_os_str() == STREAM && io::stdout().is_terminal() {
        true => Err(Failure::Usage("a model is binary: it is not written to a terminal".to_owned())),
        false => Ok(()),
    }
}

/// Writes a model to a file, or to standard output; what [`Model::save`] returns.
pub fn write_model(model: &Model, output: &Path, options: &SaveOptions) -> Result<Saved, Failure> {
    Ok(match output.as_os_str() == STREAM {
        true => model.write_to(&mut io::stdout().lock()).map_err(|error| error.in_file("standard output"))?,
        false => model.save(output, options)?,
    })
}

/// A text that goes to a file, or to standard output, once there is one. Until then nothing lies on disk.
pub struct TextOutput(Option<OutputFile>);

/// The paths that a command reads and writes.
#[derive(Default)]
pub struct Paths {
    read: Vec<Named>,
    written: Vec<Named>,
}

struct Named {
    what: &'static str,
    path: PathBuf,
    /// A model or its external data: the one that is written may take the place of the one that was
    /// read. How far, is checked where it is saved.
    of_model: bool,
}

impl TextOutput {
    /// Checks that `path` can be written.
    pub fn at(path: &Path) -> Result<Self, Failure> {
        Ok(Self((path.as_os_str() != STREAM).then(|| OutputFile::at(path)).transpose()?))
    }

    /// Writes all of it.
    pub fn write(&self, text: &str) -> Result<(), Failure> {
        self.prepare(text)?.put()
    }

    /// Does what can fail, so that a model is not written without its report.
    pub fn prepare<'a>(&'a self, text: &'a str) -> Result<PreparedText<'a>, Failure> {
        let file = self.0.as_ref().map(|file| file.prepare(text.as_bytes())).transpose()?;
        Ok(PreparedText { file, text })
    }
}

/// A text that has still to take its place.
pub struct PreparedText<'a> {
    file: Option<PreparedFile<'a>>,
    text: &'a str,
}

impl PreparedText<'_> {
    /// Puts it there.
    pub fn put(self) -> Result<(), Failure> {
        if let Some(file) = self.file {
            return Ok(file.put()?);
        }
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(self.text.as_bytes()).and_then(|()| stdout.flush());
        written.map_err(|error| failed("standard output", error))
    }
}

impl Paths {
    /// A file that is read; messages call it `what`.
    pub fn read(&mut self, what: &'static str, path: &Path) {
        if path.as_os_str() != STREAM {
            self.read.push(Named { what, path: path.to_owned(), of_model: false });
        }
    }

    /// A model that is read, with its external data.
    pub fn read_model(&mut self, model: &Model, path: &Path) {
        if path.as_os_str() != STREAM {
            self.read.push(Named { what: "the input", path: path.to_owned(), of_model: true });
        }
        let external = model.external_files().into_iter();
        self.read.extend(external.map(|path| Named { what: "external data of the input", path, of_model: true }));
    }

    /// A file that is written.
    pub fn write(&mut self, what: &'static str, path: &Path) {
        self.written.push(Named { what, path: path.to_owned(), of_model: false });
    }

    /// A model that is written, with the file that its external data goes to.
    pub fn write_model(&mut self, path: &Path) {
        self.written.push(Named { what: "the output", path: path.to_owned(), of_model: true });
        if path.as_os_str() != STREAM {
            let mut data = OsString::from(path);
            data.push(".data");
            self.written.push(Named { what: "external data of the output", path: data.into(), of_model: true });
        }
    }

    /// Checks that nothing is written twice to one place, nor over what is read.
    pub fn check(&self) -> Result<(), Failure> {
        for (index, written) in self.written.iter().enumerate() {
            let read = self.read.iter().filter(|read| !(written.of_model && read.of_model));
            let mut others = self.written[..index].iter().chain(read);
            if let Some(other) = others.find(|other| is_same(&written.path, &other.path)) {
                let (one, other, path) = (written.what, other.what, written.path.display());
                return Err(Failure::Usage(format!("{one} and {other} are to be the same file: {path}")));
            }
        }
        Ok(())
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.as_os_str() == STREAM, other.as_os_str() == STREAM) {
        // What goes there nobody misses.
        (false, false) => one != Path::new("/dev/null") && onnx_quant::is_same_file(one, other),
        (one, other) => one && other,
    }
}
