//! Weights that are rounded so that their errors cancel out in what layers make of samples.
//!
//! Stage by stage, in the order of the graph: the float model and the model as far as it is rounded are run with the same
//! samples, and the next weights are chosen by what comes in in both. (See [`Compensation`].)

mod inputs;
mod layers;

use std::{collections::HashMap, ops::ControlFlow};

use self::layers::{Layer, Stage, stages};
use super::{
    HoldBack,
    measured::{Judge, Seen},
    quantize_weights,
};
use crate::{
    calibration::{Engine, Observation, Sample},
    config::{Config, Effort},
    error::{Error, ErrorKind, Result},
    findings::Fact,
    ir::{Model, Tensor, ValueId},
    numeric::{Compensation, FloatType, Layout, Moments, QuantParams, Scheme, dequantize, parameters, quantize},
    plan::{Plan, QuantizedCopy, WeightPlan, float_type},
    report::Report,
};

/// In how many stages weights are rounded at most: `balanced`.
const BALANCED_STAGES: usize = 64;
/// The same for `high`.
const HIGH_STAGES: usize = 1024;

/// How many rows of a layer's inputs are enough: `balanced`.
const BALANCED_ROWS: usize = 4096;
/// The same for `high`.
const HIGH_ROWS: usize = 16384;

/// Quantizes a model's weights, as [`quantize`](super::quantize) does where activations stay float, and has samples decide
/// how they are rounded: the integers of a product's or a convolution's weights make up for each other's errors in what
/// the layer makes of the samples, and for what layers before have lost. A fourth of the samples is kept to measure with;
/// where the outputs are no closer to the float model's for it, each weight is rounded by itself. `progress` hears after
/// each stage how many there were, and may end all of it by [`Break`](ControlFlow::Break).
///
/// The samples are run several times over; all of them are in memory. Where `accuracy` is `off`, there are none, or the engine does
/// not run the model, each weight is rounded by itself; the report says so but for `off`.
///
/// # Errors
/// As [`quantize`](super::quantize); or the configuration quantizes activations.
///
/// ```
/// # #[cfg(feature = "rten")] {
/// use onnx_quant::{
///     ActivationType, Activations, Config, Model, WeightType,
///     calibration::{RtenEngine, Samples, proceed}, quantize_with_samples,
/// };
///
/// let mut model = Model::load("testdata/kws_dscnn.onnx")?;
/// let samples = Samples::open("testdata/calibration/kws_dscnn", &model, None)?.collect::<Result<Vec<_>, _>>()?;
/// let config = Config::default()
///     .with_weights(WeightType::Int4)
///     .with_activations(Activations::default().with_ty(ActivationType::Float));
/// let report = quantize_with_samples(&mut model, &config, &samples, &RtenEngine, &mut proceed)?;
/// assert!(report.findings.iter().any(|finding| finding.code.to_string() == "compensated"));
/// # }
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn quantize_with_samples(
    model: &mut Model,
    config: &Config,
    samples: &[Sample],
    engine: &dyn Engine,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Report> {
    if !config.activations.is_float() {
        return Err(Error::config(
            "activations are to be quantized too: that takes ranges, or samples to make them of",
        ));
    }
    quantize_weights(model, config, |model, plan, config| {
        if !config.has_weights_of_kernels() {
            let weights = format!("{}, {}", config.weights, config.sharing());
            plan.findings.push(Fact::FloatActivations { weights });
        }
        if config.accuracy == Effort::Off || plan.weights.is_empty() {
            return Ok(());
        }
        let facts = match compensate(model, plan, config, samples, engine, progress) {
            Err(error) if matches!(error.kind(), ErrorKind::Cancelled { .. }) => return Err(error),
            Err(error) => vec![Fact::NotMeasured { reason: error.without_file().to_string() }],
            Ok(facts) => facts,
        };
        plan.findings.extend(facts);
        Ok(())
    })
}

/// Rounds the weights of a plan by samples, if that is better.
fn compensate(
    model: &Model,
    plan: &mut Plan,
    config: &Config,
    samples: &[Sample],
    engine: &dyn Engine,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Vec<Fact>> {
    if samples.is_empty() {
        return Ok(vec![Fact::NotMeasured { reason: "there are no samples".to_owned() }]);
    }
    let mut passing = HoldBack::new(samples.iter().cloned().map(Ok));
    let used = passing.by_ref().collect::<Result<Vec<Sample>>>()?;
    let held_back = passing.kept();
    // Where there are few, they tell of themselves.
    let to_judge = if held_back.is_empty() { &used } else { &held_back };
    let Some(judge) = Judge::new(model, to_judge, engine)? else {
        return Ok(vec![Fact::NotMeasured { reason: "no output is of floats that can be observed".to_owned() }]);
    };
    let mut current = model.clone();
    // Only since IR version 4 may an initializer not be an input.
    current.raise_ir_version(4);
    let mut plain = current.clone();
    for weight in &plan.weights {
        replace(&mut plain, weight, &rounded(model, weight)?)?;
    }
    let (before, _) = judge.loss(&plain)?;
    let (most, rows) = match config.accuracy {
        Effort::High => (HIGH_STAGES, HIGH_ROWS),
        _ => (BALANCED_STAGES, BALANCED_ROWS),
    };
    let stages = stages(model, plan, most);
    let layers = stages.iter().map(|stage| stage.layers.len()).sum();
    let mut run = Run { model, engine, rows, samples: &used, current, found: HashMap::new() };
    for (index, stage) in stages.iter().enumerate() {
        if progress(index).is_break() {
            return Err(ErrorKind::Cancelled { samples: index }.into());
        }
        run.stage(plan, stage)?;
    }
    let (after, _) = judge.loss(&run.current)?;
    let is_better = after.share < before.share;
    let reached = if is_better { after } else { before };
    let output = model.scope(Model::MAIN).outputs()[reached.worst].value;
    let below = config.min_sqnr_db.filter(|bound_db| reached.worst_db < *bound_db).map(|bound_db| Fact::Inaccurate {
        bound_db,
        outputs: vec![(model.value(output).name().to_owned(), reached.worst_db)],
    });
    let fact = Fact::Compensated {
        weights: if is_better { layers } else { 0 },
        of: plan.weights.len(),
        samples: to_judge.len(),
        held_back: !held_back.is_empty(),
        before_db: before.worst_db,
        after_db: after.worst_db,
    };
    if is_better {
        for (place, (params, elements)) in run.found {
            let weight = &mut plan.weights[place];
            weight.copies[0].params = params.into();
            weight.float_type = FloatType::F32;
            weight.compensated = Some(elements.into());
        }
    }
    Ok([fact].into_iter().chain(below).collect())
}

/// What is found of weights, stage by stage.
struct Run<'a> {
    model: &'a Model,
    engine: &'a dyn Engine,
    samples: &'a [Sample],
    /// How many rows of a layer's inputs are enough.
    rows: usize,
    /// The model with the weights so far.
    current: Model,
    /// By their places in the plan: parameters, and the numbers that the integers stand for.
    found: HashMap<usize, (Vec<QuantParams>, Vec<f32>)>,
}

impl Run<'_> {
    fn stage(&mut self, plan: &Plan, stage: &Stage) -> Result<()> {
        let mut replaced = Vec::new();
        let moments = self.moments(&stage.layers)?;
        for (layer, moments) in stage.layers.iter().zip(&moments) {
            let weight = &plan.weights[layer.place];
            let Some((params, elements)) = self.compensated(weight, layer, moments)? else {
                replaced.push((weight, rounded(self.model, weight)?));
                continue;
            };
            replaced.push((weight, elements.clone()));
            self.found.insert(layer.place, (params, elements));
        }
        for &place in &stage.others {
            replaced.push((&plan.weights[place], rounded(self.model, &plan.weights[place])?));
        }
        replaced.iter().try_for_each(|(weight, elements)| replace(&mut self.current, weight, elements))
    }

    /// What comes into layers, of each group of each.
    fn moments(&self, layers: &[Layer]) -> Result<Vec<Vec<Moments>>> {
        let mut watched: Vec<ValueId> = Vec::new();
        for &value in layers.iter().flat_map(|layer| &layer.read) {
            if !watched.contains(&value) {
                watched.push(value);
            }
        }
        let of_layer = |layer: &Layer| layer.matrices.iter().map(|matrix| Moments::new(matrix.inputs)).collect();
        let mut moments: Vec<Vec<Moments>> = layers.iter().map(of_layer).collect();
        if watched.is_empty() {
            return Ok(moments);
        }
        let observations = [Observation::new(self.model, &watched)?, Observation::new(&self.current, &watched)?];
        let [float, quantized] = &observations;
        let mut sessions = [self.engine.load(float)?, self.engine.load(quantized)?];
        for sample in self.samples {
            if layers.iter().zip(&moments).all(|(layer, moments)| layer.has_seen_enough(moments, self.rows)) {
                break;
            }
            let mut seen = [HashMap::new(), HashMap::new()];
            for ((session, observation), seen) in sessions.iter_mut().zip(&observations).zip(&mut seen) {
                session.run(&observation.inputs(sample)?, &mut |observed| {
                    for it in observed {
                        seen.insert(watched[it.index], Seen::of(it));
                    }
                })?;
            }
            let [float, quantized] = &seen;
            for (layer, moments) in layers.iter().zip(&mut moments) {
                for value in &layer.read {
                    let (Some(float), Some(quantized)) = (float.get(value), quantized.get(value)) else { continue };
                    layer.add(float, quantized, moments);
                }
            }
        }
        Ok(moments)
    }

    /// Parameters, and the numbers that a weight's integers stand for; `None` where its inputs say nothing.
    fn compensated(
        &self,
        weight: &WeightPlan,
        layer: &Layer,
        moments: &[Moments],
    ) -> Result<Option<(Vec<QuantParams>, Vec<f32>)>> {
        let known: Option<Vec<Compensation>> = moments.iter().map(Compensation::new).collect();
        let Some(known) = known else { return Ok(None) };
        let copy = &weight.copies[0];
        let mut elements = elements(self.model, weight)?;
        for (compensation, matrix) in known.iter().zip(&layer.matrices) {
            compensation.shift(&mut elements, *matrix);
        }
        let layout = layout(self.model, weight, copy)?;
        let bytes = FloatType::F32.encode(elements.iter().copied());
        let Ok(params) = parameters(&bytes, FloatType::F32, &layout, copy.scheme, copy.method) else { return Ok(None) };
        for (compensation, matrix) in known.iter().zip(&layer.matrices) {
            compensation.round(&mut elements, *matrix, &layout, &params, copy.scheme);
        }
        Ok(Some((params, elements)))
    }
}

fn constant<'m>(model: &'m Model, weight: &WeightPlan) -> Result<std::borrow::Cow<'m, Tensor>> {
    model.constant(weight.value).ok_or_else(|| Error::invalid("a planned weight is no constant"))
}

fn layout(model: &Model, weight: &WeightPlan, copy: &QuantizedCopy) -> Result<Layout> {
    Layout::new(&constant(model, weight)?.shape(), copy.granularity)
        .map_err(|error| Error::tensor(&weight.name, error.to_string()))
}

/// A weight's elements.
fn elements(model: &Model, weight: &WeightPlan) -> Result<Vec<f32>> {
    let bytes = constant(model, weight)?.narrow().bytes()?;
    Ok(weight.float_type.widen(&bytes).into_iter().map(|element| element as f32).collect())
}

/// What is left of a weight's elements if each is rounded by itself.
fn rounded(model: &Model, weight: &WeightPlan) -> Result<Vec<f32>> {
    let Some(copy) = weight.copies.first() else { return elements(model, weight) };
    let layout = layout(model, weight, copy)?;
    let bytes = constant(model, weight)?.narrow().bytes()?;
    let QuantizedCopy { params, scheme, .. } = copy;
    let Scheme { ty, .. } = *scheme;
    let mut integers = vec![0; ty.bytes(layout.elements())];
    quantize(&bytes, weight.float_type, &layout, params, *scheme, 0..layout.elements(), &mut integers);
    Ok(dequantize(&integers, &layout, params, ty).into_raw_vec_and_offset().0)
}

/// Has all that read a weight read other elements.
fn replace(model: &mut Model, weight: &WeightPlan, elements: &[f32]) -> Result<()> {
    let original = constant(model, weight)?.into_owned();
    let bytes = float_type(original.dtype()).unwrap_or(FloatType::F32).encode(elements.iter().copied());
    let tensor = Tensor::from_bytes(&weight.name, original.dtype(), &original.shape(), bytes)?;
    let scope = model.value(weight.value).scope();
    let before = model.scope(scope).ops().first().copied();
    let replaced = model.new_constant(scope, tensor, None, before);
    let uses = model.uses(weight.value).into_iter().map(|use_| (use_, replaced)).collect();
    model.move_uses(weight.value, &uses);
    Ok(())
}
