//! Several ways to quantize a model, written and timed; the fastest is taken.

use std::{ops::ControlFlow, time::Duration};

use super::{
    exchanged,
    measured::{Judge, quantize_measured},
    quantize, simplify,
};
use crate::{
    calibration::{Engine, Ranges, Sample},
    config::{ActivationType, Config, Preference},
    error::{Error, ErrorKind, Result},
    findings::Fact,
    ir::{Model, Tensor},
    plan::Plan,
    report::{Report, Tuned, TunedPlan, Way},
};

/// Times that differ by less than this part of them are the same: what breaks the tie is [`Config::prefer`].
const SAME_TIME: f64 = 0.02;

/// Tells the time that one run of each of some models takes, in the same order; a model that does not run has an error.
pub type Timer<'t> = dyn FnMut(&[&Model]) -> Result<Vec<Result<Duration>>> + 't;

/// Quantizes a model in several ways, runs and times all of them beside the float model, and keeps the fastest whose
/// outputs have as much signal to noise as is asked for, measured with the samples that were held back. Ways whose times are the same differ
/// in what [`prefer`](Config::prefer) says. Where none is faster than the float model, the model stays as it is; the report
/// says so.
///
/// The float model that times are compared with is the simplified one.
///
/// # Errors
/// As [`quantize_measured`]; no sample was held back; the engine does not run the float model; or nothing was timed.
pub fn quantize_tuned(
    model: &mut Model,
    config: &Config,
    ranges: &Ranges,
    held_back: &[Sample],
    engine: &dyn Engine,
    timer: &mut Timer,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Report> {
    config.check_for_activations()?;
    if !config.target.description().measured_times {
        let message =
            format!("it is onnxruntime that times are taken in, and the model is for {}", config.target.name());
        return Err(Error::config(message));
    }
    let mut float = model.clone();
    simplify(&mut float, config.keep_overridable)?;
    let judge = Judge::new(&float, held_back, engine)?.ok_or_else(|| match held_back.is_empty() {
        true => Error::config("there are fewer than 8 samples, so none was held back to measure with"),
        false => Error::invalid("has no output of floats that can be observed"),
    })?;
    let mut tried = Vec::new();
    for way in [Way::Placed, Way::AllInteger, Way::Dynamic, Way::WeightsOnly] {
        tried.push(Tried::new(way, model, config, |model, config| match config.activations.ty {
            ActivationType::Dynamic | ActivationType::Float => quantize(model, config),
            _ => quantize_measured(model, config, ranges, held_back, engine, progress),
        })?);
    }
    forget_repeated(&mut tried);
    for tried in &mut tried {
        tried.measure(&judge);
    }
    let models: Vec<&Model> =
        [&float].into_iter().chain(tried.iter().filter_map(|tried| tried.made.as_ref().map(|made| &made.0))).collect();
    let mut times = timer(&models)?.into_iter();
    let of_float = times.next().ok_or_else(|| Error::config("no time was told"))??;
    for tried in tried.iter_mut().filter(|tried| tried.made.is_some()) {
        tried.timed(times.next(), of_float);
    }
    let bound_db = config.bound_db();
    let taken = choose(&mut tried, bound_db, config.prefer);
    let tuned = Tuned {
        float_us: of_float.as_secs_f64() * 1e6,
        float_bytes: bytes(&float),
        plans: tried.iter().map(|tried| tried.plan.clone()).collect(),
    };
    let fact = taken.map(|taken| &tried[taken].plan).map(|plan| Fact::Tuned {
        way: plan.way.to_string(),
        time: plan.time.unwrap_or(1.0),
        tried: tuned.plans.iter().filter(|plan| plan.time.is_some()).count(),
    });
    let made = taken.and_then(|taken| tried.swap_remove(taken).made);
    let mut report = match made {
        Some((quantized, report)) => {
            *model = quantized;
            report
        }
        None => {
            let report = Report::of(model, &Plan::default(), config)?;
            exchanged(model, model.clone(), report, config)
        }
    };
    report.tell(&[fact.unwrap_or(Fact::NothingFaster { tried: tuned.plans.len(), bound_db })]);
    report.tuned = Some(tuned);
    Ok(report)
}

/// One way, as far as it came.
struct Tried {
    plan: TunedPlan,
    made: Option<(Model, Report)>,
}

impl Tried {
    /// Quantizes a copy in this way. What the way is not for, or cannot do, is no error.
    fn new(
        way: Way,
        model: &Model,
        config: &Config,
        quantize: impl FnOnce(&mut Model, &Config) -> Result<Report>,
    ) -> Result<Self> {
        let of_type = |ty| config.clone().with_activations(config.activations.clone().with_ty(ty));
        let config = match way {
            Way::Placed => config.clone().with_prefer(Preference::Speed),
            Way::AllInteger => config.clone().with_prefer(Preference::Size),
            Way::Dynamic => of_type(ActivationType::Dynamic).with_tensor_types(Vec::new()),
            Way::WeightsOnly => of_type(ActivationType::Float),
        };
        let plan = TunedPlan { way, taken: false, time: None, bytes: None, worst_db: None, why_not: None };
        let mut tried = Self { plan, made: None };
        let mut copy = model.clone();
        match quantize(&mut copy, &config) {
            Ok(report) if computes_as_before(&report, way) => {
                tried.plan.why_not = Some("no operator would compute in integers".to_owned());
            }
            Ok(report) => {
                tried.plan.bytes = Some(bytes(&copy));
                tried.made = Some((copy, report));
            }
            Err(error) if matches!(error.kind(), ErrorKind::Cancelled { .. }) => return Err(error),
            Err(error) => tried.plan.why_not = Some(error.to_string()),
        }
        Ok(tried)
    }

    fn measure(&mut self, judge: &Judge) {
        let Some((model, _)) = &self.made else { return };
        match judge.loss(model) {
            Ok((loss, _)) => self.plan.worst_db = Some(loss.worst_db),
            Err(error) => self.plan.why_not = Some(error.to_string()),
        }
    }

    fn timed(&mut self, time: Option<Result<Duration>>, of_float: Duration) {
        match time {
            Some(Ok(time)) => self.plan.time = Some(time.as_secs_f64() / of_float.as_secs_f64()),
            Some(Err(error)) => self.plan.why_not = Some(error.to_string()),
            None => self.plan.why_not = Some("its time was not told".to_owned()),
        }
    }

    /// Time, size and loss, where all of them are known and it is accurate enough.
    fn is_fit(&mut self, bound_db: f64) -> bool {
        let TunedPlan { time, worst_db, why_not, .. } = &mut self.plan;
        match (*time, *worst_db) {
            (Some(_), Some(db)) if db >= bound_db => true,
            (Some(_), Some(_)) => {
                *why_not = Some(format!("less than {bound_db} dB of signal to noise"));
                false
            }
            _ => false,
        }
    }
}

/// Whether nothing computes otherwise than in the float model, where something should.
fn computes_as_before(report: &Report, way: Way) -> bool {
    let integer = report.activations.iter().flat_map(|plan| &plan.operators).any(|operator| operator.integer);
    way != Way::WeightsOnly && !integer
}

/// Two ways may come to the same.
fn forget_repeated(tried: &mut [Tried]) {
    let same = |one: &Report, other: &Report| one.activations.is_some() && one.activations == other.activations;
    for index in 1..tried.len() {
        let (before, from) = tried.split_at_mut(index);
        let Some((_, report)) = &from[0].made else { continue };
        let known = |tried: &&Tried| tried.made.as_ref().is_some_and(|(_, known)| same(known, report));
        if let Some(known) = before.iter().find(known) {
            from[0].plan.why_not = Some(format!("the same as: {}", known.plan.way));
            from[0].made = None;
        }
    }
}

/// The place of the one that is taken; of the others, why not.
fn choose(tried: &mut [Tried], bound_db: f64, prefer: Preference) -> Option<usize> {
    let fit: Vec<usize> = (0..tried.len()).filter(|&index| tried[index].is_fit(bound_db)).collect();
    let time = |index: usize| tried[index].plan.time.unwrap_or(f64::INFINITY);
    let least = fit.iter().map(|&index| time(index)).fold(f64::INFINITY, f64::min);
    let fastest = fit.iter().copied().filter(|&index| time(index) <= least * (1.0 + SAME_TIME) && time(index) < 1.0);
    let by_key = |key: &dyn Fn(&TunedPlan) -> f64| {
        fastest.clone().min_by(|&one, &other| key(&tried[one].plan).total_cmp(&key(&tried[other].plan)))
    };
    let taken = match prefer {
        Preference::Speed => by_key(&|plan| plan.time.unwrap_or(f64::INFINITY)),
        Preference::Size => by_key(&|plan| plan.bytes.map_or(f64::INFINITY, |bytes| bytes as f64)),
        Preference::Accuracy => by_key(&|plan| -plan.worst_db.unwrap_or(f64::NEG_INFINITY)),
    };
    for index in fit.into_iter().filter(|&index| Some(index) != taken) {
        let slower = tried[index].plan.time.is_some_and(|time| time >= 1.0);
        let why = if slower { "no faster than float" } else { "another is faster, or preferred at the same time" };
        tried[index].plan.why_not = Some(why.to_owned());
    }
    if let Some(taken) = taken {
        tried[taken].plan.taken = true;
    }
    taken
}

fn bytes(model: &Model) -> usize {
    model.tensors().map(Tensor::byte_len).sum()
}
