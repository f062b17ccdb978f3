//! The operators that have their weights dequantized on every run.

use std::collections::BTreeMap;

use super::{Plan, QuantizedCopy, Site, WeightPlan};
use crate::{
    findings::{Fact, SlowOperators},
    ir::{Model, OpId, Use},
    numeric::Granularity,
    targets::onnxruntime,
};

/// The operators for which a weight is dequantized on every run. Measured: whatever
/// does not become one kernel with its DequantizeLinear, as no Conv and no LSTM does whose input is float,
/// computes as before and has the weight dequantized besides.
pub(super) fn find(model: &Model, plan: &Plan) -> Option<Fact> {
    if plan.activations.is_some() {
        return None;
    }
    let mut operators: BTreeMap<String, SlowOperators> = BTreeMap::new();
    let mut elements = 0;
    for (weight, copy) in plan.weights.iter().flat_map(|weight| weight.copies.iter().map(move |copy| (weight, copy))) {
        let slow: Vec<OpId> =
            copy.layers.iter().copied().filter(|&op| !takes_integers(model, weight, copy, op)).collect();
        if !slow.is_empty() {
            elements += model.constant(weight.value).map_or(0, |tensor| tensor.element_count());
        }
        for operator in slow.into_iter().map(|op| model.op(op)) {
            let of_type = operators.entry(operator.op_type().to_owned()).or_default();
            of_type.count += 1;
            of_type.names.extend(Some(operator.name().to_owned()).filter(|name| !name.is_empty()));
        }
    }
    let target = "onnxruntime".to_owned();
    (!operators.is_empty()).then_some(Fact::DequantizedEveryRun { target, operators, elements })
}

/// Whether an operator reads the integers themselves: a Gather in front of the DequantizeLinear, or a product that
/// is one kernel with it.
fn takes_integers(model: &Model, weight: &WeightPlan, copy: &QuantizedCopy, op: OpId) -> bool {
    let reads = |site: &Site| match site {
        Site::BehindGather(gather) => *gather == op,
        Site::Gemm(use_) => use_.op == op && fuses(model, weight, copy, *use_, true),
        Site::Transpose(transpose) => {
            let output = model.outputs(*transpose).first().copied().flatten();
            let only = output.and_then(|output| model.only_use(output)).filter(|use_| use_.op == op);
            only.is_some_and(|use_| fuses(model, weight, copy, use_, false))
        }
        Site::Weight(uses) => match uses.as_slice() {
            &[use_] => use_.op == op && !model.is_output(weight.value) && fuses(model, weight, copy, use_, false),
            _ => false,
        },
        Site::Body(_) => false,
    };
    copy.sites.iter().any(reads)
}

/// Whether a product becomes one kernel with the only DequantizeLinear of its right factor, which is `turned` where
/// the product read it transposed before.
fn fuses(model: &Model, weight: &WeightPlan, copy: &QuantizedCopy, use_: Use, turned: bool) -> bool {
    let op = model.op(use_.op);
    let scope = model.value(weight.value).scope();
    let in_place = use_.slot == 1 && op.scope() == scope && !model.scope(scope).is_function();
    let alone = weight.copies.len() == 1 && copy.sites.len() == 1;
    let rank = model.constant(weight.value).map(|tensor| tensor.shape().len());
    if !in_place || !alone || rank != Some(2) || copy.apart || weight.cast.is_some() {
        return false;
    }
    let plain = |name: &str| op.float(name).is_none_or(|factor| factor == 1.0);
    let right_operator = match op.op_type() {
        "MatMul" => !becomes_gemm(model, use_.op),
        "Gemm" => {
            let transposed = op.int("transB").unwrap_or(0) != 0;
            let bias = model.input(use_.op, 2).map(|bias| model.constant(bias).map(|bias| bias.shape().len()));
            let bias_fits = bias.is_none_or(|rank| rank == Some(1));
            plain("alpha") && plain("beta") && op.int("transA").unwrap_or(0) == 0 && transposed == turned && bias_fits
        }
        _ => false,
    };
    let left = model.input(use_.op, 0).and_then(|left| model.producer(left));
    let dequantized = left.is_some_and(|op| model.op(op).is("DequantizeLinear"));
    right_operator && !dequantized && onnxruntime::fuses_matmul(copy.scheme.ty, stored(copy))
}

/// Whether a MatMul becomes a Gemm with the addition behind it, whose bias is no vector.
fn becomes_gemm(model: &Model, product: OpId) -> bool {
    let output = model.outputs(product).first().copied().flatten();
    let next = output.and_then(|output| model.only_use(output)).filter(|next| model.op(next.op).is("Add"));
    let bias = next.and_then(|next| model.input(next.op, 1 - next.slot)).and_then(|bias| model.constant(bias));
    bias.is_some_and(|bias| bias.shape().len() == 2)
}

fn stored(copy: &QuantizedCopy) -> Granularity {
    match copy.granularity {
        Granularity::PerChannel { axis } if copy.transposed => Granularity::PerChannel { axis: 1 - axis },
        Granularity::PerBlock { axis, size } if copy.transposed => Granularity::PerBlock { axis: 1 - axis, size },
        granularity => granularity,
    }
}
