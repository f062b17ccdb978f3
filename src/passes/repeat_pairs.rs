//! Repeats the QuantizeLinear and DequantizeLinear of a value behind what only moves it.

use super::Pass;
use crate::{
    error::Result,
    ir::{Model, NewOp, OpId},
};

/// Puts a QuantizeLinear and a DequantizeLinear behind operators that move what a DequantizeLinear makes, with
/// its scale and zero point. No element changes: each is one of the numbers that the integers stand for.
///
/// The output keeps its name; the DequantizeLinear makes it now.
#[derive(Debug)]
pub struct RepeatPairs<'a> {
    /// The operators, in the order of the file; each has one output.
    pub behind: &'a [OpId],
}

impl Pass for RepeatPairs<'_> {
    fn name(&self) -> &'static str {
        "repeat-pairs"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        let mut changed = false;
        for &op in self.behind {
            changed |= repeat(model, op).is_some();
        }
        Ok(changed)
    }
}

/// `None` where nothing is dequantized in front of the operator, or the pair is there.
fn repeat(model: &mut Model, op: OpId) -> Option<()> {
    let before = model.input(op, 0).and_then(|input| model.producer(input))?;
    let [Some(output)] = model.outputs(op)[..] else { return None };
    let done = !model.is_output(output) && model.uses(output).iter().all(|use_| model.op(use_.op).is("QuantizeLinear"));
    if !model.op(before).is("DequantizeLinear") || done {
        return None;
    }
    let parameters: Vec<_> = model.inputs(before).into_iter().skip(1).flatten().collect();
    let (scope, behind) = (model.op(op).scope(), model.op_after(op));
    let name = model.value(output).name().to_owned();
    let [moved, quantized] = ["float", "quantized"].map(|suffix| model.new_value(scope, &format!("{name}_{suffix}")));
    model.set_output(op, 0, moved);
    for (op_type, input, output) in [("QuantizeLinear", moved, quantized), ("DequantizeLinear", quantized, output)] {
        let inputs = [input].into_iter().chain(parameters.iter().copied()).collect();
        let name = format!("{name}_{op_type}");
        model.insert_op(scope, behind, NewOp { op_type, name, inputs, output, attributes: vec![] });
    }
    Some(())
}
