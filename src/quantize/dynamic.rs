//! The order of the stages where activations get their scales in each run.

use std::collections::{HashMap, HashSet};

use super::{
    activations::{excluded, prepared, settled},
    check_denied, finished,
};
use crate::{
    config::Config,
    error::Result,
    ir::{Model, OpId, ValueId},
    passes::{self, Pass, QuantizeDynamically, QuantizeWeights, RemoveIdentities, SplitGemm},
    plan::{Decision, FloatReason, Plan, can_be_dynamic, following, plan_dynamic, store_float_layers},
    report::Report,
};

pub(super) fn quantize(model: &mut Model, config: &Config) -> Result<Report> {
    config.check_for_dynamic()?;
    let (mut quantized, trained, facts) = prepared(model, config)?;
    let mut plan = planned(&mut quantized, config)?;
    plan.trained = trained;
    plan.findings.extend(facts);
    plan.findings.extend(following(&quantized, &plan, &config.target));
    check_denied(&plan.findings, config)?;
    let mut report = Report::of(&quantized, &plan, config)?;
    let mut passes: Vec<&dyn Pass> = vec![];
    let weights = QuantizeWeights { plan: &plan };
    let layers = plan.activations.as_ref().map(|plan| QuantizeDynamically { plan });
    passes.push(&weights);
    passes.extend(layers.iter().map(|pass| pass as &dyn Pass));
    passes.push(&RemoveIdentities);
    passes::run(&mut quantized, &passes)?;
    report.tell(&finished(&mut quantized, config)?);
    *model = quantized;
    Ok(report)
}

/// The plan of a prepared model, whose products are `MatMul` with weights of their own where they become integers, and
/// only there.
fn planned(model: &mut Model, config: &Config) -> Result<Plan> {
    let mut float: HashSet<OpId> = excluded(model, config);
    float.extend(model.ops().filter(|&op| !can_be_dynamic(model, &config.target, op)));
    let mut reasons: HashMap<OpId, FloatReason> = HashMap::new();
    loop {
        let mut split = model.clone();
        let gemms: HashSet<OpId> = model.ops().filter(|op| model.op(*op).is("Gemm") && !float.contains(op)).collect();
        let pass = SplitGemm { only: gemms };
        pass.run(&mut split)?;
        let settled = settled(&split, config, float.clone())?;
        let mut plan = plan_dynamic(&settled.model, &settled.config)?;
        let quantized: HashSet<ValueId> = plan.weights.iter().map(|weight| weight.value).collect();
        let unused = settled.made.iter().filter(|(weight, _)| !quantized.contains(weight));
        let mut changed: HashSet<OpId> = unused.flat_map(|(_, layers)| layers.iter().copied()).collect();
        changed.extend(pass.only);
        let operators = plan.activations.iter_mut().flat_map(|plan| &mut plan.operators);
        let layers = operators.filter_map(|operator| match &mut operator.decision {
            Decision::FloatLayer(reason) => Some((operator.op, reason)),
            _ => None,
        });
        let layers: Vec<(OpId, &mut FloatReason)> = layers.collect();
        let in_vain: HashSet<OpId> = layers.iter().map(|(op, _)| *op).filter(|op| changed.contains(op)).collect();
        if in_vain.is_empty() {
            // Why they stay float is what was found of them with a weight of their own.
            for (op, reason) in layers {
                if let Some(known) = reasons.get(&op) {
                    reason.clone_from(known);
                }
            }
            *model = settled.model;
            return store_float_layers(plan, model, &settled.config);
        }
        reasons
            .extend(layers.into_iter().filter(|(op, _)| in_vain.contains(op)).map(|(op, reason)| (op, reason.clone())));
        float.extend(in_vain);
    }
}
