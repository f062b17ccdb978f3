//! Makes parameters constants that callers could override until now.

use super::Pass;
use crate::{
    error::Result,
    ir::{Model, ValueId},
    operators::{is_standard, rearranges},
};

/// Takes the weights, biases and parameters of Conv, ConvTranspose, Gemm and BatchNormalization, right factors of
/// MatMul and tables of Gather off the inputs of the graph where these list them, also those that are
/// rearranged before. Exporters once listed every initializer there; since IR
/// version 4 that says that callers may override it, so that nothing can be folded into it.
///
/// Other initializers stay inputs: they may be states or settings that are meant to be overridden.
#[derive(Debug, Clone, Copy)]
pub struct FreezeParameters;

impl Pass for FreezeParameters {
    fn name(&self) -> &'static str {
        "freeze-parameters"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        // Before that every initializer has to be listed, and none can be overridden.
        if model.ir_version() < 4 {
            return Ok(false);
        }
        let parameters = model.ops().filter(|&op| is_standard(model, op)).flat_map(|op| {
            let slots = match model.op(op).op_type() {
                "Conv" | "ConvTranspose" | "Gemm" | "BatchNormalization" => 1..model.op(op).arity.inputs,
                "MatMul" => 1..2,
                "Gather" => 0..1,
                _ => 0..0,
            };
            let values = slots.filter_map(|slot| model.input(op, slot));
            values.map(|value| rearranged(model, value)).collect::<Vec<_>>()
        });
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

/// How far back rearranged parameters are followed: far beyond what exporters write.
const MAX_DEPTH: usize = 8;

/// What a value is, or is rearranged from.
fn rearranged(model: &Model, mut value: ValueId) -> ValueId {
    for _ in 0..MAX_DEPTH {
        let maker = model.producer(value);
        let maker = maker.filter(|&maker| is_standard(model, maker) && rearranges(model.op(maker).op_type()));
        let Some(before) = maker.and_then(|maker| model.input(maker, 0)) else { break };
        value = before;
    }
    value
}
