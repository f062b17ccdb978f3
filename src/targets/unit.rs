//! What stands around an operator: the DequantizeLinear on each of its inputs, the QuantizeLinear on each of
//! its outputs.

use std::collections::HashSet;

use crate::{
    ir::{DataType, Model, OpId, Use, ValueId},
    operators::{Interval, clamp_bounds, normalize_axis},
};

/// An operator with what stands around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// What each input is.
    pub inputs: Vec<Input>,
    /// What becomes of each output.
    pub outputs: Vec<Output>,
}

/// What an input is.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// It is left out.
    Absent,
    /// A DequantizeLinear makes it.
    Dequantized(Quantized),
    /// It is a constant that is not quantized.
    Constant,
    /// Something else makes it.
    Computed,
}

/// What becomes of an output.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// It is left out, or nothing reads it.
    Absent,
    /// One QuantizeLinear is all that reads it.
    Quantized {
        /// How.
        quantized: Quantized,
        /// Whether a Relu or Clip stood between that is gone, because it makes no difference.
        after_clamp: bool,
    },
    /// A QuantizeLinear reads it, and something else does too.
    Shared,
    /// A Relu or Clip reads it, and a QuantizeLinear what that makes.
    Clamped,
    /// No QuantizeLinear reads it.
    Float,
}

/// How a tensor is quantized, by a QuantizeLinear or a DequantizeLinear.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantized {
    /// The QuantizeLinear or DequantizeLinear.
    pub op: OpId,
    /// The type of the integers, if it is known.
    pub dtype: Option<DataType>,
    /// The type of the numbers, if it is known.
    pub float: Option<DataType>,
    /// The dimensions of its integers, where they are constant.
    pub constant: Option<Vec<usize>>,
    /// The scales, if they are constant.
    pub scales: Option<Vec<f32>>,
    /// The zero points, as they are stored; empty where they are left out.
    pub zero_points: Option<Vec<i64>>,
    /// The axis of the scales, where there are several.
    pub axis: i64,
    /// The size of blocks.
    pub block: Option<i64>,
    /// Whether one operator alone reads what it makes, and it alone its integers and scales.
    pub one_reader: bool,
}

impl Quantized {
    /// Whether there is one scale.
    pub fn is_per_tensor(&self) -> bool {
        self.block.is_none() && self.scales.as_ref().is_none_or(|scales| scales.len() == 1)
    }

    /// The axis of the scales among `rank` axes.
    pub fn axis_of(&self, rank: usize) -> Option<usize> {
        normalize_axis(self.axis, rank)
    }
}

impl Unit {
    /// What stands around an operator of a model.
    pub fn of(model: &Model, op: OpId) -> Self {
        let inputs = model.inputs(op).into_iter().map(|input| input.map_or(Input::Absent, |it| of_input(model, it)));
        let outputs = model.outputs(op).into_iter().map(|it| it.map_or(Output::Absent, |it| of_output(model, it)));
        Self { inputs: inputs.collect(), outputs: outputs.collect() }
    }

    /// The DequantizeLinear on an input.
    pub fn dequantized(&self, slot: usize) -> Option<&Quantized> {
        match self.inputs.get(slot) {
            Some(Input::Dequantized(quantized)) => Some(quantized),
            _ => None,
        }
    }

    /// Those on all inputs.
    pub fn all_dequantized(&self) -> impl Iterator<Item = &Quantized> {
        (0..self.inputs.len()).filter_map(|slot| self.dequantized(slot))
    }

    /// The QuantizeLinear on all outputs.
    pub fn all_quantized(&self) -> impl Iterator<Item = &Quantized> {
        self.outputs.iter().filter_map(|output| match output {
            Output::Quantized { quantized, .. } => Some(quantized),
            _ => None,
        })
    }

    /// Notes whether a Relu or Clip stood before the QuantizeLinear, and is gone.
    pub fn note_clamp(&mut self, stood: bool) {
        for output in &mut self.outputs {
            if let Output::Quantized { after_clamp, .. } = output {
                *after_clamp = stood;
            }
        }
    }

    /// Whether every output is quantized, and there is one.
    pub fn is_quantized(&self) -> bool {
        let mut there = self.outputs.iter().filter(|output| **output != Output::Absent).peekable();
        there.peek().is_some() && there.all(|output| matches!(output, Output::Quantized { .. }))
    }
}

fn of_input(model: &Model, value: ValueId) -> Input {
    match model.producer(value) {
        Some(op) if is_dequantizer(model, op) => Input::Dequantized(quantized(model, op, value)),
        _ if model.constant(value).is_some() => Input::Constant,
        _ => Input::Computed,
    }
}

fn of_output(model: &Model, value: ValueId) -> Output {
    let uses = model.uses(value);
    if uses.is_empty() && !model.is_output(value) {
        return Output::Absent;
    }
    let quantizers: HashSet<OpId> =
        uses.iter().filter(|&&use_| is_quantizer(model, use_)).map(|use_| use_.op).collect();
    match only_reader(model, value) {
        Some(use_) if is_quantizer(model, use_) => {
            let made = model.outputs(use_.op).first().copied().flatten().unwrap_or(value);
            Output::Quantized { quantized: quantized(model, use_.op, made), after_clamp: false }
        }
        Some(use_) if clamp_bounds(model, use_.op).is_some() && is_before_quantizer(model, use_.op) => Output::Clamped,
        _ if quantizers.is_empty() => Output::Float,
        _ => Output::Shared,
    }
}

/// Whether a QuantizeLinear is all that reads what an operator makes.
fn is_before_quantizer(model: &Model, op: OpId) -> bool {
    let made = model.outputs(op).first().copied().flatten();
    made.and_then(|made| only_reader(model, made)).is_some_and(|use_| is_quantizer(model, use_))
}

/// The one use of a value that nothing else reads, outside of the graph neither.
pub(super) fn only_reader(model: &Model, value: ValueId) -> Option<Use> {
    let use_ = model.only_use(value)?;
    (!model.is_output(value) && model.op(use_.op).scope() == model.value(value).scope()).then_some(use_)
}

/// Whether an operator is a DequantizeLinear of either domain.
pub fn is_dequantizer(model: &Model, op: OpId) -> bool {
    is_of(model, op, "DequantizeLinear")
}

/// Whether a use is what a QuantizeLinear quantizes.
pub fn is_quantizer(model: &Model, use_: Use) -> bool {
    use_.slot == 0 && is_of(model, use_.op, "QuantizeLinear")
}

fn is_of(model: &Model, op: OpId, op_type: &str) -> bool {
    let operator = model.op(op);
    operator.op_type() == op_type && matches!(operator.domain(), "" | "com.microsoft")
}

impl Quantized {
    /// The numbers that the integers stand for; `None` where there are several scales, none that is constant, or a type
    /// that values between layers do not have.
    pub fn range(&self) -> Option<Interval> {
        let (&[scale], zero_points) = (self.scales.as_deref()?, self.zero_points.as_deref()?) else { return None };
        let zero_point = zero_points.first().copied().unwrap_or(0);
        let (least, most) = match self.dtype? {
            DataType::Uint8 => (0, 255),
            DataType::Int8 => (-128, 127),
            DataType::Uint16 => (0, 65535),
            DataType::Int16 => (-32768, 32767),
            _ => return None,
        };
        let real = |integer: i64| (integer - zero_point) as f32 * scale;
        Some(Interval { min: real(least), max: real(most) })
    }
}

/// How the QuantizeLinear or DequantizeLinear `op` quantizes; `made` is its output.
pub fn quantized(model: &Model, op: OpId, made: ValueId) -> Quantized {
    let operator = model.op(op);
    let input = |slot| model.input(op, slot);
    let scales = input(1).and_then(|scales| model.constant(scales));
    let zero_points = input(2).map(|zero_points| model.constant(zero_points));
    let dequantizes = is_dequantizer(model, op);
    let integers = input(0).filter(|_| dequantizes).and_then(|integers| model.constant(integers));
    let stated = zero_points.as_ref().and_then(|tensor| tensor.as_ref().map(|tensor| tensor.dtype()));
    let by_attribute =
        operator.int("output_dtype").filter(|_| !dequantizes).and_then(|dtype| i32::try_from(dtype).ok());
    let by_attribute =
        by_attribute.and_then(|dtype| DataType::try_from(dtype).ok()).filter(|&it| it != DataType::Undefined);
    let made_by_quantizer = || {
        // Without a zero point, what it is made by tells.
        let maker = model.producer(input(0)?).filter(|_| dequantizes)?;
        let maker_made = model.outputs(maker).first().copied().flatten()?;
        match model.op(maker).op_type() {
            "DynamicQuantizeLinear" => Some(DataType::Uint8),
            "QuantizeLinear" => quantized(model, maker, maker_made).dtype,
            _ => None,
        }
    };
    let dtype = stated
        .or_else(|| integers.as_ref().map(|tensor| tensor.dtype()))
        .or(by_attribute)
        .or_else(made_by_quantizer)
        .or((!dequantizes).then_some(DataType::Uint8));
    Quantized {
        op,
        dtype,
        float: scales.as_ref().map(|tensor| tensor.dtype()),
        constant: integers.map(|tensor| tensor.shape()),
        scales: scales.and_then(|tensor| Some(tensor.to_array::<f32>().ok()?.iter().copied().collect())),
        zero_points: match zero_points {
            None => Some(Vec::new()),
            Some(tensor) => tensor.and_then(|tensor| integers_of(&tensor)),
        },
        axis: operator.int("axis").unwrap_or(1),
        block: operator.int("block_size").filter(|&size| size > 0),
        one_reader: only_reader(model, made).is_some()
            && [0, 1].iter().all(|&slot| model.input(op, slot).is_none_or(|input| model.only_use(input).is_some())),
    }
}

/// The elements of a tensor of integers.
fn integers_of(tensor: &crate::ir::Tensor) -> Option<Vec<i64>> {
    let bytes = tensor.bytes().ok()?;
    Some(match tensor.dtype() {
        DataType::Uint8 => bytes.iter().map(|&byte| i64::from(byte)).collect(),
        DataType::Int8 => bytes.iter().map(|&byte| i64::from(byte as i8)).collect(),
        DataType::Uint16 => bytes.as_chunks().0.iter().map(|&pair| i64::from(u16::from_le_bytes(pair))).collect(),
        DataType::Int16 => bytes.as_chunks().0.iter().map(|&pair| i64::from(i16::from_le_bytes(pair))).collect(),
        DataType::Int32 => bytes.as_chunks().0.iter().map(|&four| i64::from(i32::from_le_bytes(four))).collect(),
        // Whether they are zero is all that is asked of smaller ones.
        _ => bytes.iter().map(|&byte| i64::from(byte)).collect(),
    })
}
