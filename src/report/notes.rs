//! What a user should know of a quantized model besides its weights, one sentence each.

use super::every_run;
use crate::{
    ir::{Model, normal_domain, type_name},
    numeric::Granularity,
    operators::computes_with_integers,
    plan::{Plan, QuantizedCopy, Times, WeightForm, WeightPlan, storage_dtype},
    targets::onnxruntime,
};

/// The plan's own notes, and what follows from it; nothing where nothing is quantized.
pub(super) fn notes(model: &Model, plan: &Plan) -> Vec<String> {
    let mut notes = plan.notes.clone();
    notes.extend(quantized_before(model));
    if plan.weights.is_empty() {
        return notes;
    }
    notes.extend(inputs(model, plan));
    notes.extend(default_opset(model));
    notes.extend(outputs(model, plan));
    notes.extend(plan.weights.iter().filter(|weight| weight.copies.len() > 1).map(copies));
    notes.extend(every_run::note(model, plan));
    notes.extend(opset(model));
    notes.extend(runtime(plan));
    notes.extend(speed(plan));
    notes
}

fn quantized_before(model: &Model) -> Option<String> {
    let count = model.ops().filter(|&op| computes_with_integers(model.op(op))).count();
    let what = match count {
        0 => return None,
        1 => "1 operator reads".to_owned(),
        many => format!("{many} operators read"),
    };
    Some(format!("{what} integers already: what is quantized stays as it is, only float weights are looked at"))
}

fn inputs(model: &Model, plan: &Plan) -> Option<String> {
    if model.ir_version() < 4 {
        let version = model.ir_version();
        return Some(format!(
            "IR version {version} wants every initializer to be a graph input: they are none any more, and the file has IR version 4 now"
        ));
    }
    let gone = plan.weights.iter().filter(|weight| weight.was_input && weight.form == WeightForm::Dq);
    let names: Vec<&str> = gone.map(|weight| weight.name.as_str()).collect();
    (!names.is_empty()).then(|| no_inputs_any_more(&names))
}

/// What to say of initializers that were taken off the graph inputs.
pub(crate) fn no_inputs_any_more(names: &[&str]) -> String {
    let names = names.join(", ");
    format!(
        "no graph inputs any more, so callers can no longer override them (--keep-overridable leaves them alone): {names}"
    )
}

fn default_opset(model: &Model) -> Option<String> {
    let imports = model.opset_imports(Model::MAIN).iter().filter(|import| normal_domain(import.domain()).is_empty());
    let mut versions: Vec<i64> = imports.map(|import| import.version()).collect();
    versions.sort_unstable();
    versions.dedup();
    let [_, .., newest] = versions[..] else { return None };
    Some(format!("the default operators are imported in versions {versions:?}: version {newest} counts now"))
}

fn outputs(model: &Model, plan: &Plan) -> Vec<String> {
    let outputs = plan.weights.iter().filter(|weight| weight.form == WeightForm::Dq && model.is_output(weight.value));
    outputs.map(|weight| format!("'{}' is a graph output: callers get its dequantized values", weight.name)).collect()
}

fn copies(weight: &WeightPlan) -> String {
    let axis = |copy: &QuantizedCopy| match copy.granularity {
        Granularity::PerTensor => "one scale".to_owned(),
        Granularity::PerChannel { axis } | Granularity::PerBlock { axis, .. } => format!("axis {axis}"),
    };
    let axes: Vec<String> = weight.copies.iter().map(axis).collect();
    let (name, count, axes) = (&weight.name, weight.copies.len(), axes.join(", "));
    format!("'{name}' is stored {count} times, its operators need different scales: {axes}")
}

/// Which releases have the opset, where not all of them do.
fn opset(model: &Model) -> Option<String> {
    let opset = model.opset(Model::MAIN);
    let version = onnxruntime::first_version(opset)?;
    (opset > onnxruntime::OLDEST_OPSET).then(|| format!("opset {opset} needs onnxruntime {version} or newer"))
}

fn runtime(plan: &Plan) -> Option<String> {
    let copies = plan.weights.iter().flat_map(|weight| &weight.copies);
    let scheme = copies.map(|copy| copy.scheme).find(|scheme| !onnxruntime::runs(*scheme))?;
    let (ty, version) = (type_name(storage_dtype(scheme.ty)), onnxruntime::VERSION);
    Some(format!("onnxruntime {version} cannot run {ty} weights in this form on the CPU"))
}

/// Said only where integers gain nothing.
fn speed(plan: &Plan) -> Option<String> {
    let speed = plan.activations.as_ref()?.speed?;
    let (times, place) = if speed.with_vnni.ratio() >= 1.0 {
        (speed.with_vnni, "")
    } else if speed.without_vnni.ratio() >= 1.0 {
        (speed.without_vnni, " on processors without VNNI")
    } else {
        return None;
    };
    let Times { float, integer, integer_depthwise, conversions } = times;
    let microseconds = |nanoseconds: f64| match nanoseconds / 1000.0 {
        few if few < 10.0 => format!("{few:.1}"),
        many => format!("{many:.0}"),
    };
    let change = match float - integer {
        saved if saved > 0.0 => format!("save about {} us", microseconds(saved)),
        lost => format!("take about {} us more", microseconds(-lost)),
    };
    let cause = if integer_depthwise > 0.2 * integer { "; depthwise convolutions gain least" } else { "" };
    Some(format!(
        "likely no faster than float in onnxruntime{place}: its integer layers {change} of {}, the conversions around \
         them take {} (estimated, on one core){cause}",
        microseconds(float),
        microseconds(conversions)
    ))
}
