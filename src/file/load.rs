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
};

impl Model {
    /// Reads a model from a file. Tensors stay views of the mapped file and of its external data,
    /// so the files must not be changed in place while the model is in use; replacing them, as
    /// [`Model::save`] does, is safe.
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
        let external = ExternalFiles::beside(path);
        let bytes = map(path).map_err(|error| crate::Error::from(ErrorKind::Read(error)).in_file(path))?;
        let mut model = Self::decode(bytes, &|tensor| external.bytes(tensor)).map_err(|error| error.in_file(path))?;
        model.source = Some(path.to_owned());
        Ok(model)
    }

    /// Decodes a model and lifts it into the IR. Tensors stay views of `bytes`.
    ///
    /// External data is not looked for: a model that has some must be [loaded](Model::load) by path.
    ///
    /// # Errors
    /// The bytes are no ONNX model, or the model breaks the format's rules.
    pub fn from_bytes(bytes: Bytes) -> Result<Self> {
        Self::decode(bytes, &|tensor| {
            let location = external::location(tensor).to_owned();
            let reason = "lies beside the model: load the model by its path".to_owned();
            Err(ErrorKind::ExternalData { tensor: tensor.name().to_owned(), location, reason }.into())
        })
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
