//! One step: the operators of one graph or function go up by one opset. What adapters are written
//! with.

use std::collections::{HashMap, HashSet};

use crate::{
    analysis::Facts,
    error::{Error, ErrorKind, Result},
    ir::{Attribute, DataType, Model, NewOp, OpId, ScopeId, ScopeShell, Tensor, Use, ValueId},
    numeric::FloatType,
    passes::constants,
    plan::float_type,
    proto::{AttributeProto, attribute_proto::AttributeType},
};

/// The opset since which Constant takes its value from an attribute that a function's caller gives.
const CONSTANT_INTS: i64 = 12;

/// A step up to one opset, and the model that takes it.
pub(super) struct Step<'a> {
    pub model: &'a mut Model,
    pub facts: &'a Facts,
    /// The operators that call each function.
    pub callers: &'a HashMap<ScopeId, Vec<OpId>>,
    /// The opset to be reached.
    pub to: i64,
    /// Whether an initializer that is a graph input too may be overridden (IR version 4).
    pub overridable: bool,
    /// Resize operators that were Upsample: their scales are 1 or more, known or not.
    pub enlarging: &'a mut HashSet<OpId>,
}

impl Step<'_> {
    /// The error that says why an operator cannot be carried over.
    pub fn refuse(&self, reason: impl Into<String>) -> Error {
        ErrorKind::Upgrade { to: self.to, reason: reason.into() }.into()
    }

    // What an operator has.

    /// An operator's input that must be there.
    pub fn input(&self, op: OpId, slot: usize) -> Result<ValueId> {
        let inputs = self.model.inputs(op);
        let missing = || self.refuse(format!("input {slot} is missing, which it needs"));
        inputs.get(slot).copied().flatten().ok_or_else(missing)
    }

    /// The same for an output.
    pub fn output(&self, op: OpId, slot: usize) -> Result<ValueId> {
        let outputs = self.model.outputs(op);
        let missing = || self.refuse(format!("output {slot} is missing, which it makes"));
        outputs.get(slot).copied().flatten().ok_or_else(missing)
    }

    /// An attribute, unless it is not there.
    fn attribute(&self, op: OpId, name: &str) -> Result<Option<&AttributeProto>> {
        let attribute = self.model.op(op).attribute(name);
        match attribute {
            Some(attribute) if !attribute.ref_attr_name().is_empty() => Err(self.refuse(format!(
                "attribute '{name}' is given by the function's caller, and how to rewrite it depends on the value; inline the function first"
            ))),
            attribute => Ok(attribute),
        }
    }

    /// Whether an attribute is there, with a value or a caller's.
    pub fn has(&self, op: OpId, name: &str) -> bool {
        self.model.op(op).attribute(name).is_some()
    }

    /// An integer attribute.
    pub fn int(&self, op: OpId, name: &str) -> Result<Option<i64>> {
        Ok(self.attribute(op, name)?.and_then(|attribute| attribute.i))
    }

    /// A list of integers.
    pub fn ints(&self, op: OpId, name: &str) -> Result<Option<Vec<i64>>> {
        Ok(self.attribute(op, name)?.map(|attribute| attribute.ints.clone()))
    }

    /// A number.
    pub fn float(&self, op: OpId, name: &str) -> Result<Option<f32>> {
        Ok(self.attribute(op, name)?.and_then(|attribute| attribute.f))
    }

    /// A list of numbers.
    pub fn floats(&self, op: OpId, name: &str) -> Result<Option<Vec<f32>>> {
        Ok(self.attribute(op, name)?.map(|attribute| attribute.floats.clone()))
    }

    /// A text.
    pub fn text(&self, op: OpId, name: &str) -> Result<Option<String>> {
        Ok(self.attribute(op, name)?.map(|attribute| String::from_utf8_lossy(attribute.s()).into_owned()))
    }

    /// Whether an output is there and somebody reads it.
    pub fn is_used(&self, op: OpId, slot: usize) -> bool {
        let value = self.model.outputs(op).get(slot).copied().flatten();
        value.is_some_and(|value| !self.model.uses(value).is_empty() || self.model.is_output(value))
    }

    /// The tensor of a constant that nobody can override.
    pub fn constant(&self, value: ValueId) -> Option<Tensor> {
        let fixed = !(self.overridable && self.model.is_input(value));
        self.model.constant(value).filter(|_| fixed).map(|tensor| tensor.into_owned())
    }

    /// The floating-point type of a value, to make constants of the same.
    pub fn float_type(&self, value: ValueId) -> Result<(DataType, FloatType)> {
        let dtype = self.facts.float_dtype(value);
        let float = dtype.and_then(float_type);
        let name = self.model.value(value).name();
        dtype.zip(float).ok_or_else(|| match dtype {
            Some(dtype) => self.refuse(format!("'{name}' is {dtype:?}, not of a floating-point type")),
            None => self.refuse(format!(
                "it needs the element type of '{name}', which the file does not state and which is not plain from the operators before; run shape inference first"
            )),
        })
    }

    /// A value's rank.
    pub fn rank(&self, value: ValueId) -> Result<usize> {
        self.facts.rank(value).ok_or_else(|| {
            let name = self.model.value(value).name();
            self.refuse(format!(
                "it needs the rank of '{name}', which the file does not state and which is not plain from the operators before; run shape inference first"
            ))
        })
    }

    // Changes. Each says whether it changed anything, where it may not.

    /// Takes attributes away.
    pub fn drop_attributes(&mut self, op: OpId, names: &[&str]) -> bool {
        let taken: Vec<_> = names.iter().filter_map(|name| self.model.take_attribute(op, name)).collect();
        !taken.is_empty()
    }

    /// Sets an attribute that is not there.
    pub fn set_default(&mut self, op: OpId, name: &str, value: Attribute) -> bool {
        let missing = !self.has(op, name);
        if missing {
            self.model.set_attribute(op, name, value);
        }
        missing
    }

    /// A new constant for operator `op` and those around it.
    pub fn new_constant(
        &mut self,
        op: OpId,
        suffix: &str,
        dtype: DataType,
        shape: &[usize],
        bytes: Vec<u8>,
    ) -> Result<ValueId> {
        let tensor = Tensor::from_bytes(&self.name(op, suffix), dtype, shape, bytes)?;
        Ok(constants::add(self.model, op, tensor))
    }

    /// A list of integers as a constant.
    pub fn new_ints(&mut self, op: OpId, suffix: &str, values: &[i64]) -> Result<ValueId> {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.new_constant(op, suffix, DataType::Int64, &[values.len()], bytes)
    }

    /// A list of numbers as a constant.
    pub fn new_floats(&mut self, op: OpId, suffix: &str, values: &[f32]) -> Result<ValueId> {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.new_constant(op, suffix, DataType::Float, &[values.len()], bytes)
    }

    /// Makes an optional input of an attribute that is an integer or a list of them. An attribute
    /// that is not there, or an empty list, leaves the input out.
    pub fn ints_to_input(&mut self, op: OpId, name: &str, slot: usize) -> Result<bool> {
        match self.model.op(op).attribute(name) {
            None => Ok(false),
            Some(attribute) if list(attribute).is_empty() && attribute.ref_attr_name().is_empty() => {
                self.model.take_attribute(op, name);
                Ok(true)
            }
            Some(_) => self.ints_to_required_input(op, name, slot),
        }
    }

    /// The same for an attribute and an input that must be there; an empty list stays one.
    pub fn ints_to_required_input(&mut self, op: OpId, name: &str, slot: usize) -> Result<bool> {
        let attribute = self.model.op(op).attribute(name).cloned();
        let attribute = attribute.ok_or_else(|| self.refuse(format!("attribute '{name}' is missing")))?;
        let value = match attribute.ref_attr_name() {
            "" => self.new_ints(op, name, &list(&attribute))?,
            _ => self.constant_from_caller(op, &attribute)?,
        };
        self.model.take_attribute(op, name);
        self.model.set_input(Use { op, slot }, value);
        Ok(true)
    }

    /// A Constant node whose value is what a function's caller gives as an attribute.
    fn constant_from_caller(&mut self, op: OpId, attribute: &AttributeProto) -> Result<ValueId> {
        let name = attribute.ref_attr_name();
        if self.to < CONSTANT_INTS {
            return Err(self.refuse(format!(
                "attribute '{name}' is given by the function's caller and becomes an input, but Constant takes such a value only since opset {CONSTANT_INTS}; inline the function first"
            )));
        }
        if attribute.r#type() != AttributeType::Ints || !self.always_given(op, name) {
            return Err(self.refuse(format!(
                "attribute '{name}' becomes an input, but not every caller of the function gives it; inline the function first"
            )));
        }
        let output = self.before(op, "Constant", &[], vec![], name);
        let constant = self.model.producer(output).expect("it was just inserted");
        let mut value = attribute.clone();
        value.name = Some("value_ints".to_owned());
        self.model.put_attribute(constant, value);
        Ok(output)
    }

    /// Whether an attribute of the function that an operator is in has a value at every call.
    fn always_given(&self, op: OpId, name: &str) -> bool {
        let function = self.model.root(self.model.op(op).scope());
        let ScopeShell::Function(shell) = &self.model.scope(function).shell else { return false };
        let has_default = shell.attribute_proto.iter().any(|attribute| attribute.name() == name);
        let calls = self.callers.get(&function).map_or([].as_slice(), Vec::as_slice);
        has_default || calls.iter().all(|&call| self.has(call, name))
    }

    /// Inserts an operator before `op`; returns what it makes, named after what `op` makes.
    pub fn before(
        &mut self,
        op: OpId,
        op_type: &'static str,
        inputs: &[ValueId],
        attributes: Vec<(&'static str, Attribute)>,
        suffix: &str,
    ) -> ValueId {
        let scope = self.model.op(op).scope();
        let output = self.model.new_value(scope, &self.name(op, suffix));
        self.insert(op, Some(op), op_type, inputs, attributes, output);
        output
    }

    /// Inserts an operator right behind `op` that makes `output`.
    pub fn behind(
        &mut self,
        op: OpId,
        op_type: &'static str,
        inputs: &[ValueId],
        attributes: Vec<(&'static str, Attribute)>,
        output: ValueId,
    ) {
        let next = self.model.op_after(op);
        self.insert(op, next, op_type, inputs, attributes, output);
    }

    fn insert(
        &mut self,
        op: OpId,
        before: Option<OpId>,
        op_type: &'static str,
        inputs: &[ValueId],
        attributes: Vec<(&'static str, Attribute)>,
        output: ValueId,
    ) {
        let scope = self.model.op(op).scope();
        let name = match self.model.op(op).name() {
            "" => format!("{}_{op_type}", self.model.value(output).name()),
            name => format!("{name}_{op_type}"),
        };
        self.model.insert_op(scope, before, NewOp { op_type, name, inputs: inputs.to_vec(), output, attributes });
    }

    /// Gives an operator a new value to make in one slot, so that another can make the old one of
    /// it. Returns old and new.
    pub fn split_output(&mut self, op: OpId, slot: usize, suffix: &str) -> Result<(ValueId, ValueId)> {
        let old = self.output(op, slot)?;
        let new = self.model.new_value(self.model.op(op).scope(), &self.name(op, suffix));
        self.model.set_output(op, slot, new);
        Ok((old, new))
    }

    /// Leaves an input out; an initializer that nobody reads then goes with it.
    pub fn omit_input(&mut self, op: OpId, slot: usize) {
        let value = self.model.input(op, slot);
        self.model.omit_input(op, slot);
        let unread = |value: &ValueId| {
            let kept = self.model.is_input(*value) || self.model.is_read(*value) || self.model.is_trained(*value);
            !kept && self.model.value(*value).initializer().is_some()
        };
        if let Some(value) = value.filter(unread) {
            self.model.take_initializer(value);
            self.model.remove_value(value);
        }
    }

    /// Makes an operator read another value.
    pub fn set_input(&mut self, op: OpId, slot: usize, value: ValueId) {
        self.model.set_input(Use { op, slot }, value);
    }

    /// A name made from that of the operator's first output.
    fn name(&self, op: OpId, suffix: &str) -> String {
        let output = self.model.outputs(op).into_iter().flatten().next();
        let base = output.map_or(self.model.op(op).op_type(), |output| self.model.value(output).name());
        format!("{base}_{suffix}")
    }
}

/// The integers of an attribute. The oldest files do not say which kind it is.
fn list(attribute: &AttributeProto) -> Vec<i64> {
    match attribute.i {
        Some(integer) if attribute.ints.is_empty() => vec![integer],
        _ => attribute.ints.clone(),
    }
}
