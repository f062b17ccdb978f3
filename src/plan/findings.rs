//! What a user should know of a plan besides what becomes of weights and layers: what follows from it.

use super::{
    Decision, FloatReason, Plan, QuantizedCopy, WeightForm, WeightPlan,
    opset::{kernels_of_opset, scale_dtype, storage_dtype},
};
use crate::{
    findings::Fact,
    ir::{Dim, Interface, Model, normal_domain, type_name},
    numeric::Granularity,
    operators::computes_with_integers,
    targets::Target,
};

/// What follows from a plan for a model that it has not been carried out on yet; little where nothing is quantized.
pub fn following(model: &Model, plan: &Plan, target: &Target) -> Vec<Fact> {
    let mut found: Vec<Fact> = unknown_fields(model).into_iter().chain(quantized_before(model)).collect();
    found.extend(dynamic_shapes(model, target));
    found.extend(left_float(plan, target));
    if plan.weights.is_empty() {
        return found;
    }
    found.extend(inputs(model, plan));
    found.extend(default_opset(model));
    found.extend(outputs(model, plan));
    found.extend(plan.weights.iter().filter(|weight| weight.copies.len() > 1).map(copies));
    found.extend(kernels_of_opset(model, target));
    found.extend(runtime(plan, target));
    found.extend(speed(plan, target));
    found
}

/// The fields that are lost, if there are any.
pub fn unknown_fields(model: &Model) -> Option<Fact> {
    let fields = model.unknown_fields().to_vec();
    (!fields.is_empty()).then_some(Fact::UnknownFields { fields })
}

fn quantized_before(model: &Model) -> Option<Fact> {
    let operators = model.ops().filter(|&op| computes_with_integers(model.op(op))).count();
    (operators > 0).then_some(Fact::AlreadyQuantized { operators })
}

fn inputs(model: &Model, plan: &Plan) -> Option<Fact> {
    if model.ir_version() < 4 {
        return Some(Fact::OldIrVersion { version: model.ir_version() });
    }
    let gone = plan.weights.iter().filter(|weight| weight.was_input && weight.form != WeightForm::Qdq);
    let names: Vec<String> = gone.map(|weight| weight.name.clone()).collect();
    (!names.is_empty()).then_some(Fact::NoLongerInputs { names })
}

fn default_opset(model: &Model) -> Option<Fact> {
    let imports = model.opset_imports(Model::MAIN).iter().filter(|import| normal_domain(import.domain()).is_empty());
    let mut versions: Vec<i64> = imports.map(|import| import.version()).collect();
    versions.sort_unstable();
    versions.dedup();
    (versions.len() > 1).then_some(Fact::SeveralOpsets { versions })
}

fn outputs(model: &Model, plan: &Plan) -> Vec<Fact> {
    let outputs = plan.weights.iter().filter(|weight| weight.form != WeightForm::Qdq && model.is_output(weight.value));
    outputs.map(|weight| Fact::OutputDequantized { weight: weight.name.clone() }).collect()
}

fn copies(weight: &WeightPlan) -> Fact {
    let axis = |copy: &QuantizedCopy| match copy.granularity {
        Granularity::PerTensor => None,
        Granularity::PerChannel { axis } | Granularity::PerBlock { axis, .. } => Some(axis),
    };
    Fact::StoredTwice { weight: weight.name.clone(), axes: weight.copies.iter().map(axis).collect() }
}

/// A form of weights that the target's DequantizeLinear does not take.
fn runtime(plan: &Plan, target: &Target) -> Option<Fact> {
    let copies = plan.weights.iter().flat_map(|weight| &weight.copies);
    let mut types = copies.map(|copy| (storage_dtype(copy.scheme.ty), scale_dtype(copy.scheme.scale)));
    let (stored, _) = types.find(|&(stored, scale)| !target.dequantizes(stored, scale))?;
    Some(Fact::TypeWithoutKernel {
        target: target.name().to_owned(),
        release: target.releases().map(|(_, newest)| newest.to_string()).unwrap_or_default(),
        dtype: type_name(stored),
    })
}

/// The inputs whose sizes the file leaves open, where the target needs them.
fn dynamic_shapes(model: &Model, target: &Target) -> Option<Fact> {
    let open = |input: &&Interface| {
        let is_default = model.value(input.value).initializer().is_some();
        let known = |sizes: Vec<Dim>| sizes.iter().all(|size| size.size().is_some());
        !is_default && input.tensor_type().is_some_and(|stated| !stated.dims.is_some_and(known))
    };
    let inputs: Vec<String> = match target.description().static_shapes {
        false => Vec::new(),
        true => {
            let inputs = model.scope(Model::MAIN).inputs().iter().filter(open);
            inputs.map(|input| model.value(input.value).name().to_owned()).collect()
        }
    };
    (!inputs.is_empty()).then(|| Fact::DynamicShapes { target: target.name().to_owned(), inputs })
}

/// The layers that take less time in float.
fn left_float(plan: &Plan, target: &Target) -> Option<Fact> {
    let activations = plan.activations.as_ref()?;
    let gains_nothing = |decision: &Decision| matches!(decision, Decision::FloatLayer(FloatReason::NoGain));
    let left = activations.operators.iter().filter(|it| gains_nothing(&it.decision));
    let layers: Vec<String> = left.map(|it| it.operator.clone()).collect();
    let (target, integer) = (target.name().to_owned(), activations.layers().count());
    (!layers.is_empty()).then_some(Fact::LeftFloat { target, layers, integer })
}

/// Said only where integers gain nothing.
fn speed(plan: &Plan, target: &Target) -> Option<Fact> {
    let speed = plan.activations.as_ref()?.speed?;
    let (times, without_vnni) = if speed.with_vnni.ratio() >= 1.0 {
        (speed.with_vnni, false)
    } else if speed.without_vnni.ratio() >= 1.0 {
        (speed.without_vnni, true)
    } else {
        return None;
    };
    Some(Fact::NoFaster {
        target: target.name().to_owned(),
        without_vnni,
        float: times.float,
        saved: times.float - times.integer,
        conversions: times.conversions,
        depthwise: times.integer_depthwise > 0.2 * times.integer,
    })
}
