//! What is not as it could be.

use std::collections::HashMap;

use super::{
    Verdict,
    loaded::Loaded,
    sentences,
    verdicts::{Cause, Found},
};
use crate::{
    findings::{Code, Finding, Severity},
    ir::{Model, OpId, ValueId},
    targets::{Lack, Target},
};

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
        severity: Severity::Warning,
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
        Some(Finding {
            code,
            severity: Severity::Warning,
            subjects: vec![model.op(op).describe()],
            elements,
            message,
            help,
        })
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
