//! Why weights and layers stay float, and why a form is another than was asked for, in words.

use std::fmt;

use crate::plan::{Decision, FloatCause, FloatReason, Otherwise, Reason};

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excluded { matched, pattern } => write!(f, "'{matched}' is excluded by '{pattern}'"),
            Self::NotIncluded => f.write_str("no --include pattern matches it"),
            Self::FewElements { elements } => write!(f, "{elements} elements are fewer than --min-elements"),
            Self::NotSmaller { float, quantized } => {
                write!(f, "would not be smaller: {float} bytes now, {quantized} with scales and DequantizeLinear")
            }
            Self::NotFinite { index, value } => write!(f, "element {index} is {value}"),
            Self::ConstantProduct { operator } => write!(f, "{operator} multiplies it with another constant"),
            Self::ConstantExpression { operator } => write!(f, "{operator} computes another constant of it"),
            Self::NoRule { operator } => write!(f, "{operator} reads it, which is not known to take weights there"),
            Self::GivenOut { operator: Some(operator) } => write!(f, "a body of {operator} gives it out"),
            Self::GivenOut { operator: None } => f.write_str("it is given out as it is"),
            Self::Attribute => f.write_str("is an attribute, which has no quantized form"),
            Self::Unread => f.write_str("nothing reads it"),
            Self::Empty => f.write_str("has no elements"),
            Self::Overridable => f.write_str("is a graph input's default value that a caller may override"),
            Self::Trained => f.write_str("the model's training information replaces it"),
            Self::AlreadyQuantized => f.write_str("is quantized already, by a QuantizeLinear behind it"),
            Self::FloatOperator => f.write_str("its operator computes in float"),
            Self::NoBlockedForm { operator } => {
                write!(
                    f,
                    "{operator} reads it, in the place of which neither MatMulNBits nor GatherBlockQuantized can be"
                )
            }
        }
    }
}

impl fmt::Display for FloatCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotObserved => f.write_str("has no range"),
            Self::NeverComputed => f.write_str("was not computed with any sample"),
            Self::NotFinite => f.write_str("was infinite, or not a number, in some samples"),
            Self::Masked => f.write_str("holds the huge numbers of a mask"),
            Self::AlwaysZero => f.write_str("was zero in all samples"),
            Self::Coarse { decibels } => {
                write!(f, "differs too much in size between samples for integers ({decibels:.0} dB above their steps)")
            }
        }
    }
}

impl fmt::Display for FloatReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKernel { target } => write!(f, "{target} makes no integer kernel of it"),
            Self::NoDynamicKernel { target } => {
                write!(f, "{target} has no fast integer kernel for it whose input gets its scale in each run")
            }
            Self::SeveralScales { value } => {
                write!(
                    f,
                    "its integer kernel reads a whole sequence with one scale, which loses what is quiet, and nothing \
                     tells that '{value}' is of one size throughout"
                )
            }
            Self::ComputedWeight { what } => write!(f, "its weight is not a constant: {what}"),
            Self::LeftFactor => {
                f.write_str("its constant is the left factor, and integer kernels are made for right ones")
            }
            Self::ComputedBias => f.write_str("its bias is not a constant"),
            Self::Unsupported { what } => write!(f, "its integer kernel takes no {what}"),
            Self::Excluded { matched, pattern } => write!(f, "'{matched}' is excluded by '{pattern}'"),
            Self::Weight(reason) => write!(f, "its weight stays float: {reason}"),
            Self::Final => {
                f.write_str("its result goes to the outputs: rounded to integers it would be what users see")
            }
            Self::Near { operator } => {
                write!(f, "onnxruntime fails with {operator} next to integer layers")
            }
            Self::Around { operator } => {
                write!(f, "{operator} dequantizes its input in the graph around, where no kernel finds it")
            }
            Self::Logarithm => {
                f.write_str("a logarithm is taken of its result: integers are too coarse for the small numbers")
            }
            Self::ConstantOperand { value } => {
                write!(f, "it reads a constant, '{value}', beside what it computes with")
            }
            Self::FloatOperand { value } => write!(f, "'{value}', which it reads, stays float"),
            Self::NotWanted => f.write_str("nothing that follows reads integers"),
            Self::NoGain => f.write_str("integers gain no time there, with the conversions around them (estimated)"),
            Self::Pinned => f.write_str("it was asked to stay float"),
            Self::Inaccurate => {
                f.write_str("in integers it took the outputs too far from the float model's, as measured")
            }
            Self::Value { value, cause } => write!(f, "'{value}' {cause}"),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer { rule } | Self::Bridge { rule } => write!(f, "rule {rule}"),
            Self::FloatLayer(reason) | Self::Float(reason) => reason.fmt(f),
        }
    }
}

impl fmt::Display for Otherwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OldOpset => f.write_str("one scale: per-channel scales need opset 13"),
            Self::NoAxis => f.write_str("one scale: there is no axis for more"),
            Self::TransposedTwoBits { asked } => {
                write!(f, "4 bits: onnxruntime loads no {asked} that a Transpose reads, but in blocks")
            }
            Self::GatherTakesNone { asked } => write!(f, "int8: Gather takes no {asked}"),
            Self::AlongColumns => f.write_str("scales along axis 1: onnxruntime computes the product wrong with one"),
            Self::AlongSummed => f.write_str(
                "scales along the summed axis: onnxruntime computes the product wrong with those of columns behind a \
                 Transpose",
            ),
            Self::ProductOfIntegers => f.write_str("one scale: onnxruntime fails with more in a product of integers"),
        }
    }
}
