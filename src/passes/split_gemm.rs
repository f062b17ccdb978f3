//! Makes a product and an addition of a Gemm.

use std::collections::{HashMap, HashSet};

use super::{Pass, constants};
use crate::{
    error::Result,
    ir::{Attribute, DataType, Model, NewOp, OpId, Tensor, Use, ValueId},
    operators::is_standard,
};

/// Makes `MatMul` and `Add` of `Gemm`, for what has a form of the product alone: `alpha A' B' + beta C` becomes
/// the product of `A'` and `alpha B'`, to which `beta C` is added. What is transposed or scaled for that goes
/// through a `Transpose` or `Mul` of its own.
///
/// The operator stays the same one, with the name that it had.
///
/// ```
/// use onnx_quant::{Model, passes::{Pass, SplitGemm}};
/// let mut model = Model::load("testdata/kws_dscnn.onnx")?;
/// let only = model.ops().filter(|&op| model.op(op).is("Gemm")).collect();
/// assert!(SplitGemm { only }.run(&mut model)?);
/// assert!(!model.ops().any(|op| model.op(op).is("Gemm")));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SplitGemm {
    /// Which; others stay as they are. They must compute in float32.
    pub only: HashSet<OpId>,
}

impl Pass for SplitGemm {
    fn name(&self) -> &'static str {
        "split-gemm"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        let gemms: Vec<OpId> = model.ops().filter(|op| self.only.contains(op) && can_be_split(model, *op)).collect();
        let mut made = HashMap::new();
        for &op in &gemms {
            split(model, op, &mut made)?;
        }
        Ok(!gemms.is_empty())
    }
}

/// Whether an operator is a Gemm that says itself how it multiplies. Before opset 7 an attribute says how it
/// broadcasts what it adds.
pub(crate) fn can_be_split(model: &Model, id: OpId) -> bool {
    let op = model.op(id);
    op.is("Gemm")
        && is_standard(model, id)
        && model.opset(op.scope()) >= 7
        && ["alpha", "beta", "transA", "transB"].iter().all(|name| !op.refers_to_caller(name))
        && matches!(model.inputs(id)[..], [Some(_), Some(_), ..])
        && matches!(model.outputs(id)[..], [Some(_)])
}

/// A factor, whether it is transposed and what it is multiplied by, as the bits of a float; of what is no initializer,
/// for which Gemm.
type Made = (ValueId, bool, u32, Option<OpId>);

fn split(model: &mut Model, op: OpId, made: &mut HashMap<Made, ValueId>) -> Result<()> {
    let inputs = model.inputs(op);
    let ([Some(left), Some(right), ..], [Some(output)]) = (&inputs[..], &model.outputs(op)[..]) else { return Ok(()) };
    let (left, right, output) = (*left, *right, *output);
    let added = inputs.get(2).copied().flatten();
    let gemm = model.op(op);
    let [alpha, beta] = ["alpha", "beta"].map(|name| gemm.float(name).unwrap_or(1.0));
    let transposed = ["transA", "transB"].map(|name| gemm.int(name).unwrap_or(0) != 0);
    for attribute in ["alpha", "beta", "transA", "transB"] {
        model.take_attribute(op, attribute);
    }
    for (slot, (value, transposed)) in [left, right].into_iter().zip(transposed).enumerate() {
        let factor = if slot == 1 { alpha } else { 1.0 };
        if !transposed && factor == 1.0 {
            continue;
        }
        let key = (value, transposed, factor.to_bits(), model.value(value).initializer().is_none().then_some(op));
        let input = match made.get(&key) {
            Some(&known) => known,
            None => {
                let turned = if transposed { before(model, op, "Transpose", value, None) } else { value };
                let input = if factor == 1.0 { turned } else { scaled(model, op, turned, factor)? };
                made.insert(key, input);
                input
            }
        };
        model.set_input(Use { op, slot }, input);
    }
    model.set_op_type(op, "MatMul");
    let Some(original) = added else { return Ok(()) };
    let added = match model.fixed(original).filter(|tensor| tensor.dtype() == DataType::Float) {
        _ if beta == 1.0 => original,
        Some(tensor) => {
            let bytes = tensor
                .to_array::<f32>()?
                .iter()
                .flat_map(|element| (element * beta).to_le_bytes())
                .collect::<Vec<u8>>();
            let tensor = tensor.with_bytes(&tensor.shape(), bytes)?.named(model.value(original).name());
            constants::add(model, op, tensor)
        }
        None => scaled(model, op, original, beta)?,
    };
    model.omit_input(op, 2);
    let scope = model.op(op).scope();
    let product = model.new_value(scope, &format!("{}_product", model.value(output).name()));
    model.set_output(op, 0, product);
    let name = format!("{}_Add", model.op(op).name());
    let behind = model.op_after(op);
    let add = NewOp { op_type: "Add", name, inputs: vec![product, added], output, attributes: vec![] };
    model.insert_op(scope, behind, add);
    constants::remove_unread(model, vec![original]);
    Ok(())
}

/// The value times a number.
fn scaled(model: &mut Model, op: OpId, value: ValueId, factor: f32) -> Result<ValueId> {
    let name = format!("{}_factor", model.value(value).name());
    let tensor = Tensor::from_bytes(&name, DataType::Float, &[], factor.to_le_bytes().to_vec())?;
    let factor = constants::add(model, op, tensor);
    Ok(before(model, op, "Mul", value, Some(factor)))
}

/// What another operator in front of `op` makes of a value; a Transpose of an initializer is in front of all that
/// read it.
fn before(model: &mut Model, op: OpId, op_type: &'static str, value: ValueId, other: Option<ValueId>) -> ValueId {
    let initializer = model.value(value).initializer().is_some() && op_type == "Transpose";
    let scope = if initializer { model.value(value).scope() } else { model.op(op).scope() };
    let position = if initializer { model.first_reader(value) } else { Some(op) };
    let suffix = if op_type == "Mul" { "scaled" } else { "transposed" };
    let name = format!("{}_{suffix}", model.value(value).name());
    let output = model.new_value(scope, &name);
    let attributes = match op_type {
        "Transpose" => vec![("perm", Attribute::Ints(vec![1, 0]))],
        _ => vec![],
    };
    let inputs = [value].into_iter().chain(other).collect();
    model.insert_op(scope, position, NewOp { op_type, name, inputs, output, attributes });
    output
}
