//! What is not as it could be.

use std::{collections::HashMap, fmt, str::FromStr};

use serde::Serialize;

use super::{
    Verdict,
    loaded::Loaded,
    sentences,
    verdicts::{Cause, Found},
};
use crate::{
    ir::{Model, OpId, ValueId},
    targets::{Lack, Target},
};

/// One thing that is not as it could be, with the operators that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What it is.
    pub code: Code,
    /// The operators that it is about.
    pub subjects: Vec<String>,
    /// The elements that are converted, or computed in float, for it in each run, as far as they are known.
    pub elements: usize,
    /// It in words.
    pub message: String,
    /// What would mend it.
    pub help: String,
}

/// What a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Code {
    /// The target does not load the model.
    DoesNotLoad,
    /// A kernel computes something else than the file says.
    ComputedOtherwise,
    /// Each run dequantizes a weight.
    DequantizedEveryRun,
    /// What is quantized around an operator does not fit its kernel, so that it computes in float.
    NotFused,
}

impl Code {
    /// All codes with their names.
    pub const NAMES: &[(&'static str, Self)] = &[
        ("does-not-load", Self::DoesNotLoad),
        ("computed-otherwise", Self::ComputedOtherwise),
        ("dequantized-every-run", Self::DequantizedEveryRun),
        ("not-fused", Self::NotFused),
    ];
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, code)| code == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// Why a text is no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no finding's code")]
pub struct UnknownCode(String);

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let known = Self::NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, code)| *code).ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

pub(super) fn find(model: &Model, loaded: &Loaded, target: &Target, verdicts: &HashMap<OpId, Found>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = does_not_load(model, target).into_iter().collect();
    for (op, found) in model.ops().map(|op| (op, &verdicts[&op])) {
        findings.extend(of_operator(model, loaded, target, verdicts, op, found));
    }
    findings.sort_by(|one, other| (one.code, other.elements).cmp(&(other.code, one.elements)));
    findings
}

fn does_not_load(model: &Model, target: &Target) -> Option<Finding> {
    let newest = target.newest_opset()?;
    let quantized = model.ops().find(|&op| {
        let operator = model.op(op);
        let is_pair = operator.is("QuantizeLinear") || operator.is("DequantizeLinear");
        is_pair && model.opset(operator.scope()) > newest
    })?;
    let opset = model.opset(model.op(quantized).scope());
    let release = target.releases().map(|(_, newest)| format!(" {newest}")).unwrap_or_default();
    Some(Finding {
        code: Code::DoesNotLoad,
        subjects: vec![model.op(quantized).describe()],
        elements: 0,
        message: format!("{}{release} has no QuantizeLinear and DequantizeLinear of opset {opset}", target.name()),
        help: format!("quantize a model of opset {newest} or lower"),
    })
}

fn of_operator(
    model: &Model,
    loaded: &Loaded,
    target: &Target,
    verdicts: &HashMap<OpId, Found>,
    op: OpId,
    found: &Found,
) -> Option<Finding> {
    let finding = |code, elements, message: String, help: String| {
        Some(Finding { code, subjects: vec![model.op(op).describe()], elements, message, help })
    };
    match &found.cause {
        Cause::Rule(rule) => {
            let differs = rule.differs.as_ref()?;
            let help = "write it in the form that the kernel takes".to_owned();
            finding(Code::ComputedOtherwise, 0, format!("{} in {}", differs, target.name()), help)
        }
        Cause::EveryRun => {
            let model_of = &loaded.model;
            let integers = model_of.input(op, 0)?;
            let elements = model_of.constant(integers)?.element_count();
            let made: Vec<ValueId> = model_of.outputs(op).into_iter().flatten().collect();
            let readers = made.iter().flat_map(|&made| model_of.uses(made)).map(|use_| use_.op);
            let reader = readers.into_iter().find(|&reader| model.contains_op(reader))?;
            // A small parameter of a pair is no weight.
            let why = verdicts.get(&reader).map(|found| sentences::why(model, target, reader, found));
            let message = format!(
                "every run dequantizes {elements} elements for {}{}",
                model.op(reader).describe(),
                why.map(|why| format!(" ({why})")).unwrap_or_default()
            );
            let help = "quantize its activations too (--calibrate), or leave this weight float".to_owned();
            finding(Code::DequantizedEveryRun, elements, message, help)
        }
        Cause::Unmet(rule, lack) if found.verdict == Verdict::Float && !matches!(lack, Lack::Dequantized(0)) => {
            let message = format!("computes in float: {}", sentences::lack(rule, lack));
            finding(Code::NotFused, 0, message, "quantize it in the form that the kernel takes".to_owned())
        }
        _ => None,
    }
}
