//! Why an operator computes as it does, in words.

use crate::{
    explain::verdicts::{Cause, Found},
    ir::{DataType, Model, OpId, type_name},
    targets::{Along, Condition, Form, Lack, Rule, Target},
};

/// Why an operator computes as it does.
pub(in crate::explain) fn why(model: &Model, target: &Target, op: OpId, found: &Found) -> String {
    let name = target.name();
    match &found.cause {
        Cause::Rule(rule) => match &rule.differs {
            None => format!("rule {}", rule.id),
            Some(differs) => format!("rule {}; other than the file says, {differs}", rule.id),
        },
        Cause::IntegerOperator => "it is an operator of integers".to_owned(),
        Cause::NothingQuantized => "nothing around it is quantized".to_owned(),
        Cause::NoKernel => format!("{name} has no integer kernel for {}", model.op(op).op_type()),
        Cause::Unmet(rule, what) => format!("rule {}: {}", rule.id, lack(rule, what)),
        Cause::FloatFusion => "one float kernel computes it with its neighbour".to_owned(),
        Cause::PartOf(other) => format!("part of {}", model.op(*other).describe()),
        Cause::Identity => "it gives out what it reads, and is gone once the model is loaded".to_owned(),
        Cause::MergedPair => "two pairs in a row become one".to_owned(),
        Cause::Absorbed => "part of a kernel that reads or makes integers".to_owned(),
        Cause::Needed => "what is on one of its sides computes in float".to_owned(),
        Cause::EveryRun => "a float kernel needs the constant, so that every run dequantizes it".to_owned(),
        Cause::Computed => "it is computed once, when the model is loaded, or not at all".to_owned(),
        Cause::Clamped => "the QuantizeLinear behind it does the same".to_owned(),
        Cause::NoNumbers => "it computes no numbers that could be integers".to_owned(),
    }
}

/// What a rule needs and an operator has not.
pub(in crate::explain) fn lack(rule: &Rule, lack: &Lack) -> String {
    match lack {
        Lack::Release => match (rule.since, rule.until) {
            (Some(since), None) => format!("exists since {since}"),
            (None, Some(until)) => format!("existed until {until}"),
            (Some(since), Some(until)) => format!("existed from {since} to {until}"),
            (None, None) => "exists in other releases".to_owned(),
        },
        Lack::Dequantized(slot) if rule.form == Form::Weights => {
            format!("input {slot} would have to come from a DequantizeLinear of constant integers")
        }
        Lack::Dequantized(slot) => format!("input {slot} would have to come from a DequantizeLinear"),
        Lack::Type(slot, dtype) => format!("input {slot} is {}, which the kernel does not take", of_type(*dtype)),
        Lack::OutputType(dtype) => format!("the output is {}, which the kernel does not make", of_type(*dtype)),
        Lack::Quantized => "a QuantizeLinear would have to be on its output".to_owned(),
        Lack::Clamped => "a Relu or Clip that is needed stands before the QuantizeLinear".to_owned(),
        Lack::Shared => "besides the QuantizeLinear something else reads its output".to_owned(),
        Lack::NotQuantized => "its output must not be quantized".to_owned(),
        Lack::Condition(condition) => needs(condition),
    }
}

fn of_type(dtype: Option<DataType>) -> &'static str {
    dtype.map_or("of an unknown type", type_name)
}

fn needs(condition: &Condition) -> String {
    match condition {
        Condition::Attribute { name, is, .. } => format!("attribute {name} would have to be {}", any(is)),
        Condition::Text { name, is, .. } => format!("attribute {name} would have to be {}", is.join(" or ")),
        Condition::Ones(name) => format!("attribute {name} would have to be ones"),
        Condition::NoAttribute(name) => format!("attribute {name} is not supported"),
        Condition::NoInput(slot) => format!("input {slot} is not supported"),
        Condition::Zero(slot) => format!("input {slot} is not zero"),
        Condition::Rank { input, is } => format!("input {input} would have to be of rank {}", any(is)),
        Condition::Constant(slot) | Condition::FloatConstant(slot) => format!("input {slot} would have to be constant"),
        Condition::FloatVector(slot) => format!("input {slot} would have to be a constant vector"),
        Condition::Scales { input, along } => {
            let lie = |along: &Along| match along {
                Along::Tensor => "one scale",
                Along::Channels => "one scale for each output channel",
                Along::Blocks => "one scale for each block",
            };
            format!("input {input} would have to have {}", along.iter().map(lie).collect::<Vec<_>>().join(" or "))
        }
        Condition::BlocksFrom(size) => {
            format!("blocks would have to lie along axis 0 and be of {size} elements or a larger power of two")
        }
        Condition::OneReader(slot) => {
            format!("something else reads what the DequantizeLinear of input {slot} makes, or reads")
        }
        Condition::BiasScale(_) => {
            "the bias would have to be in units of the product of the scales of input and weight".to_owned()
        }
        Condition::ZeroPointsZero(slot) => format!("the zero points of input {slot} would have to be 0"),
        Condition::NotInt8(slot) => format!("input {slot} must not be int8"),
        Condition::NotDequantized(slot) => format!("input {slot} must not come from a DequantizeLinear"),
        Condition::SameWidth => "inputs and outputs would have to be integers of the same number of bits".to_owned(),
        Condition::SameParameters => {
            "input and output would have to have the same scale and zero point, and state both".to_owned()
        }
        Condition::NoClamp => "a Relu or Clip stands before the QuantizeLinear".to_owned(),
        Condition::NotClamped(_) => "nothing but a Relu or Clip reads what it makes".to_owned(),
        Condition::OpsetUntil(opset) => format!("the opset would have to be {opset} or lower"),
        Condition::OpsetFrom(opset) => format!("the opset would have to be {opset} or higher"),
        Condition::FoundAtRun(slot) => format!("the scale of input {slot} would have to be found in each run"),
        Condition::ScaledAfter => "a Cast and a Mul would have to follow".to_owned(),
    }
}

fn any<T: ToString>(numbers: &[T]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}
