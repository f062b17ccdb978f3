//! The order of the stages where activations get their scales in each run.

use std::collections::HashSet;

use super::{
    activations::{carried_out, excluded, planned, prepared},
    exchanged,
};
use crate::{
    config::Config,
    error::Result,
    ir::{Model, OpId},
    passes::{Pass, QuantizeDynamically, SplitGemm},
    plan::{can_be_dynamic, check_patterns, fit_patterns, plan_dynamic},
    report::Report,
};

pub(super) fn quantize(model: &mut Model, config: &Config) -> Result<Report> {
    config.check_for_dynamic()?;
    let config = &fit_patterns(model, config);
    let (mut quantized, trained, facts) = prepared(model, config)?;
    check_patterns(&[model, &quantized], config)?;
    let mut float: HashSet<OpId> = excluded(&quantized, config);
    float.extend(quantized.ops().filter(|&op| !can_be_dynamic(&quantized, &config.target, op)));
    let mut plan = planned(&mut quantized, config, float, split_gemms, plan_dynamic)?;
    plan.trained = trained;
    let (quantized, report) = carried_out(quantized, &mut plan, facts, config, |plan| QuantizeDynamically { plan })?;
    Ok(exchanged(model, quantized, report, config))
}

/// Makes products of those Gemms that become integers.
fn split_gemms(model: &mut Model, float: &HashSet<OpId>) -> Result<HashSet<OpId>> {
    let only = model.ops().filter(|op| model.op(*op).is("Gemm") && !float.contains(op)).collect();
    let pass = SplitGemm { only };
    pass.run(model)?;
    Ok(pass.only)
}
