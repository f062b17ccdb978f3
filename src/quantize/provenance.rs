//! Where a quantized model came from, in its own metadata.

use crate::{
    config::{Activations, Config, Pattern, WeightForm},
    findings::Code,
    ir::Model,
    report::Report,
};

/// The key of the metadata that says which version of this tool quantized a model.
pub const VERSION_KEY: &str = "onnx-quant.version";
/// The key of the metadata that says with which options.
pub const OPTIONS_KEY: &str = "onnx-quant.options";

/// Writes into the metadata of a model that was just quantized which version did so and with which
/// options. The same configuration always gives the same text, without times, machines or paths; what was
/// said there before is replaced, and all other metadata stays. A model that was not changed keeps what it has.
///
/// ```
/// use onnx_quant::{Config, Model, quantize, record_provenance};
/// let mut model = Model::load("testdata/kws_dscnn.onnx")?;
/// let config = Config::default().with_exclude(vec!["Gemm".parse()?]);
/// let report = quantize(&mut model, &config)?;
/// record_provenance(&mut model, &report);
/// assert_eq!(model.metadata("onnx-quant.options"), Some("--weights int8 --granularity per-channel --exclude Gemm"));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn record_provenance(model: &mut Model, report: &Report) {
    let raised = report.findings.iter().any(|finding| finding.code == Code::OpsetRaised);
    let changed = raised || !report.quantized.is_empty() || report.trained.is_some() || report.activations.is_some();
    if changed {
        model.set_metadata(VERSION_KEY, env!("CARGO_PKG_VERSION"));
        model.set_metadata(OPTIONS_KEY, &report.options);
    }
}

/// The options that quantize a model like this: types and granularity always, what else is not the default. What
/// was observed, and what ran the model for it, is no option.
pub(super) fn options(config: &Config, with_activations: bool) -> String {
    let Config {
        weights,
        granularity,
        asymmetric,
        weight_scales,
        weight_form,
        accuracy_level,
        include,
        exclude,
        min_elements,
        allow_growth,
        keep_overridable,
        trained_pairs,
        target,
        rules,
        store_float_layers,
        activations: Activations { ty, symmetric, reduce_range, keep_weight_scales, method },
        tensor_types,
        prefer,
        costs,
        accuracy,
        min_sqnr_db,
        // These change what is told or refused, not what is written.
        measure_error: _,
        deny: _,
        strict: _,
    } = config;
    let default = Config::default();
    let mut options = vec![format!("--weights {weights}"), format!("--granularity {granularity}")];
    let mut given = |given: bool, option: String| {
        if given {
            options.push(option);
        }
    };
    given(*asymmetric, "--asymmetric".to_owned());
    if let Some(method) = weight_scales {
        given(true, format!("--weight-scales {method}"));
    }
    given(*weight_form != WeightForm::default(), format!("--weight-form {weight_form}"));
    if let Some(level) = accuracy_level {
        given(true, format!("--accuracy-level {level}"));
    }
    given(*min_elements != default.min_elements, format!("--min-elements {min_elements}"));
    given(*allow_growth, "--allow-growth".to_owned());
    given(*keep_overridable, "--keep-overridable".to_owned());
    given(*trained_pairs != default.trained_pairs, format!("--trained-pairs {trained_pairs}"));
    let since = target.releases().map(|(oldest, _)| oldest);
    let named = since != target.description().releases.first().copied();
    let release = since.filter(|_| named).map(|release| format!(":{release}")).unwrap_or_default();
    given(named || target.name() != default.target.name(), format!("--target {}{release}", target.name()));
    if with_activations {
        given(true, format!("--activations {ty}"));
        given(*symmetric, "--symmetric-activations".to_owned());
        given(*reduce_range, "--reduce-range".to_owned());
        given(*keep_weight_scales, "--keep-weight-scales".to_owned());
        for rule in tensor_types {
            given(true, format!("--tensor-type {}={}", quoted(&rule.pattern), rule.ty));
        }
        given(!config.activations.is_dynamic(), format!("--calibration {method}"));
        given(*prefer != default.prefer, format!("--prefer {prefer}"));
        if let Some(costs) = costs {
            given(true, format!("--costs '{}'", costs.title));
        }
        given(*accuracy != default.accuracy, format!("--accuracy {accuracy}"));
        if let Some(db) = min_sqnr_db {
            given(true, format!("--min-sqnr {db}"));
        }
    }
    if let Some(ty) = store_float_layers {
        given(true, format!("--store-float-layers {ty}"));
    }
    for (option, patterns) in [("--include", include), ("--exclude", exclude)] {
        options.extend(patterns.iter().map(|pattern| format!("{option} {}", quoted(pattern))));
    }
    options.extend(rules.iter().map(|rule| format!("[[rule]] {}", rule.to_string().trim_end().replace('\n', ", "))));
    options.join(" ")
}

/// A pattern as a shell takes it.
fn quoted(pattern: &Pattern) -> String {
    let text = pattern.to_string();
    match text.chars().all(|c| c.is_alphanumeric() || "/._-:@".contains(c)) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}
