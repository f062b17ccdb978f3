//! The functions of the module: each takes what Python gives, works beside the interpreter, and returns plain data.

use std::{ffi::OsString, io::Write, ops::ControlFlow, path::PathBuf};

use onnx_quant::{
    Config, Effort, Model, ParseOptions, SaveOptions, TextOptions,
    calibration::{Engine, OnnxruntimeEngine},
    compare::Comparing,
    explain::is_quantized,
    targets::Target,
};
use pyo3::{Bound, Py, PyAny, PyResult, Python, pyclass, pyfunction, pymethods, types::PyBytes};

use super::{
    cli::{self, Failure, observe::EngineName, quantize::PATIENCE, summary},
    errors::{Fault, option_error},
    models::{self, Output, check_output, output},
    observed::{observe, with_samples},
    options,
    ranges::{Ranges, merged},
    samples,
    work::{Callbacks, run},
};

/// A result as JSON, what people read of it, and the model, where that was not written to a file.
type Answer<'py> = (String, String, Option<Bound<'py, PyBytes>>);

/// The same, and the engine that ran the model, where one did.
type Ran<'py> = (String, String, Option<Bound<'py, PyBytes>>, Option<&'static str>);

/// This version.
#[pyfunction]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The names of the options, and whether each takes a list.
#[pyfunction]
pub fn option_names() -> Vec<(String, bool)> {
    options::names()
}

/// Runs the command with these arguments, without its own name; returns its exit status.
#[pyfunction]
pub fn run_command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| {
        cli::leave_nothing_when_interrupted();
        let status = cli::run_command([OsString::from("onnx-quant")].into_iter().chain(arguments));
        // Rust's own end of a program would.
        match std::io::stdout().flush() {
            Ok(()) => status,
            Err(_) => status.max(1),
        }
    })
}

#[pyfunction]
#[pyo3(signature = (model, out, samples, ranges, options, onnxruntime, overwrite, threads, progress))]
#[expect(clippy::too_many_arguments, reason = "Python names them")]
pub fn quantize<'py>(
    py: Python<'py>,
    model: models::Source,
    out: Option<PathBuf>,
    samples: Option<samples::Source>,
    ranges: Vec<Py<Ranges>>,
    options: &str,
    onnxruntime: Option<PathBuf>,
    overwrite: bool,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Ran<'py>> {
    let settings = options::parse(options)?;
    let without = |option: &str, needed: &str| {
        let option = option.trim_start_matches('-').replace('-', "_");
        Err(option_error("config", &format!("'{option}' makes no sense without {needed}")))
    };
    let of_activations = if settings.is_dynamic() { settings.of_ranges() } else { settings.of_activations() };
    match (settings.of_samples(), of_activations) {
        (Some(option), _) if samples.is_none() => return without(option, "samples"),
        (_, Some(option)) if samples.is_none() && ranges.is_empty() => {
            return without(option, "samples or ranges: only then activations are quantized");
        }
        _ => {}
    }
    let (limit, engine, provenance) = (settings.max_samples(), settings.engine(), settings.provenance());
    let (of_integers, tuned_on) = (settings.of_integers(), settings.tuned_on());
    let (config, mut save) = settings.into_parts(true).map_err(Fault::from)?;
    save.overwrite = overwrite;
    if let Some(option) = of_integers.filter(|_| samples.is_some() && config.activations.is_float()) {
        return without(option, "quantized activations: they stay float");
    }
    let known = merged(py, &ranges);
    let callbacks = Callbacks { pull: samples.as_ref().and_then(|samples| samples.pull(py)), progress };
    let (json, text, made, ran) = run(py, &callbacks, threads, |interpreter| {
        match (samples.is_some() || known.is_some(), config.activations.is_dynamic()) {
            (true, _) if config.activations.is_float() && known.is_none() => config.check()?,
            (true, _) => config.check_for_activations()?,
            (false, true) => config.check_for_dynamic()?,
            (false, false) => config.check()?,
        }
        let mut loaded = model.load()?;
        check_output(&loaded, &model, samples.as_ref().and_then(|it| it.path()), out.as_deref(), &save)?;
        let mut known = known;
        if let Some(known) = &known {
            known.check(config.activations.method)?;
            if samples.is_some() {
                onnx_quant::check_ranges(&loaded, &config, known)?;
            }
        }
        let engine = samples.as_ref().map(|_| engine.engine(onnxruntime.as_deref())).transpose()?;
        let for_weights = samples.as_ref().zip(engine.as_deref()).filter(|_| config.activations.is_float());
        let (report, ran) = if let Some((samples, engine)) = for_weights {
            let limit = limit.map(usize::from);
            let report = with_samples(&mut loaded, &config, samples, limit, engine, interpreter);
            (report.map_err(|error| model.name(error))?, Some(engine.name()))
        } else {
            let seen = samples.as_ref().zip(engine.as_deref()).map(|(samples, engine)| {
                let hold_back = config.accuracy != Effort::Off || tuned_on.is_some();
                observe(&loaded, &config, samples, limit.map(usize::from), engine, hold_back, interpreter)
            });
            let seen = seen.transpose().map_err(|error| model.name(error))?;
            if let Some(seen) = &seen {
                known.get_or_insert_default().merge(&seen.ranges);
            }
            interpreter.go_on()?;
            let report = match (&known, seen.as_ref().zip(engine.as_deref())) {
                (Some(ranges), Some((seen, engine))) => {
                    let mut trials = |_| interpreter.go_on().map_or(ControlFlow::Break(()), ControlFlow::Continue);
                    let held_back = &seen.held_back;
                    match tuned_on {
                        None => {
                            onnx_quant::quantize_measured(&mut loaded, &config, ranges, held_back, engine, &mut trials)
                        }
                        Some(threads) => {
                            let timing = OnnxruntimeEngine::new(onnxruntime.as_deref())?;
                            let mut timer = |models: &[&Model]| timing.times(models, held_back, threads, PATIENCE);
                            let (timer, trials) = (&mut timer, &mut trials);
                            onnx_quant::quantize_tuned(&mut loaded, &config, ranges, held_back, engine, timer, trials)
                        }
                    }
                }
                (Some(ranges), None) => onnx_quant::quantize_activations(&mut loaded, &config, ranges),
                (None, _) => onnx_quant::quantize(&mut loaded, &config),
            };
            let mut report = report.map_err(|error| model.name(error))?;
            let ran = seen.as_ref().map(|seen| seen.engine);
            report.findings.extend(seen.into_iter().flat_map(|seen| seen.findings));
            (report, ran)
        };
        if provenance {
            onnx_quant::record_provenance(&mut loaded, &report);
        }
        interpreter.go_on()?;
        let made = output(&loaded, out.as_deref(), &save)?;
        Ok((report.to_json(), summary::text(&report, &config, false), made, ran))
    })?;
    Ok((json, text, made.into_python(py), ran))
}

#[pyfunction]
#[pyo3(signature = (model, samples, options, onnxruntime, threads, progress))]
pub fn calibrate(
    py: Python<'_>,
    model: models::Source,
    samples: samples::Source,
    options: &str,
    onnxruntime: Option<PathBuf>,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Ranges> {
    let settings = options::parse(options)?;
    let (limit, engine) = (settings.max_samples(), settings.engine());
    let (config, _) = settings.into_parts(false).map_err(Fault::from)?;
    let callbacks = Callbacks { pull: samples.pull(py), progress };
    run(py, &callbacks, threads, |interpreter| {
        config.check_for_activations()?;
        let loaded = model.load()?;
        let engine = engine.engine(onnxruntime.as_deref())?;
        let seen = observe(&loaded, &config, &samples, limit.map(usize::from), &*engine, false, interpreter);
        Ok(Ranges(seen.map_err(|error| model.name(error))?.ranges))
    })
}

#[pyfunction]
#[pyo3(signature = (model, target, samples, max_samples, onnxruntime, engine, threads, progress))]
#[expect(clippy::too_many_arguments, reason = "Python names them")]
pub fn explain(
    py: Python<'_>,
    model: models::Source,
    target: &str,
    samples: Option<samples::Source>,
    max_samples: Option<usize>,
    onnxruntime: Option<PathBuf>,
    engine: &str,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<(String, String)> {
    let (target, engine) = (parse_target(target)?, parse_engine(engine)?);
    let callbacks = Callbacks { pull: samples.as_ref().and_then(|samples| samples.pull(py)), progress };
    run(py, &callbacks, threads, |interpreter| {
        let loaded = model.load()?;
        let explanation = if is_quantized(&loaded, &target) {
            if samples.is_some() {
                let message = "the model is quantized already: samples are for float models".to_owned();
                return Err(Failure::Usage(message).into());
            }
            onnx_quant::explain::explain(&loaded, &target).map_err(|error| model.name(error))?
        } else {
            let config = Config::for_target(target);
            let engine = engine.engine(onnxruntime.as_deref())?;
            let seen =
                samples.as_ref().map(|it| observe(&loaded, &config, it, max_samples, &*engine, false, interpreter));
            let seen = seen.transpose().map_err(|error| model.name(error))?;
            let ranges = seen.as_ref().map(|seen| &seen.ranges);
            let planned = onnx_quant::explain_planned(&loaded, &config, ranges);
            let mut planned = planned.map_err(|error| model.name(error))?;
            planned.findings.splice(0..0, seen.into_iter().flat_map(|seen| seen.findings));
            planned
        };
        Ok((explanation.to_json(), cli::explain::text(&explanation, false)))
    })
}

/// A comparison of two models.
#[pyclass(frozen, module = "onnx_quant._native")]
pub struct Comparison(onnx_quant::compare::Comparison);

#[pymethods]
impl Comparison {
    /// All of it as JSON.
    fn json(&self) -> String {
        self.0.to_json()
    }

    /// All of it as a page for a browser.
    fn html(&self, title: &str) -> String {
        self.0.to_html(title)
    }

    /// What people read.
    fn text(&self) -> String {
        cli::compare::text(&self.0, false)
    }
}

#[pyfunction]
#[pyo3(signature = (float, quantized, samples, max_samples, onnxruntime, target, min_sqnr, threads, progress))]
#[expect(clippy::too_many_arguments, reason = "Python names them")]
pub fn compare(
    py: Python<'_>,
    float: models::Source,
    quantized: models::Source,
    samples: samples::Source,
    max_samples: Option<usize>,
    onnxruntime: Option<PathBuf>,
    target: &str,
    min_sqnr: Option<f64>,
    threads: Option<usize>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Comparison> {
    let target = parse_target(target)?;
    let callbacks = Callbacks { pull: samples.pull(py), progress };
    run(py, &callbacks, threads, |interpreter| {
        let (one, other) = (float.load()?, quantized.load()?);
        let library = onnxruntime.as_deref();
        // One engine for both models: what two of them compute differs by itself.
        let engine = if library.is_some() { EngineName::Onnxruntime } else { EngineName::Rten }.engine(library)?;
        let optimizing = library.map(|library| OnnxruntimeEngine::new(Some(library))).transpose()?;
        let optimizing = optimizing.map(OnnxruntimeEngine::optimized);
        let comparing = Comparing::new(&*engine)
            .with_optimizing(optimizing.as_ref().map(|engine| engine as &dyn Engine))
            .with_target(target)
            .with_min_sqnr_db(min_sqnr);
        let opened = samples.open(&one, max_samples, interpreter).map_err(|error| float.name(error))?;
        let total = opened.total;
        let comparison = onnx_quant::compare::compare(&one, &other, opened.samples, &comparing, &mut |done| {
            interpreter.progress(done, total)
        });
        Ok(Comparison(comparison.map_err(|error| quantized.name(error))?))
    })
}

#[pyfunction]
#[pyo3(signature = (model, target))]
pub fn inspect(py: Python<'_>, model: models::Source, target: &str) -> PyResult<(String, String)> {
    let target = parse_target(target)?;
    run(py, &Callbacks::default(), None, |_| {
        let loaded = model.load()?;
        let inspection = onnx_quant::inspect::inspect(&loaded, &target);
        Ok((inspection.to_json(), cli::inspect::text(&inspection, target.name())))
    })
}

#[pyfunction]
#[pyo3(signature = (model, out, keep_overridable, overwrite))]
pub fn simplify(
    py: Python<'_>,
    model: models::Source,
    out: Option<PathBuf>,
    keep_overridable: bool,
    overwrite: bool,
) -> PyResult<Answer<'_>> {
    let save = SaveOptions::default().with_overwrite(overwrite);
    let (json, text, made) = run(py, &Callbacks::default(), None, |_| {
        let mut loaded = model.load()?;
        check_output(&loaded, &model, None, out.as_deref(), &save)?;
        let simplified = onnx_quant::simplify(&mut loaded, keep_overridable).map_err(|error| model.name(error))?;
        let json = serde_json::json!({
            "operators": simplified.operators,
            "bytes": simplified.bytes,
            "findings": simplified.findings,
        });
        let text = cli::simplify::table(&simplified);
        Ok((json.to_string(), text, output(&loaded, out.as_deref(), &save)?))
    })?;
    Ok((json, text, made.into_python(py)))
}

#[pyfunction]
#[pyo3(signature = (model, opset, out, overwrite))]
pub fn upgrade(
    py: Python<'_>,
    model: models::Source,
    opset: i64,
    out: Option<PathBuf>,
    overwrite: bool,
) -> PyResult<Answer<'_>> {
    let newest = onnx_quant::passes::UpgradeOpset::NEWEST_OPSET;
    if !(1..=newest).contains(&opset) {
        return Err(option_error("config", &format!("opset {opset} is not known: it is to be from 1 to {newest}")));
    }
    let save = SaveOptions::default().with_overwrite(overwrite);
    let (json, text, made) = run(py, &Callbacks::default(), None, |_| {
        let mut loaded = model.load()?;
        check_output(&loaded, &model, None, out.as_deref(), &save)?;
        let ir_version = loaded.ir_version();
        let upgraded = onnx_quant::upgrade(&mut loaded, opset).map_err(|error| model.name(error))?;
        let (upgraded, findings) = upgraded;
        let json = serde_json::json!({
            "from_opset": upgraded.from,
            "to_opset": upgraded.to,
            "rewritten": upgraded.rewritten,
            "changed": upgraded.changed,
            "findings": findings,
        });
        let text = cli::upgrade::summary(&upgraded, &loaded, ir_version);
        Ok((json.to_string(), text, output(&loaded, out.as_deref(), &save)?))
    })?;
    Ok((json, text, made.into_python(py)))
}

/// A model in the ONNX textual syntax; tensors of more elements than `elements` are a digest.
#[pyfunction]
#[pyo3(signature = (model, elements))]
pub fn to_text(py: Python<'_>, model: models::Source, elements: Option<usize>) -> PyResult<String> {
    run(py, &Callbacks::default(), None, |_| {
        let loaded = model.load()?;
        Ok(loaded.to_text_with(&TextOptions::default().with_literal_elements(elements.unwrap_or(usize::MAX))))
    })
}

/// The bytes of a model that is written in the ONNX textual syntax.
#[pyfunction]
#[pyo3(signature = (text))]
pub fn parse_text<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyBytes>> {
    let model = Model::from_text_with(text, &ParseOptions::default()).map_err(Fault::from)?;
    Ok(PyBytes::new(py, &model.to_bytes()))
}

fn parse_target(target: &str) -> PyResult<Target> {
    target.parse().map_err(|error: onnx_quant::Error| Fault::from(error).into())
}

fn parse_engine(engine: &str) -> PyResult<EngineName> {
    let parsed = serde_json::from_value(engine.into());
    parsed.map_err(|error| option_error("config", &format!("option 'engine': {error}")))
}

impl Output {
    fn into_python(self, py: Python<'_>) -> Option<Bound<'_, PyBytes>> {
        match self {
            Self::Written => None,
            Self::Bytes(bytes) => Some(PyBytes::new(py, &bytes)),
        }
    }
}
