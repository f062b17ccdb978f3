//! Tensors and types that fit nothing.

use onnx_quant::proto::{
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};

use super::{Random, structure::NUMBERS};

/// How many element types there are, with the undefined one and one more.
const TYPES: usize = 28;

/// A small tensor with the data that its shape needs.
pub fn any(name: &str, random: &mut Random) -> TensorProto {
    let dims: Vec<i64> = (0..random.below(4)).map(|_| random.below(4) as i64 + 1).collect();
    let count = dims.iter().product::<i64>() as usize;
    let name = Some(name.to_owned());
    match random.below(2) {
        0 => TensorProto {
            name,
            data_type: Some(1),
            float_data: (0..count).map(|_| random.below(2000) as f32 / 1000.0 - 1.0).collect(),
            dims,
            ..TensorProto::default()
        },
        _ => TensorProto {
            name,
            data_type: Some(7),
            int64_data: (0..count).map(|_| random.below(8) as i64 - 2).collect(),
            dims,
            ..TensorProto::default()
        },
    }
}

pub fn change(tensor: &mut TensorProto, names: &[String], random: &mut Random) {
    match random.below(10) {
        0 => tensor.dims.push(*random.pick(&NUMBERS)),
        1 => tensor.dims.reverse(),
        // The same number of elements in other shapes.
        2 => tensor.dims = vec![tensor.dims.iter().fold(1, |product: i64, dim| product.wrapping_mul(*dim))],
        3 => tensor.dims.insert(random.below(tensor.dims.len() + 1), 1),
        4 => tensor.data_type = Some(random.below(TYPES) as i32),
        5 => tensor.name = Some(random.pick(names).clone()),
        6 => tensor.raw_data = None,
        7 if !tensor.int64_data.is_empty() => {
            let at = random.below(tensor.int64_data.len());
            tensor.int64_data[at] = *random.pick(&NUMBERS);
        }
        8 if !tensor.float_data.is_empty() => {
            let at = random.below(tensor.float_data.len());
            tensor.float_data[at] = *random.pick(&[f32::NAN, f32::INFINITY, f32::MAX, 1e-45, -0.0, 0.0]);
        }
        _ => {
            let mut raw = tensor.raw_data.take().unwrap_or_default().to_vec();
            match random.below(3) {
                0 => raw.extend([0; 4]),
                1 => raw.truncate(raw.len() / 2),
                _ if raw.len() >= 8 => {
                    let at = random.below(raw.len() / 8) * 8;
                    raw[at..at + 8].copy_from_slice(&random.pick(&NUMBERS).to_le_bytes());
                }
                _ => {}
            }
            tensor.raw_data = Some(raw.into());
        }
    }
}

/// Gives an input another type or shape.
pub fn change_type(value: &mut ValueInfoProto, random: &mut Random) {
    let tensor = match value.r#type.take() {
        Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), .. }) => tensor,
        _ => type_proto::Tensor::default(),
    };
    let mut tensor = tensor;
    match random.below(4) {
        0 => tensor.elem_type = Some(random.below(TYPES) as i32),
        1 => tensor.shape = None,
        _ => {
            let shape = tensor.shape.get_or_insert_with(TensorShapeProto::default);
            let size = match random.below(3) {
                0 => None,
                1 => Some(dimension::Value::DimParam("N".to_owned())),
                _ => Some(dimension::Value::DimValue(*random.pick(&NUMBERS))),
            };
            let dim = Dimension { value: size, ..Dimension::default() };
            match random.below(shape.dim.len() + 2) {
                at if at < shape.dim.len() => shape.dim[at] = dim,
                _ => shape.dim.push(dim),
            }
        }
    }
    value.r#type = Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() });
}
