//! What is stored for a quantized weight: integers, scales and zero points.

use std::sync::Arc;

use super::{blocks, computed::QuantizedWeight};
use crate::{
    error::{Error, Result},
    ir::{Attribute, DataType, Model, NewOp, OpId, Tensor, ValueId},
    numeric::{Granularity, Layout, QuantParams, ScaleType, Scheme},
    plan::{QuantizedCopy, Site, WeightForm, WeightPlan, ir_version, scale_dtype, storage_dtype},
};

/// The constants of one quantized copy.
pub(super) struct Stored {
    quantized: ValueId,
    parameters: Vec<ValueId>,
    granularity: Granularity,
    rank: usize,
    apart: bool,
    output: Option<DataType>,
}

impl Stored {
    /// Adds the constants in the place of the weight: before its initializer, or in functions as
    /// Constant nodes before its own.
    pub fn add(
        model: &mut Model,
        weight: &WeightPlan,
        copy: &QuantizedCopy,
        tensor: &Tensor,
        constant_node: Option<OpId>,
    ) -> Result<Self> {
        let dtype = storage_dtype(copy.scheme.ty);
        let form = StoredForm::new(tensor, weight, copy)?;
        if copy.sites.iter().any(|site| matches!(site, Site::Product(_))) {
            let tensors = blocks::packed(weight, copy, tensor, form)?;
            let mut values = add_parameters(model, weight, tensors, constant_node).into_iter();
            let quantized = values.next().expect("the integers come first");
            let (granularity, parameters) = (copy.granularity, values.collect());
            return Ok(Self { quantized, parameters, granularity, rank: 2, apart: false, output: None });
        }
        let granularity = form.layout.granularity();
        let shape = form.layout.shape().to_vec();
        let parameter_tensors = parameter_tensors(weight, copy, &form)?;
        let source = QuantizedWeight::new(tensor.narrow().bytes()?, weight.float_type, copy, form);
        let integers = tensor.with_data(&format!("{}_quantized", weight.name), dtype, &shape, Arc::new(source));
        model.raise_ir_version(ir_version(dtype));
        let scope = model.value(weight.value).scope();
        let quantized = model.new_constant(scope, integers, Some(weight.value), constant_node);
        let parameters = add_parameters(model, weight, parameter_tensors, constant_node);
        let output = stated_output(weight, copy, tensor);
        Ok(Self { quantized, parameters, granularity, rank: shape.len(), apart: copy.apart, output })
    }

    /// How scales lie along the stored integers.
    pub fn axes(&self) -> Axes {
        Axes { granularity: self.granularity, from_rank: self.apart.then_some(self.rank), output: self.output }
    }

    /// The same counted from the end, where an axis stays what it is whatever stands before it.
    pub fn axes_from_end(&self) -> Axes {
        Axes { from_rank: Some(self.rank), ..self.axes() }
    }

    /// What a DequantizeLinear reads: integers, scale, zero point.
    pub fn inputs(&self) -> Vec<ValueId> {
        [self.quantized].into_iter().chain(self.parameters.iter().copied()).collect()
    }
}

/// The type that a DequantizeLinear has to be told to make: scales that are powers of two do not say.
pub(super) fn stated_output(weight: &WeightPlan, copy: &QuantizedCopy, tensor: &Tensor) -> Option<DataType> {
    let made = if weight.cast.is_some() { DataType::Float } else { tensor.dtype() };
    (copy.scheme.scale == ScaleType::PowerOfTwo).then_some(made)
}

/// Adds the scale and the zero point. A float type has none but zero: only a QuantizeLinear needs it,
/// to know the type.
pub(super) fn parameters(
    model: &mut Model,
    weight: &WeightPlan,
    copy: &QuantizedCopy,
    tensor: &Tensor,
    constant_node: Option<OpId>,
) -> Result<Vec<ValueId>> {
    let tensors = parameter_tensors(weight, copy, &StoredForm::new(tensor, weight, copy)?)?;
    Ok(add_parameters(model, weight, tensors, constant_node))
}

fn parameter_tensors(weight: &WeightPlan, copy: &QuantizedCopy, form: &StoredForm) -> Result<Vec<Tensor>> {
    let Scheme { ty, scale, .. } = copy.scheme;
    let shape = form.layout.scale_shape();
    let scales = scale.encode(form.params.iter().map(|params| params.scale));
    let mut tensors = vec![Tensor::from_bytes(&format!("{}_scale", weight.name), scale_dtype(scale), shape, scales)?];
    if !ty.is_float() || weight.form == WeightForm::Qdq {
        let zero_points: Vec<i32> = form.params.iter().map(|params| params.zero_point).collect();
        let name = format!("{}_zero_point", weight.name);
        tensors.push(Tensor::from_bytes(&name, storage_dtype(ty), shape, ty.encode(&zero_points))?);
    }
    Ok(tensors)
}

fn add_parameters(
    model: &mut Model,
    weight: &WeightPlan,
    tensors: Vec<Tensor>,
    constant_node: Option<OpId>,
) -> Vec<ValueId> {
    let scope = model.value(weight.value).scope();
    let add = |tensor: Tensor| {
        model.raise_ir_version(ir_version(tensor.dtype()));
        model.new_constant(scope, tensor, Some(weight.value), constant_node)
    };
    tensors.into_iter().map(add).collect()
}

/// A QuantizeLinear or DequantizeLinear.
pub(super) fn linear(
    op_type: &'static str,
    weight: &WeightPlan,
    axes: Axes,
    inputs: &[ValueId],
    output: ValueId,
) -> NewOp {
    let axis = |axis: usize| ("axis", Attribute::Int(axis as i64 - axes.from_rank.unwrap_or(0) as i64));
    let mut attributes = match axes.granularity {
        Granularity::PerTensor => vec![],
        Granularity::PerChannel { axis: along } => vec![axis(along)],
        Granularity::PerBlock { axis: along, size } => vec![axis(along), ("block_size", Attribute::Int(size as i64))],
    };
    attributes.extend(axes.output.map(|dtype| ("output_dtype", Attribute::Int(dtype as i64))));
    NewOp { op_type, name: format!("{}_{op_type}", weight.name), inputs: inputs.to_vec(), output, attributes }
}

/// A Cast.
pub(super) fn cast(weight: &WeightPlan, input: ValueId, to: DataType, output: ValueId) -> NewOp {
    NewOp {
        op_type: "Cast",
        name: format!("{}_Cast", weight.name),
        inputs: vec![input],
        output,
        attributes: vec![("to", Attribute::Int(to as i64))],
    }
}

/// How scales lie along what a QuantizeLinear or DequantizeLinear reads.
#[derive(Clone, Copy)]
pub(super) struct Axes {
    pub granularity: Granularity,
    /// Count the axis from the end of a tensor of this rank.
    pub from_rank: Option<usize>,
    /// The type that is made, where it is not that of the scales or zero points.
    pub output: Option<DataType>,
}

/// How a copy of a weight lies in the file.
pub(super) struct StoredForm {
    pub layout: Layout,
    pub params: Arc<[QuantParams]>,
}

impl StoredForm {
    pub fn new(tensor: &Tensor, weight: &WeightPlan, copy: &QuantizedCopy) -> Result<Self> {
        let mut shape = tensor.shape();
        let (mut granularity, mut params) = (copy.granularity, copy.params.clone());
        if copy.transposed {
            if let Granularity::PerBlock { .. } = granularity {
                params = transposed(&params, Self::layout(weight, &shape, granularity)?.scale_shape());
            }
            shape.reverse();
            granularity = match granularity {
                Granularity::PerTensor => granularity,
                Granularity::PerChannel { axis } => Granularity::PerChannel { axis: 1 - axis },
                Granularity::PerBlock { axis, size } => Granularity::PerBlock { axis: 1 - axis, size },
            };
        }
        Ok(Self { layout: Self::layout(weight, &shape, granularity)?, params })
    }

    fn layout(weight: &WeightPlan, shape: &[usize], granularity: Granularity) -> Result<Layout> {
        Layout::new(shape, granularity).map_err(|error| Error::tensor(&weight.name, error.to_string()))
    }
}

fn transposed(params: &[QuantParams], shape: &[usize]) -> Arc<[QuantParams]> {
    let &[rows, columns] = shape else { unreachable!("only matrices are stored transposed") };
    (0..columns).flat_map(|column| (0..rows).map(move |row| params[row * columns + column])).collect()
}
