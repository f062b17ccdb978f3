//! Replaces float weights by integers, scales and zero points behind a DequantizeLinear.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use super::Pass;
use crate::{
    error::{Error, Result},
    ir::{Attribute, Compute, DataType, Model, NewOp, OpId, ScopeId, Tensor, ValueId},
    numeric::{FloatType, Granularity, Layout, QuantParams, QuantizedType, Scheme, quantize},
    plan::{Plan, QuantizedCopy, WeightForm, WeightPlan},
};

/// Carries out a plan's decisions about weights.
///
/// The value of the weight stays, under its name: a DequantizeLinear makes it now. So its readers,
/// also those in nested bodies, are not touched. The integers are computed when the model is
/// written, from the float weight where it lies.
#[derive(Debug)]
pub struct QuantizeWeights<'a> {
    /// The plan, made of the same model.
    pub plan: &'a Plan,
}

impl Pass for QuantizeWeights<'_> {
    fn name(&self) -> &'static str {
        "quantize-weights"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        let mut changed = false;
        for weight in &self.plan.weights {
            changed |= match weight.form {
                WeightForm::Dq => store_integers(model, weight)?,
                WeightForm::Qdq => insert_pairs(model, weight)?,
            };
        }
        Ok(changed)
    }
}

/// The small form: integers in the file, DequantizeLinear behind them.
fn store_integers(model: &mut Model, weight: &WeightPlan) -> Result<bool> {
    let value = weight.value;
    let Some(tensor) = model.constant(value).map(|tensor| tensor.into_owned()) else { return Ok(false) };
    let scope = model.value(value).scope();
    let constant_node = model.producer(value);
    let mut dequantized = Vec::new();
    for (index, copy) in weight.copies.iter().enumerate() {
        let source = QuantizedWeight::new(&tensor, weight, copy)?;
        let integers =
            tensor.with_data(&format!("{}_quantized", weight.name), integer_dtype(copy.scheme.ty), Arc::new(source));
        let place = Place { scope, before: value, at: constant_node };
        let stored = place.add(model, integers);
        let parameters = place.add_parameters(model, weight, copy, &tensor)?;
        let output = if index == 0 { value } else { split_off(model, value, copy) };
        dequantized.push((output, [stored, parameters[0], parameters[1]], copy));
    }
    model.take_initializer(value);
    for (output, inputs, copy) in dequantized {
        let position = constant_node.or_else(|| model.first_reader(output));
        let op = model.insert_op(scope, position, linear("DequantizeLinear", weight, copy, inputs, output));
        if let Some(constant) = constant_node {
            model.copy_annotations(constant, op);
        }
    }
    if let Some(constant) = constant_node {
        model.remove_op(constant);
    }
    if weight.was_input {
        model.remove_input(value);
        // Only since IR version 4 may an initializer not be an input.
        model.raise_ir_version(4);
    }
    Ok(true)
}

/// The form for tool chains that quantize themselves: the float weight stays.
fn insert_pairs(model: &mut Model, weight: &WeightPlan) -> Result<bool> {
    let value = weight.value;
    let Some(tensor) = model.constant(value).map(|tensor| tensor.into_owned()) else { return Ok(false) };
    let already = model.uses(value).iter().any(|use_| model.op(use_.op).is("QuantizeLinear"));
    if already {
        return Ok(false);
    }
    let scope = model.value(value).scope();
    let uses = model.uses(value);
    for (index, copy) in weight.copies.iter().enumerate() {
        let position = model.first_reader(value);
        let place = Place { scope, before: value, at: position };
        let [scale, zero_point] = place.add_parameters(model, weight, copy, &tensor)?;
        let stored = model.new_value(scope, &format!("{}_quantized", weight.name));
        let dequantized = model.new_value(scope, &format!("{}_dequantized", weight.name));
        for (op_type, input, output) in [("QuantizeLinear", value, stored), ("DequantizeLinear", stored, dequantized)] {
            model.insert_op(scope, position, linear(op_type, weight, copy, [input, scale, zero_point], output));
        }
        let served = uses.iter().filter(|use_| {
            let mut others = weight.copies.iter().skip(1);
            if index == 0 { !others.any(|other| other.uses.contains(use_)) } else { copy.uses.contains(use_) }
        });
        for use_ in served {
            model.set_input(*use_, dequantized);
        }
    }
    Ok(true)
}

/// A value of its own for the uses that a second copy serves.
fn split_off(model: &mut Model, value: ValueId, copy: &QuantizedCopy) -> ValueId {
    let (scope, name) = (model.value(value).scope(), model.value(value).name().to_owned());
    let own = model.new_value(scope, &format!("{name}_dequantized"));
    for use_ in &copy.uses {
        model.set_input(*use_, own);
    }
    own
}

/// Where new constants go.
struct Place {
    scope: ScopeId,
    /// Initializers: before the weight's.
    before: ValueId,
    /// Constant nodes, in functions: before this operator.
    at: Option<OpId>,
}

impl Place {
    fn add(&self, model: &mut Model, tensor: Tensor) -> ValueId {
        model.new_constant(self.scope, tensor, Some(self.before), self.at)
    }

    /// Scale and zero point.
    fn add_parameters(
        &self,
        model: &mut Model,
        weight: &WeightPlan,
        copy: &QuantizedCopy,
        tensor: &Tensor,
    ) -> Result<[ValueId; 2]> {
        let shape = tensor_layout(tensor, copy)?.scale_shape().to_vec();
        let scales: Vec<u8> = copy.params.iter().flat_map(|params| weight.float_type.encode(params.scale)).collect();
        let zero_points: Vec<u8> = copy.params.iter().map(|params| params.zero_point as u8).collect();
        let scale = Tensor::from_bytes(&format!("{}_scale", weight.name), tensor.dtype(), &shape, scales)?;
        let dtype = integer_dtype(copy.scheme.ty);
        let zero_point = Tensor::from_bytes(&format!("{}_zero_point", weight.name), dtype, &shape, zero_points)?;
        Ok([self.add(model, scale), self.add(model, zero_point)])
    }
}

/// A QuantizeLinear or DequantizeLinear; `inputs`: what it converts, scale, zero point.
fn linear(
    op_type: &'static str,
    weight: &WeightPlan,
    copy: &QuantizedCopy,
    inputs: [ValueId; 3],
    output: ValueId,
) -> NewOp {
    let attributes = match copy.granularity {
        Granularity::PerTensor => vec![],
        Granularity::PerChannel { axis } => vec![("axis", Attribute::Int(axis as i64))],
        Granularity::PerBlock { axis, size } => {
            vec![("axis", Attribute::Int(axis as i64)), ("block_size", Attribute::Int(size as i64))]
        }
    };
    NewOp { op_type, name: format!("{}_{op_type}", weight.name), inputs: inputs.to_vec(), output, attributes }
}

fn tensor_layout(tensor: &Tensor, copy: &QuantizedCopy) -> Result<Layout> {
    Layout::new(&tensor.shape(), copy.granularity).map_err(|error| Error::tensor(tensor.name(), error.to_string()))
}

fn integer_dtype(ty: QuantizedType) -> DataType {
    match ty {
        QuantizedType::Int8 => DataType::Int8,
        QuantizedType::UInt8 => DataType::Uint8,
        QuantizedType::Int16 => DataType::Int16,
        QuantizedType::UInt16 => DataType::Uint16,
        QuantizedType::Int4 => DataType::Int4,
        QuantizedType::UInt4 => DataType::Uint4,
        QuantizedType::Int2 => DataType::Int2,
        QuantizedType::UInt2 => DataType::Uint2,
        QuantizedType::Float8E4M3FN => DataType::Float8e4m3fn,
        QuantizedType::Float8E4M3FNUZ => DataType::Float8e4m3fnuz,
        QuantizedType::Float8E5M2 => DataType::Float8e5m2,
        QuantizedType::Float8E5M2FNUZ => DataType::Float8e5m2fnuz,
        QuantizedType::Float4E2M1 => DataType::Float4e2m1,
        QuantizedType::Float6E2M3 => DataType::Float6e2m3,
        QuantizedType::Float6E3M2 => DataType::Float6e3m2,
    }
}

/// A weight's integers, computed when they are asked for.
struct QuantizedWeight {
    values: Bytes,
    float_type: FloatType,
    layout: Layout,
    params: Vec<QuantParams>,
    scheme: Scheme,
}

impl QuantizedWeight {
    fn new(tensor: &Tensor, weight: &WeightPlan, copy: &QuantizedCopy) -> Result<Self> {
        Ok(Self {
            values: tensor.bytes()?,
            float_type: weight.float_type,
            layout: tensor_layout(tensor, copy)?,
            params: copy.params.clone(),
            scheme: copy.scheme,
        })
    }
}

impl Compute for QuantizedWeight {
    fn byte_len(&self) -> usize {
        self.scheme.ty.bytes(self.layout.elements())
    }

    fn compute(&self, span: Range<usize>, out: &mut [u8]) {
        quantize(&self.values, self.float_type, &self.layout, &self.params, self.scheme, span, out);
    }
}
