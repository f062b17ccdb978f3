//! Running a model with what Python gives: to observe it, to round its weights, or to rank its operators.

use std::{ops::ControlFlow, path::PathBuf};

use onnx_quant::{
    Config, ErrorKind, HoldBack, Model, Report,
    calibration::{Engine, Sample},
    findings::Finding,
};
use pyo3::{Py, PyAny, PyResult, Python, pyfunction};

use super::{
    cli::{self, observe::replaced},
    errors::Fault,
    models, options, samples,
    work::{Callbacks, Interpreter, run},
};

/// What was observed, and by which engine.
pub struct Seen {
    pub ranges: onnx_quant::calibration::Ranges,
    /// The samples that were held back.
    pub held_back: Vec<Sample>,
    pub engine: &'static str,
    pub findings: Vec<Finding>,
}

/// Observes a model.
pub fn observe(
    model: &Model,
    config: &Config,
    samples: &samples::Source,
    limit: Option<usize>,
    engine: &dyn Engine,
    hold_back: bool,
    interpreter: &Interpreter,
) -> onnx_quant::Result<Seen> {
    let opened = samples.open(model, limit, interpreter)?;
    let total = opened.total;
    let mut progress = |done| interpreter.progress(done, total);
    let mut seen = if hold_back { HoldBack::new(opened.samples) } else { HoldBack::nothing(opened.samples) };
    let ranges = onnx_quant::calibrate(model, config, &mut seen, engine, &mut progress)?;
    let held_back = seen.kept();
    let findings = replaced(engine).into_iter().map(Finding::from).collect();
    Ok(Seen { ranges, held_back, engine: engine.name(), findings })
}

/// Quantizes the weights alone, rounded as suits samples.
pub fn with_samples(
    model: &mut Model,
    config: &Config,
    samples: &samples::Source,
    limit: Option<usize>,
    engine: &dyn Engine,
    interpreter: &Interpreter,
) -> onnx_quant::Result<Report> {
    let opened = samples.open(model, limit, interpreter)?;
    let total = opened.total;
    let mut all = Vec::new();
    for sample in opened.samples {
        all.push(sample?);
        if interpreter.progress(all.len(), total).is_break() {
            return Err(ErrorKind::Cancelled { samples: all.len() }.into());
        }
    }
    let mut stages = |_| interpreter.go_on().map_or(ControlFlow::Break(()), ControlFlow::Continue);
    let mut report = onnx_quant::quantize_with_samples(model, config, &all, engine, &mut stages)?;
    report.findings.extend(replaced(engine).map(Finding::from));
    Ok(report)
}

/// Ranks operators by what they cost in accuracy: as JSON, as people read it, and as rules.
#[pyfunction]
#[pyo3(signature = (model, samples, options, onnxruntime, threads, progress))]
pub fn sensitivity(
    py: Python<'_>,
    model: models::Source,
    samples: samples::Source,
    options: &str,
    onnxruntime: Option<PathBuf>,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<(String, String, String)> {
    let settings = options::parse(options)?;
    let (limit, engine) = (settings.max_samples().map(usize::from), settings.engine());
    let (config, _) = settings.into_parts(false).map_err(Fault::from)?;
    let callbacks = Callbacks { pull: samples.pull(py), progress };
    run(py, &callbacks, threads, |interpreter| {
        config.check_for_activations()?;
        let loaded = model.load()?;
        let engine = engine.engine(onnxruntime.as_deref())?;
        let seen = observe(&loaded, &config, &samples, limit, &*engine, true, interpreter);
        let Seen { ranges, held_back, .. } = seen.map_err(|error| model.name(error))?;
        let mut trials = |_| interpreter.go_on().map_or(ControlFlow::Break(()), ControlFlow::Continue);
        let ranking = onnx_quant::sensitivity(&loaded, &config, &ranges, &held_back, &*engine, &mut trials);
        let ranking = ranking.map_err(|error| model.name(error))?;
        let bound_db = config.bound_db();
        let rules = ranking.to_rules(ranking.steps_for(bound_db).unwrap_or(ranking.steps.len()))?;
        Ok((ranking.to_json(), cli::sensitivity::text(&ranking, bound_db, false), rules))
    })
}
