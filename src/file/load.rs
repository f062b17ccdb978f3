//! Reading: a file is mapped, decoded without copying tensors, and lifted into the IR.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{
    external::{self, ExternalFiles},
    lfs::{LFS_POINTER, is_lfs_pointer},
    map::map,
    unknown_fields,
};
use crate::{
    error::{ErrorKind, Result},
    ir::Model,
    proto::TensorProto,
    text::{ParseOptions, is_text, parse},
};

/// Names that files of text have; without a header they cannot be told by what they begin with.
const TEXT_EXTENSIONS: [&str; 2] = ["txt", "onnxtxt"];

/// Whether a file is called like one of text, which is [read](Model::load) as such whatever it begins with.
pub fn is_named_text(path: &Path) -> bool {
    path.extension().is_some_and(|extension| TEXT_EXTENSIONS.iter().any(|text| extension.eq_ignore_ascii_case(text)))
}

fn map_model(path: &Path) -> Result<Bytes> {
    map(path).map_err(|error| crate::Error::from(ErrorKind::Read(error)).in_file(path))
}

/// A model without a path has no files beside it.
fn beside_the_model(tensor: &TensorProto) -> Result<Bytes> {
    let location = external::location(tensor).to_owned();
    let reason = "lies beside the model: load the model by its path".to_owned();
    Err(ErrorKind::ExternalData { tensor: tensor.name().to_owned(), location, reason }.into())
}

impl Model {
    /// Reads a model from a file. Tensors stay views of the mapped file and of its external data,
    /// so the files must not be changed in place while the model is in use; replacing them, as
    /// [`Model::save`] does, is safe.
    ///
    /// A file that begins with the `<` of a header, which no protobuf does, or whose name ends with `.txt` or
    /// `.onnxtxt` is read as [text](Model::from_text).
    ///
    /// # Errors
    /// The file cannot be read, is no ONNX model, breaks the format's rules, or names external data
    /// that is missing, too short, or outside the model's folder.
    ///
    /// ```
    /// let model = onnx_quant::Model::load("testdata/kws_dscnn.onnx")?;
    /// assert_eq!(model.opset(onnx_quant::Model::MAIN), 14);
    /// # Ok::<(), onnx_quant::Error>(())
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = map_model(path)?;
        if is_text(&bytes) || is_named_text(path) {
            return Self::of_text_beside(path, &bytes, &ParseOptions::default());
        }
        let external = ExternalFiles::beside(path);
        let mut model = Self::decode(bytes, &|tensor| external.bytes(tensor)).map_err(|error| error.in_file(path))?;
        model.source = Some(path.to_owned());
        Ok(model)
    }

    /// Reads a model from a file of [text](Self::from_text), whatever its name; external data is read beside it.
    ///
    /// # Errors
    /// Those of [`load`](Self::load) and [`from_text`](Self::from_text).
    pub fn load_text(path: impl AsRef<Path>, options: &ParseOptions) -> Result<Self> {
        let path = path.as_ref();
        Self::of_text_beside(path, &map_model(path)?, options)
    }

    fn of_text_beside(path: &Path, text: &[u8], options: &ParseOptions) -> Result<Self> {
        let external = ExternalFiles::beside(path);
        let model = parse(text, options).and_then(|proto| crate::ir::import(proto, &|tensor| external.bytes(tensor)));
        let mut model = model.map_err(|error| error.in_file(path))?;
        model.source = Some(path.to_owned());
        Ok(model)
    }

    /// Reads a model in the ONNX textual syntax: what [`Model::to_text`] and the reference implementation
    /// (`onnx.printer.to_text`) write, and what `onnx.parser.parse_model` reads.
    ///
    /// # Errors
    /// The text is not in the syntax ([`ErrorKind::Text`], with the place), has tensors without elements
    /// ([`ErrorKind::Elided`]), or the model breaks the format's rules.
    ///
    /// ```
    /// let model = onnx_quant::Model::from_text(
    ///     r#"<ir_version: 10, opset_import: ["": 21]>
    ///     half (float[N] x) => (float[N] y) <float two = {2.0}> {
    ///       y = Div (x, two)
    ///     }"#,
    /// )?;
    /// assert_eq!(model.ops().count(), 1);
    /// # Ok::<(), onnx_quant::Error>(())
    /// ```
    pub fn from_text(text: &str) -> Result<Self> {
        Self::from_text_with(text, &ParseOptions::default())
    }

    /// As [`from_text`](Self::from_text), with options.
    ///
    /// # Errors
    /// Those of [`from_text`](Self::from_text).
    pub fn from_text_with(text: &str, options: &ParseOptions) -> Result<Self> {
        crate::ir::import(parse(text.as_bytes(), options)?, &beside_the_model)
    }

    /// Decodes a model, an ONNX message, and lifts it into the IR. Tensors stay views of `bytes`, which are not copied. What begins with the `<` of a header is
    /// read as [text](Model::from_text).
    ///
    /// External data is not looked for: a model that has some must be [loaded](Model::load) by path.
    ///
    /// # Errors
    /// The bytes are no ONNX model, or the model breaks the format's rules.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        let bytes = Bytes::from(bytes);
        match is_text(&bytes) {
            true => crate::ir::import(parse(&bytes, &ParseOptions::default())?, &beside_the_model),
            false => Self::decode(bytes, &beside_the_model),
        }
    }

    /// Fields of the file that this version's schema does not know, e.g. `NodeProto field 99`.
    /// They are lost when the model is written.
    pub fn unknown_fields(&self) -> &[String] {
        &self.unknown_fields
    }

    /// The files that tensors were read from, beside the model's own.
    pub fn external_files(&self) -> Vec<PathBuf> {
        let Some(source) = &self.source else { return Vec::new() };
        self.external_files.iter().map(|location| source.with_file_name("").join(location)).collect()
    }

    pub(crate) fn decode(bytes: Bytes, external: crate::ir::ExternalData) -> Result<Self> {
        // To protobuf, no bytes are a message without fields.
        if bytes.is_empty() {
            return Err(crate::Error::invalid("is empty"));
        }
        if is_lfs_pointer(&bytes) {
            return Err(crate::Error::invalid(LFS_POINTER));
        }
        let proto = prost::Message::decode(bytes.clone()).map_err(ErrorKind::Decode)?;
        let mut model = crate::ir::import(proto, external)?;
        model.unknown_fields = unknown_fields::find(&bytes);
        Ok(model)
    }
}
