//! Makes parameters constants that callers could override until now.

use super::Pass;
use crate::{
    error::Result,
    ir::{Model, OpId, ValueId},
    operators::is_standard,
};

/// Takes the weights, biases and parameters of Conv, ConvTranspose, Gemm and BatchNormalization off the
/// inputs of the graph where these list them. Exporters once listed every initializer there; since IR
/// version 4 that says that callers may override it, so that nothing can be folded into it.
///
/// Other initializers stay inputs: they may be states or settings that are meant to be overridden.
#[derive(Debug, Clone, Copy)]
pub struct FixParameters;

impl Pass for FixParameters {
    fn name(&self) -> &'static str {
        "fix-parameters"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        // Before that every initializer has to be listed, and none can be overridden.
        if model.ir_version() < 4 {
            return Ok(false);
        }
        let takes_parameters = |op: &OpId| {
            let types = ["Conv", "ConvTranspose", "Gemm", "BatchNormalization"];
            is_standard(model, *op) && types.contains(&model.op(*op).op_type())
        };
        let parameters =
            model.ops().filter(takes_parameters).flat_map(|op| model.inputs(op).into_iter().skip(1).flatten());
        let overridable = parameters.filter(|&value| {
            let value_of = model.value(value);
            // What a body lists it is given by whoever runs the body.
            model.is_input(value) && value_of.initializer().is_some() && value_of.scope() == Model::MAIN
        });
        let overridable: Vec<ValueId> = overridable.collect();
        let changed = !overridable.is_empty();
        model.remove_inputs(overridable);
        Ok(changed)
    }
}
