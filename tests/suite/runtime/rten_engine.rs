//! Runs models in rten, a runtime in pure Rust that is always there. It has float32, int32, int8 and
//! uint8 tensors; int64 and bool become int32 there.

use std::collections::BTreeMap;
use std::path::Path;

use rten::{Model, Value, ValueOrView};
use rten_tensor::Layout;

use super::Tensor;

/// The outputs of a model by name; an error is what rten said.
pub fn run(model: &Path, inputs: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>, String> {
    let model = Model::load_file(model).map_err(|error| error.to_string())?;
    let mut feeds = Vec::new();
    for (name, tensor) in inputs {
        let id = model.node_id(name).map_err(|error| error.to_string())?;
        feeds.push((id, ValueOrView::from(value(tensor)?)));
    }
    let outputs = model.run(feeds, model.output_ids(), None).map_err(|error| error.to_string())?;
    let names = model.output_ids().iter().map(|&id| {
        let info = model.node_info(id).expect("an output is a node");
        info.name().expect("an output has a name").to_owned()
    });
    names.zip(outputs).map(|(name, output)| Ok((name, tensor(output)?))).collect()
}

fn value(tensor: &Tensor) -> Result<Value, String> {
    macro_rules! made {
        ($element:ty) => {
            Value::from_shape(&tensor.shape, tensor.values.iter().map(|&v| v as $element).collect())
                .map_err(|error| error.to_string())
        };
    }
    match tensor.dtype.as_str() {
        "float32" => made!(f32),
        "int64" | "int32" | "bool" => made!(i32),
        "int8" => made!(i8),
        "uint8" => made!(u8),
        other => Err(format!("rten has no tensors of {other}")),
    }
}

fn tensor(value: Value) -> Result<Tensor, String> {
    macro_rules! read {
        ($dtype:literal, $tensor:expr) => {
            Ok(Tensor {
                dtype: $dtype.to_owned(),
                shape: $tensor.shape().to_vec(),
                values: $tensor.into_data().into_iter().map(f64::from).collect(),
            })
        };
    }
    match value {
        Value::FloatTensor(tensor) => read!("float32", tensor),
        Value::Int32Tensor(tensor) => read!("int32", tensor),
        Value::Int8Tensor(tensor) => read!("int8", tensor),
        Value::UInt8Tensor(tensor) => read!("uint8", tensor),
        other => Err(format!("an output is {}", other.dtype())),
    }
}
