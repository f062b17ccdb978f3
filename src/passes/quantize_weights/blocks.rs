//! Weights as onnxruntime's own operators read them in blocks. (Its documentation of contributed operators,
//! `com.microsoft.MatMulNBits` and `com.microsoft.GatherBlockQuantized`.)

use std::sync::Arc;

use bytes::Bytes;

use super::{computed::QuantizedWeight, stored::StoredForm};
use crate::{
    error::{Error, Result},
    ir::{Attribute, DataType, Model, OpId, Tensor, Use, ValueId},
    numeric::{Granularity, Layout},
    plan::{QuantizedCopy, WeightPlan, scale_dtype},
};

/// onnxruntime's operators.
const DOMAIN: &str = "com.microsoft";

/// What MatMulNBits reads of a weight `[K, N]`: the integers as bytes `[N, K / block, block * bits / 8]`, scales
/// `[N * K / block]`, and, unless all are in the middle, zero points as bytes `[N * (K / block * bits / 8)]`, where
/// `/` rounds up. Of each column the last block is filled up with what stands for zero.
///
/// # Errors
/// The tensor cannot be read.
pub(super) fn packed(
    weight: &WeightPlan,
    copy: &QuantizedCopy,
    tensor: &Tensor,
    form: StoredForm,
) -> Result<Vec<Tensor>> {
    let (&[columns, rows], Granularity::PerBlock { size, .. }) = (form.layout.shape(), form.layout.granularity())
    else {
        unreachable!("only matrices in blocks are planned for MatMulNBits")
    };
    let ty = copy.scheme.ty;
    let blocks = rows.div_ceil(size);
    let scales = copy.scheme.scale.encode(form.params.iter().map(|params| params.scale));
    let scales = Tensor::from_bytes(
        &format!("{}_scales", weight.name),
        scale_dtype(copy.scheme.scale),
        &[columns * blocks],
        scales,
    )?;
    let zero_points = if copy.scheme.symmetric {
        None
    } else {
        let of_column = |column: &[i32]| ty.encode(column);
        let all: Vec<i32> = form.params.iter().map(|params| params.zero_point).collect();
        let bytes: Vec<u8> = all.chunks(blocks).flat_map(of_column).collect();
        Some(Tensor::from_bytes(&format!("{}_zero_points", weight.name), DataType::Uint8, &[bytes.len()], bytes)?)
    };
    let values = filled(&tensor.narrow().bytes()?, rows, columns, blocks * size, weight.float_type.size());
    let granularity = form.layout.granularity();
    let layout = Layout::new(&[columns, blocks * size], granularity)
        .map_err(|error| Error::tensor(&weight.name, error.to_string()))?;
    let source = QuantizedWeight::new(values, weight.float_type, copy, StoredForm { layout, params: form.params });
    let name = format!("{}_Q{}", weight.name, ty.bits());
    let shape = [columns, blocks, ty.bytes(size)];
    let integers = tensor.with_data(&name, DataType::Uint8, &shape, Arc::new(source));
    Ok([integers, scales].into_iter().chain(zero_points).collect())
}

/// A matrix with as many rows of zeros below as make `wanted`: itself, mostly.
fn filled(values: &Bytes, rows: usize, columns: usize, wanted: usize, element: usize) -> Bytes {
    if rows == wanted {
        return values.clone();
    }
    let mut filled = values.to_vec();
    filled.resize(wanted * columns * element, 0);
    filled.into()
}

/// Makes products MatMulNBits.
pub(super) fn multiply(
    model: &mut Model,
    weight: &WeightPlan,
    copy: &QuantizedCopy,
    tensor: &Tensor,
    inputs: &[ValueId],
    products: &[Use],
) {
    let (&[rows, columns], Granularity::PerBlock { size, .. }) = (&tensor.shape()[..], copy.granularity) else {
        return;
    };
    let attributes = [("K", rows), ("N", columns), ("bits", copy.scheme.ty.bits() as usize), ("block_size", size)];
    for &Use { op, .. } in products {
        read(model, op, "MatMulNBits", 1, inputs);
        for (name, value) in attributes {
            model.set_attribute(op, name, Attribute::Int(value as i64));
        }
        if let Some(level) = weight.accuracy_level {
            model.set_attribute(op, "accuracy_level", Attribute::Int(i64::from(level)));
        }
    }
}

/// Makes a Gather from rows GatherBlockQuantized, which reads the scales behind the indices.
pub(super) fn gather(model: &mut Model, copy: &QuantizedCopy, inputs: &[ValueId], op: OpId) {
    let Granularity::PerBlock { axis, size } = copy.granularity else { return };
    model.set_input(Use { op, slot: 0 }, inputs[0]);
    read(model, op, "GatherBlockQuantized", 2, &inputs[1..]);
    model.take_attribute(op, "axis");
    for (name, value) in [("gather_axis", 0), ("quantize_axis", axis), ("block_size", size)] {
        model.set_attribute(op, name, Attribute::Int(value as i64));
    }
}

fn read(model: &mut Model, op: OpId, op_type: &str, from: usize, inputs: &[ValueId]) {
    model.set_op_of_domain(op, DOMAIN, op_type);
    for (index, &value) in inputs.iter().enumerate() {
        model.set_input(Use { op, slot: from + index }, value);
    }
}
