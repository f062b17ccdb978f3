//! A test set as the ONNX project keeps them: a folder with a protobuf message for each input.
//!
//! `input_K.pb` is a `TensorProto`, for the model's input K; inputs that have a default do not count.
//! What it calls itself does not matter. `output_K.pb` is passed over.

use std::{io::Read, path::Path};

use prost::Message;

use super::{
    MAX_BYTES,
    inputs::{Input, Inputs},
    places::{entries, input_number, open},
};
use crate::{
    error::{Error, ErrorKind, Result},
    ir::{DataType, Tensor},
    proto::{TensorProto, tensor_proto::DataLocation},
};

/// The tensors of a folder.
pub(super) fn read(folder: &Path, inputs: &Inputs) -> Result<Vec<Tensor>> {
    let mut tensors: Vec<Tensor> = Vec::new();
    for file in entries(folder)? {
        let Some(number) = input_number(&file) else { continue };
        let tensor = inputs.numbered(number).and_then(|input| tensor(&file, input)).map_err(|e| e.in_file(&file))?;
        if tensors.iter().any(|known| known.name() == tensor.name()) {
            return Err(Error::sample(format!("input {number} is there twice")).in_file(&file));
        }
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn tensor(file: &Path, input: &Input) -> Result<Tensor> {
    let mut opened = open(file)?;
    if opened.metadata().map_err(ErrorKind::Read)?.len() > MAX_BYTES as u64 {
        return Err(Error::sample(format!("has more than {MAX_BYTES} bytes, too many for a protobuf message")));
    }
    let mut bytes = Vec::new();
    opened.read_to_end(&mut bytes).map_err(ErrorKind::Read)?;
    let wrong = |reason: &str| Error::sample(format!("is no TensorProto: {reason}"));
    let shell = TensorProto::decode(bytes::Bytes::from(bytes)).map_err(|error| wrong(&error.to_string()))?;
    if shell.data_location() == DataLocation::External {
        return Err(input.in_input(Error::sample("has its data in another file; only data in the message is read")));
    }
    if shell.segment.is_some() {
        return Err(input.in_input(Error::sample("is only a segment of a tensor")));
    }
    // Protobuf takes no bytes for a message without fields.
    if matches!(shell.data_type(), 0) {
        return Err(wrong("it has no element type; is the file complete?"));
    }
    let tensor = Tensor::new(shell, None)?;
    let (dtype, shape) = (tensor.dtype(), tensor.shape());
    if matches!(dtype, DataType::Undefined | DataType::String) {
        return Err(input.in_input(Error::sample("is a tensor of no numbers that can be read")));
    }
    input.check(dtype, &shape)?;
    input.tensor(dtype, &shape, tensor.bytes()?.to_vec())
}
