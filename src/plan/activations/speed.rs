//! Whether a plan makes the model faster: how long its layers take as floats and as integers, and what
//! the conversions around them add, estimated from how many numbers pass in a run.
//!
//! Only what the plan changes is counted; what is float before and after takes the same time. Without the
//! count of elements of every value that is quantized there is no estimate.

use std::collections::{HashMap, HashSet};

use super::{ActivationPlan, Readers, parameters::Observed};
use crate::{
    ir::{Model, OpId, Use, ValueId},
    targets::{
        Kernel, Role, Target,
        onnxruntime::speed::{Processor, WITH_VNNI, WITHOUT_VNNI, Work, is_part_of_float_convolution},
    },
};

/// What the planned layers take in onnxruntime, on two kinds of processors.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Speed {
    /// With instructions that sum products of 8 bits.
    pub with_vnni: Times,
    /// With AVX2 only.
    pub without_vnni: Times,
}

/// Nanoseconds on one core in one run of the model.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Times {
    /// The layers as they were.
    pub float: f64,
    /// The layers as integer kernels.
    pub integer: f64,
    /// Of `integer`, those that convolve each channel on its own.
    pub integer_depthwise: f64,
    /// QuantizeLinear and DequantizeLinear that stay, and activation functions that float layers include.
    pub conversions: f64,
}

impl Times {
    /// What the layers take, with all that is around them, of what they took before.
    pub fn ratio(&self) -> f64 {
        (self.integer + self.conversions) / self.float
    }
}

/// The estimate of a plan; `None` where no layer becomes integer, where it is not known how many elements
/// a value has (its range is somebody else's), and where kernels are not those that were measured.
pub(super) fn estimate(model: &Model, target: &Target, plan: &ActivationPlan, observed: &Observed) -> Option<Speed> {
    if !target.description().measured_times {
        return None;
    }
    let counts = Counts::of(model, target, plan, observed)?;
    Some(Speed { with_vnni: counts.times(&WITH_VNNI), without_vnni: counts.times(&WITHOUT_VNNI) })
}

/// How often what is done in a run.
struct Counts {
    layers: Vec<Work>,
    /// The elements of each conversion.
    conversions: Vec<f64>,
    /// The elements of each activation function that floats have for nothing.
    activations: Vec<f64>,
}

impl Counts {
    fn of(model: &Model, target: &Target, plan: &ActivationPlan, observed: &Observed) -> Option<Self> {
        if plan.values.iter().any(|value| value.scheme.ty.bits() != 8) {
            return None;
        }
        let mut elements = HashMap::new();
        for value in &plan.values {
            let observed = observed.get(&value.value).filter(|observed| observed.elements() > 0)?;
            elements.insert(value.value, observed.elements() as f64 / observed.runs() as f64);
        }
        let layers: Vec<Work> = plan.layers().map(|layer| work(model, layer.op, &elements)).collect::<Option<_>>()?;
        if layers.is_empty() {
            return None;
        }
        let mut counts = Self { layers, conversions: Vec::new(), activations: Vec::new() };
        let integer: HashSet<OpId> = plan.integer().map(|integer| integer.op).collect();
        for value in &plan.values {
            counts.add_conversions(model, target, value.value, &value.readers, elements[&value.value], &integer);
        }
        Some(counts)
    }

    /// Those of one value: it is quantized once, unless a kernel makes it as integers, and dequantized for
    /// each reader that is no integer kernel.
    fn add_conversions(
        &mut self,
        model: &Model,
        target: &Target,
        value: ValueId,
        readers: &Readers,
        elements: f64,
        integer: &HashSet<OpId>,
    ) {
        if matches!(readers, Readers::Only(_)) {
            self.conversions.push(elements);
            return;
        }
        let uses = model.uses(value);
        let takes = |op: OpId| {
            let kernel = target.kernel(model, op).filter(|_| integer.contains(&op));
            // A layer's weight is none of its activations.
            let data = |kernel: Kernel| match kernel.role {
                Role::Layer => vec![Use { op, slot: 0 }],
                _ => kernel.data_inputs(model, op),
            };
            kernel.is_some_and(|kernel| data(kernel).iter().any(|use_| model.input(op, use_.slot) == Some(value)))
        };
        let float = uses.iter().filter(|use_| !takes(use_.op)).count() + usize::from(model.is_output(value));
        self.conversions.extend(std::iter::repeat_n(elements, float));
        if let [only] = uses[..]
            && !takes(only.op)
            && is_part_of_float_convolution(model.op(only.op).op_type())
        {
            self.activations.push(elements);
        }
    }

    fn times(&self, processor: &Processor) -> Times {
        let mut times = Times::default();
        for work in &self.layers {
            let integer = processor.integer_layer(work);
            times.float += processor.float_layer(work);
            times.integer += integer;
            times.integer_depthwise += if work.is_depthwise() { integer } else { 0.0 };
        }
        times.conversions += self.conversions.iter().map(|&elements| processor.conversion(elements)).sum::<f64>();
        times.conversions += self.activations.iter().map(|&elements| processor.activation(elements)).sum::<f64>();
        times
    }
}

/// A convolution reads all of a kernel's weights for each output, a product each row of its weight for
/// each input.
fn work(model: &Model, op: OpId, elements: &HashMap<ValueId, f64>) -> Option<Work> {
    let operator = model.op(op);
    let shape = model.constant(model.input(op, 1)?)?.shape();
    if operator.is("Conv") {
        let made = model.outputs(op).first().copied().flatten()?;
        let clamped = || model.outputs(model.only_use(made)?.op).first().copied().flatten();
        let outputs = elements.get(&made).copied().or_else(|| elements.get(&clamped()?).copied())?;
        let groups = operator.int("group").and_then(|groups| usize::try_from(groups).ok()).unwrap_or(1).max(1);
        let (&channels, kernel) = shape.split_first()?;
        let multiply_accumulates = outputs * kernel.iter().product::<usize>() as f64;
        return Some(Work { multiply_accumulates, inputs: *kernel.first()?, outputs: channels / groups, groups });
    }
    let &[rows, columns] = shape.as_slice() else { return None };
    let transposed = operator.int("transB").unwrap_or(0) != 0;
    let (inputs, outputs) = if transposed { (columns, rows) } else { (rows, columns) };
    let multiply_accumulates = elements.get(&model.input(op, 0)?)? * outputs as f64;
    Some(Work { multiply_accumulates, inputs, outputs, groups: 1 })
}
