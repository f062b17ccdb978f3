//! Makes a model compute in float32 where it computed in half floats.

use std::collections::HashMap;

use super::Pass;
use crate::{
    error::Result,
    ir::{Attribute, DataType, Interface, Model, NewOp, ValueId, is_half},
};

/// Makes float32 of float16 and bfloat16, but for the graph's inputs and outputs, which get a Cast.
///
/// Kernels on integers give float32, and processors without half floats compute with float32 anyway,
/// casting around every operator. What is rounded less does not come out the same to the last bit, and
/// constants that are not quantized take twice the space.
///
/// ```
/// use onnx_quant::{Model, ir::DataType, passes::{Pass, WidenHalves}};
/// let mut model = Model::load("testdata/made/float16_opset13.onnx")?;
/// assert!(WidenHalves.run(&mut model)?);
/// assert!(!model.tensors().any(|tensor| tensor.dtype() == DataType::Float16));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct WidenHalves;

impl Pass for WidenHalves {
    fn name(&self) -> &'static str {
        "widen-halves"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        let casts = |op| {
            let to = model.op(op).int("to").filter(|_| model.op(op).is("Cast")).and_then(|to| i32::try_from(to).ok());
            to.is_some_and(|to| DataType::try_from(to).is_ok_and(is_half))
        };
        // The Casts at the outputs are this pass's own.
        let outside = |op| model.outputs(op).into_iter().flatten().all(|output| model.is_output(output));
        // So are constants of which nothing but the outside hears, which are such Casts once they are folded.
        let unread = |op| model.outputs(op).into_iter().flatten().all(|output| model.uses(output).is_empty());
        let own = |op| model.op(op).is("Constant") && outside(op) && unread(op);
        let holds = |op| model.op(op).attribute_tensors().any(|(_, tensor)| is_half(tensor.dtype()));
        let is_stored = |value| model.value(value).initializer().is_some_and(|tensor| is_half(tensor.dtype()));
        let has_tensors = model.values().any(is_stored) || model.ops().any(|op| holds(op) && !own(op));
        let main = model.scope(Model::MAIN);
        // Without any half constant, what reads an input computes in its type all the same.
        let is_half_input = |input: &&Interface| input.tensor_type().and_then(|ty| ty.dtype).is_some_and(is_half);
        let mut half_inputs = main.inputs().iter().filter(is_half_input);
        let is_computed_with =
            half_inputs.any(|input| model.uses(input.value).iter().any(|use_| !model.op(use_.op).is("Cast")));
        if !has_tensors && !is_computed_with && !model.ops().any(|op| casts(op) && !outside(op)) {
            return Ok(false);
        }
        let halves = |interfaces: &[Interface]| -> Vec<(ValueId, DataType)> {
            let dtype = |interface: &Interface| interface.tensor_type()?.dtype.filter(|&dtype| is_half(dtype));
            interfaces.iter().filter_map(|interface| Some((interface.value, dtype(interface)?))).collect()
        };
        let (inputs, outputs) = (halves(main.inputs()), halves(main.outputs()));
        if inputs.iter().chain(&outputs).any(|(value, _)| model.value(*value).initializer().is_some()) {
            // A constant that is seen from outside has to stay what it is.
            return Ok(false);
        }
        model.widen_halves(false);
        for (input, _) in inputs {
            let uses = model.uses(input);
            let position = model.first_reader(input);
            let name = model.value(input).name().to_owned();
            let wide = model.new_value(Model::MAIN, &format!("{name}_float32"));
            model.move_uses(input, &uses.into_iter().map(|use_| (use_, wide)).collect::<HashMap<_, _>>());
            model.insert_op(Model::MAIN, position, cast(&name, input, DataType::Float, wide));
        }
        for (output, dtype) in outputs {
            // An input that is given out is a half float already.
            let Some(producer) = model.producer(output) else { continue };
            let name = model.value(output).name().to_owned();
            let wide = model.new_value(Model::MAIN, &format!("{name}_float32"));
            let slot = model.outputs(producer).iter().position(|made| *made == Some(output)).unwrap_or(0);
            let behind = model.op_after(producer);
            let uses = model.uses(output);
            model.move_uses(output, &uses.into_iter().map(|use_| (use_, wide)).collect::<HashMap<_, _>>());
            model.set_output(producer, slot, wide);
            model.insert_op(Model::MAIN, behind, cast(&name, wide, dtype, output));
        }
        Ok(true)
    }
}

fn cast(name: &str, input: ValueId, to: DataType, output: ValueId) -> NewOp {
    NewOp {
        op_type: "Cast",
        name: format!("{name}_Cast"),
        inputs: vec![input],
        output,
        attributes: vec![("to", Attribute::Int(to as i64))],
    }
}
