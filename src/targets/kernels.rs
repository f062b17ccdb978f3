//! What plans ask of a target before there is a quantized graph.

use super::{
    Target,
    condition::Condition,
    schema::{Form, Output, Role, Rule},
    unit::Unit,
};
use crate::{
    ir::{Model, OpId, Use},
    operators::is_standard,
};

/// The integer kernel that an operator can become, once what its rules need stands around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// The identifier of the rule that it is known by.
    pub rule: String,
    /// What it does with integers.
    pub role: Role,
    /// Whether it is one only with a QuantizeLinear on its output.
    pub to_integers: bool,
    /// The inputs that a DequantizeLinear must stand on; `None`: all.
    data: Option<Vec<usize>>,
}

impl Kernel {
    /// The uses by which an operator reads what must be integers.
    pub fn data_inputs(&self, model: &Model, op: OpId) -> Vec<Use> {
        let there = model.inputs(op).into_iter().enumerate().filter(|(_, input)| input.is_some());
        let data = |slot: &usize| self.data.as_ref().is_none_or(|slots| slots.contains(slot));
        there.map(|(slot, _)| slot).filter(data).map(|slot| Use { op, slot }).collect()
    }
}

impl Target {
    /// The kernel that an operator can become; `None` where it computes in float whatever surrounds it.
    ///
    /// A layer's kernel must be there in all releases that are meant. What lies between layers follows the newest:
    /// where an older one has no kernel for it, there are conversions around it, and nothing else is lost.
    pub fn kernel(&self, model: &Model, op: OpId) -> Option<Kernel> {
        let mut kernels = self.static_rules(model, op).filter(|rule| self.unmet_by(rule, model, op).is_none());
        let first = kernels.next()?;
        let to_integers = first.output == Output::Required && kernels.all(|rule| rule.output == Output::Required);
        Some(Kernel { rule: first.id.clone(), role: first.role, to_integers, data: first.dequantized.clone() })
    }

    /// What stands against an operator's kernel in the operator itself; `None` where there is no kernel for its
    /// type at all.
    pub fn unmet(&self, model: &Model, op: OpId) -> Option<&Condition> {
        self.static_rules(model, op).find_map(|rule| self.unmet_by(rule, model, op))
    }

    /// The rule for the operators of integers that can stand in an operator's place in the file, with scales that each
    /// run finds; or the first condition that the operator does not meet, if there is a rule for its type.
    pub fn written(&self, model: &Model, op: OpId) -> Result<&Rule, Option<&Condition>> {
        let operator = model.op(op);
        let rules = self.written_rules().filter(|rule| is_standard(model, op) && rule.is_for(operator.op_type()));
        let mut unmet = None;
        for rule in rules {
            match self.unmet_by(rule, model, op) {
                None => return Ok(rule),
                Some(condition) => unmet = unmet.or(Some(condition)),
            }
        }
        Err(unmet)
    }

    /// Whether any operator can become one of integers with scales that each run finds.
    pub fn has_dynamic_kernels(&self) -> bool {
        self.written_rules().next().is_some()
    }

    fn written_rules(&self) -> impl Iterator<Item = &Rule> {
        self.description().rules.iter().filter(|rule| rule.form == Form::Written && self.has(rule))
    }

    fn unmet_by<'t>(&'t self, rule: &'t Rule, model: &Model, op: OpId) -> Option<&'t Condition> {
        let unit = Unit::of(model, op);
        let lacks =
            |condition: &&Condition| condition.is_of_operator() && !self.holds(condition, rule, model, op, &unit);
        rule.require.iter().find(lacks)
    }

    /// The rules for an operator between pairs whose kernels compute what the file says.
    fn static_rules(&self, model: &Model, op: OpId) -> impl Iterator<Item = &Rule> {
        let op_type = model.op(op).op_type().to_owned();
        let standard = is_standard(model, op);
        let newest = self.releases().map(|(_, newest)| newest);
        let exists = move |rule: &Rule| match rule.role {
            Role::Layer => self.has(rule),
            Role::Requantizes | Role::KeepsScale => newest.is_none_or(|newest| rule.releases().contains(newest)),
        };
        let quantizes = |rule: &Rule| rule.role == Role::Layer || rule.output != Output::Absent;
        self.description().rules.iter().filter(move |rule| {
            let plain = rule.form == Form::Static && rule.differs.is_none();
            standard && plain && rule.is_for(&op_type) && exists(rule) && quantizes(rule)
        })
    }
}
