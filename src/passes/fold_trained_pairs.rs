//! Stores weights that training has quantized as the integers that it made of them.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use super::{
    Pass,
    constants::{self, remove_unread},
    fold_constants::computed,
    quantize_weights::QuantizedWeight,
};
use crate::{
    error::Result,
    ir::{DataType, Model, OpId, Tensor, Use, ValueId},
    numeric::{Granularity, Layout, QuantParams, QuantizedType, ScaleType, Scheme, dequantize, ranges},
    operators::{is_linear_quantizer, normalize_axis},
    plan::{Trained, float_type, ir_version, storage_dtype},
};

/// Computes `QuantizeLinear` of constants, as which training for quantization leaves weights and biases:
/// a float tensor behind a pair of `QuantizeLinear` and `DequantizeLinear`. The integers take a quarter of
/// the room and less, and the model computes the same, bit by bit:
/// `saturate(round_half_even(x / scale) + zero_point)` with a true `f32` division (ONNX operator
/// QuantizeLinear-25). Scales and zero points stay what training found.
///
/// A float constant that something else reads too is left alone, unless [`shared`](Self::shared) says
/// otherwise, since the file would grow. Left is also what has a NaN or an infinity, and a `QuantizeLinear`
/// whose scale is computed, or not positive.
///
/// ```
/// use onnx_quant::{Model, passes::{FoldTrainedPairs, Pass}};
/// let mut model = Model::load("testdata/made/qdq_training.onnx")?;
/// assert!(FoldTrainedPairs { overridable: true, ..FoldTrainedPairs::default() }.run(&mut model)?);
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct FoldTrainedPairs {
    /// Fold also where something else reads the float constant, which stays for it.
    pub shared: bool,
    /// Take the default values of graph inputs for constants; they are inputs no longer then.
    pub overridable: bool,
    /// QuantizeLinear operators that are to stay.
    pub except: HashSet<OpId>,
}

impl Pass for FoldTrainedPairs {
    fn name(&self) -> &'static str {
        "fold-trained-pairs"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        Ok(self.fold(model).count > 0)
    }
}

impl FoldTrainedPairs {
    /// Does it, and tells what was done.
    pub fn fold(&self, model: &mut Model) -> Trained {
        let found: Vec<OpId> = model.ops().filter(|&op| self.is_foldable(model, op)).collect();
        let all: HashSet<OpId> = found.iter().copied().collect();
        let mut unread = Vec::new();
        let mut inputs = Vec::new();
        let mut folded = Trained::default();
        // Decided before anything changes: what one reads may be what another is alone with.
        let found: Vec<OpId> = found.into_iter().filter(|&op| self.shared || is_alone(model, op, &all)).collect();
        for op in found {
            let Some(tensor) = self.integers(model, op) else { continue };
            let read: Vec<ValueId> = model.inputs(op).into_iter().flatten().collect();
            let Some(output) = model.outputs(op).first().copied().flatten() else { continue };
            let float = model.input(op, 0).and_then(|value| constants_behind(model, value));
            let float = float.and_then(|way| model.constant(*way.last()?).map(|tensor| tensor.byte_len()));
            folded.float_bytes += float.unwrap_or(0);
            folded.integer_bytes += tensor.byte_len();
            model.raise_ir_version(ir_version(tensor.dtype()));
            let integers = constants::add(model, op, tensor);
            if let Some(maker) = model.producer(integers) {
                model.copy_annotations(op, maker);
            }
            let moves = model.uses(output).into_iter().map(|use_| (use_, integers)).collect();
            model.move_uses(output, &moves);
            model.remove_op(op);
            model.remove_value(output);
            inputs.extend(read.iter().copied().filter(|&value| model.is_input(value)));
            unread.extend(read);
            folded.count += 1;
        }
        if model.ir_version() >= 4 {
            model.remove_inputs(inputs);
        }
        remove_unread(model, unread);
        folded
    }

    /// Whether there is anything that might be folded.
    pub fn applies(&self, model: &Model) -> bool {
        model.ops().any(|op| self.is_foldable(model, op))
    }

    /// Cheap questions only: no element is read.
    fn is_foldable(&self, model: &Model, id: OpId) -> bool {
        let op = model.op(id);
        let output = model.outputs(id).first().copied().flatten();
        is_linear_quantizer(model, id)
            && !self.except.contains(&id)
            && !op.has_attributes_of_caller()
            && op.int("saturate").unwrap_or(1) != 0
            && matches!(op.int("precision").unwrap_or(0), 0 | 1)
            && output.is_some_and(|output| !model.is_output(output) && model.is_read(output))
            && model.input(id, 1).is_some_and(|scale| self.constant(model, scale).is_some())
            && model.input(id, 2).is_none_or(|zero_point| self.constant(model, zero_point).is_some())
            && model.input(id, 0).is_some_and(|value| constants_behind(model, value).is_some())
    }

    fn constant<'m>(&self, model: &'m Model, value: ValueId) -> Option<Cow<'m, Tensor>> {
        if self.overridable && !model.is_trained(value) {
            return model.constant(value);
        }
        model.fixed(value)
    }

    /// What a QuantizeLinear makes, as a tensor that is computed when it is written.
    fn integers(&self, model: &Model, id: OpId) -> Option<Tensor> {
        let op = model.op(id);
        let value = model.input(id, 0)?;
        let weight = self.constant(model, value).or_else(|| computed(model, value).map(Cow::Owned))?;
        let values = weight.bytes().ok()?;
        let float = float_type(weight.dtype()).filter(|_| weight.dtype() != DataType::Double)?;
        let zero_point = model.input(id, 2).map(|zero_point| self.constant(model, zero_point));
        let dtype = match &zero_point {
            Some(tensor) => tensor.as_ref()?.dtype(),
            None => match op.int("output_dtype").unwrap_or(0) {
                0 => DataType::Uint8,
                stated => DataType::try_from(i32::try_from(stated).ok()?).ok()?,
            },
        };
        let ty = QuantizedType::ALL.into_iter().find(|&ty| storage_dtype(ty) == dtype)?;
        let scale = self.constant(model, model.input(id, 1)?)?;
        let shape = weight.shape();
        let axis = || normalize_axis(op.int("axis").unwrap_or(1), shape.len());
        let granularity = match (op.int("block_size").unwrap_or(0), scale.element_count()) {
            (0, 1) => Granularity::PerTensor,
            (0, _) => Granularity::PerChannel { axis: axis()? },
            (size, _) => Granularity::PerBlock { axis: axis()?, size: usize::try_from(size).ok()? },
        };
        let layout = Layout::new(&shape, granularity).ok()?;
        let fits = granularity == Granularity::PerTensor || layout.scale_shape() == scale.shape();
        let scales: Vec<f32> = match float_type(scale.dtype()).filter(|_| scale.dtype() != DataType::Double) {
            Some(float) => float.widen(&scale.bytes().ok()?).into_iter().map(|scale| scale as f32).collect(),
            None => return None,
        };
        let zero_points = match zero_point.flatten() {
            Some(tensor) => numbers(&tensor, ty)?,
            None => vec![0; scales.len()],
        };
        let usable = |scale: &f32| scale.is_finite() && *scale > 0.0;
        let zero = !ty.is_float() || zero_points.iter().all(|&zero_point| zero_point == 0);
        if !fits || !zero || zero_points.len() != scales.len() || !scales.iter().all(usable) {
            return None;
        }
        // What becomes of a NaN is the runtime's business.
        ranges(&values, float, &layout).ok()?;
        let params: Arc<[QuantParams]> =
            scales.into_iter().zip(zero_points).map(|(scale, zero_point)| QuantParams { scale, zero_point }).collect();
        let scheme = Scheme { ty, symmetric: false, scale: ScaleType::default() };
        let name = format!("{}_quantized", model.value(value).name());
        let integers = QuantizedWeight::plain(values, float, scheme, layout, params);
        Some(weight.with_data(&name, dtype, &shape, Arc::new(integers)))
    }
}

/// The elements of zero points.
fn numbers(tensor: &Tensor, ty: QuantizedType) -> Option<Vec<i32>> {
    let layout = Layout::new(&tensor.shape(), Granularity::PerTensor).ok()?;
    let one = [QuantParams { scale: 1.0, zero_point: 0 }];
    Some(dequantize(&tensor.bytes().ok()?, &layout, &one, ty).iter().map(|&number| number as i32).collect())
}

/// Operators between a constant and its QuantizeLinear: beyond what exporters write.
const MAX_DEPTH: usize = 8;

/// Whether an operator only moves elements, so that a QuantizeLinear behind it makes the same of them as one before.
fn moves(model: &Model, op: OpId) -> bool {
    let types = ["Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"];
    model.op(op).domain().is_empty() && types.contains(&model.op(op).op_type()) && model.called_function(op).is_none()
}

/// The float constant that a value is, or is moved from, with the values on the way.
fn constants_behind(model: &Model, value: ValueId) -> Option<Vec<ValueId>> {
    let mut way = vec![value];
    let mut value = value;
    while model.constant(value).is_none() {
        let op = model.producer(value).filter(|&op| way.len() <= MAX_DEPTH && moves(model, op))?;
        value = model.input(op, 0)?;
        way.push(value);
    }
    model.constant(value).filter(|tensor| float_type(tensor.dtype()).is_some())?;
    Some(way)
}

/// Whether nothing but operators that are folded reads the float constant behind one.
fn is_alone(model: &Model, op: OpId, folded: &HashSet<OpId>) -> bool {
    let way = model.input(op, 0).and_then(|value| constants_behind(model, value));
    let Some(mut waiting) = way.and_then(|way| way.last().copied()).map(|root| vec![root]) else { return false };
    while let Some(value) = waiting.pop() {
        if model.is_output(value) {
            return false;
        }
        for Use { op, slot } in model.uses(value) {
            if folded.contains(&op) && slot == 0 {
                continue;
            }
            if slot != 0 || !moves(model, op) {
                return false;
            }
            waiting.extend(model.outputs(op).into_iter().flatten());
        }
    }
    true
}
