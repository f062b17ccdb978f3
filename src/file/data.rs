//! `<model>.data`: the one file, beside a model, that its external data is written to.
//!
//! No name that a model gives to a file is ever written to: it may be any, and be somebody's.
//!
//! | there is already | then |
//! |---|---|
//! | nothing | the file is made |
//! | what the model names that is being replaced | it is replaced with it |
//! | any other file, or a link | refused, unless [`overwrite`](super::SaveOptions::overwrite) is set; a link is replaced, not followed |
//! | the model that was read, or data of it that stays in use | refused |
//! | a folder, device or pipe | refused |

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use prost::Message;

use super::{external, map::map, target::Target};
use crate::{
    error::{Error, ErrorKind, Result},
    proto::{GraphProto, ModelProto, NodeProto, TensorProto, tensor_proto::DataLocation},
};

/// The name of the file, and where it is.
pub(super) struct DataFile {
    pub name: String,
    pub path: PathBuf,
}

impl DataFile {
    /// The file of the model at `model`.
    pub fn of(model: &Path) -> Result<Self> {
        let mut name = model.file_name().unwrap_or_default().to_owned();
        name.push(".data");
        let path = model.with_file_name(&name);
        let name = name
            .into_string()
            .map_err(|_| ErrorKind::Output("the name of a model with external data must be valid UTF-8".to_owned()))?;
        Ok(Self { name, path })
    }

    /// The file as a target, if it may be written beside `model`.
    pub fn target(&self, model: &Path, overwrite: bool) -> Result<Target> {
        let target = Target::itself(&self.path).map_err(|error| error.in_file(&self.path))?;
        if !target.is_regular() {
            return Err(self.refused("is a device or a pipe; remove it, or choose another name for the model"));
        }
        if target.exists() && !overwrite && !is_named(&self.name, model) {
            return Err(self.refused(
                "exists and is no data of the model that is replaced; `--overwrite` (`SaveOptions::overwrite`) \
                 replaces it, or choose another name for the model",
            ));
        }
        Ok(target)
    }

    fn refused(&self, reason: &str) -> Error {
        ErrorKind::Output(format!("its external data would go to '{}', which {reason}", self.name)).into()
    }
}

/// Whether the model at a path has external data in a file of this name beside it.
fn is_named(name: &str, model: &Path) -> bool {
    let is_file = fs::metadata(model).is_ok_and(|metadata| metadata.is_file());
    let bytes = is_file.then(|| map(model).ok()).flatten();
    let Some(model) = bytes.and_then(|bytes| ModelProto::decode(bytes).ok()) else { return false };
    let is_it = |tensor: &TensorProto| {
        let parts = Path::new(external::location(tensor)).components().filter(|part| *part != Component::CurDir);
        tensor.data_location() == DataLocation::External && parts.eq([Component::Normal(name.as_ref())])
    };
    let training = model.training_info.iter().flat_map(|info| [&info.initialization, &info.algorithm]);
    let mut graphs: Vec<&GraphProto> = model.graph.iter().chain(training.flatten()).collect();
    let mut nodes: Vec<&NodeProto> = model.functions.iter().flat_map(|function| &function.node).collect();
    loop {
        if let Some(graph) = graphs.pop() {
            let sparse = graph.sparse_initializer.iter().flat_map(|sparse| sparse.values.iter().chain(&sparse.indices));
            if graph.initializer.iter().chain(sparse).any(is_it) {
                return true;
            }
            nodes.extend(&graph.node);
        } else if let Some(node) = nodes.pop() {
            for attribute in &node.attribute {
                if attribute.t.iter().chain(&attribute.tensors).any(is_it) {
                    return true;
                }
                graphs.extend(attribute.g.iter().chain(&attribute.graphs));
            }
        } else {
            return false;
        }
    }
}
