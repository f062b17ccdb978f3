//! The order of the stages where activations are quantized too.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::ControlFlow,
};

use super::{Raised, check_denied, exchanged, finished, no_longer_inputs, opset_raised, with_trained_integers};
use crate::{
    calibration::{self, Collect, Engine, Ranges, Sample, can_be_watched, value_keys},
    config::{ActivationType, Config, Pattern, WeightType},
    error::{Error, Result},
    findings::Fact,
    ir::{Model, OpId, ValueId},
    passes::{
        self, FreezeParameters, Pass, QuantizeActivations, QuantizeWeights, RemoveIdentities, SettleWeights,
        UpgradeOpset, WidenHalves,
    },
    plan::{
        ActivationPlan, Constants, Decision, FloatReason, Plan, Trained, check_patterns, excluded_layers, fit_patterns,
        following, plan_activations, store_float_layers, watched,
    },
    report::Report,
};

/// Runs a model with calibration samples and tells what its activations were: of every value that
/// [`quantize_activations`] quantizes with the same configuration, but for those in loops and functions,
/// which it leaves float then. `progress` hears after each sample how many there were, and may end the run by
/// [`Break`](ControlFlow::Break); [`calibration::proceed`] never does.
///
/// # Errors
/// The configuration is not one for [activations](Config::check_for_activations); as
/// [`calibration::observe`]: no sample, one that does not fit, an engine that cannot run the model;
/// or the model's opset cannot be raised as far as its quantized form needs.
///
/// ```
/// # #[cfg(feature = "rten")] {
/// use onnx_quant::{Config, Model, calibrate, calibration::{RtenEngine, Samples, proceed}, quantize_activations};
///
/// let mut model = Model::load("testdata/kws_dscnn.onnx")?;
/// let config = Config::default();
/// let samples = Samples::open("testdata/calibration/kws_dscnn", &model, None)?;
/// let ranges = calibrate(&model, &config, samples, &RtenEngine, &mut proceed)?;
/// let report = quantize_activations(&mut model, &config, &ranges)?;
/// assert!(report.activations.unwrap().integer().count() > 0);
/// # }
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn calibrate(
    model: &Model,
    config: &Config,
    samples: impl IntoIterator<Item = Result<Sample>>,
    engine: &dyn Engine,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Ranges> {
    config.check_for_activations()?;
    let config = &fit_patterns(model, config);
    let original = model;
    let (model, ..) = prepared(model, config)?;
    check_patterns(&[original, &model], config)?;
    let except = excluded(&model, config);
    let Settled { model, config, .. } = settled(model, config, except)?;
    let collect = Collect::for_method(config.activations.method);
    let mut watched = watched(&model, &config)?;
    // Layers around the others stay float.
    watched.retain(|&value| can_be_watched(&model, value).is_ok());
    calibration::observe(&model, &watched, samples, engine, collect, progress)
}

/// Quantizes a model's weights and activations, so that its convolutions and products with weights
/// compute in integers, and reports what was done, what was not and why. Before that the model is
/// [simplified](passes::before_activations) and its opset raised as far as the quantized form needs; half
/// floats become float32 but for inputs and outputs. The weights of what stays float stay float too.
///
/// # Errors
/// The configuration is not one for [activations](Config::check_for_activations); the ranges are all of
/// values that the model has not, or have not what the method needs; the model's opset cannot be raised; a
/// tensor cannot be read; or, with [`strict`](Config::strict) or [`deny`](Config::deny), something was
/// found that is not put up with. The model is unchanged then.
pub fn quantize_activations(model: &mut Model, config: &Config, ranges: &Ranges) -> Result<Report> {
    let Prepared { model: mut quantized, config, trained, facts, of_ranges, float } = prepare(model, config, ranges)?;
    let untouched = |_: &mut Model, _: &HashSet<OpId>| Ok(HashSet::new());
    let plan = |model: &Model, config: &Config| plan_activations(model, config, ranges);
    let mut plan = planned(&mut quantized, &config, float, untouched, plan)?;
    plan.trained = trained;
    plan.findings.splice(0..0, of_ranges);
    finish(model, quantized, plan, facts, &config)
}

/// A model that is ready to be planned with ranges.
pub(super) struct Prepared {
    pub model: Model,
    /// With patterns that fit the model.
    pub config: Config,
    pub trained: Trained,
    /// What a user should know of what was done.
    pub facts: Vec<Fact>,
    /// What a user should know of the ranges, first of all.
    pub of_ranges: Vec<Fact>,
    /// The layers that patterns exclude.
    pub float: HashSet<OpId>,
}

/// Prepares a model to be planned with ranges.
///
/// # Errors
/// As [`quantize_activations`].
pub(super) fn prepare(original: &Model, config: &Config, ranges: &Ranges) -> Result<Prepared> {
    config.check_for_activations()?;
    ranges.check(config.activations.method)?;
    let config = fit_patterns(original, config);
    let (model, trained, facts) = prepared(original, &config)?;
    check_patterns(&[original, &model], &config)?;
    let few = few_ranges(&model, &config, ranges)?;
    let unknown = unknown_values(original, &model, ranges)?;
    let of_ranges = unknown.into_iter().chain(few).collect();
    let float = excluded(&model, &config);
    Ok(Prepared { model, config, trained, facts, of_ranges, float })
}

/// Carries out a plan and puts the result in the place of the model that it was made of.
///
/// # Errors
/// As [`carried_out`].
pub(super) fn finish(
    model: &mut Model,
    quantized: Model,
    mut plan: Plan,
    facts: Vec<Fact>,
    config: &Config,
) -> Result<Report> {
    let (quantized, report) = carried_out(quantized, &mut plan, facts, config, |plan| QuantizeActivations { plan })?;
    Ok(exchanged(model, quantized, report, config))
}

/// Writes a prepared model as a plan that is made of it says, with what follows from that, and reports it. `form` is
/// the pass that gives layers their integer form.
///
/// # Errors
/// What was found is denied, or a tensor cannot be read.
pub(super) fn carried_out<'p, P: Pass>(
    mut quantized: Model,
    plan: &'p mut Plan,
    facts: Vec<Fact>,
    config: &Config,
    form: impl FnOnce(&'p ActivationPlan) -> P,
) -> Result<(Model, Report)> {
    plan.findings.extend(facts);
    plan.findings.extend(following(&quantized, plan, &config.target));
    check_denied(&plan.findings, config)?;
    let plan = &*plan;
    let mut report = Report::of(&quantized, plan, config)?;
    let mut passes: Vec<&dyn Pass> = Vec::new();
    let weights = QuantizeWeights { plan };
    let layers = plan.activations.as_ref().map(form);
    passes.push(&weights);
    passes.extend(layers.iter().map(|pass| pass as &dyn Pass));
    // What hid behind a constant does so no longer.
    passes.push(&RemoveIdentities);
    passes::run(&mut quantized, &passes)?;
    report.tell(&finished(&mut quantized, config)?);
    Ok((quantized, report))
}

/// The plan of a prepared model, whose layers get weights of their own where they are quantized, and only
/// there: what stays float would take more room then. The layers in `float` are left alone; `rewrite` rewrites others
/// for their integer form and tells which, and it is undone for those that stay float, too.
pub(super) fn planned(
    model: &mut Model,
    config: &Config,
    mut float: HashSet<OpId>,
    rewrite: impl Fn(&mut Model, &HashSet<OpId>) -> Result<HashSet<OpId>>,
    plan: impl Fn(&Model, &Config) -> Result<Plan>,
) -> Result<Plan> {
    let mut reasons: HashMap<OpId, FloatReason> = HashMap::new();
    loop {
        let mut rewritten = model.clone();
        let changed = rewrite(&mut rewritten, &float)?;
        let settled = settled(rewritten, config, float.clone())?;
        let mut plan = plan(&settled.model, &settled.config)?;
        let quantized: HashSet<ValueId> = plan.weights.iter().map(|weight| weight.value).collect();
        let unused = settled.made.into_iter().filter(|(weight, _)| !quantized.contains(weight));
        let mut in_vain: HashSet<OpId> = unused.flat_map(|(_, layers)| layers).collect();
        let operators = plan.activations.iter_mut().flat_map(|plan| &mut plan.operators);
        let layers = operators.filter_map(|operator| match &mut operator.decision {
            Decision::FloatLayer(reason) => Some((operator.op, reason)),
            _ => None,
        });
        let layers: Vec<(OpId, &mut FloatReason)> = layers.collect();
        in_vain.extend(layers.iter().map(|(op, _)| *op).filter(|op| changed.contains(op)));
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
        let known = layers.into_iter().filter(|(op, _)| in_vain.contains(op));
        reasons.extend(known.map(|(op, reason)| (op, reason.clone())));
        float.extend(in_vain);
    }
}

/// A prepared model whose layers have weights of their own.
pub(super) struct Settled {
    pub model: Model,
    /// With patterns that include these weights: what they are made of is included, or they would not be here.
    pub config: Config,
    /// The weights, and the layers that take them.
    made: BTreeMap<ValueId, Vec<OpId>>,
}

/// The layers that patterns exclude, by the names that their weights have in the file.
pub(super) fn excluded(model: &Model, config: &Config) -> HashSet<OpId> {
    if !config.selects() {
        return HashSet::new();
    }
    excluded_layers(model, &Constants::of(model), config).into_keys().collect()
}

/// Settles the weights of all layers but some.
pub(super) fn settled(mut model: Model, config: &Config, except: HashSet<OpId>) -> Result<Settled> {
    let mut config = config.clone();
    let recurrent = config.activations.is_dynamic();
    let made = SettleWeights { except, recurrent }.settle(&mut model);
    if !config.include.is_empty() {
        for &weight in made.keys() {
            config.include.push(Pattern::exactly(model.value(weight).name())?);
        }
    }
    Ok(Settled { model, config, made })
}

/// The model in the form that is observed and quantized: simplified, and at the opset that takes what will
/// be written, with what a user should know of that.
pub(super) fn prepared(original: &Model, config: &Config) -> Result<(Model, Trained, Vec<Fact>)> {
    // First of all, with the numbers as they are.
    let (model, trained) = with_trained_integers(original, config);
    let mut prepared = model.into_owned();
    let mut facts = Vec::new();
    let mut widened = false;
    // One makes work for another: what was rewritten for a newer opset can be simplified.
    for _ in 0..MAX_ROUNDS {
        // Integer kernels make float32. Before the others: it leaves Casts behind that these take away.
        let mut changed = WidenHalves.run(&mut prepared)?;
        widened |= changed;
        changed |= simplify(&mut prepared, config)?;
        let before = prepared.clone();
        let upgraded = UpgradeOpset { to: opset(config) }
            .upgrade(&mut prepared)
            .or_else(|error| Err(error.with_way_out(way_out(original, &before, config)?)))?;
        changed |= upgraded.changed;
        facts.extend(opset_raised(before.ir_version(), upgraded));
        if !changed {
            break;
        }
    }
    if widened {
        facts.insert(0, Fact::Widened);
    }
    facts.extend(no_longer_inputs(original, &prepared));
    Ok((prepared, trained, facts))
}

/// Two do for most models.
pub(super) const MAX_ROUNDS: usize = 8;

/// Runs the passes once; tells whether anything changed.
pub(super) fn simplify(model: &mut Model, config: &Config) -> Result<bool> {
    let mut changed = false;
    for pass in passes::before_activations() {
        let fixes = pass.name() == FreezeParameters.name();
        if !(fixes && config.keep_overridable) {
            changed |= pass.run(model)?;
        }
    }
    Ok(changed)
}

/// The ranges that are of values that the model has not, neither as it came nor simplified.
///
/// # Errors
/// None of them is in the model.
fn unknown_values(model: &Model, simplified: &Model, ranges: &Ranges) -> Result<Option<Fact>> {
    let known: HashSet<String> = value_keys(model).into_values().chain(value_keys(simplified).into_values()).collect();
    let unknown: Vec<String> = ranges.values.keys().filter(|name| !known.contains(*name)).cloned().collect();
    let all = ranges.values.len();
    if unknown.len() == all && all > 0 {
        const NAMED: usize = 3;
        let named: Vec<String> = unknown.iter().take(NAMED).map(|name| format!("'{name}'")).collect();
        let more = if all > NAMED { format!(", and {} more", all - NAMED) } else { String::new() };
        return Err(Error::invalid(format!(
            "has none of the {all} values that there are ranges of ({}{more}): are they another model's?",
            named.join(", ")
        )));
    }
    Ok((!unknown.is_empty()).then_some(Fact::UnknownRanges { all, unknown }))
}

/// Sees to it that ranges are of values that the model has, as it came or simplified.
///
/// [`quantize_activations`] does so for all ranges together; of those from several sources this tells of each.
///
/// # Errors
/// None of them is in the model; or its opset cannot be raised as far as its quantized form needs.
pub fn check_ranges(model: &Model, config: &Config, ranges: &Ranges) -> Result<()> {
    let (simplified, ..) = prepared(model, &fit_patterns(model, config))?;
    unknown_values(model, &simplified, ranges).map(drop)
}

/// Whether there are ranges of few of the values only that would be quantized.
fn few_ranges(model: &Model, config: &Config, ranges: &Ranges) -> Result<Option<Fact>> {
    let Settled { model, config, .. } = settled(model.clone(), config, excluded(model, config))?;
    let names = value_keys(&model);
    let wanted: Vec<&String> = watched(&model, &config)?
        .into_iter()
        .filter(|&value| can_be_watched(&model, value).is_ok())
        .filter_map(|value| names.get(&value))
        .collect();
    let without: Vec<String> =
        wanted.iter().filter(|name| !ranges.values.contains_key(**name)).map(|name| (*name).clone()).collect();
    let few = 2 * without.len() > wanted.len();
    Ok(few.then_some(Fact::FewRanges { wanted: wanted.len(), without }))
}

/// The options with which a model can be quantized whose opset cannot be raised as far as its activations
/// need.
fn way_out(model: &Model, prepared: &Model, config: &Config) -> Result<Option<String>> {
    let narrow = opset_of(ActivationType::Uint8);
    if opset_of(config.activations.ty) > narrow && (UpgradeOpset { to: narrow }).upgrade(&mut prepared.clone()).is_ok()
    {
        return Ok(Some(format!("--activations uint8 would do with opset {narrow}")));
    }
    let weights = Raised::new(model, config, i64::MAX)?.planned(config).is_ok_and(|(_, plan)| !plan.weights.is_empty());
    Ok(weights.then(|| "its weights alone can be quantized, without --samples and --ranges".to_owned()))
}

/// The opset whose QuantizeLinear and DequantizeLinear take what will be written: scales for channels,
/// and 16 bits.
fn opset(config: &Config) -> i64 {
    let of_weights = |weights| match weights {
        WeightType::Int16 | WeightType::Uint16 => 21,
        WeightType::Float8e4m3fn => 19,
        _ => 13,
    };
    config.types_of_weights().map(of_weights).fold(opset_of(config.activations.ty), i64::max)
}

fn opset_of(activations: ActivationType) -> i64 {
    match activations {
        ActivationType::Uint8 | ActivationType::Int8 | ActivationType::Dynamic | ActivationType::Float => 13,
        ActivationType::Float8e4m3fn => 19,
        ActivationType::Uint16 | ActivationType::Int16 => 21,
    }
}
