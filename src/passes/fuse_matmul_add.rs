//! Makes a product with weights and the addition of a bias one operator, or keeps them apart.

use super::{
    Pass,
    constants::{self, fixed, remove_unread},
};
use crate::{
    analysis::Facts,
    error::Result,
    ir::{Attribute, DataType, Model, OpId, Use, ValueId},
    operators::is_standard,
};

/// Makes `MatMul` of matrices, whose right factor is constant, and the `Add` of a constant bias behind it
/// one `Gemm`: `x W + b`. The weights may stand behind a Transpose, which `transB` says then.
///
/// onnxruntime does so when it loads a model, before it looks for groups of DequantizeLinear and
/// QuantizeLinear: a MatMul that was quantized on its own, its Add left float, would become a float
/// Gemm. As a Gemm from the start its bias is quantized too, and it stays one of integers.
///
/// Where more than matrices is multiplied there is no Gemm for it, but if all sizes are fixed onnxruntime
/// makes one none the less, between two Reshapes. Not so where the bias is a matrix of one row, which adds
/// the same: there the bias `[n]` becomes `[1, n]`.
///
/// The rank of what is multiplied must follow from the model's inputs and operators: a Gemm takes
/// matrices only, and what a file states of values in between is not enforced. Only `float` is fused,
/// what activations must be to be quantized.
///
/// ```
/// use onnx_quant::{Model, passes::{FuseMatMulAdd, Pass}};
/// let mut model = Model::load("testdata/ppocr_cls.onnx")?;
/// assert!(FuseMatMulAdd.run(&mut model)?);
/// assert!(!model.ops().any(|op| model.op(op).is("MatMul")));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct FuseMatMulAdd;

impl Pass for FuseMatMulAdd {
    fn name(&self) -> &'static str {
        "fuse-matmul-add"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        let facts = Facts::guaranteed(model);
        let mut gone = Vec::new();
        let mut unread = Vec::new();
        for add in model.ops().collect::<Vec<_>>() {
            let Some(Biased { product, sum, bias, output }) = biased(model, &facts, add) else { continue };
            if product.rank > 2 {
                unread.extend(row(model, add, bias)?);
                continue;
            }
            unread.push(bias);
            if let Some(weight) = product.transposed {
                unread.extend(model.input(product.op, 1));
                model.set_input(Use { op: product.op, slot: 1 }, weight);
                model.set_attribute(product.op, "transB", Attribute::Int(1));
            }
            let bias = vector(model, &product, bias)?;
            model.set_input(Use { op: product.op, slot: 2 }, bias);
            model.set_op_type(product.op, "Gemm");
            model.remove_op(add);
            model.set_output(product.op, 0, output);
            gone.push(sum);
        }
        let changed = !unread.is_empty();
        model.remove_values(gone);
        remove_unread(model, unread);
        Ok(changed)
    }
}

/// A MatMul whose right factor is a constant matrix.
struct Product {
    op: OpId,
    /// The rank of the left factor: 2 and more.
    rank: usize,
    /// The columns of its output.
    columns: usize,
    /// What its weight is the transpose of, if it is made by a Transpose.
    transposed: Option<ValueId>,
}

/// A product, and the addition behind it.
struct Biased {
    product: Product,
    /// The value between.
    sum: ValueId,
    bias: ValueId,
    output: ValueId,
}

fn biased(model: &Model, facts: &Facts, add: OpId) -> Option<Biased> {
    if !is_default(model, add, "Add") {
        return None;
    }
    let [Some(left), Some(right)] = model.inputs(add)[..] else { return None };
    let [Some(output)] = model.outputs(add)[..] else { return None };
    let (sum, bias) = if fixed(model, right).is_some() { (left, right) } else { (right, left) };
    let op = model.producer(sum)?;
    let alone = model.only_use(sum).is_some() && !model.is_output(sum);
    if !alone || model.op(op).scope() != model.op(add).scope() {
        return None;
    }
    let product = product(model, facts, op)?;
    // One number for each column, or for all; anything else makes the sum larger, or is no row.
    let tensor = fixed(model, bias)?;
    let row = match tensor.shape()[..] {
        [] => true,
        [columns] | [1, columns] => columns == product.columns || columns == 1,
        _ => false,
    };
    (row && tensor.dtype() == DataType::Float).then_some(Biased { product, sum, bias, output })
}

fn product(model: &Model, facts: &Facts, op: OpId) -> Option<Product> {
    let rank = facts.rank(model.input(op, 0)?).filter(|&rank| rank >= 2 && is_default(model, op, "MatMul"))?;
    let ([Some(_), Some(weight)], [Some(_)]) = (&model.inputs(op)[..], &model.outputs(op)[..]) else { return None };
    let weight = *weight;
    let transposed = transposed(model, weight).filter(|&weight| {
        // In a body another value may have its name.
        model.find(model.op(op).scope(), model.value(weight).name()) == Some(weight)
    });
    let tensor = fixed(model, transposed.unwrap_or(weight))?;
    let [rows, columns] = tensor.shape()[..] else { return None };
    let columns = if transposed.is_some() { rows } else { columns };
    let is_float = tensor.dtype() == DataType::Float && tensor.element_count() > 0;
    is_float.then_some(Product { op, rank, columns, transposed })
}

/// What a value is the transpose of, as matrices are transposed.
fn transposed(model: &Model, value: ValueId) -> Option<ValueId> {
    let maker = model.producer(value).filter(|&maker| is_default(model, maker, "Transpose"))?;
    let op = model.op(maker);
    let swaps = op.ints("perm").is_none_or(|perm| *perm == [1, 0]) && !op.refers_to_caller("perm");
    model.input(maker, 0).filter(|_| swaps)
}

/// Whether an operator is one of the default operator set and no call of a function. Before opset 7 an
/// attribute says how an Add broadcasts, and a Gemm its bias.
fn is_default(model: &Model, id: OpId, op_type: &str) -> bool {
    let op = model.op(id);
    is_standard(model, id) && op.is(op_type) && model.opset(op.scope()) >= 7
}

/// The bias with an element for each column, where the product can read it: a Constant node may stand
/// behind.
fn vector(model: &mut Model, product: &Product, bias: ValueId) -> Result<ValueId> {
    let Some(tensor) = fixed(model, bias) else { return Ok(bias) };
    let of_all = tensor.element_count() == product.columns && !tensor.shape().is_empty();
    if of_all && model.value(bias).initializer().is_some() {
        return Ok(bias);
    }
    let bytes = tensor.bytes()?;
    let bytes = if of_all { bytes.to_vec() } else { bytes.repeat(product.columns) };
    let vector = tensor.with_bytes(&[product.columns], bytes)?.named(model.value(bias).name());
    Ok(constants::add(model, product.op, vector))
}

/// Makes an Add read a bias of one axis as a matrix of one row; returns the bias that was read before.
fn row(model: &mut Model, add: OpId, bias: ValueId) -> Result<Option<ValueId>> {
    let Some(tensor) = fixed(model, bias).filter(|tensor| tensor.shape().len() == 1) else { return Ok(None) };
    let row = tensor.with_bytes(&[1, tensor.element_count()], tensor.bytes()?)?.named(model.value(bias).name());
    let slot = usize::from(model.input(add, 1) == Some(bias));
    let row = constants::add(model, add, row);
    model.set_input(Use { op: add, slot }, row);
    Ok(Some(bias))
}
